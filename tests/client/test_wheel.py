"""The client on its own: what its wheel holds and needs, and what a type checker sees of it."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# httpx and what that needs
ALONE = ("httpx", "httpcore", "h11", "anyio", "idna", "certifi", "typing_extensions")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT / "clients" / "python", check=True, capture_output=True,
    )  # fmt: skip
    (built,) = folder.glob("opstac_client-*.whl")
    return built


def test_it_holds_the_client_and_needs_httpx(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = [name for name in names if name.endswith("METADATA")]
        text = archive.read(metadata).decode()
    assert re.findall(r"^Requires-Dist: (\w+)", text, re.MULTILINE) == ["httpx"]
    code = {name for name in names if "dist-info" not in name}
    client = ROOT / "src" / "opstac" / "client"
    there = {
        f"opstac/client/{path.relative_to(client).as_posix()}"
        for path in client.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert code == {"opstac/__init__.py", "opstac/py.typed", *there}


USE = """
import sys
from opstac import AsyncClient, Client, Geopera, OperationError
import opstac, opstac.client.uploads, opstac.client.generated.models, httpx
assert opstac.__file__.startswith(sys.argv[1]), opstac.__file__
def answer(request):
    return httpx.Response(200, json={"path": request.url.path})
with Geopera("t", "https://x.example", transport=httpx.MockTransport(answer)) as client:
    print(client.items.get(item_id="it_1")["path"])
print(sorted({name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)))
"""


def test_it_works_with_nothing_else_installed(wheel: Path, tmp_path: Path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    for name in ALONE:
        found = importlib.metadata.distribution(name).locate_file("")
        for path in (Path(str(found)) / name, Path(str(found)) / f"{name}.py"):
            if path.exists():
                (tmp_path / path.name).symlink_to(path)
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-B", "-c", USE, str(tmp_path)],
        env={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    path, modules = done.stdout.splitlines()
    assert path == "/v1/op/items.get"
    assert set(re.findall(r"'(\w+)'", modules)) <= {"opstac", "__main__", *ALONE}


TYPED = """
from opstac import AsyncClient, Client

def ok(client: Client) -> str:
    client.items.list({"project_id": "p", "limit": 3})
    client.cog.colormaps()
    client.upload("f.tif", "p", name="n")
    return client.items.get(item_id="i")["item"]["name"]

async def ok_too(client: AsyncClient) -> int:
    return len((await client.items.list(project_id="p"))["items"])

def wrong(client: Client, other: AsyncClient) -> None:
    client.items.list(project="p")  # 1
    client.items.list({"project": "p"})  # 2
    client.items.list(project_id=3)  # 3
    client.items.list()  # 4
    client.itmes.list  # 5
    client.items.lst  # 6
    client.items.get(item_id="i")["itm"]  # 7
    client.upload("f.tif", "p", nam="n")  # 8
    other.items.get(item_id="i")["item"]  # 9
"""


def test_a_wrong_name_is_an_error_before_it_is_run(wheel: Path, tmp_path: Path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "lib")
    (tmp_path / "sample.py").write_text(TYPED)
    settings = {"typeCheckingMode": "strict", "extraPaths": ["lib"], "include": ["sample.py"]}
    settings |= {"reportUnusedExpression": False, "reportUnusedCoroutine": False}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    pyright = shutil.which("pyright", path=str(Path(sys.executable).parent))
    assert pyright is not None
    done = subprocess.run(
        [pyright, "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = json.loads(done.stdout)["generalDiagnostics"]
    lines = TYPED.splitlines()
    marked = {number for number, line in enumerate(lines) if re.search(r"# \d$", line)}
    assert {one["range"]["start"]["line"] for one in said} == marked, said
