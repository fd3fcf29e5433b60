"""What the tiler is told of a mosaic: who may see it, which items lie where, and their assets."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tiler.source import AssetSource

Bounds = tuple[float, float, float, float]
"""West, south, east, north in degrees."""

Selection = Literal["newest", "oldest", "least_cloudy", "first", "median", "mean", "min", "max"]
FIRST_OF: tuple[Selection, ...] = ("newest", "oldest", "least_cloudy", "first")
STATISTICS: tuple[Selection, ...] = ("median", "mean", "min", "max")
SELECTIONS: tuple[Selection, ...] = (*FIRST_OF, *STATISTICS)


@dataclass(frozen=True, slots=True)
class Skipped:
    """An item that is left out of a picture, and why."""

    item_id: str
    reason: str


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

Assets = Callable[[Sequence[str]], Awaitable[list[AssetSource | Skipped]]]
"""Item ids → their assets in this order; what cannot be drawn is skipped with the reason."""


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
    public: bool = False
