"""A mosaic's tile against rio-tiler's mosaic_reader and against composing item tiles by oneself.

    python bench/mosaic.py [--items 24] [--tiles 12] [--rounds 5] [--size 2048]

One process, two threads each; the variants take turns within a round and every ratio is the median
of the rounds' ratios, above 1 where we are faster. All give PNG of the same tiles from the same
files, which are opened before the first round. Ours chooses candidates by their boxes, as the
database does, and reads until the tile is full; mosaic_reader is given the same candidates in the
same order. Composing fetches each candidate's own tile as a browser's layers would, decodes and
pastes them; over a network it would also wait for each. The query of the database is in no variant.
"""

import argparse
import asyncio
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("GDAL_CACHEMAX", "256")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import rasterio
from PIL import Image
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds
from rio_tiler.errors import TileOutsideBounds
from rio_tiler.io import Reader
from rio_tiler.mosaic.methods import defaults
from rio_tiler.mosaic.reader import mosaic_reader

from raster.cog import convert_to_cog
from tiler import grid, render
from tiler.draw import Output
from tiler.mosaic.draw import Mosaics
from tiler.mosaic.source import Bounds, Candidates, MosaicSource, Selection
from tiler.pool import TilePool
from tiler.routes.mosaics import degrees
from tiler.source import AssetSource
from tiler.target import Target

ZOOM = 13
THREADS = 2
RANGE = (0, 4000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=24)
    parser.add_argument("--tiles", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=2048)
    options = parser.parse_args()
    os.environ.pop("GDAL_SKIP", None)  # the peer needs drivers that the platform refuses
    with tempfile.TemporaryDirectory(prefix="opstac-bench-") as folder:
        made = make_items(Path(folder), options.items, options.size)
        asyncio.run(compare(made, options.tiles, options.rounds))


def make_items(folder: Path, count: int, size: int) -> list[tuple[AssetSource, Bounds]]:
    """Scenes of three uint16 bands at 10 m, a third of a scene apart; a corner of each is empty."""
    made = []
    noise = np.random.default_rng(7)
    for number in range(count):
        row, column = divmod(number, max(1, int(count**0.5)))
        coarse = noise.normal(2000, 600, (3, size // 16, size // 16))
        data = np.clip(np.kron(coarse, np.ones((16, 16))), 1, 9000).astype(np.uint16)
        data[:, : size // 3, : size // 3] = 0
        west, north = 500000 + column * size * 10 // 3, 5300000 - row * size * 10 // 3
        profile = {
            "driver": "GTiff", "width": size, "height": size, "count": 3, "dtype": "uint16",
            "crs": "EPSG:32633", "transform": from_origin(west, north, 10, 10), "nodata": 0,
        }  # fmt: skip
        plain, path = folder / f"{number}.plain.tif", folder / f"{number}.tif"
        with rasterio.open(plain, "w", **profile) as out:
            out.write(data)
        convert_to_cog(plain, path, level=1)
        plain.unlink()
        box = transform_bounds(
            "EPSG:32633", "EPSG:4326", west, north - size * 10, west + size * 10, north
        )
        made.append((AssetSource(path=str(path), version="1"), box))
    return made


async def compare(made: list[tuple[AssetSource, Bounds]], count: int, rounds: int) -> None:
    pool = TilePool(THREADS)
    mosaics = Mosaics(pool)
    known = {str(place): asset for place, (asset, _) in enumerate(made)}

    async def find(
        bounds: Bounds | None, selection: Selection, limit: int, count: bool
    ) -> Candidates:
        chosen = [(str(i), box) for i, (_, box) in enumerate(made) if meets(box, bounds)][:limit]
        covers = tuple(bounds is not None and holds(box, bounds) for _, box in chosen)
        names = tuple(name for name, _ in chosen)
        return Candidates(names, covers, tuple(box for _, box in chosen), "", len(made))

    async def assets(items):
        return [known[item] for item in items]

    source = MosaicSource("collections", "bench", "bench", "bench", find, assets)
    rescale = ",".join(map(str, RANGE))
    layer = await mosaics.layer(source, rescale=rescale)
    west, south, east, north = layer.bounds
    places = tiles_of(west, south, east, north, count)

    def candidates(place: tuple[int, int]) -> list[AssetSource]:
        bounds = degrees(target_of(place))
        return [asset for asset, box in made if meets(box, bounds)]

    async def ours(place: tuple[int, int], selection: Selection) -> bytes:
        target = target_of(place)
        found = await find(degrees(target), selection, 64, False)
        drawn = await mosaics.tile(source, layer, found, target, Output(format="png"), selection)
        return drawn.body

    async def reader(place: tuple[int, int], selection: Selection) -> bytes:
        method = defaults.FirstMethod if selection == "newest" else defaults.MedianMethod

        def draw() -> bytes:
            image, _ = mosaic_reader(
                [asset.path for asset in candidates(place)],
                rio_tile,
                *place,
                ZOOM,
                pixel_selection=method,
                threads=THREADS,
                allowed_exceptions=(TileOutsideBounds,),
            )
            image.rescale([RANGE] * 3)
            return image.render(img_format="PNG")

        return await asyncio.to_thread(draw)

    async def composed(place: tuple[int, int], selection: Selection) -> bytes:
        bodies = await asyncio.gather(
            *(
                pool.run(render.render_tile, asset, ZOOM, *place, format="png", rescale=rescale)
                for asset in candidates(place)
            )
        )
        sheet = Image.new("RGBA", (256, 256))
        for body in reversed(bodies):
            sheet.alpha_composite(Image.open(io.BytesIO(body)).convert("RGBA"))
        out = io.BytesIO()
        sheet.save(out, "PNG", compress_level=1)
        return out.getvalue()

    agree(await ours(places[0], "newest"), await composed(places[0], "newest"))
    deep = statistics.mean(len(candidates(place)) for place in places)
    print(f"{len(places)} tiles of zoom {ZOOM}, {deep:.1f} candidates each")
    contests: list[tuple[str, Selection, Callable[..., Awaitable[bytes]]]] = [
        ("first, against mosaic_reader", "newest", reader),
        ("first, against composing item tiles", "newest", composed),
        ("median, against mosaic_reader", "median", reader),
    ]
    for name, selection, peer in contests:
        ratios = []
        for warm in range(rounds + 1):
            took = [await timed(variant, places, selection) for variant in (ours, peer)]
            if warm:
                ratios.append(took[1] / took[0])
        middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
        print(f"{name}: {middle:.2f} ({low:.2f} to {high:.2f})")
    pool.close()


async def timed(
    variant: Callable[..., Awaitable[bytes]], places: list[tuple[int, int]], selection: Selection
) -> float:
    started = time.perf_counter()
    for place in places:
        await variant(place, selection)
    return time.perf_counter() - started


def rio_tile(path: str, x: int, y: int, z: int):
    with Reader(path) as src:
        return src.tile(x, y, z, resampling_method="bilinear", reproject_method="bilinear")


def target_of(place: tuple[int, int]) -> Target:
    return Target("EPSG:3857", grid.tile(ZOOM, *place).bounds, 256, 256)


def tiles_of(west: float, south: float, east: float, north: float, count: int):
    """Tiles across the middle of a box."""
    steps = np.linspace(0.2, 0.8, count)
    found = []
    for step in steps:
        longitude, latitude = west + (east - west) * step, south + (north - south) * (1 - step)
        x = (longitude + 180) / 360 * 2**ZOOM
        y = (1 - np.arcsinh(np.tan(np.radians(latitude))) / np.pi) / 2 * 2**ZOOM
        found.append((int(x), int(y)))
    return list(dict.fromkeys(found))


def meets(box: Bounds, bounds: Bounds | None) -> bool:
    if bounds is None:
        return True
    return box[0] < bounds[2] and box[2] > bounds[0] and box[1] < bounds[3] and box[3] > bounds[1]


def holds(box: Bounds, bounds: Bounds) -> bool:
    return (
        box[0] <= bounds[0] and box[2] >= bounds[2] and box[1] <= bounds[1] and box[3] >= bounds[3]
    )


def agree(one: bytes, other: bytes) -> None:
    """Raise unless two pictures are the same to a level, but for a few edges."""
    a, b = (np.asarray(Image.open(io.BytesIO(p)).convert("RGBA")).astype(int) for p in (one, other))
    off = (np.abs(a - b).max(axis=2) > 1).mean()
    if off > 0.01:
        raise SystemExit(f"the variants draw different pictures: {off:.1%} of the pixels")


if __name__ == "__main__":
    main()
