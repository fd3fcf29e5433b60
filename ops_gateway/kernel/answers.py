"""What goes into the pipeline and what comes out of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import ValidationError

from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import Forbidden, Internal
from ops_gateway.kernel.idempotency import key_reused
from ops_gateway.kernel.operation import Blob, Operation

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """What a surface knows of one request.

    Attributes:
        at_most: the credits the caller agreed to; a higher price is refused.
    """

    principal: Principal
    key: str | None = None
    request_id: str = ""
    base_url: str = ""
    at_most: int | None = None


@dataclass(frozen=True)
class Answer:
    """What a surface sends."""

    status: int
    body: bytes
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Done:
    """The answer of one run, and what decides who may have it again."""

    answer: Answer
    fingerprint: bytes
    project_id: str | None = None


@dataclass(frozen=True)
class Claimed:
    """The first transaction of a phased operation has committed."""

    result: Any
    intent: str


def replayed(done: Done, fingerprint: bytes, principal: Principal) -> Answer:
    """The answer again, for this body and where the present caller may have it."""
    if done.fingerprint != fingerprint:
        raise key_reused()
    if done.project_id is not None and principal.role_in(done.project_id) is None:
        raise Forbidden("not a member of the project this call was made in")
    return replace(done.answer, headers={**done.answer.headers, "Idempotent-Replayed": "true"})


def answer_of(op: Operation, result: Any) -> Answer:
    """The validated, serialized answer; an answer that breaks its own schema is our bug."""
    if isinstance(result, Blob):
        return Answer(result.status, result.content, result.media_type, result.headers)
    if op.adapter is None:
        raise Internal(f"'{op.id}' gave no bytes")
    try:
        content = op.adapter.dump_json(
            op.adapter.validate_python(result), by_alias=True, warnings="error"
        )
    except (ValidationError, ValueError) as error:
        logger.error("answer breaks its schema", extra={"op": op.id, "detail": str(error)[:500]})
        raise Internal("the answer did not match its schema") from error
    return Answer(op.status, content, op.media_type or "application/json")
