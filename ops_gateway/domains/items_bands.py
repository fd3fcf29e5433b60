"""Suggesting names for the bands of an item's file, from its pixels."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ops_gateway.domains.items_asset import find_file
from ops_gateway.kernel import assets, stored
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Invalid
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from raster import suggest
from raster.errors import RasterError


class DetectBandsInput(Input):
    """Input of items.detect_asset_bands."""

    item_id: str
    asset_id: str


class DetectBandsOutput(Output):
    """Names that fit the pixels; the current ones where none do."""

    suggested_band_names: list[Any] = Field(default_factory=list)
    current_band_names: list[Any] = Field(default_factory=list)
    method: str = suggest.METHOD
    confidence: float = Field(default=0, description="0 to 1; 0 where nothing is suggested")


async def look_at_pixels(ctx: Context, body: DetectBandsInput) -> suggest.Suggestion:
    """The suggestion, computed in the pool before the transaction opens."""
    asset = await find_file(ctx, body.item_id, body.asset_id)
    if not asset["band_count"]:
        raise Invalid.at("asset_id", f"asset '{asset['key'][:100]}' is no raster: it has no bands")
    assets.require_own(asset["href"], asset["key"])
    await ctx.release()
    told = f"{asset['checksum'][:32]}.{asset['version']}"
    file = await stored.opened(ctx.services.objects, asset["object_path"], told)
    try:
        return await ctx.compute(
            suggest.suggest_for,
            file.path,
            names_that_say_something(asset["band_names"]),
            asset["bands"],
        )
    except RasterError as error:
        raise Invalid.at("asset_id", f"the asset cannot be read: {error.message}") from None


def names_that_say_something(names: list[str]) -> list[str] | None:
    """The names, or None where they only count the bands."""
    return None if all(name == f"b{n}" for n, name in enumerate(names, 1)) else names


@operation(
    "items.detect_asset_bands",
    scope="items:read",
    effect=Effect.COMPUTE,
    prepare=look_at_pixels,
)
async def detect_bands(
    ctx: Context, body: DetectBandsInput, found: suggest.Suggestion
) -> DetectBandsOutput:
    """Auto-detect band names for an asset from its reflectance statistics.

    Changes nothing: items.set_asset_band_names takes the names over.
    """
    asset = await find_file(ctx, body.item_id, body.asset_id)
    names = list(found.names) if len(found.names) == asset["band_count"] else []
    return DetectBandsOutput(
        suggested_band_names=names or asset["band_names"],
        current_band_names=asset["band_names"],
        confidence=found.confidence if names else 0.0,
    )
