"""`contour`: lines of equal height, or of equal value of any band."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import Annotated, Any

import numpy as np
import shapely
from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from processes import blocks, choose, features, isolines
from processes.blocks import Block, Files, Grid
from processes.choose import OneBand, check_band
from processes.features import PolygonFormat
from processes.geometry import area_km2
from processes.grid import carried, inside
from processes.process import (
    GEOJSON_MEDIA_TYPE,
    GEOPARQUET_MEDIA_TYPE,
    Output,
    OutputSpec,
    Price,
    RunContext,
    Source,
    file_output,
    process,
)
from raster import reader

_BATCH = 2_000
_PIXEL_BYTES = 250  # blocks of 512 x 512


class ContourInputs(OneBand):
    """Which band, and how far the lines are apart."""

    interval: float = Field(
        ge=1e-9, le=1e12, allow_inf_nan=False, description="From one level to the next."
    )
    base: float = Field(
        default=0, ge=-1e12, le=1e12, allow_inf_nan=False, description="A level to count from."
    )
    attribute: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")] | None = Field(
        default="height", description="The property that says a line's level; null for none."
    )
    max_features: int = Field(
        default=100_000, ge=1, le=500_000, description="A run that finds more is refused."
    )
    format: PolygonFormat = Field(
        default="geojson",
        description="GeoJSON in longitude and latitude, or GeoParquet in the raster's coordinates.",
    )

    @field_validator("attribute")
    @classmethod
    def _free(cls, name: str | None) -> str | None:
        if name == "geometry":
            raise PydanticCustomError("value_error", "attribute: geometry is the line itself")
        return name


@process(
    id="contour",
    title="Contour lines",
    keywords=("contour", "isolines", "elevation", "terrain"),
    category="terrain",
    inputs=ContourInputs,
    outputs={
        "data": OutputSpec(
            "Contour lines",
            "Lines, each with its level as `height` or the `attribute` named.",
            file_output(GEOJSON_MEDIA_TYPE, GEOPARQUET_MEDIA_TYPE),
        )
    },
    sources=choose.one_item,
    unit="SQ_KM",
    price=Price("0.05", 1),
    quantity=lambda inputs, items: area_km2(inputs.geometry, items),
    check_sources=check_band,
)
def run(ctx: RunContext[ContourInputs]) -> list[Output]:
    """Draws lines at the levels base + n * interval (values with scale and offset), straight
    between the centres of pixels, as gdal_contour does; they end at the last centres, where
    gdal_contour goes on to the edges of the pixels. Where one of four pixels beside each other has
    no data, or lies outside the area, there is no line between them. Where the four are high and
    low crosswise their mean decides. A pixel whose value is a level counts as above it. More lines
    than `max_features` are refused."""
    inputs = ctx.inputs
    source = choose.first(ctx.sources)
    dataset, _, index = choose.open_band(source, inputs.band)
    with dataset, choose.refusals():
        grid = Grid.of(dataset, inputs.geometry)
    path = (ctx.out_dir / "contours").with_suffix(features.SUFFIXES[inputs.format])
    columns: dict[str, features.Kind] = {inputs.attribute: "float"} if inputs.attribute else {}
    base, interval = Decimal(repr(inputs.base)), Decimal(repr(inputs.interval))
    count = 0
    with features.writer(path, inputs.format, columns, crs=grid.crs) as out:
        found = filter(isolines.visible, _found(ctx, grid, source, index))
        while batch := list(islice(found, _BATCH)):
            count += len(batch)
            if count > inputs.max_features:
                raise isolines.too_many(inputs.max_features)
            heights = [float(base + level * interval) for level, _ in batch]
            out.write(dict.fromkeys(columns, heights), _on_ground(grid, batch))
    ctx.progress(1.0, "done")
    return [features.output(path, inputs.format, grid, count, inputs.output_name)]


def _found(
    ctx: RunContext[ContourInputs], grid: Grid, source: Source, index: int
) -> Iterator[isolines.Line]:
    """Every line, in an order that only the raster decides."""
    inputs = ctx.inputs
    params = {
        "key": source.asset_key,
        "band": index,
        "base": inputs.base,
        "interval": inputs.interval,
        "area": carried(grid),
    }
    joiner = isolines.Joiner(grid)
    total = sum(1 for _ in grid.blocks(pixel_bytes=_PIXEL_BYTES))
    for block, lines in blocks.results(
        trace, grid, sources={source.asset_key: source}, params=params, pixel_bytes=_PIXEL_BYTES
    ):
        yield from joiner.add(block, lines)
        ctx.progress(0.99 * (block.number + 1) / total, "tracing")


def trace(block: Block, files: Files, params: Mapping[str, Any]) -> isolines.Lines:
    """The lines of one block."""
    reaching = isolines.reaching(block)
    read = files.read(params["key"], reaching, [params["band"]])[0]
    heights = np.ma.masked_array(
        (read.data.astype(np.float64) - params["base"]) / params["interval"],
        np.ma.getmaskarray(read) | ~inside(params["area"], reaching),
    )
    window = block.window
    return isolines.trace(heights, int(window.col_off), int(window.row_off))


def _on_ground(grid: Grid, lines: list[isolines.Line]) -> np.ndarray:
    """Lines in pixels as lines in the grid's CRS."""
    points: Any = np.concatenate([line for _, line in lines])
    of = np.repeat(np.arange(len(lines)), [len(line) for _, line in lines])
    x, y = reader.place(grid.transform, points[:, 0], points[:, 1])
    return np.asarray(shapely.linestrings(np.column_stack([x, y]), indices=of), dtype=object)
