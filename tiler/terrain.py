"""Pictures of heights: hillshade, slope, aspect, and heights coded as colours.

Slopes are those of `raster.relief`, by Horn's way. One pixel more is read on each side, so that
tiles meet without a seam, and a pixel's side is its length on the ground, which Web Mercator
stretches by 1 / cos(latitude).
"""

import numpy as np
from pyproj import CRS

from raster import relief
from tiler.algorithms import ALGORITHMS, Algorithm, Painted, Relief
from tiler.colormaps import table
from tiler.rescale import parse as parse_ranges
from tiler.style import Look
from tiler.target import WEB_MERCATOR, Target

EQUATOR_M = 40075016.68557849
LOWEST_M, HIGHEST_M = -10000.0, 1_667_721.5
"""What 24 bits of Terrain-RGB hold."""


def gradient(
    surface: np.ma.MaskedArray, side_x: np.ndarray, side_y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rise to the east and to the south, metres a metre, of all but the outermost pixels.

    Args:
        surface: metres, two rows and two columns more than the result.
        side_x, side_y: a pixel's sides on the ground, metres, (rows, 1) of the result.

    A neighbour without a height is put where the slope goes on.
    """
    right, down = relief.rises(surface, missing="mirror")
    return right / side_x, down / side_y


def sides(target: Target) -> tuple[np.ndarray, np.ndarray]:
    """A pixel's sides on the ground, metres: each (rows, 1)."""
    west, south, east, north = target.bounds
    across, down = (east - west) / target.width, (north - south) / target.height
    rows = north - (np.arange(target.height) + 0.5) * down
    if target.crs == WEB_MERCATOR:
        shrink = 1 / np.cosh(rows / EQUATOR_M * 2 * np.pi)  # cosine of the latitude
        return (across * shrink)[:, None], (down * shrink)[:, None]
    crs = CRS.from_user_input(target.crs)
    if crs.is_geographic:
        degree = EQUATOR_M / 360
        along = np.maximum(np.cos(np.radians(rows)), 1e-6)
        return (across * degree * along)[:, None], np.full((target.height, 1), down * degree)
    metre = crs.axis_info[0].unit_conversion_factor
    return (
        np.full((target.height, 1), across * metre),
        np.full((target.height, 1), down * metre),
    )


def _relief(
    surface: np.ma.MaskedArray, target: Target
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rise to the east, to the south, True where there is a height)."""
    to_east, to_south = gradient(surface, *sides(target))
    return to_east, to_south, ~np.ma.getmaskarray(surface)[1:-1, 1:-1]


def hillshade(
    surface: np.ma.MaskedArray | None, target: Target, look: Look, light: Relief
) -> Painted | None:
    """Light from one side, in grey."""
    if surface is None:
        return None
    to_east, to_south, known = _relief(surface, target)
    grey = np.rint(
        relief.shaded(to_east, to_south, light.azimuth, light.altitude, light.z_factor)
    ).astype(np.uint8)
    return colored(grey, known, look)


def slope(
    surface: np.ma.MaskedArray | None, target: Target, look: Look, light: Relief
) -> Painted | None:
    """Steepness in grey or by a colour map; 0 to 90 degrees unless `rescale` says otherwise."""
    if surface is None:
        return None
    to_east, to_south, known = _relief(surface, target)
    return _stretched(
        relief.slope_degrees(to_east, to_south, light.z_factor), (0.0, 90.0), known, look
    )


def aspect(
    surface: np.ma.MaskedArray | None, target: Target, look: Look, light: Relief
) -> Painted | None:
    """Where the ground falls to; 0 to 360 degrees unless `rescale` says otherwise."""
    if surface is None:
        return None
    to_east, to_south, known = _relief(surface, target)
    degrees = relief.aspect_degrees(to_east, to_south)
    return _stretched(degrees, (0.0, 360.0), known & np.isfinite(degrees), look)


def _stretched(
    values: np.ndarray, usual: tuple[float, float], known: np.ndarray, look: Look
) -> Painted:
    low, high = stretch(look, usual)
    spread = (np.nan_to_num(values) - low) * (255 / (high - low))
    return colored(np.clip(spread, 0, 255).astype(np.uint8), known, look)


def stretch(look: Look, usual: tuple[float, float]) -> tuple[float, float]:
    """The range of values shown."""
    text = look.get("rescale")
    return parse_ranges(text, 1)[0] if text else usual


def colored(grey: np.ndarray, known: np.ndarray, look: Look) -> Painted:
    """Grey or by the colour map, transparent where nothing is known."""
    alpha = None if known.all() else known.astype(np.uint8) * 255
    name = look.get("colormap")
    if not name:
        return grey[..., None], alpha
    return np.ascontiguousarray(table(name)[grey][..., :3]), alpha


def mapbox(surface: np.ndarray) -> np.ndarray:
    """Heights as Mapbox's Terrain-RGB: -10000 + (red * 65536 + green * 256 + blue) * 0.1 m."""
    code = np.rint((np.clip(surface, LOWEST_M, HIGHEST_M).astype(np.float64) + 10000) * 10)
    whole = code.astype(np.uint32)
    parts = (whole >> 16, whole >> 8 & 255, whole & 255)
    return np.stack(parts, axis=2).astype(np.uint8)


def terrarium_code(surface: np.ndarray) -> np.ndarray:
    """Heights as Terrarium: red * 256 + green + blue / 256 - 32768 m."""
    code = np.rint((np.clip(surface, -32768, 32767.99).astype(np.float64) + 32768) * 256)
    whole = code.astype(np.uint32)
    parts = (whole >> 16, whole >> 8 & 255, whole & 255)
    return np.stack(parts, axis=2).astype(np.uint8)


def level(surface: np.ma.MaskedArray | None, target: Target) -> np.ndarray:
    """Heights with 0 where there is none: a renderer reads a transparent pixel as -10,000 m."""
    if surface is None:
        return np.zeros((target.height, target.width), np.float32)
    return np.ma.filled(surface, 0.0)


def terrainrgb(
    surface: np.ma.MaskedArray | None, target: Target, look: Look, light: Relief
) -> Painted:
    """Heights in Mapbox's code; 0 m where there is none."""
    return mapbox(level(surface, target) * np.float32(light.z_factor)), None


def terrarium(
    surface: np.ma.MaskedArray | None, target: Target, look: Look, light: Relief
) -> Painted:
    """Heights in the Terrarium code; 0 m where there is none."""
    return terrarium_code(level(surface, target) * np.float32(light.z_factor)), None


ALGORITHMS.update(
    hillshade=Algorithm(hillshade, margin=1),
    slope=Algorithm(slope, margin=1),
    aspect=Algorithm(aspect, margin=1),
    terrainrgb=Algorithm(terrainrgb, coded=True),
    terrarium=Algorithm(terrarium, coded=True),
)
