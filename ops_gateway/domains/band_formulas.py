"""Band math that an organization has named, beside the templates that everybody has."""

from __future__ import annotations

import math
from typing import Annotated, Any

import psycopg
from pydantic import BeforeValidator, Field

from db.queries import queries
from ops_gateway.catalogue import profile_config
from ops_gateway.kernel import access
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Conflict, Forbidden, Invalid
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from raster.formula import FormulaError, names_in
from stac_api.document import time_text

sql = queries(__file__)

MAX_FORMULAS = 1000  # of an organization: the list is not paged
TEXTS = {"display_name": 200, "category": 200, "description": 2000}  # characters
Moment = Annotated[str, BeforeValidator(time_text)]


class BandFormulaCreateInput(Input):
    """Input of band_formulas.create."""

    name: str = Field(min_length=2, max_length=50)
    formula: str = Field(min_length=3)
    display_name: str | None = None
    description: str | None = None
    colormap: str = "RdYlGn"
    value_range: list[float] = Field(default_factory=lambda: [-1.0, 1.0])
    category: str = "custom"


class BandFormulaUpdateInput(Input):
    """Input of band_formulas.update; what is absent or null stays."""

    formula_id: str
    name: str | None = Field(default=None, min_length=2, max_length=50)
    formula: str | None = Field(default=None, min_length=3)
    display_name: str | None = None
    description: str | None = None
    colormap: str | None = None
    value_range: list[float] | None = None
    category: str | None = None


class BandFormulaGetInput(Input):
    """A formula by id."""

    formula_id: str


class BandFormulaDeleteInput(Input):
    """A formula by id."""

    formula_id: str


class BandFormulasListInput(Input):
    """Input of band_formulas.list."""

    category: str | None = None
    include_templates: bool = True


class BandFormulaOutput(Output):
    """A named formula; `required_bands` are the bands it needs, as it writes them."""

    id: str
    organization_id: str
    name: str
    display_name: str | None
    formula: str
    description: str | None
    required_bands: list[str] = Field(default_factory=list)
    colormap: str
    value_range: list[float]
    category: str
    is_template: bool
    created_at: Moment
    updated_at: Moment


class BandFormulaDetails(Output):
    """Output of band_formulas.get."""

    band_formula: BandFormulaOutput


class BandFormulasOutput(Output):
    """The organization's formulas, newest first, then the templates."""

    band_formulas: list[BandFormulaOutput]
    count: int


class BandFormulaDeleteOutput(Output):
    """Output of band_formulas.delete."""

    ok: bool = True
    id: str


# ---------------------------------------------------------------- plain functions


def checked(given: dict[str, Any]) -> dict[str, Any]:
    """The columns of a formula from what a caller said. Raises Invalid at the field."""
    columns = dict(given)
    if (name := given.get("name")) is not None:
        columns["name"] = name.strip()
        if len(columns["name"]) < 2 or not name.isprintable():
            raise Invalid.at("name", "must have two printable characters or more")
    if given.get("formula") is not None:
        try:
            columns["required_bands"] = list(names_in(given["formula"]))
        except FormulaError as error:
            raise Invalid.at("formula", str(error)) from None
    if given.get("value_range") is not None:
        pair = given["value_range"]
        if len(pair) != 2 or not all(map(math.isfinite, pair)) or not pair[0] < pair[1]:
            raise Invalid.at("value_range", "must be two numbers, the low one first: [low, high]")
    if given.get("colormap") is not None:
        profile_config.check_colormap(given["colormap"], "colormap")
    for field, longest in TEXTS.items():
        if len(given.get(field) or "") > longest:
            raise Invalid.at(field, f"longer than {longest} characters", "too_long")
    return columns


async def own(ctx: Context, formula_id: str) -> dict[str, Any]:
    """A formula that the organization may change. Raises NotFound, or Forbidden for a template."""
    row = await ctx.one("band formula", sql.formula, id=formula_id)
    if row["is_template"]:
        raise Forbidden(f"'{row['name']}' is a template: make a formula of your own from it")
    return row


def taken(name: str) -> Conflict:
    """The refusal of a name that another formula of the organization has."""
    return Conflict(f"the organization has a formula named '{name[:60]}' already")


# ---------------------------------------------------------------- operations


@operation("band_formulas.list", scope="band_formulas:read", effect=Effect.READ)
async def list_formulas(ctx: Context, body: BandFormulasListInput) -> BandFormulasOutput:
    """List the caller-org's custom band-math formulas (optional category/template filters)."""
    found = await ctx.rows(
        BandFormulaOutput, sql.formulas, category=body.category, templates=body.include_templates
    )
    return BandFormulasOutput(band_formulas=found, count=len(found))


@operation("band_formulas.get", scope="band_formulas:read", effect=Effect.READ)
async def get_formula(ctx: Context, body: BandFormulaGetInput) -> BandFormulaDetails:
    """Get a single custom band-math formula by id (org-scoped; cross-org → 404)."""
    row = await ctx.one("band formula", sql.formula, id=body.formula_id)
    return BandFormulaDetails(band_formula=BandFormulaOutput.model_validate(row))


@operation(
    "band_formulas.create",
    scope="band_formulas:write",
    effect=Effect.COMPUTE,
)
async def create_formula(ctx: Context, body: BandFormulaCreateInput) -> BandFormulaOutput:
    """Create a custom band-math formula for the caller's organization (write scope)."""
    columns = checked(body.model_dump())
    await access.count_alone(ctx, "band_formulas")
    if (await ctx.one("organization", sql.how_many))["count"] >= MAX_FORMULAS:
        raise Conflict(f"an organization has at most {MAX_FORMULAS} formulas; delete one first")
    row = await ctx.row(None, sql.insert_formula, id=new_id("bf"), by=access.human(ctx), **columns)
    if row is None:
        raise taken(columns["name"])
    ctx.produced("band_formula", row["id"])
    return BandFormulaOutput.model_validate(row)


@operation("band_formulas.update", scope="band_formulas:write", effect=Effect.COMPUTE)
async def update_formula(ctx: Context, body: BandFormulaUpdateInput) -> BandFormulaOutput:
    """Update a custom band-math formula (write scope; org-scoped)."""
    row = await own(ctx, body.formula_id)
    new = checked(body.model_dump(exclude={"formula_id"}, exclude_none=True))
    columns = {name: new.get(name, row[name]) for name in CHANGEABLE}
    try:
        row = await ctx.one("band formula", sql.update_formula, id=row["id"], **columns)
    except psycopg.errors.UniqueViolation:
        raise taken(columns["name"]) from None
    ctx.produced("band_formula", row["id"])
    return BandFormulaOutput.model_validate(row)


CHANGEABLE = (
    *("name", "display_name", "formula", "description", "required_bands", "colormap"),
    *("value_range", "category"),
)


@operation("band_formulas.delete", scope="band_formulas:write", effect=Effect.DESTRUCTIVE)
async def delete_formula(ctx: Context, body: BandFormulaDeleteInput) -> BandFormulaDeleteOutput:
    """Delete a custom band-math formula (write scope; templates are protected)."""
    row = await own(ctx, body.formula_id)
    await ctx.execute(sql.delete_formula, id=row["id"])
    ctx.produced("band_formula", row["id"])
    return BandFormulaDeleteOutput(id=row["id"])
