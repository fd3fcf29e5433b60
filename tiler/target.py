"""The grid that pixels are wanted on: a tile of any matrix set, a part of the map, a preview."""

import math
import re
import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from tiler.datasets import Header
from tiler.errors import InvalidParameter

Bounds = tuple[float, float, float, float]

WEB_MERCATOR = "EPSG:3857"
GEOGRAPHIC = "EPSG:4326"

_CRS_NAME = re.compile(
    r"(?:urn:ogc:def:crs:|https?://www\.opengis\.net/def/crs/)?(EPSG|ESRI|OGC)[:/]{1,2}"
    r"(?:[0-9.]{1,8}[:/])?([0-9]{1,9}|CRS84)",
    re.ASCII | re.IGNORECASE,
)
_NODES = 17


@dataclass(frozen=True, slots=True)
class Target:
    """A north-up grid of pixels.

    Attributes:
        crs: `EPSG:3857` and its like; axes are x (east) then y (north), whatever the CRS says.
        bounds: west, south, east, north in its units.
        width, height: pixels.
    """

    crs: str
    bounds: Bounds
    width: int
    height: int

    @property
    def is_fast(self) -> bool:
        """Whether `tiler.fast` draws such grids: square ones of Web Mercator."""
        return self.crs == WEB_MERCATOR and self.width == self.height


def crs_name(text: str, parameter: str) -> str:
    """`EPSG:32633` of any of the usual spellings. Raises: InvalidParameter.

    Only codes: a CRS's text could name files of this machine.
    """
    matched = _CRS_NAME.fullmatch(text.strip())
    if matched is None:
        raise InvalidParameter.of(parameter, "must be a code such as EPSG:32633 or OGC:CRS84")
    authority, code = matched[1].upper(), matched[2].upper()
    if authority == "OGC" and code == "CRS84":
        return GEOGRAPHIC
    return _known(authority, code, parameter)


@lru_cache(256)
def _known(authority: str, code: str, parameter: str) -> str:
    try:
        found = CRS.from_authority(authority, code)
    except ProjError:
        raise InvalidParameter.of(parameter, f"there is no {authority}:{code}") from None
    if not (found.is_geographic or found.is_projected):
        raise InvalidParameter.of(parameter, f"{authority}:{code} is not a map's")
    return f"{authority}:{code}"


_transformers = threading.local()


def transformer(source: str, target: str) -> Transformer:
    """From one CRS to another; one a thread, since pyproj's are not shared between threads."""
    known: dict[tuple[str, str], Transformer] = _transformers.__dict__.setdefault("known", {})
    key = (source, target)
    if key not in known:
        if len(known) > 256:
            known.clear()
        known[key] = Transformer.from_crs(source, target, always_xy=True)
    return known[key]


def pixel_size(header: Header, crs: str) -> float:
    """Side of the raster's pixels in a CRS's units, at the raster's middle.

    Raises: InvalidParameter: the CRS does not reach there.
    """
    middle = header.width / 2, header.height / 2
    columns = np.array([middle[0] - 0.5, middle[0] + 0.5, middle[0], middle[0]])
    rows = np.array([middle[1], middle[1], middle[1] - 0.5, middle[1] + 0.5])
    x, y = _placed(header, crs, columns, rows)
    across, down = math.hypot(x[1] - x[0], y[1] - y[0]), math.hypot(x[3] - x[2], y[3] - y[2])
    size = math.sqrt(across * down)
    if not (math.isfinite(size) and size > 0):
        raise InvalidParameter.of("dst_crs", f"{crs} does not reach the raster")
    return size


def scale(header: Header, target: Target) -> float:
    """Source pixels a target pixel, about; 1 where it cannot be said."""
    west, south, east, north = target.bounds
    x, y = np.meshgrid(np.linspace(west, east, _NODES), np.linspace(south, north, _NODES))
    source_x, source_y = transformer(target.crs, header.crs_text).transform(x, y)
    columns, rows = to_pixel(header, source_x, source_y)
    with np.errstate(invalid="ignore"):
        across = np.hypot(np.diff(columns, axis=1), np.diff(rows, axis=1))
        down = np.hypot(np.diff(columns, axis=0), np.diff(rows, axis=0))
    steps = [(across, target.width), (down, target.height)]
    found = [
        float(np.median(step[np.isfinite(step)])) * (_NODES - 1) / pixels
        for step, pixels in steps
        if np.isfinite(step).any()
    ]
    return min(found) if found else 1.0


def inside(header: Header, target: Target) -> np.ndarray:
    """True where a pixel's centre lies in the raster, each located exactly: (rows, columns)."""
    west, south, east, north = target.bounds
    half_x = (east - west) / target.width / 2
    half_y = (north - south) / target.height / 2
    x, y = np.meshgrid(
        np.linspace(west + half_x, east - half_x, target.width),
        np.linspace(north - half_y, south + half_y, target.height),
    )
    source_x, source_y = transformer(target.crs, header.crs_text).transform(x, y)
    columns, rows = to_pixel(header, source_x, source_y)
    with np.errstate(invalid="ignore"):
        within = (columns >= 0) & (columns < header.width) & (rows >= 0)
        return within & (rows < header.height)


def meets(header: Header, target: Target) -> bool:
    """Whether the raster may have pixels there; True where that is not certain."""
    along, down = np.linspace(0, header.width, _NODES), np.linspace(0, header.height, _NODES)
    columns, rows = np.meshgrid(along, down)
    x, y = _placed(header, target.crs, columns.ravel(), rows.ravel())
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        return False
    boxes = [(x[known].min(), y[known].min(), x[known].max(), y[known].max())]
    # what bends between the nodes
    wider = (boxes[0][2] - boxes[0][0]) / 8 + 1e-6
    taller = (boxes[0][3] - boxes[0][1]) / 8 + 1e-6
    turns = (-360.0, 0.0, 360.0) if CRS.from_user_input(target.crs).is_geographic else (0.0,)
    west, south, east, north = target.bounds
    return any(
        box[0] - wider + turn < east
        and box[2] + wider + turn > west
        and box[1] - taller < north
        and box[3] + taller > south
        for box in boxes
        for turn in turns
    )


def _placed(
    header: Header, crs: str, columns: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates of the raster in a CRS; not finite where it does not reach."""
    if header.control_points is not None:
        x, y = header.control_points.to_crs(columns, rows)
    else:
        t = header.transform
        x, y = t.a * columns + t.b * rows + t.c, t.d * columns + t.e * rows + t.f
    return transformer(header.crs_text, crs).transform(x, y)


def to_pixel(header: Header, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the raster's CRS to its columns and rows at full resolution."""
    if header.control_points is not None:
        return header.control_points.to_pixel(x, y)
    inverse = header.inverse
    with np.errstate(invalid="ignore"):  # places that the raster's CRS does not reach
        return (
            inverse.a * x + inverse.b * y + inverse.c,
            inverse.d * x + inverse.e * y + inverse.f,
        )
