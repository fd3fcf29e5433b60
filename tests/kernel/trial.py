"""Operations of the tests, and (run as a script) a server with them, to be killed.

A `trial.` operation's effect is a row in `project`, so that effects can be counted.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ops_gateway.kernel.context import Context, Event
from ops_gateway.kernel.errors import NotFound, OpError, PaymentRequired
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import REGISTRY, Effect, Empty, Input, Output, Phases, operation

INSERT = "insert into project (id, organization_id, name) values (%(id)s, %(org)s, %(name)s)"


class SpendInput(Input):
    """How much to reserve, and what to do with it at once."""

    amount: int | float | bool = 0
    note: str = "effect"
    ending: Literal["settle", "void", "keep"] = "keep"
    charge: int | None = None
    seconds: float = 0
    project_id: str | None = None


class SpendOutput(Output):
    """What was made."""

    id: str
    hold_id: str | None


async def price(_: Context, body: SpendInput) -> int:
    """The amount asked for."""
    return int(body.amount)


async def effect(ctx: Context, body: SpendInput) -> SpendOutput:
    """Make one row and touch every kind of record."""
    if body.project_id is not None:
        known = "select id from project where organization_id = %(org)s and id = %(id)s"
        await ctx.one("project", known, id=body.project_id)
        ctx.require_project_role(body.project_id, "viewer")
    made = new_id("proj")
    await ctx.execute(INSERT, id=made, name=body.note)
    if body.seconds:
        await ctx.execute("select pg_sleep(%(seconds)s)", seconds=body.seconds)
    hold = ctx.hold(int(body.amount))
    if hold is not None and body.ending == "settle":
        ctx.settle(hold, int(body.amount) if body.charge is None else body.charge)
    elif hold is not None and body.ending == "void":
        ctx.void(hold)
    ctx.produced("project", made)
    ctx.edge(("project", made), "derived_from", ("organization", ctx.organization_id))
    ctx.emit(Event("test.ping", "event_subscription", made, {"note": body.note}))
    return SpendOutput(id=made, hold_id=hold)


class HoldInput(Input):
    """A hold and how much of it to charge."""

    hold_id: str
    amount: int = 0


class GrantInput(Input):
    """Credits to give."""

    amount: int = Field(gt=0)


class CreditInput(Input):
    """Credits that come, or go by a correction."""

    kind: Literal["grant", "topup", "refund", "correction"]
    amount: int


class SecretOutput(Output):
    """A secret that is shown once."""

    token: str


class ThingInput(Input):
    """One thing's id."""

    thing_id: str


class TextOutput(Output):
    """Any text."""

    text: str


class ChargeInput(Input):
    """What the provider shall do."""

    behaviour: Literal["ok", "refuse", "break", "wait"] = "ok"


class Provider:
    """A payment provider: what it was asked, by intent."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.undone: list[str] = []
        self.behaviour: str | None = None
        self.go = asyncio.Event()
        self.reached = asyncio.Event()


def declare() -> Provider:
    """Put the operations into the registry; the provider the phased one talks to."""
    provider = Provider()

    @operation(
        "trial.spend",
        scope="trial:write",
        effect=Effect.SPEND,
        price=price,
        produces="project",
        aliases=("trial.pay",),
    )
    async def spend(ctx: Context, body: SpendInput) -> SpendOutput:
        """Reserve credits and make a row."""
        return await effect(ctx, body)

    @operation("trial.late", scope="trial:write", effect=Effect.COMPUTE, produces="project")
    async def late(ctx: Context, body: SpendInput) -> SpendOutput:
        """Reserve credits without having said so: only the wallet's constraint can refuse."""
        return await effect(ctx, body)

    @operation("trial.settle", scope="trial:write", effect=Effect.COMPUTE)
    async def settle(ctx: Context, body: HoldInput) -> Empty:
        """Charge a hold."""
        ctx.settle(body.hold_id, body.amount)
        return Empty()

    @operation("trial.void", scope="trial:write", effect=Effect.COMPUTE)
    async def void(ctx: Context, body: HoldInput) -> Empty:
        """Release a hold."""
        ctx.void(body.hold_id)
        return Empty()

    @operation("trial.grant", scope="trial:write", effect=Effect.COMPUTE)
    async def grant(ctx: Context, body: GrantInput) -> Empty:
        """Give credits."""
        ctx.credit("grant", body.amount, "a gift")
        return Empty()

    @operation("trial.credit", scope="trial:write", effect=Effect.COMPUTE)
    async def credit(ctx: Context, body: CreditInput) -> Empty:
        """Give or correct credits."""
        ctx.credit(body.kind, body.amount, "of a test")
        return Empty()

    @operation("trial.secret", scope="trial:write", effect=Effect.COMPUTE, secret=True)
    async def secret(ctx: Context, body: Empty) -> SecretOutput:
        """Show a secret once."""
        return SecretOutput(token="whsec_" + secrets.token_urlsafe(24))

    @operation("trial.orphan", scope="trial:write", effect=Effect.COMPUTE, produces="project")
    async def orphan(ctx: Context, body: Empty) -> Empty:
        """Make a row and say nothing of where it came from."""
        made = new_id("proj")
        await ctx.execute(INSERT, id=made, name="orphan")
        ctx.produced("project", made)
        return Empty()

    @operation("trial.unpaid", scope="trial:write", effect=Effect.SPEND, price=price)
    async def unpaid(ctx: Context, body: SpendInput) -> Empty:
        """Have a price and reserve nothing."""
        await ctx.execute(INSERT, id=new_id("proj"), name="unpaid")
        return Empty()

    @operation("trial.misfit", scope="trial:write", effect=Effect.COMPUTE)
    async def misfit(ctx: Context, body: Empty) -> SecretOutput:
        """Answer what the schema does not allow."""
        await ctx.execute(INSERT, id=new_id("proj"), name="misfit")
        return {"token": 5}  # type: ignore[return-value]

    @operation("trial.nested", scope="trial:write", effect=Effect.SPEND, price=price)
    async def nested(ctx: Context, body: SpendInput) -> SpendOutput:
        """Run the other one inside this one, and reserve for itself."""
        ctx.hold(ctx.price)
        return await ctx.call("trial.spend", body.model_dump(exclude_none=True))

    @operation("trial.alone", scope="trial:write", effect=Effect.COMPUTE, needs_organization=False)
    async def alone(ctx: Context, body: Empty) -> TextOutput:
        """What a caller without an organization may do."""
        return TextOutput(text=ctx.principal.kind)

    @operation("trial.human", scope="trial:write", effect=Effect.COMPUTE, human_only=True)
    async def human(ctx: Context, body: Empty) -> Empty:
        """What only a person may do."""
        return Empty()

    @operation("trial.root", scope="admin:write", effect=Effect.COMPUTE, needs_organization=False)
    async def root(ctx: Context, body: Empty) -> Empty:
        """What only the platform's operator may do."""
        return Empty()

    @operation(
        "trial.job",
        scope="processing:process",
        effect=Effect.COMPUTE,
        callers=frozenset({"worker"}),
    )
    async def job(ctx: Context, body: Empty) -> TextOutput:
        """What only a worker may do."""
        return TextOutput(text=f"{ctx.principal.job_id} {ctx.principal.epoch}")

    @operation("trial.things.get", scope="trial:read", effect=Effect.READ)
    async def get_thing(ctx: Context, body: ThingInput) -> TextOutput:
        """Read a thing."""
        row = await ctx.one("thing", "select %(id)s::text as text", id=body.thing_id)
        if body.thing_id == "missing":
            raise NotFound.of("thing")
        return TextOutput(text=row["text"])

    @operation("trial.things.list", scope="trial:read", effect=Effect.READ)
    async def list_things(ctx: Context, body: SpendInput) -> TextOutput:
        """List things."""
        return TextOutput(text=f"list {body.note}")

    @operation("trial.things.special", scope="trial:read", effect=Effect.READ)
    async def special(ctx: Context, body: Empty) -> TextOutput:
        """A literal path where an id could stand."""
        return TextOutput(text="special")

    @operation("trial.open", scope="trial:read", effect=Effect.READ, public=True)
    async def public(ctx: Context, body: Empty) -> TextOutput:
        """What anybody may read."""
        return TextOutput(text="open")

    async def claim(ctx: Context, body: ChargeInput) -> str:
        assert ctx.intent is not None
        known = "select id from project where organization_id = %(org)s and id = %(id)s"
        if await ctx.row(None, known, id=ctx.intent) is None:
            await ctx.execute(INSERT, id=ctx.intent, name="claimed")
        return ctx.intent

    async def act(ctx: Context, body: ChargeInput, intent: str) -> str:
        assert ctx.intent == intent
        provider.asked[intent] += 1
        provider.reached.set()
        behaviour = provider.behaviour or body.behaviour
        if behaviour == "wait":
            await asyncio.wait_for(provider.go.wait(), 20)
        if behaviour == "refuse":
            raise PaymentRequired("the card was declined")
        if behaviour == "break":
            raise RuntimeError("nobody knows what the provider did")
        return f"charge of {intent}"

    async def undo(ctx: Context, body: ChargeInput, intent: str, error: OpError) -> None:
        provider.undone.append(intent)
        gone = (
            "update project set deleted_at = now() where organization_id = %(org)s and id = %(id)s"
        )
        await ctx.execute(gone, id=intent)

    @operation(
        "trial.charge",
        scope="trial:write",
        effect=Effect.COMPUTE,
        phases=Phases(claim=claim, act=act, undo=undo, lease_seconds=60),
    )
    async def charge(ctx: Context, body: ChargeInput, intent: str, charged: str) -> TextOutput:
        """Charge a card."""
        paid = "update project set name = 'charged' where organization_id = %(org)s and id = %(id)s"
        await ctx.execute(paid, id=intent)
        return TextOutput(text=charged)

    return provider


def retract() -> None:
    """Take the operations out of the registry again."""
    for name in [name for name in REGISTRY if name.startswith("trial.")]:
        del REGISTRY[name]


async def serve(dsn: str, home: str, port: int) -> None:
    """Serve until killed."""
    import uvicorn

    from opstac import compose
    from opstac.settings import Settings

    declare()
    settings = Settings(
        dsn=dsn,
        home=Path(home),
        storage=str(Path(home) / "objects"),
        master_secret=b"a master secret of the tests, 32+",
        public_url="http://testserver",
    )
    async with compose.embedded(settings, service="gateway") as platform:
        config = uvicorn.Config(platform.app, host="127.0.0.1", port=port, log_level="warning")
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    arguments: Any = sys.argv[1:]
    os.environ.setdefault("OPSTAC_TESTING", "1")
    asyncio.run(serve(arguments[0], arguments[1], int(arguments[2])))
