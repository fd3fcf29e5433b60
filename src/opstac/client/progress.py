"""A progress bar on standard error, for who watches."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from opstac.client.steps import Progress
from opstac.client.values import printable

WIDTH = 30
EVERY = 0.1
UNITS = ("B", "kB", "MB", "GB", "TB")


class Bar:
    """`fields.tif  [#########---------------------]  31 %  12.4 MB/s  3 s left`."""

    def __init__(self, label: str, out: TextIO | None = None) -> None:
        """Nothing is written before the first bytes went."""
        self._label = printable(label)[:40]
        self._out = out if out is not None else sys.stderr
        self._begin: tuple[float, int] | None = None
        self._last = 0.0
        self._drawn = False

    def __call__(self, sent: int, total: int) -> None:
        """Draw it anew, at most ten times a second, and always at the end."""
        now = time.monotonic()
        if self._begin is None:
            self._begin = (now, sent)  # what an earlier try sent says nothing of the speed
        if sent < total and now - self._last < EVERY:
            return
        self._last = now
        begin, before = self._begin
        speed = (sent - before) / (now - begin) if now > begin else 0.0
        self._draw(line(self._label, sent, total, speed))

    def _draw(self, text: str) -> None:
        self._out.write(f"\r{text}\x1b[K")
        self._out.flush()
        self._drawn = True

    def close(self) -> None:
        """End the line, so that what is written next begins on its own."""
        if self._drawn:
            self._out.write("\n")
            self._out.flush()
            self._drawn = False


def line(label: str, sent: int, total: int, speed: float) -> str:
    """What a bar shows.

    Args:
        label: of what is sent.
        sent: bytes so far.
        total: bytes in all.
        speed: bytes a second; 0 where it is not known.
    """
    part = min(1.0, sent / total) if total else 1.0
    full = int(part * WIDTH)
    words = f"{label}  [{'#' * full}{'-' * (WIDTH - full)}] {int(part * 100):3} %"
    if speed > 0:
        words += f"  {in_units(speed)}/s"
        if part < 1:
            words += f"  {duration((total - sent) / speed)} left"
    return words


def in_units(count: float) -> str:
    """A number of bytes as people read it: 12.4 MB."""
    unit = 0
    while count >= 1000 and unit < len(UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:.0f} {UNITS[unit]}" if unit == 0 else f"{count:.1f} {UNITS[unit]}"


def duration(seconds: float) -> str:
    """A time as people read it."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def chosen(progress: Progress | bool | None, label: str) -> Progress | None:
    """What is told of the progress: what was given; a bar where somebody looks at it; nothing."""
    if callable(progress):
        return progress
    # a program without a console has no standard error
    seen = progress is not False and bool(sys.stderr) and sys.stderr.isatty()
    return Bar(label) if seen else None
