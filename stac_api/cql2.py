"""CQL2 filters as sent: read and held within limits, before anything else looks at them.

Text is measured before the `cql2` library sees it, because deeply nested text ends the process
there (SIGSEGV in 0.6.0). `normal_form.py` goes on from here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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

COMPARISONS = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
SPATIAL = {
    "s_intersects": "s_intersects",
    "s_equals": "s_equals",
    "s_disjoint": "s_disjoint",
    "s_touches": "s_touches",
    "s_overlaps": "s_overlaps",
    "s_crosses": "s_crosses",
    "s_within": "s_contains",
    "s_contains": "s_within",
}
TEMPORAL = frozenset(
    (
        "t_after",
        "t_before",
        "t_contains",
        "t_disjoint",
        "t_during",
        "t_equals",
        "t_finishedby",
        "t_finishes",
        "t_intersects",
        "t_meets",
        "t_metby",
        "t_overlappedby",
        "t_overlaps",
        "t_startedby",
        "t_starts",
    )
)
ARRAYS = frozenset(("a_equals", "a_contains", "a_containedby", "a_overlaps"))
ARITHMETIC = frozenset(("+", "-", "*", "/", "^", "%", "div"))
FUNCTIONS = frozenset(("casei", "accenti"))

# operator → (fewest, most) arguments
ARITY: dict[str, tuple[int, int]] = {
    "and": (1, MAX_NODES),
    "or": (1, MAX_NODES),
    "not": (1, 1),
    "like": (2, 2),
    "between": (3, 3),
    "in": (2, 2),
    "isnull": (1, 1),
    **dict.fromkeys(COMPARISONS, (2, 2)),
    **dict.fromkeys(SPATIAL, (2, 2)),
    **dict.fromkeys(TEMPORAL, (2, 2)),
    **dict.fromkeys(ARRAYS, (2, 2)),
    **dict.fromkeys(ARITHMETIC, (2, 2)),
    **dict.fromkeys(FUNCTIONS, (1, 1)),
}
_BOOLEAN = frozenset(ARITY) - ARITHMETIC - FUNCTIONS

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
    with place():
        _check(value, 1, counted)
        return _boolean_form(value)


@contextmanager
def place(step: str | None = None) -> Iterator[None]:
    """Say in a refusal from within where in the filter it is: one step, or with none the whole."""
    try:
        yield
    except BadRequest as error:
        path: str = getattr(error, "path", "")
        if step is not None:
            error.path = f".{step}{path}"  # type: ignore[attr-defined]
            raise
        raise BadRequest(f"{error.detail} (at filter{path})" if path else error.detail) from None


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
    prefixes = max(
        (len(run.split()) for run in re.findall(r"(?i)(?:\bnot\b\s*)+", text)), default=0
    )
    signs = max((len(run) for run in re.findall(r"(?:[-+]\s*)+", text)), default=0)
    if deepest + prefixes + signs > MAX_DEPTH:
        raise BadRequest(f"filter is nested more than {MAX_DEPTH} deep")
    if words > MAX_LITERALS * 4:
        raise BadRequest("filter is too long")
    try:
        return cql2.parse_text(text).to_json()
    except Exception as error:  # the library raises bare Exception and its own types
        at = re.search(r"--> (\d+):(\d+)", str(error))
        place = f": line {at[1]}, character {at[2]} is not expected" if at else ""
        raise BadRequest(f"filter is not CQL2 text{place}") from error


def _check(node: Any, depth: int, counted: list[int]) -> None:
    """Depth, size, operators and arity; `counted` holds the terms and values seen so far."""
    if depth > MAX_DEPTH:
        raise BadRequest(f"filter is nested more than {MAX_DEPTH} deep")
    if isinstance(node, list):
        for part in node:
            _check(part, depth + 1, counted)
        return
    if not isinstance(node, Mapping):
        counted[1] += 1
        if counted[1] > MAX_LITERALS:
            raise BadRequest(f"filter has more than {MAX_LITERALS} values")
        return
    counted[0] += 1
    if counted[0] > MAX_NODES:
        raise BadRequest(f"filter has more than {MAX_NODES} terms")
    if "op" in node:
        for n, arg in enumerate(_arguments(node)):
            with place(f"args[{n}]"):
                _check(arg, depth + 1, counted)
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
        _check_leaf(node)


def _arguments(node: Mapping[str, Any]) -> list[Any]:
    operator, args = node["op"], node.get("args")
    if not isinstance(operator, str) or operator.lower() not in ARITY:
        raise BadRequest(f"filter operator {str(operator)[:40]!r} is not known")
    fewest, most = ARITY[operator.lower()]
    if isinstance(args, list) and len(args) > most > fewest:
        raise BadRequest(f"filter operator {operator} has {len(args)} arguments; at most {most}")
    if not isinstance(args, list) or not fewest <= len(args) <= most:
        raise BadRequest(f"filter operator {operator} needs its {fewest} argument(s)")
    return args


def _check_leaf(node: Mapping[str, Any]) -> None:
    if "property" in node:
        property_name(node)
    elif "bbox" in node:
        if not isinstance(node["bbox"], list):
            raise BadRequest("bbox in filter must be a list")
        geometry.box(node["bbox"], "bbox in filter")
    elif "type" in node:
        geometry.geometry(node, "geometry in filter")
    elif "timestamp" in node or "date" in node:
        temporal.literal(node)
    else:
        raise BadRequest("filter has an object that is no operator, property, geometry or time")


def property_name(node: Mapping[str, Any]) -> str:
    """The name a checked {"property": …} gives, without its prefix."""
    name = node["property"]
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise BadRequest("filter has a property without a usable name")
    while name.startswith("properties."):
        name = name.removeprefix("properties.")
    if not name.strip(" .") or name == "properties" or "\0" in name:
        raise BadRequest("filter has a property without a usable name")
    return name


def each(function: Callable[[Any], Expression], args: Sequence[Any]) -> list[Expression]:
    """`function` of each argument, refusals with its place."""
    made: list[Expression] = []
    for n, arg in enumerate(args):
        with place(f"args[{n}]"):
            made.append(function(arg))
    return made


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
                return {"op": operator, "args": each(_boolean_form, node["args"])}
            return {"op": operator, "args": node["args"]}
    raise BadRequest("filter must be a condition")
