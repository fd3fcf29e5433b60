"""From what a mosaic's items gave to bytes: a picture, values, or what is computed of heights."""

from dataclasses import replace

import numpy as np

from tiler import draw, paint
from tiler.algorithms import ALGORITHMS, look_of_heights
from tiler.draw import Output
from tiler.mosaic.layer import Layer
from tiler.mosaic.source import STATISTICS, Selection
from tiler.pixels import Pixels
from tiler.style import Look, Purpose
from tiler.target import Target


def wanted(output: Output, look: Look) -> tuple[Purpose, Look]:
    """What the layer of such an output is for, and its look. Raises: InvalidParameter."""
    output.check()
    if output.algorithm is not None:
        return Purpose.VALUES, look_of_heights(look)
    return output.purpose(look), look


def grid(target: Target, output: Output) -> Target:
    """Where the items' pixels are wanted: an algorithm looks beyond the picture's edge."""
    return target if output.algorithm is None else ALGORITHMS[output.algorithm].grid(target)


def finished(
    pixels: Pixels | None,
    selection: Selection,
    layer: Layer,
    target: Target,
    output: Output,
    look: Look,
) -> bytes:
    """The bytes of what the items gave together. Raises: InvalidParameter."""
    if output.algorithm is not None:
        surface = None
        if pixels is not None:
            surface = draw.one_band(_values(layer, pixels, unscale=True, as_computed=True))
        return draw.computed(surface, target, output, look)
    if layer.purpose is Purpose.PICTURE:
        chosen = replace(layer.style, formula=None)
        return draw.made(layer.model, layer.header, chosen, pixels, target, output, is_picture=True)
    as_computed = selection in STATISTICS
    if pixels is None:
        found = _no_values(layer, target, output, as_computed=as_computed)
    else:
        found = _values(layer, pixels, unscale=output.unscale, as_computed=as_computed)
    # of several files each may have a number of its own for no value: only a told one holds for all
    nodata = layer.style.nodata if layer.nodata_told else None
    return draw.written(
        layer.model, layer.header, layer.style, found, target, output, nodata=nodata
    )


def _values(layer: Layer, pixels: Pixels, *, unscale: bool, as_computed: bool) -> np.ma.MaskedArray:
    """(bands, rows, columns): a formula's values, scaled values, or stored numbers of the model.

    Args:
        as_computed: stored numbers stay fractions; else they are of the model's type.
    """
    chosen = layer.style
    if chosen.formula is None and (unscale or not as_computed):
        return paint.values(pixels, layer.header, chosen, unscale=unscale)
    return np.ma.stack([pixels.band(position) for position in range(pixels.data.shape[2])])


def _no_values(
    layer: Layer, target: Target, output: Output, *, as_computed: bool
) -> np.ma.MaskedArray:
    formula = layer.style.formula
    count = len(formula.blocks) if formula else len(layer.style.bidx)
    fractions = formula is not None or output.unscale or as_computed
    dtype = np.dtype(np.float32) if fractions else layer.header.dtype
    return np.ma.MaskedArray(np.zeros((count, target.height, target.width), dtype), mask=True)
