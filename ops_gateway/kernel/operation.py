"""What an operation is: one declaration in its domain's file, found by id in `REGISTRY`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, cast, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, model_validator
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from ops_gateway.kernel.context import Context

Handler = Callable[..., Awaitable[Any]]


class Effect(StrEnum):
    """What an operation does to the world; the wire's `x-side-effect`."""

    READ = "read"
    COMPUTE = "compute"
    SPEND = "external_spend"
    SHARE = "share_export"
    DESTRUCTIVE = "destructive"


class Input(BaseModel):
    """A request body. Unknown keys are ignored, camelCase is taken for snake_case (snake_case
    wins), and null on an optional field equals absent unless the field is listed in `clearable`.
    """

    model_config = ConfigDict(extra="ignore")

    clearable: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _wire_names(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        known = dict(cast("dict[str, Any]", data))
        for wire, camel, may_be_null in _wire_fields(cls):
            if camel in known and wire not in known:
                known[wire] = known.pop(camel)
            if not may_be_null and known.get(wire, ...) is None:
                del known[wire]
        return known


@cache
def _wire_fields(model: type[Input]) -> list[tuple[str, str, bool]]:
    """(name on the wire, the same in camelCase, whether null is left to the field) of each."""
    return [
        (
            info.alias or name,
            to_camel(info.alias or name),
            info.is_required() or name in model.clearable,
        )
        for name, info in model.model_fields.items()
    ]


class Output(BaseModel):
    """A response body; more members than the published ones may come."""

    model_config = ConfigDict(extra="allow")


class Empty(Input):
    """No parameters."""


@dataclass(frozen=True)
class Blob:
    """A response that is not JSON: image, XML, GeoTIFF."""

    content: bytes
    media_type: str
    headers: dict[str, str] = field(default_factory=dict[str, str])
    status: int = 200


@dataclass(frozen=True)
class Phases:
    """An operation whose effect lies outside the database and cannot wait inside a transaction.

    claim(ctx, body): in a first transaction; checks, writes the intent row, returns what `act`
        needs.
    act(ctx, body, claimed): outside any transaction; must be safe to repeat for the same
        `ctx.intent`.
    undo(ctx, body, claimed, error): in a transaction of its own when `act` refused with an OpError;
        gives back what `claim` took. After any other failure, and after OutcomeUnknown, the outcome
        is not known, so the claim stands until its lease ends and the next call with the key
        carries it on.
    The handler(ctx, body, claimed, acted) then runs in the last transaction.
    lease_seconds: how long `act` may take before a call with the same key takes the intent over.
    """

    claim: Handler
    act: Handler
    undo: Handler
    lease_seconds: float = 900


@dataclass(frozen=True)
class Operation:
    """One operation as declared; `surfaces/` project it."""

    id: str
    scope: str
    effect: Effect
    handler: Handler
    input: type[Input]
    output: Any
    summary: str
    description: str
    produces: str | None = None
    status: int = 200
    media_type: str | None = None
    public: bool = False
    alias_of: str | None = None
    needs_organization: bool = True
    human_only: bool = False
    callers: frozenset[str] = frozenset({"user", "api_key", "service"})
    prepare: Handler | None = None
    price: Handler | None = None
    phases: Phases | None = None
    secret: bool = False
    limit: str = "organization"
    bulk: str | None = None
    acts_for: str | None = None
    adapter: TypeAdapter[Any] | None = None

    @property
    def domain(self) -> str:
        """The id's first part."""
        return self.id.split(".", 1)[0]

    @property
    def is_read(self) -> bool:
        """True where it changes nothing and may be asked for with GET."""
        return self.effect is Effect.READ

    @property
    def takes_key(self) -> bool:
        """True where an `Idempotency-Key` makes a call repeatable; bytes are not kept for it."""
        return not self.is_read and self.adapter is not None


REGISTRY: dict[str, Operation] = {}


class DeclarationError(TypeError):
    """An operation is declared wrongly; raised at import."""


def operation(
    op_id: str,
    *,
    scope: str,
    effect: Effect,
    produces: str | None = None,
    status: int = 200,
    media_type: str | None = None,
    public: bool = False,
    aliases: tuple[str, ...] = (),
    needs_organization: bool = True,
    human_only: bool = False,
    callers: frozenset[str] | None = None,
    prepare: Handler | None = None,
    price: Handler | None = None,
    phases: Phases | None = None,
    secret: bool = False,
    limit: str | None = None,
    bulk: str | None = None,
    acts_for: str | None = None,
) -> Callable[[Handler], Handler]:
    """Declare the decorated coroutine as operation `op_id`.

    Args:
        op_id: dotted id; its first part is the domain.
        scope: `resource:action` the caller must hold.
        effect: the side-effect tier.
        produces: entity type the operation must name with `ctx.produced`, or it rolls back.
        status: success status, exact on the wire.
        media_type: of a `Blob` answer; None for JSON.
        public: may be called without a credential.
        aliases: further ids that run the same operation.
        needs_organization: refuse callers without one.
        human_only: refuse keys, services and workers.
        callers: kinds of principal let in.
        prepare: reads and computes before the transaction opens; its result goes to the handler.
        price: credits to hold, from (ctx, body, prepared); only with SPEND.
        phases: the outside effect, see `Phases`.
        secret: the answer holds a secret shown once; it is stored encrypted for replays.
        limit: rate limit family; by default from the effect.
        bulk: a list in the body whose entries the operation checks one by one
            (`json_limits.find_fault`); such a body may be large.
        acts_for: the body's field that names the organization this is about. A platform operator
            may name any, all others their own alone.
    """

    def declare(handler: Handler) -> Handler:
        if price is not None and effect is not Effect.SPEND:
            raise DeclarationError(f"{op_id}: only a spend operation has a price")
        if phases is not None and effect is Effect.READ:
            raise DeclarationError(f"{op_id}: a read has no phases")
        if phases is not None and (prepare is not None or price is not None):
            raise DeclarationError(f"{op_id}: what has phases prepares and reserves in its claim")
        hints = get_type_hints(handler)
        names = list(inspect.signature(handler).parameters)
        body = hints.get(names[1]) if len(names) > 1 else None
        if not (isinstance(body, type) and issubclass(body, Input)):
            raise DeclarationError(f"{op_id}: the second parameter must be typed as an Input")
        output = hints.get("return")
        if output is None:
            raise DeclarationError(f"{op_id}: the return type is missing")
        text = inspect.getdoc(handler) or ""
        if not text:
            raise DeclarationError(f"{op_id}: the docstring is its summary and is missing")
        summary, _, rest = text.partition("\n")
        for name in (op_id, *aliases):
            if name in REGISTRY:
                raise DeclarationError(f"{name} is declared twice")
            REGISTRY[name] = Operation(
                id=name,
                scope=scope,
                effect=effect,
                handler=handler,
                input=body,
                output=output,
                summary=summary,
                description=rest.strip(),
                produces=produces,
                status=status,
                media_type=media_type,
                public=public,
                alias_of=None if name == op_id else op_id,
                needs_organization=needs_organization,
                human_only=human_only,
                callers=callers or frozenset({"user", "api_key", "service"}),
                prepare=prepare,
                price=price,
                phases=phases,
                secret=secret,
                limit=limit or ("spend" if effect is Effect.SPEND else "organization"),
                bulk=bulk,
                acts_for=acts_for,
                adapter=None if output is Blob else TypeAdapter(output),
            )
        return handler

    return declare


def get_operation(op_id: str) -> Operation | None:
    """The operation with that id or alias, or None."""
    return REGISTRY.get(op_id)


if TYPE_CHECKING:
    ContextHandler = Callable[[Context, Input], Awaitable[Any]]
