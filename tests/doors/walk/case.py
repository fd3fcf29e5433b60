"""The registry of cases: one function an operation, from a world to a body that succeeds."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from walk.world import Person, World

Body = dict[str, Any]


@dataclass(frozen=True)
class Sent:
    """What a door sends: a body, and as whom; by default the world's owner."""

    body: Body = field(default_factory=dict)
    by: Person | None = None


Make = Callable[[World], "Body | Sent"]


@dataclass(frozen=True)
class Case:
    """How an operation succeeds.

    Attributes:
        make: a body for one call. What changes something finds a new thing in the same state.
        fresh: `make` is asked again for each door.
        random: members of the answer that are drawn by lot.
        empty: why an answer without content is right.
        about: of an answer that tells of all organizations, what is recorded: the case's own.
        foreign: what another organization is answered: 404, or why not.
    """

    op_id: str
    make: Make
    fresh: bool
    foreign: str = ""
    random: tuple[str, ...] = ()
    empty: str = ""
    about: Callable[[World, Any], Any] | None = None

    def sent(self, world: World) -> Sent:
        """What to send now."""
        made = self.make(world)
        sent = made if isinstance(made, Sent) else Sent(made)
        return sent if sent.by else Sent(sent.body, world.owner)


CASES: dict[str, Case] = {}


def case(
    *op_ids: str,
    fresh: bool | None = None,
    foreign: str = "",
    random: tuple[str, ...] = (),
    empty: str = "",
    about: Callable[[World, Any], Any] | None = None,
) -> Callable[[Make], Make]:
    """Declare the decorated function as the case of operations; reads share one body."""

    def declare(make: Make) -> Make:
        from ops_gateway.kernel.operation import REGISTRY

        for op_id in op_ids:
            if op_id in CASES:
                raise TypeError(f"{op_id} has two cases")
            op = REGISTRY.get(op_id)
            again = not (op and op.is_read) if fresh is None else fresh
            CASES[op_id] = Case(op_id, make, again, foreign, random, empty, about)
        return make

    return declare


def load() -> dict[str, Case]:
    """Every case, with every operation declared."""
    from ops_gateway import domains
    from walk import cases

    domains.load()
    for found in pkgutil.iter_modules(cases.__path__):
        importlib.import_module(f"walk.cases.{found.name}")
    return CASES
