"""Saved cards and top-ups against a server that speaks Stripe's API."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time

import pytest

from db.pool import make_pool
from ops_gateway.domains import billing_auto_topup, payments_pursuit
from opstac.rehearsal import WEBHOOK_SECRET, signed

WEBHOOK = "/v1/payments/stripe/webhook"
AUTHENTICATED = "pm_card_authenticationRequired"


async def card(api, owner, name="pm_card_visa"):
    return await api.ok("payment_methods.attach", {"payment_method_id": name}, as_=owner)


async def balance(api, owner):
    return (await api.ok("billing.credits.balance", as_=owner))["balance"]


async def test_a_card_is_saved_listed_chosen_and_forgotten(paid):
    owner = await paid.organization()
    setup = await paid.ok("payment_methods.create_setup_intent", as_=owner)
    assert setup["client_secret"].startswith(setup["setup_intent_id"]) and setup["env"] == "demo"
    again = await paid.ok("payment_methods.create_setup_intent", as_=owner)
    assert again["customer_id"] == setup["customer_id"]
    first, second = await card(paid, owner), await card(paid, owner)
    assert first["isDefault"] and not second["isDefault"]
    assert (first["brand"], first["last4"], first["expMonth"], first["expYear"]) == (
        "visa", "4242", 12, 2030,
    )  # fmt: skip
    chosen = await paid.ok(
        "payment_methods.set_default", {"payment_method_row_id": second["id"]}, as_=owner
    )
    assert chosen["isDefault"] and chosen["paymentMethodId"] == second["paymentMethodId"]
    listed = await paid.ok("payment_methods.list", as_=owner)
    assert [(c["id"], c["isDefault"]) for c in listed["payment_methods"]] == [
        (second["id"], True),
        (first["id"], False),
    ]
    assert listed["count"] == 2
    gone = {"payment_method_row_id": second["id"]}
    assert await paid.ok("payment_methods.detach", gone, as_=owner) == {"ok": True}
    await paid.refused(404, "payment_methods.detach", gone, as_=owner)
    await paid.refused(404, "payment_methods.set_default", gone, as_=owner)
    listed = await paid.ok("payment_methods.list", as_=owner)
    assert [(c["id"], c["isDefault"]) for c in listed["payment_methods"]] == [(first["id"], False)]


async def test_a_topup_charges_once_and_posts_once(paid):
    owner = await paid.organization()
    await paid.refused(402, "billing.topup", {"credits": 100}, as_=owner)
    await card(paid, owner)
    made = await paid.call("billing.topup", {"credits": 500}, as_=owner, key="k")
    assert made.status_code == 201
    answer = made.json()
    assert answer["payment_intent_id"].startswith("pi_")
    assert answer | {"payment_intent_id": "", "payment_id": "", "transaction_id": ""} == {
        "status": "succeeded", "credits": 500, "amount_aud": 5.0, "balance": 1500,
        "client_secret": None, "payment_intent_id": "", "payment_id": "", "transaction_id": "",
    }  # fmt: skip
    again = await paid.call("billing.topup", {"credits": 500}, as_=owner, key="k")
    assert again.content == made.content and again.headers["idempotent-replayed"] == "true"
    rows = (await paid.ok("billing.credits.transactions", {"reason": "topup"}, as_=owner))[
        "transactions"
    ]
    assert [(r["id"], r["amount"], r["balance_after"]) for r in rows] == [
        (answer["transaction_id"], 500, 1500)
    ]
    assert (await paid.ok("billing.topup", {"amount_aud": 1.25}, as_=owner))["credits"] == 125
    assert await balance(paid, owner) == 1625
    events = paid.sql(
        "select data from event where organization_id = %s and type = 'credits.topped_up'"
        " order by created_at",
        owner.organization_id,
    )
    assert [(e["data"]["credits"], e["data"]["source"]) for e in events] == [
        (500, "topup"),
        (125, "topup"),
    ]


async def notice(api, kind, about, **changed):
    """The provider's message about a charge, as it is sent."""
    body, signature = signed(kind, {"object": "payment_intent", "id": about, **changed})
    return await api.client.post(WEBHOOK, content=body, headers={"Stripe-Signature": signature})


def journals(api, owner):
    """(amount, what for) of every posting for a card."""
    rows = api.sql(
        "select amount, reference_type from journal where organization_id = %s"
        " and kind = 'topup' order by seq",
        owner.organization_id,
    )
    return [(row["amount"], row["reference_type"]) for row in rows]


@pytest.mark.parametrize("strict", [False, True])
async def test_3d_secure_gives_credits_when_the_provider_says_so(paid, strict):
    paid.provider.strict = strict
    owner = await paid.organization()
    await card(paid, owner, AUTHENTICATED)
    made = await paid.call("billing.topup", {"credits": 300}, as_=owner, key="k")
    answer = made.json()
    assert (made.status_code, answer["status"], answer["transaction_id"]) == (
        201, "requires_action", None,
    )  # fmt: skip
    assert answer["client_secret"].startswith(answer["payment_intent_id"])
    kept = paid.sql(
        "select encrypted, body from idempotency_key where organization_id = %s and key = 'k'",
        owner.organization_id,
    )[0]
    assert kept["encrypted"] and answer["client_secret"].encode() not in bytes(kept["body"])
    intent = answer["payment_intent_id"]
    # a message that comes too early changes nothing
    assert (await notice(paid, "payment_intent.succeeded", intent)).status_code == 200
    assert await balance(paid, owner) == 1000
    paid.provider.authenticate(intent, answer["client_secret"])
    kinds = ["charge.succeeded", *["payment_intent.succeeded"] * 4, "payment_intent.created"]
    sent = await asyncio.gather(*(notice(paid, kind, intent) for kind in kinds))
    assert {r.status_code for r in sent} == {200}
    assert journals(paid, owner) == [(300, "payment")] and await balance(paid, owner) == 1300
    again = await paid.call("billing.topup", {"credits": 300}, as_=owner, key="k")
    assert again.content == made.content


async def test_a_declined_card_answers_402_and_leaves_the_key_free(paid):
    owner = await paid.organization()
    good, bad = await card(paid, owner), await card(paid, owner, "pm_card_chargeDeclined")
    body = {"credits": 100, "payment_method_row_id": bad["id"]}
    problem = await paid.refused(402, "billing.topup", body, as_=owner, key="k")
    assert problem["type"].endswith("/problems/card-declined")
    assert problem["code"] == "card_declined" and await balance(paid, owner) == 1000
    body["payment_method_row_id"] = good["id"]
    await paid.ok("billing.topup", body, as_=owner, key="k")
    states = paid.sql(
        "select state, error_code from payment where organization_id = %s order by created_at",
        owner.organization_id,
    )
    assert [(s["state"], s["error_code"]) for s in states] == [
        ("failed", "card_declined"),
        ("succeeded", None),
    ]


UNPAYABLE = [
    None,
    {},
    {"credits": 0},
    {"credits": -5},
    {"credits": 49},
    {"credits": 10**30},
    {"credits": 100_000_000},
    {"credits": "many"},
    {"credits": 1.5},
    {"credits": 100, "amount_aud": 1},
    {"amount_aud": 0.001},
    {"amount_aud": 1e300},
    {"amount_aud": -1},
    {"amount_aud": "NaN"},
    {"amount_aud": [1]},
]


async def test_what_a_card_cannot_pay_is_a_422(paid):
    owner = await paid.organization()
    for body in UNPAYABLE:
        await paid.refused(422, "billing.topup", body, as_=owner)


async def test_another_organizations_card_is_not_there(paid):
    first, second = await paid.organization(), await paid.organization()
    theirs = await card(paid, first)
    body = {"payment_method_id": theirs["paymentMethodId"]}
    await paid.refused(404, "payment_methods.attach", body, as_=second)
    await paid.refused(404, "payment_methods.attach", {"payment_method_id": "pm_no"}, as_=second)
    for name in ("4242 4242", "pm_x y", "pm_\n", "card_1", "pm_" + "x" * 300):
        await paid.refused(422, "payment_methods.attach", {"payment_method_id": name}, as_=second)
    await card(paid, second)
    await paid.refused(
        404, "billing.topup", {"credits": 100, "payment_method_row_id": theirs["id"]}, as_=second
    )
    # the same one once more is the same one
    again = await paid.ok("payment_methods.attach", body, as_=first)
    assert again["id"] == theirs["id"]


async def test_many_first_cards_at_once_make_one_default(paid):
    owner = await paid.organization()
    made = await asyncio.gather(*(card(paid, owner) for _ in range(6)))
    assert sum(c["isDefault"] for c in made) == 1


async def test_without_a_key_card_operations_say_so_and_all_else_works(api):
    owner = await api.organization()
    for op_id, body in [
        ("payment_methods.create_setup_intent", {}),
        ("payment_methods.attach", {"payment_method_id": "pm_card_visa"}),
        ("billing.topup", {"credits": 100}),
        (
            "billing.set_auto_topup",
            {"enabled": True, "threshold_credits": 10, "topup_amount_credits": 100},
        ),
    ]:
        problem = await api.refused(402, op_id, body, as_=owner)
        assert problem["type"].endswith("/problems/payments-not-configured"), op_id
    asked = await api.ok("billing.approvals.request", {"credits": 100}, as_=owner)
    await api.refused(402, "billing.approvals.approve", {"approval_id": asked["id"]}, as_=owner)
    assert (await api.ok("payment_methods.list", as_=owner))["count"] == 0
    assert (await api.ok("billing.auto_topup.get", as_=owner))["enabled"] is False
    assert (await api.ok("billing.stripe_invoices.list", as_=owner)) == {"invoices": [], "count": 0}
    assert (await api.client.post(WEBHOOK, content=b"{}")).status_code == 404


UNSIGNED = [b"", b"{}", b"[]", b"\xff", b'{"object":"event","data":{"object":{"object":[]}}}']


async def test_a_message_that_nobody_signed_is_refused(paid):
    body, signature = signed("payment_intent.succeeded", {"object": "payment_intent", "id": "pi_1"})
    _, old = signed("payment_intent.succeeded", {}, at=1)
    for sent, header in [
        (body, None),
        (body, ""),
        (body, "t=1"),
        (body, "t=x,v1=y"),
        (body + b" ", signature),
        *((about, signature) for about in UNSIGNED),
        (body, old),
    ]:
        headers = {"Stripe-Signature": header} if header is not None else {}
        response = await paid.client.post(WEBHOOK, content=sent, headers=headers)
        assert response.status_code == 400, (sent, header)
        assert response.headers["content-type"] == "application/problem+json"


async def test_a_signed_message_of_nonsense_is_no_fault_of_ours(paid):
    deep = b'{"data":' * 5000 + b"1" + b"}" * 5000
    at = int(time.time())
    mac = hmac.new(WEBHOOK_SECRET.encode(), f"{at}.".encode() + deep, hashlib.sha256)
    headers = {"Stripe-Signature": f"t={at},v1={mac.hexdigest()}"}
    assert (await paid.client.post(WEBHOOK, content=deep, headers=headers)).status_code == 400
    for name in ("pi_\x00\ud800", "pi_../../v1/refunds", "pi_" + "x" * 70_000, "pi_", "pi_1?a=b"):
        about = {"object": "payment_intent", "id": name}
        body, signature = signed("payment_intent.succeeded", about)
        headers = {"Stripe-Signature": signature}
        response = await paid.client.post(WEBHOOK, content=body, headers=headers)
        assert (response.status_code, response.json()["ours"]) == (200, False), name


async def test_a_signed_message_about_nothing_of_ours_is_taken_and_does_nothing(paid):
    for about in (
        {"object": "payment_intent", "id": "pi_unknown"},
        {"object": "charge", "payment_intent": None},
        {"object": "customer", "id": "cus_1"},
        {"object": "charge", "payment_intent": {"id": 5}},
    ):
        body, signature = signed("charge.updated", about)
        headers = {"Stripe-Signature": signature}
        response = await paid.client.post(WEBHOOK, content=body, headers=headers)
        assert (response.status_code, response.json()["ours"]) == (200, False), about


async def test_refunds_and_disputes_take_credits_back_as_far_as_there_are_some(paid):
    owner = await paid.organization()
    await card(paid, owner)
    made = await paid.ok("billing.topup", {"credits": 500}, as_=owner)
    intent = made["payment_intent_id"]
    paid.provider.refund(intent, 120)
    for _ in range(3):
        await notice(paid, "charge.refunded", intent)
    assert journals(paid, owner) == [(500, "payment"), (-120, "payment_return")]
    paid.provider.dispute(intent, 380, "warning_needs_response")  # an inquiry moves no money
    await notice(paid, "charge.dispute.created", intent)
    assert await balance(paid, owner) == 1380
    paid.provider.dispute(intent, 380, "needs_response")
    await notice(paid, "charge.dispute.funds_withdrawn", intent)
    assert await balance(paid, owner) == 1000
    paid.provider.dispute(intent, 380, "won")
    await notice(paid, "charge.dispute.closed", intent)
    assert await balance(paid, owner) == 1380
    assert sum(amount for amount, _ in journals(paid, owner)) == 380

    # spent already: the wallet never goes below zero, and the rest is taken when there is some
    principal = paid_by(owner)

    async def spend(ctx):
        ctx.hold(1300)

    await paid.platform.pipeline.act("tests.spend", principal, spend)
    paid.provider.refund(intent, 380)
    assert (await notice(paid, "charge.refunded", intent)).status_code == 200
    owed = paid.sql(
        "select returned_credits, taken_credits from payment where provider_id = %s", intent
    )[0]
    assert (owed["returned_credits"], owed["taken_credits"]) == (500, 200)
    await paid.ok("billing.topup", {"credits": 1000}, as_=owner)
    await notice(paid, "charge.refunded", intent)
    shown = await paid.ok("billing.credits.balance", as_=owner)
    assert shown["available"] == 80 + 1000 - 380
    assert all(f["faults"] == 0 for f in paid.sql("select * from ledger_faults()"))
    assert paid.sql("select * from verify_chains(%s)", owner.organization_id) == []


async def test_what_is_owed_is_taken_of_the_next_credits_before_anybody_spends_them(paid):
    owner = await paid.organization()
    await card(paid, owner)
    first, second = [await paid.ok("billing.topup", {"credits": 500}, as_=owner) for _ in range(2)]
    auto = {"enabled": True, "threshold_credits": 500, "topup_amount_credits": 300}
    await paid.ok("billing.set_auto_topup", auto, as_=owner)

    async def spend(ctx):
        ctx.hold(2000)

    await paid.platform.pipeline.act("tests.spend", paid_by(owner), spend)
    for made in (first, second):
        paid.provider.refund(made["payment_intent_id"], 500)
        await notice(paid, "charge.refunded", made["payment_intent_id"])
    told = "select title from notification where user_id = %s and title like '%%owed'"
    assert len(paid.sql(told, owner.user_id)) == 2
    # nothing is charged for what was refunded, and nobody looks while there is nothing to take
    await billing_auto_topup.run(paid.platform.pipeline, owner.organization_id)
    shown = await paid.ok("billing.auto_topup.get", as_=owner)
    assert not shown["enabled"] and "1000 credits are owed" in shown["disabled_reason"]
    paid.sql("update payment set next_at = now() - interval '1 s' where state = 'succeeded'")
    async with make_pool(paid.platform.settings.dsn, "opstac_system") as system:
        assert await payments_pursuit.sweep(paid.platform.pipeline, system) == 0
    made = await paid.ok("billing.topup", {"credits": 700}, as_=owner)
    wallet = await paid.ok("billing.credits.balance", as_=owner)
    assert (wallet["available"], wallet["balance"], made["balance"]) == (0, 2000, 2000)
    await paid.ok("billing.topup", {"credits": 700}, as_=owner)
    wallet = await paid.ok("billing.credits.balance", as_=owner)
    assert wallet["available"] == 2 * 700 - 1000
    assert all(f["faults"] == 0 for f in paid.sql("select * from ledger_faults()"))


def paid_by(owner):
    from ops_gateway.domains.payments import platform_for

    return platform_for(owner.organization_id)


async def test_the_providers_invoices_never_fail(paid):
    owner = await paid.organization()
    assert (await paid.ok("billing.stripe_invoices.list", as_=owner))["count"] == 0
    await card(paid, owner)
    assert (await paid.ok("billing.stripe_invoices.list", {"limit": -3}, as_=owner))["count"] == 0
    paid.provider.down = True
    assert (await paid.ok("billing.stripe_invoices.list", as_=owner))["invoices"] == []


async def test_no_secret_is_logged_or_answered(paid, caplog):
    caplog.set_level("DEBUG")
    owner = await paid.organization()
    await card(paid, owner, AUTHENTICATED)
    made = await paid.ok("billing.topup", {"credits": 100}, as_=owner)
    await paid.refused(404, "payment_methods.attach", {"payment_method_id": "pm_no"}, as_=owner)
    paid.provider.down = True
    await paid.refused(503, "payment_methods.create_setup_intent", as_=owner)
    settings = paid.platform.settings
    told = "\n".join([caplog.text, repr(settings), json.dumps(made | {"client_secret": ""})])
    for secret in (settings.stripe_key, settings.stripe_webhook_secret, made["client_secret"]):
        assert secret not in told
