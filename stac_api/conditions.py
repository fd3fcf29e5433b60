"""The query extension and free text, as conditions of a filter."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from stac_api import cql2
from stac_api.errors import BadRequest
from stac_api.normal_form import KINDS

CQL2_JSON = "cql2-json"
MAX_TERMS = 10
# where free text is looked for
_TEXTS = ("title", "description")
_QUERY_OPERATORS = {
    "eq": "=",
    "neq": "<>",
    "ne": "<>",
    "lt": "<",
    "lte": "<=",
    "gt": ">",
    "gte": ">=",
}
_QUERY_PATTERNS = {"startsWith": "{}%", "endsWith": "%{}", "contains": "%{}%"}


def terms(value: Any) -> list[str]:
    """`q`: texts of which one is to be found, as a list or separated by commas."""
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list) or not all(isinstance(term, str) for term in value):
        raise BadRequest("q must be a list of texts")
    found = [stripped for term in value if (stripped := " ".join(term.split()).strip('"'))]
    if not 0 < len(found) <= MAX_TERMS:
        raise BadRequest(f"q must have 1 to {MAX_TERMS} texts")
    return found


def free_text(wanted: Sequence[str]) -> Mapping[str, Any]:
    """Any of the texts within title or description, or as one of the keywords; upper and lower
    case alike, of keywords in their common spellings.
    """
    found: list[dict[str, Any]] = []
    for term in wanted:
        found += [
            {"op": "like", "args": [_folded({"property": name}), _folded(_like(term))]}
            for name in _TEXTS
        ]
        spelled = sorted({term, term.lower(), term.upper(), term.capitalize(), term.title()})
        found.append({"op": "a_overlaps", "args": [{"property": "keywords"}, spelled]})
    return {"op": "or", "args": [cql2.parse(part, CQL2_JSON) for part in found]}


def _folded(value: Any) -> dict[str, Any]:
    return {"op": "casei", "args": [value]}


def _like(text: str, pattern: str = "%{}%") -> str:
    return pattern.format(re.sub(r"([\\%_])", r"\\\1", text))


def query_conditions(value: Any) -> list[Mapping[str, Any]]:
    """The query extension as filter conditions."""
    if not isinstance(value, Mapping) or not all(isinstance(v, Mapping) for v in value.values()):
        raise BadRequest("query must be an object of properties with an object of operators each")
    conditions: list[dict[str, Any]] = []
    for name, operators in value.items():
        column = {"property": name}
        numeric = KINDS.get(name) == "number"
        for operator, operand in operators.items():
            if numeric and (operator in _QUERY_OPERATORS or operator == "in"):
                operand = _spelled_numbers(operand)
            if operator in _QUERY_OPERATORS:
                conditions.append({"op": _QUERY_OPERATORS[operator], "args": [column, operand]})
            elif operator == "in" and isinstance(operand, list):
                conditions.append({"op": "in", "args": [column, operand]})
            elif operator in _QUERY_PATTERNS and isinstance(operand, str):
                pattern = _like(operand, _QUERY_PATTERNS[operator])
                conditions.append({"op": "like", "args": [column, pattern]})
            else:
                raise BadRequest(
                    f"query operator {operator[:40]!r} is not known or lacks its value"
                )
    return [cql2.parse(condition, CQL2_JSON) for condition in conditions]


def _spelled_numbers(operand: Any) -> Any:
    """A number may be written as text in the query extension, as clients of forms do."""
    if isinstance(operand, list):
        return [_spelled_number(value) for value in operand]
    return _spelled_number(operand)


def _spelled_number(value: Any) -> Any:
    if not isinstance(value, str) or len(value) > 64:
        return value
    try:
        number = float(value)
    except ValueError:
        return value
    return number if math.isfinite(number) else value


def all_of(conditions: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """All conditions as one; None for none."""
    if len(conditions) > 1:
        return {"op": "and", "args": list(conditions)}
    return conditions[0] if conditions else None
