"""Small questions to the machine: processes, ports, the locale; and what a server's words mean."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether process `pid` runs; a zombie does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return not Path("/proc/self").exists()
    return state != "Z"


def free_port() -> int:
    """A port of the loopback address that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` of the loopback address."""
    with socket.socket() as probe:
        # as the server does: connections that linger after a stop are no hindrance
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def locale() -> str:
    """Orders text by code point everywhere; C alone would not know letters beyond ASCII."""
    return "C.UTF-8" if os.uname().sysname == "Linux" else "C"


def last_lines(text: str) -> str:
    """The last lines of what a server said, on one line; or the one thing that matters in it."""
    if "No space left on device" in text:
        return "there is no room left on the disk"
    return " / ".join(line.strip() for line in text.strip().splitlines()[-4:])
