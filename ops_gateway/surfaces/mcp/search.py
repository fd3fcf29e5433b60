"""Which operations there are for some words: ranked by id, summary, text and fields."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

from ops_gateway.kernel.operation import REGISTRY, Operation

ID, SUMMARY, TEXT = 4.0, 2.0, 1.0
_WORD = re.compile(r"[a-z0-9]+")
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "es", "ed", "s", "e", "y")


def stem(word: str) -> str:
    """A word without its ending, so that `clipping`, `clips` and `clip` are one. At least three
    letters stay.
    """
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    # clipp(ing) → clip
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def stems(text: str) -> list[str]:
    """The stems of a text's words, in order."""
    return [stem(word) for word in _WORD.findall(text.lower())]


@cache
def _index(size: int) -> tuple[dict[str, dict[str, float]], Counter[str]]:
    """Of each operation its stems with the best place they stand in, and in how many each is.

    `size` of the registry: made anew where operations were declared since.
    """
    index: dict[str, dict[str, float]] = {}
    for op in REGISTRY.values():
        weights: dict[str, float] = {}
        for weight, text in (
            (TEXT, " ".join([op.description, *op.input.model_fields])),
            (SUMMARY, op.summary),
            (ID, op.id),
        ):
            weights.update(dict.fromkeys(stems(text.replace("_", " ")), weight))
        index[op.id] = weights
    return index, Counter(word for weights in index.values() for word in weights)


def ranked(query: str, operations: Iterable[Operation]) -> list[Operation]:
    """Those that have at least one of the words, the best first, equals by id.

    A word counts by where it stands and by how few operations have it.
    """
    index, spread = _index(len(REGISTRY))
    words = set(stems(query))
    found: list[tuple[float, str, Operation]] = []
    for op in operations:
        weights = index[op.id]
        score = sum(
            weights[word] * math.log(1 + len(index) / spread[word])
            for word in words
            if word in weights
        )
        if op.id == query.strip():
            score = math.inf
        if score:
            found.append((-score, op.id, op))
    return [op for _, _, op in sorted(found, key=lambda one: one[:2])]
