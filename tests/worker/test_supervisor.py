"""The supervisor: a dead child is started anew, and none outlives its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from ops_gateway.worker.supervisor import Supervisor

ROOT = Path(__file__).parents[2]
CHILD = """
import asyncio, os, sys
from ops_gateway.worker import worker
async def main(stop):
    with open(sys.argv[1], "a") as log:
        log.write(f"{os.getpid()} {os.environ['OPSTAC_WORKER_NAME']} {os.nice(0)}\\n")
    await stop.wait()
    with open(sys.argv[1], "a") as log:
        log.write("stopped\\n")
worker.run(main)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


async def lines(log: Path, count: int) -> list[str]:
    for _ in range(1000):
        found = log.read_text().splitlines() if log.exists() else []
        if len(found) >= count:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{count} lines expected in {log}")


async def test_a_killed_child_is_started_anew_under_the_same_name(tmp_path) -> None:
    log = tmp_path / "log"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    async with Supervisor([sys.executable, "-c", CHILD, str(log)], env=env, name="w") as supervisor:
        (first,) = await lines(log, 1)
        os.kill(int(first.split()[0]), signal.SIGKILL)
        _, second = await lines(log, 2)
        assert supervisor.starts == 2
    assert log.read_text().splitlines()[2:] == ["stopped"]
    assert [line.split()[1] for line in (first, second)] == ["w", "w"]
    assert int(second.split()[2]) >= 10
    assert first.split()[0] != second.split()[0]
    assert not alive(int(second.split()[0]))


async def test_pauses_between_starts_grow(tmp_path) -> None:
    began = time.monotonic()
    async with Supervisor(["false"], first_pause_seconds=0.1) as supervisor:
        while supervisor.starts < 4:
            await asyncio.sleep(0.01)
    assert time.monotonic() - began >= 0.1 + 0.2 + 0.4


async def test_a_child_that_ignores_sigterm_is_killed(tmp_path) -> None:
    log = tmp_path / "log"
    stubborn = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "open(sys.argv[1], 'w').write('up\\n'); time.sleep(60)"
    )
    argv = [sys.executable, "-c", stubborn, str(log)]
    async with Supervisor(argv, stop_seconds=0.3) as supervisor:
        await lines(log, 1)
        began = time.monotonic()
    assert time.monotonic() - began < 20
    assert supervisor.child is not None
    assert supervisor.child.returncode == -signal.SIGKILL


async def test_the_child_ends_with_its_parent(tmp_path) -> None:
    log = tmp_path / "log"
    parent = f"""
import asyncio, sys
from ops_gateway.worker.supervisor import Supervisor
async def main():
    async with Supervisor([sys.executable, "-c", {CHILD!r}, {str(log)!r}]):
        await asyncio.sleep(60)
asyncio.run(main())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", parent], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        (line,) = await lines(log, 1)
    finally:
        process.kill()
        process.wait()
    assert (await lines(log, 2))[1] == "stopped"
    for _ in range(100):
        if not alive(int(line.split()[0])):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the child is still there")
