"""Steepness, direction and light of a surface of heights.

Horn (1981, Proceedings of the IEEE 69, 14-47) takes a weighted difference over the eight
neighbours; Zevenbergen and Thorne (1987, Earth Surface Processes and Landforms 12, 47-56) over the
four beside the pixel, which keeps more of rough ground. Both as `gdaldem` computes them.
"""

from enum import StrEnum
from typing import Literal

import numpy as np

Missing = Literal["mirror", "middle"]


class Gradient(StrEnum):
    """How the slope of a pixel is taken from its neighbours."""

    horn = "horn"
    zevenbergen_thorne = "zevenbergen_thorne"


def rises(
    surface: np.ma.MaskedArray,
    kind: Gradient = Gradient.horn,
    missing: Missing = "middle",
) -> tuple[np.ndarray, np.ndarray]:
    """Rise per column (to the right) and per row (downwards) of all but the outermost pixels.

    Args:
        surface: heights, two rows and two columns more than the result.
        missing: a neighbour without a height is level with the middle (`middle`, as in
            `gdaldem -compute_edges`), or where the slope goes on: as far below the middle as the
            one opposite is above it (`mirror`).

    Returns: float64, in the surface's unit a pixel.
    """
    known = ~np.ma.getmaskarray(surface)
    whole = bool(known.all())
    data = surface.data.astype(np.float64)
    if not whole:
        data[~known] = 0
    rows, columns = data.shape[0] - 2, data.shape[1] - 2
    middle = data[1:-1, 1:-1]

    def at(down: int, right: int) -> np.ndarray:
        place = np.s_[1 + down : 1 + down + rows, 1 + right : 1 + right + columns]
        if whole:
            return data[place]
        if missing == "middle":
            return np.where(known[place], data[place], middle)
        other = np.s_[1 - down : 1 - down + rows, 1 - right : 1 - right + columns]
        mirrored = np.where(known[other], 2 * middle - data[other], middle)
        return np.where(known[place], data[place], mirrored)

    if kind is Gradient.zevenbergen_thorne:
        return (at(0, 1) - at(0, -1)) / 2, (at(1, 0) - at(-1, 0)) / 2
    northwest, northeast, southwest, southeast = at(-1, -1), at(-1, 1), at(1, -1), at(1, 1)
    right = (northeast - northwest) + 2 * (at(0, 1) - at(0, -1)) + (southeast - southwest)
    down = (southwest - northwest) + 2 * (at(1, 0) - at(-1, 0)) + (southeast - northeast)
    return right / 8, down / 8


def shaded(
    to_east: np.ndarray,
    to_south: np.ndarray,
    azimuth: float = 315.0,
    altitude: float = 45.0,
    z_factor: float = 1.0,
) -> np.ndarray:
    """How light falls, 1 to 255: 1 + 254 times the cosine between light and ground.

    Args:
        to_east, to_south: rise, metres a metre.
        azimuth: where the light comes from, degrees from north by east.
        altitude: of the light above the horizon, degrees.
    """
    around, above = np.radians(azimuth), np.radians(altitude)
    to_east, to_south = to_east * z_factor, to_south * z_factor
    # the ground's normal is (-rise to the east, rise to the south, 1), north and up counting up
    light = (
        np.sin(above) + np.cos(above) * (-to_east * np.sin(around) + to_south * np.cos(around))
    ) / np.sqrt(1 + to_east**2 + to_south**2)
    return np.clip(1 + 254 * light, 1, 255)


def slope_degrees(to_east: np.ndarray, to_south: np.ndarray, z_factor: float = 1.0) -> np.ndarray:
    """Steepness, 0 to 90 degrees."""
    return np.degrees(np.arctan(np.hypot(to_east, to_south) * z_factor))


def aspect_degrees(to_east: np.ndarray, to_south: np.ndarray) -> np.ndarray:
    """Where the ground falls to, degrees from north by east, 0 to 360; level ground is NaN."""
    found = np.degrees(np.arctan2(-to_east, to_south)) % 360
    return np.where((to_east == 0) & (to_south == 0), np.nan, found)
