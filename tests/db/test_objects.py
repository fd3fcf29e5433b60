"""The object store on a local folder."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from db.objects import Objects
from db.parts import Announced
from db.paths import (
    BadObjectPath,
    DigestMismatch,
    ObjectMissing,
    PartBusy,
    StorageFull,
    StorageUnavailable,
    TooFewBytes,
    TooManyBytes,
    WrongOffset,
)

PATH = "org_1/up_1/file.tif"


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path / "objects")


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def names(objects: Objects, prefix: str = "") -> list[str]:
    return sorted([meta.path async for meta in objects.list(prefix)])


async def test_an_object_is_what_was_put(objects: Objects, tmp_path: Path):
    file = tmp_path / "file"
    file.write_bytes(b"from a file")
    assert await objects.put("a/bytes", b"some bytes") == 10
    assert await objects.put("a/stream", chunks(b"one ", b"two")) == 7
    assert await objects.put("b/file", file) == 11
    assert await objects.get("a/bytes") == b"some bytes"
    assert await objects.get("a/stream") == b"one two"
    assert await objects.get("b/file") == b"from a file" and file.exists()
    assert await objects.get_range("a/bytes", 5, 8) == b"byt"
    assert await objects.get_range("a/bytes", 5, 5) == b""
    assert b"".join([c async for c in objects.stream("a/bytes", 5)]) == b"bytes"
    assert await names(objects) == ["a/bytes", "a/stream", "b/file"]
    assert await names(objects, "a/") == ["a/bytes", "a/stream"]
    meta = await objects.head("a/bytes")
    assert meta is not None and meta.size == 10 and meta.etag
    assert await objects.download("b/file", tmp_path / "copy") == 11


async def test_a_finished_file_is_taken_without_a_copy(objects: Objects, tmp_path: Path):
    file = tmp_path / "result.tif"
    file.write_bytes(b"result")
    inode = file.stat().st_ino
    assert await objects.take("out/result.tif", file) == 6
    assert not file.exists()
    stored = objects.local_file("out/result.tif")
    assert stored is not None and stored.stat().st_ino == inode


async def test_what_is_not_there(objects: Objects):
    assert await objects.head("no/thing") is None
    assert await objects.delete("no/thing") is False
    for missing in (
        objects.get("no/thing"),
        objects.get_range("no/thing", 0, 1),
        objects.copy("no/thing", "a"),
        objects.move("no/thing", "a"),
        anext(objects.stream("no/thing")),
    ):
        with pytest.raises(ObjectMissing):
            await missing


async def test_a_copy_survives_its_original(objects: Objects):
    await objects.put("a/one", b"first")
    await objects.copy("a/one", "b/two")
    await objects.put("a/one", b"second")
    assert await objects.delete("a/one") is True
    assert await objects.get("b/two") == b"first"
    await objects.move("b/two", "c/three")
    assert await names(objects) == ["c/three"]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../b",
        "a//b",
        "a/",
        ".hidden",
        "a/.parts/b",
        "-rf",
        "a b",
        "a\0b",
        "a\nb",
        "ä",
        "a%2e",
        "a\\b",
        "x.part",
        "a" * 201,
        "a/" * 300 + "a",
    ],
)
async def test_a_name_that_could_lead_elsewhere_is_refused(objects: Objects, path: str):
    for attempt in (
        objects.put(path, b""),
        objects.get(path),
        objects.head(path),
        objects.delete(path),
        objects.copy("a", path),
        objects.move(path, "a"),
        objects.receive(path, chunks(b""), Announced(1)),
    ):
        with pytest.raises(BadObjectPath):
            await attempt
    with pytest.raises(BadObjectPath):
        objects.local_file(path)
    assert await names(objects) == []


async def test_an_upload_becomes_an_object_only_when_whole(objects: Objects):
    piece = Announced(100, 0, 4, 10, whole=False)
    assert (await objects.receive(PATH, chunks(b"0123"), piece)).complete is False
    assert await objects.head(PATH) is None and await names(objects) == []
    assert (await objects.received(PATH)).offset == 4
    last = Announced(100, 4, 6, 10, whole=False)
    received = await objects.receive(PATH, chunks(b"45", b"6789"), last)
    assert (received.offset, received.complete) == (10, True)
    assert await objects.get(PATH) == b"0123456789"
    assert await objects.received(PATH) == received
    assert list(objects.parts.folder.rglob("*.part")) == []


async def test_a_piece_that_does_not_fit_leaves_the_upload_as_it_was(objects: Objects):
    await objects.receive(PATH, chunks(b"0123"), Announced(100, 0, 4, 10, whole=False))
    with pytest.raises(WrongOffset) as wrong:
        await objects.receive(PATH, chunks(b"78"), Announced(100, 7, 2, 10, whole=False))
    assert wrong.value.offset == 4
    with pytest.raises(TooManyBytes):
        await objects.receive(PATH, chunks(b"45", b"67"), Announced(100, 4, 3, 10, whole=False))
    with pytest.raises(TooFewBytes):
        await objects.receive(PATH, chunks(b"4"), Announced(100, 4, 3, 10, whole=False))
    with pytest.raises(TooManyBytes):
        await objects.receive(PATH, chunks(b"4" * 96 + b"5"), Announced(100, 4, whole=False))
    assert (await objects.received(PATH)).offset == 4


async def test_a_client_that_goes_away_can_go_on(objects: Objects):
    async def breaks() -> AsyncIterator[bytes]:
        yield b"0123"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await objects.receive(PATH, breaks(), Announced(100, length=10))
    assert (await objects.received(PATH)).offset == 4
    rest = Announced(100, 4, 6, 10, whole=False)
    assert (await objects.receive(PATH, chunks(b"456789"), rest)).complete
    assert await objects.get(PATH) == b"0123456789"


async def test_two_writers_of_one_upload(objects: Objects):
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"slow"
        begun.set()
        await go_on.wait()

    first = asyncio.create_task(objects.receive(PATH, slow(), Announced(100)))
    await begun.wait()
    with pytest.raises(PartBusy):
        await objects.receive(PATH, chunks(b"fast"), Announced(100))
    go_on.set()
    await first
    assert await objects.get(PATH) == b"slow"


async def test_the_announced_digest_is_held_to(objects: Objects):
    with pytest.raises(DigestMismatch):
        await objects.receive(PATH, chunks(b"data"), Announced(100, sha256=bytes(32)))
    assert await objects.head(PATH) is None


async def test_a_full_disk_is_told_and_loses_nothing(
    objects: Objects, monkeypatch: pytest.MonkeyPatch
):
    await objects.put("a/old", b"old")
    await objects.receive(PATH, chunks(b"0123"), Announced(100, 0, 4, 10, whole=False))
    with monkeypatch.context() as patch:

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(os, "pwrite", full)
        with pytest.raises(StorageFull):
            await objects.receive(PATH, chunks(b"456789"), Announced(100, 4, 6, 10, whole=False))
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageFull):
            await objects.put("a/old", b"new")
    assert await objects.get("a/old") == b"old"
    assert (await objects.received(PATH)).offset == 4
    rest = Announced(100, 4, 6, 10, whole=False)
    assert (await objects.receive(PATH, chunks(b"456789"), rest)).complete


async def test_more_than_the_disk_holds_is_refused_before_it_travels(objects: Objects):
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    with pytest.raises(StorageFull):
        await objects.receive(PATH, never(), Announced(10**18, length=10**17))


async def test_abandoned_uploads_are_removed(objects: Objects):
    await objects.receive(PATH, chunks(b"0123"), Announced(100, 0, 4, 10, whole=False))
    await objects.receive("org_1/up_2/b", chunks(b"01"), Announced(100, 0, 2, 10, whole=False))
    os.utime(objects.parts.file(PATH), (0, 0))
    assert objects.parts.remove_older(3600) == 1
    assert objects.parts.size(PATH) is None and objects.parts.size("org_1/up_2/b") == 2
    assert objects.parts.remove("org_1/up_2/b") is True
    assert objects.parts.remove("org_1/up_2/b") is False


async def test_readiness_is_a_write(objects: Objects, tmp_path: Path):
    await objects.check()
    objects.parts.folder.rmdir()
    with pytest.raises(StorageUnavailable):
        await objects.check()


def test_only_folders_and_buckets_are_storage(tmp_path: Path):
    with pytest.raises(ValueError, match="s3://"):
        Objects("https://example.org/bucket")
