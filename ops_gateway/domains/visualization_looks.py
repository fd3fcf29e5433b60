"""The looks that a raster of given bands can be drawn in, for a picker."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field

from ops_gateway.catalogue import profile_config
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Invalid
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from raster import bands as band_roles
from raster.formula import MAX_BAND

MAX_ROLES = 200
HEIGHTS = frozenset(("elevation", "dem", "dsm", "dtm", "terrain", "height"))

# label, the roles shown as red, green and blue, what it is good for
COMPOSITES = (
    ("True colour", ("red", "green", "blue"), "natural", "As the eye sees it."),
    ("Colour infrared", ("nir", "red", "green"), "vegetation", "Healthy plants are red."),
    ("Short-wave infrared", ("swir22", "nir", "red"), "soil", "Sees through haze; burns are red."),
    ("Agriculture", ("swir16", "nir", "blue"), "vegetation", "Growing crops are bright green."),
    ("Land and water", ("nir", "swir16", "red"), "water", "Water is dark, land orange or green."),
    ("Geology", ("swir22", "swir16", "blue"), "soil", "Rock and soil in different colours."),
)


class VisualizationListInput(Input):
    """Input of visualization.list_for."""

    band_roles: dict[str, int] = Field(
        default_factory=dict, description="role or name: band, from 1"
    )
    data_type: str = "raster"
    render_params: dict[str, Any] = Field(
        default_factory=dict, description="rescale and colormap to use where a look has none"
    )
    asset: str | None = None


class VisualizationSpec(Output):
    """One look; bands, expression, colormap and rescale are parameters of a tile."""

    id: str
    label: str
    kind: Literal["rgb", "index", "elevation", "raw"]
    asset: str | None = None
    bands: list[int] | None = None
    expression: str | None = None
    colormap: str | None = None
    rescale: str | None = None
    is_default: bool = False
    category: str | None = None
    description: str = ""


class VisualizationListOutput(Output):
    """The looks, the best one first."""

    visualizations: list[VisualizationSpec]
    default_id: str = ""


def looks(
    bands: dict[str, int], data_type: str, rescale: str | None, colormap: str | None
) -> list[VisualizationSpec]:
    """Every look that the bands allow: composites, indices, then each band by itself.

    Args:
        bands: role or name → 1-based number.
        rescale, colormap: of the looks that show stored numbers.
    """
    roles = band_roles.roles_of((), bands)
    found: list[VisualizationSpec] = []
    if data_type.lower() in HEIGHTS:
        number = min(bands.values(), default=1)
        found.append(
            VisualizationSpec(
                id="elevation",
                label="Elevation",
                kind="elevation",
                bands=[number],
                colormap=colormap or "terrain",
                rescale=rescale,
                category="terrain",
                description="Heights in colours.",
            )
        )
        return found
    for label, wanted, category, text in COMPOSITES:
        numbers = [band_roles.resolve(role, (), roles) for role in wanted]
        if None not in numbers:
            found.append(
                VisualizationSpec(
                    id=label.lower().replace(" ", "-"),
                    label=label,
                    kind="rgb",
                    bands=[number for number in numbers if number is not None],
                    rescale=rescale,
                    category=category,
                    description=text,
                )
            )
    for index in band_roles.INDICES.values():
        numbers = {role: band_roles.resolve(role, (), roles) for role in index.roles}
        if None not in numbers.values():
            low, high = index.value_range
            found.append(
                VisualizationSpec(
                    id=index.name.lower(),
                    label=index.name,
                    kind="index",
                    expression=_numbered(index.formula, numbers),
                    colormap=index.colormap,
                    rescale=f"{low:g},{high:g}",
                    category=index.category,
                    description=f"{index.long_name}; {index.source}",
                )
            )
    for name, number in sorted(bands.items(), key=lambda band: (band[1], band[0])):
        found.append(
            VisualizationSpec(
                id=f"band-{number}",
                label=name,
                kind="raw",
                bands=[number],
                colormap=colormap,
                rescale=rescale,
                category="band",
                description=f"Band {number} by itself.",
            )
        )
    return list({spec.id: spec for spec in reversed(found)}.values())[::-1]


def _numbered(formula: str, numbers: dict[str, int | None]) -> str:
    """A formula in roles as one in band numbers, which every raster understands."""

    def number(match: re.Match[str]) -> str:
        return f"b{numbers[match[0]]}" if match[0] in numbers else match[0]

    return re.sub(r"[a-z]+[0-9]*", number, formula)


def _rescale_of(given: Any) -> str | None:
    """`low,high` from a text or a list. Raises Invalid."""
    if given is None:
        return None
    values = given.split(",") if isinstance(given, str) else given
    try:
        if isinstance(values, list) and values and isinstance(values[0], list):
            values = [number for pair in values for number in pair]
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        raise Invalid.at(["render_params", "rescale"], "must be two numbers: low,high") from None
    lows, highs = numbers[::2], numbers[1::2]
    if len(numbers) not in (2, 6) or not all(map(_below, lows, highs)):
        message = "must be low,high, or one such pair for each of three bands; low below high"
        raise Invalid.at(["render_params", "rescale"], message)
    return ",".join(f"{value:g}" for value in numbers)


def _below(low: float, high: float) -> bool:
    return abs(low) <= profile_config.LARGEST and abs(high) <= profile_config.LARGEST and low < high


@operation("visualization.list_for", scope="tiles:read", effect=Effect.READ)
async def list_looks(ctx: Context, body: VisualizationListInput) -> VisualizationListOutput:
    """The visualizations available for an item — RGB/index/elevation — backend-owned + resolved.

    Give the bands by their roles, as in `{"red": 3, "green": 2, "blue": 1}`; spellings such as
    `B04` or `Near Infrared` are understood.
    """
    if len(body.band_roles) > MAX_ROLES:
        raise Invalid.at("band_roles", f"more than {MAX_ROLES} bands", "too_long")
    for name, number in body.band_roles.items():
        if not 1 <= number <= MAX_BAND:
            raise Invalid.at(["band_roles", name[:100]], f"a band is a number from 1 to {MAX_BAND}")
    rescale = _rescale_of(body.render_params.get("rescale"))
    colormap = body.render_params.get("colormap")
    if colormap is not None:
        if not isinstance(colormap, str):
            raise Invalid.at(["render_params", "colormap"], "must be a name", "string_type")
        profile_config.check_colormap(colormap, "render_params", "colormap")
    found = looks(body.band_roles, body.data_type, rescale, colormap)
    for spec in found:
        spec.asset = body.asset
    if found:
        found[0].is_default = True
    return VisualizationListOutput(visualizations=found, default_id=found[0].id if found else "")
