"""Items as STAC documents: as stored in pgstac, and as a client sees them.

Stored, an item's `id` is the platform's, `opstac:project`, `opstac:collection` and `opstac:stac_id`
are properties of it, and an asset's `href` is only the asset's id. `feature` turns that into what a
client sees: the client's own id, the collection it knows, links and addresses under the base URL
the client came by.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urljoin

from stac_api.renders import RENDER, renders
from stac_api.sensors import wavelengths

STAC_VERSION = "1.0.0"
FORMAT = 1  # of stored documents: the column item.document_format, whose default it is
GEOJSON = "application/geo+json"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"

EO = "https://stac-extensions.github.io/eo/v1.1.0/schema.json"
FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
RASTER = "https://stac-extensions.github.io/raster/v1.1.0/schema.json"
CLASSIFICATION = "https://stac-extensions.github.io/classification/v2.0.0/schema.json"
PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
TIMESTAMPS = "https://stac-extensions.github.io/timestamps/v1.1.0/schema.json"
VERSION = "https://stac-extensions.github.io/version/v1.2.0/schema.json"
WEB_MAP_LINKS = "https://stac-extensions.github.io/web-map-links/v1.2.0/schema.json"

PRIVATE = "opstac:"
_PLACE = ("id", "project", "collection", "stac_id", "type", "render", "provenance", "version")
RESERVED = frozenset(PRIVATE + name for name in _PLACE)
"""Names that say where an item is and who may see it; nothing else gives them."""
CANONICAL = "/assets/stac"  # of the two mounts the one that a document is at home in
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_WEB_MAPS = frozenset(("tilejson", "wmts", "xyz"))

# what the eo extension calls a band; a name beyond these would not validate
EO_COMMON_NAMES = frozenset(
    (
        "coastal",
        "blue",
        "green",
        "red",
        "rededge",
        "yellow",
        "pan",
        "nir",
        "nir08",
        "nir09",
        "cirrus",
        "swir16",
        "swir22",
        "lwir",
        "lwir11",
        "lwir12",
    )
)
_RASTER_TYPES = frozenset(
    (
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
        "cint16",
        "cint32",
        "cfloat32",
        "cfloat64",
    )
)
# pgstac keeps no item without a geometry: this stands for "none" and is read back as null
NO_GEOMETRY = {"type": "GeometryCollection", "geometries": []}

Document = dict[str, Any]


def _no_links(item: Mapping[str, Any], base: str) -> list[dict[str, Any]]:
    return []


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a client reached us, for every address in an answer.

    Attributes:
        base: scheme, host and path before our mount, without a slash at the end.
        prefix: path of the mount, e.g. `/assets/stac`.
        item_links: (stored item, base) → further links of an item, such as its TileJSON.
    """

    base: str
    prefix: str = "/assets/stac"
    item_links: Callable[[Mapping[str, Any], str], list[dict[str, Any]]] = _no_links

    @property
    def root(self) -> str:
        """Address of the landing page."""
        return self.base + self.prefix


def item_document(
    item: Mapping[str, Any],
    assets: Sequence[Mapping[str, Any]],
    profiles: Sequence[Mapping[str, Any]] = (),
) -> Document:
    """The document `writes.put_items` stores for a row of table `item` and its `asset` rows.

    Args:
        item: columns id, project_id, collection_id, stac_id, type, name, description, geometry,
            bbox, datetime, start_datetime, end_datetime, cloud_cover, gsd, properties,
            stac_extensions, links, version, created_at, updated_at; times as datetime or RFC 3339
            text.
        assets: columns id, key, title, media_type, roles, size_bytes, checksum (SHA-256, hex),
            epsg, width, height, transform (affine, row order), nodata, nodata_is_nan, bands,
            is_cog, datetime; of one that lies elsewhere href, and stac for the rest of it.
        profiles: rows of `visualization_profile`, for `renders`.
    """
    extensions = {str(uri) for uri in item.get("stac_extensions") or ()}
    # visibility hangs on these, so a row's own are never taken
    properties = {
        key: value for key, value in (item.get("properties") or {}).items() if key not in RESERVED
    }
    properties["datetime"] = time_text(item.get("datetime"))
    if item.get("start_datetime") is not None and item.get("end_datetime") is not None:
        properties["start_datetime"] = time_text(item["start_datetime"])
        properties["end_datetime"] = time_text(item["end_datetime"])
    properties["title"] = item["name"]
    for key, value in (
        ("description", item.get("description") or None),
        ("created", time_text(item.get("created_at"))),
        ("updated", time_text(item.get("updated_at"))),
        ("gsd", _finite(item.get("gsd"))),
        ("eo:cloud_cover", _finite(item.get("cloud_cover"))),
    ):
        if value is not None and not _spells(properties.get(key), value):
            properties[key] = value
    if "eo:cloud_cover" in properties:
        extensions.add(EO)
    # the data's own publication and version, where a client says so, count more than ours
    properties.setdefault("published", time_text(item.get("created_at")))
    if item.get("expires_at") is not None:
        properties["expires"] = time_text(item["expires_at"])
    extensions.add(TIMESTAMPS)
    properties.setdefault("version", str(item.get("version") or 1))
    extensions.add(VERSION)
    if any(name.startswith("processing:") for name in properties):
        extensions.add(PROCESSING)
    if drawn := renders(profiles, assets):
        properties["renders"] = drawn
        # whose picture the map links show
        shown = next((p["name"] for p in profiles if p["is_default"]), None)
        properties["opstac:render"] = shown if shown in drawn else next(iter(drawn))
        extensions.add(RENDER)
    properties["opstac:project"] = item["project_id"]
    properties["opstac:collection"] = item.get("collection_id") or item["project_id"]
    properties["opstac:stac_id"] = item["stac_id"]
    properties["opstac:type"] = item.get("type")
    if (item.get("version") or 1) > 1:  # of which there is something to look back to
        properties["opstac:version"] = item["version"]
    documents = {}
    centres = wavelengths(properties)
    for asset in assets:
        documents[asset["key"]] = asset_document(asset, extensions, centres)
    document: Document = {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "id": item["id"],
        "geometry": item.get("geometry") or NO_GEOMETRY,
        "properties": properties,
        "stac_extensions": sorted(extensions),
        "assets": documents,
        "links": list(item.get("links") or ()),
    }
    if item.get("geometry") and item.get("bbox"):
        document["bbox"] = list(item["bbox"])
    return document


def asset_document(
    asset: Mapping[str, Any], extensions: set[str], centres: Mapping[str, float] | None = None
) -> Document:
    """One asset as stored, `href` its id; adds the extensions it uses to `extensions`.

    `centres`: role → centre wavelength in micrometres, where the sensor is known.

    One that lies elsewhere is what its catalogue said of it, at its own href.
    """
    if asset.get("href"):
        return {**asset["stac"], "href": asset["href"]}
    document: Document = {
        "href": asset["id"],
        "type": COG if asset.get("is_cog") else asset["media_type"],
        "roles": list(asset.get("roles") or ["data"]),
    }
    if asset.get("title"):
        document["title"] = asset["title"]
    if asset.get("datetime") is not None:
        document["datetime"] = time_text(asset["datetime"])
    if asset.get("size_bytes") is not None:
        document["file:size"] = asset["size_bytes"]
        extensions.add(FILE)
    checksum = str(asset.get("checksum") or "").removeprefix("sha256:")
    if len(checksum) == 64:
        document["file:checksum"] = "1220" + checksum  # multihash: SHA-256, 32 bytes
        extensions.add(FILE)
    raster = asset.get("raster") or {}
    _project(document, asset, raster)
    if any(name.startswith("proj:") for name in document):
        extensions.add(PROJECTION)
    if bands := asset.get("bands"):
        nodata = "nan" if asset.get("nodata_is_nan") else _finite(asset.get("nodata"))
        ground = {"spatial_resolution": _finite(raster.get("gsd_m"))}
        document["raster:bands"] = [_raster_band({**ground, **band}, nodata) for band in bands]
        document["eo:bands"] = [
            _eo_band(band, number, centres or {}) for number, band in enumerate(bands, 1)
        ]
        extensions |= {RASTER, EO}
    if classes := raster.get("classes"):
        document["classification:classes"] = list(classes)
        extensions.add(CLASSIFICATION)
    return document


def _project(document: Document, asset: Mapping[str, Any], raster: Mapping[str, Any]) -> None:
    """Where the pixels lie: the projection extension, in the raster's own system."""
    known = raster.get("proj") or {}
    if asset.get("epsg"):
        document["proj:code"] = f"EPSG:{asset['epsg']}"
    elif known.get("proj:wkt2"):
        document |= {"proj:code": None, "proj:wkt2": known["proj:wkt2"]}
    if not (asset.get("width") and asset.get("height")):
        return
    document["proj:shape"] = [asset["height"], asset["width"]]
    if asset.get("transform"):
        document["proj:transform"] = list(asset["transform"])
    if known.get("proj:bbox"):
        document["proj:bbox"] = list(known["proj:bbox"])


def _raster_band(band: Mapping[str, Any], nodata: Any) -> Document:
    document: Document = {}
    if band.get("dtype"):
        document["data_type"] = band["dtype"] if band["dtype"] in _RASTER_TYPES else "other"
    own = _finite(band.get("nodata"))
    if own is not None or nodata is not None:
        document["nodata"] = nodata if own is None else own
    names = ("minimum", "maximum", "mean", "stddev", "valid_percent")
    statistics = {k: v for k in names if (v := _finite(band.get(k))) is not None}
    if statistics:
        document["statistics"] = statistics
    for key in ("scale", "offset", "spatial_resolution"):
        if (value := _finite(band.get(key))) is not None:
            document[key] = value
    if band.get("unit"):
        document["unit"] = band["unit"]
    return document


def _eo_band(band: Mapping[str, Any], number: int, centres: Mapping[str, float]) -> Document:
    document: Document = {"name": str(band.get("name") or f"b{number}")}
    role = str(band.get("common_name") or "")
    # the extension knows one red edge, we know three
    common = "rededge" if role.startswith("rededge") else role
    if common in EO_COMMON_NAMES:
        document["common_name"] = common
    if role in centres:
        document["center_wavelength"] = centres[role]
    return document


def feature(stored: Document, collection: str, mount: Mount) -> Document:
    """What a client sees of a stored item.

    Args:
        stored: as `item_document` made it, or as read back; it is taken apart, not copied.
        collection: the collection's id as clients know it.
        mount: where the client reached us.
    """
    links = mount.item_links(stored, mount.base)
    properties = stored["properties"]
    platform_id = stored["id"]
    id_ = properties.pop("opstac:stac_id", platform_id)
    properties["opstac:id"] = platform_id
    parent = f"{mount.root}/collections/{quoted(collection)}"
    hrefs = f"{mount.base}/v2/assets/"
    for asset in stored["assets"].values():
        if ":" not in asset["href"] and "/" not in asset["href"]:
            asset["href"] = hrefs + asset["href"]
    geometry = stored["geometry"]
    if geometry is not None and geometry.get("geometries") == []:
        geometry = None
    extensions = stored.get("stac_extensions", [])
    if any(link["rel"] in _WEB_MAPS for link in links) and WEB_MAP_LINKS not in extensions:
        extensions = [*extensions, WEB_MAP_LINKS]
    address = f"collections/{quoted(collection)}/items/{quoted(id_)}"
    here, version = f"{parent}/items/{quoted(id_)}", properties.get("opstac:version")
    if version:
        links = [*links, version_link("predecessor-version", here, version - 1)]
    document: Document = {
        "type": "Feature",
        "stac_version": stored.get("stac_version", STAC_VERSION),
        "stac_extensions": extensions,
        "id": id_,
        "collection": collection,
        "geometry": geometry,
        "bbox": stored.get("bbox"),
        "properties": properties,
        "links": [
            {"rel": "self", "type": GEOJSON, "href": here},
            {"rel": "parent", "type": "application/json", "href": parent},
            {"rel": "collection", "type": "application/json", "href": parent},
            {"rel": "root", "type": "application/json", "href": mount.root},
            {"rel": "canonical", "type": GEOJSON, "href": f"{mount.base}{CANONICAL}/{address}"},
            *links,
            *_given(stored, mount),
        ],
        "assets": stored["assets"],
    }
    if document["bbox"] is None:
        del document["bbox"]
    return document


def version_link(rel: str, item: str, version: int) -> dict[str, Any]:
    """A link to what the item at the address `item` said at a version that was replaced."""
    href = f"{item}/versions/{version}"
    return {"rel": rel, "type": GEOJSON, "href": href, "title": f"Version {version}"}


def _given(stored: Mapping[str, Any], mount: Mount) -> list[dict[str, Any]]:
    """The client's own links; a relative one is below the landing page."""
    return [
        link
        if is_absolute(link["href"])
        else {**link, "href": urljoin(f"{mount.root}/", link["href"])}
        for link in stored.get("links") or ()
    ]


def is_absolute(href: str) -> bool:
    """Whether an address begins with a scheme."""
    return _SCHEME.match(href) is not None


_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def quoted(name: str) -> str:
    """`name` as one segment of a path. Most need nothing, which is ten times quicker to see."""
    if _PLAIN.issuperset(name):
        return name
    return quote(name, safe="")


def time_text(value: Any) -> str | None:
    """RFC 3339 in UTC with Z, microseconds only where there are any."""
    if isinstance(value, datetime):
        value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return value.isoformat().replace("+00:00", "Z")
    return value


def _spells(text: Any, value: Any) -> bool:
    """Whether a client's own text is that number: then it stays as it was sent."""
    if not isinstance(text, str) or isinstance(value, str):
        return False
    try:
        return float(text) == value
    except ValueError:
        return False


def _finite(value: Any) -> float | int | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return value
    return None
