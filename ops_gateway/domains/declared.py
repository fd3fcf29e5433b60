"""What a process says of a run before it is made, asked safely.

A process may be somebody else's code that runs here, in the server. What it raises is its own fault
and not the platform's: the caller is told which process cannot take the inputs, the log has the
traceback.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from pydantic import ValidationError

from ops_gateway.kernel.errors import Invalid, OpError
from processes.process import JobError, Process, Source, SourceRef

logger = logging.getLogger(__name__)

_MOST = Decimal(10) ** 12  # of a unit; more is no area and no count
_LONGEST = 10_000  # characters of an item's or asset's name
T = TypeVar("T")


class BrokenSchema(Invalid):
    """Inputs that break the schema of the process."""


def inputs(process: Process, given: Mapping[str, Any], at: str) -> Any:
    """The typed inputs. Raises: BrokenSchema, Invalid: with the path under `at`."""

    def work() -> Any:
        try:
            typed = process.check(given)
        except ValidationError as error:
            raise BrokenSchema(
                [
                    {
                        "loc": ["body", *([at] if at else []), *e["loc"]],
                        "msg": e["msg"],
                        "type": e["type"],
                    }
                    for e in error.errors(
                        include_url=False, include_context=False, include_input=False
                    )
                ]
            ) from None
        plain(process, typed, at)  # what cannot be kept cannot be run
        return typed

    return _asked(process, "its inputs", at, work)


def plain(process: Process, typed: Any, at: str) -> dict[str, Any]:
    """Inputs as they are kept: JSON values, with their defaults. Raises: Invalid."""

    def work() -> dict[str, Any]:
        made = typed.model_dump(mode="json", exclude_none=True)
        json.dumps(made, allow_nan=False).encode()
        return made

    return _asked(process, "its inputs", at, work)


def sources(process: Process, typed: Any, at: str) -> tuple[SourceRef, ...]:
    """The items that the run reads. Raises: Invalid."""

    def work() -> tuple[SourceRef, ...]:
        found = tuple(process.sources(typed))
        for ref in found:
            names = (ref.item_id, *(ref.asset_keys or ()))
            if not all(isinstance(name, str) and 0 < len(name) < _LONGEST for name in names):
                raise TypeError(f"{ref!r} is no SourceRef")
        return found

    return _asked(process, "sources", at, work)


def check(process: Process, typed: Any, given: Mapping[str, Source], at: str) -> None:
    """Raise Invalid for items that the process can make nothing of, such as one without red."""
    _asked(process, "check_sources", at, lambda: process.check_sources(typed, given))


def quantity(process: Process, typed: Any, items: Sequence[Mapping[str, Any]], at: str) -> Decimal:
    """How many units the run takes. Raises: Invalid."""

    def work() -> Decimal:
        said: Any = process.quantity(typed, items)
        try:
            found = Decimal(str(said) if isinstance(said, float) else said)
        except (InvalidOperation, TypeError, ValueError):
            found = Decimal("NaN")
        if not (found.is_finite() and 0 <= found <= _MOST):
            raise ValueError(f"{said!r} is no quantity")
        return found

    return _asked(process, "quantity", at, work)


def _asked(process: Process, what: str, at: str, work: Callable[[], T]) -> T:
    try:
        return work()
    except OpError:
        raise
    except JobError as error:
        raise Invalid.at([at] if at else [], error.message, error.code) from None
    except (Exception, SystemExit) as error:
        logger.exception(
            "process %s failed before a run", process.id,
            extra={"process_id": process.id, "package": process.module, "part": what},
        )  # fmt: skip
        raise Invalid.at(
            [at] if at else [],
            f"process {process.id!r} cannot be asked about these inputs: {what} of it failed "
            f"({type(error).__name__}); that is a fault of the process, not of the request, and "
            "the platform's log has the details",
            "process_failed",
        ) from None
