"""`index`: any spectral index of the catalogue, of an item."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from processes import expression, overlap
from processes.expression import ItemBands
from processes.geometry import area_km2
from processes.process import (
    RASTER_OUTPUT,
    Output,
    OutputSpec,
    Price,
    RunContext,
    Source,
    process,
)
from raster import indices
from raster.bands import BandMissing, Index


class IndexInputs(ItemBands):
    """Which index, of which item."""

    index_name: str = Field(
        min_length=1,
        max_length=100,
        title="Index",
        description="A name of `analytics.indices.list`, such as NDVI, EVI or NDWI.",
    )
    index_constants: dict[
        Annotated[str, Field(min_length=1, max_length=100)],
        Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)],
    ] = Field(
        default={},
        max_length=50,
        title="Constants",
        description='In place of the usual ones, by the published letter: {"L": 0.5}.',
    )

    @model_validator(mode="after")
    def _known(self) -> "IndexInputs":
        try:
            indices.formula_of(self.index(), self.index_constants)
        except BandMissing as error:
            raise PydanticCustomError("value_error", "{said}", {"said": str(error)}) from None
        return self

    def index(self) -> Index:
        """The index. Raises: BandMissing."""
        return indices.find(self.index_name)


def check_sources(inputs: IndexInputs, sources: Mapping[str, Source]) -> None:
    """Whether the item has the bands. Raises: JobError."""
    overlap.require(inputs.geometry, sources.values())
    mapping = indices.roles_from(inputs.band_mapping)
    expression.check(inputs.index().roles, sources, mapping, inputs.geometry)


@process(
    id="index",
    title="Spectral index",
    keywords=("index", "spectral index", "vegetation", "water", "burn", "snow", "soil"),
    category="index",
    inputs=IndexInputs,
    outputs={
        "data": OutputSpec("Index", "Cloud-optimized GeoTIFF, float32, NaN no data.", RASTER_OUTPUT)
    },
    sources=expression.sources,
    unit="SQ_KM",
    price=Price("0.05", 1),
    quantity=lambda inputs, items: area_km2(inputs.geometry, items),
    check_sources=check_sources,
)
def run(ctx: RunContext[IndexInputs]) -> list[Output]:
    """Any of the Awesome Spectral Indices, by name. Bands are found by their names, scale and
    offset are applied; where an index presupposes reflectance, whole numbers without a scale are
    divided by 10,000, bytes by 255. Bands of different grids are brought onto the coarsest of them.
    A pixel has no data where one of the bands has none or the index is not defined."""
    index = ctx.inputs.index()
    path = ctx.out_dir / "index_output.tif"
    mapping = indices.roles_from(ctx.inputs.band_mapping)
    said = expression.compute(
        path,
        indices.formula_of(index, ctx.inputs.index_constants),
        index.roles,
        ctx.inputs.model_copy(update={"band_mapping": mapping}),
        ctx.sources,
        band_names=[index.name.lower()],
        presupposed=index.reflectance,
        progress=ctx.progress,
    )
    return [
        Output(
            asset_key="data",
            path=path,
            name=ctx.inputs.output_name,
            band_names=(index.name.lower(),),
            properties={"opstac:index": index.name, "opstac:formula": index.formula, **said},
        )
    ]
