"""What a source gives: batches, each with the place from which the next run would go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Place = dict[str, Any]
Item = dict[str, Any]


class Unusable(Exception):
    """The source cannot be read, or not any further; the message says why."""


@dataclass(frozen=True)
class Bad:
    """An entry that is no item."""

    reason: str
    id: str | None = None


@dataclass
class Batch:
    """Entries that are sent together.

    Attributes:
        entries: items, or what was there instead.
        after: where the run stands once the batch is stored.
        done: how much of the source's `total` lies before `after`.
    """

    entries: list[Item | Bad]
    after: Place
    done: int
    raw: list[Any] = field(default_factory=list)


class Source(Protocol):
    """Items from somewhere."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What must be the same for a state to fit."""
        ...

    @property
    def total(self) -> int | None:
        """How much there is (bytes, items or files); None where it is not known."""
        ...

    def batches(self, start: Place, size: int) -> Iterator[Batch]:
        """Batches of up to `size` entries from the place `start` on. Raises Unusable."""
        ...
