"""CQL2 filters: limits first, then a normal form that pgstac reads correctly.

Text is counted before the `cql2` library sees it, because deeply nested text ends the process there
(SIGSEGV in 0.6.0). What comes out is CQL2 JSON of our own making: property on the left, boxes as
polygons, constants folded, timestamps compared as instants, `id` and `collection` as they are stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import cql2

from stac_api import geometry, temporal
from stac_api.errors import BadRequest

Expression = dict[str, Any]

MAX_DEPTH = 32
MAX_NODES = 256
MAX_LITERALS = 10_000
MAX_TEXT = 65_536
MAX_NAME = 256

_COMPARISONS = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_SPATIAL = {
    "s_intersects": "s_intersects",
    "s_equals": "s_equals",
    "s_disjoint": "s_disjoint",
    "s_touches": "s_touches",
    "s_overlaps": "s_overlaps",
    "s_crosses": "s_crosses",
    "s_within": "s_contains",
    "s_contains": "s_within",
}
_TEMPORAL = frozenset(
    "t_after t_before t_contains t_disjoint t_during t_equals t_finishedby t_finishes t_intersects "
    "t_meets t_metby t_overlappedby t_overlaps t_startedby t_starts".split()
)
_ARRAYS = {
    "a_equals": "a_equals",
    "a_contains": "a_contains",
    "a_containedby": "a_contained_by",
    "a_overlaps": "a_overlaps",
}
_ARITHMETIC = frozenset("+ - * / ^ % div".split())
_FUNCTIONS = frozenset(("casei", "accenti"))

# operator → (fewest, most) arguments
ARITY: dict[str, tuple[int, int]] = {
    "and": (2, MAX_NODES),
    "or": (2, MAX_NODES),
    "not": (1, 1),
    "like": (2, 2),
    "between": (3, 3),
    "in": (2, 2),
    "isnull": (1, 1),
    **dict.fromkeys(_COMPARISONS, (2, 2)),
    **dict.fromkeys(_SPATIAL, (2, 2)),
    **dict.fromkeys(_TEMPORAL, (2, 2)),
    **dict.fromkeys(_ARRAYS, (2, 2)),
    **dict.fromkeys(_ARITHMETIC, (2, 2)),
    **dict.fromkeys(_FUNCTIONS, (1, 1)),
}
_BOOLEAN = frozenset(ARITY) - _ARITHMETIC - _FUNCTIONS

TRUE: Expression = {"op": "=", "args": [1, 1]}
FALSE: Expression = {"op": "=", "args": [1, 0]}

_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"")
_WORD = re.compile(r"[A-Za-z_][\w:.]*|[^\s\w]")


def parse(value: Any, language: str) -> Expression:
    """A filter in `cql2-text` or `cql2-json` as checked CQL2 JSON; see `normal` for the rest.

    Raises:
        BadRequest: not CQL2, an unknown operator, the wrong number of arguments, or over a limit.
    """
    if language == "cql2-text":
        if not isinstance(value, str):
            raise BadRequest("filter in cql2-text must be text")
        value = _from_text(value)
    elif language != "cql2-json":
        raise BadRequest("filter-lang must be cql2-text or cql2-json")
    counted = [0, 0]
    _check(value, 1, counted)
    return _boolean_form(value)


def _from_text(text: str) -> Any:
    if len(text) > MAX_TEXT:
        raise BadRequest("filter is too long")
    depth = deepest = words = 0
    for word in _WORD.findall(_QUOTED.sub("x", text)):
        words += 1
        if word in "([":
            depth += 1
            deepest = max(deepest, depth)
        elif word in ")]":
            depth -= 1
    # prefix operators nest without brackets: a run of them counts as depth too
    prefixes = max((len(run.split()) for run in re.findall(r"(?i)(?:\bnot\b\s*)+", text)), default=0)
    signs = max((len(run) for run in re.findall(r"(?:[-+]\s*)+", text)), default=0)
    if deepest + prefixes + signs > MAX_DEPTH:
        raise BadRequest(f"filter is nested more than {MAX_DEPTH} deep")
    if words > MAX_LITERALS * 4:
        raise BadRequest("filter is too long")
    try:
        return cql2.parse_text(text).to_json()
    except Exception as error:  # the library raises bare Exception and its own types
        raise BadRequest("filter is not CQL2 text") from error


def _check(node: Any, depth: int, counted: list[int]) -> None:
    """Depth, size, operators and arity, before anything else looks at the filter."""
    if depth > MAX_DEPTH:
        raise BadRequest(f"filter is nested more than {MAX_DEPTH} deep")
    if isinstance(node, list):
        for part in node:
            _check(part, depth, counted)
        return
    if not isinstance(node, Mapping):
        counted[1] += 1
        if counted[1] > MAX_LITERALS:
            raise BadRequest(f"filter has more than {MAX_LITERALS} values")
        if not isinstance(node, (str, bool, int, float, type(None))):
            raise BadRequest("filter has a value of an unknown kind")
        return
    counted[0] += 1
    if counted[0] > MAX_NODES:
        raise BadRequest(f"filter has more than {MAX_NODES} terms")
    if "op" in node:
        operator, args = node["op"], node.get("args")
        if not isinstance(operator, str) or operator.lower() not in ARITY:
            raise BadRequest(f"filter operator {str(operator)[:40]!r} is not known")
        fewest, most = ARITY[operator.lower()]
        if not isinstance(args, list) or not fewest <= len(args) <= most:
            raise BadRequest(f"filter operator {operator} takes {fewest} argument(s)")
        for arg in args:
            _check(arg, depth + 1, counted)
    elif "property" in node:
        _property_name(node)
    elif "type" in node or "bbox" in node:
        if "bbox" in node:
            if not isinstance(node["bbox"], list):
                raise BadRequest("bbox in filter must be a list")
            geometry.box(node["bbox"], "bbox in filter")
        else:
            geometry.geometry(node, "geometry in filter")
    elif "timestamp" in node or "date" in node:
        temporal.literal(node)
    elif "interval" in node:
        ends = node["interval"]
        if not isinstance(ends, list) or len(ends) != 2:
            raise BadRequest("interval in filter must have two ends")
        for end in ends:
            if isinstance(end, Mapping):
                _check(end, depth + 1, counted)
            elif end != "..":
                temporal.literal(end)
    else:
        raise BadRequest("filter has an object that is no operator, property, geometry or time")


def _property_name(node: Mapping[str, Any]) -> str:
    name = node["property"]
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise BadRequest("filter has a property without a usable name")
    while name.startswith("properties."):
        name = name.removeprefix("properties.")
    if not name.strip(" .") or name == "properties" or "\0" in name:
        raise BadRequest("filter has a property without a usable name")
    return name


def _boolean_form(node: Any) -> Expression:
    """`node` where something true or false is expected."""
    if node is True or node is False:
        return TRUE if node else FALSE
    if isinstance(node, Mapping):
        if "property" in node:
            return {"op": "=", "args": [node, True]}
        if "op" in node and node["op"].lower() in _BOOLEAN:
            operator = node["op"].lower()
            if operator in ("and", "or", "not"):
                return {"op": operator, "args": [_boolean_form(arg) for arg in node["args"]]}
            return {"op": operator, "args": node["args"]}
    raise BadRequest("filter must be a condition")


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
    if operator in _SPATIAL:
        return _spatial(operator, args)
    if operator in _TEMPORAL:
        return {"op": operator, "args": [_temporal_operand(arg) for arg in args]}
    if operator in _ARRAYS:
        return {"op": _ARRAYS[operator], "args": [_array_operand(arg) for arg in args]}
    if any(_is_property(arg, "collection") for arg in args):
        return _collection(operator, args, collections)
    if operator == "isnull":
        return {"op": "isNull", "args": [_scalar(args[0])]}
    if operator == "like":
        return {"op": "like", "args": [_scalar(arg) for arg in args]}
    if operator == "in":
        return _in(args)
    if operator == "between":
        return _between(args)
    return _comparison(operator, args)


def _comparison(operator: str, args: Sequence[Any]) -> Expression:
    left, right = (_scalar(arg) for arg in args)
    if _is_literal(left) and not _is_literal(right):
        left, right, operator = right, left, _COMPARISONS[operator]
    if _is_literal(left):
        return _compared_constants(operator, left, right)
    if _is_time(right):
        return _compared_with_time(operator, left, right)
    if operator in ("=", "<>") and _is_property(left, "opstac:stac_id") and isinstance(right, str):
        same = _either_id([right])
        return same if operator == "=" else {"op": "not", "args": [same]}
    return {"op": operator, "args": [left, right]}


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
    value, options = _scalar(args[0]), args[1]
    if not isinstance(options, list):
        raise BadRequest("in takes a value and a list")
    options = [_scalar(option) for option in options]
    if not options:
        return FALSE
    if not all(_is_literal(option) for option in options) or _is_literal(value):
        parts = [_comparison("=", [value, option]) for option in options]
    elif any(_is_time(option) for option in options):
        parts = [_comparison("=", [value, option]) for option in options]
    elif _is_property(value, "opstac:stac_id"):
        return _either_id(options)
    else:
        return {"op": "in", "args": [value, options]}
    return parts[0] if len(parts) == 1 else {"op": "or", "args": parts}


def _between(args: Sequence[Any]) -> Expression:
    value, low, high = (_scalar(arg) for arg in args)
    if not _is_literal(value) and _is_literal(low) and _is_literal(high) and not _is_time(low):
        return {"op": "between", "args": [value, low, high]}
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
        left, right, operator = right, left, _SPATIAL[operator]
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


def _scalar(node: Any, inside: bool = False) -> Any:
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
    if operator in _FUNCTIONS:
        return {"op": operator, "args": [_scalar(node["args"][0])]}
    if operator in _ARITHMETIC:
        left, right = (_scalar(arg, inside=True) for arg in node["args"])
        if geometry.is_number(left) and geometry.is_number(right):
            return _folded(operator, left, right)
        # pgstac writes no brackets, so a sum within a product would be read wrongly
        if inside or operator not in ("+", "-", "*", "/"):
            raise BadRequest(f"filter arithmetic with {operator} of a property is not supported here")
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
                "%": lambda: left % right,
                "div": lambda: left // right,
            }[operator]()
    except (ZeroDivisionError, OverflowError):
        raise BadRequest("filter divides by zero or overflows") from None
    if not geometry.is_number(answer):
        raise BadRequest("filter has arithmetic without a real result")
    return int(answer) if float(answer).is_integer() and abs(answer) < 2**53 else answer


def _stored_name(node: Mapping[str, Any]) -> str:
    name = _property_name(node)
    if name == "collection":
        raise BadRequest("collection can be compared with = , <> and in")
    return "opstac:stac_id" if name == "id" else name


def _is_property(node: Any, name: str) -> bool:
    return isinstance(node, Mapping) and "property" in node and _property_name(node) == name


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
