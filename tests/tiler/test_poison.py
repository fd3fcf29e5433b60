"""Damaged and hostile files: a refusal of the caller's kind, and the next tile is drawn."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from tiler import handles, render
from tiler.errors import TileError
from tiler.pool import TilePool
from tiler.source import AssetSource

PROFILE = {
    "driver": "GTiff", "width": 1024, "height": 1024, "count": 1, "dtype": "uint8",
    "crs": "EPSG:3857", "transform": from_origin(0, 1024, 1, 1),
}  # fmt: skip
TILE = (17, 65536, 65535)


def written(path, **changes):
    noise = np.random.default_rng(1).integers(1, 255, (1024, 1024)).astype(np.uint8)
    with rasterio.open(path, "w", **{**PROFILE, **changes}) as out:
        out.write(noise, 1)
    return path.read_bytes()


TILED = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}


@pytest.fixture
def poison(tmp_path):
    """poison(kind) -> the path of such a file."""

    def made(kind):
        path = tmp_path / f"{kind}.tif"
        sound = written(tmp_path / "sound.tif", **TILED)
        match kind:
            case "empty":
                path.write_bytes(b"")
            case "text":
                path.write_text("II*\0 no TIFF at all")
            case "truncated":
                path.write_bytes(sound[: len(sound) // 2])
            case "blocks overwritten":
                path.write_bytes(sound[:1024] + b"\xff" * (len(sound) - 1024))
            case "no system":
                written(path, crs=None)
            case "a bomb of one block":
                profile = {**PROFILE, "width": 60000, "height": 60000, "tiled": True}
                profile |= {"blockxsize": 60000, "blockysize": 60000}
                with rasterio.open(path, "w", **profile, compress="zstd", sparse_ok=True):
                    pass
            case "a picture of strips":
                profile = {**PROFILE, "width": 4_000_000, "height": 2000}
                profile |= {"blockysize": 1, "transform": from_origin(-2e6, 1000, 1, 1)}
                with rasterio.open(path, "w", **profile, compress="zstd", sparse_ok=True):
                    pass
        return path

    return made


@pytest.mark.parametrize(
    "kind",
    ["empty", "text", "truncated", "blocks overwritten", "no system",
     "a bomb of one block", "a picture of strips"],
)  # fmt: skip
async def test_a_poisoned_file_is_refused_and_the_next_tile_is_drawn(poison, tmp_path, kind):
    pool = TilePool(1)
    bad = AssetSource(path=str(poison(kind)), version="1")
    zoom = (8, 128, 127) if kind == "a picture of strips" else TILE
    for _ in range(3):
        with pytest.raises(TileError) as refused:
            await pool.run(render.render_tile, bad, *zoom, rescale="0,255")
        assert refused.value.status == 422, refused.value.detail
        assert str(tmp_path) not in refused.value.detail
    good = AssetSource(path=str(tmp_path / "sound.tif"), version="1")
    assert await pool.run(render.render_tile, good, *TILE, rescale="0,255")
    held = {key[0] for key in handles._handles.open}
    assert bad.path not in held
    pool.close()
