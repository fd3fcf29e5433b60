"""Everything an operation can refuse with. One class a situation; the class fixes the status.

OpError
├── BadRequest 400          ├── Conflict 409            ├── TooLarge 413
├── Unauthenticated 401     │   ├── InProgress          ├── Invalid 422
├── PaymentRequired 402     │   └── KeyReused           ├── RateLimited 429
│   └── InsufficientCredits │   └── ApprovalRequired    ├── Internal 500
├── Forbidden 403           ├── Gone 410                └── Unavailable 503
├── NotFound 404            │                               └── OutcomeUnknown
└── MethodNotAllowed 405

Under PaymentRequired also SpendCapReached, CardsNotConfigured, NoDefaultCard and CardDeclined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class OpError(Exception):
    """A refusal with a status; rendered as RFC 9457 problem+json by the surfaces."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal Server Error"
    slug: ClassVar[str | None] = None

    def __init__(
        self,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """`detail` says what was wrong and what would be right; `extra` adds problem members."""
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})


class BadRequest(OpError):
    """The request is malformed, or a domain rule names 400 for it."""

    status, title = 400, "Bad Request"


class Unauthenticated(OpError):
    """No credential, or one that does not hold."""

    status, title, slug = 401, "Unauthorized", "unauthenticated"

    def __init__(self, detail: str = "a valid credential is required") -> None:
        """Answers with `WWW-Authenticate: Bearer`."""
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"})


class PaymentRequired(OpError):
    """Money or quota is lacking."""

    status, title = 402, "Payment Required"


class InsufficientCredits(PaymentRequired):
    """The organization has fewer credits available than the hold needs."""

    slug = "insufficient-credits"


class SpendCapReached(PaymentRequired):
    """The key, or one that it was minted by, may not spend so much more."""

    slug = "spend-cap-reached"


class CardsNotConfigured(PaymentRequired):
    """The operator has set no card provider up, so no card can be kept or charged here."""

    slug = "payments-not-configured"


class NoDefaultCard(PaymentRequired):
    """The organization has no card to charge; save one, or make one the default."""

    slug = "no-default-card"


class CardDeclined(PaymentRequired):
    """The card, or its bank, said no. Nothing was charged."""

    slug = "card-declined"


class Forbidden(OpError):
    """The caller is known and belongs here, but may not do this."""

    status, title, slug = 403, "Forbidden", "forbidden"


class NotFound(OpError):
    """No such entity in the caller's organization: also what another tenant's id gives."""

    status, title, slug = 404, "Not Found", "not-found"

    @classmethod
    def of(cls, kind: str) -> NotFound:
        """`<kind> not found`; the same text whether it is missing or another's."""
        return cls(f"{kind} not found")


class MethodNotAllowed(OpError):
    """An operation that is not a read was asked for with GET."""

    status, title = 405, "Method Not Allowed"


class Conflict(OpError):
    """The state does not allow it, or a name is taken."""

    status, title, slug = 409, "Conflict", "conflict"


class InProgress(Conflict):
    """The first call with this idempotency key is still running."""

    slug = "idempotency-in-progress"

    def __init__(self, detail: str = "the first call with this Idempotency-Key is still running"):
        """Answers with `Retry-After: 1`."""
        super().__init__(detail, headers={"Retry-After": "1"})


class KeyReused(Conflict):
    """An idempotency key came again with another body."""

    slug = "idempotency-key-reused"


class ApprovalRequired(Conflict):
    """The purchase is above what the organization lets anybody buy without an approval."""

    slug = "approval-required"


class Gone(OpError):
    """It was here and has expired."""

    status, title = 410, "Gone"


class TooLarge(OpError):
    """The body is larger than this route takes."""

    status, title = 413, "Content Too Large"


class Invalid(OpError):
    """The typed schema or a domain rule refused a value; `errors` says where and why."""

    status, title, slug = 422, "Unprocessable Content", "validation"

    def __init__(
        self,
        errors: Sequence[Mapping[str, Any]],
        *,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        """Each of `errors` has `loc` (list), `msg` and `type`."""
        super().__init__("; ".join(str(e["msg"]) for e in errors[:3]), extra=extra)
        self.errors = [dict(e) for e in errors]

    @classmethod
    def at(cls, loc: str | Sequence[str | int], message: str, kind: str = "value_error") -> Invalid:
        """One error at a field of the body: `Invalid.at("aoi_geometry", "…")`."""
        path = [loc] if isinstance(loc, str) else list(loc)
        return cls([{"loc": ["body", *path], "msg": message, "type": kind}])


class RateLimited(OpError):
    """Too many calls in this window."""

    status, title, slug = 429, "Too Many Requests", "rate-limited"


class Internal(OpError):
    """A bug of ours; says nothing of the inside."""

    status, title = 500, "Internal Server Error"


class Unavailable(OpError):
    """The database, the store or the workers' queue cannot take this now."""

    status, title, slug = 503, "Service Unavailable", "unavailable"

    def __init__(self, detail: str, retry_after: int = 2, *, slug: str | None = None) -> None:
        """Answers with `Retry-After`."""
        super().__init__(detail, headers={"Retry-After": str(retry_after)})
        if slug:
            self.slug = slug  # type: ignore[misc]


class OutcomeUnknown(Unavailable):
    """An outside party gave no answer, so what was asked of it may be done or not. The claim of a
    phased operation stands: a call with the same key, or a sweeper, finds out.
    """


def problem(error: OpError, *, base_url: str = "", instance: str | None = None) -> dict[str, Any]:
    """The problem document of `error`; `instance` is the request's id."""
    body: dict[str, Any] = {
        "type": f"{base_url}/problems/{error.slug}" if error.slug else "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.errors if isinstance(error, Invalid) else error.detail,
    }
    if instance:
        body["instance"] = instance
    return body | error.extra
