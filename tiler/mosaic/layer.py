"""How all items of a mosaic are drawn: one style and one stretch, decided once.

The items looked at are the newest 200 and what the catalogue knows of them; the kind of raster
that most of them are (bands, number type) is the layer's kind, and the oldest of these is the model
whose display profile and palette are used. The stretch is that of all of them together: mean ± 2
standard deviations of the pooled values, as if they were one raster. Items of another kind are
drawn if they have bands of the same names, and left out otherwise.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np

from tiler import datasets, draw, fast, grid, rescale
from tiler.datasets import BandStatistics, Header
from tiler.errors import InvalidParameter, TileError
from tiler.mosaic.source import Bounds, Selection, Skipped
from tiler.pixels import Pixels
from tiler.source import AssetSource
from tiler.style import Look, Purpose, Style, names_of, parse_expression, style
from tiler.target import Target
from tiler.work import lane

SAMPLE = 200
FORMULA_SAMPLE = 8
MODELS = 3
"""Of the oldest, how many are opened to find a model, where they lie elsewhere."""

MAX_ITEMS_A_TILE = 64
_BY_NUMBER = re.compile(r"(?<![A-Za-z0-9_])[bB][1-9]\d*(?![A-Za-z0-9_])", re.ASCII)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A mosaic's resolved looks.

    Attributes:
        model: the asset whose bands, profile and palette stand for all.
        header: of its file, with the pooled statistics.
        style: as for one item; `rescale` is the stretch of the whole layer.
        purpose: what the style is for.
        rescaled: `rescale` as a query parameter says it.
        skipped: items of the sample that cannot be drawn.
        nodata_told: by the request or the profile; else each file has its own.
        bounds: of the footprints; west > east across the antimeridian.
    """

    model: AssetSource
    header: Header
    style: Style
    purpose: Purpose
    rescaled: str
    skipped: tuple[Skipped, ...]
    bounds: Bounds
    minzoom: int
    maxzoom: int
    nodata_told: bool = False


def build(
    sample: Sequence[AssetSource | Skipped],
    items: Sequence[str],
    boxes: Sequence[Bounds],
    matched: int,
    purpose: Purpose,
    **look: Unpack[Look],
) -> Layer:
    """The looks of a mosaic. Opens the model's file, and a few more for a formula's stretch.

    Args:
        sample: assets of the newest items; `items` their ids.
        boxes: footprints of the newest items, more of them than of the sample.
        matched: how many items the mosaic has.
        look: of the request; replaces the model's profile.

    Raises: TileError 404: there is nothing to draw. InvalidParameter: for the model.
    """
    skipped = [entry for entry in sample if isinstance(entry, Skipped)]
    assets = [entry for entry in sample if isinstance(entry, AssetSource)]
    kinds = Counter(_kind(asset) for asset in assets)
    while kinds:
        kind = kinds.most_common(1)[0][0]
        of_kind = [asset for asset in assets if _kind(asset) == kind]
        for model in reversed(of_kind):  # newest first: the last is the oldest
            if not model.path:
                continue
            try:
                header = datasets.header_of(model)
            except TileError as error:
                skipped.append(Skipped(_item(model, assets, sample, items), error.detail))
                continue
            return _layer(model, header, of_kind, skipped, boxes, matched, purpose, look)
        del kinds[kind]
    raise TileError(404, "Not Found", "there is no raster to draw in it")


def to_open(sample: Sequence[AssetSource | Skipped]) -> list[int]:
    """Places of the assets elsewhere that `build` wants open: those that it may take for a model
    or for a formula's stretch. The sample is all there is to know of the others.
    """
    places: dict[tuple[Any, ...], list[int]] = {}
    for place, asset in enumerate(sample):
        if isinstance(asset, AssetSource):
            places.setdefault(_kind(asset), []).append(place)
    found: set[int] = set()
    for of_kind in sorted(places.values(), key=len, reverse=True)[:2]:
        step = max(1, len(of_kind) // FORMULA_SAMPLE)
        found.update(of_kind[::step][:FORMULA_SAMPLE], of_kind[-MODELS:])
    return sorted(p for p in found if isinstance(a := sample[p], AssetSource) and not a.path)


def _item(
    asset: AssetSource,
    assets: Sequence[AssetSource],
    sample: Sequence[AssetSource | Skipped],
    items: Sequence[str],
) -> str:
    return next((i for i, entry in zip(items, sample, strict=False) if entry is asset), "")


def _kind(asset: AssetSource) -> tuple[Any, ...]:
    types = tuple(band.get("dtype") for band in asset.bands)
    return asset.band_names, len(asset.bands), types, asset.is_categorical


def _layer(
    model: AssetSource,
    header: Header,
    of_kind: Sequence[AssetSource],
    skipped: Sequence[Skipped],
    boxes: Sequence[Bounds],
    matched: int,
    purpose: Purpose,
    look: Look,
) -> Layer:
    pooled = _pooled_header(header, of_kind)
    chosen = style(model, header, purpose, **look)
    if chosen.rescale and chosen.palette is None and not _says_rescale(model, look):
        chosen = replace(chosen, rescale=_ranges(pooled, chosen, of_kind))
    low, high = _zooms(header, boxes, matched)
    return Layer(
        model=model,
        header=pooled,
        style=chosen,
        purpose=purpose,
        rescaled=",".join(f"{value:.9g}" for pair in chosen.rescale for value in pair),
        skipped=tuple(skipped),
        bounds=around(boxes),
        minzoom=low,
        maxzoom=high,
        nodata_told=bool(look.get("nodata")) or _config(model).get("nodata") is not None,
    )


def _says_rescale(model: AssetSource, look: Look) -> bool:
    if look.get("rescale"):
        return True
    return bool(_config(model).get("rescale")) and not (look.get("bands") or look.get("expression"))


def _config(model: AssetSource) -> Mapping[str, Any]:
    return (model.profile or {}).get("config") or {}


def _pooled_header(header: Header, assets: Sequence[AssetSource]) -> Header:
    """The header with the statistics of all assets, where the catalogue knows them."""
    found = list(header.statistics)
    for band in range(header.count):
        known = [
            statistics
            for asset in assets
            if band < len(asset.bands)
            and (statistics := rescale.of_metadata(asset.bands[band])) is not None
        ]
        if known:
            found[band] = pool(known)
    return replace(header, statistics=tuple(found))


def pool(parts: Sequence[BandStatistics]) -> BandStatistics:
    """Statistics of rasters of about the same size, taken as one."""
    mean = math.fsum(part.mean for part in parts) / len(parts)
    square = math.fsum(part.stddev**2 + part.mean**2 for part in parts) / len(parts)
    return BandStatistics(
        min(part.minimum for part in parts),
        max(part.maximum for part in parts),
        mean,
        math.sqrt(max(0.0, square - mean * mean)),
    )


def _ranges(
    pooled: Header, chosen: Style, assets: Sequence[AssetSource]
) -> tuple[rescale.Range, ...]:
    """The stretch of bands by their pooled statistics; of a formula over a few assets, spread over
    the sample.
    """
    if chosen.formula is None:
        found_bands = [pooled.statistics[index - 1] for index in chosen.bidx]
        return tuple(
            shown if known is None else rescale.default_range(known)
            for known, shown in zip(found_bands, chosen.rescale, strict=True)
        )
    step = max(1, len(assets) // FORMULA_SAMPLE)
    found: list[tuple[BandStatistics, ...]] = []
    for asset in assets[::step][:FORMULA_SAMPLE]:
        if not asset.path:
            continue
        try:
            header = datasets.header_of(asset)
            statistics = rescale.formula_statistics(
                header, chosen.formula, chosen.nodata, chosen.alpha_bidx
            )
        except TileError:
            continue
        if any(block.stddev or block.mean for block in statistics):
            found.append(statistics)
    if not found:
        return chosen.rescale
    return tuple(
        rescale.default_range(pool([blocks[position] for blocks in found]))
        for position in range(len(chosen.rescale))
    )


def _zooms(header: Header, boxes: Sequence[Bounds], matched: int) -> tuple[int, int]:
    """From where no tile touches more than `MAX_ITEMS_A_TILE` items, to the pixels' own zoom."""
    scale = max(1.0, matched / max(1, len(boxes)))
    straight = [part for box in boxes for part in _unwrapped(box)]
    for zoom in range(header.maxzoom + 1):
        side = 2**zoom
        touched: Counter[tuple[int, int]] = Counter()
        for west, south, east, north in straight:
            left, right = _column(west, side), _column(east, side)
            top, bottom = _row(north, side), _row(south, side)
            if (right - left + 1) * (bottom - top + 1) > 4096:
                continue  # so many tiles each: elsewhere others are counted
            for x in range(left, right + 1):
                for y in range(top, bottom + 1):
                    touched[x, y] += 1
        if not touched or max(touched.values()) * scale <= MAX_ITEMS_A_TILE:
            return zoom, header.maxzoom
    return header.maxzoom, header.maxzoom


def _unwrapped(box: Bounds) -> list[Bounds]:
    """The box, in two parts where it crosses the antimeridian."""
    west, south, east, north = box
    if west <= east:
        return [box]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]


def _column(longitude: float, side: int) -> int:
    return max(0, min(side - 1, math.floor((longitude + 180) / 360 * side)))


def _row(latitude: float, side: int) -> int:
    limit = math.radians(max(-grid.MAX_LATITUDE, min(grid.MAX_LATITUDE, latitude)))
    return max(0, min(side - 1, math.floor((1 - math.asinh(math.tan(limit)) / math.pi) / 2 * side)))


def around(boxes: Sequence[Bounds]) -> Bounds:
    """What holds all boxes, the shortest way round; west > east across the antimeridian."""
    if not boxes:
        return -180.0, -90.0, 180.0, 90.0
    south, north = min(box[1] for box in boxes), max(box[3] for box in boxes)
    # from west to east; what crosses the antimeridian ends beyond 180 degrees
    arcs = sorted((box[0], box[2] + 360 * (box[0] > box[2])) for box in boxes)
    widest, west = -math.inf, arcs[0][0]
    reach = max(arcs[0][1], max(right for _, right in arcs) - 360)
    for left, right in arcs[1:]:
        if left - reach > widest:
            widest, west = left - reach, left
        reach = max(reach, right)
    if arcs[0][0] + 360 - reach >= widest:  # what is open lies over the antimeridian
        west = arcs[0][0]
    east = max(right if left >= west else right + 360 for left, right in arcs)
    if east - west >= 360:
        return -180.0, south, 180.0, north
    return west, south, east - 360 if east > 180 else east, north


# -- one item of it -----------------------------------------------------------------------------


def member_style(layer: Layer, asset: AssetSource, header: Header) -> Style | str:
    """The layer's style for another raster, or why it does not fit."""
    mine, theirs = (
        names_of(layer.model.band_names, layer.header),
        names_of(asset.band_names, header),
    )
    own = style(replace(asset, profile=None), header, bands="1", rescale="0,1")
    chosen = layer.style
    if chosen.formula is not None:
        if header.count != layer.header.count and _BY_NUMBER.search(chosen.formula.text):
            return f"has {header.count} bands, not {layer.header.count}"
        try:
            formula = parse_expression(chosen.formula.text, theirs, header)
        except InvalidParameter as error:
            return str(error.errors[0]["msg"])
        bidx = formula.bands
    else:
        formula = None
        wanted = [mine[index - 1] for index in chosen.bidx]
        if header.count == layer.header.count and (mine == theirs or not all(theirs)):
            bidx = chosen.bidx
        elif all(name is not None and name in theirs for name in wanted):
            bidx = tuple(theirs.index(name) + 1 for name in wanted)
        elif header.count == layer.header.count and not all(wanted):
            bidx = chosen.bidx
        else:
            missing = [name or str(i) for i, name in zip(chosen.bidx, wanted, strict=True)]
            return f"has not the bands {', '.join(missing)}"
    return replace(
        chosen,
        bidx=bidx,
        formula=formula,
        nodata=chosen.nodata if layer.nodata_told else own.nodata,
        alpha_bidx=own.alpha_bidx,
    )


def read(asset: AssetSource, layer: Layer, target: Target) -> Pixels | str | None:
    """An item's part of a picture as the layer counts: stored numbers of the model, or a formula's
    values. None where it has no pixels there, a text where it does not fit.

    Raises: TileError.
    """
    header = datasets.header_of(asset)
    chosen = member_style(layer, asset, header)
    if isinstance(chosen, str):
        return chosen
    pixels = draw.read(header, chosen, target, exact=layer.purpose is not Purpose.PICTURE)
    if pixels is None:
        return None
    if chosen.formula is not None:
        return _computed(chosen, header, pixels)
    return _rescaled(layer, chosen, header, pixels)


@lane("slow")
def read_all(asset: AssetSource, layer: Layer, target: Target) -> Pixels | str | None:
    """As `read`, for a picture that needs every item: each is a tile, and there are dozens."""
    return read(asset, layer, target)


def _computed(chosen: Style, header: Header, pixels: Pixels) -> Pixels:
    assert chosen.formula is not None
    values = fast.evaluate(chosen.formula, header, pixels)
    hidden = np.asarray(np.ma.getmaskarray(values).any(axis=0))
    data = np.ascontiguousarray(values.data.transpose(1, 2, 0).astype(np.float32))
    masked = np.stack([hidden] * data.shape[2], axis=2) if hidden.any() else None
    return Pixels(data, masked, pixels.alpha)


def _rescaled(layer: Layer, chosen: Style, header: Header, pixels: Pixels) -> Pixels:
    """Stored numbers of another scale and offset, in those of the model."""
    factors = []
    for mine, theirs in zip(layer.style.bidx, chosen.bidx, strict=True):
        scale, offset = layer.header.scales[mine - 1], layer.header.offsets[mine - 1]
        other, shift = header.scales[theirs - 1], header.offsets[theirs - 1]
        factors.append((other / scale, (shift - offset) / scale))
    if all(pair == (1.0, 0.0) for pair in factors):
        if pixels.data.dtype != layer.header.dtype and layer.header.dtype.kind == "f":
            return replace_data(pixels, pixels.data.astype(np.float32))
        return pixels
    data = pixels.data.astype(np.float32)
    for position, (factor, shift) in enumerate(factors):
        data[..., position] = data[..., position] * factor + shift
    return replace_data(pixels, data)


def replace_data(pixels: Pixels, data: np.ndarray) -> Pixels:
    """The same picture with other values."""
    return Pixels(data, pixels.masked, pixels.alpha)


def require_order(layer: Layer, selection: Selection) -> None:
    """Raise InvalidParameter where a statistic is asked of class numbers."""
    style = layer.style
    categorical = layer.header.palette is not None or style.classes is not None
    categorical = categorical or layer.model.is_categorical
    if categorical and style.formula is None and selection in ("median", "mean"):
        raise InvalidParameter.of(
            "selection", f"the {selection} of class numbers means nothing; choose newest or first"
        )


def described(skipped: Sequence[Skipped], most: int = 20) -> list[Mapping[str, str]]:
    """Left out items for a document."""
    return [{"item_id": one.item_id, "reason": one.reason} for one in skipped[:most]]
