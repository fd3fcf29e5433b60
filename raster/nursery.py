"""The process that forks bounded children; started by `raster.child`, never imported by a server.

    nursery ── fork ── minder ── fork ── child
                          └ holds the socket: caller gone or time up → SIGKILL

It stays single-threaded and opens no file, so that forking is safe.
"""

import contextlib
import ctypes
import errno
import importlib
import inspect
import json
import logging
import os
import re
import resource
import select
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

_NICE = 10
_LOG_BYTES = 16 << 10  # the last that a child wrote
# what is still in a buffer is written by the next seek; that of a reader fails for other reasons
_UNWRITTEN = re.compile(
    rb"_tiff(?:Write|Seek(?=Proc: (?:No space|Disk quota|File too large|Input/output)))Proc: "
    rb"([^\r\n]{1,200}?)\.?[\r\n]"
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNCLOSED = "error closing file"  # all that Arrow says where the last bytes of a file are refused
_PR_SET_PDEATHSIG = 1
_PRELOADED = (
    "raster.cog",
    "raster.inspect",
    "raster.formula",
    "rio_cogeo.cogeo",
    "processes.engine",
    "processes.analysis.engine",
)


def main(control_fd: int) -> None:
    """Fork a minder for each socket that arrives, until the caller closes the control socket."""
    for name in _PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # minders are not waited for
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=control_fd)
    while True:
        data, fds, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        for fd in fds:
            if os.fork() == 0:
                control.close()
                status = 1
                try:
                    status = _mind(socket.socket(fileno=fd))
                finally:
                    os._exit(status)
            os.close(fd)


def _mind(caller: socket.socket) -> int:
    """Run one child and say how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request = _request(caller)
    if request is None:
        return 1
    complaints, written = os.pipe()
    deadline = time.monotonic() + request["seconds"]
    pid = os.fork()
    if pid == 0:
        os.close(complaints)
        status = 1
        try:
            _be_child(caller, request, written)
            status = 0
        finally:
            os._exit(status)
    os.close(written)
    heard = _Heard()
    late = _watch(pid, caller, complaints, deadline, heard)
    _, status = os.waitpid(pid, 0)
    _rest(complaints, heard)
    said: dict[str, str] = {}
    if heard.tail:
        said["log"] = heard.tail.decode(errors="replace")
    if status != 0:
        said["status"] = _reason(status, late, heard.tail)
    if heard.unwritten is not None:
        said["unwritten"] = heard.unwritten
    if said:
        with contextlib.suppress(OSError):
            caller.sendall(json.dumps(said).encode() + b"\n")
    return 0


class _Heard:
    """What a child has printed.

    Attributes:
        tail: the end of it.
        unwritten: why libtiff could not write some bytes. It says so here and nowhere else: neither
            GDAL nor rasterio fails for it, and the file may look whole.
    """

    def __init__(self) -> None:
        self.tail = b""
        self.unwritten: str | None = None

    def add(self, piece: bytes) -> None:
        """Hear more."""
        said = self.tail + piece
        if found := _UNWRITTEN.search(said, max(0, len(self.tail) - 300)):
            self.unwritten = found[1].decode(errors="replace")
        self.tail = said[-_LOG_BYTES:]


def _rest(complaints: int, heard: _Heard) -> None:
    """What is left in the pipe of a child that ended; nobody else who has it open is waited for."""
    os.set_blocking(complaints, False)
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(complaints, _LOG_BYTES):
            heard.add(piece)


def _request(caller: socket.socket) -> dict[str, Any] | None:
    """The caller's one line; bytes are read singly past nothing, since no other line follows."""
    data = b""
    while not data.endswith(b"\n"):
        piece = caller.recv(65536)
        if not piece:
            return None
        data += piece
    return json.loads(data)


def _watch(
    pid: int, caller: socket.socket, complaints: int, deadline: float, heard: _Heard
) -> bool:
    """Wait for the child's end; kill it when time is up or the caller has gone.

    Returns: whether time was up.
    """
    child = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(child, select.POLLIN)
    poll.register(complaints, select.POLLIN)
    poll.register(caller, select.POLLRDHUP)
    late = False
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            late = True
            os.kill(pid, signal.SIGKILL)
            left = 5
        ready = dict(poll.poll(left * 1000))
        if complaints in ready:
            piece = os.read(complaints, _LOG_BYTES)
            heard.add(piece)
            if not piece:
                poll.unregister(complaints)
        if caller.fileno() in ready:
            os.kill(pid, signal.SIGKILL)
            poll.unregister(caller)
        if child in ready:
            return late


def _reason(status: int, late: bool, tail: bytes) -> str:
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if late or number == signal.SIGXCPU:
        return "timeout"
    if number == signal.SIGKILL or b"bad_alloc" in tail or b"emory" in tail:
        return "out_of_memory"
    return "crashed"


def _be_child(caller: socket.socket, request: dict[str, Any], stderr_fd: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # what it prints, in Python or in C, is its log
    os.dup2(stderr_fd, 1)
    os.dup2(stderr_fd, 2)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for name in ("processes", "raster"):
        logging.getLogger(name).setLevel(logging.INFO)
    os.environ.update(request["env"])
    os.nice(_NICE)
    _bound(request["memory_bytes"], request["seconds"])

    def say(message: dict[str, Any]) -> None:
        caller.sendall(json.dumps(message).encode() + b"\n")

    last = 0.0

    def progress(fraction: float, stage: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 0.1 or fraction >= 1:  # a caller may write each one to a database
            last = now
            say({"progress": round(min(max(fraction, 0.0), 1.0), 4), "stage": stage})

    try:
        function = _function(request["target"])
        arguments = request["arguments"]
        if "progress" in inspect.signature(function).parameters:
            arguments = arguments | {"progress": progress}
        answer: dict[str, Any] = {"result": function(**arguments)}
        line = json.dumps(answer, allow_nan=False)
    except MemoryError:
        line = json.dumps({"code": "out_of_memory", "message": "the work needs too much memory"})
    except Exception as error:
        failed = _failure(error)
        if failed["code"] == "internal":
            print(_trace(error), file=sys.stderr)
        line = json.dumps(failed)
    sys.stdout.flush()
    caller.sendall(line.encode() + b"\n")


def _failure(error: Exception) -> dict[str, str]:
    chain: BaseException | None = error
    while chain is not None:
        text = str(chain).lower()
        if isinstance(chain, MemoryError) or "out of memory" in text or "cannot allocate" in text:
            return {"code": "out_of_memory", "message": "the work needs too much memory"}
        chain = chain.__cause__ or chain.__context__
    if isinstance(error, OSError) and (error.errno in _FULL or _UNCLOSED in str(error)):
        return {"code": "disk_full", "message": "no space left on the disk"}
    code = getattr(error, "code", None)
    if isinstance(code, str):
        return {"code": code, "message": str(getattr(error, "message", error))}
    return {"code": "internal", "message": f"{type(error).__name__}: {error}"[:500]}


def _trace(error: Exception) -> str:
    """Where an error came from, by functions and lines: places of files are nobody's business."""
    frames = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        name = f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_name}"
        frames.append(f"  in {name}, line {line}")
    return "\n".join(["Traceback:", *frames[-20:], f"{type(error).__name__}: {error}"[:1000]])


def _function(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _bound(memory_bytes: int, seconds: float) -> None:
    with open("/proc/self/statm") as file:
        own = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    space = own + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    processor = max(1, int(seconds * 2) + 1)
    resource.setrlimit(resource.RLIMIT_CPU, (processor, processor + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(int(sys.argv[1]))
