"""`band_math`: a formula over the bands of an item."""

from collections.abc import Mapping

from pydantic import Field, field_validator
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
from raster.formula import MAX_CHARACTERS, FormulaError, names_in, parse


class BandMathInputs(ItemBands):
    """Which formula, over which item."""

    expression: str = Field(
        min_length=1,
        max_length=MAX_CHARACTERS,
        title="Formula",
        description="Over band names, roles or b1, b2 …: `(nir - red) / (nir + red)`. Parts "
        "between semicolons become bands.",
    )

    @field_validator("expression")
    @classmethod
    def _formula(cls, text: str) -> str:
        try:
            if not names_in(text):
                raise PydanticCustomError("value_error", "the formula names no band")
        except FormulaError as error:
            raise PydanticCustomError("value_error", "{said}", {"said": str(error)}) from None
        return text


def check_sources(inputs: BandMathInputs, sources: Mapping[str, Source]) -> None:
    """Whether the item has the bands. Raises: JobError."""
    overlap.require(inputs.geometry, sources.values())
    expression.check(names_in(inputs.expression), sources, inputs.band_mapping, inputs.geometry)


@process(
    id="band_math",
    title="Band math",
    keywords=("band math", "raster calculator", "formula", "expression"),
    category="index",
    inputs=BandMathInputs,
    outputs={
        "data": OutputSpec(
            "Values",
            "Cloud-optimized GeoTIFF, float32, NaN no data; a band for each part of the formula.",
            RASTER_OUTPUT,
        )
    },
    sources=expression.sources,
    unit="SQ_KM",
    price=Price("0.05", 1),
    quantity=lambda inputs, items: area_km2(inputs.geometry, items),
    check_sources=check_sources,
)
def run(ctx: RunContext[BandMathInputs]) -> list[Output]:
    """Computes a formula for each pixel of an item. Bands are called by name, role or number, scale
    and offset are applied. Bands of different grids are brought onto the coarsest of them. A pixel
    has no data where a band that its part uses has none, or where the result is no number."""
    text = ctx.inputs.expression
    names = names_in(text)
    numbers = expression.number(names)
    parts = parse(text, mapping=numbers, band_count=max(numbers.values())).blocks
    called = ["value"] if len(parts) == 1 else [f"value_{n}" for n in range(1, len(parts) + 1)]
    path = ctx.out_dir / "band_math_output.tif"
    said = expression.compute(
        path,
        text,
        names,
        ctx.inputs,
        ctx.sources,
        band_names=called,
        progress=ctx.progress,
    )
    return [
        Output(
            asset_key="data",
            path=path,
            name=ctx.inputs.output_name,
            band_names=tuple(called),
            properties={"opstac:expression": text, **said},
        )
    ]
