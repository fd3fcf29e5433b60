"""The collections a search is about, also where a filter says so.

Those that are named apart from the filter are read in the order of an index; a condition on
`opstac:collection` among others is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stac_api.document import Document
from stac_api.request import SearchRequest

Expression = Mapping[str, Any]


def named_collections(request: SearchRequest, search: Document) -> list[str] | None:
    """The collections a search is about, None for all; a filter that says so loses that part."""
    if request.collections is not None or "filter" not in search:
        return None if request.collections is None else list(request.collections)
    found, rest = _without_collections(search["filter"])
    if found is None:
        return None
    if rest is None:
        del search["filter"], search["filter-lang"]
    else:
        search["filter"] = rest
    return found


def _without_collections(node: Expression) -> tuple[list[str] | None, Expression | None]:
    """The ids that a normal filter as a whole allows `collection` to be, and what else it asks.

    None for any collection, and for nothing else.
    """
    if node["op"] == "in" and node["args"][0] == {"property": "opstac:collection"}:
        return list(node["args"][1]), None
    if node["op"] != "and":
        return None, node
    found: set[str] | None = None
    rest: list[Expression] = []
    for part in node["args"]:
        ids, left = _without_collections(part)
        if ids is not None:
            found = set(ids) if found is None else found & set(ids)
        if left is not None:
            rest.append(left)
    left = {"op": "and", "args": rest} if len(rest) > 1 else (rest[0] if rest else None)
    return (None if found is None else sorted(found)), left
