"""What the process keeps of files: never stale, made once, within its bound."""

import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from tiler import cache, fast, handles, render, rescale, work
from tiler.cache import Cache
from tiler.errors import TileError, Unreadable
from tiler.source import AssetSource


@pytest.fixture
def bounded():
    """handles.bound, put back afterwards."""
    yield handles.bound
    handles.bound(cache.MEMORY_BYTES)


def test_the_least_used_leave_first_and_the_bound_holds():
    kept = Cache(100)
    for key in "abc":
        kept.get(key, str, lambda _: 40)
        kept.get("a", lambda: "again", lambda _: 40)
    assert kept.used_bytes <= 100 and len(kept) == 2
    assert kept.get("a", lambda: "made anew", lambda _: 40) == ""
    assert kept.get("b", lambda: "made anew", lambda _: 40) == "made anew"
    assert kept.get("huge", lambda: "huge", lambda _: 101) == "huge"
    assert len(kept) == 2
    kept.resize(0)
    assert (len(kept), kept.used_bytes) == (0, 0)


def test_it_is_made_once_however_many_ask():
    kept, made, gate = Cache(1000), [], threading.Event()

    def make():
        made.append(1)
        gate.wait(30)
        return "value"

    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(kept.get, "key", make, len) for _ in range(8)]
        while not made:
            time.sleep(0.001)
        gate.set()
        assert {future.result() for future in asked} == {"value"}
    assert len(made) == 1


def test_a_failure_is_raised_to_all_and_tried_again():
    kept, tries = Cache(1000), []

    def make():
        tries.append(1)
        if len(tries) == 1:
            raise Unreadable("damaged")
        return "value"

    with pytest.raises(Unreadable):
        kept.get("key", make, len)
    assert kept.get("key", make, len) == "value"


def test_who_waits_for_work_that_was_given_up_does_it_himself():
    kept, gate, begun = Cache(1000), threading.Event(), threading.Event()

    def given_up():
        begun.set()
        gate.wait(30)
        raise work.Abandoned

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(kept.get, "key", given_up, len)
        begun.wait(30)
        second = threads.submit(kept.get, "key", lambda: "value", len)
        gate.set()
        assert isinstance(first.exception(), work.Abandoned)
        assert second.result() == "value"


def test_statistics_that_no_tag_holds_are_computed_once_for_all_threads(
    write_cog, texture, source_of, tile_at, monkeypatch
):
    data = np.clip(1800 + 500 * texture(600, 600, 3, seed=9), 1, 10000).astype(np.uint16)
    source = source_of(write_cog("untold", data, statistics=False))
    address = tile_at(source)
    computed, real = [], fast.overview

    def counted(header, bidx, *args, **kwargs):
        computed.append(bidx)
        time.sleep(0.02)
        return real(header, bidx, *args, **kwargs)

    monkeypatch.setattr(rescale.fast, "overview", counted)
    with ThreadPoolExecutor(6) as threads:
        tiles = [threads.submit(render.render_tile, source, *address) for _ in range(12)]
        assert len({tile.result() for tile in tiles}) == 1
    assert sorted(computed) == [(1,), (2,), (3,)]


def test_pixels_of_a_replaced_file_are_never_shown_again(tmp_path, write_cog, texture, tile_at):
    bright, dark = (
        write_cog(name, np.full((3, 600, 600), value, np.uint8), statistics=False)
        for name, value in (("bright", 200), ("dark", 50))
    )
    path = tmp_path / "asset.tif"
    path.write_bytes(bright.read_bytes())
    source = AssetSource(path=str(path), version="1")
    address = tile_at(source)
    look = {"format": "png", "rescale": "0,255"}
    before = render.render_tile(source, *address, **look)
    path.write_bytes(dark.read_bytes())  # in place: the same path and inode
    after = render.render_tile(replace(source, version="2"), *address, **look)
    assert after != before
    assert after == render.render_tile(AssetSource(path=str(dark), version="1"), *address, **look)
    held = [key for key in handles._handles.open if key[0] == str(path)]
    assert {version for _, version, _ in held} == {"2"}


def test_memory_is_bounded_over_many_files(write_cog, texture, source_of, tile_at, bounded):
    data = np.clip(120 + 40 * texture(1200, 1200, 3, seed=3), 1, 255).astype(np.uint8)
    path = write_cog("many", data)
    address = tile_at(source_of(path))
    bounded(4 << 20)

    def draw(first, last):
        for number in range(first, last):
            source = AssetSource(path=str(path), version=f"v{number}")
            render.render_tile(source, *address, format="png", expression="b1 / b2")

    draw(0, 60)
    assert cache.known.used_bytes <= 2 << 20
    assert handles._handles.used <= 2 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    draw(60, 260)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 16 << 10  # kibibytes: nothing is kept of two hundred files


def test_a_picture_that_would_decode_gigabytes_is_refused(tmp_path):
    import rasterio
    from rasterio.transform import from_origin

    path = tmp_path / "bands.tif"
    profile = {
        "driver": "GTiff", "width": 4096, "height": 4096, "count": 200, "dtype": "uint8",
        "crs": "EPSG:3857", "transform": from_origin(0, 4096, 1, 1), "interleave": "pixel",
        "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "zstd",
        "sparse_ok": True,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile):
        pass  # holes only: three gigabytes in a few kilobytes
    source = AssetSource(path=str(path), version="1")
    with pytest.raises(TileError) as refused:
        render.render_tile(source, 8, 128, 127, bands="1", rescale="0,1")
    assert refused.value.status == 422
