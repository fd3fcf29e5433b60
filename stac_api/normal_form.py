"""The form of a checked CQL2 filter that the SQL function `cql2_condition` reads.

What it has is decided here and nothing there: each comparison says in `as` how both sides are read
(number, text, boolean, time, or json: by what they hold), constants are folded, boxes are polygons,
the property of a spatial condition is on the left, `id` and `collection` are as they are stored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from stac_api import geometry, temporal
from stac_api.cql2 import (
    ARITHMETIC,
    ARRAYS,
    COMPARISONS,
    FALSE,
    FUNCTIONS,
    SPATIAL,
    TEMPORAL,
    TRUE,
    Expression,
    each,
    place,
    property_name,
)
from stac_api.errors import BadRequest

# properties that the platform writes itself, so what they hold is known
KINDS = {
    **dict.fromkeys(("datetime", "start_datetime", "end_datetime", "created", "updated"), "time"),
    **dict.fromkeys(("eo:cloud_cover", "gsd"), "number"),
}
YES: Expression = {**TRUE, "as": "number"}
NO: Expression = {**FALSE, "as": "number"}


def collection_names(node: Any) -> set[str]:
    """Every text a checked filter compares the property `collection` with."""
    names: set[str] = set()
    if isinstance(node, Mapping) and "op" in node:
        if any(_is_property(arg, "collection") for arg in node["args"]):
            names |= {v for v in _flat(node["args"]) if isinstance(v, str)}
        for arg in node["args"]:
            names |= collection_names(arg)
    return names


def property_names(node: Any) -> set[str]:
    """Every property that a checked filter reads."""
    if isinstance(node, Mapping):
        if "property" in node:
            return {property_name(node)}
        return {name for value in node.values() for name in property_names(value)}
    return (
        {name for part in node for name in property_names(part)}
        if isinstance(node, list)
        else set()
    )


def normal(node: Expression, collections: Mapping[str, Sequence[str]]) -> Expression:
    """A checked filter as the database is to have it.

    Args:
        node: from `parse`.
        collections: for each of `collection_names(node)` the ids it stands for.

    Raises:
        BadRequest: a combination that has no meaning.
    """
    with place():
        return _normal(node, collections)


def _normal(node: Expression, collections: Mapping[str, Sequence[str]]) -> Expression:
    operator, args = node["op"], node["args"]
    if operator in ("and", "or", "not"):
        return {"op": operator, "args": each(lambda arg: _normal(arg, collections), args)}
    if operator in SPATIAL:
        return _spatial(operator, args)
    if operator in TEMPORAL:
        return {"op": operator, "args": [_temporal_operand(arg) for arg in args]}
    if operator in ARRAYS:
        return {"op": operator, "args": [_array_operand(arg) for arg in args]}
    if any(_is_property(arg, "collection") for arg in args):
        return _collection(operator, args, collections)
    if operator == "isnull":
        return _is_null(args[0])
    if operator == "like":
        return _like(args)
    if operator == "in":
        return _in(args)
    if operator == "between":
        return _between(args)
    return _comparison(operator, args)


# ---------------------------------------------------------------- comparisons


def _comparison(operator: str, args: Sequence[Any]) -> Expression:
    left, right = (_scalar(arg) for arg in args)
    if _is_literal(left) and not _is_literal(right):
        left, right, operator = right, left, COMPARISONS[operator]
    kind = _kind([left, right])
    if _is_literal(left):
        return _compared_constants(operator, left, right)
    if kind == "boolean" and operator not in ("=", "<>"):
        raise BadRequest("filter orders true and false; compare them with = or <>")
    if operator in ("=", "<>") and _is_property(left, "opstac:stac_id") and isinstance(right, str):
        same = _either_id([right])
        return same if operator == "=" else {"op": "not", "args": [same]}
    if kind == "time":
        left, right = _time(left), _time(right)
    return {"op": operator, "args": [left, right], "as": kind}


def _kind(values: Sequence[Any]) -> str:
    """How values that are compared with each other are read."""
    kinds = {_kind_of(value) for value in values} - {None}
    if kinds == {"text", "time"} and all(
        _kind_of(value) != "text" or (isinstance(value, str) and _is_instant(value))
        for value in values
    ):
        return "time"  # a time written as a text
    if len(kinds) > 1:
        raise BadRequest(f"filter compares {' with '.join(sorted(map(str, kinds)))}")
    return str(kinds.pop()) if kinds else "json"


def _kind_of(value: Any) -> str | None:
    """None for a property that may hold anything."""
    if isinstance(value, bool):
        return "boolean"
    if geometry.is_number(value):
        return "number"
    if isinstance(value, str):
        return "text"
    if _is_time(value):
        return "time"
    if isinstance(value, Mapping):
        if "op" in value:
            return "text" if value["op"] in FUNCTIONS else "number"
        return KINDS.get(value["property"])
    raise BadRequest("filter compares with null; ask with isNull")


def _is_instant(text: str) -> bool:
    try:
        temporal.literal(text)
    except BadRequest:
        return False
    return True


def _time(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return {"timestamp": value} if "T" in value.upper() else {"date": value}


def _compared_constants(operator: str, left: Any, right: Any) -> Expression:
    left, right = _instant(left), _instant(right)
    try:
        answer = {
            "=": lambda: left == right,
            "<>": lambda: left != right,
            "<": lambda: left < right,
            "<=": lambda: left <= right,
            ">": lambda: left > right,
            ">=": lambda: left >= right,
        }[operator]()
    except TypeError:
        raise BadRequest("filter compares values of different kinds") from None
    return YES if answer else NO


def _in(args: Sequence[Any]) -> Expression:
    value, options = _scalar(args[0]), args[1]
    if not isinstance(options, list):
        raise BadRequest("in takes a value and a list")
    options = [_scalar(option) for option in options]
    if not options:
        return NO
    plain = all(_is_literal(option) and not _is_time(option) for option in options)
    if plain and not _is_literal(value):
        kind = _kind([value, *options])
        if kind == "text" and _is_property(value, "opstac:stac_id"):
            return _either_id(options)
        if kind in ("text", "number", "boolean"):
            return {"op": "in", "args": [value, options], "as": kind}
    return {"op": "or", "args": [_comparison("=", [value, option]) for option in options]}


def _between(args: Sequence[Any]) -> Expression:
    value, low, high = args
    return {
        "op": "and",
        "args": [_comparison(">=", [value, low]), _comparison("<=", [value, high])],
    }


def _like(args: Sequence[Any]) -> Expression:
    value, pattern = (_scalar(arg) for arg in args)
    if any(_kind_of(side) not in ("text", None) for side in (value, pattern)):
        raise BadRequest("like compares texts")
    if isinstance(pattern, str) and (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        raise BadRequest("like has a pattern that ends in its escape character")
    return {"op": "like", "args": [value, pattern]}


def _is_null(node: Any) -> Expression:
    value = _scalar(node)
    if _is_literal(value):
        raise BadRequest("isNull takes a property")
    return {"op": "isNull", "args": [value], "as": _kind([value])}


def _either_id(values: Sequence[Any]) -> Expression:
    """Items known to clients or to the platform by one of `values`."""
    return {
        "op": "or",
        "args": [
            {"op": "in", "args": [{"property": name}, list(values)], "as": "text"}
            for name in ("opstac:stac_id", "id")
        ],
    }


def _collection(
    operator: str, args: Sequence[Any], collections: Mapping[str, Sequence[str]]
) -> Expression:
    """Conditions on `collection`: clients know its slug, items hold its id."""
    stored = {"property": "opstac:collection"}
    if operator == "isnull":
        return NO  # every item shows one: its own or its project's
    values = [arg for arg in args if not _is_property(arg, "collection")]
    if operator == "in" and _is_property(args[0], "collection") and isinstance(args[1], list):
        values = args[1]
    elif operator not in ("=", "<>") or len(values) != 1:
        raise BadRequest("collection can be compared with = , <> and in")
    if not all(isinstance(value, str) for value in values):
        raise BadRequest("collection can be compared with text only")
    ids = sorted({id_ for value in values for id_ in collections.get(value, [value])})
    if not ids:
        return YES if operator == "<>" else NO
    found: Expression = {"op": "in", "args": [stored, ids], "as": "text"}
    return {"op": "not", "args": [found]} if operator == "<>" else found


# ---------------------------------------------------------------- space, time, arrays


def _spatial(operator: str, args: Sequence[Any]) -> Expression:
    left, right = args
    if _is_property(right, "geometry"):
        left, right, operator = right, left, SPATIAL[operator]
    if not _is_property(left, "geometry"):
        raise BadRequest("a spatial condition compares the property geometry with a geometry")
    if not isinstance(right, Mapping) or not ("bbox" in right or "type" in right):
        raise BadRequest("a spatial condition compares the property geometry with a geometry")
    if "bbox" in right:
        shape = geometry.box(right["bbox"], "bbox in filter")
    else:
        shape = geometry.geometry(right, "geometry in filter")
    if shape["type"] != "GeometryCollection":
        return {"op": operator, "args": [left, shape]}
    # most spatial functions take no collections: what holds for a union is said part by part
    parts: list[Expression] = [
        {"op": "s_intersects", "args": [left, part]} for part in shape["geometries"]
    ]
    anywhere = parts[0] if len(parts) == 1 else {"op": "or", "args": parts}
    if operator == "s_intersects":
        return anywhere
    if operator == "s_disjoint":
        return {"op": "not", "args": [anywhere]}
    raise BadRequest(f"{operator} does not take a GeometryCollection")


def _temporal_operand(node: Any) -> Any:
    if isinstance(node, Mapping) and "property" in node:
        return {"property": _stored_name(node)}
    if isinstance(node, Mapping) and "interval" in node:
        ends = [end if end == ".." else _temporal_operand(end) for end in node["interval"]]
        low, high = (temporal.bounds(end) for end in ends)
        if low and high and low[0] > high[1]:
            raise BadRequest("interval in filter ends before it begins")
        return {"interval": ends}
    if isinstance(node, Mapping) and ("timestamp" in node or "date" in node):
        return node
    if isinstance(node, str):
        temporal.literal(node)
        return _time(node)
    raise BadRequest("a temporal condition compares properties, instants and intervals")


def _array_operand(node: Any) -> Any:
    if isinstance(node, Mapping) and "property" in node:
        return {"property": _stored_name(node)}
    if isinstance(node, list) and all(_is_literal(v) and not isinstance(v, dict) for v in node):
        return node
    raise BadRequest("an array condition compares properties and lists of plain values")


# ---------------------------------------------------------------- values


def _scalar(node: Any) -> Any:
    """A value: property, literal, or arithmetic and text functions of them."""
    if isinstance(node, list):
        raise BadRequest("filter has a list where one value is expected")
    if not isinstance(node, Mapping):
        return node
    if "property" in node:
        return {"property": _stored_name(node)}
    if "timestamp" in node or "date" in node:
        return dict(node)
    operator = str(node.get("op", "")).lower()
    if operator in FUNCTIONS:
        value = _scalar(node["args"][0])
        if _kind_of(value) not in ("text", None):
            raise BadRequest(f"{operator} takes a text")
        return {"op": operator, "args": [value]}
    if operator in ARITHMETIC:
        left, right = (_scalar(arg) for arg in node["args"])
        if not {_kind_of(left), _kind_of(right)} <= {"number", None}:
            raise BadRequest(f"filter arithmetic {operator} takes numbers")
        if geometry.is_number(left) and geometry.is_number(right):
            return _folded(operator, left, right)
        return {"op": operator, "args": [left, right]}
    raise BadRequest("filter has a condition or geometry where a value is expected")


def _folded(operator: str, left: float, right: float) -> float:
    try:
        if operator == "^":
            if abs(right) > 64 or abs(left) > 1e6:
                raise BadRequest("filter has a power that is too large")
            answer = float(left) ** right
        else:
            answer = {
                "+": lambda: left + right,
                "-": lambda: left - right,
                "*": lambda: left * right,
                "/": lambda: left / right,
                "%": lambda: math.fmod(left, right),
                "div": lambda: math.trunc(left / right),
            }[operator]()
    except (ZeroDivisionError, OverflowError, ValueError):
        raise BadRequest("filter divides by zero or overflows") from None
    if not geometry.is_number(answer):
        raise BadRequest("filter has arithmetic without a real result")
    return int(answer) if float(answer).is_integer() and abs(answer) < 2**53 else answer


def _stored_name(node: Mapping[str, Any]) -> str:
    name = property_name(node)
    if name == "collection":
        raise BadRequest("collection can be compared with = , <> and in")
    if name == "geometry":
        raise BadRequest("geometry can be compared by spatial functions only")
    return "opstac:stac_id" if name == "id" else name


def _is_property(node: Any, name: str) -> bool:
    return isinstance(node, Mapping) and "property" in node and property_name(node) == name


def _is_literal(node: Any) -> bool:
    return not isinstance(node, Mapping) or "timestamp" in node or "date" in node


def _is_time(node: Any) -> bool:
    return isinstance(node, Mapping) and ("timestamp" in node or "date" in node)


def _instant(node: Any) -> Any:
    return temporal.bounds(node)[0] if _is_time(node) else node  # type: ignore[index]


def _flat(node: Any) -> list[Any]:
    if isinstance(node, list):
        return [value for part in node for value in _flat(part)]
    return [node]
