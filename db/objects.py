"""Object storage: a local folder, or a bucket of an S3-compatible store, behind one interface.

Objects are written whole or not at all and never changed in place. Uploads in pieces gather in a
local folder in both cases (`db/parts.py`); downloads from a bucket are by its own signed URLs.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import obstore
from obstore.store import LocalStore, S3Store

from db.buckets import bucket_store, gdal_endpoint, store_errors
from db.parts import Announced, Parts, Received, sync_folder
from db.paths import (
    ObjectMissing,
    StorageUnavailable,
    check_path,
    check_prefix,
    disk_errors,
)
from db.pinned import ObjectMeta, Pinned, Pins, meta_of

__all__ = ["Body", "ObjectMeta", "Objects", "Received"]

# hidden from object names, which cannot begin with a dot
PARTS_FOLDER = ".parts"
STREAM_BYTES = 1024 * 1024

Body = bytes | AsyncIterator[bytes] | Path
Accept = Callable[[int], Awaitable[None]]


class Objects:
    """The platform's objects.

    Args:
        location: a folder, or `s3://bucket/prefix`. Credentials, region and endpoint of a bucket
            come from the usual AWS_* variables.
        spool: where uploads to a bucket gather; else a folder among the temporary files.
        environ: where the AWS_* variables are read from for GDAL.
    """

    def __init__(
        self,
        location: str | Path,
        *,
        spool: Path | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """Make a local folder where it is not there; a bucket is not contacted."""
        self._environ = environ
        self._bucket: str | None = None
        self._prefix = ""
        self._root: Path | None = None
        self._pins: Pins | None = None
        text = str(location)
        if text.startswith("s3://"):
            parts = urlsplit(text)
            self._bucket, self._prefix = parts.netloc, check_prefix(parts.path.strip("/"))
            self._store: LocalStore | S3Store = bucket_store(
                self._bucket, self._prefix.rstrip("/"), environ
            )
            # threads that draw wait for its reads: it gives up sooner
            reads = bucket_store(self._bucket, self._prefix.rstrip("/"), environ, seconds=8)
            self._pins = Pins(reads, self.head)
            self.parts = Parts(spool or Path(tempfile.gettempdir()) / "opstac-spool")
        elif "://" in text:
            raise ValueError(f"storage is a folder or s3://bucket/prefix, not {text!r}")
        else:
            self._root = Path(location).absolute()
            self._root.mkdir(parents=True, exist_ok=True)
            self._store = LocalStore(prefix=self._root)
            # on the file system of the objects, so that an upload becomes one by a rename
            self.parts = Parts(self._root / PARTS_FOLDER)
        self.parts.folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def is_local(self) -> bool:
        """Whether objects are files of this machine."""
        return self._root is not None

    # -- whole objects --------------------------------------------------------------------------

    async def put(self, path: str, data: Body) -> int:
        """Store `data` as object `path`, in place of what was there; gives its size in bytes.

        Raises:
            StorageFull: there is no room; `StorageUnavailable`: the store does not answer.
        """
        check_path(path)
        if self._root is None:
            with store_errors():
                if isinstance(data, Path):
                    size = data.stat().st_size
                    await obstore.put_async(self._store, path, data)
                elif isinstance(data, bytes):
                    size = len(data)
                    await obstore.put_async(self._store, path, data)
                else:
                    size = await self._put_stream(path, data)
            self._written(path)
            return size
        descriptor, name = await asyncio.to_thread(self._temporary)
        try:
            with disk_errors():
                if isinstance(data, Path):
                    os.close(descriptor)
                    await asyncio.to_thread(shutil.copyfile, data, name)
                else:
                    with open(descriptor, "wb") as handle:
                        if isinstance(data, bytes):
                            await asyncio.to_thread(handle.write, data)
                        else:
                            async for chunk in data:
                                await asyncio.to_thread(handle.write, chunk)
                return await asyncio.to_thread(self._publish, Path(name), path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(name)
            raise

    async def take(self, path: str, source: Path) -> int:
        """Store the file `source` as object `path` and remove it; gives its size in bytes.

        On the store's own file system nothing is copied.
        """
        check_path(path)
        if self._root is not None:
            try:
                with disk_errors():
                    return await asyncio.to_thread(self._publish, source, path)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
        size = await self.put(path, source)
        source.unlink()
        return size

    async def get(self, path: str) -> bytes:
        """The bytes of object `path`. Raises ObjectMissing."""
        with store_errors():
            result = await obstore.get_async(self._store, check_path(path))
            return bytes(await result.bytes_async())

    async def get_range(self, path: str, start: int, end: int) -> bytes:
        """Bytes `start` up to, not including, `end`. Raises ObjectMissing."""
        if end <= start:
            return b""
        with store_errors():
            found = await obstore.get_range_async(
                self._store, check_path(path), start=start, end=end
            )
            return bytes(found)

    async def stream(
        self, path: str, start: int = 0, end: int | None = None
    ) -> AsyncIterator[bytes]:
        """The same in pieces of about a mebibyte; to the end where `end` is None."""
        check_path(path)
        if end is None:
            found = await self.head(path)
            if found is None:
                raise ObjectMissing(f"there is no object {path}")
            end = found.size
        file = self.local_file(path)
        if file is None:
            for position in range(start, end, 8 * STREAM_BYTES):
                yield await self.get_range(path, position, min(end, position + 8 * STREAM_BYTES))
            return
        try:
            handle = await asyncio.to_thread(open, file, "rb", 0)
        except FileNotFoundError:
            raise ObjectMissing(f"there is no object {path}") from None
        with handle:
            position = start
            while position < end:
                wanted = min(STREAM_BYTES, end - position)
                data = await asyncio.to_thread(os.pread, handle.fileno(), wanted, position)
                if not data:
                    return
                position += len(data)
                yield data

    async def download(self, path: str, target: Path) -> int:
        """Copy object `path` to the local file `target`; gives its size. Raises ObjectMissing."""
        size = 0
        with disk_errors(), open(target, "wb") as handle:
            async for chunk in self.stream(path):
                await asyncio.to_thread(handle.write, chunk)
                size += len(chunk)
        return size

    async def head(self, path: str) -> ObjectMeta | None:
        """What is known of object `path`; None where there is none."""
        try:
            with store_errors():
                return meta_of(await obstore.head_async(self._store, check_path(path)))
        except ObjectMissing:
            return None

    async def delete(self, path: str) -> bool:
        """Remove object `path`; whether there was one."""
        if await self.head(path) is None:
            return False
        with suppress(ObjectMissing), store_errors():
            await obstore.delete_async(self._store, path)
        self._written(path)
        return True

    async def copy(self, source: str, target: str) -> None:
        """Make `target` the same as `source`; locally both share their bytes on disk."""
        with store_errors():
            await obstore.copy_async(self._store, check_path(source), check_path(target))
        self._written(target)

    async def move(self, source: str, target: str) -> None:
        """Rename `source` to `target`."""
        with store_errors():
            await obstore.rename_async(self._store, check_path(source), check_path(target))
        self._written(source, target)

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectMeta]:
        """Every object under the folder `prefix`, in no order."""
        with store_errors():
            entries = obstore.list(  # pyright: ignore[reportUnknownMemberType]
                self._store, check_prefix(prefix) or None
            )
            async for batch in entries:
                for entry in batch:
                    if not entry["path"].startswith(f"{PARTS_FOLDER}/"):
                        yield meta_of(entry)

    # -- uploads in pieces ----------------------------------------------------------------------

    async def receive(
        self,
        path: str,
        chunks: AsyncIterator[bytes],
        announced: Announced,
        *,
        accept: Accept | None = None,
    ) -> Received:
        """Take a body of an upload; the last one makes it object `path`.

        Args:
            accept: told the size when all bytes are here, before they become the object; where it
                raises they do not.

        Raises:
            what `Parts.open` and `Parts.receive` raise.
        """
        file = self.parts.file(path)
        with self.parts.open(path) as descriptor:
            size = await self.parts.receive(descriptor, chunks, announced)
            if not (announced.whole or size == announced.total):
                return Received(size, complete=False)
            if accept is not None:
                await accept(size)
            if self._root is None:
                await self.put(path, file)
                file.unlink()
            else:
                with disk_errors():
                    await asyncio.to_thread(self._publish, file, path)
        return Received(size, complete=True)

    async def received(self, path: str) -> Received:
        """Where upload `path` stands."""
        size = await asyncio.to_thread(self.parts.size, path)
        if size is not None:
            return Received(size, complete=False)
        found = await self.head(path)
        return Received(found.size if found else 0, complete=found is not None)

    # -- for other readers ----------------------------------------------------------------------

    def local_file(self, path: str) -> Path | None:
        """The object's file, whether or not it exists; None where objects are in a bucket."""
        check_path(path)
        return None if self._root is None else self._root / path

    def stamp(self, path: str) -> str:
        """What changes with the object's file, even if it is written over in place.

        Empty where there is none, and in a bucket, where asking would take a round trip.
        """
        file = self.local_file(path)
        if file is None:
            return ""
        try:
            found = file.stat()
        except OSError:
            return ""
        return f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"

    async def version(self, path: str) -> str:
        """As `stamp`, but of a bucket's objects too.

        Raises StorageUnavailable.
        """
        if self._root is not None:
            return self.stamp(path)
        found = await self.head(path)
        return "" if found is None else found.version

    async def pinned(self, path: str, told: str) -> Pinned:
        """The version of a bucket's object, as of at most `db.pinned.FRESH_SECONDS` ago.

        Args:
            told: what the database says that changes when the platform replaces the object.

        Raises ObjectMissing, StorageUnavailable.
        """
        if self._pins is None:
            raise ValueError("files of this machine are opened as they are")
        return await self._pins.at(check_path(path), told)

    def gdal_path(self, path: str) -> str:
        """What GDAL opens it by."""
        file = self.local_file(path)
        return f"/vsis3/{self._bucket}/{self._prefix}{path}" if file is None else str(file)

    def gdal_options(self) -> dict[str, str]:
        """GDAL's settings for the bucket's endpoint; it finds credentials and region by itself."""
        if self._bucket is None:
            return {}
        # what was read of a file is forgotten with it: it may have been replaced since
        options = {"CPL_VSIL_CURL_NON_CACHED": f"/vsis3/{self._bucket}/"}
        return options | gdal_endpoint(self._environ)

    async def signed_download(self, path: str, seconds: int) -> str | None:
        """The bucket's own URL for a download, good for `seconds`; None where we serve it."""
        check_path(path)
        if not isinstance(self._store, S3Store):
            return None
        with store_errors():
            return await obstore.sign_async(self._store, "GET", path, timedelta(seconds=seconds))

    async def check(self) -> None:
        """Show that the store can be read and, locally, written. Raises StorageUnavailable."""
        try:
            if self._root is None:
                with store_errors():
                    await self.head("readiness")
            else:
                with disk_errors():
                    descriptor, name = await asyncio.to_thread(self._temporary)
                    os.close(descriptor)
                    os.unlink(name)
        except OSError as error:
            raise StorageUnavailable(f"the object store cannot be written: {error}") from error

    # -- inside ---------------------------------------------------------------------------------

    def _written(self, *paths: str) -> None:
        for path in paths:
            if self._pins is not None:
                self._pins.forget(path)

    def _temporary(self) -> tuple[int, str]:
        return tempfile.mkstemp(dir=self.parts.folder, suffix=".new")

    def _publish(self, source: Path, path: str) -> int:
        """Move a finished file to its place, so that a stop of the machine loses none of it."""
        assert self._root is not None
        target = self._root / path
        descriptor = os.open(source, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.chmod(source, 0o640)
        os.replace(source, target)
        sync_folder(target.parent)
        return size

    async def _put_stream(self, path: str, data: AsyncIterator[bytes]) -> int:
        size = 0

        async def counted() -> AsyncIterator[bytes]:
            nonlocal size
            async for chunk in data:
                size += len(chunk)
                yield chunk

        await obstore.put_async(self._store, path, counted())
        return size
