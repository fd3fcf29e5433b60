"""What a run costs: the price its process declares, or the operator's row in the table `price`.

There is one function from a quantity to credits (`Rate.credits`); the catalogue, the estimate, the
hold and the receipt all use it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from db.queries import queries
from ops_gateway.kernel.context import Context
from processes.process import Process

sql = queries(__file__)

Unit = Literal["SQ_KM", "JOB"]
# as the table spells them; a rate by the megapixel is in it for a process that measures those
UNITS: dict[str, str] = {"sq_km": "SQ_KM", "flat": "JOB", "megapixel": "MEGAPIXEL"}


@dataclass(frozen=True)
class Rate:
    """What a unit costs, and the least a run costs.

    Attributes:
        unit: JOB counts every run as one, whatever its size.
    """

    unit: Unit
    credits_per_unit: Decimal
    minimum_credits: int

    @property
    def free(self) -> bool:
        """Whether no run costs anything."""
        return not self.credits_per_unit and not self.minimum_credits

    @property
    def strategy(self) -> Literal["area", "flat"]:
        """How the price depends on the inputs."""
        return "area" if self.unit == "SQ_KM" else "flat"

    def units(self, quantity: Decimal) -> Decimal:
        """How many units are charged of a run that takes `quantity`."""
        return Decimal(1) if self.unit == "JOB" else quantity

    def credits(self, quantity: Decimal) -> int:
        """Whole credits; rounded up once, here."""
        return max(math.ceil(self.units(quantity) * self.credits_per_unit), self.minimum_credits)

    def in_words(self) -> str:
        """For people who choose a process."""
        if self.free:
            return "free"
        rate = f"{self.credits_per_unit.normalize():f} credits per {self.unit}"
        return f"{rate}, at least {self.minimum_credits}"


def declared(process: Process) -> Rate:
    """The price that the process itself states."""
    unit: Unit = "SQ_KM" if process.unit == "SQ_KM" else "JOB"
    return Rate(unit, process.price.credits_per_unit, process.price.minimum_credits)


def overridden(process: Process, row: Mapping[str, Any] | None) -> Rate:
    """The operator's price where there is one.

    A row in a unit that the process does not measure cannot be computed and does not count; a flat
    one always can.
    """
    own = declared(process)
    if row is None or UNITS[row["unit"]] not in ("JOB", own.unit):
        return own
    unit: Unit = "JOB" if row["unit"] == "flat" else own.unit
    return Rate(unit, row["credits_per_unit"], row["minimum_credits"])


async def rate(ctx: Context, process: Process) -> Rate:
    """What the process costs now."""
    return overridden(process, await ctx.row(None, sql.overrides, subject=process.id))


async def rates(ctx: Context, processes: Mapping[str, Process]) -> dict[str, Rate]:
    """What each process costs now, in one query."""
    rows = {row["subject"]: row for row in await ctx.rows(None, sql.overrides, subject=None)}
    return {name: overridden(process, rows.get(name)) for name, process in processes.items()}
