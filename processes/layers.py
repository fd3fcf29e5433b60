"""Many items as one raster: which bands of them are read, in what order, and onto which grid.

Where all items store numbers of one type, scale and offset, these numbers are what is computed and
stored; else the scaled values, as float32. `processes.composite` makes one pixel of many.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from pydantic import Field

from processes import encoding, scene, target
from processes.analysis import align, clouds
from processes.analysis.clouds import Quality
from processes.analysis.params import BandRef
from processes.analysis.series import parse_time
from processes.blocks import Grid
from processes.choose import AssetKey, ItemId
from processes.encoding import Encoding
from processes.process import JobError, Source, SourceRef
from processes.scene import Band
from raster import reader
from raster.errors import RasterError

MAX_ITEMS = 100
_NDVI = ("red", "nir")


class ManyItems(target.OnGrid):
    """Which items, which of their bands, and the grid."""

    source_item_ids: list[ItemId] = Field(
        min_length=1, max_length=MAX_ITEMS, description="The items; each counts once."
    )
    asset_key: AssetKey | None = Field(
        default=None, description='Asset of every item; default "data", else the first raster.'
    )
    bands: list[BandRef] | None = Field(
        default=None,
        min_length=1,
        max_length=50,
        description="Bands by number from 1, name or role, in this order; default all of the "
        "first item's asset, which the other items must have by the same names.",
    )
    output_name: str | None = Field(
        default=None, min_length=1, max_length=200, description="Name of the new item."
    )

    def ids(self) -> list[str]:
        """Each item once, in the order given."""
        return list(dict.fromkeys(self.source_item_ids))


def item_sources(inputs: ManyItems) -> tuple[SourceRef, ...]:
    """Every item with all its rasters: where bands and clouds lie is seen by name."""
    return tuple(SourceRef(item_id) for item_id in inputs.ids())


@dataclass(frozen=True)
class Layer:
    """What is read of one item.

    Attributes:
        bands: those of the result, in its order.
        index: red and near infrared, where the highest index decides.
    """

    item_id: str
    bands: tuple[Band, ...]
    quality: Quality | None = None
    index: tuple[Band, ...] = ()

    @property
    def item(self) -> Mapping[str, Any]:
        """The STAC item."""
        return self.bands[0].source.item


def layers(
    inputs: ManyItems,
    sources: Mapping[str, Source],
    *,
    index: bool = False,
    masks: clouds.CloudInputs | None = None,
) -> list[Layer]:
    """What is read of each item, in the order given.

    Args:
        index: also red and near infrared.
        masks: which quality band hides pixels; None for none.

    Raises: JobError: band_missing, invalid_inputs.
    """
    made: list[Layer] = []
    names: list[str] | None = None
    for item_id in inputs.ids():
        own = scene.of_item(sources, item_id)
        if not own:
            raise JobError("scene_unreadable", f"item {item_id} has no raster asset")
        quality = None if masks is None else clouds.find(masks, own)
        seen = [s for s in own if quality is None or s is not quality.band.source] or own
        found, names = _bands(inputs, item_id, seen, names)
        pair = tuple(scene.find(_NDVI, seen).values()) if index else ()
        made.append(Layer(item_id, tuple(found), quality, pair))
    return made


def _bands(
    inputs: ManyItems, item_id: str, own: Sequence[Source], names: list[str] | None
) -> tuple[list[Band], list[str] | None]:
    """The bands of one item, and the names that the next one must have."""
    given = [source for source in own if inputs.asset_key in (None, source.asset_key)]
    if not given:
        known = ", ".join(source.asset_key for source in own)
        raise JobError(
            "band_missing", f"item {item_id} has no asset {inputs.asset_key!r}; it has {known}"
        )
    if inputs.bands is not None:
        return [_one(item_id, wanted, given) for wanted in inputs.bands], None
    first = given[0]
    here = scene.names_of(first)
    if names is None:
        count = len(here) or first.asset.get("band_count") or 1
        named = here if all(here) and len(set(here)) == len(here) else []
        return [Band(first, n) for n in range(1, count + 1)], named or [""] * count
    if all(names) and all(here):
        found = scene.find(names, given)
        return [found[name] for name in names], names
    if here and len(here) != len(names):
        raise JobError(
            "band_missing",
            f"item {item_id} has {len(here)} bands, the first item {len(names)}; say which bands",
        )
    return [Band(first, n) for n in range(1, len(names) + 1)], names


def _one(item_id: str, wanted: int | str, given: Sequence[Source]) -> Band:
    if isinstance(wanted, str):
        return scene.find([wanted], given)[wanted]
    source = given[0]
    count = len(scene.names_of(source)) or source.asset.get("band_count") or 0
    if count and wanted > count:
        raise JobError("band_missing", f"item {item_id} has no band {wanted}; it has {count}")
    return Band(source, wanted)


def in_time(found: Sequence[Layer], method: str) -> list[Layer]:
    """In the order in which they are asked for a pixel. Raises: JobError: an item has no time."""
    if method == "last":
        return list(reversed(found))
    if method not in ("newest", "oldest"):
        return list(found)
    times = [_time(layer) for layer in found]
    newest = method == "newest"
    # a stable sort: of equal times the one given first
    order = sorted(range(len(found)), key=lambda n: -times[n] if newest else times[n])
    return [found[n] for n in order]


def _time(layer: Layer) -> float:
    """Seconds since 1970 of the item, or of the start of its interval."""
    item = layer.item
    properties = item.get("properties") or {}
    for name in ("datetime", "start_datetime"):
        said = item.get(name) or properties.get(name)
        if isinstance(said, datetime):
            return (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp()
        if isinstance(said, str):
            try:
                return parse_time(said).timestamp()
            except ValueError:
                continue
    raise JobError("invalid_inputs", f"method: item {layer.item_id} has no time; use first or last")


def require_grid(inputs: ManyItems, found: Sequence[Layer]) -> None:
    """Refuse a grid that `plan` would refuse, as far as it is known. Raises: JobError.

    Args:
        found: as `layers` gives them, the first item first.
    """
    target.require(inputs, [layer.bands[0].source for layer in found], meet=True)


def require_words(inputs: ManyItems, found: Sequence[Layer], *, computed: bool) -> None:
    """Refuse words on the result that do not suit what is known of the bands. Raises: JobError.

    Args:
        computed: values are computed of those of several items, which classes do not allow.
    """
    every = [band for layer in found for band in layer.bands]
    for band in every:
        source = band.source
        target.check_classes(inputs, source.asset, source.asset_key)
        if computed and source.asset.get("is_categorical"):
            raise JobError(
                "invalid_inputs",
                f"method: asset {source.asset_key!r} holds classes, which are chosen, not "
                "computed with",
            )
    said = [_stored(band) for band in every]
    if inputs.nodata is None or not all(said):
        return
    rows = {tuple(map(_stored, layer.bands)) for layer in found}
    types = {one[0] for one in said if one is not None}
    # as `_encoding`: what differs becomes float32, which holds any number that is taken
    if len(rows) == len(types) == 1:
        encoding.require_fits(inputs.nodata, types.pop())


def _stored(band: Band) -> tuple[str, float, float] | None:
    """Type, scale and offset of a band as the platform knows them."""
    for known in band.source.asset.get("bands") or ():
        if known.get("index") == band.index and known.get("dtype"):
            return known["dtype"], known.get("scale") or 1.0, known.get("offset") or 0.0
    return None


@dataclass(frozen=True)
class Plan:
    """What `processes.composite.composed` needs, and how the result is kept.

    Attributes:
        params: of the block function, but for `how`.
        sources: what it reads.
        said: properties of the new item.
    """

    grid: Grid
    encoding: Encoding
    params: dict[str, Any]
    sources: dict[str, Source]
    categorical: bool
    said: dict[str, Any]

    def pixel_bytes(self, *, at_once: int) -> int:
        """For `blocks.write`: a picture, one that is read, and so many held in the stored type."""
        bands, wide = len(self.params["names"]), np.dtype(self.encoding.exact).itemsize
        stored = np.dtype(self.encoding.dtype).itemsize
        return at_once * (bands * stored + stored + 1) + bands * 5 * wide + 48


def plan(inputs: ManyItems, order: Sequence[Layer], sources: Mapping[str, Source]) -> Plan:
    """Open each item once, lay out the grid and say what is read of it.

    Raises: JobError, RasterError.
    """
    keys = {id(source): key for key, source in sources.items()}
    given = [layer for layer in order if layer.item_id == inputs.ids()[0]] or list(order)
    with ExitStack() as stack:
        files: dict[int, Any] = {}
        for layer in order:
            for band in _every(layer):
                if id(band.source) in files:
                    continue
                dataset = stack.enter_context(reader.open_guarded(band.source.path))
                files[id(band.source)] = dataset, _layout(dataset, band.source)
                if band.index not in files[id(band.source)][1].data:
                    raise JobError(
                        "band_missing", f"item {layer.item_id} has no data band {band.index}"
                    )
        firsts = [files[id(layer.bands[0].source)][0] for layer in order]
        main = files[id(given[0].bands[0].source)]
        grid = target.of(inputs, [main[0], *(one for one in firsts if one is not main[0])])
        categorical = any(
            bool(b.source.asset.get("is_categorical")) for y in order for b in y.bands
        )
        if categorical and inputs.resampling not in target.OF_CLASSES:
            raise target.not_of_classes(order[0].bands[0].source.asset_key)
        made = _encoding(given[0], order, files).with_nodata(inputs.nodata)
        kinds: set[str] = set()
        layered: list[dict[str, Any]] = []
        for layer in order:
            entry = _entry(layer, files, keys, grid, inputs, categorical, made)
            if entry is not None:
                layered.append(entry)
                kinds |= {group["resampling"] for group in entry["groups"]}
    if not layered:
        raise JobError("no_overlap", "no item lies on the grid")
    used = {key for entry in layered for key in entry["keys"]}
    return Plan(
        grid=grid,
        encoding=made,
        params={
            "layers": layered,
            "names": list(made.names),
            "dtype": made.dtype,
            "exact": made.exact,
            "nodata": made.nodata,
        },
        sources={key: sources[key] for key in sorted(used)},
        categorical=categorical,
        said={
            "opstac:items": [entry["item"] for entry in layered],
            "opstac:resampling": sorted(kinds),
        },
    )


def _every(layer: Layer) -> tuple[Band, ...]:
    masks = () if layer.quality is None else (layer.quality.band,)
    return (*layer.bands, *layer.index, *masks)


def _layout(dataset: Any, source: Source) -> reader.Layout:
    metadata = source.asset.get("bands") or source.asset.get("raster:bands")
    return reader.layout(dataset, band_names=source.band_names, metadata=metadata)


def _encoding(first: Layer, order: Sequence[Layer], files: Mapping[int, Any]) -> Encoding:
    """Stored numbers where all items agree on what they mean, else float32."""
    names, scales, offsets = [], [], []
    said: set[tuple[Any, ...]] = set()
    for layer in order:
        row: list[Any] = []
        for band in layer.bands:
            dataset, layout = files[id(band.source)]
            at = layout.data.index(band.index)
            row.append((dataset.dtypes[band.index - 1], layout.scales[at], layout.offsets[at]))
            if layer is first:
                names.append(layout.names[at])
        said.add(tuple(row))
        if layer is first:
            scales, offsets = [scale for _, scale, _ in row], [offset for *_, offset in row]
    types = {dtype for row in said for dtype, _, _ in row}
    dataset, layout = files[id(first.bands[0].source)]
    palette = encoding.of(dataset, layout, layout.data[:1]) if dataset.count == 1 else None
    if len(said) == 1 and len(types) == 1:
        return Encoding(
            dtype=types.pop(),
            nodata=dataset.nodata,
            names=tuple(names),
            scales=tuple(scales),
            offsets=tuple(offsets),
            colors=palette.colors if palette and palette.colormap else None,
            colormap=palette.colormap if palette else None,
        )
    plain = (1.0,) * len(names), (0.0,) * len(names)
    return Encoding("float32", None, tuple(names), *plain)


def _entry(
    layer: Layer,
    files: Mapping[int, Any],
    keys: Mapping[int, str],
    grid: Grid,
    inputs: ManyItems,
    categorical: bool,
    made: Encoding,
) -> dict[str, Any] | None:
    """A layer for the block function; None where it does not lie on the grid."""
    box: list[float] | None = None
    groups: list[dict[str, Any]] = []
    wanted = [(band, place) for place, band in enumerate(layer.bands)]
    wanted += [(band, -1 - place) for place, band in enumerate(layer.index)]
    by_file: dict[int, list[tuple[Band, int]]] = {}
    for band, place in wanted:
        by_file.setdefault(id(band.source), []).append((band, place))
    for name, members in by_file.items():
        dataset, _ = files[name]
        try:
            ground = align.ground_of(dataset, grid)
        except RasterError as error:
            raise JobError("scene_unreadable", error.message) from None
        if ground.is_empty:
            return None
        low_x, low_y, high_x, high_y = ground.bounds
        near = [low_x - 2, low_y - 2, high_x + 2, high_y + 2]
        box = near if box is None else [*map(min, box[:2], near[:2]), *map(max, box[2:], near[2:])]
        kind = inputs.resampling
        if kind == "auto" or align.shift(dataset, grid) is not None:
            kind = align.resampling_for(dataset, grid, categorical=categorical)
        groups.append(
            {
                "key": keys[name],
                "bands": [band.index for band, _ in members],
                "places": [place for _, place in members],
                "resampling": kind,
            }
        )
    quality = layer.quality
    mask = None
    if quality is not None:
        mask = {
            "key": keys[id(quality.band.source)],
            "index": quality.band.index,
            "rule": quality.rule.json(),
        }
    return {
        "item": layer.item_id,
        "keys": [group["key"] for group in groups] + ([mask["key"]] if mask else []),
        "box": box,
        "groups": groups,
        "mask": mask,
        "scaled": made.dtype == "float32" and _scaled(layer, files, made),
    }


def _scaled(layer: Layer, files: Mapping[int, Any], made: Encoding) -> bool:
    """Whether the numbers of a layer are scaled when read: they are not those that are stored."""
    for band, scale, offset in zip(layer.bands, made.scales, made.offsets, strict=True):
        dataset, layout = files[id(band.source)]
        at = layout.data.index(band.index)
        if dataset.dtypes[band.index - 1] != made.dtype:
            return True
        if (layout.scales[at], layout.offsets[at]) != (scale, offset):
            return True
    return False
