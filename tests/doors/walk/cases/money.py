"""Credits, cards, months, reconciliation, usage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from walk.case import Body, Sent, case
from walk.world import APRIL, Person, World

# ---------------------------------------------------------------- credits


def used(w: World, credits: int = 60) -> Person:
    """An organization that has stored something, bought a job and reserves for another."""
    owner = w.organization()
    project = w.new_project(owner)
    w.note(owner, project)

    async def work(ctx):
        ctx.settle(ctx.hold(credits + 20), credits)
        ctx.hold(100)

    w.act(owner, work)
    return owner


@case(
    "billing.balance",
    "billing.credits.balance",
    "billing.plans.list",
    foreign="the caller's",
)
def _(w: World) -> Sent:
    return Sent({}, w.of("used", lambda: used(w)))


@case("billing.credits.transactions", foreign="lists the caller's")
def _(w: World) -> Sent:
    return Sent({"limit": 10}, w.of("used", lambda: used(w)))


@case("billing.status.get", "usage.current")
def _(w: World) -> Sent:
    owner = w.of("used", lambda: used(w))
    return Sent({"organization_id": owner.organization_id}, owner)


@case("usage.history")
def _(w: World) -> Sent:
    owner = w.of("used", lambda: used(w))
    return Sent({"organization_id": owner.organization_id, "months": 2}, owner)


@case("usage.recalculate_storage")
def _(w: World) -> Sent:
    owner = w.organization()
    org = owner.organization_id
    w.sql("update organization set storage_used_bytes = 77 where organization_id = %s", org)
    return Sent({"organization_id": org}, owner)


# ---------------------------------------------------------------- cards


@case("payment_methods.create_setup_intent", foreign="names nothing")
def _(w: World) -> Sent:
    return Sent({}, w.organization())


@case("payment_methods.attach", foreign="the provider says whose it is")
def _(w: World) -> Sent:
    return Sent({"payment_method_id": "pm_card_visa"}, w.organization())


@case("payment_methods.list", foreign="lists the caller's")
def _(w: World) -> Sent:
    return Sent({}, w.of("card", w.with_card)[0])


@case("payment_methods.set_default", "payment_methods.detach")
def _(w: World) -> Sent:
    owner, _ = w.with_card()
    second = w.ok("payment_methods.attach", {"payment_method_id": "pm_card_visa"}, owner)
    return Sent({"payment_method_row_id": second["id"]}, owner)


@case("billing.topup", foreign="names nothing")
def _(w: World) -> Sent:
    return Sent({"credits": 500}, w.with_card()[0])


AUTO_TOPUP = {
    "enabled": True,
    "threshold_credits": 100,
    "topup_amount_credits": 500,
    "daily_charge_cap_aud": 50,
}


@case("billing.set_auto_topup", foreign="names nothing")
def _(w: World) -> Sent:
    return Sent(AUTO_TOPUP, w.with_card()[0])


@case(
    "billing.stripe_invoices.list",
    foreign="lists the caller's",
    random=("created", "period_start", "period_end"),
)
def _(w: World) -> Sent:
    def make() -> Person:
        owner, card = w.with_card()
        customer = w.ok("payment_methods.create_setup_intent", {}, owner)["customer_id"]
        # what is invoiced is a subscription, which somebody makes at the provider
        default = {"invoice_settings[default_payment_method]": card["paymentMethodId"]}
        w.running.cards.post(f"/v1/customers/{customer}", **default)
        price = {"currency": "aud", "interval": "month", "product[name]": "Imagery"}
        w.running.cards.post("/v1/plans", id="imagery", amount="1500", **price)
        w.running.cards.post(
            "/v1/subscriptions", customer=customer, **{"items[0][plan]": "imagery"}
        )
        return owner

    return Sent({"limit": 10}, w.of("invoiced by the provider", make))


@case("billing.auto_topup.get", foreign="the caller's")
def _(w: World) -> Sent:
    def make() -> Person:
        owner, _ = w.with_card()
        w.ok("billing.set_auto_topup", AUTO_TOPUP, owner)
        return owner

    return Sent({}, w.of("topped up by itself", make))


# ---------------------------------------------------------------- approvals


def asked(w: World, owner: Person) -> str:
    body = {"credits": 700, "expiry_hours": 24}
    return w.ok("billing.approvals.request", body, owner)["id"]


POLICY = {"threshold_credits": 5000, "second_person": True}


@case("billing.approvals.policy.set", foreign="names nothing")
def _(w: World) -> Sent:
    return Sent(POLICY, w.organization())


@case("billing.approvals.policy.get", foreign="the caller's")
def _(w: World) -> Sent:
    def make() -> Person:
        owner = w.organization()
        w.ok("billing.approvals.policy.set", POLICY, owner)
        return owner

    return Sent({}, w.of("with a policy", make))


@case("billing.approvals.request", foreign="names nothing")
def _(w: World) -> Sent:
    return Sent({"credits": 700, "expiry_hours": 24}, w.with_card()[0])


@case("billing.approvals.approve")
def _(w: World) -> Sent:
    owner = w.with_card()[0]
    return Sent({"approval_id": asked(w, owner)}, owner)


@case("billing.approvals.reject")
def _(w: World) -> Sent:
    owner = w.with_card()[0]
    return Sent({"approval_id": asked(w, owner), "reason": "Not this month"}, owner)


def waiting(w: World) -> tuple[Person, str]:
    def make() -> tuple[Person, str]:
        owner = w.with_card()[0]
        return owner, asked(w, owner)

    return w.of("approval", make)


@case("billing.approvals.get")
def _(w: World) -> Sent:
    owner, approval = waiting(w)
    return Sent({"approval_id": approval}, owner)


@case("billing.approvals.list", foreign="lists the caller's")
def _(w: World) -> Sent:
    return Sent({"status": "pending"}, waiting(w)[0])


# ---------------------------------------------------------------- months and invoices


def last_month() -> datetime:
    """Its last day."""
    return (datetime.now(UTC).replace(day=1) - timedelta(days=1)).replace(hour=0, minute=0)


def over(w: World, plan: str = "team") -> Person:
    """An organization on a plan since last month, which used credits in it."""
    owner = w.organization()
    org, then = owner.organization_id, last_month()
    w.sql("update organization set created_at = %s where organization_id = %s", then, org)
    w.tamper(
        "insert into organization_plan (organization_id, plan_id, assigned_by, valid_from)"
        " values (%s, %s, 'operator', %s)", org, plan, then,
    )  # fmt: skip
    holds = []

    async def work(ctx):
        holds.append(ctx.hold(120))
        ctx.settle(holds[0], 90)

    w.act(owner, work)
    w.tamper("update journal set created_at = %s where hold_id = %s", then, holds[0])
    w.tamper("update hold set created_at = %s where id = %s", then, holds[0])
    return owner


@case("billing.run_monthly_for_org")
def _(w: World) -> Sent:
    owner = over(w)
    return Sent({"organization_id": owner.organization_id}, owner)


@case("billing.run_monthly_cron", foreign="the scheduler's")
def _(w: World) -> Sent:
    w.ok("billing.run_monthly_cron", {}, w.cron)
    over(w)
    return Sent({}, w.cron)


def invoiced(w: World) -> tuple[Person, str]:
    def make() -> tuple[Person, str]:
        owner = over(w)
        body = {"organization_id": owner.organization_id}
        w.ok("billing.run_monthly_for_org", body, owner)
        invoices = w.ok("billing.invoices.list", {}, owner)["invoices"]
        return owner, invoices[0]["id"]

    return w.of("invoiced", make)


@case("billing.invoices.list", foreign="lists the caller's", random=("number",))
def _(w: World) -> Sent:
    return Sent({"limit": 10}, invoiced(w)[0])


@case("billing.invoices.get", random=("number", "download_url"))
def _(w: World) -> Sent:
    owner, invoice = invoiced(w)
    return Sent({"invoice_id": invoice}, owner)


def on_credit(w: World) -> str:
    """The id of an organization with a job on its line of credit."""
    owner = over(w, "enterprise")
    project = w.new_project(owner)
    body = {"project_id": project, "job_type_id": "echo"}
    job = w.ok("processing.create", body, owner)["job"]["id"]
    w.sql("update job set status = 'completed', completed_at = now() where id = %s", job)

    async def work(ctx):
        ctx.settle(ctx.hold(40, job_id=job), 40, job_id=job)

    w.act(owner, work)
    return owner.organization_id


@case("billing.enterprise.accrual", foreign="the operator's")
def _(w: World) -> Sent:
    body = {"organization_id": w.of("on credit", lambda: on_credit(w))}
    return Sent(body, w.operator)


@case("billing.enterprise.mark_invoiced", foreign="the operator's", random=("number",))
def _(w: World) -> Sent:
    body = {"organization_id": on_credit(w), "reference": "XERO-1", "note": "By post"}
    return Sent(body, w.operator)


# ---------------------------------------------------------------- the free tier


@case("billing.free_tier.approve", foreign="the operator's")
def _(w: World) -> Sent:
    return Sent({"organization_id": w.organization().organization_id}, w.operator)


@case("billing.free_tier.revoke", foreign="the operator's")
def _(w: World) -> Sent:
    body = {"organization_id": w.organization().organization_id}
    w.ok("billing.free_tier.approve", body, w.operator)
    return Sent(body, w.operator)


def the_waiting(w: World, answer: Body) -> Body:
    """Of all that wait, the case's own."""
    own = w.of("waiting", w.organization).organization_id
    kept = [row for row in answer["pending"] if row["organization_id"] == own]
    return {**answer, "pending": kept, "count": len(kept)}


@case("billing.free_tier.list_pending", foreign="the operator's", about=the_waiting)
def _(w: World) -> Sent:
    w.of("waiting", w.organization)
    return Sent({}, w.operator)


@case("billing.free_tier.grant_all", foreign="the scheduler's")
def _(w: World) -> Sent:
    w.sql("update free_tier set state = 'revoked'")
    org = w.organization().organization_id
    w.sql("insert into free_tier values (%s, 'approved', 'operator')", org)
    return Sent({}, w.cron)


# ---------------------------------------------------------------- deletions


def deleted(w: World, days: int) -> str:
    org = w.organization("Gone").organization_id
    w.sql(
        "update organization set deleted_at = now() - %s * interval '1 day'"
        " where organization_id = %s", days, org,
    )  # fmt: skip
    return org


@case("billing.deletions.pending", foreign="the operator's")
def _(w: World) -> Sent:
    w.of("deleted", lambda: deleted(w, 3))
    return Sent({}, w.operator)


@case("billing.cleanup_deleted_orgs", foreign="the scheduler's")
def _(w: World) -> Sent:
    deleted(w, 31)
    return Sent({}, w.cron)


# ---------------------------------------------------------------- reconciliation

INSERT = "insert into storage_entry (organization_id, object_path, bytes_delta, kind) values"


def drifted(w: World, bytes_delta: int = 77, kind: str = "add") -> str:
    """An organization with a file, and an entry of bytes that are nowhere."""
    owner = w.organization()
    org = owner.organization_id
    w.tamper(f"{INSERT} (%s, 'gone.tif', %s, %s)", org, bytes_delta, kind)
    return org


@case("billing.reconciliation.detect_drift", foreign="the operator's")
def _(w: World) -> Sent:
    return Sent({"organization_id": w.of("drifted", lambda: drifted(w))}, w.operator)


@case("billing.reconciliation.run", foreign="the operator's")
def _(w: World) -> Sent:
    return Sent({"organization_id": drifted(w), "correct": True}, w.operator)


@case("billing.reconciliation.remove_stale", foreign="the operator's")
def _(w: World) -> Sent:
    return Sent({"organization_id": drifted(w)}, w.operator)


@case("billing.reconciliation.zero_negative_nets", foreign="the operator's")
def _(w: World) -> Sent:
    return Sent({"organization_id": drifted(w, -5, "remove")}, w.operator)


@case("billing.reconciliation.backfill_missing", foreign="the operator's")
def _(w: World) -> Sent:
    owner = w.organization()
    org = owner.organization_id
    w.upload(APRIL, owner, w.new_project(owner))
    w.tamper("delete from storage_entry where organization_id = %s", org)
    return Sent({"organization_id": org}, w.operator)


@case("billing.reconciliation.correct_drift", foreign="the operator's")
def _(w: World) -> Sent:
    body = {"organization_id": drifted(w), "bytes_delta": -77, "reason": "counted twice"}
    return Sent(body, w.operator)


def corrected(w: World) -> str:
    org = drifted(w)
    body = {"organization_id": org, "correct": True}
    w.ok("billing.reconciliation.run", body, w.operator)
    return org


@case(
    "billing.reconciliation.list_corrections",
    "billing.reconciliation.list_runs",
    foreign="the operator's",
)
def _(w: World) -> Sent:
    body = {"organization_id": w.of("corrected", lambda: corrected(w)), "limit": 10}
    return Sent(body, w.operator)


def the_drifted(w: World, answer: Body) -> Body:
    """Of all that were looked at, the case's own."""
    own = w.of("drifted", lambda: drifted(w))
    kept = [row for row in answer["runs"] if row["organization_id"] == own]
    return {**answer, "runs": kept, "processed": len(kept), "flagged": len(kept)}


@case("billing.reconciliation.run_all", foreign="the scheduler's", about=the_drifted)
def _(w: World) -> Sent:
    w.of("drifted", lambda: drifted(w))
    return Sent({"threshold_bytes": 50, "correct": False}, w.cron)


FAILED = (
    "insert into tracking_failure (organization_id, source, object_path, error)"
    " values (%s, 'asset.added', 'late.tif', 'check violation')"
)


@case("billing.dlq.list_pending", foreign="the operator's")
def _(w: World) -> Sent:
    w.of("late", lambda: w.tamper(FAILED, w.organization().organization_id))
    return Sent({}, w.operator)


@case("billing.dlq.replay", foreign="the scheduler's")
def _(w: World) -> Sent:
    w.ok("billing.dlq.replay", {"batch_size": 1000}, w.cron)
    w.tamper(FAILED, w.organization().organization_id)
    return Sent({"batch_size": 100}, w.cron)


@case("billing.jobs.settle_unsettled", foreign="the scheduler's")
def _(w: World) -> Sent:
    owner, holds = w.organization(), []

    async def work(ctx):
        holds.append(ctx.hold(5))

    w.act(owner, work)
    past = "update hold set expires_at = now() - interval '1 s' where id = %s"
    w.tamper(past, holds[0])
    return Sent({"organization_id": owner.organization_id}, w.cron)
