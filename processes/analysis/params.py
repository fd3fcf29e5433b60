"""Parameters that methods share: which items, which value of a pixel, where, and what is masked."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from processes.geometry import POLYGONAL_SCHEMA, check_polygonal, position

MAX_ITEMS = 100
MAX_ZONES = 1000
MAX_PIXELS = 200_000_000
"""Pixels times bands that one call reads at most."""

ItemId = Annotated[str, Field(min_length=1, max_length=200)]
Percentile = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]
BandRef = (
    Annotated[int, Field(ge=1, le=10_000, strict=True)]
    | Annotated[str, Field(min_length=1, max_length=100)]
)


class Params(BaseModel):
    """Base of a method's parameters: unknown keys are ignored, camelCase is taken for snake_case,
    and null on an optional field is the same as leaving it out.
    """

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _wire_names(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        known = dict(cast("dict[str, Any]", data))
        for name, info in cls.model_fields.items():
            camel = to_camel(name)
            if name not in known and camel != name and camel in known:
                known[name] = known.pop(camel)
            if known.get(name, ...) is None and not info.is_required():
                del known[name]
        return known


class Mask(Params):
    """Pixels that do not count: by classes of a band, such as Sentinel-2's SCL, or by its bits.

    A pixel of the mask that is itself invalid masks too.
    """

    asset_key: str | None = Field(
        default=None, max_length=200, description="Asset of the same item; default the one read."
    )
    band: BandRef = Field(default=1, description="Band of that asset, by number or name.")
    exclude: list[int] = Field(
        default=[],
        max_length=256,
        description="Values that do not count; for SCL usually 0, 1, 3, 8, 9, 10, and 11 for snow.",
    )
    keep: list[int] = Field(
        default=[], max_length=256, description="Values that alone count; excludes the rest."
    )
    bits: list[Annotated[int, Field(ge=0, le=31)]] = Field(
        default=[],
        max_length=32,
        description="Bits of which none may be set; for Landsat's QA_PIXEL usually 0 to 4.",
    )

    @model_validator(mode="after")
    def _one(self) -> "Mask":
        if not (self.exclude or self.keep or self.bits):
            raise PydanticCustomError("missing", "one of exclude, keep and bits is required")
        return self


class Measure(Params):
    """Which value of a pixel is meant: a band, an index or an expression; exactly one."""

    asset_key: str | None = Field(
        default=None,
        max_length=200,
        description='Default: "data", else the first raster of the item that has the bands; '
        "bands may also lie one in an asset.",
    )
    band: BandRef | None = Field(default=None, description="1-based number, or name or role.")
    index_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Spectral index, e.g. NDVI; see `analytics.indices.list`.",
    )
    expression: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        description="Formula over b1, b2 … or band names: `(nir - red) / (nir + red)`.",
    )
    band_mapping: dict[
        Annotated[str, Field(max_length=100)], Annotated[int, Field(ge=1, le=10_000)]
    ] = Field(
        default={},
        max_length=200,
        description='Explicit bands, e.g. {"RED": 1, "NIR": 4}; default by band names.',
    )
    index_constants: dict[
        Annotated[str, Field(max_length=100)], Annotated[float, Field(allow_inf_nan=False)]
    ] = Field(
        default={},
        max_length=50,
        description='Constants of the index other than the usual ones, e.g. {"L": 0.5}.',
    )
    mask: Mask | None = Field(default=None, description="Pixels that do not count, such as clouds.")

    @model_validator(mode="after")
    def _exactly_one(self) -> "Measure":
        given = [n for n in ("band", "index_name", "expression") if getattr(self, n) is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "value_error", "exactly one of band, index_name and expression is required"
            )
        return self


class Items(Params):
    """One item or several."""

    item_id: ItemId | None = Field(default=None, description="The item; or item_ids.")
    item_ids: list[ItemId] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_ITEMS,
        description="Several items; each has its own answer.",
    )

    @model_validator(mode="after")
    def _one_or_many(self) -> "Items":
        require_items(self.item_id, self.item_ids)
        return self


def require_items(one: object, many: object, *others: object) -> None:
    """Raise unless exactly one way to name items is used."""
    given = sum(value is not None for value in (one, many, *others))
    if given == 0:
        raise PydanticCustomError("missing", "item_id or item_ids is required")
    if given > 1:
        raise PydanticCustomError(
            "value_error", "items are named in one way: item_id or item_ids, not both"
        )


Zone = tuple[str, dict[str, Any]]
"""An id and a GeoJSON geometry."""


def check_zones(value: object) -> list[Zone]:
    """The areas of a Polygon, MultiPolygon, Feature or FeatureCollection.

    Raises: ValueError: with the place of what is wrong.
    """
    if not isinstance(value, Mapping) or value.get("type") != "FeatureCollection":
        name = value.get("id") if isinstance(value, Mapping) else None
        return [(_zone_id(name, 0), check_polygonal(value))]
    features = value.get("features")
    if not isinstance(features, list) or not features:
        raise ValueError("features must be a non-empty array")
    if len(features) > MAX_ZONES:
        raise ValueError(f"more than {MAX_ZONES} features")
    zones: list[Zone] = []
    for number, feature in enumerate(features):
        if not isinstance(feature, Mapping) or feature.get("type") != "Feature":
            raise ValueError(f"features[{number}] must be a Feature")
        try:
            geometry = check_polygonal(feature)
        except ValueError as error:
            raise ValueError(f"features[{number}]: {error}") from None
        properties = feature.get("properties")
        name = feature.get("id")
        if name is None and isinstance(properties, Mapping):
            name = properties.get("id") or properties.get("name")
        zones.append((_zone_id(name, number), geometry))
    return zones


def _zone_id(name: object, number: int) -> str:
    return str(name)[:200] if isinstance(name, str | int | float) else str(number)


def check_points(value: object) -> list[Zone]:
    """The positions of a Point, MultiPoint, Feature or FeatureCollection of points.

    Raises: ValueError.
    """
    if isinstance(value, Mapping) and value.get("type") == "FeatureCollection":
        features = value.get("features")
        if not isinstance(features, list) or not features or len(features) > MAX_ZONES:
            raise ValueError(f"features must be an array of 1 to {MAX_ZONES}")
        found: list[Zone] = []
        for number, feature in enumerate(features):
            if not isinstance(feature, Mapping):
                raise ValueError(f"features[{number}] must be a Feature")
            name = feature.get("id")
            for point in _points(feature.get("geometry"), f"features[{number}]"):
                found.append((_zone_id(name, number), point))
        return found
    if isinstance(value, Mapping) and value.get("type") == "Feature":
        value = value.get("geometry")
    return [(str(n), point) for n, point in enumerate(_points(value, ""))]


def _points(value: object, place: str) -> list[dict[str, Any]]:
    kind = value.get("type") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping) or kind not in ("Point", "MultiPoint"):
        raise ValueError(f"{place or 'geometry'} must be a GeoJSON Point or MultiPoint")
    positions = [value.get("coordinates")] if kind == "Point" else value.get("coordinates")
    if not isinstance(positions, list) or not 1 <= len(positions) <= MAX_ZONES:
        raise ValueError(f"{place or 'geometry'} must have 1 to {MAX_ZONES} positions")
    return [{"type": "Point", "coordinates": position(p, f"{place}coordinates")} for p in positions]


def check_zones_or_points(value: object) -> list[Zone]:
    """As `check_zones`; a Point is also taken."""
    if isinstance(value, Mapping):
        inner = value.get("geometry") if value.get("type") == "Feature" else value
        if isinstance(inner, Mapping) and inner.get("type") == "Point":
            return check_points(value)
    return check_zones(value)


_COLLECTION: dict[str, Any] = {
    "type": "object",
    "required": ["type", "features"],
    "properties": {"type": {"const": "FeatureCollection"}, "features": {"type": "array"}},
}
_POINT: dict[str, Any] = {
    "type": "object",
    "required": ["type", "coordinates"],
    "properties": {"type": {"enum": ["Point", "MultiPoint"]}, "coordinates": {"type": "array"}},
}
ZONES_SCHEMA: dict[str, Any] = {
    **POLYGONAL_SCHEMA,
    "title": "Polygon, MultiPolygon, Feature or FeatureCollection",
    "oneOf": [*POLYGONAL_SCHEMA["oneOf"], _COLLECTION],
}
Zones = Annotated[list[Zone], BeforeValidator(check_zones), WithJsonSchema(ZONES_SCHEMA)]
ZonesOrPoint = Annotated[
    list[Zone],
    BeforeValidator(check_zones_or_points),
    WithJsonSchema({**ZONES_SCHEMA, "oneOf": [*ZONES_SCHEMA["oneOf"], _POINT]}),
]
Points = Annotated[
    list[Zone],
    BeforeValidator(check_points),
    WithJsonSchema({"title": "Point or points", "oneOf": [_POINT, _COLLECTION]}),
]


class Area(Params):
    """Where: areas in EPSG:4326, and how much may be read."""

    geometry: Zones | None = Field(default=None, description="Default: the whole item.")
    max_pixels: int = Field(
        default=MAX_PIXELS,
        ge=1,
        le=MAX_PIXELS,
        description="The call is refused where more pixels times bands would be read.",
    )


class ItemParams(Items, Measure, Area):
    """One value of one item or several, in an area: what most methods take."""


Statistic = Literal["mean", "median", "min", "max", "std", "sum", "count"]
