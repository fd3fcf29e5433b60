"""Pictures and values of any part of a raster: a box, a polygon, the whole."""

import math
from collections.abc import Mapping
from typing import Any

from pyproj.exceptions import ProjError
from shapely.geometry import shape as shape_of

from tiler import datasets, fast
from tiler.datasets import Header
from tiler.draw import Output, made, make
from tiler.errors import InvalidParameter
from tiler.source import AssetSource
from tiler.style import Look, Purpose, style
from tiler.target import GEOGRAPHIC, Bounds, Target, pixel_size, transformer
from tiler.work import lane

MAX_SIZE = 1024
MAX_VALUES = 1 << 25
"""Pixels times bands of one answer."""

Size = tuple[int, int] | None
"""(width, height); None for the raster's own resolution, at most `max_size` a side."""


@lane("slow")
def part(
    source: AssetSource,
    bounds: Bounds,
    output: Output,
    look: Look,
    *,
    crs: str = GEOGRAPHIC,
    dst_crs: str | None = None,
    size: Size = None,
    max_size: int = MAX_SIZE,
    area: Mapping[str, Any] | None = None,
) -> bytes:
    """What lies in a box, transparent where the raster has nothing.

    In the raster's own CRS at its own resolution, pixels are the file's own: the box is widened to
    whole ones and nothing is resampled.

    Args:
        bounds: west, south, east, north in `crs`; west > east across the antimeridian.
        dst_crs: of the picture; default `crs`.
        area: GeoJSON polygon, EPSG:4326; nothing is shown outside.

    Raises: InvalidParameter, Unreadable, TileError.
    """
    output.check()
    header = datasets.header_of(source)
    box = _moved(bounds, crs, dst_crs or crs)
    target = _target(header, dst_crs or crs, box, size, max_size)
    _affordable(source, header, target, output, look)
    return make(source, header, target, output, look, area=area)


@lane("slow")
def feature(
    source: AssetSource,
    geometry: Mapping[str, Any],
    output: Output,
    look: Look,
    *,
    dst_crs: str | None = None,
    size: Size = None,
    max_size: int = MAX_SIZE,
) -> bytes:
    """What lies in a polygon, transparent around it; else as `part`."""
    west, south, east, north = shape_of(dict(geometry)).bounds
    if not (west < east and south < north):
        raise InvalidParameter.of("geometry", "has no extent")
    return part(
        source,
        (west, south, east, north),
        output,
        look,
        dst_crs=dst_crs,
        size=size,
        max_size=max_size,
        area=geometry,
    )


@lane("slow")
def preview(
    source: AssetSource,
    output: Output,
    look: Look,
    *,
    dst_crs: str | None = None,
    size: Size = None,
    max_size: int = MAX_SIZE,
) -> bytes:
    """The whole raster, by default on its own grid; never larger than it is."""
    output.check()
    header = datasets.header_of(source)
    own = _own_bounds(header)
    if dst_crs is not None or own is None or output.algorithm is not None:
        crs = dst_crs or _own_crs(header) or GEOGRAPHIC
        west, south, east, north = header.geographic_bounds
        box = _moved((west, south, east, north), GEOGRAPHIC, crs)
        target = _target(header, crs, box, size, max_size, aligned=False)
        _affordable(source, header, target, output, look)
        return make(source, header, target, output, look)
    width, height = size or _fitted(header.width, header.height, max_size)
    target = Target(header.crs_text, own, width, height)
    _affordable(source, header, target, output, look)
    purpose = output.purpose(look)
    chosen = style(source, header, purpose, **look)
    pixels = fast.overview(
        header,
        chosen.bidx,
        max(width, height),
        nodata=chosen.nodata,
        alpha_bidx=chosen.alpha_bidx,
        resampling=chosen.resampling,
        shape=(height, width),
    )
    is_picture = purpose is Purpose.PICTURE
    return made(source, header, chosen, pixels, target, output, is_picture=is_picture)


def _moved(bounds: Bounds, crs: str, dst_crs: str) -> Bounds:
    west, south, east, north = bounds
    if west > east and crs == GEOGRAPHIC:
        east += 360
    if not (all(map(math.isfinite, bounds)) and west < east and south < north):
        raise InvalidParameter.of("bbox", "must be west, south, east, north, west below east")
    if crs == GEOGRAPHIC and (south < -90 or north > 90 or west < -540 or east > 540):
        raise InvalidParameter.of("bbox", "must be longitudes and latitudes")
    if crs == dst_crs:
        return west, south, east, north
    try:
        moved = transformer(crs, dst_crs).transform_bounds(west, south, east, north)
    except ProjError:
        moved = (math.nan,) * 4
    left, bottom, right, top = moved
    if left > right and dst_crs == GEOGRAPHIC:
        right += 360
    if not (all(map(math.isfinite, moved)) and left < right and bottom < top):
        raise InvalidParameter.of("dst_crs", f"{dst_crs} does not reach the box")
    return left, bottom, right, top


def _target(
    header: Header, crs: str, box: Bounds, size: Size, max_size: int, *, aligned: bool = True
) -> Target:
    if size is not None:
        return Target(crs, box, *size)
    west, south, east, north = box
    own = _own_bounds(header) if aligned and crs == _own_crs(header) else None
    if own is not None:  # whole pixels of the file
        across, down = header.transform.a, -header.transform.e
        first, last = math.floor((west - own[0]) / across), math.ceil((east - own[0]) / across)
        top, bottom = math.floor((own[3] - north) / down), math.ceil((own[3] - south) / down)
        if last - first <= max_size and bottom - top <= max_size:
            snapped = own[0] + first * across, own[3] - bottom * down
            far = own[0] + last * across, own[3] - top * down
            return Target(crs, (*snapped, *far), last - first, bottom - top)
    side = pixel_size(header, crs)
    return Target(crs, box, *_fitted((east - west) / side, (north - south) / side, max_size))


def _fitted(width: float, height: float, max_size: int) -> tuple[int, int]:
    shrink = max(1.0, width / max_size, height / max_size)
    return (
        max(1, min(max_size, round(width / shrink))),
        max(1, min(max_size, round(height / shrink))),
    )


def _own_crs(header: Header) -> str | None:
    code = header.crs.to_epsg()
    return f"EPSG:{code}" if code else None


def _own_bounds(header: Header) -> Bounds | None:
    """The raster's bounds in its own CRS; None where its rows do not run from north to south."""
    t = header.transform
    if t.b or t.d or t.e >= 0 or t.a <= 0 or header.control_points is not None:
        return None
    return t.c, t.f + t.e * header.height, t.c + t.a * header.width, t.f


def _affordable(
    source: AssetSource, header: Header, target: Target, output: Output, look: Look
) -> None:
    chosen = style(source, header, output.purpose(look), **look)
    if target.width * target.height * max(3, len(chosen.bidx)) > MAX_VALUES:
        raise InvalidParameter.of(
            "width",
            f"{target.width} by {target.height} pixels of {len(chosen.bidx)} bands are too many "
            "for one answer",
        )
