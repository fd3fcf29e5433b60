"""STAC items of local files: a line each, or the features of a FeatureCollection."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from opstac.ingest.sources import Bad, Batch, Item, Place, Unusable

LINE_BYTES = 8 << 20  # of one item
BATCH_BYTES = 16 << 20
CHUNK = 1 << 20
LINES = (".ndjson", ".jsonl", ".ndgeojson", ".geojsonl", ".geojsons")


class _File:
    """What both kinds of file have in common."""

    def __init__(self, path: Path) -> None:
        """Raises Unusable: it cannot be read."""
        try:
            found = path.stat()
            path.open("rb").close()
        except OSError as error:
            raise Unusable(f"{path}: {error.strerror}") from None
        self.path = path
        self.total: int | None = found.st_size
        self.identity: Mapping[str, Any] = {
            "path": str(path.resolve()),
            "size": found.st_size,
            "changed": found.st_mtime_ns,
        }


class Lines(_File):
    """A file with one STAC item a line; goes on from a byte offset."""

    def batches(self, start: Place, size: int) -> Iterator[Batch]:
        """See `Source`."""
        entries: list[Item | Bad] = []
        taken = 0
        with self.path.open("rb") as file:
            file.seek(int(start.get("offset", 0)))
            for line in iter(lambda: file.readline(LINE_BYTES + 1), b""):
                if len(line) > LINE_BYTES:
                    while line and not line.endswith(b"\n"):
                        line = file.readline(CHUNK)
                    entries.append(Bad(f"the line is longer than {LINE_BYTES} bytes"))
                elif line.strip():
                    entries.append(entry_of(line))
                    taken += len(line)
                if len(entries) >= size or taken >= BATCH_BYTES:
                    yield Batch(entries, {"offset": file.tell()}, file.tell())
                    entries, taken = [], 0
            if entries:
                yield Batch(entries, {"offset": file.tell()}, file.tell())


class Features(_File):
    """A FeatureCollection, or one Feature, of any size; goes on from a feature's number."""

    def batches(self, start: Place, size: int) -> Iterator[Batch]:
        """See `Source`."""
        skipped = int(start.get("features", 0))
        entries: list[Item | Bad] = []
        number = 0
        with self.path.open(encoding="utf-8", errors="surrogateescape") as file:
            reader = _Reader(file, self.path)
            for value in reader.features():
                number += 1
                if number <= skipped:
                    continue
                entries.append(value if isinstance(value, dict) else Bad("not a JSON object"))
                if len(entries) >= size:
                    yield Batch(entries, {"features": number}, reader.consumed)
                    entries = []
            if entries:
                yield Batch(entries, {"features": number}, self.total or 0)


def entry_of(line: bytes) -> Item | Bad:
    """The item of a line."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return Bad(f"not JSON: {error.msg} at character {error.pos}")
    return value if isinstance(value, dict) else Bad("not a JSON object")


class _Reader:
    """Takes a JSON text apart without holding it: members of `features` one by one."""

    def __init__(self, file: Any, path: Path) -> None:
        self._file, self._path = file, path
        self._text, self._at = "", 0
        self._decoder = json.JSONDecoder()
        self._ended = False
        self.consumed = 0  # characters, near enough to bytes for a progress bar

    def features(self) -> Iterator[Any]:
        """The features. Raises Unusable: no FeatureCollection and no Feature."""
        self._expect("{")
        single: Item = {}
        is_first = True
        while self._peek() != "}":
            if not is_first:
                self._expect(",")
            is_first = False
            name = self._value()
            self._expect(":")
            if name == "features" and self._peek() == "[":
                yield from self._members()
                return
            single[str(name)] = self._value()
        if single.get("type") != "Feature":
            raise Unusable(f"{self._path}: neither a FeatureCollection nor a Feature")
        yield single

    def _members(self) -> Iterator[Any]:
        self._expect("[")
        is_first = True
        while self._peek() != "]":
            if not is_first:
                self._expect(",")
            is_first = False
            yield self._value()

    def _more(self) -> bool:
        self.consumed += self._at
        chunk = self._file.read(CHUNK)
        self._ended = not chunk
        self._text, self._at = self._text[self._at :] + chunk, 0
        return not self._ended

    def _peek(self) -> str:
        while True:
            while self._at < len(self._text):
                char = self._text[self._at]
                if char not in " \t\r\n\ufeff":
                    return char
                self._at += 1
            if not self._more():
                raise Unusable(f"{self._path}: the JSON ends too early")

    def _expect(self, char: str) -> None:
        found = self._peek()
        if found != char:
            raise Unusable(f"{self._path}: {char!r} expected, {found!r} found")
        self._at += 1

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except (json.JSONDecodeError, RecursionError) as error:
                if isinstance(error, RecursionError):
                    raise Unusable(f"{self._path}: nested too deep") from None
                if len(self._text) - self._at > 8 * LINE_BYTES or not self._more():
                    raise Unusable(f"{self._path}: not JSON: {error.msg}") from None
                continue
            # a number may go on in what was not read yet
            if end == len(self._text) and not self._ended and self._more():
                continue
            self._at = end
            return value
