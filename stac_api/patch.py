"""JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7396)."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import orjson

from stac_api.errors import BadRequest

MAX_STEPS = 1_000
MAX_COPIED_BYTES = 2 * 1024**2
"""What the steps `copy` and `move` of a patch may take along in all: each could double the rest."""


def apply(document: Any, change: Any) -> Any:
    """`document` changed: by a JSON Patch if `change` is a list, else merged with it.

    Raises:
        BadRequest: a step that cannot be taken, or whose test fails.
    """
    if not isinstance(change, list):
        return merged(document, change)
    if len(change) > MAX_STEPS:
        raise BadRequest(f"a patch has at most {MAX_STEPS} steps")
    document = copy.deepcopy(document)
    copied = 0
    for step in change:
        if isinstance(step, Mapping) and step.get("op") in ("copy", "move"):
            copied += _size(_found(document, _source(step)))
            if copied > MAX_COPIED_BYTES:
                raise BadRequest(f"a patch copies and moves at most {MAX_COPIED_BYTES} bytes")
        document = _step(document, step)
    return document


def merged(document: Any, change: Any) -> Any:
    """RFC 7396: null removes, objects merge, all else replaces."""
    if not isinstance(change, Mapping):
        return change
    result = dict(document) if isinstance(document, Mapping) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _step(document: Any, step: Any) -> Any:
    if not isinstance(step, Mapping) or not isinstance(step.get("path"), str):
        raise BadRequest("a patch step needs an op and a path")
    operator, path = step.get("op"), _path(step["path"])
    if operator in ("add", "replace", "test") and "value" not in step:
        raise BadRequest(f"a patch step {operator} needs a value")
    if operator == "add":
        return _added(document, path, copy.deepcopy(step["value"]))
    if operator == "remove":
        return _removed(document, path)
    if operator == "replace":
        return _added(_removed(document, path), path, copy.deepcopy(step["value"]))
    if operator == "test":
        if _found(document, path) != step["value"]:
            raise BadRequest(f"the patch's test of {step['path'][:100]} fails")
        return document
    if operator in ("copy", "move"):
        source = _source(step)
        value = copy.deepcopy(_found(document, source))
        if operator == "move":
            document = _removed(document, source)
        return _added(document, path, value)
    raise BadRequest("a patch step has an unknown op")


def _source(step: Mapping[str, Any]) -> list[str]:
    if not isinstance(step.get("from"), str):
        raise BadRequest(f"a patch step {step['op']} needs a from")
    return _path(step["from"])


def _size(value: Any) -> int:
    try:
        return len(orjson.dumps(value))
    except orjson.JSONEncodeError:
        raise BadRequest("the patch makes a document that is nested too deep") from None


def _path(pointer: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise BadRequest("a patch path starts with a slash")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _found(document: Any, path: list[str]) -> Any:
    for name in path:
        if isinstance(document, Mapping) and name in document:
            document = document[name]
        elif isinstance(document, list) and _is_place(name, len(document) - 1):
            document = document[int(name)]
        else:
            raise BadRequest(f"the patch names {'/'.join(path)[:100]}, which is not there")
    return document


def _is_place(name: str, last: int) -> bool:
    """Whether it is the number of an entry, 0 to `last`."""
    return name.isascii() and name.isdecimal() and len(name) < 10 and int(name) <= last


def _added(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _found(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list) and last == "-":
        parent.append(value)
    elif isinstance(parent, list) and _is_place(last, len(parent)):
        parent.insert(int(last), value)
    else:
        raise BadRequest(f"the patch cannot add at {'/'.join(path)[:100]}")
    return document


def _removed(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    _found(document, path)
    parent = _found(document, path[:-1])
    del parent[int(path[-1]) if isinstance(parent, list) else path[-1]]
    return document
