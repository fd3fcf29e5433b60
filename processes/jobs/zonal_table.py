"""`zonal_table`: statistics of bands, indices and formulas over many areas, as a table."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import shapely
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from processes import areas, features, known, overlap
from processes.analysis import measured as measured_bands
from processes.analysis import zonal, zones
from processes.analysis.context import MethodContext
from processes.analysis.params import ZONES_SCHEMA, BandRef, Mask, Measure, Percentile, check_zones
from processes.analysis.quantity import Quantity
from processes.analysis.summary import Summary
from processes.choose import AssetKey, BandMapping, ItemId
from processes.geometry import area_km2
from processes.method import Item, MethodError
from processes.process import (
    CSV_MEDIA_TYPE,
    FILE_MEDIA_TYPES,
    GEOJSON_MEDIA_TYPE,
    GEOPARQUET_MEDIA_TYPE,
    JobError,
    Output,
    OutputSpec,
    Price,
    RunContext,
    Source,
    SourceRef,
    file_output,
    process,
)
from raster import bands as band_names
from raster import indices
from raster.errors import RasterError

MAX_CELLS = 5_000_000
STATISTICS = ("count", "valid_percent", "min", "max", "mean", "std", "median", "sum")
_BATCH = 500
_CODES = {
    "band_missing": "band_missing",
    "no_overlap": "no_overlap",
    "grid_mismatch": "grid_mismatch",
    "not_georeferenced": "scene_unreadable",
}
_AT_ONCE = 10**15  # pixels: a job is bounded by its time

Name = Annotated[str, Field(pattern="^[A-Za-z][A-Za-z0-9_]{0,39}$")]
Formula = Annotated[str, Field(min_length=1, max_length=1024)]
Statistic = Literal["count", "valid_percent", "min", "max", "mean", "std", "median", "sum"]


def _collection(value: object) -> dict[str, Any]:
    """Areas as a FeatureCollection of nothing but ids and geometries. Raises: ValueError."""
    return {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "id": name, "properties": {}, "geometry": geometry}
            for name, geometry in check_zones(value)
        ],
    }


class ZonalTableInputs(BaseModel):
    """Whose pixels, in which areas, and which statistics."""

    model_config = ConfigDict(extra="forbid")

    source_item_id: ItemId = Field(description="The item whose pixels are measured.")
    asset_key: AssetKey | None = Field(
        default=None,
        description='Asset to read; default "data", else the first raster that has the bands.',
    )
    zones: (
        Annotated[dict[str, Any], BeforeValidator(_collection), WithJsonSchema(ZONES_SCHEMA)] | None
    ) = Field(default=None, description="The areas, up to 1,000; or `zones_item_id`.")
    zones_item_id: ItemId | None = Field(
        default=None, description=f"Item with a GeoJSON file of up to {areas.MAX_AREAS:,} areas."
    )
    zones_asset_key: AssetKey = Field(default="data", description="That file, of that item.")
    id_property: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Property of that file's areas to name them by; default their id, else their "
        "place from 0.",
    )
    bands: list[BandRef] = Field(
        default=[],
        max_length=100,
        description="By number from 1, name or role; with nothing asked for, all bands.",
    )
    index_names: list[Annotated[str, Field(min_length=1, max_length=100)]] = Field(
        default=[], max_length=50, description="Spectral indices, such as NDVI."
    )
    expressions: dict[Name, Formula] = Field(
        default={}, max_length=50, description='Name → formula: {"ratio": "b4 / b3"}.'
    )
    band_mapping: BandMapping | None = Field(
        default=None, description='1-based, e.g. {"RED": 3, "NIR": 4}; default by band names.'
    )
    statistics: list[Statistic] = Field(default=list(STATISTICS), max_length=8)
    percentiles: list[Percentile] = Field(
        default=[], max_length=50, description="0 to 100, each a column."
    )
    mask: Mask | None = Field(default=None, description="Pixels that do not count, such as clouds.")
    format: features.Format = Field(
        default="csv", description="CSV has no geometries; the other two have those of the areas."
    )
    output_name: str | None = Field(
        default=None, min_length=1, max_length=200, description="Name of the new item."
    )

    @model_validator(mode="after")
    def _fits(self) -> "ZonalTableInputs":
        if (self.zones is None) == (self.zones_item_id is None):
            raise PydanticCustomError(
                "value_error", "areas are named in one way: zones or zones_item_id"
            )
        if not (self.statistics or self.percentiles):
            raise PydanticCustomError("value_error", "statistics and percentiles are both empty")
        for name in self.index_names:
            try:
                indices.find(name)
            except band_names.BandMissing as error:
                raise PydanticCustomError("value_error", "{said}", {"said": str(error)}) from None
        return self

    def measures(self) -> list[tuple[str, Measure]]:
        """(label of its columns, what is measured); empty where all bands are meant."""
        shared: dict[str, Any] = {
            "asset_key": self.asset_key,
            "band_mapping": self.band_mapping or {},
            "mask": self.mask,
        }
        asked: list[tuple[str, dict[str, Any]]] = [
            *((f"b{b}" if isinstance(b, int) else b, {"band": b}) for b in self.bands),
            *((name.lower(), {"index_name": name}) for name in self.index_names),
            *((name, {"expression": text}) for name, text in self.expressions.items()),
        ]
        return _labelled([(label, Measure(**what, **shared)) for label, what in asked])


def _labelled(measures: Sequence[tuple[str, Measure]]) -> list[tuple[str, Measure]]:
    """The same with labels that are column names, no two alike."""
    taken: set[str] = set()
    made = []
    for label, measure in measures:
        plain = name = re.sub(r"\W+", "_", label) or "band"
        number = 2
        while name in taken:
            name, number = f"{plain}_{number}", number + 1
        taken.add(name)
        made.append((name, measure))
    return made


def sources(inputs: ZonalTableInputs) -> tuple[SourceRef, ...]:
    """The item that is measured, and the one that has the areas."""
    wanted = (inputs.asset_key,) if inputs.asset_key else None
    mask_key = inputs.mask.asset_key if inputs.mask else None
    if wanted and mask_key:
        wanted = tuple(dict.fromkeys((*wanted, mask_key)))
    zones_key = (inputs.zones_asset_key,)
    if inputs.zones_item_id is None:
        return (SourceRef(inputs.source_item_id, wanted),)
    if inputs.zones_item_id == inputs.source_item_id:
        keys = tuple(dict.fromkeys(wanted + zones_key)) if wanted else None
        return (SourceRef(inputs.source_item_id, keys, files=True),)
    return (
        SourceRef(inputs.source_item_id, wanted),
        SourceRef(inputs.zones_item_id, zones_key, files=True),
    )


def _rasters(inputs: ZonalTableInputs, given: Mapping[str, Source]) -> list[Source]:
    return [
        source
        for source in given.values()
        if source.item_id == inputs.source_item_id
        and source.asset.get("media_type") not in FILE_MEDIA_TYPES
        and (source.item_id, source.asset_key) != (inputs.zones_item_id, inputs.zones_asset_key)
    ]


def _zones_file(inputs: ZonalTableInputs, given: Mapping[str, Source]) -> Source:
    """Raises: JobError: there is none, or it is no GeoJSON."""
    for source in given.values():
        if (source.item_id, source.asset_key) == (inputs.zones_item_id, inputs.zones_asset_key):
            kind = str(source.asset.get("media_type") or GEOJSON_MEDIA_TYPE)
            if kind.partition(";")[0].strip() != GEOJSON_MEDIA_TYPE:
                raise JobError(
                    "invalid_inputs",
                    f"zones_asset_key: asset {source.asset_key!r} is {kind[:100]}, not "
                    f"{GEOJSON_MEDIA_TYPE}",
                )
            size = source.asset.get("size_bytes")
            if isinstance(size, int) and size > areas.MAX_BYTES:
                raise JobError(
                    "invalid_inputs",
                    f"zones_asset_key: the file has {size:,} bytes; at most {areas.MAX_BYTES:,}",
                )
            return source
    raise JobError("invalid_inputs", f"zones_asset_key: no asset {inputs.zones_asset_key!r}")


def check_sources(inputs: ZonalTableInputs, given: Mapping[str, Source]) -> None:
    """Whether bands and areas are there, as far as the platform knows. Raises: JobError."""
    rasters = _rasters(inputs, given)
    if not rasters:
        raise JobError("scene_unreadable", "the item has no raster asset")
    if inputs.zones_item_id is not None:
        _zones_file(inputs, given)
    item = Item(inputs.source_item_id, None, {}, tuple(rasters))
    with suppress(known.NotKnown), _refusals():
        measured = _quantities(inputs, item, known.opener(rasters))
        if inputs.zones is None:
            return
        places = inputs.zones["features"]
        _require_cells(inputs, len(places), measured)
        grids = {id(what.grid): what.grid for _, what in measured}.values()
        if not all(grid.crs for grid in grids):
            return
        if not any(overlap.has_area_on(one["geometry"], grid) for grid in grids for one in places):
            raise _none_met()


@contextmanager
def _refusals() -> Iterator[None]:
    """What measuring refuses, as a job's error. Raises: JobError."""
    try:
        yield
    except MethodError as error:
        code = _CODES.get(error.code, "invalid_inputs")
        raise JobError(code, error.message) from None
    except RasterError as error:
        if error.code != "too_complex":
            raise
        raise JobError("invalid_inputs", error.message) from None


def _none_met() -> JobError:
    return JobError("no_overlap", "every area lies outside the raster")


def _require_cells(
    inputs: ZonalTableInputs, places: int, measured: Sequence[tuple[str, Quantity]]
) -> None:
    if places * (2 + len(measured) * len(_columns("", inputs))) > MAX_CELLS:
        raise JobError("invalid_inputs", f"the table would have over {MAX_CELLS:,} cells")


def quantity(inputs: ZonalTableInputs, items: Sequence[Mapping[str, Any]]) -> Any:
    """km² of the areas on the item; of areas in a file, of the whole item."""
    if inputs.zones is None:
        return area_km2(None, items[:1])
    return area_km2(_together(inputs.zones), items[:1])


def _together(zones: Mapping[str, Any]) -> Mapping[str, Any]:
    """The areas as one geometry."""
    shapes = [shapely.geometry.shape(feature["geometry"]) for feature in zones["features"]]
    return shapely.geometry.mapping(shapely.union_all(shapes))


@process(
    id="zonal_table",
    title="Zonal table",
    keywords=("zonal statistics", "table", "polygons", "parcels", "csv"),
    category="extraction",
    inputs=ZonalTableInputs,
    outputs={
        "data": OutputSpec(
            "Table",
            "One row an area, in their order: `id`, `area_m2`, and `<band>_<statistic>`.",
            file_output(CSV_MEDIA_TYPE, GEOPARQUET_MEDIA_TYPE, GEOJSON_MEDIA_TYPE),
        )
    },
    sources=sources,
    unit="SQ_KM",
    price=Price("0.05", 1),
    quantity=quantity,
    check_sources=check_sources,
)
def run(ctx: RunContext[ZonalTableInputs]) -> list[Output]:
    """Statistics of bands, spectral indices and formulas over many areas, as CSV, GeoParquet or
    GeoJSON. Each pixel weighs as much as an area covers of it, computed exactly, as in the
    analytics method `zonal_stats`, whose numbers these are. An area without a valid pixel has a
    count of 0 and no other value."""
    inputs = ctx.inputs
    places = _places(inputs, ctx.sources)
    item = Item(inputs.source_item_id, None, {}, tuple(_rasters(inputs, ctx.sources)))
    reading = MethodContext([item], ctx.out_dir, max_pixels=_AT_ONCE)
    path = (ctx.out_dir / "zonal_table").with_suffix(features.SUFFIXES[inputs.format])
    with _refusals(), reading.opened():
        measured = _quantities(inputs, item, reading.open)
        _require_cells(inputs, len(places), measured)
        met = _write(ctx, path, places, measured)
    if not met:
        raise _none_met()
    extent = shapely.GeometryCollection([shape for _, shape in places]).envelope
    return [
        Output(
            asset_key="data",
            path=path,
            name=inputs.output_name,
            media_type=features.MEDIA_TYPES[inputs.format],
            geometry=shapely.geometry.mapping(extent),
            bbox=extent.bounds,
            properties={
                "opstac:zones": len(places),
                "opstac:zones_on_the_raster": met,
                "opstac:measures": {
                    label: {**what.label, "asset": what.asset_key, "resampling": what.resampling()}
                    | ({"reflectance": what.reflectance} if what.reflectance else {})
                    for label, what in measured
                },
            },
        )
    ]


def _quantities(
    inputs: ZonalTableInputs, item: Item, open_source: measured_bands.Open
) -> list[tuple[str, Quantity]]:
    """Label and bands of what is measured. Raises: MethodError."""
    measures = inputs.measures()
    if not measures:
        source = next((s for s in item.sources if s.asset_key == inputs.asset_key), item.sources[0])
        _, layout = open_source(source)
        chosen = Measure(band=1, asset_key=source.asset_key, mask=inputs.mask)
        measures = _labelled(
            [
                (name or f"b{index}", chosen.model_copy(update={"band": index}))
                for index, name in zip(layout.data, layout.names, strict=True)
            ]
        )
    return [(label, measured_bands.find(item, measure, open_source)) for label, measure in measures]


def _columns(label: str, inputs: ZonalTableInputs) -> dict[str, str]:
    """Column → member of `Summary.result`, or percentile."""
    made = {f"{label}_{name}": name for name in dict.fromkeys(inputs.statistics)}
    return made | {f"{label}_p{q:g}": f"{q:g}" for q in inputs.percentiles}


def _write(
    ctx: RunContext[ZonalTableInputs],
    path: Path,
    places: Sequence[tuple[str, Any]],
    measured: Sequence[tuple[str, Quantity]],
) -> int:
    """The table's rows; returns how many areas lie on the raster."""
    kinds: dict[str, features.Kind] = {"id": "text", "area_m2": "float"}
    for label, _ in measured:
        kinds |= dict.fromkeys(_columns(label, ctx.inputs), "float")
    met = 0
    with features.writer(path, ctx.inputs.format, kinds) as out:
        for begin in range(0, len(places), _BATCH):
            batch = places[begin : begin + _BATCH]
            rows = [{"id": name} for name, _ in batch]
            met += _measure(ctx.inputs, batch, measured, rows)
            ctx.progress((begin + len(batch)) / len(places), "measuring")
            out.write({c: [row[c] for row in rows] for c in kinds}, [shape for _, shape in batch])
    return met


def _measure(
    inputs: ZonalTableInputs,
    batch: Sequence[tuple[str, Any]],
    measured: Sequence[tuple[str, Quantity]],
    rows: Sequence[dict[str, Any]],
) -> int:
    """Fill the rows of some areas; returns how many of these lie on the raster.

    A block is read once for all areas and all measures of one grid.
    """
    ranked = bool(inputs.percentiles) or "median" in inputs.statistics
    geometries = [(name, shapely.geometry.mapping(shape)) for name, shape in batch]
    met: set[int] = set()
    for grid in {id(what.grid): what.grid for _, what in measured}.values():
        zoned = [zones.place(grid, name, geometry) for name, geometry in geometries]
        if grid is measured[0][1].grid:
            sizes = iter(zones.ground_m2(grid, [zone for zone in zoned if zone is not None]))
            for row, zone in zip(rows, zoned, strict=True):
                row["area_m2"] = 0.0 if zone is None else next(sizes)
        there = [(label, what) for label, what in measured if what.grid is grid]
        quantities = [what for _, what in there]
        hit = {number: zone for number, zone in enumerate(zoned) if zone is not None}
        met |= hit.keys()
        found = zonal.statistics(quantities, list(hit.values()), inputs.percentiles, ranked=ranked)
        by_row = dict(zip(hit, found, strict=True))
        nothing = [Summary().result(inputs.percentiles)] * len(there)
        for number, row in enumerate(rows):
            for (label, _), values in zip(there, by_row.get(number, nothing), strict=True):
                row |= {
                    column: values["percentiles"].get(member, values.get(member))
                    for column, member in _columns(label, inputs).items()
                }
    return len(met)


def _places(inputs: ZonalTableInputs, given: Mapping[str, Source]) -> list[tuple[str, Any]]:
    """(id, shape) of every area, EPSG:4326. Raises: JobError."""
    if inputs.zones is not None:
        found = inputs.zones["features"]
        return [(f["id"], shapely.geometry.shape(f["geometry"])) for f in found]
    source = _zones_file(inputs, given)
    try:
        return areas.read(source.path, id_property=inputs.id_property)
    except ValueError as error:
        raise JobError("invalid_inputs", f"the file of the areas: {error}") from None
