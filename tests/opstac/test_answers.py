"""How answers are shown, and that nothing a user or a server does ends in a traceback."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opstac.shell import tables

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def service() -> str:
    return "gateway"


PAGE = {
    "projects": [
        {"id": "prj_1", "name": "Harbour", "tags": ["a"], "created_at": "2026-01-01"},
        {"id": "prj_2", "name": "西湖 \x1b[2J\u202e", "tags": [], "created_at": None},
    ],
    "count": 2,
    "total": 7,
}


def test_a_list_is_a_table():
    assert tables.render(PAGE, 80) == (
        "id     name        created_at\n"
        "prj_1  Harbour     2026-01-01\n"
        "prj_2  西湖 ?[2J?  -\n"
        "(1 more fields; --json has them)\n"
        "count 2, total 7"
    )
    assert tables.render({"items": [], "count": 0}, 80) == "no items\ncount 0"
    assert tables.render({"project": {"id": "p", "open": True}}, 80) == "id    p\nopen  yes"
    assert tables.render([], 80) is None and tables.render({}, 80) is None
    feature = {"type": "Feature", "id": "i", "properties": {"cloud": 3}}
    assert "cloud" in str(tables.render({"features": [feature], "links": [{}]}, 80))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=60)
@given(st.dictionaries(st.text(), json_values), st.integers(min_value=1, max_value=200))
def test_any_answer_fits_the_terminal_and_cannot_steer_it(answer, width):
    for line in (tables.render(answer, width) or "").split("\n"):
        assert tables.cells(line) <= width
        assert not any(tables.unicodedata.category(c) in tables.STEERING for c in line)


def on_terminal(env: dict[str, str], *words: str) -> tuple[int, str]:
    """Run the command with a terminal as its standard output: status and what it showed."""
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "opstac", *words],
        stdout=theirs, stderr=theirs, stdin=subprocess.DEVNULL, env=env, cwd=ROOT,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(mine, 65536):
            shown += piece
    except OSError:
        pass  # the other end is closed
    os.close(mine)
    return process.wait(60), shown.decode().replace("\r\n", "\n")


def environment(live, owner, tmp_path: Path, **more: str) -> dict[str, str]:
    url = str(live.client.base_url)
    mine = {"OPSTAC_URL": url, "OPSTAC_TOKEN": owner.token, "XDG_CONFIG_HOME": str(tmp_path)}
    return {**os.environ, **mine, "COLUMNS": "100", **more}


async def test_a_terminal_gets_tables_and_no_bytes(live, tmp_path: Path):
    owner = await live.organization()
    project = await live.project(owner, "Hä\u202efen")
    env = environment(live, owner, tmp_path)
    status, shown = await asyncio.to_thread(on_terminal, env, "projects", "list")
    assert status == 0 and f"{project}  Hä?fen" in shown and shown.startswith("id ")
    # a terminal that has no such letters
    latin = {**env, "PYTHONIOENCODING": "ascii"}
    status, shown = await asyncio.to_thread(on_terminal, latin, "projects", "list")
    assert status == 0 and "H\\xe4?fen" in shown
    status, shown = await asyncio.to_thread(on_terminal, env, "projects", "list", "--json")
    assert json.loads(shown)["projects"][0]["name"] == "Hä\u202efen" and "\\u202e" in shown


async def test_pipes_get_json_and_lines(live, of_live, tmp_path: Path):
    owner = await live.organization()
    ids = [await live.project(owner, name) for name in ("a", "b", "c")]
    status, out, _ = await of_live("projects", "list", "--ndjson", "--limit", "2", as_=owner)
    assert status == 0 and len([json.loads(line) for line in out.splitlines()]) == 2
    status, out, _ = await of_live("projects", "list", "--all", "--limit", "2", as_=owner)
    assert status == 0 and sorted(json.loads(line)["id"] for line in out.splitlines()) == ids
    status, out, _ = await of_live("projects", "list", "--table", as_=owner)
    assert status == 0 and out.startswith("id ") and ids[0] in out
    assert (await of_live("projects", "list", "--table", "--json", as_=owner))[0] == 2
    kept = tmp_path / "kept.json"
    kept.write_text("before")
    status, out, _ = await of_live("projects", "get", "--project-id", "no", "--output", str(kept),
                                   as_=owner)  # fmt: skip
    assert (status, out, kept.read_text()) == (2, "", "before")


async def test_a_file_is_written_as_it_comes(shell, tmp_path: Path):
    """64 MiB through the command, which never holds more than some pieces of them."""
    mib = 1 << 20

    async def serve(reader, writer):
        asked = await reader.readuntil(b"\r\n\r\n")
        whole = b"broken" not in asked
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/tiff\r\nConnection: close\r\n"
                     b"Content-Length: %d\r\n\r\n" % (64 * mib))  # fmt: skip
        for _ in range(64 if whole else 1):
            writer.write(bytes(mib))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    target = tmp_path / "clip.tif"
    words = ["clip", "job", "download", "--job-id", "job_1", "--mosaic-type", "data"]
    async with server:
        tracemalloc.start()
        try:
            status, out, err = await shell(*words, "-o", str(target), "--server", url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert (status, out) == (0, "") and f"{target}: {64 * mib} bytes" in err
        assert target.stat().st_size == 64 * mib and peak < 24 * mib
        # one that breaks off leaves what was there
        small = tmp_path / "small.tif"
        small.write_text("before")
        broken = [*words, "--user-agent", "broken", "-o", str(small), "--server"]
        status, _, err = await shell(*broken, f"{url}/broken")
        assert status == 1 and "does not answer" in err and small.read_text() == "before"
        assert sorted(path.name for path in tmp_path.glob("*.tif*")) == ["clip.tif", "small.tif"]


async def test_a_closed_or_full_output_is_said(live, tmp_path: Path):
    owner = await live.organization()
    env = environment(live, owner, tmp_path)
    command = f"{sys.executable} -P -m opstac projects list"
    for end, status in ((">&-", 1), ("> /dev/full", 1), ("| true", 0)):
        done = await asyncio.to_thread(
            subprocess.run, ["bash", "-o", "pipefail", "-c", f"{command} {end}"],
            env=env, cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == status, (end, done.stderr)
        assert "Traceback" not in done.stderr and "Exception" not in done.stderr


HOSTILE = [
    ["projects", "create", "--name", "\udcff"],
    ["projects", "create", "--name", "a\x00b"],
    ["projects", "create", "--body", '{"name": "\\ud800"}'],
    ["projects", "create", "--body", '{"name": NaN}'],
    ["projects", "create", "--body", "[" * 100_000],
    ["projects", "create", "--body", "9" * 10_000],
    ["projects", "create", "--body", "@\x00"],
    ["projects", "create", "--body", "@/"],
    ["projects", "create", "--body", "{"],
    ["projects", "list", "--limit", "9" * 5000],
    ["projects", "list", "--limit", "nan"],
    ["projects", "list", "--limit", "-1"],
    ["projects", "list", "--idempotency-key", "a\nb: c"],
    ["projects", "list", "--idempotency-key", "\udcff"],
    ["projects", "list", "--output", "\x00"],
    ["projects", "list", "--output", "/nowhere/at/all"],
    ["projects", "list", "--server", "\udcff"],
    ["projects", "list", "--server", "http://[::1"],
    ["projects", "list", "--server", "file:///etc/passwd"],
    ["items", "search", "--bbox", "[1, 2", "--project-id", "p"],
    ["items", "search", "--query", "x", "--project-id", "p"],
    ["items\x00", "get"],
    ["\udcff"],
    ["projects", "\udcff"],
    ["op", "\x00.\udcff"],
    ["op", ".."],
    ["op", "../../livez"],
    ["watch", "\udcff"],
    ["watch", "x" * 100_000],
    ["watch", "job_1", "--timeout", "-1"],
    ["upload", "\x00"],
    ["upload", "/"],
    ["upload", __file__, "--property", "no"],
    ["login", "--server", "x"],
]


async def test_no_mistake_of_a_user_is_a_traceback(live, of_live, monkeypatch):
    owner = await live.organization()
    for words in HOSTILE:
        status, out, err = await of_live(*words, as_=owner)
        assert status in (1, 2), (words[:4], status, err[-400:])
        assert out == "" and err and "Traceback" not in err, (words[:4], err[-400:])


ANSWERS = {
    "a page": (b"text/html", b"<!doctype html><title>Hello</title>", 1),
    "no JSON": (b"application/json", b"{", 1),
    "another shape": (b"application/json", b"[1]", 0),
    "half a letter": (b"application/json", b'"\xff"', 1),
    "nothing": (b"application/json", b"", None),
    "deep": (b"application/json", b"[" * 100_000, 1),
}


async def test_no_answer_of_a_server_is_a_traceback(shell, monkeypatch):
    said: list[bytes] = []

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said[0])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    monkeypatch.setenv(
        "OPSTAC_URL", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    )  # fmt: skip
    monkeypatch.setattr("opstac.shell.server.RETRIES", 0)
    async with server:
        for name, (kind, body, wanted) in ANSWERS.items():
            for code in (b"200 OK", b"404 Not Found", b"502 Bad Gateway"):
                head = b"HTTP/1.1 " + code + b"\r\nContent-Type: " + kind
                head += b"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
                said[:] = [head + body]
                for words in (["projects", "list"], ["whoami"], ["watch", "j"]):
                    status, _, err = await shell(*words)
                    assert status in (0, 1, 2), (name, code, words, err[-300:])
                    assert "Traceback" not in err
                    if words[0] == "projects" and code[:3] == b"200" and wanted is not None:
                        assert status == wanted, (name, err[-300:])
        said[:] = [b"nothing of HTTP\r\n\r\n"]
        status, _, err = await shell("projects", "list")
        assert status == 1 and "does not answer" in err
        said[:] = [b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"]
        assert (await shell("projects", "list"))[0] == 75


STEER = "\x1b]0;gone\x07\x1b[2J\x1b[31m\x9b1m\u202e"
SAID = {
    "type": STEER,
    "title": STEER,
    "detail": STEER,
    "error": STEER,
    "error_description": STEER,
    "status": "x" + STEER,
    "job": {"status": STEER, "stage": STEER, "progress": STEER},
    "upload": {"status": STEER},
    "projects": [{"id": STEER, "name": STEER}],
    "links": [{"rel": STEER, "href": STEER}],
    "sub": STEER,
    "name": STEER,
    "user_code": STEER,
    "device_code": "x",
    "verification_uri": STEER,
    "interval": 1e999,
    "paths": {
        f"/v1/op/evil.{name}": {"post": {"summary": STEER, "description": f"a\n{STEER}"}}
        for name in ("thing", STEER)
    },
}


async def test_nothing_that_a_server_says_steers_the_terminal(shell, monkeypatch, tmp_path: Path):
    source = tmp_path / "items.ndjson"
    source.write_text('{"type": "Feature", "id": "a"}\n')
    raster = tmp_path / "a.tif"
    raster.write_bytes(b"II*\0")
    code = b""
    body = json.dumps(SAID).replace("Infinity", "1e999").encode()

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 " + code + b"\r\nContent-Type: application/json\r\nConnection: close"
        writer.write(head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    monkeypatch.setenv("OPSTAC_URL", url)
    monkeypatch.setenv("OPSTAC_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("opstac.shell.server.RETRIES", 0)
    monkeypatch.setattr("opstac.ingest.catalogue.ATTEMPTS", 1)
    monkeypatch.setattr("opstac.ingest.target.FIRST_ANSWER_SECONDS", 0.1)
    token = SimpleNamespace(token="gpra_x")
    commands = (
        ["projects", "get", "--project-id", "x"],
        ["projects", "list", "--table"],
        ["watch", "job_x", "--timeout", "0.1"],
        ["upload", str(raster), "--timeout", "0.1"],
        ["ingest", str(source)],
        ["ingest", f"{url}/stac"],
        ["mcp"],
        ["whoami"],
        ["evil", "thing", "--help"],
        ["op", "evil.things"],
    )
    async with server:
        for code in (b"200 OK", b"403 Forbidden", b"404 Not Found", b"422 Wrong", b"500 Bad"):
            for words in commands:
                status, out, err = await shell(*words, as_=token)
                assert isinstance(status, int)
                assert "Traceback" not in err
                for control in "\x1b\x07\x9b\u202e":
                    shown = err if control in "\x9b\u202e" else out + err
                    assert control not in shown, (code, words, out[-300:], err[-300:])
        monkeypatch.setattr("opstac.shell.sign_in.LONGEST_SECONDS", 0)
        for code in (b"200 OK", b"403 Forbidden"):  # noqa: B007
            _, out, err = await shell("login", "--no-browser")
            assert "\x1b" not in out + err and "Traceback" not in err
