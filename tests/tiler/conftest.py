"""Small real COGs, written once a session, with what imagery looks like: smooth plus fine noise."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine, from_origin

from raster.cog import convert_to_cog
from tiler import datasets, tokens
from tiler.app import create_app
from tiler.errors import ResolveError
from tiler.source import AssetSource

Write = Callable[..., Path]
UTM_10M = from_origin(500000, 5300000, 10, 10)


def _texture(rows: int, columns: int, bands: int, *, seed: int = 1) -> np.ndarray:
    """float32 (bands, rows, columns), mean 0, standard deviation 1."""
    noise = np.random.default_rng(seed)
    total = np.zeros((bands, rows, columns), np.float32)
    for octave, weight in ((4, 1.0), (16, 0.6), (64, 0.3), (256, 0.15)):
        coarse = noise.standard_normal((bands, octave, octave)).astype(np.float32)
        for band in range(bands):
            total[band] += weight * cv2.resize(
                coarse[band], (columns, rows), interpolation=cv2.INTER_CUBIC
            )
    return total / total.std()


@pytest.fixture(scope="session")
def write_cog(tmp_path_factory: pytest.TempPathFactory) -> Write:
    """write_cog(name, data, crs=, transform=, ...) -> path of a COG with statistics.

    Each has a folder of its own: two tests may choose one name, and headers are kept by path.
    """

    def write(
        name: str,
        data: np.ndarray,
        *,
        crs: str = "EPSG:32633",
        transform: Affine = UTM_10M,
        nodata: float | None = None,
        mask: np.ndarray | None = None,
        descriptions: tuple[str, ...] = (),
        colorinterp: list[Any] | None = None,
        palette: dict[int, tuple[int, ...]] | None = None,
        scale: tuple[float, float] | None = None,
        statistics: bool = True,
    ) -> Path:
        folder = tmp_path_factory.mktemp(name)
        path = folder / f"{name}.tif"
        bands, rows, columns = data.shape
        profile = {
            "driver": "GTiff",
            "width": columns,
            "height": rows,
            "count": bands,
            "dtype": data.dtype.name,
            "crs": crs,
            "transform": transform,
            "nodata": nodata,
        }
        plain = folder / f"{name}.plain.tif"
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(plain, "w", **profile) as out,
        ):
            out.write(data)
            if colorinterp:
                out.colorinterp = colorinterp
            for index, description in enumerate(descriptions, start=1):
                out.set_band_description(index, description)
            if palette:
                out.write_colormap(1, palette)
            if scale:
                out.scales, out.offsets = (scale[0],) * bands, (scale[1],) * bands
            if mask is not None:
                out.write_mask(mask)
        if statistics and crs:
            convert_to_cog(plain, path, level=1)
            return path
        return plain

    return write


@pytest.fixture(scope="session")
def scene(write_cog: Write) -> AssetSource:
    """Four uint16 bands in UTM, nodata 0 in a corner and a scatter of pixels; overviews 2, 4."""
    data = np.clip(1800 + 500 * _texture(2048, 2048, 4), 1, 10000).astype(np.uint16)
    data[:, :600, :800] = 0
    data[:, 1000:1004, 1000:1004] = 0
    names = ("blue", "green", "red", "nir")
    return _source_of(write_cog("scene", data, nodata=0, descriptions=names))


@pytest.fixture(scope="session")
def photo(write_cog: Write) -> AssetSource:
    """Three uint8 bands in UTM without nodata."""
    data = np.clip(120 + 40 * _texture(2048, 2048, 3, seed=2), 0, 255).astype(np.uint8)
    return _source_of(write_cog("photo", data, descriptions=("red", "green", "blue")))


def _source_of(path: Path, **known: Any) -> AssetSource:
    """The asset at a path, with what is told about it."""
    return AssetSource(path=str(path), version="1", **known)


@pytest.fixture(scope="session")
def texture() -> Callable[..., np.ndarray]:
    """texture(rows, columns, bands, seed=) -> float32, mean 0, standard deviation 1."""
    return _texture


@pytest.fixture(scope="session")
def source_of() -> Callable[..., AssetSource]:
    """source_of(path, **what is known) -> the asset."""
    return _source_of


@pytest.fixture
def tile_at() -> Callable[..., tuple[int, int, int]]:
    """tile_at(source, zoom_out=0) -> (z, x, y) of the tile over the raster's middle."""

    def at(source: AssetSource, zoom_out: int = 0, zoom: int | None = None) -> tuple[int, int, int]:
        header = datasets.header_of(source)
        z = header.maxzoom - zoom_out if zoom is None else zoom
        longitude, latitude = header.center
        x = (longitude + 180) / 360 * 2**z
        y = (1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2 * 2**z
        return z, int(x), int(y)

    return at


@pytest.fixture(scope="session")
def signing_key() -> bytes:
    """What tile tokens are signed with."""
    return tokens.new_signing_key()


@pytest.fixture
async def client(scene, photo, signing_key):
    """A client of the tile server, with a resolver that knows three items."""
    expiry = tokens.expiry(time.time())
    items = {"it_scene": scene, "it_photo": photo, "it_public": replace(photo, public=True)}

    async def resolve(request, item_id, asset_key, profile):
        token = request.query_params.get("key")
        if request.headers.get("authorization") != "Bearer good" and item_id != "it_public":
            if token is None:
                raise ResolveError.unauthorized()
            try:
                tokens.verify_tile_token(tokens.public_key(signing_key), token, item_id=item_id)
            except tokens.TokenError:
                raise ResolveError.not_found() from None
        if item_id not in items or asset_key not in (None, "data"):
            raise ResolveError.not_found()
        if profile == "infrared":
            config = {"bands": [4, 3, 2]}
            return replace(items[item_id], profile={"type": "rgb", "config": config})
        if profile is not None:
            raise ResolveError.not_found("profile")
        return items[item_id]

    def sign(request, item_id):
        return tokens.sign_tile_token(signing_key, item_id, expires_at=expiry)

    app = create_app(resolve, sign_tile_token=sign)
    transport = httpx.ASGITransport(app=app)
    headers = {"Authorization": "Bearer good"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://platform.test", headers=headers
    ) as client:
        client.transport = transport
        yield client
