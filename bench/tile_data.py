"""What `tile.py` asks for: synthetic scenes as COGs, cases, and tile addresses."""

import math
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_TILES = 400
NDVI = "(b4-b3)/(b4+b3)"


@dataclass(frozen=True)
class Case:
    """What is asked for.

    Attributes:
        file: of the bench folder, without its ending.
        zoom_out: levels from the file's own zoom.
        where: `within` the raster, on its `edge`, or `outside`.
        expression: a formula instead of three bands.
        unchanged: asked with the ETag that ours sent before.
        cpu: also compared with the least work, in one process.
    """

    title: str
    file: str
    zoom_out: int
    where: str = "within"
    expression: str | None = None
    unchanged: bool = False
    cpu: bool = True


CASES = (
    Case("UTM uint8, native zoom", "utm_u8", 0),
    Case("UTM uint8, overview zoom", "utm_u8", 3),
    Case("UTM 4-band uint16, native zoom", "utm_u16", 0),
    Case("UTM 4-band uint16, overview zoom", "utm_u16", 3),
    Case("WebMercatorQuad-aligned uint8, native zoom", "wmq_u8", 0),
    Case("masked: nodata in a scatter", "holes_u16", 0),
    Case("edge of the raster, UTM uint16", "utm_u16", 1, where="edge"),
    Case("NDVI expression, uint16", "utm_u16", 0, expression=NDVI, cpu=False),
    Case("rotated grid, uint8", "rotated_u8", 0),
    Case("outside the raster", "utm_u8", 0, where="outside", cpu=False),
    Case("unchanged (304)", "utm_u8", 0, unchanged=True, cpu=False),
)


def make_cogs(folder: Path, size: int) -> None:
    """Synthetic scenes that compress like imagery; COGs of 512-pixel blocks with statistics."""
    import cv2
    import numpy as np
    import rasterio
    from affine import Affine
    from rasterio.io import MemoryFile
    from rasterio.shutil import copy
    from rasterio.transform import from_origin

    def texture(seed: int) -> Any:
        noise = np.random.default_rng(seed)
        total = np.zeros((size, size), np.float32)
        for octave in range(4, int(math.log2(size)) + 1):
            coarse = noise.standard_normal((2**octave, 2**octave)).astype(np.float32)
            total += 0.62**octave * cv2.resize(coarse, (size, size))
        return total / total.std()

    base = texture(1)
    bands = [(base + 0.35 * texture(seed)) / 1.06 for seed in (2, 3, 4, 5)]
    scenes = {
        "u8": np.stack([np.clip(110 + 38 * b, 0, 255) for b in bands[:3]]).astype("uint8"),
        "u16": np.stack([np.clip(1800 + 600 * b, 1, 12000) for b in bands]).astype("uint16"),
    }
    scenes["holes_u16"] = scenes["u16"].copy()
    scenes["holes_u16"][:, np.random.default_rng(9).random((size, size)) < 0.02] = 0
    scenes["rotated_u8"] = scenes["u8"]
    turned = from_origin(500000, 5300000, 1, 1) * Affine.rotation(20)
    for name, scene in scenes.items():
        profile = {
            "driver": "GTiff",
            "width": size,
            "height": size,
            "count": len(scene),
            "dtype": scene.dtype.name,
            "crs": "EPSG:32633",
            "transform": turned if name == "rotated_u8" else from_origin(500000, 5300000, 1, 1),
            "nodata": 0 if name.endswith("u16") else None,
        }
        options = {"compress": "ZSTD", "predictor": "YES", "statistics": "YES", "num_threads": 2}
        with MemoryFile() as memory:
            with memory.open(**profile) as dataset:
                dataset.write(scene)
            with memory.open() as dataset, rasterio.Env():
                target = name if "_" in name else f"utm_{name}"
                copy(dataset, folder / f"{target}.tif", driver="COG", blocksize=512, **options)
                if name == "u8":
                    copy(
                        dataset,
                        folder / "wmq_u8.tif",
                        driver="COG",
                        tiling_scheme="GoogleMapsCompatible",
                        blocksize=256,
                        add_alpha="NO",
                        resampling="BILINEAR",
                        **options,
                    )


def tiles(path: Path, zoom_out: int, where: str = "within") -> list[tuple[int, int, int]]:
    """(z, x, y) of up to 400 tiles within, on the edge of or outside the raster, shuffled."""
    from tiler import datasets, fast, grid
    from tiler.locate import Request

    header = datasets.header(str(path), "bench")
    z = header.maxzoom - zoom_out
    west, south, east, north = header.geographic_bounds

    def at(longitude: float, latitude: float) -> tuple[int, int]:
        mercator = math.asinh(math.tan(math.radians(latitude)))
        return int((longitude + 180) / 360 * 2**z), int((1 - mercator / math.pi) / 2 * 2**z)

    (x0, y0), (x1, y1) = at(west, north), at(east, south)
    if where == "outside":
        found = [(z, x1 + 100 + i, y1 + 100) for i in range(MAX_TILES)]
    elif "rotated" in path.name or where == "edge":
        found = []
        for x in range(x0, x1 + 1):
            for y in range(y0, y1 + 1):
                read = fast.read(header, Request(grid.tile(z, x, y).bounds, 256, (1, 2, 3)))
                if read is None:
                    continue
                shown = read.opacity()
                whole = shown is None or shown.all()
                some = shown is None or shown.any()
                if (where == "edge" and some and not whole) or (where == "within" and whole):
                    found.append((z, x, y))
    else:
        edge = 1 if min(x1 - x0, y1 - y0) > 3 else 0
        found = [
            (z, x, y)
            for x in range(x0 + edge, x1 + 1 - edge)
            for y in range(y0 + edge, y1 + 1 - edge)
        ]
    random.Random(1).shuffle(found)
    return found[:MAX_TILES]
