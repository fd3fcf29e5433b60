"""The demo as a person meets it: interrupted, started twice, its port taken, run again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

Demo = Callable[[int], "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A folder of the platform's own that its service account can pass through."""
    folder = Path(tempfile.mkdtemp(prefix="opstac-demo-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def demo(home: Path) -> Demo:
    environ = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "OPSTAC_TESTING")}

    def start(port: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "opstac", "demo", "--once", "--port", str(port)]
        return subprocess.Popen(
            command,
            env={**environ, "OPSTAC_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that Ctrl-C reaches all of it, as from a terminal
            # a suite in the background of a shell has Ctrl-C ignored, and so its children
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    return start


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def left_running(home: Path) -> str:
    """Command lines of what still runs on this home: the server, its worker, the database."""
    lines: list[str] = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(home) in line:
                lines.append(line)
    return "\n".join(lines)


def test_a_taken_port_is_said_and_nothing_stays(demo: Demo, home: Path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        run = demo(port)
        said, _ = run.communicate(timeout=180)
    assert run.returncode == 1
    assert f"127.0.0.1:{port}" in said.splitlines()[-1]
    assert "--port" in said.splitlines()[-1]
    assert "Traceback" not in said
    assert left_running(home) == ""


def test_interrupted_anywhere_it_ends_in_order_and_then_goes_on(demo: Demo, home: Path):
    port, at = free_port(), ("[ 1]", "[ 2]", "upload of", "clip by the worker")
    interrupted = 0
    for step in at:
        with demo(port) as run:
            assert run.stdout is not None
            for line in run.stdout:
                if step in line:
                    os.killpg(run.pid, signal.SIGINT)
                    break
            said = run.stdout.read()
        # a run that had passed the step, or was at its end, has done it all
        assert run.returncode in (130, 0), said
        interrupted += run.returncode == 130
        assert "Traceback" not in said
        assert left_running(home) == ""
    assert interrupted >= 2
    with demo(port) as run:
        said, _ = run.communicate(timeout=180)
    assert run.returncode == 0, said
    assert "Charged" in said
    assert "derived from item" in said
    notes = json.loads((home / "demo.json").read_text())
    with demo(port) as again:
        said, _ = again.communicate(timeout=180)
    assert again.returncode == 0
    assert json.loads((home / "demo.json").read_text()) == notes
    assert "upload of" not in said


def test_a_second_demo_is_refused_while_one_runs(demo: Demo, home: Path):
    with demo(free_port()) as first:
        assert first.stdout is not None
        assert "[ 1]" in first.stdout.readline()
        os.killpg(first.pid, signal.SIGSTOP)
        try:
            second = demo(free_port())
            said, _ = second.communicate(timeout=60)
        finally:
            os.killpg(first.pid, signal.SIGCONT)
        first.communicate(timeout=180)
    assert second.returncode == 1, said
    assert "opstac demo" in said
    assert "Traceback" not in said
    assert first.returncode == 0
