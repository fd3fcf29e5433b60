"""Processes killed between a card and the ledger, and at the month end: one charge, one posting.

One process is started; it forks a child for each stage, which ends itself by SIGKILL there. What
lives on is what such a child leaves behind: committed rows, and charges at the provider.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime

import pytest

from db.pool import make_pool
from ops_gateway.domains.billing_months import close_organization
from opstac.paying import pay
from opstac.rehearsal import CHARGES, KEY, WEBHOOK_SECRET

FORKER = """
import asyncio, json, os, sys
from datetime import datetime
from pathlib import Path
from db.pool import make_pool
from opstac import compose
from opstac.paying import pay
from opstac.settings import Settings
from ops_gateway.domains import billing_auto_topup, billing_months, payments
from ops_gateway.kernel.answers import Call

async def main(told, what, stage):
    where, _, point = stage.rpartition(" ")
    if where == "settling":  # the transaction after the charge
        real = payments.charge
        async def charge(*given):
            charged = await real(*given)
            os.environ["OPSTAC_FAULT"] = point + ":kill"
            return charged
        payments.charge = charge
    else:
        os.environ["OPSTAC_FAULT"] = point + ":kill"
    values = {**told, "master_secret": bytes.fromhex(told["master_secret"]), "pool_idle": 0}
    settings = Settings(**{**values, "home": Path(told["home"])})
    async with compose.core(settings) as platform:
        pipeline = platform.pipeline
        if what["do"] == "run":
            principal = await platform.authenticator.authenticate(what["token"])
            await pipeline.run(what["op"], what["body"], Call(principal, key=what["key"]))
        elif what["do"] == "auto":
            await billing_auto_topup.run(pipeline, what["organization"])
        elif what["do"] == "month":
            at = datetime.fromisoformat(what["at"])
            await billing_months.close_organization(pipeline, what["organization"], at)
        else:
            async with make_pool(settings.dsn, "opstac_system", min_size=1, max_size=2) as system:
                await pay(pipeline, system)

compose.domains.load()
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(main(asked["told"], asked["what"], asked["stage"]))
        finally:
            os._exit(1)
    print(json.dumps(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])), flush=True)
"""


@pytest.fixture(scope="module")
def forker():
    """The process that forks."""
    with subprocess.Popen(
        [sys.executable, "-P", "-W", "ignore", "-c", FORKER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**os.environ, "OPSTAC_TESTING": "1"},
    ) as process:  # fmt: skip
        yield process
        process.stdin.close()


@pytest.fixture
def killed(paid, forker):
    """The function that has something done by a process which is killed at a stage of it."""
    settings = paid.platform.settings
    told = {
        **{name: str(getattr(settings, name)) for name in ("dsn", "home", "storage")},
        "master_secret": settings.master_secret.hex(),
        "public_url": settings.public_url,
        "stripe_key": KEY,
        "stripe_webhook_secret": WEBHOOK_SECRET,
        "stripe_api_base": settings.stripe_api_base,
    }

    def ask(line: bytes) -> int:
        forker.stdin.write(line)
        forker.stdin.flush()
        return json.loads(forker.stdout.readline())

    async def killed(stage: str, **what) -> None:
        line = json.dumps({"told": told, "what": what, "stage": stage}).encode() + b"\n"
        ended = await asyncio.wait_for(asyncio.to_thread(ask, line), 120)
        assert ended == -signal.SIGKILL, (stage, what, ended)

    return killed


async def with_card(api):
    owner = await api.organization()
    await api.ok("payment_methods.attach", {"payment_method_id": "pm_card_visa"}, as_=owner)
    return owner


async def sweep(api, owners):
    """What lives on, when the leases of who was killed have ended."""
    due(api, owners)
    api.sql(
        "update idempotency_key set lease_until = now() - interval '1 s'"
        " where state = 'running' and organization_id = any(%s)",
        [owner.organization_id for owner in owners],
    )
    async with make_pool(
        api.platform.settings.dsn, "opstac_system", min_size=1, max_size=2
    ) as system:
        await pay(api.platform.pipeline, system)


def due(api, owners):
    """The leases of the payments have ended."""
    api.sql(
        "update payment set next_at = now() - interval '1 s' where organization_id = any(%s)",
        [owner.organization_id for owner in owners],
    )


def charged(api, owner):
    """How often each payment of the organization was charged, and posted."""
    listed = api.provider.get(f"{CHARGES}?limit=10000")["data"]
    mine = [c for c in listed if c["metadata"].get("organization_id") == owner.organization_id]
    rows = api.sql(
        "select reference_id from journal where organization_id = %s and kind = 'topup'",
        owner.organization_id,
    )
    charges = Counter(c["metadata"]["payment_id"] for c in mine if c["status"] == "succeeded")
    return charges, Counter(row["reference_id"] for row in rows)


async def balance(api, owner):
    return (await api.ok("billing.credits.balance", as_=owner))["balance"]


TOPUP = ("claimed", "charged", "acted", "settling commit", "settling committed")


async def test_whoever_is_killed_with_a_card_in_hand_leaves_one_charge_and_one_posting(
    paid, killed
):
    owners = []
    for stage in TOPUP:
        owner = await with_card(paid)
        what = {"op": "billing.topup", "body": {"credits": 200}, "token": owner.token}
        await killed(stage, do="run", key="k", **what)
        owners.append((owner, 200))
    # an approval, and what the platform does by itself
    for stage in ("charged", "settling commit"):
        owner = await with_card(paid)
        asked = await paid.ok("billing.approvals.request", {"credits": 300}, as_=owner)
        what = {"op": "billing.approvals.approve", "body": {"approval_id": asked["id"]}}
        await killed(stage, do="run", key="k", token=owner.token, **what)
        owners.append((owner, 300))
        owner = await with_card(paid)
        auto = {"enabled": True, "threshold_credits": 2000, "topup_amount_credits": 400}
        await paid.ok("billing.set_auto_topup", auto, as_=owner)
        await killed(stage, do="auto", organization=owner.organization_id)
        # off, so that the sweep begins no second one
        await paid.ok("billing.set_auto_topup", auto | {"enabled": False}, as_=owner)
        owners.append((owner, 400))
    everybody = [owner for owner, _ in owners]
    # who comes to finish is killed too
    for stage in ("charged", "settling commit"):
        due(paid, everybody)
        await killed(stage, do="sweep")
    for _ in range(2):
        await sweep(paid, everybody)
    for owner, credits in owners:
        charges, posted = charged(paid, owner)
        assert charges == posted and list(charges.values()) == [1], (charges, posted)
        assert await balance(paid, owner) == 1000 + credits
    for owner in everybody[: len(TOPUP)]:  # the caller sends it again, and is told the same
        again = await paid.ok("billing.topup", {"credits": 200}, as_=owner, key="k")
        assert (again["status"], again["credits"]) == ("succeeded", 200)
        assert await balance(paid, owner) == 1200
        assert sum(charged(paid, owner)[0].values()) == 1
    assert all(f["faults"] == 0 for f in paid.sql("select * from ledger_faults()"))


async def test_a_month_end_that_is_killed_closes_the_month_wholly_or_not_at_all(paid, killed):
    at = datetime(2032, 1, 1, tzinfo=UTC)
    born = "update organization set created_at = '2031-12-05Z' where organization_id = %s"
    months = "select month from monthly_run where organization_id = %s"
    for stage, closed in (("commit", 0), ("committed", 1)):
        owner = await paid.organization()
        name = owner.organization_id
        paid.sql("insert into free_tier values (%s, 'approved', 'tests')", name)
        paid.sql(born, name)
        await killed(stage, do="month", organization=name, at=at.isoformat())
        assert len(paid.sql(months, name)) == closed
        assert await balance(paid, owner) == 1000 + 500 * closed
        for _ in range(2):
            await close_organization(paid.platform.pipeline, name, at)
        assert len(paid.sql(months, name)) == 1
        assert await balance(paid, owner) == 1500
    assert all(f["faults"] == 0 for f in paid.sql("select * from ledger_faults()"))
