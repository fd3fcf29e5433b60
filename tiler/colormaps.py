"""Colour maps by name: those of rio-tiler, grouped for a picker, as tables of 256 colours."""

import difflib
from functools import lru_cache

import numpy as np

from tiler.errors import InvalidParameter
from tiler.rio import cmap

GROUPS: dict[str, tuple[str, ...]] = {
    "sequential": (
        "viridis",
        "plasma",
        "inferno",
        "magma",
        "cividis",
        "turbo",
        "greys",
        "blues",
        "greens",
        "oranges",
        "reds",
        "purples",
        "ylgn",
        "ylgnbu",
        "ylorbr",
        "ylorrd",
        "gnbu",
        "bugn",
        "pubugn",
        "rdpu",
    ),
    "diverging": (
        "rdylgn",
        "rdylbu",
        "rdbu",
        "spectral",
        "brbg",
        "piyg",
        "prgn",
        "puor",
        "coolwarm",
        "bwr",
        "seismic",
    ),
    "qualitative": ("tab10", "tab20", "set1", "set2", "set3", "paired", "accent", "dark2"),
    "terrain": ("terrain", "gist_earth", "topo", "oxy"),
    "water": ("haline", "deep", "dense", "thermal", "ice"),
    "vegetation": ("algae", "speed", "summer"),
    "cyclic": ("twilight", "phase", "hsv"),
}
"""Group → names; each also exists reversed, as `<name>_r`."""


def colormaps() -> dict[str, list[str]]:
    """Colour map names by kind, for a picker."""
    return {group: list(names) for group, names in GROUPS.items()}


@lru_cache(256)
def table(name: str) -> np.ndarray:
    """The colours of a map: uint8, shape (256, 4), red green blue alpha. Raises: InvalidParameter.

    Names compare without case.
    """
    known = cmap.list()
    wanted = name.lower()
    if wanted not in known:
        near = difflib.get_close_matches(wanted[:40], known, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise InvalidParameter.of("colormap", f"unknown colour map {name[:40]!r}{hint}")
    colors = cmap.get(wanted)
    return np.array([colors[value] for value in range(256)], np.uint8)
