"""What lies behind the items that are read: others as patches of their mean values.

On a small map thousands of items touch a tile, each with a few pixels. Opening all would take
minutes and leaving most out would show holes that are not there. So the best are read, and of the
rest each is its footprint filled with the means of its bands, which the catalogue knows.
"""

from collections.abc import Sequence

import numpy as np
import shapely
from rasterio.features import rasterize
from rasterio.transform import from_bounds

from tiler import fast, grid
from tiler.algorithms import ALGORITHMS
from tiler.draw import Output
from tiler.mosaic.layer import Layer
from tiler.mosaic.source import FIRST_OF, Patch, Selection
from tiler.pixels import Pixels
from tiler.style import names_of
from tiler.target import GEOGRAPHIC, WEB_MERCATOR, Target, transformer

MOST = 4000
"""Items that a tile shows in this way at most."""


def is_for(layer: Layer, selection: Selection, output: Output) -> bool:
    """Whether means may stand in: not for class numbers, statistics over items, or slopes."""
    by_class = layer.model.is_categorical or layer.style.classes is not None
    if by_class or layer.header.palette is not None or selection not in FIRST_OF:
        return False
    return output.algorithm is None or not ALGORITHMS[output.algorithm].margin


def draw(patches: Sequence[Patch], layer: Layer, target: Target) -> Pixels | None:
    """The patches, the first on top, in what the layer counts in; None where none shows."""
    known = [(patch, means) for patch in patches if (means := _means(patch, layer)) is not None]
    if not known:
        return None
    shapes = _placed([patch.outline for patch, _ in known], target)
    table, usable = _values(np.array([means for _, means in known], np.float32), layer)
    # the last one painted wins
    painted = [
        (shape, number)
        for number, (shape, good) in enumerate(zip(shapes, usable, strict=True), start=1)
        if good and shape is not None
    ][::-1]
    if not painted:
        return None
    index = rasterize(
        painted,
        (target.height, target.width),
        transform=from_bounds(*target.bounds, target.width, target.height),
        all_touched=True,  # an item smaller than a pixel shows as one
        dtype="uint16",
    )
    assert index is not None
    shown = index > 0
    if not shown.any():
        return None
    data = table[np.maximum(index, 1) - 1]
    if layer.style.formula is None and layer.header.dtype.kind in "iu":
        limits = np.iinfo(layer.header.dtype)
        data = np.clip(np.rint(data), limits.min, limits.max).astype(layer.header.dtype)
    return Pixels(data, None, shown.astype(np.uint8) * 255)


def tolerance(target: Target) -> float:
    """By how many degrees an outline may be wrong: about half a pixel."""
    west, south, east, north = target.bounds
    across, down = (east - west) / target.width, (north - south) / target.height
    if target.crs == WEB_MERCATOR:
        return min(across, down) / grid.HALF_WORLD_M * 90
    if target.crs == GEOGRAPHIC:
        return min(across, down) / 2
    return min(across, down) / 111_320 / 2


def _means(patch: Patch, layer: Layer) -> list[float] | None:
    """The means of the bands that the layer reads; None for an item of another kind."""
    header = layer.header
    if len(patch.bands) != header.count:
        return None
    if patch.names and patch.names != names_of(layer.model.band_names, header):
        return None
    found: list[float] = []
    for index in layer.style.bidx:
        mean, scale, offset, dtype = patch.bands[index - 1]
        if not isinstance(mean, int | float) or dtype not in (None, header.dtype.name):
            return None
        if (scale or 1.0, offset or 0.0) != (header.scales[index - 1], header.offsets[index - 1]):
            return None
        found.append(float(mean))
    return found


def _values(means: np.ndarray, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """(values of each output band, whether there are any): of a formula, that of the means.

    Args:
        means: (items, bands), stored numbers.
    """
    chosen = layer.style
    if chosen.formula is None:
        return means, np.asarray(np.isfinite(means).all(axis=1))
    found = fast.evaluate(chosen.formula, layer.header, Pixels(means[None]))[:, 0]
    return found.data.T, ~np.asarray(np.ma.getmaskarray(found).any(axis=0))


def _placed(outlines: Sequence[bytes], target: Target) -> list[shapely.Geometry | None]:
    """The outlines in the target's CRS; None where that does not reach."""
    shapes = shapely.from_wkb(np.array(outlines, dtype=object))
    if target.crs == GEOGRAPHIC:
        return list(shapes)
    moved = transformer(GEOGRAPHIC, target.crs)
    limit = grid.MAX_LATITUDE if target.crs == WEB_MERCATOR else 90.0

    def project(points: np.ndarray) -> np.ndarray:
        x, y = moved.transform(points[:, 0], np.clip(points[:, 1], -limit, limit))
        return np.stack([x, y], axis=1)

    there = shapely.transform(shapes, project)
    points, owners = shapely.get_coordinates(there, return_index=True)
    lost = set(owners[~np.isfinite(points).all(axis=1)].tolist())
    return [None if place in lost or shape.is_empty else shape for place, shape in enumerate(there)]
