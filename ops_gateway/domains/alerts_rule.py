"""What an alert rule may say, when it fires, and the words for it."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import BadRequest, Invalid
from raster import bands, indices
from raster.bands import BandMissing
from raster.formula import MAX_BAND, Formula, FormulaError, parse

COMPARISONS = {
    "lt": "fell below",
    "gt": "rose above",
    "eq": "equalled",
    "between": "is between",
}
"""Comparison → what a message says of it."""
EVENT_TYPES = ("item.created", "item.updated")
CHANNELS = ("webhook", "in_app", "email")
LONGEST = {"name": 200, "description": 2000, "collection_id": 200, "asset_key": 200}  # characters
MOST_BANDS = 200  # in a mapping
LONGEST_COOLDOWN = 10 * 366 * 24 * 60  # minutes
_CLOSE = 1e-9
_NAME = re.compile(r"(?<![A-Za-z0-9_.])[A-Za-z_][A-Za-z0-9_]*(?!\s*\(|[A-Za-z0-9_])", re.ASCII)
_SAMPLES = np.random.default_rng(5).uniform(0.05, 0.6, (16, 24)).astype(np.float32)


# ---------------------------------------------------------------- checks


def check_fields(ctx: Context, given: Mapping[str, Any]) -> None:
    """Raise Invalid where a field holds what no rule may have; `given`: those that were sent."""
    for field, longest in LONGEST.items():
        if len(given.get(field) or "") > longest:
            raise Invalid.at(field, f"longer than {longest} characters", "too_long")
    for field in ("name", "asset_key"):
        text = given.get(field)
        if text is not None and not (text.strip() and text.isprintable()):
            raise Invalid.at(field, "must have a printable character, and none that is not")
    _check_words(given, "event_types", EVENT_TYPES)
    if "event_types" in given and not given["event_types"]:
        raise Invalid.at("event_types", f"must name one of {', '.join(EVENT_TYPES)}", "too_short")
    _check_words(given, "notification_channels", CHANNELS)
    mails = "email" in (given.get("notification_channels") or ())
    if mails and not ctx.services.options.mail:
        raise Invalid.at(
            "notification_channels", "this platform sends no mail: take 'in_app' or 'webhook'"
        )
    cooldown = given.get("cooldown_minutes")
    if cooldown is not None and not 0 <= cooldown <= LONGEST_COOLDOWN:
        raise Invalid.at("cooldown_minutes", f"must be 0 to {LONGEST_COOLDOWN}", "out_of_range")
    _check_mapping(given.get("band_mapping") or {})


def _check_words(given: Mapping[str, Any], field: str, known: tuple[str, ...]) -> None:
    for place, word in enumerate(given.get(field) or ()):
        if word not in known:
            message = f"must be one of {', '.join(known)}"
            raise Invalid.at([field, place], message)


def _check_mapping(mapping: Mapping[str, int]) -> None:
    if len(mapping) > MOST_BANDS:
        raise Invalid.at("band_mapping", f"more than {MOST_BANDS} bands", "too_long")
    seen: dict[str, int] = {}
    for name, index in mapping.items():
        place = ["band_mapping", name[:100]]
        if len(name) > 100 or not name.isprintable() or not bands.fold(name):
            raise Invalid.at(place, "a name has letters or digits and 100 characters at most")
        if not 1 <= index <= MAX_BAND:
            raise Invalid.at(place, f"a band is a number from 1 to {MAX_BAND}")
        if re.fullmatch(r"b[1-9][0-9]{0,3}", name) and name != f"b{index}":
            raise Invalid.at(place, f"{name} is always band {name[1:]}: take another name")
        if seen.setdefault(bands.fold(name), index) != index:
            raise Invalid.at(place, "is the name of another band too: case and signs do not count")


def check_rule(rule: Mapping[str, Any]) -> None:
    """Raise BadRequest where a whole rule cannot be applied."""
    if rule["comparison"] not in COMPARISONS:
        raise BadRequest(
            f"comparison must be one of {', '.join(COMPARISONS)}, not '{rule['comparison'][:40]}'"
        )
    if rule["comparison"] == "between":
        if rule["threshold_upper"] is None:
            raise BadRequest("comparison 'between' needs threshold_upper")
        if rule["threshold_upper"] < rule["threshold"]:
            raise BadRequest("threshold_upper must not be less than threshold")
    try:
        plain(rule["expression"], rule["band_mapping"])
    except FormulaError as error:
        raise BadRequest(f"expression: {error}") from None


# ---------------------------------------------------------------- the expression


def plain(expression: str, mapping: Mapping[str, int]) -> str:
    """The expression with `b<n>` in place of the names of its mapping.

    It then means the same bands of every raster, whatever that calls them.

    Raises: FormulaError.
    """
    formula = _parsed(expression, mapping)
    if len(formula.blocks) != 1:
        raise FormulaError("must give one value, so no semicolon", expression.index(";"))
    if not mapping:
        return expression
    places = {bands.fold(name): index for name, index in mapping.items()}

    def put(name: re.Match[str]) -> str:
        index = places.get(bands.fold(name[0]))
        is_number = re.fullmatch(r"b[1-9][0-9]{0,3}", name[0])
        return name[0] if is_number or index is None else f"b{index}"

    text = _NAME.sub(put, expression)
    parse(text, band_count=MAX_BAND, exact=True)
    return text


def _parsed(expression: str, mapping: Mapping[str, int]) -> Formula:
    return parse(expression, mapping=mapping, band_count=MAX_BAND, exact=True)


def index_of(expression: str, mapping: Mapping[str, int]) -> str | None:
    """The name of the index that the expression computes of its mapped bands, if of a known one."""
    return _index_of(expression, tuple(sorted(mapping.items()))) if mapping else None


@functools.lru_cache(4096)
def _index_of(expression: str, mapping: tuple[tuple[str, int], ...]) -> str | None:
    """By its values: `(nir - red) / (red + nir)` is NDVI too."""
    places: dict[str, int] = {}
    for key, band in (indices.roles_from(dict(mapping)) or {}).items():
        if role := bands.role(key):
            places.setdefault(role, band)
    formula = _parsed(expression, dict(mapping))
    if len(formula.bands) > len(_SAMPLES[0]):
        return None
    values = None
    for index in indices.catalogue().values():
        if {places.get(role) for role in index.roles} != set(formula.bands):
            continue
        try:
            other = parse(indices.formula_of(index), mapping=places, band_count=MAX_BAND)
        except (BandMissing, FormulaError):
            continue  # a constant of it has no usual value
        if other.bands != formula.bands:
            continue
        values = _values(formula) if values is None else values
        if np.allclose(values, _values(other), rtol=5e-5, atol=1e-6, equal_nan=True):
            return index.name
    return None


def _values(formula: Formula) -> np.ndarray:
    given = {band: _SAMPLES[:, place][None] for place, band in enumerate(formula.bands)}
    return np.ma.filled(formula.evaluate(given).astype(np.float64), np.nan).ravel()


# ---------------------------------------------------------------- firing


def trips(rule: Mapping[str, Any], value: float) -> bool:
    """Whether a value passes the rule's comparison; both ends of `between` do."""
    threshold, upper = rule["threshold"], rule["threshold_upper"]
    match rule["comparison"]:
        case "lt":
            return value < threshold
        case "gt":
            return value > threshold
        case "eq":
            return math.isclose(value, threshold, rel_tol=_CLOSE, abs_tol=_CLOSE)
        case _:
            return threshold <= value <= upper


def title(rule_name: str) -> str:
    """The heading of a message."""
    return f"Alert: {rule_name}"


def sentence(rule: Mapping[str, Any], value: float, item_id: str) -> str:
    """`Mean NDVI 0.214 fell below 0.3 on it_…`: what fired, in one sentence."""
    what = index_of(rule["expression"], rule["band_mapping"]) or "value"
    bound = _number(rule["threshold"])
    if rule["comparison"] == "between":
        bound += f" and {_number(rule['threshold_upper'])}"
    return f"Mean {what} {value:.3f} {COMPARISONS[rule['comparison']]} {bound} on {item_id}"


def _number(value: float) -> str:
    return f"{value:.15g}"
