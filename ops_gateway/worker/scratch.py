"""Folders that runs write to. A dead worker's are found by their locks, which die with it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX, _LOCK = "job-", ".lock"


class Scratch:
    """The place of the runs' folders; several workers of one machine may share it."""

    def __init__(self, place: Path | None = None) -> None:
        """`place`: made where it is missing; one of this user among the temporary files if None."""
        self.place = place or Path(tempfile.gettempdir()) / f"opstac-scratch-{os.getuid()}"

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """An empty folder of one run, gone afterwards, or swept where this process is killed."""
        self.place.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, lock = self._locked(name)
        folder = lock.with_suffix("")
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)
            os.close(descriptor)

    def _locked(self, name: str) -> tuple[int, Path]:
        while True:
            descriptor, path = tempfile.mkstemp(_LOCK, f"{_PREFIX}{name}-", self.place)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # a sweep between the two calls has taken it for a dead one
            with suppress(FileNotFoundError):
                if os.stat(path).st_ino == os.fstat(descriptor).st_ino:
                    return descriptor, Path(path)
            os.close(descriptor)

    def sweep(self) -> int:
        """Remove the folders of processes that are gone; how many."""
        swept = 0
        for lock in self.place.glob(f"{_PREFIX}*{_LOCK}"):
            with suppress(OSError):
                descriptor = os.open(lock, os.O_RDWR)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                    lock.unlink(missing_ok=True)
                    swept += 1
                finally:
                    os.close(descriptor)
        return swept
