"""Which bands of an item a band, an index or an expression means."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rasterio.io import DatasetReader

from processes.analysis import align
from processes.analysis.params import Mask, Measure
from processes.analysis.quantity import Band, MaskBand, Quantity
from processes.method import Item, MethodError
from processes.process import Source
from raster import bands, indices, reflectance
from raster.bands import BandMissing
from raster.formula import Formula, FormulaError, parse
from raster.formula_tree import renumbered
from raster.reader import Layout

Open = Callable[[Source], tuple[DatasetReader, Layout]]


@dataclass(frozen=True)
class _Candidate:
    source: Source
    dataset: DatasetReader
    layout: Layout
    index: int
    name: str


def find(item: Item, measure: Measure, open_source: Open) -> Quantity:
    """What `measure` means of an item.

    Bands are looked for in the asset named, else in `data` or the first raster of the item, else
    one by one over all its rasters. An explicit mapping wins over names.

    Raises: MethodError: band_missing, invalid_params.
    """
    if not item.sources:
        raise MethodError("band_missing", f"item {item.id} has no raster asset")
    chosen = _asset(item, measure.asset_key)
    try:
        quantity = _within(item, measure, _candidates(chosen, open_source))
    except MethodError as error:
        spread = measure.asset_key is None and len(item.sources) > 1 and not measure.band_mapping
        if error.code != "band_missing" or not spread or isinstance(measure.band, int):
            raise
        quantity = _across(item, measure, open_source, error)
    if measure.mask is not None:
        quantity = replace(quantity, mask=_mask(item, chosen, measure.mask, open_source))
    return quantity


def _asset(item: Item, key: str | None) -> Source:
    if key is None:
        return item.sources[0]
    for source in item.sources:
        if source.asset_key == key:
            return source
    known = ", ".join(s.asset_key for s in item.sources)
    raise MethodError("band_missing", f"the item has no raster asset {key[:100]!r}; it has {known}")


def _candidates(source: Source, open_source: Open) -> list[_Candidate]:
    dataset, layout = open_source(source)
    return [
        _Candidate(source, dataset, layout, index, name)
        for index, name in zip(layout.data, layout.names, strict=True)
    ]


def _within(item: Item, measure: Measure, candidates: Sequence[_Candidate]) -> Quantity:
    """The measure on one asset, whose bands are `b<n>` by their place in the file."""
    count = candidates[-1].dataset.count
    names: list[str | None] = [None] * count
    for candidate in candidates:
        names[candidate.index - 1] = candidate.name or None
    by_index = {candidate.index: candidate for candidate in candidates}
    return _resolve(item, measure, names, by_index)


def _across(item: Item, measure: Measure, open_source: Open, error: MethodError) -> Quantity:
    """The measure over all rasters of the item, where each holds a band or some."""
    every: list[_Candidate] = []
    for source in item.sources:
        found = _candidates(source, open_source)
        if len(found) == 1 and bands.role(found[0].name) is None:
            found = [replace(found[0], name=source.asset_key)]
        every += found
    try:
        return _resolve(
            item,
            measure,
            [candidate.name or None for candidate in every],
            dict(enumerate(every, start=1)),
        )
    except MethodError:
        raise error from None


def _resolve(
    item: Item,
    measure: Measure,
    names: Sequence[str | None],
    by_index: Mapping[int, _Candidate],
) -> Quantity:
    mapping = indices.roles_from(measure.band_mapping) or None
    try:
        if measure.index_name is not None:
            index = indices.find(measure.index_name)
            formula, found = indices.parse(index, names, mapping, measure.index_constants)
            label: dict[str, Any] = {"index_name": index.name}
            presupposed = index.reflectance
        elif measure.expression is not None:
            formula = parse(
                measure.expression, band_names=names, mapping=mapping, band_count=len(names)
            )
            label = {"expression": measure.expression}
            presupposed = reflectance.presupposed(formula)
            found = {}
        else:
            return _single(item, measure.band, names, mapping, by_index)
    except BandMissing as error:
        raise MethodError("band_missing", str(error)) from None
    except FormulaError as error:
        code = "band_missing" if error.message.startswith("unknown band") else "invalid_params"
        raise MethodError(code, f"expression: {error}") from None
    if len(formula.blocks) != 1:
        raise MethodError("invalid_params", "expression: must give one value, not several blocks")
    used = [_at(by_index, number, names) for number in formula.bands]
    for number, name in enumerate(names, start=1):
        if name and number in formula.bands:
            found.setdefault(name, number)
    inputs = tuple(Band(c.source, c.dataset, c.layout, c.index) for c in used)
    note = None
    if presupposed:
        inputs, note = _as_reflectance(inputs)
    return Quantity(
        item_id=item.id,
        inputs=inputs,
        formula=_renumber(formula),
        grid=_grid(inputs),
        label=label,
        mapping={
            (role.upper() if bands.role(role) else role): by_index[number].index
            for role, number in found.items()
            if number in formula.bands
        },
        reflectance=note,
    )


def _renumber(formula: Formula) -> Formula:
    """The same formula over `b1`, `b2` … in the order of its bands."""
    order = {number: place for place, number in enumerate(formula.bands, start=1)}
    if all(number == place for number, place in order.items()):
        return formula
    blocks = []
    for block in formula.blocks:
        program = re.sub(r"\bx(\d+)\b", lambda m: f"x{order[int(m[1])]}", block.program)
        tree = renumbered(block.tree, order)
        used = tuple(order[band] for band in block.bands)
        blocks.append(replace(block, tree=tree, bands=used, program=program))
    return replace(formula, blocks=tuple(blocks), bands=tuple(order.values()))


def _single(
    item: Item,
    wanted: int | str | None,
    names: Sequence[str | None],
    mapping: Mapping[str, int] | None,
    by_index: Mapping[int, _Candidate],
) -> Quantity:
    number = wanted if isinstance(wanted, int) else None
    if isinstance(wanted, str):
        text = wanted.strip()
        number = bands.resolve(text, names, mapping)
        digits = text[1:] if text[:1] in ("b", "B") else text
        if digits.isascii() and digits.isdecimal() and (number is None or text[:1] != "B"):
            number = int(digits)
        if number is None:
            bands.require(text, names, mapping)
    candidate = _at(by_index, number or 0, names)
    band = Band(candidate.source, candidate.dataset, candidate.layout, candidate.index)
    return Quantity(
        item_id=item.id,
        inputs=(band,),
        formula=None,
        grid=candidate.dataset,
        label={"band": wanted, "band_index": candidate.index}
        | ({"band_name": candidate.name} if candidate.name else {}),
        mapping={},
        categorical=bool(candidate.source.asset.get("is_categorical")),
    )


def _at(by_index: Mapping[int, _Candidate], number: int, names: Sequence[str | None]) -> _Candidate:
    if number not in by_index:
        have = ", ".join(names[i - 1] or f"b{i}" for i in sorted(by_index)[:40])
        raise MethodError("band_missing", f"no band {number}; the raster's bands are: {have}")
    return by_index[number]


def _grid(inputs: Sequence[Band]) -> DatasetReader:
    grid = inputs[0].dataset
    for band in inputs[1:]:
        if not align.same_grid(grid, band.dataset):
            grid = align.coarser(grid, band.dataset)
    return grid


def _as_reflectance(inputs: tuple[Band, ...]) -> tuple[tuple[Band, ...], str | None]:
    """Whole numbers without a scale as reflectance: the index's constants presuppose it."""
    made, notes = [], []
    for band in inputs:
        divisor = reflectance.divisors(band.dataset, band.layout, [band.index])[band.index]
        if divisor is None:
            made.append(band)
            continue
        notes.append(f"stored values divided by {divisor}")
        made.append(replace(band, factor=1.0 / divisor))
    return tuple(made), notes[0] if notes else None


def _mask(item: Item, read: Source, spec: Mask, open_source: Open) -> MaskBand:
    source = read if spec.asset_key is None else _asset(item, spec.asset_key)
    dataset, layout = open_source(source)
    names: list[str | None] = [None] * dataset.count
    for index, name in zip(layout.data, layout.names, strict=True):
        names[index - 1] = name or None
    number = spec.band if isinstance(spec.band, int) else bands.resolve(spec.band, names)
    if number not in layout.data:
        raise MethodError("band_missing", f"mask: no band {str(spec.band)[:100]!r}")
    return MaskBand(Band(source, dataset, layout, number), spec)
