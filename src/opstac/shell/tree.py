"""What the words of a command line mean: an operation, a group of operations, or neither.

`processing job-types list` is `processing.job_types.list`; dots and underscores are taken too.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from opstac.client import table


@dataclass(frozen=True)
class Found:
    """Where the words lead to.

    Attributes:
        name: dotted: an operation's id, or the beginning of several.
        rest: the words behind.
        is_operation: whether it is one; it may be a group as well, as `astra.process` is.
    """

    name: str
    rest: list[str]
    is_operation: bool


def dotted(word: str) -> str:
    """`job-types` → `job_types`."""
    return word.replace("-", "_")


def spelled(op_id: str) -> str:
    """`processing.job_types.list` → `processing job-types list`."""
    return op_id.replace(".", " ").replace("_", "-")


def ids() -> Sequence[str]:
    """Every operation of the table, sorted."""
    return sorted(table.entries())


def domains() -> list[str]:
    """First parts of the ids, as they are written: `api-keys`."""
    return sorted({spelled(one.partition(".")[0]) for one in ids()})


def below(name: str, known: Iterable[str] | None = None) -> list[str]:
    """The operations of a group; all of them for an empty name."""
    chosen = ids() if known is None else sorted(known)
    return [one for one in chosen if not name or one.startswith(name + ".")]


def follow(words: Sequence[str], known: Iterable[str] | None = None) -> Found | None:
    """What the words before the first flag lead to: the longest name that there is.

    Further words are left in `rest`. None where not even the first one is a name.
    """
    chosen = set(ids() if known is None else known)
    groups = {one[:at] for one in chosen for at in _dots(one)}
    parts: list[str] = []
    found = None
    for count, word in enumerate(words, 1):
        if word.startswith("-") or not word:
            break
        parts += dotted(word).split(".")
        name = ".".join(parts)
        if name not in chosen and name not in groups:
            break
        found = Found(name, list(words[count:]), name in chosen)
    return found


def _dots(op_id: str) -> list[int]:
    return [at for at, letter in enumerate(op_id) if letter == "."]


def near(words: Sequence[str], known: Iterable[str] | None = None) -> list[str]:
    """Operations that may have been meant."""
    chosen = list(ids() if known is None else known)
    name = ".".join(dotted(word) for word in words)
    return below(name, chosen)[:8] or difflib.get_close_matches(name, chosen, n=3)
