"""JSON Schemas of the STAC API's description: parameters, bodies and answers."""

from __future__ import annotations

from typing import Any

from stac_api.aggregation import INTERVALS, MAX_AGGREGATIONS
from stac_api.output import FORMATS
from stac_api.request import MAX_NAMES

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": "string", "minLength": 1}
NUMBER: Schema = {"type": "number"}
OBJECT: Schema = {"type": "object"}
LIMIT: Schema = {"type": "integer", "minimum": 1}


def ref(name: str) -> Schema:
    """A reference to a schema of `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def listed(items: Schema, **more: Any) -> Schema:
    """An array."""
    return {"type": "array", "items": items, **more}


def having(required: str, **properties: Schema) -> Schema:
    """An object; `required` names members, with spaces between them."""
    found: Schema = {"type": "object", "properties": properties}
    return {**found, "required": required.split()} if required else found


_NAMES = listed(NAME, maxItems=MAX_NAMES)
_BOX = {"anyOf": [listed(NUMBER, minItems=n, maxItems=n) for n in (4, 6)]}
_POSITION = listed(NUMBER, minItems=2)


def _shape(kind: str, coordinates: Schema) -> Schema:
    return having("type coordinates", type={"const": kind}, coordinates=coordinates)


_LINE = listed(_POSITION, minItems=2)
_RING = listed(_POSITION, minItems=4)
_GEOMETRY: Schema = {
    "anyOf": [
        _shape("Point", _POSITION),
        _shape("MultiPoint", listed(_POSITION)),
        _shape("LineString", _LINE),
        _shape("MultiLineString", listed(_LINE)),
        _shape("Polygon", listed(_RING, minItems=1)),
        _shape("MultiPolygon", listed(listed(_RING, minItems=1))),
        having("type geometries", type={"const": "GeometryCollection"}, geometries=listed(OBJECT)),
    ]
}

PROBLEM: Schema = having(
    "type title status detail",
    type=TEXT,
    title=TEXT,
    status={"type": "integer"},
    detail={
        "anyOf": [
            TEXT,
            listed(having("loc msg type", loc=listed({}), msg=TEXT, type=TEXT)),
        ]
    },
    instance=TEXT,
)

_PAGE_COUNTS: Schema = {
    "links": listed(ref("Link")),
    "numberReturned": {"type": "integer", "minimum": 0},
    "numberMatched": {"type": "integer", "minimum": 0},
}
_ITEM = having(
    "type stac_version id geometry properties links assets",
    type={"const": "Feature"},
    stac_version=TEXT,
    stac_extensions=listed(TEXT),
    id=NAME,
    collection=NAME,
    geometry={"anyOf": [ref("Geometry"), {"type": "null"}]},
    bbox=_BOX,
    properties=having("datetime", datetime={"type": ["string", "null"]}),
    links=listed(ref("Link")),
    assets={"type": "object", "additionalProperties": having("href", href=TEXT)},
)
_EXTENT = having(
    "spatial temporal",
    spatial=having("bbox", bbox=listed(_BOX, minItems=1)),
    temporal=having(
        "interval",
        interval=listed(listed({"type": ["string", "null"]}, minItems=2, maxItems=2), minItems=1),
    ),
)
_COLLECTION = having(
    "type stac_version id description license extent links",
    type={"const": "Collection"},
    stac_version=TEXT,
    id=NAME,
    title=TEXT,
    description=TEXT,
    license=TEXT,
    keywords=listed(TEXT),
    extent=_EXTENT,
    links=listed(ref("Link")),
)
_BUCKET = having(
    "key data_type frequency",
    **{
        "key": TEXT,
        "data_type": TEXT,
        "frequency": {"type": "integer", "minimum": 0},
        "from": NUMBER,
        "to": NUMBER,
    },
)
SORTBY = listed(having("field", field=NAME, direction={"enum": ["asc", "desc"]}), maxItems=8)
FIELDS = having("", include=listed(TEXT), exclude=listed(TEXT))
CQL2 = {"anyOf": [having("op args", op=TEXT, args=listed({})), TEXT]}
LANGUAGE: Schema = {"type": "string", "enum": ["cql2-text", "cql2-json", "cql-json"]}
SEARCH: Schema = {
    "collections": _NAMES,
    "ids": _NAMES,
    "bbox": _BOX,
    "intersects": ref("Geometry"),
    "datetime": TEXT,
    "limit": LIMIT,
    "sortby": SORTBY,
    "fields": FIELDS,
    "filter": CQL2,
    "filter-lang": LANGUAGE,
    "filter-crs": TEXT,
    "query": OBJECT,
    "q": {"anyOf": [TEXT, listed(TEXT)]},
    "token": TEXT,
}
_AGGREGATIONS = listed(NAME, minItems=1, maxItems=MAX_AGGREGATIONS)

SCHEMAS: dict[str, Schema] = {
    "Problem": PROBLEM,
    "Geometry": _GEOMETRY,
    "Link": having("rel href", rel=TEXT, href=TEXT, type=TEXT, title=TEXT, method=TEXT, body={}),
    "Item": _ITEM,
    "ItemCollection": having(
        "type features links numberReturned",
        **{
            "type": {"const": "FeatureCollection"},
            # what `fields` leaves of items
            "features": listed(OBJECT),
            **_PAGE_COUNTS,
            "numberMatchedEstimated": {"type": "boolean"},
        },
    ),
    "Collection": _COLLECTION,
    "Collections": having("collections links", **{**_PAGE_COUNTS, "collections": listed(OBJECT)}),
    "Children": having("children links", **{**_PAGE_COUNTS, "children": listed(ref("Collection"))}),
    "Catalog": having(
        "type id stac_version description conformsTo links",
        type={"const": "Catalog"},
        id=NAME,
        stac_version=TEXT,
        title=TEXT,
        description=TEXT,
        conformsTo=listed(TEXT),
        links=listed(ref("Link")),
    ),
    "Conformance": having("conformsTo", conformsTo=listed(TEXT)),
    "Properties": having(
        "$schema $id type title properties",
        **{
            "$schema": TEXT,
            "$id": TEXT,
            "type": {"const": "object"},
            "title": TEXT,
            "properties": {"type": "object", "additionalProperties": OBJECT},
        },
    ),
    "Aggregations": having(
        "type aggregations links",
        type={"const": "AggregationCollection"},
        links=listed(ref("Link")),
        aggregations=listed(having("name data_type", name=TEXT, data_type=TEXT)),
    ),
    "Aggregation": having(
        "name data_type",
        name=TEXT,
        data_type=TEXT,
        value={"type": ["number", "string", "null"]},
        frequency_distribution_data_type=TEXT,
        buckets=listed(_BUCKET),
        overflow={"type": "integer", "minimum": 0},
    ),
    "AggregationCollection": having(
        "type aggregations links",
        type={"const": "AggregationCollection"},
        aggregations=listed(ref("Aggregation")),
        links=listed(ref("Link")),
    ),
    "Search": having("", **SEARCH),
    "Aggregate": having(
        "aggregations",
        **{
            **{k: v for k, v in SEARCH.items() if k not in ("limit", "sortby", "fields", "token")},
            "aggregations": _AGGREGATIONS,
            "datetime_frequency_interval": {"type": "string", "enum": list(INTERVALS)},
        },
    ),
    "NewItem": having(
        "type id geometry properties",
        **{**_ITEM["properties"], "stac_version": TEXT, "properties": OBJECT},
    ),
    "NewItems": having(
        "type features",
        type={"const": "FeatureCollection"},
        features=listed(ref("NewItem"), minItems=1),
    ),
    "BulkItems": having(
        "items",
        items={"type": "object", "additionalProperties": ref("NewItem"), "minProperties": 1},
        method={"enum": ["insert", "upsert"]},
    ),
    "NewCollection": having("type id description", **_COLLECTION["properties"]),
    "MergePatch": OBJECT,
    "JsonPatch": listed(
        having(
            "op path",
            **{
                "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
                "path": TEXT,
                "from": TEXT,
                "value": {},
            },
        )
    ),
    "Outcome": having(
        "received success errors",
        created={"type": "integer"},
        received={"type": "integer"},
        success={"type": "integer"},
        skipped={"type": "integer"},
        errors=listed(having("id msg", id=TEXT, msg=TEXT)),
    ),
    "Health": OBJECT,
}

_COMMAS = ", separated by commas"
PARAMETERS: dict[str, Schema] = {
    name: {"name": name, "in": "query", "description": description, "schema": schema}
    for name, (description, schema) in {
        "collections": (f"Collections{_COMMAS}.", TEXT),
        "ids": (f"Ids of items{_COMMAS}.", TEXT),
        "bbox": ("West, south, east and north in degrees, or six numbers with heights.", TEXT),
        "intersects": ("A GeoJSON geometry.", TEXT),
        "datetime": ("A time, or an interval such as 2024-01-01T00:00:00Z/..", TEXT),
        "limit": ("The length of a page.", LIMIT),
        "offset": ("What is left out before the page.", {"type": "integer", "minimum": 0}),
        "sortby": (f"Fields to order by{_COMMAS}; -field goes down.", TEXT),
        "fields": (f"Members wanted{_COMMAS}; -member is left out.", TEXT),
        "filter": ("A filter in CQL2.", TEXT),
        "filter-lang": ("The language of the filter; by default what it looks like.", LANGUAGE),
        "filter-crs": ("The reference system of the filter's geometries: CRS84.", TEXT),
        "query": ("Conditions of the query extension, as JSON.", TEXT),
        "q": ("Words to find in titles and descriptions; one of those with commas.", TEXT),
        "token": ("A place in the order, from a link to another page.", TEXT),
        "f": ("The form of the answer.", {"type": "string", "enum": list(FORMATS)}),
        "aggregations": (f"What to count{_COMMAS}; /aggregations lists it.", NAME),
        "datetime_frequency_interval": (
            "The interval of `datetime_frequency`.",
            {"type": "string", "enum": list(INTERVALS)},
        ),
        "items": (
            "What becomes of the items of a collection that is deleted; default: delete.",
            {"type": "string", "enum": ["keep", "delete"]},
        ),
    }.items()
}
