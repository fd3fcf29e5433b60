"""A method of somebody else's package: installed, it is found, published and called."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio

from processes import method as methods
from raster import child

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/how-to/write-a-method.md"


def blocks() -> list[str]:
    """The Python and TOML blocks of the guide, in order."""
    return re.findall(r"```(?:python|toml)\n(.*?)```", GUIDE.read_text(), re.S)


def wheel(folder: Path) -> Path:
    """A wheel of the guide's module, as `pip wheel` makes it of the guide's project file."""
    code = next(b for b in blocks() if "@method" in b)
    project = next(b for b in blocks() if "opstac.methods" in b)
    point = re.search(r'^(\w+) = "(\w+)"', project.split("opstac.methods")[1], re.M)
    assert point is not None
    info = "value_range-1.0.dist-info"
    files = {
        f"{point[2]}.py": code,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: value-range\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[opstac.methods]\n{point[1]} = {point[2]}\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    made = folder / "value_range-1.0-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as out:
        for name, text in files.items():
            out.writestr(name, text)
    return made


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The guide's package, installed where this process and its children find it."""
    target = tmp_path / "site"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
    subprocess.run([*command, "--target", target, wheel(tmp_path)], check=True, timeout=120)
    monkeypatch.syspath_prepend(str(target))
    monkeypatch.setattr(methods, "METHODS", dict(methods.discover()))
    monkeypatch.setattr(methods, "_seen", set())
    importlib.invalidate_caches()
    child.shut_down()  # the next one starts with the new path
    yield
    child.shut_down()
    for name in [n for n in sys.modules if n == "value_range"]:
        del sys.modules[name]


def test_the_guide_shows_a_method_in_thirty_lines():
    code = next(b for b in blocks() if "@method" in b)
    assert len(code.strip().splitlines()) <= 30


async def test_an_installed_package_answers_by_rest_and_from_the_command_line(
    installed, live, scenes
):
    owner = await live.organization()
    project = await live.project(owner)
    item, _ = await scenes.scene(owner, project)
    body = {"operation": "value_range", "params": {"item_id": item["id"], "band": "nir"}}
    answer = await live.ok("analytics.execute", body, as_=owner)
    with rasterio.open(ROOT / "tests/data/rasters/s2-flanders_2021-06_10m.tif") as file:
        nir = file.read(4) * np.float32(file.scales[3])
    assert answer["operation"] == "value_range"
    assert answer["range"] == pytest.approx(float(nir.max() - nir.min()), rel=1e-5)
    listed = await live.ok("analytics.operations.list", {}, as_=owner)
    assert "value_range" in {m["name"] for m in listed["operations"]}
    refused = await live.refused(
        422, "analytics.execute", {"operation": "value_range", "params": {}}, as_=owner
    )
    assert "item_id" in refused["expected_schema"]["properties"]
    many = {"operation": "value_range", "params": {"item_ids": [item["id"]], "band": "nir"}}
    results = (await live.ok("analytics.execute", many, as_=owner))["results"]
    assert results[0]["range"] == answer["range"]
    environment = {
        **os.environ, "OPSTAC_URL": str(live.client.base_url), "OPSTAC_TOKEN": owner.token,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
    }  # fmt: skip
    words = ["op", "analytics", "execute", "--operation", "value_range"]
    words += ["--params", json.dumps(body["params"])]
    called = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-P", "-m", "opstac", *words],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout)["range"] == answer["range"]


def test_a_package_that_cannot_be_imported_stops_nothing(tmp_path, monkeypatch, caplog):
    site = tmp_path / "site"
    info = site / "broken-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "broken_method.py").write_text("raise RuntimeError('broken')\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        textwrap.dedent("""\
        [opstac.methods]
        broken = broken_method
        """)
    )
    known = set(methods.discover())
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(methods, "_seen", set())
    importlib.invalidate_caches()
    assert set(methods.discover()) == known
    assert "left out" in caplog.text
