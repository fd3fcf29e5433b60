"""Assets that lie elsewhere, the files of an item that another catalogue keeps, and its links.

Nothing here or after it opens an href. It is shown as it was given, and a download of the asset
leads to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard
from urllib.parse import urlsplit

import orjson

from ops_gateway.catalogue.drafts import AssetDraft
from ops_gateway.kernel.errors import Conflict, Invalid
from stac_api import document

Row = dict[str, Any]

MAX_ASSETS = 500
MAX_BYTES = 256 << 10  # of all assets of an item as JSON
MAX_HREF = 4000
MAX_KEY = 200
MAX_LINKS = 200
MAX_LINK_BYTES = 64 << 10  # of all links of an item as JSON
SCHEMES = ("http", "https", "s3", "gs", "az", "abfs", "abfss", "ftp")
_UNFIT = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029\\<>\"]")
_OURS = re.compile(r"/assets/(as_[0-9a-z]{1,64})$")
# of a file that was never opened
_UNKNOWN = (*("epsg", "width", "height", "transform", "dtype", "nodata", "band_count", "datetime"),)
_DEFAULT_TYPE = "application/octet-stream"


def drafts(assets: Mapping[str, Any]) -> list[AssetDraft]:
    """The STAC assets of an item (key → asset) as assets that lie elsewhere.

    Raises:
        Invalid: too many or too large, or one has no href that could be followed.
    """
    if len(assets) > MAX_ASSETS:
        raise Invalid.at("assets", f"more than {MAX_ASSETS} assets", "too_long")
    if len(orjson.dumps(assets)) > MAX_BYTES:
        raise Invalid.at("assets", f"more than {MAX_BYTES} bytes as JSON", "too_long")
    return [_draft(key, asset) for key, asset in assets.items()]


def _draft(key: str, asset: Any) -> AssetDraft:
    at = ["assets", key]
    if not key.strip() or len(key) > MAX_KEY or not key.isprintable():
        raise Invalid.at(at, f"a key has 1 to {MAX_KEY} printable characters")
    if not isinstance(asset, Mapping):
        raise Invalid.at(at, "an asset is an object with an href", "dict_type")
    href = checked_href(asset.get("href"), [*at, "href"])
    kind, title, roles = asset.get("type"), asset.get("title"), asset.get("roles")
    if kind is not None and not _text(kind, 200):
        raise Invalid.at([*at, "type"], "a media type is a text of 200 characters at most")
    if title is not None and not _text(title, 2000):
        raise Invalid.at([*at, "title"], "a title is a text of 2000 characters at most")
    if roles is not None and not (
        isinstance(roles, list) and len(roles) <= 50 and all(_text(role, 100) for role in roles)
    ):
        raise Invalid.at([*at, "roles"], "roles are a list of 50 short texts at most")
    size, checksum = asset.get("file:size"), asset.get("file:checksum")
    known_size = isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**53
    is_sha256 = re.fullmatch(r"1220[0-9a-f]{64}", checksum) if _text(checksum, 68) else None
    columns = {
        "key": key,
        "object_path": None,
        "href": href,
        "stac": {name: value for name, value in asset.items() if name != "href"},
        "title": title,
        "file_name": urlsplit(href).path.rpartition("/")[2][:200] or None,
        "media_type": kind or _DEFAULT_TYPE,
        "roles": roles or [],
        "size_bytes": size if known_size else None,
        "checksum": f"sha256:{is_sha256[0][4:]}" if is_sha256 else None,
        "nodata_is_nan": False,
        "band_names": [],
        "bands": [],
        "raster": {},
        "is_cog": False,
        "is_categorical": False,
        **dict.fromkeys(_UNKNOWN),
    }
    return AssetDraft(key=key, object_path=None, columns=columns)


def _relative(href: Any) -> bool:
    """A path, query or fragment: no scheme, and no host."""
    known = _text(href, MAX_HREF) and href != "" and not href.startswith("//")
    return known and not _UNFIT.search(href) and not document.is_absolute(href)


def checked_href(value: Any, field: Sequence[str | int]) -> str:
    """An absolute address of a scheme that leads to a file elsewhere. Raises: Invalid."""
    if not isinstance(value, str) or not value or len(value) > MAX_HREF or _UNFIT.search(value):
        raise Invalid.at(
            field, f"an href is an address of 1 to {MAX_HREF} characters without blanks"
        )
    try:
        parts = urlsplit(value)
        named = bool(parts.hostname or (parts.netloc and "@" not in parts.netloc))
    except ValueError:
        raise Invalid.at(field, "the href is no address") from None
    if parts.scheme not in SCHEMES or not named:
        raise Invalid.at(field, f"an href is absolute and of a scheme among {', '.join(SCHEMES)}")
    if parts.username is not None or parts.password is not None:
        raise Invalid.at(field, "the href holds a user name or password, which all would see")
    return value


def related(links: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Links that a client gives an item; an href without a scheme is shown below the STAC API.

    Raises:
        Invalid: too many or too large, or one has no relation, or no href that could be followed.
    """
    if len(links) > MAX_LINKS:
        raise Invalid.at("links", f"more than {MAX_LINKS} links", "too_long")
    if len(orjson.dumps(links)) > MAX_LINK_BYTES:
        raise Invalid.at("links", f"more than {MAX_LINK_BYTES} bytes as JSON", "too_long")
    for n, link in enumerate(links):
        if not _text(link.get("rel"), 200) or not link["rel"].strip():
            raise Invalid.at(["links", n, "rel"], "a relation is a text of 1 to 200 characters")
        for name in ("type", "title", "method"):
            if link.get(name) is not None and not _text(link[name], 2000):
                raise Invalid.at(["links", n, name], "a text of 2000 characters at most")
        if not _relative(link.get("href")):
            checked_href(link.get("href"), ["links", n, "href"])
    return [dict(link) for link in links]


def split(given: Mapping[str, Any], stored: Sequence[Row]) -> tuple[list[AssetDraft], list[str]]:
    """What an update makes of an item's assets that lie elsewhere; files of ours stay.

    Args:
        given: all the STAC assets the item is to have; one of ours may be among them, at its
            own href, or be left out.
        stored: rows of its assets.

    Returns: the assets to be made, and the ids of rows to be taken away.

    Raises:
        Conflict: a key of a file of ours is given to something else.
        Invalid: see `drafts`.
    """
    ours = {row["key"]: row["id"] for row in stored if row["object_path"] is not None}
    foreign: dict[str, Any] = {}
    for key, asset in given.items():
        if key not in ours:
            foreign[key] = asset
            continue
        href = asset.get("href") if isinstance(asset, Mapping) else None
        match = _OURS.search(href) if isinstance(href, str) else None
        if match is None or match[1] != ours[key]:
            raise Conflict(f"asset '{key}' is a file in our store; delete it first (assets.delete)")
    wanted = {draft.key: draft for draft in drafts(foreign)}
    gone: list[str] = []
    for row in stored:
        if row["object_path"] is not None:
            continue
        new = wanted.get(row["key"])
        if new is not None and new.columns is not None and _same(new.columns, row):
            del wanted[row["key"]]
        else:
            gone.append(row["id"])
    return list(wanted.values()), gone


def _same(new: Mapping[str, Any], row: Row) -> bool:
    return new["href"] == row["href"] and new["stac"] == row["stac"]


def _text(value: Any, length: int) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= length and "\0" not in value
