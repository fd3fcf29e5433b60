"""Worker processes without the seconds that each start of one takes to import the platform.

A process of this file is started once a test process. It imports what a worker imports and runs
nothing. Each worker is a fork of it, with the environment and the words of a command line of its
own: from there on it is `opstac worker`, a process with its own id, signals and end.

    worker = workers.start(["-m", "opstac", "worker"], environment)

What a worker forks its own children of (`raster.nursery`) is a fork too, made before the worker has
threads.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parents[1]


class Forked:
    """A process that was forked; what `subprocess.Popen` and asyncio's have of the same names."""

    def __init__(self, pid: int, end: socket.socket) -> None:
        """`end` gets the status when the process has ended."""
        self.pid = pid
        self._end = end
        self._status: int | None = None

    @property
    def returncode(self) -> int | None:
        """How it ended, the negative number of a signal that killed it; None while it runs."""
        return self._look(0)

    def poll(self) -> int | None:
        """The same."""
        return self._look(0)

    def _look(self, seconds: float | None) -> int | None:
        if self._status is None and select.select([self._end], [], [], seconds)[0]:
            said = self._end.recv(64)
            # without a word: the process that forks was killed, and its children with it
            self._status = int(said) if said else -signal.SIGKILL
            self._end.close()
        return self._status

    def wait_for(self, seconds: float | None = None) -> int:
        """Wait in this thread."""
        status = self._look(seconds)
        if status is None:
            raise subprocess.TimeoutExpired("worker", seconds or 0)
        return status

    async def wait(self) -> int:
        """Wait for its end."""
        while (status := self._look(0)) is None:
            await asyncio.sleep(0.02)
        return status

    def send_signal(self, number: int) -> None:
        """As of `subprocess`: nothing where it has ended."""
        if self._look(0) is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class Forker:
    """The process that forks, started at the first use."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(
        self, words: Sequence[str], env: Mapping[str, str], log: Path | None = None
    ) -> Forked:
        """Run `python {words}`, a module by `-m` or a script, with this environment and no other.

        Args:
            log: takes what it writes; else nothing does.
        """
        if self._control is None:
            self._begin()
        assert self._control is not None and self._process is not None
        near, far = socket.socketpair()
        with far:
            socket.send_fds(self._control, [b"."], [far.fileno()])
        # the parent of the process is the one that forks it, which ends with this one
        given = {**env, "OPSTAC_PARENT_PID": str(self._process.pid)}
        if "OPSTAC_PARENT_PID" not in env:
            del given["OPSTAC_PARENT_PID"]
        request = {"words": list(words), "env": given, "log": str(log or os.devnull)}
        near.sendall(json.dumps(request).encode() + b"\n")
        pid = int(near.recv(64))
        return Forked(pid, near)

    def _begin(self) -> None:
        self._control, far = socket.socketpair()
        with far:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__, str(far.fileno()), str(os.getpid())],
                pass_fds=[far.fileno()],
                stdin=subprocess.DEVNULL,
                env={
                    **os.environ,
                    "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}",
                    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # no thread before a fork
                },
            )

    def close(self) -> None:
        """End it."""
        if self._control is not None and self._process is not None:
            self._control.close()
            self._process.wait(30)


# ---------------------------------------------------------------- the process that forks


def main(control_fd: int, parent: int) -> None:
    """Fork a process for each socket that arrives, and tell by it how the process ended."""
    from ops_gateway.worker.worker import die_with_parent

    os.environ["OPSTAC_PARENT_PID"] = str(parent)
    die_with_parent()
    from raster.nursery import _PRELOADED

    begun = ("opstac.work", "opstac.commands.worker", *_PRELOADED, *_modules("processes.jobs"))
    for name in begun:
        importlib.import_module(name)
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads cannot be forked"
    wakes, awake = os.pipe()
    os.set_blocking(awake, False)
    signal.set_wakeup_fd(awake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=control_fd)
    ends: dict[int, socket.socket] = {}
    while True:
        ready = select.select([control, wakes], [], [])[0]
        if wakes in ready:
            os.read(wakes, 4096)
            _tell(ends)
        if control in ready:
            data, fds, _, _ = socket.recv_fds(control, 1, 1)
            if not data:
                return
            end = socket.socket(fileno=fds[0])
            request = json.loads(_line(end))
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                for thing in (control, end, *ends.values()):
                    thing.close()
                os.close(wakes)
                os.close(awake)
                _become(request)
            ends[pid] = end
            end.sendall(str(pid).encode())


def _modules(package: str) -> list[str]:
    path = importlib.import_module(package).__path__
    return [f"{package}.{found.name}" for found in pkgutil.iter_modules(path)]


def _line(end: socket.socket) -> bytes:
    said = b""
    while not said.endswith(b"\n"):
        said += end.recv(1 << 16)
    return said


def _tell(ends: dict[int, socket.socket]) -> None:
    """Say of each process that has ended how."""
    while ends:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        with ends.pop(pid) as end, suppress(OSError):  # nobody asks any more
            end.sendall(str(os.waitstatus_to_exitcode(status)).encode())


def _become(request: dict[str, Any]) -> NoReturn:
    """Run the words as a fresh interpreter would, and end."""
    status = 70
    try:
        os.environ.clear()
        os.environ.update(request["env"])
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        first, *rest = request["words"]
        paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:0] = [path for path in paths if path and path not in sys.path]
        importlib.invalidate_caches()
        _have_a_nursery()
        if first == "-m":
            sys.argv = rest
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = [first, *rest]
            runpy.run_path(first, run_name="__main__")
        status = 0
    except SystemExit as leaving:
        code = leaving.code
        status = code if isinstance(code, int) else int(code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


# ---------------------------------------------------------------- a worker's nursery


class _Fork(subprocess.Popen[bytes]):
    """A child that this process has forked, as `subprocess` has those that it started."""

    def __init__(self, pid: int) -> None:
        self.args, self.pid, self.returncode = [], pid, None
        self.stdin = self.stdout = self.stderr = None
        self._child_created, self._waitpid_lock = True, threading.Lock()


def _have_a_nursery() -> None:
    """Let the first nursery of this process be a fork of it as it is now."""
    from raster import child

    near, far = socket.socketpair()
    environment = child.environment()
    pid = os.fork()
    if pid == 0:
        near.close()
        _be_a_nursery(far, environment)
    far.close()
    made, start = _Fork(pid), child._Nursery._start

    def first(self: Any) -> socket.socket:
        child._Nursery._start = start
        self._process, self._owner = made, os.getpid()
        return near

    child._Nursery._start = first


def _be_a_nursery(control: socket.socket, environment: Mapping[str, str]) -> NoReturn:
    """As `python -m raster.nursery` with this environment would be."""
    from raster import nursery

    try:
        os.setsid()
        os.environ.clear()
        os.environ.update(environment)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        nursery.main(control.fileno())
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
