"""`vectorize`: areas of one class, or between two levels, as polygons."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated, Any

import numpy as np
import shapely
import shapely.geometry
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from processes import blocks, choose, features, outlines
from processes.blocks import Block, Files, Grid
from processes.choose import OneBand
from processes.features import PolygonFormat
from processes.geometry import area_km2
from processes.grid import carried, inside
from processes.outlines import Whole
from processes.process import (
    GEOJSON_MEDIA_TYPE,
    GEOPARQUET_MEDIA_TYPE,
    JobError,
    Output,
    OutputSpec,
    Price,
    RunContext,
    Source,
    file_output,
    process,
)

_BATCH = 2_000
_LONGEST = 64  # pixels of an edge that is moved to longitude and latitude by its ends
_PIXEL_BYTES = 250  # blocks of 512 x 512


class VectorizeInputs(OneBand):
    """Which band, and what is one area."""

    breaks: list[Annotated[float, Field(allow_inf_nan=False, ge=-1e30, le=1e30)]] = Field(
        default=[],
        max_length=100,
        description="Levels in rising order: class 0 is below the first, class 1 from it to below "
        "the next, and so on. Without them every whole number is a class of its own.",
    )
    values: list[Annotated[int, Field(ge=-(2**53), le=2**53)]] = Field(
        default=[],
        max_length=1_000,
        description="The classes wanted, such as [1] for all from the first level on; default all.",
    )
    min_pixels: int = Field(
        default=1, ge=1, le=10**9, description="Smaller areas are left out; nothing fills them."
    )
    max_features: int = Field(
        default=100_000, ge=1, le=500_000, description="A run that finds more is refused."
    )
    format: PolygonFormat = Field(
        default="geojson",
        description="GeoJSON in longitude and latitude, or GeoParquet in the raster's coordinates.",
    )

    @model_validator(mode="after")
    def _rising(self) -> "VectorizeInputs":
        if any(b <= a for a, b in zip(self.breaks, self.breaks[1:], strict=False)):
            raise PydanticCustomError("value_error", "breaks: each must be above the one before")
        return self


def check_sources(inputs: VectorizeInputs, given: Mapping[str, Source]) -> None:
    """Whether the band is there and has classes, as far as is known. Raises: JobError."""
    choose.check_band(inputs, given)
    known = choose.first(given).asset.get("bands") or ()
    if isinstance(inputs.band, int) and inputs.band <= len(known):
        band = known[inputs.band - 1]
        kind = band.get("dtype") or band.get("data_type") if isinstance(band, Mapping) else None
        if isinstance(kind, str) and not inputs.breaks:
            _require_whole(kind)


def _require_whole(kind: str) -> None:
    if not kind.startswith(("int", "uint")):
        raise JobError(
            "invalid_inputs", f"breaks: needed of a band of {kind[:40]}, no whole numbers"
        )


@process(
    id="vectorize",
    title="Vectorize",
    keywords=("polygonize", "vectorize", "polygons", "classes", "threshold"),
    category="extraction",
    inputs=VectorizeInputs,
    outputs={
        "data": OutputSpec(
            "Polygons",
            "`value` (of classes of levels also `from` and `to`) and `pixels` of each area.",
            file_output(GEOJSON_MEDIA_TYPE, GEOPARQUET_MEDIA_TYPE),
        )
    },
    sources=choose.one_item,
    unit="SQ_KM",
    price=Price("0.05", 1),
    quantity=lambda inputs, items: area_km2(inputs.geometry, items),
    check_sources=check_sources,
)
def run(ctx: RunContext[VectorizeInputs]) -> list[Output]:
    """Makes a polygon of all pixels of one class that are connected by their edges, along the
    pixels' edges, as gdal_polygonize does. A class is a whole number of the band, or what lies
    between two levels (values with scale and offset). Pixels without data, and outside the area,
    belong to none. More areas than `max_features` are refused."""
    inputs = ctx.inputs
    source = choose.first(ctx.sources)
    dataset, _, index = choose.open_band(source, inputs.band)
    with dataset, choose.refusals():
        if not inputs.breaks:
            _require_whole(dataset.dtypes[index - 1])
        grid = Grid.of(dataset, inputs.geometry)
    path = (ctx.out_dir / "polygons").with_suffix(features.SUFFIXES[inputs.format])
    columns: dict[str, features.Kind] = {"value": "int"}
    columns |= {"from": "float", "to": "float"} if inputs.breaks else {}
    columns["pixels"] = "int"
    count = 0
    with features.writer(path, inputs.format, columns, crs=grid.crs) as out:
        found = _found(ctx, grid, source, index)
        while batch := list(islice(found, _BATCH)):
            count += len(batch)
            if count > inputs.max_features:
                raise outlines.too_many(inputs.max_features)
            rows: dict[str, list[Any]] = {
                "value": [code for code, _ in batch],
                "pixels": [round(polygon.area) for _, polygon in batch],
            }
            if inputs.breaks:
                levels = [None, *inputs.breaks, None]
                rows["from"] = [levels[code] for code, _ in batch]
                rows["to"] = [levels[code + 1] for code, _ in batch]
            out.write(rows, _on_ground(grid, [polygon for _, polygon in batch], inputs.format))
    ctx.progress(1.0, "done")
    return [features.output(path, inputs.format, grid, count, inputs.output_name)]


def _found(
    ctx: RunContext[VectorizeInputs], grid: Grid, source: Source, index: int
) -> Iterator[Whole]:
    """Every area that is large enough, in an order that only the raster decides."""
    inputs = ctx.inputs
    params = {
        "key": source.asset_key,
        "band": index,
        "breaks": inputs.breaks,
        "values": inputs.values,
        "most": inputs.max_features,
        "area": carried(grid),
    }
    joiner = outlines.Joiner(grid)
    total = sum(1 for _ in grid.blocks(pixel_bytes=_PIXEL_BYTES))
    for block, pieces in blocks.results(
        trace, grid, sources={source.asset_key: source}, params=params, pixel_bytes=_PIXEL_BYTES
    ):
        for code, polygon in joiner.add(block, pieces):
            if inputs.min_pixels == 1 or polygon.area >= inputs.min_pixels:
                yield code, polygon
        ctx.progress(0.99 * (block.number + 1) / total, "tracing")


def trace(block: Block, files: Files, params: Mapping[str, Any]) -> outlines.Pieces:
    """The pieces of one block."""
    breaks = params["breaks"]
    if breaks:
        read = files.read(params["key"], block, [params["band"]])[0]
        valid = ~np.ma.getmaskarray(read) & np.isfinite(read.data)
        classes = np.searchsorted(np.array(breaks, np.float32), read.data, side="right")
    else:
        read = files.read(params["key"], block, [params["band"]], scaled=False, dtype="float64")[0]
        valid = ~np.ma.getmaskarray(read)
        classes = read.data.astype(np.int64)
    if params["values"]:
        valid &= np.isin(classes, params["values"])
    valid &= inside(params["area"], block)
    return outlines.trace(block, classes.astype(np.int64), valid, params["most"])


def _on_ground(grid: Grid, polygons: list[shapely.Polygon], form: str) -> np.ndarray:
    """Polygons in pixels as polygons in the grid's CRS."""
    t = grid.transform
    # a straight edge of a projected raster is a curve in longitude and latitude
    bent = form == "geojson" and grid.crs.is_projected
    flat = shapely.segmentize(polygons, _LONGEST) if bent else np.array(polygons, dtype=object)
    placed = shapely.transform(
        flat,
        lambda p: np.column_stack(
            [t.a * p[:, 0] + t.b * p[:, 1] + t.c, t.d * p[:, 0] + t.e * p[:, 1] + t.f]
        ),
    )
    return shapely.orient_polygons(placed, exterior_cw=False)
