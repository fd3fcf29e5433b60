"""Lock files: one process at a time in one folder."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from db.binaries import EmbeddedError


class Busy(EmbeddedError):
    """Another process holds the folder."""


@contextmanager
def exclusive(path: Path, what: str, *, wait_seconds: float = 0) -> Generator[None]:
    """Hold the lock file `path`; the kernel frees it when this process ends, however it ends.

    Raises:
        Busy: another process holds it, after `wait_seconds`. The message names `what` and it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_seconds
    with open(path, "a+", encoding="ascii") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= deadline:
                    handle.seek(0)
                    pid = handle.read(20).strip() or "unknown"
                    raise Busy(
                        f"{what} is already running here (process {pid}, {path.parent}). "
                        "Stop it first, or set OPSTAC_HOME to another folder"
                    ) from None
                time.sleep(0.05)
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n")
        handle.flush()
        try:
            yield
        finally:
            handle.truncate(0)
