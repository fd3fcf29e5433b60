"""The tiler's work as plain functions: a tile, TileJSON, statistics, a thumbnail, terrain.

Called by the HTTP routes of `tiler.app` and by operations. All but `colormaps` and `formulas` read
files: run them in a `tiler.pool.TilePool`, never on an event loop.
"""

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np

from raster.bands import INDICES
from tiler import datasets, encode, fast, geojson, grid, matrix_sets, terrain
from tiler.colormaps import colormaps
from tiler.draw import PICTURES, Output, heights, keep_inside, make
from tiler.errors import InvalidParameter
from tiler.paint import paint
from tiler.pixels import Pixels
from tiler.source import AssetSource
from tiler.style import Look, style
from tiler.target import WEB_MERCATOR, Target
from tiler.work import lane

__all__ = [
    "PICTURES",
    "area_of",
    "colormaps",
    "formulas",
    "render_terrain",
    "render_tile",
    "thumbnail",
    "tilejson",
]

SIZES = (256, 512, 1024)
MAX_THUMBNAIL = 2048


def render_tile(
    source: AssetSource,
    z: int,
    x: int,
    y: int,
    *,
    format: str = "webp",
    size: int = 256,
    quality: int = 82,
    aoi: Mapping[str, Any] | str | None = None,
    tms: str = matrix_sets.DEFAULT,
    output: Output | None = None,
    **look: Unpack[Look],
) -> bytes:
    """One tile.

    Args:
        source: the asset, with the profile to use if any.
        format: `png`, `webp`, `jpg`, or values as `npy` or `tif`.
        size: pixels a side: 256, 512 or 1024.
        quality: 1 to 100, JPEG and WebP.
        aoi: GeoJSON Polygon or MultiPolygon, EPSG:4326; nothing is drawn outside.
        tms: the tile matrix set.
        output: replaces `format` and `quality`, and says more.
        look: replaces the profile's settings.

    Returns: the picture; fully transparent (JPEG: white) where the raster has no pixels.

    Raises: OutOfRange, InvalidParameter, Unreadable, TileError.
    """
    bounds = matrix_sets.bounds(tms, z, x, y)
    output = output or Output(format=format, quality=quality)
    output.check()
    if size not in SIZES:
        raise InvalidParameter.of("tilesize", "must be 256, 512 or 1024", "enum")
    area = None if aoi is None else area_of(aoi)
    header = datasets.header_of(source)
    target = Target(matrix_sets.crs(tms), bounds, size, size)
    return make(source, header, target, output, look, area=area)


def area_of(aoi: Mapping[str, Any] | str) -> dict[str, Any]:
    """A checked GeoJSON Polygon or MultiPolygon of a parameter. Raises: InvalidParameter."""
    return geojson.polygon(aoi, "query", "aoi")


@lane("quick")
def tilejson(
    source: AssetSource,
    url_template: str,
    *,
    tms: str = matrix_sets.DEFAULT,
    **look: Unpack[Look],
) -> dict[str, Any]:
    """TileJSON 3.0.0 of an asset; reads only the file's header, once a version.

    Args:
        url_template: of a tile, with `{z}`, `{x}` and `{y}`.
        look: what that URL asks for; refused here as a tile would.

    Bounds across the antimeridian cannot be said in TileJSON: they are then the whole circle, and
    the centre tells where the raster is. Raises: InvalidParameter, Unreadable.
    """
    header = datasets.header_of(source)
    style(source, header, **look)
    west, south, east, north = source.bounds or header.geographic_bounds
    limit = grid.MAX_LATITUDE if matrix_sets.crs(tms) == WEB_MERCATOR else 90.0
    south, north = max(-limit, min(limit, south)), max(-limit, min(limit, north))
    center = header.center
    if west > east:
        west, east = -180.0, 180.0
    minzoom, maxzoom = matrix_sets.zoom_range(tms, header)
    described = {
        "tilejson": "3.0.0",
        "name": source.name or source.asset_key,
        "tiles": [url_template],
        "bounds": [west, south, east, north],
        "center": [center[0], max(-limit, min(limit, center[1])), minzoom],
        "minzoom": minzoom,
        "maxzoom": maxzoom,
        "scheme": "xyz",
        "vector_layers": [],  # required by the schema of 3.0.0; pictures have none
    }
    if tms != matrix_sets.DEFAULT:
        described["tileMatrixSet"] = tms
    return described


@lane("slow")
def thumbnail(source: AssetSource, width: int = 256, height: int = 256) -> bytes:
    """The whole raster on its own grid as a JPEG that fits in width by height pixels.

    Never larger than the raster itself. Raises: InvalidParameter, Unreadable, TileError.
    """
    for name, value in (("width", width), ("height", height)):
        if not 1 <= value <= MAX_THUMBNAIL:
            raise InvalidParameter.of(name, f"must be 1 to {MAX_THUMBNAIL}")
    header = datasets.header_of(source)
    chosen = style(source, header)
    shrink = max(1.0, header.width / width, header.height / height)
    shape = max(1, round(header.height / shrink)), max(1, round(header.width / shrink))
    pixels = fast.overview(
        header,
        chosen.bidx,
        max(shape),
        nodata=chosen.nodata,
        alpha_bidx=chosen.alpha_bidx,
        resampling=chosen.resampling,
        shape=shape,
    )
    colors, alpha = paint(pixels, header, chosen)
    if header.transform.e > 0:  # rows run from south to north
        colors = colors[::-1]
        alpha = None if alpha is None else alpha[::-1]
    return encode.jpeg(colors, alpha, quality=85)


def render_terrain(
    source: AssetSource,
    z: int,
    x: int,
    y: int,
    *,
    invert: bool = False,
    size: int = 256,
    aoi: Mapping[str, Any] | None = None,
) -> bytes:
    """One tile of heights in Mapbox's Terrain-RGB, as PNG.

    height_m = -10000 + (red * 65536 + green * 256 + blue) * 0.1, from the first band.

    Args:
        invert: heights change sign, for depths counted downwards.
        aoi: as `render_tile`.

    Where there is no height it is 0: a renderer would read a transparent pixel as -10,000 m.
    Raises: OutOfRange, InvalidParameter, Unreadable, TileError.
    """
    target = Target(WEB_MERCATOR, grid.tile(z, x, y).bounds, size, size)
    area = None if aoi is None else area_of(aoi)
    surface = terrain.level(heights(source, datasets.header_of(source), target, {}), target)
    if area is not None:
        inside = Pixels(surface[..., None])
        keep_inside(inside, area, target)
        surface = np.where(inside.alpha == 0, np.float32(0), surface)
    return encode.png(terrain.mapbox(-surface if invert else surface))


def formulas() -> dict[str, dict[str, Any]]:
    """The index catalogue for a picker: name → formula, bands, colour map and range."""
    return {
        index.name: {
            "formula": index.formula,
            "bands": list(index.roles),
            "colormap": index.colormap,
            "range": list(index.value_range),
            "long_name": index.long_name,
            "category": index.category,
        }
        for index in INDICES.values()
    }
