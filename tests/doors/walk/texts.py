"""What the pages print of a call, carried out as it is printed.

Only what stands for the ids of the recorded call is replaced, by those of things that are there.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ops_gateway.kernel.operation import Operation
from ops_gateway.surfaces.mcp import tools
from opstac.cli import main
from opstac.reference import examples
from walk.case import Sent
from walk.clients import Node
from walk.doors import by_tool
from walk.normal import HOST, RECEIVER, Names
from walk.seen import Seen
from walk.world import World

ROOT = Path(__file__).resolve().parents[3]
STAND_IN = re.compile(r"\b[a-z]+(?:_secret)?_\d+\b")


def real(text: str, names: Names, world: World) -> str:
    """The text with the ids of this run."""
    back = {stand_in: found for found, stand_in in names.known.items()}
    text = STAND_IN.sub(lambda found: back.get(found[0], found[0]), text)
    hook = world.hook("").rstrip("/") if RECEIVER in text else ""
    return text.replace(HOST, world.url).replace(RECEIVER, hook)


def environment(world: World, sent: Sent) -> dict[str, str]:
    """Where the texts look for the server and the credential."""
    assert sent.by is not None
    return {"OPSTAC_URL": world.url, "OPSTAC_TOKEN": sent.by.token}


@contextlib.contextmanager
def at(folder: Path, env: Mapping[str, str]) -> Iterator[None]:
    """The process in a folder, with variables."""
    before, here = dict(os.environ), Path.cwd()
    os.environ.update(env)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)


def folder(world: World) -> Path:
    """An empty folder to type in."""
    made = world.settings.home / "typed"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    return made


def answered(op: Operation, written: Path, printed: bytes) -> Any:
    """What a line for a shell gave: a file, or JSON, or a text."""
    if examples.is_file(op):
        return written.read_bytes()
    return json.loads(printed)


def curl(world: World, op: Operation, sent: Sent, text: str) -> Any:
    """By a shell."""
    place = folder(world)
    env = {**os.environ, **environment(world, sent)}
    if shutil.which("curl") is None:
        shim = place / "curl"
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} {ROOT}/tests/docs/curl.py "$@"\n')
        shim.chmod(0o755)
        env["PATH"] = f"{place}:{env['PATH']}"
    done = subprocess.run(["bash", "-c", text], cwd=place, env=env, capture_output=True)
    assert done.returncode == 0, done.stderr
    return answered(op, place / "answer", done.stdout)


def python(world: World, op: Operation, sent: Sent, text: str) -> Any:
    """In this process."""
    names: dict[str, Any] = {}
    with at(folder(world), environment(world, sent)):
        exec(compile(text, f"{op.id}.py", "exec"), names)  # noqa: S102
    return names["answer"]


def typescript(world: World, op: Operation, sent: Sent, text: str) -> Any:
    """In the node process; of bytes it prints how many there are."""
    node = world.of("node", lambda: world.closes(Node(world.url)))
    place = world.of("modules", lambda: node.folder(world.settings.home / "modules"))
    module = place / f"{op.id}.mjs"
    env = environment(world, sent)
    set_up = "".join(f"process.env.{name} = {json.dumps(v)};\n" for name, v in env.items())
    module.write_text(set_up + text + "\n")
    told = node.ask({"module": str(module)})
    assert "printed" in told, told
    return json.loads(told["printed"])


def cli(world: World, op: Operation, sent: Sent, text: str) -> Any:
    """By the command's own function."""
    program, *words = shlex.split(text)
    assert program == "opstac"
    status, printed, said = command(world, sent, words)
    assert status == 0, said
    return answered(op, world.settings.home / "typed" / "answer", printed)


def command(world: World, sent: Sent, words: list[str]) -> tuple[int, bytes, str]:
    """(status, output, errors) of a line."""
    printed, said = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with (
        at(folder(world), environment(world, sent)),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(said),
    ):
        status = main(words)
    printed.flush()
    return status, printed.buffer.getvalue(), said.getvalue()  # type: ignore[attr-defined]


def refused_otherwise(world: World, op: Operation, sent: Sent, problem: Any) -> str | None:
    """What the command line says where that is not the problem in words."""
    words = ["op", op.id, "--body", json.dumps(sent.body)]
    status, printed, said = command(world, sent, words)
    detail = problem["detail"]
    wanted = [f"[{problem['status']}]"]
    wanted += [fault["msg"] for fault in detail] if isinstance(detail, list) else [detail]
    if status == 2 and not printed and all(want in said for want in wanted):
        return None
    return f"status {status}, {said!r} and {printed[:200]!r} instead of {wanted}"


def mcp(world: World, op: Operation, sent: Sent, text: str) -> Any:
    """By the endpoint of the tools."""
    given = json.loads(text)
    assert given["name"] == tools.tool_name(op)
    found = by_tool(world, op, Sent(given["arguments"], sent.by))
    assert found.status == op.status, found
    return found.content


Run = Callable[[World, Operation, Sent, str], Any]
# how a page writes a call, and how that is carried out
TEXTS: dict[str, tuple[Callable[[Operation, Any], str], Run]] = {
    "curl": (examples.curl, curl),
    "Python": (examples.python, python),
    "TypeScript": (examples.typescript, typescript),
    "command line": (examples.cli, cli),
    "MCP": (examples.mcp, mcp),
}


def carry_out(world: World, op: Operation, sent: Sent, names: Names, kind: str) -> Seen:
    """The answer to a text of the page, made of the body with stand-ins."""
    write, run = TEXTS[kind]
    text = real(write(op, names.of(sent.body)), names, world)
    return Seen(None, run(world, op, sent, text))
