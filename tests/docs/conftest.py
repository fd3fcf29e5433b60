"""Blocks of code taken out of a page, and a shell to run them in."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from db.disposable import migrated_cluster
from opstac import journey
from opstac.client import Geopera
from opstac.server import worker_environment

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(<!-- not run: [^>]+-->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 180


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    runs: bool


def blocks_of(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    for match in BLOCK.finditer(page.read_text()):
        yield Block(match[2], match[3], match[1] is None)


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    """A cluster of this folder's own: a page shows that verifying finds nothing."""
    with migrated_cluster() as cluster:
        yield cluster.dsn()


@pytest.fixture
def blocks() -> Any:
    """The function from a page to its blocks."""
    return blocks_of


def script(page: Path) -> str:
    """The shell and Python blocks of a page as one shell script."""
    parts = []
    for block in blocks_of(page):
        if block.runs and block.language == "sh":
            parts.append(block.text)
        elif block.runs and block.language == "python":
            parts.append(f"python3 - <<'END_OF_BLOCK'\n{block.text}END_OF_BLOCK\n")
    return "\n".join(parts)


class Reader:
    """Somebody who types a page's examples, beside a running demo."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = env

    async def types_page(self, page: Path) -> tuple[int, str]:
        """Run the examples of a page."""
        return await self.types(script(page))

    async def types(self, text: str) -> tuple[int, str]:
        """Run a script; its status and all it said."""
        process = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", text,
            cwd=self.folder, env=self.env,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            said, _ = await asyncio.wait_for(process.communicate(), SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode is not None
        return process.returncode, said.decode(errors="replace")


def make_folder(folder: Path) -> None:
    """A stand-in for the checkout: nothing is written there, and `./opstac` installs nothing."""
    (folder / "bin").mkdir(parents=True)
    (folder / "src").symlink_to(ROOT / "src")
    commands = {
        folder / "opstac": f'exec {sys.executable} -P -m opstac "$@"',
        folder / "bin/python3": f'exec {sys.executable} "$@"',
    }
    if shutil.which("curl") is None:
        commands[folder / "bin/curl"] = f'exec {sys.executable} {ROOT}/tests/docs/curl.py "$@"'
    for path, line in commands.items():
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o755)


@pytest.fixture
async def reader(live: Any, tmp_path: Path, forker: Any) -> Any:
    """A reader of the documents; the platform is as after the demo, with a worker."""
    live.sql("delete from queue.procrastinate_jobs")
    url = str(live.client.base_url)
    owner = await live.organization()
    key = await live.key(
        owner, "*:read", "projects:*", "items:*", "collections:*", "uploads:*", "processing:*",
        "clip:*", "band_formulas:*", "alerts:*",
    )  # fmt: skip
    project = await live.project(owner, "Demo")

    def bring_in() -> None:
        with Geopera(key.token, url) as client:
            journey.upload(
                client, project, journey.PHOTOGRAPH, name="Demo", datetime="2019-09-04T17:00:00Z"
            )

    await asyncio.to_thread(bring_in)
    settings = live.platform.settings
    folder = tmp_path / "reader"
    make_folder(folder)
    env = {
        **os.environ,
        **worker_environment(settings, settings.home),
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
        "OPSTAC_URL": url,
        "OPSTAC_TOKEN": key.token,
        "OPSTAC_PUBLIC_URL": url,
        "OPSTAC_PARENT_PID": str(os.getpid()),
    }
    worker = forker.start(["-m", "opstac", "worker"], env)
    yield Reader(folder, env)
    worker.kill()
    await worker.wait()
