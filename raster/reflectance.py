"""Reflectance of stored numbers, for the formulas whose constants presuppose it.

NDVI is the same of reflectance and of its thousandfold; EVI, `2.5 * (nir - red) / (nir + 6 * red -
7.5 * blue + 1)`, is not. Where neither file nor item say how whole numbers become reflectance, the
usual ways of storing it are taken: times 10,000, or 255 in bytes. A formula that computes what such
an index computes, however it is written and whichever bands it takes, is treated as the index, so
that a tile, a statistic, an analytics method and a job give one value.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from rasterio.io import DatasetReader

from raster import indices
from raster.bands import BandMissing
from raster.formula import Block, Formula, parse
from raster.reader import Layout

# any values of reflectance will do, so long as no index gives two of them the same number
_SAMPLES = np.array(
    [
        [0.0713, 0.1931, 0.3467, 0.4219, 0.2603],
        [0.1187, 0.0457, 0.2909, 0.1733, 0.5119],
        [0.3011, 0.2251, 0.0877, 0.5507, 0.1373],
        [0.0389, 0.4603, 0.1549, 0.2741, 0.3797],
    ]
)
_CLOSE = 5e-5  # of a value; float32 with some cancellation


def divisor(dtype: np.dtype | str, scale: float, offset: float) -> int | None:
    """What makes reflectance of a band's numbers where nothing says how.

    Returns: 10,000, or 255 of 8 bits; None for a band with a scale or offset, or of fractions.
    """
    kind = np.dtype(dtype)
    if (scale, offset) != (1.0, 0.0) or kind.kind not in "iu":
        return None
    return 255 if kind.itemsize == 1 else 10_000


def divisors(
    dataset: DatasetReader, layout: Layout, indexes: Sequence[int]
) -> dict[int, int | None]:
    """1-based band → its `divisor`, of data bands of an open file."""
    found: dict[int, int | None] = {}
    for index in indexes:
        at = layout.data.index(index)
        dtype = dataset.dtypes[index - 1]
        found[index] = divisor(dtype, layout.scales[at], layout.offsets[at])
    return found


def presupposed(formula: Formula) -> bool:
    """Whether a block of the formula is an index of reflectance."""
    return any(_is_index(block) for block in formula.blocks)


def evaluate(
    formula: Formula,
    bands: Mapping[int, np.ndarray],
    divisors: Mapping[int, int | None],
    *,
    zeroed: bool = True,
) -> np.ma.MaskedArray:
    """`formula.evaluate`, with the bands as reflectance in the blocks that presuppose it.

    Args:
        bands: as `Formula.evaluate`, scale and offset applied.
        divisors: 1-based index → what `divisor` says of the band.
        zeroed: as there.
    """
    assumed = {index: divisors.get(index) for index in formula.bands}
    if not any(assumed.values()) or not presupposed(formula):
        return formula.evaluate(bands, zeroed=zeroed)
    made = []
    for block in formula.blocks:
        single = replace(formula, blocks=(block,), bands=block.bands)
        given: Mapping[int, np.ndarray] = bands
        if _is_index(block):
            given = {index: divided(bands[index], assumed[index]) for index in block.bands}
        made.append(single.evaluate(given, zeroed=zeroed))
    return np.ma.concatenate(made) if len(made) > 1 else made[0]


def divided(values: np.ndarray, by: int | None) -> np.ndarray:
    """Numbers over a divisor, float32; as they are without one. Masks stay."""
    if by is None:
        return values
    return values.astype(np.float32, copy=False) * np.float32(1.0 / by)


@functools.lru_cache(1024)
def _is_index(block: Block) -> bool:
    """Whether a block gives, for some order of its bands, the numbers of an index."""
    count = len(block.bands)
    if count > _SAMPLES.shape[1] or _is_homogeneous(block):
        return False
    known = _fingerprints_of(count)
    for order in itertools.permutations(range(count)):
        found = _values(block, _SAMPLES[:, order])
        if np.isclose(found, known, rtol=_CLOSE, atol=1e-7).all(axis=1).any():
            return True
    return False


def _is_homogeneous(block: Block) -> bool:
    """Whether all bands times a factor give the value times a power of it: nothing presupposed."""
    one, two, four = (_values(block, _SAMPLES * factor) for factor in (1, 2, 4))
    return np.allclose(two * two, one * four, rtol=4 * _CLOSE, atol=1e-12)


def _values(block: Block, samples: np.ndarray) -> np.ndarray:
    """The block's value at each row of samples, whose columns are its bands; NaN where none is."""
    formula = Formula(text="", blocks=(block,), bands=block.bands)
    columns = samples.T.astype(np.float32)
    inputs = {index: columns[place][None] for place, index in enumerate(block.bands)}
    return np.ma.filled(formula.evaluate(inputs).astype(np.float64), np.nan).ravel()


@functools.cache
def _fingerprints_of(count: int) -> np.ndarray:
    """The values of the indices of so many bands, a row each."""
    rows = [values for bands, values in _fingerprints() if bands == count]
    return np.array(rows).reshape(-1, len(_SAMPLES))


@functools.cache
def _fingerprints() -> tuple[tuple[int, np.ndarray], ...]:
    """Number of bands and values at the samples, of each index that presupposes reflectance."""
    found: list[tuple[int, np.ndarray]] = []
    for index in indices.catalogue().values():
        if not index.reflectance or len(index.roles) > _SAMPLES.shape[1]:
            continue
        places = {role: place for place, role in enumerate(index.roles, start=1)}
        try:
            block = parse(indices.formula_of(index), mapping=places).blocks[0]
        except BandMissing:  # a constant has no usual value
            continue
        if not _is_homogeneous(block):
            found.append((len(block.bands), _values(block, _SAMPLES)))
    return tuple(found)
