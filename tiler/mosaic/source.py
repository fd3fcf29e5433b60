"""What the tiler is told of a mosaic: who may see it, which items lie where, and their assets."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tiler.source import AssetSource

Bounds = tuple[float, float, float, float]
"""West, south, east, north in degrees."""

Selection = Literal["newest", "oldest", "least_cloudy", "first", "median", "mean", "min", "max"]
FIRST_OF: tuple[Selection, ...] = ("newest", "oldest", "least_cloudy", "first")
STATISTICS: tuple[Selection, ...] = ("median", "mean", "min", "max")
SELECTIONS: tuple[Selection, ...] = (*FIRST_OF, *STATISTICS)


@dataclass(frozen=True, slots=True)
class Skipped:
    """An item that is left out of a picture, and why.

    Attributes:
        may_pass: the item may be there the next time, though nothing of it changes.
    """

    item_id: str
    reason: str
    may_pass: bool = False


@dataclass(frozen=True, slots=True)
class Candidates:
    """Items that a picture may be drawn from, best first.

    Attributes:
        items: their ids.
        covers: the item's footprint holds all of the bounds asked for.
        boxes: of their footprints.
        versions: changes when an asset or a display profile of them does.
        matched: how many there are without the limit, up to 100,000; None if not asked for.
    """

    items: tuple[str, ...]
    covers: tuple[bool, ...] = ()
    boxes: tuple[Bounds, ...] = ()
    versions: str = ""
    matched: int | None = None


Find = Callable[[Bounds | None, Selection, int, bool], Awaitable[Candidates]]
"""(bounds or None for everywhere, order, how many, count?) → candidates."""


class Assets(Protocol):
    """Item ids → their assets in this order; what cannot be drawn is skipped with the reason."""

    async def __call__(self, items: Sequence[str], *, opened: bool) -> list[AssetSource | Skipped]:
        """`opened`: files of other hosts are opened; else they have no path."""
        ...


@dataclass(frozen=True, slots=True)
class Patch:
    """An item's footprint, and what the catalogue knows of its bands.

    Attributes:
        outline: WKB, degrees.
        names: of the bands; empty if unknown.
        bands: [mean in stored numbers, scale, offset, number type] of each, None where unknown.
    """

    outline: bytes
    names: tuple[str | None, ...]
    bands: tuple[tuple[Any, ...], ...]


Patches = Callable[[Sequence[str], float], Awaitable[list[Patch]]]
"""(item ids, by how many degrees an outline may be wrong) → those of which this is known."""


@dataclass(frozen=True, slots=True)
class MosaicSource:
    """A collection or a saved search as its caller may see it, narrowed by the request.

    Attributes:
        kind: `collections` or `searches`, as in the path.
        id: in the path of its URLs.
        identity: equal where the same items are visible: keys what is remembered of a layer.
    """

    kind: str
    id: str
    name: str
    identity: str
    find: Find = field(repr=False)
    assets: Assets = field(repr=False)
    patches: Patches = field(repr=False)
    public: bool = False
