"""GeoTIFFs of a folder, or of a list of paths and addresses: each is uploaded and becomes an item.

What an address leads to is fetched by this command and uploaded; the platform opens no address.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import httpx
import orjson

from opstac.ingest.sources import Bad, Batch, Item, Place, Unusable
from opstac.ingest.target import CannotGoOn, Outcome, Refused, Target, bad_outcome, failed

ENDINGS = (".tif", ".tiff", ".gtiff")
CONVERSION_SECONDS = 3600


class Folder:
    """Every GeoTIFF below a folder, in order of path; goes on after a path."""

    def __init__(self, path: Path) -> None:
        """Raises Unusable: it holds none."""
        self._path = path
        self.total: int | None = sum(1 for _ in self._walk())
        if not self.total:
            raise Unusable(f"{path}: no GeoTIFF ({', '.join(ENDINGS)}) in it")
        self.identity: Mapping[str, Any] = {"path": str(path.resolve())}

    def batches(self, start: Place, size: int) -> Iterator[Batch]:
        """See `Source`. A batch is one file."""
        behind = start.get("behind")
        for number, name in enumerate(self._walk(), 1):
            if behind is None or _order(name) > _order(behind):
                entry: Item = {"path": str(self._path / name), "id": item_id(name), "name": name}
                yield Batch([entry], {"behind": name}, number)

    def _walk(self) -> Iterator[str]:
        def below(folder: Path, prefix: str) -> Iterator[str]:
            for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    yield from below(Path(entry.path), f"{name}/")
                elif entry.is_file() and entry.name.lower().endswith(ENDINGS):
                    yield name

        try:
            yield from below(self._path, "")
        except OSError as error:
            raise Unusable(f"{error.filename}: {error.strerror}") from None


class Listed:
    """A text file with a path or an address a line; goes on after a line."""

    def __init__(self, path: Path) -> None:
        """Raises Unusable: it cannot be read."""
        try:
            self._lines = path.read_text(encoding="utf-8").splitlines()
            changed = path.stat()
        except (OSError, ValueError) as error:
            raise Unusable(f"{path}: {error}") from None
        self._folder = path.parent
        self.total: int | None = len(self._lines)
        self.identity: Mapping[str, Any] = {
            "path": str(path.resolve()), "size": changed.st_size, "changed": changed.st_mtime_ns,
        }  # fmt: skip

    def batches(self, start: Place, size: int) -> Iterator[Batch]:
        """See `Source`. A batch is one line."""
        for number, line in enumerate(self._lines, 1):
            place = line.strip()
            if number <= int(start.get("lines", 0)) or not place or place.startswith("#"):
                continue
            yield Batch([self._entry(place)], {"lines": number}, number)

    def _entry(self, place: str) -> Item | Bad:
        parts = urlsplit(place)
        if parts.scheme in ("http", "https"):
            name = unquote(parts.path.rpartition("/")[2]) or "file"
            return {"url": place, "id": item_id(name), "name": name}
        if "://" in place:
            return Bad(
                f"{parts.scheme}:// is not fetched; give a path or an http(s) address", place
            )
        path = self._folder / place
        return {"path": str(path), "id": item_id(path.name), "name": place}


def item_id(name: str) -> str:
    """The STAC id of a file: its path without the ending, with dots for slashes."""
    stem = name[: -len(Path(name).suffix)] if name.lower().endswith(ENDINGS) else name
    return stem.replace("/", ".")[:255]


def _order(name: str) -> list[str]:
    return name.split("/")


class Uploader:
    """Brings files to a target; see `Target.store`."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def store(self, entries: Sequence[Item | Bad], key: str) -> list[Outcome]:
        """Upload files; an outcome for each. Raises CannotGoOn."""
        return [bad_outcome(e) if isinstance(e, Bad) else self._one(e, key) for e in entries]

    def _one(self, entry: Item, key: str) -> Outcome:
        try:
            with self._local(entry) as path:
                return self._bring(path, entry, key)
        except Refused as error:
            return failed(entry["id"], error.problem)
        except (OSError, Unusable) as error:
            return bad_outcome(Bad(str(error), entry["id"]))

    @contextmanager
    def _local(self, entry: Item) -> Iterator[Path]:
        if "path" in entry:
            yield Path(entry["path"])
            return
        with tempfile.TemporaryDirectory(prefix="opstac-ingest-") as folder:
            path = Path(folder, "file.tif")
            try:
                with (
                    httpx.stream("GET", entry["url"], timeout=300, follow_redirects=True) as got,
                    path.open("wb") as file,
                ):
                    if not got.is_success:
                        raise Unusable(f"{entry['url']}: {got.status_code}")
                    for part in got.iter_bytes():
                        file.write(part)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise Unusable(f"{entry['url']}: {error or type(error).__name__}") from None
            yield path

    def _bring(self, path: Path, entry: Item, key: str) -> Outcome:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        there = self._there(entry["id"])
        if there is not None:
            item_id = there["properties"].get("opstac:id")
            if there["properties"].get("ingest:sha256") == digest:
                return {"id": entry["id"], "item_id": item_id, "outcome": "unchanged"}
            detail = "an item of this id has another file; delete it first, or rename the file"
            return {**failed(entry["id"], {"status": 409, "detail": detail}), "item_id": item_id}
        target = self._target
        session = target.call(
            "uploads.initiate",
            {
                "project_id": target.project_id,
                "transfer_method": "cli",
                "total_bytes": path.stat().st_size,
            },
            key=f"{key}-1",
        )
        try:
            self._put(path, session["id"])
        except Refused as error:
            if error.status != 409:  # completed by the run before: its answer comes again
                raise
        done = target.call(
            "uploads.complete",
            {
                "upload_id": session["id"],
                "collection_id": target.collection_id,
                "stac_id": entry["id"],
                "name": Path(entry["name"]).name[:500],
                "properties": {"ingest:path": entry["name"], "ingest:sha256": digest},
            },
            key=f"{key}-2",
        )
        items = done["items"] or self._converted(session["id"])
        return {"id": entry["id"], "item_id": items[0]["id"], "outcome": "created"}

    def _there(self, name: str) -> Item | None:
        home = self._target.collection_id or self._target.project_id
        path = f"/assets/stac/collections/{home}/items/{quote(name, safe='')}"
        response = self._target.send(lambda: self._target.http.get(path))
        return orjson.loads(response.content) if response.is_success else None

    def _put(self, path: Path, upload_id: str) -> None:
        named = {"upload_id": upload_id, "file_name": "data.tif", "content_type": "image/tiff"}
        place = self._target.call("uploads.signed_url", named)

        def put() -> httpx.Response:
            # the URL carries its own right, so it is asked without our credential
            with path.open("rb") as file:
                size = {"Content-Length": str(path.stat().st_size), "Content-Type": "image/tiff"}
                return httpx.put(place["upload_url"], content=file, headers=size, timeout=3600)

        response = self._target.send(put)
        if not response.is_success:
            raise Refused({"status": response.status_code, "detail": response.text[:500]})

    def _converted(self, upload_id: str) -> list[Item]:
        deadline = time.monotonic() + CONVERSION_SECONDS
        while time.monotonic() < deadline:
            upload = self._target.call("uploads.get", {"upload_id": upload_id})["upload"]
            if upload["status"] == "completed":
                return [{"id": item_id} for item_id in upload["item_ids"]]
            if upload["status"] != "processing":
                raise Refused({"status": 422, "detail": upload["error_message"]})
            time.sleep(1)
        raise CannotGoOn("a file is being rewritten for an hour; run the command again later")
