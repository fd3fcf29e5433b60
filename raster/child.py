"""Run a raster function in a bounded child process: what a hostile file does stays there.

A small process (the nursery) is started once, imports what raster work needs, and forks a child a
call, in milliseconds where a fresh interpreter takes most of a second. Each child has its own
socket to the caller and a minder beside it: when the caller closes the socket, dies or the time is
up, the minder kills the child. The nursery's environment holds no secret of ours, only what is
named here or passed with a call.

    info = await run_child("raster.inspect:inspect", {"path": path}, seconds=60)
"""

import asyncio
import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

Progress = Callable[[float, str], None]
Log = Callable[[str], None]

_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "HOME", "GDAL_DATA", "PROJ_DATA", "PROJ_LIB")
_MAX_LINE = 64 * 1024**2
_MESSAGES = {
    "out_of_memory": "the work needed more memory than it may use",
    "timeout": "the work took longer than it may",
    "crashed": "the work ended unexpectedly; the file may be damaged",
    "cancelled": "the work was cancelled",
    "unavailable": "the process that computes was lost",
}


class ChildFailed(Exception):
    """The child gave no result.

    `code` is `out_of_memory`, `timeout`, `crashed`, `internal` (a mistake of ours), `unavailable`
    (no child could be had, or it was lost: not the work's fault), `disk_full`, or the `code` of the
    exception that the function raised, such as `truncated`; `message` is for people.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


async def run_child(
    target: str,
    arguments: Mapping[str, Any],
    *,
    memory_bytes: int = 2 * 1024**3,
    seconds: float = 60,
    on_progress: Progress | None = None,
    on_log: Log | None = None,
    env: Mapping[str, str] | None = None,
) -> Any:
    """Call `package.module:function` with JSON arguments in a child and return its JSON result.

    A function with a parameter `progress` gets one to call with a fraction and a word. Cancelling
    the awaiting task kills the child.

    Args:
        memory_bytes: address space the child may take beyond what it starts with.
        seconds: wall time, and processor time on each of two cores.
        on_log: given the last 16 KiB of what the child printed or logged, when it has ended.
        env: added to the child's environment, e.g. read-only storage keys.

    Raises: ChildFailed.
    """
    near = await asyncio.to_thread(_ask, target, arguments, memory_bytes, seconds, env)
    near.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=near, limit=_MAX_LINE)
    end = _End()
    try:
        async for line in reader:
            end.take(line, on_progress)
    except (ConnectionError, ValueError) as error:
        raise ChildFailed("unavailable", f"the child's answer cannot be read: {error}") from None
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    if end.log and on_log is not None:
        on_log(end.log)
    return end.result()


def run(
    target: str,
    arguments: Mapping[str, Any],
    *,
    memory_bytes: int = 2 * 1024**3,
    seconds: float = 60,
    on_progress: Progress | None = None,
    env: Mapping[str, str] | None = None,
) -> Any:
    """As `run_child`, for callers without an event loop."""
    end = _End()
    with (
        _ask(target, arguments, memory_bytes, seconds, env) as near,
        near.makefile("rb") as lines,
    ):
        for line in lines:
            end.take(line, on_progress)
    return end.result()


def shut_down() -> None:
    """End the nursery; children that run are not disturbed. The next call starts another."""
    _NURSERY.close()


def warm_up() -> None:
    """Start the nursery ahead of the first call."""
    _NURSERY.process()


def environment() -> dict[str, str]:
    """That of a nursery: without a secret of ours."""
    import raster.env

    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    # the block cache is part of a child's memory bound
    sizes = raster.env.DEFAULTS | raster.env.GUARDS | {"GDAL_CACHEMAX": "128"}
    sizes |= {"MALLOC_ARENA_MAX": "2", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return kept | sizes


class _End:
    """Collects what comes from one child until it is over."""

    def __init__(self) -> None:
        self._answer: dict[str, Any] | None = None
        self._status: dict[str, Any] | None = None
        self._unwritten: str | None = None
        self.log = ""

    def take(self, line: bytes, on_progress: Progress | None) -> None:
        message = json.loads(line)
        if "progress" in message:
            if on_progress is not None:
                on_progress(message["progress"], message["stage"])
        elif "result" in message or "code" in message:
            self._answer = message
        else:
            self.log = message.get("log", "")
            self._unwritten = message.get("unwritten")
            if "status" in message:
                self._status = message

    def result(self) -> Any:
        if self._unwritten is not None:
            # whatever the work made of it: a file of its lacks some bytes
            raise ChildFailed("disk_full", f"a file could not be written: {self._unwritten}")
        if self._answer is not None and "result" in self._answer:
            return self._answer["result"]
        if self._answer is not None:
            raise ChildFailed(self._answer["code"], self._answer["message"])
        # without a word of its minder, that was killed and took the child with it
        code = (self._status or {}).get("status", "unavailable")
        raise ChildFailed(code, _MESSAGES.get(code, _MESSAGES["crashed"]))


class _Nursery:
    """The parent's handle on the forking process; started on first use, again if it died."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._owner = 0

    def process(self) -> socket.socket:
        """The control socket of a running nursery."""
        with self._lock:
            alive = (
                self._process is not None
                and self._owner == os.getpid()
                and self._process.poll() is None
            )
            if not alive or self._control is None:
                if self._control is not None:
                    self._control.close()
                self._control = self._start()
            return self._control

    def close(self) -> None:
        """End the process, if this one started it."""
        with self._lock:
            if self._control is not None:
                self._control.close()
            if self._process is not None and self._owner == os.getpid():
                self._process.kill()
                self._process.wait()
            self._control = self._process = None

    def send(self, far: socket.socket) -> None:
        for attempt in (1, 2):
            control = self.process()
            try:
                with self._lock:
                    socket.send_fds(control, [b"."], [far.fileno()])
                return
            except OSError:
                # it died between the look and the call
                if attempt == 2:
                    raise ChildFailed("unavailable", "no child process can be started") from None
                self.close()

    def _start(self) -> socket.socket:
        near, far = socket.socketpair()
        with far:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "raster.nursery", str(far.fileno())],
                env=environment(),
                pass_fds=[far.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # Ctrl-C in a terminal goes to the caller, who decides
                start_new_session=True,
            )
        self._owner = os.getpid()
        return near


_NURSERY = _Nursery()
atexit.register(_NURSERY.close)


def _ask(
    target: str,
    arguments: Mapping[str, Any],
    memory_bytes: int,
    seconds: float,
    env: Mapping[str, str] | None,
) -> socket.socket:
    near, far = socket.socketpair()
    request = {
        "target": target,
        "arguments": dict(arguments),
        "memory_bytes": memory_bytes,
        "seconds": seconds,
        "env": dict(env or {}),
    }
    try:
        with far:
            _NURSERY.send(far)
        near.sendall(json.dumps(request).encode() + b"\n")
    except BaseException:
        near.close()
        raise
    return near
