"""Values to bytes and back: JSON bodies, lines, and ids that stand in paths."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from enum import Enum
from pathlib import PurePath
from typing import Any, cast
from urllib.parse import quote
from uuid import UUID

LINE_LIMIT = 64 * 1024 * 1024


def encode(body: Mapping[str, Any] | None) -> bytes:
    """A request body. Dates, UUIDs, paths, enumerations and geometries (what has a
    `__geo_interface__`, such as those of shapely) may stand in it.

    Raises:
        TypeError: a value is of a type that JSON has not.
        ValueError: it holds itself, or a number that JSON has not (NaN, infinity).
    """
    try:
        return json.dumps(dict(body or {}), default=_plain, allow_nan=False).encode()
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None


def _plain(value: Any) -> Any:
    geometry = getattr(value, "__geo_interface__", None)
    if geometry is not None:
        return geometry
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, UUID | PurePath):
        return str(value)
    if callable(numbers := getattr(value, "tolist", None)):  # numpy
        return numbers()
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, Any]", value))
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")


def decode(content: bytes) -> Any:
    """A JSON document.

    Raises:
        ValueError: it is none.
    """
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def segment(text: str) -> str:
    """`text` as one segment of a path: nothing in it separates, climbs or ends the path."""
    quoted = quote(text, safe="", errors="replace")
    return quoted.replace(".", "%2E") if not quoted.strip(".") else quoted


class Lines:
    """JSON lines out of pieces that are cut anywhere; for GeoJSON text sequences too."""

    def __init__(self, limit: int = LINE_LIMIT) -> None:
        """`limit`: bytes that a line may have."""
        self._limit = limit
        self._rest: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[Any]:
        """The lines that end in this piece.

        Raises:
            ValueError: a line is no JSON, or too long.
        """
        # only \\n ends a line: JSON texts may hold the other characters that Python splits at
        *ended, rest = piece.split(b"\n")
        for part in ended:
            line = b"".join([*self._rest, part])
            self._rest, self._size = [], 0
            yield from _line(line)
        if rest:
            self._rest.append(rest)
            self._size += len(rest)
        if self._size > self._limit:
            raise ValueError(f"a line has more than {self._limit} bytes")

    def end(self) -> Iterator[Any]:
        """The last line, where nothing ended it."""
        line, self._rest = b"".join(self._rest), []
        yield from _line(line)


def _line(line: bytes) -> Iterator[Any]:
    text = line.strip(b"\x1e \t\r")
    if text:
        yield decode(text)


def is_token(text: str) -> bool:
    """Whether a header can carry it as a credential: letters and signs of ASCII, and no blank."""
    return bool(re.fullmatch(r"[\x21-\x7e]+", text))


def printable(text: str) -> str:
    """Text from elsewhere without what would steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
