"""Saved cards and top-ups against a server that speaks Stripe's API."""

from __future__ import annotations

import pytest

from opstac import rehearsal as stripe

UNKNOWN = "pmr_0000000000000000000000"


@pytest.fixture(scope="module")
def provider():
    with stripe.rehearsing() as found:
        yield found


@pytest.fixture
async def paid(dsn, tmp_path, platform_on, provider):
    """The platform with a card provider; `paid.provider` steers that."""
    url, rehearsal = provider
    rehearsal.down, rehearsal.strict, rehearsal.lose_answers = False, False, 0
    async with platform_on(
        dsn,
        tmp_path,
        "gateway",
        stripe_key=stripe.KEY,
        stripe_webhook_secret=stripe.WEBHOOK_SECRET,
        stripe_api_base=url,
    ) as api:
        api.provider = rehearsal
        yield api


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
