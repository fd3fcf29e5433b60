"""Names for bands that nobody has named, from how bright they are over plants and over bare ground.

Every common band order with the raster's number of bands is tried. Under each, the greenest and the
barest pixels are picked by the order's own red and near infrared; the order whose typical spectra
rank the bands most like the pixels do is suggested. Photographs of 8 bits are balanced by eye, so
that brightness says nothing there; their near infrared is told by how little it goes with the rest.
It is a guess, and a wrong one costs a renaming.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raster.reader import layout, open_guarded, read

METHOD = "reflectance_ranking"
SAMPLE_SIDE = 512
MIN_PIXELS = 100
FLAT = 2.0  # brightest to darkest band
APART = 0.15  # how much less near infrared goes with the colours than they with one another
CONFIDENT = 0.5  # rank correlation below which nothing is suggested

# Rough surface reflectance over green plants and over dry bare soil, by role. Only the order of the
# numbers counts: plants are dark in blue and red and bright beyond, soil brightens with wavelength.
_SPECTRA: dict[str, tuple[float, float]] = {
    "coastal": (0.025, 0.09),
    "blue": (0.03, 0.12),
    "green": (0.08, 0.17),
    "yellow": (0.06, 0.20),
    "red": (0.04, 0.22),
    "rededge": (0.12, 0.25),
    "rededge71": (0.12, 0.25),
    "rededge74": (0.30, 0.27),
    "rededge78": (0.38, 0.29),
    "nir": (0.43, 0.31),
    "nir08": (0.45, 0.32),
    "nir09": (0.44, 0.34),
    "cirrus": (0.01, 0.01),
    "swir16": (0.22, 0.38),
    "swir22": (0.11, 0.35),
}

_SENTINEL2 = "coastal blue green red rededge71 rededge74 rededge78 nir nir08 nir09"
# the likelier of two that fit alike stands first
_ORDERS = [
    text.split()
    for text in (
        "red nir",
        "nir red",
        "red green blue",
        "blue green red",
        "nir red green",
        "green red nir",
        "red green blue nir",
        "blue green red nir",
        "nir red green blue",
        "blue green red rededge nir",
        "red green blue rededge nir",
        "blue green red nir rededge",
        "blue green red nir swir16 swir22",
        "coastal blue green red nir swir16 swir22",
        "coastal blue green yellow red rededge nir nir09",
        "coastal blue green green yellow red rededge nir",
        "blue green red rededge71 rededge74 rededge78 nir nir08 swir16 swir22",
        f"{_SENTINEL2} swir16 swir22",
        f"{_SENTINEL2} cirrus swir16 swir22",
    )
]


@dataclass(frozen=True)
class Suggestion:
    """Suggested names, in band order.

    Attributes:
        names: a role for each band; empty where nothing fits.
        confidence: rank correlation of the spectra with the pixels, -1 to 1.
    """

    names: tuple[str, ...]
    confidence: float


def suggest(values: np.ndarray, *, balanced: bool = False) -> Suggestion:
    """Names for bands.

    Args:
        values: of shape (pixels, bands), any real dtype; each pixel valid in every band.
        balanced: the bands were stretched one by one, as those of photographs are.
    """
    best = Suggestion((), 0.0)
    if len(values) < MIN_PIXELS:
        return best
    exact = values.astype(np.float64)
    if balanced and exact.shape[1] in (3, 4):
        return _photograph(exact)
    # clouds are as bright in one band as in the next
    coloured = exact.max(axis=1) > FLAT * np.maximum(exact.min(axis=1), 1e-9)
    exact = exact[coloured] if coloured.sum() >= MIN_PIXELS else exact
    for order in _ORDERS:
        if len(order) != exact.shape[1]:
            continue
        score = _score(exact, order)
        # a hair's breadth is no reason to leave the likelier order
        if score > best.confidence + 0.01:
            best = Suggestion(tuple(_distinct(order)), round(score, 3))
    return best if best.confidence >= CONFIDENT else Suggestion((), best.confidence)


def _photograph(values: np.ndarray) -> Suggestion:
    """Red, green and blue, and near infrared where one band goes its own way."""
    together = np.corrcoef(values, rowvar=False)
    if not np.isfinite(together).all():
        return Suggestion((), 0.0)
    count = len(together)
    company = (together.sum(axis=0) - 1) / (count - 1)
    alone = int(company.argmin())
    others = [i for i in range(count) if i != alone]
    rest = together[np.ix_(others, others)]
    gap = float((rest.sum() - len(others)) / (len(others) * (len(others) - 1)) - company[alone])
    infrared = {(3, 0): "nir red green", (4, 0): "nir red green blue", (4, 3): "red green blue nir"}
    if gap >= APART and (order := infrared.get((count, alone))):
        return Suggestion(tuple(order.split()), round(min(1.0, 0.5 + gap), 3))
    return Suggestion(("red", "green", "blue") if count == 3 else (), CONFIDENT)


def _score(values: np.ndarray, order: Sequence[str]) -> float:
    """Mean rank correlation of an order's spectra with the pixels it takes for plants and soil."""
    expected = np.array([_SPECTRA[role] for role in order])
    if "nir" not in order or "red" not in order:
        return _rank_correlation(values.mean(axis=0), expected[:, 1])
    red, nir = values[:, order.index("red")], values[:, order.index("nir")]
    greenness = (nir - red) / np.maximum(np.abs(nir + red), 1e-9)
    low, high = np.percentile(greenness, (20, 80))
    plants = values[greenness >= high].mean(axis=0)
    bare = values[greenness <= low].mean(axis=0)
    return (_rank_correlation(plants, expected[:, 0]) + _rank_correlation(bare, expected[:, 1])) / 2


def _rank_correlation(seen: np.ndarray, expected: np.ndarray) -> float:
    """Spearman's, of two short series without ties that matter."""
    a, b = (np.argsort(np.argsort(series)).astype(float) for series in (seen, expected))
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def _distinct(order: Sequence[str]) -> list[str]:
    """Names that tell the bands apart: a second `green` becomes `green2`."""
    return [
        f"{role}{order[:at].count(role) + 1}" if role in order[:at] else role
        for at, role in enumerate(order)
    ]


def suggest_for(
    path: str | os.PathLike[str],
    band_names: Sequence[str] | None = None,
    metadata: Sequence[dict[str, Any]] | None = None,
) -> Suggestion:
    """Names for the data bands of a raster, from at most 512 pixels a side of it.

    Args:
        path: what GDAL opens; never from user input.
        band_names, metadata: as the item knows them; they decide which band is alpha.

    Raises: RasterError.
    """
    with open_guarded(path) as dataset:
        made = layout(dataset, band_names=band_names, metadata=metadata or ())
        factor = max(1.0, max(dataset.width, dataset.height) / SAMPLE_SIDE)
        shape = max(1, round(dataset.height / factor)), max(1, round(dataset.width / factor))
        sample = read(dataset, list(made.data), layout=made, scaled=True, out_shape=shape)
        balanced = all(dataset.dtypes[index - 1] == "uint8" for index in made.data)
    valid = ~np.ma.getmaskarray(sample).any(axis=0) & np.isfinite(sample.data).all(axis=0)
    return suggest(sample.data[:, valid].T, balanced=balanced)
