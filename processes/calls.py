"""A block function with what it is called with, and where it is called; made to travel."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from processes.files import Files
from processes.grid import Block
from processes.process import Source

BlockFunction = Callable[[Block, Files, Any], Any]


@dataclass(frozen=True)
class Call:
    """What a block function is called with, beside the block; made to travel.

    Attributes:
        run: a name for the handles that are kept open between blocks.
    """

    run: str
    function: BlockFunction
    sources: Mapping[str, Source]
    params: Any

    def __call__(self, block: Block) -> Any:
        """Compute one block."""
        with Files(self.run, self.sources) as files:
            return self.function(block, files, self.params)


class Pending(Protocol):
    """A block under way."""

    def result(self) -> Any:
        """What the function returned, once it has. Raises: what it raised."""
        ...


@dataclass(frozen=True)
class Place:
    """Where blocks are computed: how to start one, and how many may be under way."""

    start: Callable[[Block], Pending]
    under_way: int
