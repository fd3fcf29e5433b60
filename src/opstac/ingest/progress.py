"""A line on standard error that says how far it is; nothing where that is no terminal."""

from __future__ import annotations

import sys
import time
from typing import TextIO

WIDTH = 24
EVERY_SECONDS = 0.2


class Progress:
    """A bar with counts, a rate and the time left."""

    def __init__(self, stream: TextIO | None = None, *, shown: bool | None = None) -> None:
        """`shown`: whether at all; by default where `stream` is a terminal."""
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty() if shown is None else shown
        self._began = self._last = time.monotonic()
        self._first: int | None = None
        self._items = 0

    def show(
        self,
        done: int,
        total: int | None,
        items: int,
        counts: dict[str, int],
        *,
        last: bool = False,
    ) -> None:
        """Draw, at most a few times a second.

        Args:
            done, total: of the source, in its own measure.
            items: brought in by this run.
        """
        now = time.monotonic()
        if not self._shown or (now - self._last < EVERY_SECONDS and not last):
            return
        if self._first is None:
            self._first = done
        self._last = now
        rate = items / max(0.001, now - self._began)
        said = ", ".join(f"{count:,} {kind}" for kind, count in counts.items() if count)
        line = f"{said or 'begins'}  {rate:,.0f}/s"
        if total:
            share = min(1.0, done / total)
            bar = "#" * int(share * WIDTH)
            line = f"[{bar:<{WIDTH}}] {share:4.0%}  {line}{self._left(done, total, now)}"
        end = "\n" if last else ""
        self._stream.write(f"\r\x1b[2K{line}{end}")
        self._stream.flush()

    def _left(self, done: int, total: int, now: float) -> str:
        covered = done - (self._first or 0)
        if covered <= 0 or now - self._began < 1:
            return ""
        seconds = int((total - done) * (now - self._began) / covered)
        return f"  {seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d} left"
