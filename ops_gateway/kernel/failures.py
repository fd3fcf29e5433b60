"""What a failure of validation, of the database or of ours means to the caller."""

from __future__ import annotations

import json
from typing import Any

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests
from pydantic import ValidationError

from db.paths import ObjectMissing, StorageUnavailable
from ops_gateway.kernel.errors import (
    BadRequest,
    Conflict,
    InsufficientCredits,
    Internal,
    Invalid,
    NotFound,
    OpError,
    PaymentRequired,
    SpendCapReached,
    Unavailable,
)


def invalid(error: ValidationError) -> Invalid:
    """pydantic's errors in the wire's form."""
    return Invalid(
        [
            {"loc": ["body", *e["loc"]], "msg": e["msg"], "type": e["type"]}
            for e in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    )


def connection_lost(error: Exception) -> bool:
    """Whether the connection died under the statement, so that another one may do."""
    if isinstance(error, (psycopg.errors.AdminShutdown, psycopg.errors.CrashShutdown)):
        return True
    return (
        isinstance(error, psycopg.OperationalError)
        and error.sqlstate is None
        and not isinstance(error, (PoolTimeout, PoolClosed, TooManyRequests))
    )


def translate(error: Exception) -> OpError:
    """What a failure of the database or of ours means to the caller."""
    if isinstance(error, psycopg.Error):
        return of_database(error)
    if isinstance(error, StorageUnavailable):
        return Unavailable("the object store is unavailable", 5, slug="storage-unavailable")
    if isinstance(error, ObjectMissing):
        return NotFound.of("object")
    return Internal("the operation failed; the request id identifies it in the logs")


def of_database(error: psycopg.Error) -> OpError:
    """The refusal a database error stands for."""
    match error:
        case psycopg.errors.CheckViolation() if (
            error.diag.constraint_name == "account_balance_not_negative"
        ):
            return InsufficientCredits("fewer credits are available than this needs")
        case psycopg.errors.CheckViolation() if (
            error.diag.constraint_name == "organization_storage_quota"
        ):
            return PaymentRequired("the organization's storage quota does not hold this")
        case psycopg.errors.UniqueViolation():
            return Conflict("this exists already")
        case psycopg.errors.ForeignKeyViolation():
            return Conflict("what this refers to is gone or still in use")
        case psycopg.errors.LockNotAvailable():
            return Conflict(
                "another call holds what this needs; try again", headers={"Retry-After": "1"}
            )
        case psycopg.errors.DeadlockDetected() | psycopg.errors.SerializationFailure():
            return Unavailable("too many concurrent changes; try again", 1)
        case psycopg.errors.QueryCanceled():
            return Unavailable("the database took too long; try again", 5)
        case psycopg.errors.IdleInTransactionSessionTimeout():
            return Unavailable("the operation took too long; try again", 5)
        case psycopg.DataError():
            return BadRequest("a value cannot be stored")
        case psycopg.OperationalError() | psycopg.InterfaceError():
            return Unavailable("the database is unavailable", 2, slug="database-unavailable")
        case _:
            return _of_ours(error)


def _of_ours(error: psycopg.Error) -> OpError:
    """The refusals our own SQL raises, by its error codes."""
    match error.sqlstate:
        case "OP004":
            return Conflict("the reservation has ended already")
        case "OP005":
            return NotFound.of("project")  # deleted while this ran
        case "OP006":
            return _capped(json.loads(error.diag.message_detail or "{}"))
        case _:
            return Internal("the operation failed; the request id identifies it in the logs")


def _capped(told: dict[str, Any]) -> SpendCapReached:
    """The refusal of what goes over a key's spend cap."""
    cap, spent, held = (told[f"{name}_credits"] for name in ("spend_cap", "spent", "held"))
    return SpendCapReached(
        f"this needs {told['needed_credits']} credits, and key {told['key_id']} may spend "
        f"{max(0, cap - spent - held)} more: of its cap of {cap}, {spent} are spent and {held} "
        "reserved",
        extra=told,
    )
