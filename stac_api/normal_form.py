"""The form of a checked CQL2 filter that pgstac reads correctly.

Property on the left, boxes as polygons, constants folded, times compared as instants, `id` and
`collection` as they are stored.
"""

from __future__ import annotations

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
    property_name,
)
from stac_api.errors import BadRequest


def collection_names(node: Any) -> set[str]:
    """Every text a checked filter compares the property `collection` with."""
    names: set[str] = set()
    if isinstance(node, Mapping) and "op" in node:
        if any(_is_property(arg, "collection") for arg in node["args"]):
            names |= {v for v in _flat(node["args"]) if isinstance(v, str)}
        for arg in node["args"]:
            names |= collection_names(arg)
    return names


def normal(node: Expression, collections: Mapping[str, Sequence[str]]) -> Expression:
    """A checked filter as pgstac is to have it.

    Args:
        node: from `parse`.
        collections: for each of `collection_names(node)` the ids it stands for.

    Raises:
        BadRequest: a combination that has no meaning, or that pgstac cannot answer.
    """
    operator, args = node["op"], node["args"]
    if operator in ("and", "or", "not"):
        return {"op": operator, "args": [normal(arg, collections) for arg in args]}
    if operator in SPATIAL:
        return _spatial(operator, args)
    if operator in TEMPORAL:
        return {"op": operator, "args": [_temporal_operand(arg) for arg in args]}
    if operator in ARRAYS:
        return {"op": ARRAYS[operator], "args": [_array_operand(arg) for arg in args]}
    if any(_is_property(arg, "collection") for arg in args):
        return _collection(operator, args, collections)
    if operator == "isnull":
        return {"op": "isNull", "args": [_flat_scalar(args[0])]}
    if operator == "like":
        return {"op": "like", "args": [_flat_scalar(arg) for arg in args]}
    if operator == "in":
        return _in(args)
    if operator == "between":
        return _between(args)
    return _comparison(operator, args)


def _comparison(operator: str, args: Sequence[Any]) -> Expression:
    left, right = (_scalar(arg) for arg in args)
    if _is_literal(left) and not _is_literal(right):
        left, right, operator = right, left, COMPARISONS[operator]
    if _is_literal(left):
        return _compared_constants(operator, left, right)
    if geometry.is_number(right):
        operator, left, right = _isolated(operator, left, right)
    _refuse_nested(left)
    _refuse_nested(right)
    if _is_time(right):
        return _compared_with_time(operator, left, right)
    if operator in ("=", "<>") and _is_property(left, "opstac:stac_id") and isinstance(right, str):
        same = _either_id([right])
        return same if operator == "=" else {"op": "not", "args": [same]}
    return {"op": operator, "args": [left, right]}


def _isolated(operator: str, left: Any, right: float) -> tuple[str, Any, float]:
    """`left operator right` with the constants of `left` brought over to `right`."""
    while isinstance(left, Mapping) and left.get("op") in ("+", "-", "*", "/"):
        first, second = left["args"]
        constant = second if geometry.is_number(second) else first
        if not geometry.is_number(constant):
            break
        inner = first if geometry.is_number(second) else second
        turned = False
        if left["op"] == "+":
            right = _folded("-", right, constant)
        elif left["op"] == "-" and inner is first:
            right = _folded("+", right, constant)
        elif left["op"] == "-":
            right, turned = _folded("-", constant, right), True
        elif left["op"] == "*" and constant != 0:
            right, turned = _folded("/", right, constant), constant < 0
        elif left["op"] == "/" and inner is first and constant != 0:
            right, turned = _folded("*", right, constant), constant < 0
        else:
            break
        left, operator = inner, COMPARISONS[operator] if turned else operator
    return operator, left, right


def _refuse_nested(node: Any) -> None:
    """pgstac writes no brackets, so a sum within a product would be read wrongly."""
    if isinstance(node, Mapping) and node.get("op") in ARITHMETIC:
        within = [arg for arg in node["args"] if isinstance(arg, Mapping) and "op" in arg]
        if within or node["op"] not in ("+", "-", "*", "/"):
            raise BadRequest(f"filter arithmetic {node['op']} of a property is not supported here")


def _compared_constants(operator: str, left: Any, right: Any) -> Expression:
    left, right = _instant_text(left), _instant_text(right)
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
    return TRUE if answer else FALSE


def _compared_with_time(operator: str, left: Any, right: Any) -> Expression:
    """Comparison of a property with an instant or a day."""
    if not (isinstance(left, Mapping) and "property" in left):
        raise BadRequest("only a property can be compared with a time")
    if "date" in right and left["property"] not in ("datetime", "start_datetime", "end_datetime"):
        # days are kept as ISO text, whose order is theirs
        return {"op": operator, "args": [left, right["date"]]}
    if "date" in right:
        right = {"timestamp": right["date"] + "T00:00:00Z"}
    # the temporal operators read any property as a timestamp; plain comparison would read text
    function, negated = {
        "=": ("t_equals", False),
        "<>": ("t_equals", True),
        "<": ("t_before", False),
        ">=": ("t_before", True),
        ">": ("t_after", False),
        "<=": ("t_after", True),
    }[operator]
    compared: Expression = {"op": function, "args": [left, right]}
    return {"op": "not", "args": [compared]} if negated else compared


def _in(args: Sequence[Any]) -> Expression:
    value, options = _flat_scalar(args[0]), args[1]
    if not isinstance(options, list):
        raise BadRequest("in takes a value and a list")
    options = [_scalar(option) for option in options]
    if not options:
        return FALSE
    plain = all(_is_literal(option) and not _is_time(option) for option in options)
    if plain and _is_property(value, "opstac:stac_id"):
        return _either_id(options)
    if plain and not _is_literal(value):
        return {"op": "in", "args": [value, options]}
    return {"op": "or", "args": [_comparison("=", [value, option]) for option in options]}


def _between(args: Sequence[Any]) -> Expression:
    value, low, high = (_scalar(arg) for arg in args)
    return {
        "op": "and",
        "args": [_comparison(">=", [value, low]), _comparison("<=", [value, high])],
    }


def _either_id(values: Sequence[Any]) -> Expression:
    """Items known to clients or to the platform by one of `values`."""
    return {
        "op": "or",
        "args": [
            {"op": "in", "args": [{"property": name}, list(values)]}
            for name in ("opstac:stac_id", "id")
        ],
    }


def _collection(
    operator: str, args: Sequence[Any], collections: Mapping[str, Sequence[str]]
) -> Expression:
    """Conditions on `collection`: clients know its slug, items hold its id."""
    stored = {"property": "opstac:collection"}
    if operator == "isnull":
        return FALSE  # every item shows one: its own or its project's
    values = [arg for arg in args if not _is_property(arg, "collection")]
    if operator == "in" and _is_property(args[0], "collection") and isinstance(args[1], list):
        values = args[1]
    elif operator not in ("=", "<>") or len(values) != 1:
        raise BadRequest("collection can be compared with = , <> and in")
    if not all(isinstance(value, str) for value in values):
        raise BadRequest("collection can be compared with text only")
    ids = sorted({id_ for value in values for id_ in collections.get(value, [value])})
    if not ids:
        return TRUE if operator == "<>" else FALSE
    found: Expression = {"op": "in", "args": [stored, ids]}
    return {"op": "not", "args": [found]} if operator == "<>" else found


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
    # pgstac reads no collections: what holds for a union of parts is said part by part
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
        ends = [
            _temporal_operand(end) if isinstance(end, Mapping) else end for end in node["interval"]
        ]
        low, high = (temporal.bounds(end) for end in ends)
        if low and high and low[0] > high[1]:
            raise BadRequest("interval in filter ends before it begins")
        return {"interval": [_end_text(end) for end in ends]}
    if isinstance(node, Mapping) and ("timestamp" in node or "date" in node):
        return node
    if isinstance(node, str):
        temporal.literal(node)
        return {"timestamp": node} if "T" in node.upper() else {"date": node}
    raise BadRequest("a temporal condition compares properties, instants and intervals")


def _end_text(end: Any) -> Any:
    if isinstance(end, Mapping) and "property" not in end:
        return end.get("timestamp") or end.get("date")
    return end


def _array_operand(node: Any) -> Any:
    if isinstance(node, Mapping) and "property" in node:
        return {"property": _stored_name(node)}
    if isinstance(node, list) and all(_is_literal(v) and not isinstance(v, dict) for v in node):
        return node
    raise BadRequest("an array condition compares properties and lists of plain values")


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
        return {"op": operator, "args": [_scalar(node["args"][0])]}
    if operator in ARITHMETIC:
        left, right = (_scalar(arg) for arg in node["args"])
        if geometry.is_number(left) and geometry.is_number(right):
            return _folded(operator, left, right)
        return {"op": operator, "args": [left, right]}
    raise BadRequest("filter has a condition or geometry where a value is expected")


def _flat_scalar(node: Any) -> Any:
    value = _scalar(node)
    _refuse_nested(value)
    return value


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
                "%": lambda: left % right,
                "div": lambda: left // right,
            }[operator]()
    except (ZeroDivisionError, OverflowError):
        raise BadRequest("filter divides by zero or overflows") from None
    if not geometry.is_number(answer):
        raise BadRequest("filter has arithmetic without a real result")
    return int(answer) if float(answer).is_integer() and abs(answer) < 2**53 else answer


def _stored_name(node: Mapping[str, Any]) -> str:
    name = property_name(node)
    if name == "collection":
        raise BadRequest("collection can be compared with = , <> and in")
    return "opstac:stac_id" if name == "id" else name


def _is_property(node: Any, name: str) -> bool:
    return isinstance(node, Mapping) and "property" in node and property_name(node) == name


def _is_literal(node: Any) -> bool:
    return not isinstance(node, Mapping) or "timestamp" in node or "date" in node


def _is_time(node: Any) -> bool:
    return isinstance(node, Mapping) and ("timestamp" in node or "date" in node)


def _instant_text(node: Any) -> Any:
    return temporal.bounds(node)[0] if _is_time(node) else node  # type: ignore[index]


def _flat(node: Any) -> list[Any]:
    if isinstance(node, list):
        return [value for part in node for value in _flat(part)]
    return [node]
