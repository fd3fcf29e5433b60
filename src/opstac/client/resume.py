"""What a process leaves behind, so that the next one can go on with its upload.

A file for each upload that is under way, holding a random word that its idempotency keys begin
with. No credential and no signed address is in it. It is gone when the upload has ended.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

KEPT_SECONDS = 23 * 3600
"""The server forgets a session and an answer after 24 hours."""


def folder() -> Path:
    """Where these files are: below XDG_STATE_HOME."""
    state = os.environ.get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "opstac" / "uploads"


def identity(base_url: str, files: Sequence[Path], bodies: Sequence[Mapping[str, Any]]) -> str:
    """What makes an upload the same as the one before: the server, the files as they are on the
    disk (place, size, time of change), and what is said of them.
    """
    marks: list[Any] = [base_url, list(bodies)]
    for file in files:
        found = file.stat()
        marks.append([str(file.resolve()), found.st_size, found.st_mtime_ns])
    text = json.dumps(marks, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Memory:
    """The file of one upload; without a name, or where none can be written, it keeps nothing."""

    def __init__(self, name: str | None) -> None:
        """Takes up what is there, else begins."""
        self.word = uuid.uuid4().hex
        self.resumed = False
        self._path: Path | None = None
        if name is None:
            return
        with suppress(OSError, ValueError, RuntimeError):
            self._path = folder() / f"{name}.json"
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._take_up(self._path)

    def _take_up(self, path: Path) -> None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(path.read_bytes())
            word = kept["word"]
            if isinstance(word, str) and 0 <= time.time() - kept["begun"] < KEPT_SECONDS:
                self.word, self.resumed = word[:64], True
                return
        self._write(path)

    def _write(self, path: Path) -> None:
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps({"word": self.word, "begun": time.time()}))
        fresh.replace(path)

    def anew(self) -> None:
        """Begin again: what the file led to is of no use."""
        self.word = uuid.uuid4().hex
        self.resumed = False
        if self._path is not None:
            with suppress(OSError):
                self._write(self._path)

    def forget(self) -> None:
        """The upload has ended."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()

    def key(self, step: str) -> str:
        """The idempotency key of a step; the same in the process that goes on."""
        return f"{self.word}-{step}"
