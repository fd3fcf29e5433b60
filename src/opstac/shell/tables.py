"""Answers as tables, for people: as wide as the terminal, without anything that could steer it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

GAP = "  "
WIDEST = 48  # of one column
FIRST = ("id", "jobID", "name", "title", "slug", "type", "status", "state")
LAST = ("created_at", "updated_at")


def render(answer: Any, width: int) -> str | None:
    """The answer as lines of at most `width` cells; None where a table would say less than JSON.

    An object with one list of objects in it, as lists are answered, has a row for each of these
    and its other plain values below; any other object has a line for each of its fields.
    """
    if not isinstance(answer, Mapping) or not answer:
        return None
    name = list_of(answer)
    if name is None:
        # an operation's `item` or `project` alone in its answer is what was asked for
        inner = next(iter(answer.values()))
        record = inner if len(answer) == 1 and isinstance(inner, Mapping) and inner else answer
        return fields(record, width)
    rows = [flat(row) for row in answer[name]]
    rest = {key: value for key, value in answer.items() if key != name and is_plain(value)}
    said = ", ".join(f"{key} {cell(value)}" for key, value in rest.items() if value is not None)
    nothing = clean(f"no {name.replace('_', ' ')}")
    lines = [grid(rows, width)] if rows else [cut(nothing, width)]
    if said:
        lines.append(cut(clean(said), width))
    return "\n".join(lines)


def list_of(answer: Mapping[str, Any]) -> str | None:
    """The name of the one list of objects in the answer."""
    lists = [
        name
        for name, value in answer.items()
        if isinstance(value, list) and all(isinstance(one, Mapping) for one in value)
    ]
    full = [name for name in lists if answer[name]]
    chosen = full if len(full) == 1 else lists
    # links lead on; they are not what was asked for
    chosen = [name for name in chosen if name != "links"] or chosen
    return chosen[0] if len(chosen) == 1 and len(answer) < 12 else None


def flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's fields; those of a feature's `properties` beside its own."""
    inner = row.get("properties")
    if row.get("type") == "Feature" and isinstance(inner, Mapping):
        return {**inner, **{k: v for k, v in row.items() if k != "properties"}}
    return dict(row)


def is_plain(value: Any) -> bool:
    """Whether it is one word and not an object or a list."""
    return value is None or isinstance(value, str | int | float | bool)


def columns_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the plain columns: what a thing is called first, when it was made last."""
    names = dict.fromkeys(name for row in rows for name in row)
    plain = [
        name
        for name in names
        if all(is_plain(row.get(name)) for row in rows)
        and any(row.get(name) is not None for row in rows)
    ]
    known = [name for name in FIRST if name in plain]
    late = [name for name in LAST if name in plain]
    return known + [name for name in plain if name not in known + late] + late


def grid(rows: Sequence[Mapping[str, Any]], width: int) -> str:
    """Rows under their names; columns that do not fit are named below."""
    names = columns_of(rows)
    if not names:
        return "\n".join(cut(cell(row), width) for row in rows)
    texts = {name: [cell(row.get(name)) for row in rows] for name in names}
    widths = {name: min(WIDEST, max(map(cells, [clean(name), *texts[name]]))) for name in names}
    shown: list[str] = []
    left = width
    for name in names:
        if not shown or widths[name] + len(GAP) <= left:
            shown.append(name)
            left -= widths[name] + len(GAP)
    lines = [line((pad(clean(name), widths[name]) for name in shown), width)]
    for at in range(len(rows)):
        lines.append(line((pad(texts[name][at], widths[name]) for name in shown), width))
    if hidden := len({name for row in rows for name in row}) - len(shown):
        lines.append(cut(f"({hidden} more fields; --json has them)", width))
    return "\n".join(lines)


def fields(record: Mapping[str, Any], width: int) -> str:
    """A line for each field."""
    names = {key: clean(str(key)) for key in record}
    wide = min(WIDEST, max(map(cells, names.values())))
    return "\n".join(
        line([pad(names[key], wide), cell(value)], width) for key, value in record.items()
    )


def line(parts: Iterable[str], width: int) -> str:
    """The parts beside each other."""
    return cut(GAP.join(parts).rstrip(), width)


def cell(value: Any) -> str:
    """A value in one line."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return clean(value)
    return clean(json.dumps(value, ensure_ascii=False))


def clean(text: str) -> str:
    """The text in one line; what would steer a terminal or turn the writing round is shown as ?."""
    return "".join(
        " " if letter in "\n\r\t" else "?" if unicodedata.category(letter) in STEERING else letter
        for letter in text
    )


STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")


def cells(text: str) -> int:
    """How many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def pad(text: str, wide: int) -> str:
    """The text, cut or filled up to `wide` cells."""
    text = cut(text, wide)
    return text + " " * (wide - cells(text))


def cut(text: str, wide: int) -> str:
    """The text in at most `wide` cells."""
    if cells(text) <= wide:
        return text
    taken, at = 0, 0
    while at < len(text) and taken + cells(text[at]) <= max(0, wide - 1):
        taken += cells(text[at])
        at += 1
    return text[:at] + "…"
