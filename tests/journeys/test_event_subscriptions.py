"""Subscriptions: who is told of what, signed how, and what becomes of it when nobody listens."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json

import jsonschema
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from db.pool import make_pool
from ops_gateway.domains import event_subscriptions
from ops_gateway.providers.addresses import parse_allowances
from ops_gateway.providers.delivery import Sender
from ops_gateway.surfaces import openapi
from ops_gateway.worker.deliveries import PER_RECEIVER, Deliveries
from ops_gateway.worker.relay import relay
from opstac import chores
from opstac.deliveries import deliveries
from tests.journeys.conftest import LOOPBACK


@pytest.fixture
def api(webhook_api):
    return webhook_api


@pytest.fixture
async def system(dsn):
    async with make_pool(dsn, "opstac_system", min_size=1, max_size=8) as pool:
        while await relay(pool):  # what other tests left
            pass
        yield pool


class Told:
    """An organization with a project and a subscription, and the sending end."""

    def __init__(self, api, system, owner, project):
        self.api, self.system, self.owner, self.project = api, system, owner, project
        self.items = 0

    async def subscribe(self, url, event_type="*", as_=None, **more):
        body = {"event_type": event_type, "endpoint_url": url, **more}
        return await self.api.ok("event_subscriptions.create", body, as_=as_ or self.owner)

    async def happen(self, count=1, **more):
        """Items come into the catalogue; their ids."""
        made = []
        for _ in range(count):
            self.items += 1
            body = {"name": f"scene {self.items}", "type": "user_raster"}
            body |= {"project_id": self.project, **more}
            made.append((await self.api.ok("items.create", body, as_=self.owner))["id"])
        return made

    def sender(self, pauses=(0.0,) * 7, **sender) -> Deliveries:
        platform = self.api.platform
        made = deliveries(platform.pipeline, self.system, platform.settings)
        made._pauses = tuple(pauses)
        if sender:
            made._sender = Sender(**{"allow": parse_allowances(LOOPBACK), **sender})
        return made

    async def round(self, sender=None):
        """Pass events on, and attempt once what is due; the states of this organization's.

        What an earlier test left is attempted too, whenever it comes due, and not counted here.
        """
        while await relay(self.system):
            pass
        sender = sender or self.sender()
        claimed = await sender.claim()
        states = await asyncio.gather(*(sender.attempt(due) for due in claimed))
        own = self.owner.organization_id
        told = zip(claimed, states, strict=True)
        return [state for due, state in told if due.organization_id == own]

    async def ok(self, op, body=None, **kwargs):
        return await self.api.ok(op, body, **{"as_": self.owner, **kwargs})

    async def listed(self, sub, **more):
        body = {"subscription_id": sub["id"], **more}
        return (await self.ok("event_subscriptions.deliveries.list", body))["deliveries"]

    async def get(self, sub):
        body = {"subscription_id": sub["id"]}
        return (await self.ok("event_subscriptions.get", body))["subscription"]


@pytest.fixture
async def told(api, system):
    owner = await api.organization()
    return Told(api, system, owner, await api.project(owner))


# ---------------------------------------------------------------- the message


async def test_a_message_is_as_published_and_signed_both_ways(told, receiving):
    async with receiving() as receiver:
        sub = await told.subscribe(
            receiver.url, "item.created", headers={"X-Team": "harbour", "Authorization": "Key 1"}
        )
        (item,) = await told.happen()
        assert await told.round() == ["delivered"]
        assert await told.round() == []
    (request,) = receiver.got
    secret, headers, message = sub["secret"], request.headers, request.json
    Webhook(secret).verify(request.body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(request.body + b" ", headers)
    whole = hmac.new(secret.encode(), request.body, hashlib.sha256).hexdigest()
    assert headers["x-geopera-signature"] == f"sha256={whole}"
    assert headers["x-geopera-event"] == "item.created"
    assert headers["x-geopera-event-id"] == headers["webhook-id"] == message["event_id"]
    assert (headers["x-team"], headers["authorization"]) == ("harbour", "Key 1")
    document = openapi.document()
    described = document["webhooks"]["item.created"]["post"]["requestBody"]["content"]
    schema = described["application/json"]["schema"]
    jsonschema.validate(message, {**schema, "components": document["components"]})
    assert message["entity_id"] == message["data"]["item_id"] == item
    assert message["organization_id"] == told.owner.organization_id
    assert message["timestamp"].endswith("Z") and message["data"]["project_id"] == told.project


async def test_a_subscription_as_it_is_made_read_changed_and_deleted(told):
    sub = await told.subscribe(
        "http://127.0.0.1:9/hook",
        "item.*",
        headers={"X-Key": "sesame"},
        filter_config={"data.project_id": told.project},
        description="harbour",
    )
    assert sub["secret"].startswith("whsec_") and sub["headers"] == ["X-Key"] and sub["active"]
    assert sub["created_by"] == told.owner.user_id
    kept = await told.get(sub)
    assert "secret" not in kept and {**kept, "secret": sub["secret"]} == sub
    other = await told.subscribe("http://127.0.0.1:9/other", "upload.failed")
    found = await told.ok("event_subscriptions.list")
    assert [s["id"] for s in found["subscriptions"]] == [other["id"], sub["id"]]
    assert found["count"] == 2 and "secret" not in found["subscriptions"][0]
    for query, ids in (
        ({"event_type": "item.*"}, [sub["id"]]),
        ({"active": False}, []),
        ({"event_type": None, "active": True}, [other["id"], sub["id"]]),
    ):
        found = await told.ok("event_subscriptions.list", query)
        assert [s["id"] for s in found["subscriptions"]] == ids
    row = told.api.sql("select * from event_subscription where id = %s", sub["id"])[0]
    kept_bytes = bytes(row["secret"]) + bytes(row["sealed_headers"])
    assert sub["secret"].encode() not in kept_bytes and b"sesame" not in kept_bytes
    change = {"subscription_id": sub["id"], "headers": {}, "description": None, "active": False}
    changed = await told.ok("event_subscriptions.update", change)
    assert (changed["headers"], changed["description"], changed["active"]) == ([], "harbour", False)
    assert changed["filter_config"] == sub["filter_config"] and not changed.get("secret")
    unchanged = await told.ok("event_subscriptions.update", {"subscription_id": sub["id"]})
    assert {**unchanged, "updated_at": 0} == {**changed, "updated_at": 0}
    gone = await told.ok("event_subscriptions.delete", {"subscription_id": sub["id"]})
    assert gone == {"deleted": True}
    for op in ("get", "delete", "update", "test", "rotate_secret", "deliveries.list"):
        await told.api.refused(
            404, f"event_subscriptions.{op}", {"subscription_id": sub["id"]}, as_=told.owner
        )


GOOD = {"event_type": "item.*", "endpoint_url": "https://93.184.216.34/hook"}


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("event_type", ["item.exploded", "item", "items.*", "**", "item.created.*", "", 5]),
        (
            "endpoint_url",
            [
                "http://93.184.216.34/hook",
                "https://127.0.0.1/",
                "https://[::ffff:10.0.0.1]/",
                "https://169.254.169.254/",
                "https://2130706433/",
                "https://user:pw@93.184.216.34/",
                "https://93.184.216.34:22/",
                "file:///etc/passwd",
                "",
                "https://" + "a" * 3000,
            ],
        ),
        (
            "filter_config",
            [
                {"project_id": "x"},
                {"": 1},
                {"data..x": 1},
                {"data." + "x" * 300: 1},
                {f"data.{n}": n for n in range(21)},
                {"data.x": "y" * 9000},
                [],
            ],
        ),
        (
            "headers",
            [
                {name: "x"}
                for name in (
                    "Host",
                    "content-length",
                    "Content-Type",
                    "X-Geopera-Signature",
                    "webhook-id",
                    "Transfer-Encoding",
                    "Connection",
                    "bad name",
                    "",
                    "X\r\nY",
                )
            ]
            + [{"X-A": "a\r\nX-B: b"}, {"X-A": "1", "x-a": "2"}, {"X-A": "x" * 2000}, {"X-A": 5}],
        ),
        ("description", ["x" * 3000]),
    ],
)
async def test_what_is_wrong_is_refused_by_name_and_nothing_is_made(
    platform_on, dsn, tmp_path, field, values
):
    async with platform_on(dsn, tmp_path) as strict:
        owner = await strict.organization()
        sub = await strict.ok("event_subscriptions.create", GOOD, as_=owner)
        for value in values:
            body = {**GOOD, field: value}
            problem = await strict.refused(422, "event_subscriptions.create", body, as_=owner)
            assert problem["detail"][0]["loc"][:2] == ["body", field], value
            if field != "event_type":
                change = {"subscription_id": sub["id"], field: value}
                await strict.refused(422, "event_subscriptions.update", change, as_=owner)
        found = await strict.ok("event_subscriptions.list", as_=owner)
        assert [s["id"] for s in found["subscriptions"]] == [sub["id"]]


# ---------------------------------------------------------------- who is told of what


async def test_what_happened_before_or_while_disabled_is_not_sent(told, receiving):
    async with receiving() as receiver:
        await told.happen()  # committed, and not passed on yet
        sub = await told.subscribe(receiver.url, "item.*")
        assert await told.round() == []
        change = {"subscription_id": sub["id"]}
        await told.ok("event_subscriptions.update", {**change, "active": False})
        await told.happen()
        await told.ok("event_subscriptions.update", {**change, "active": True})
        (last,) = await told.happen()
        assert await told.round() == ["delivered"]
    assert [request.json["entity_id"] for request in receiver.got] == [last]


async def test_a_member_is_told_of_its_own_projects_and_changes_its_own_only(told, receiving):
    api, member = told.api, await told.api.member(told.owner, "member")
    seen = await api.project(told.owner, "Seen")
    body = {"project_id": seen, "user_id": member.user_id, "role": "viewer"}
    await told.ok("projects.add_member", body)
    async with receiving() as receiver, receiving() as all_of_it:
        whole = await told.subscribe(all_of_it.url, "item.*")
        mine = await told.subscribe(receiver.url, "item.*", as_=member)
        await told.happen()
        (shown,) = await told.happen(project_id=seen)
        while await told.round():
            pass
        assert [r.json["entity_id"] for r in receiver.got] == [shown] and len(all_of_it.got) == 2
        for op in ("update", "delete", "test", "rotate_secret", "deliveries.list"):
            await api.refused(
                403, f"event_subscriptions.{op}", {"subscription_id": whole["id"]}, as_=member
            )
        found = await told.ok("event_subscriptions.list", as_=member)
        assert {s["id"] for s in found["subscriptions"]} == {whole["id"], mine["id"]}
        await told.ok("projects.remove_member", {"project_id": seen, "user_id": member.user_id})
        await told.happen(project_id=seen)
        await told.round()
    assert len(receiver.got) == 1


async def test_what_waits_for_a_deleted_or_disabled_one_is_not_sent(told, receiving):
    async with receiving() as receiver:
        deleted = await told.subscribe(receiver.url)
        disabled = await told.subscribe(receiver.url)
        await told.happen(2)
        while await relay(told.system):
            pass
        sender = told.sender()
        (claimed, *_) = await sender.claim(1)  # in hand while it is disabled
        await told.ok("event_subscriptions.delete", {"subscription_id": deleted["id"]})
        change = {"subscription_id": disabled["id"], "active": False}
        await told.ok("event_subscriptions.update", change)
        assert await sender.attempt(claimed) in ("dropped", "dead")
        assert await told.round() == [] and receiver.got == []
        assert {d["state"] for d in await told.listed(disabled)} == {"dead"}
        states = told.api.sql(
            "select distinct state from delivery where subscription_id = %s", deleted["id"]
        )
        assert [row["state"] for row in states] == ["dropped"]
        replay = {"subscription_id": disabled["id"]}
        await told.api.refused(409, "event_subscriptions.deliveries.replay", replay, as_=told.owner)
        await told.ok("event_subscriptions.update", {**change, "active": True})
        again = await told.ok("event_subscriptions.deliveries.replay", replay)
        assert again == {"replayed": 2, "remaining": 0}
        while await told.round():
            pass
    assert len({request.headers["webhook-id"] for request in receiver.got}) == 2


# ---------------------------------------------------------------- receivers of all kinds


async def test_every_kind_of_bad_receiver_gets_the_event_in_the_end(told, receiving):
    bad = ("500 No", "drop", "hang", "302 Found|Location: /x\r\n", "drip", "429 Slow")
    async with receiving(*bad, "204 No Content") as receiver:
        sub = await told.subscribe(receiver.url, "item.created")
        await told.happen()
        sender = told.sender(total_seconds=0.3)
        states = [state for _ in range(8) for state in await told.round(sender)]
    assert states == ["due"] * 6 + ["delivered"]
    assert len(receiver.got) == 7 and all(r.path == "/hook" for r in receiver.got)
    assert len({r.headers["webhook-id"] for r in receiver.got}) == 1
    assert len({r.headers["x-geopera-delivery-id"] for r in receiver.got}) == 7
    for request in receiver.got:
        Webhook(sub["secret"]).verify(request.body, request.headers)
    (row,) = await told.listed(sub)
    assert (row["state"], row["attempts"], row["http_status"]) == ("delivered", 7, 204)


async def test_dead_letters_are_listed_and_replayed_with_a_schedule_of_their_own(told, receiving):
    async with receiving(*["500 No"] * 7, "200 OK") as receiver:
        sub = await told.subscribe(receiver.url, "item.created")
        (item,) = await told.happen()
        sender = told.sender(pauses=(0.0,))
        assert [s for _ in range(3) for s in await told.round(sender)] == ["due", "dead"]
        (dead,) = await told.listed(sub, state="dead")
        assert (dead["entity_id"], dead["event_type"]) == (item, "item.created")
        assert dead["attempts"] == 2 and dead["error"] == "the receiver answered 500"
        assert await told.listed(sub, state="delivered") == []
        replay = {"subscription_id": sub["id"], "delivery_ids": [dead["id"]]}
        for _ in range(2):
            await told.ok("event_subscriptions.deliveries.replay", replay)
            assert [s for _ in range(3) for s in await told.round(sender)] == ["due", "dead"]
        await told.ok("event_subscriptions.deliveries.replay", {"subscription_id": sub["id"]})
        assert [s for _ in range(3) for s in await told.round(sender)] == ["due", "delivered"]
        (row,) = await told.listed(sub)
        assert (row["id"], row["state"], row["attempts"]) == (dead["id"], "delivered", 8)
        # one that was taken can be asked for again
        await told.ok("event_subscriptions.deliveries.replay", replay)
        assert await told.round(sender) == ["delivered"]
        wrong = {"subscription_id": sub["id"], "delivery_ids": [dead["id"], "dlv_missing"]}
        await told.api.refused(404, "event_subscriptions.deliveries.replay", wrong, as_=told.owner)
    assert len({r.headers["webhook-id"] for r in receiver.got}) == 1
    assert len({r.headers["x-geopera-delivery-id"] for r in receiver.got}) == 9


async def test_a_receiver_that_is_gone_is_asked_once_and_its_owner_told(told, receiving):
    colleague = await told.api.member(told.owner, "member")
    async with receiving("410 Gone", "200 OK") as receiver:
        sub = await told.subscribe(receiver.url)
        await told.happen(3)
        assert await told.round() == ["dead"]  # one at once, as long as it took nothing
        assert await told.round() == []
        kept = await told.get(sub)
        assert (kept["active"], len(receiver.got)) == (False, 1)
        assert "410" in kept["disabled_reason"] and kept["disabled_at"]
        assert [d["state"] for d in await told.listed(sub)] == ["dead"] * 3
        (note,) = await told.ok("notifications.list")
        assert note["entity_id"] == sub["id"] and receiver.url in note["body"]
        assert await told.ok("notifications.list", as_=colleague) == []
        await told.ok("event_subscriptions.update", {"subscription_id": sub["id"], "active": True})
        await told.ok("event_subscriptions.deliveries.replay", {"subscription_id": sub["id"]})
        while await told.round():
            pass
        assert {d["state"] for d in await told.listed(sub)} == {"delivered"}


async def test_one_that_takes_nothing_for_two_days_is_disabled(told, receiving):
    api, key = told.api, await told.api.key(told.owner, "event_subscriptions:*")
    async with receiving("500 No") as receiver:
        sub = await told.subscribe(receiver.url, as_=key)
        sender = told.sender(pauses=())
        await told.happen(6)
        for _ in range(5):
            assert await told.round(sender) == ["dead"]
        assert (await told.get(sub))["active"]  # five, but not over two days
        early = (
            "update event_subscription set failing_since = now() - interval '49 h' where id = %s"
        )
        api.sql(early, sub["id"])
        assert await told.round(sender) == ["dead"]
        assert not (await told.get(sub))["active"]
        (note,) = await told.ok("notifications.list")  # a key is nobody: everybody is told
        assert note["type"] == "event_subscription.disabled" and "48 hours" in note["body"]
        # a dispatcher that dies before it does so leaves it to the chore
        await told.ok("event_subscriptions.update", {"subscription_id": sub["id"], "active": True})
        api.sql("update event_subscription set dead_in_row = 5 where id = %s", sub["id"])
        api.sql(early, sub["id"])
        for _ in range(2):
            await chores.disable_hopeless(api.platform, told.system)
        assert not (await told.get(sub))["active"]
        assert len(await told.ok("notifications.list")) == 2


async def test_a_success_ends_the_count(told, receiving):
    async with receiving(*["500 No"] * 5, "200 OK", "500 No") as receiver:
        sub = await told.subscribe(receiver.url)
        await told.happen(7)
        sender = told.sender(pauses=())
        for _ in range(7):
            await told.round(sender)
    row = told.api.sql("select * from event_subscription where id = %s", sub["id"])[0]
    assert (row["active"], row["failures"], row["dead_in_row"]) == (True, 1, 1)


async def test_a_name_that_leads_elsewhere_when_it_is_sent_to_gets_nothing(told, receiving):
    answers = iter(["127.0.0.1", "10.0.0.1", "127.0.0.1"])

    async def rebinding(host, port):
        return [next(answers)]

    async with receiving() as receiver:
        sub = await told.subscribe(receiver.url)
        name = f"http://receiver.example:{receiver.port}/hook"
        told.api.sql("update event_subscription set endpoint_url = %s", name)
        await told.happen()
        sender = told.sender(resolver=rebinding)
        guard = sender._sender
        await guard.check_endpoint(name)  # as when it was made
        assert await told.round(sender) == ["due"] and receiver.got == []
        (row,) = await told.listed(sub)
        assert "refused" in row["error"] and "10.0.0.1" not in row["error"]
        assert await told.round(sender) == ["delivered"]


async def test_receivers_that_hang_keep_no_other_waiting(told, receiving):
    async with receiving("hang") as dead, receiving() as healthy:
        sub = await told.subscribe(healthy.url)
        await told.happen()
        assert await told.round() == ["delivered"]
        made = told.api.sql(
            "insert into event_subscription (id, organization_id, event_type, endpoint_url, secret)"
            " select 'sub_dead_' || n || organization_id, organization_id, '*', %s, secret"
            " from event_subscription, generate_series(1, 70) n where id = %s returning id",
            dead.url,
            sub["id"],
        )
        await told.happen(8)
        while await relay(told.system):
            pass
        running = asyncio.create_task(told.sender().run(every_seconds=0.05))
        for _ in range(600):
            if len(healthy.got) == 9:
                break
            await asyncio.sleep(0.02)
        assert len(healthy.got) == 9 and healthy.most <= PER_RECEIVER
        assert len(made) == 70 and dead.now == dead.most <= 48  # none has answered yet
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


# ---------------------------------------------------------------- secrets, tests, cron


async def test_another_host_is_not_sent_the_headers_of_the_one_before(told):
    """Else who may move a subscription learns what is never shown."""
    update = "event_subscriptions.update"
    own = {"headers": {"Authorization": "Key 1"}, "event_type": "item.created"}
    sub = await told.subscribe("http://127.0.0.1:9001/hook", **own)
    moved = {"subscription_id": sub["id"], "endpoint_url": "http://127.0.0.1:9001/other"}
    assert (await told.ok(update, moved))["headers"] == ["Authorization"]
    for there in ("http://127.0.0.1:9002/hook", "http://127.0.0.1:9003/hook"):
        moved["endpoint_url"] = there
        assert (await told.ok(update, moved))["headers"] == []
        again = await told.ok(update, {**moved, "headers": own["headers"]})
        assert again["headers"] == ["Authorization"]


async def test_two_secrets_are_valid_while_one_is_exchanged(told, receiving):
    async with receiving() as receiver:
        sub = await told.subscribe(receiver.url)
        which = {"subscription_id": sub["id"]}
        first = await told.ok("event_subscriptions.rotate_secret", which, key="turn-1")
        assert first == await told.ok("event_subscriptions.rotate_secret", which, key="turn-1")
        await told.happen()
        await told.round()
        now = {**which, "valid_hours": 0}
        second = await told.ok("event_subscriptions.rotate_secret", now)
        assert second["previous_valid_until"] is None
        await told.happen()
        await told.round()
    both, last = receiver.got
    secrets = [sub["secret"], first["secret"], second["secret"]]
    assert len(set(secrets)) == 3
    for request, valid in ((both, secrets[:2]), (last, secrets[2:])):
        for secret in secrets:
            if secret in valid:
                Webhook(secret).verify(request.body, request.headers)
            else:
                with pytest.raises(WebhookVerificationError):
                    Webhook(secret).verify(request.body, request.headers)
    stored = told.api.sql("select body from idempotency_key where key = 'turn-1'")
    assert stored and all(first["secret"].encode() not in bytes(row["body"]) for row in stored)


async def test_a_test_is_a_real_delivery_and_says_what_became_of_it(told, receiving):
    async with receiving("200 OK", "500 No") as receiver:
        sub = await told.subscribe(receiver.url, "upload.failed", headers={"X-Team": "harbour"})
        which = {"subscription_id": sub["id"]}
        done = await told.ok("event_subscriptions.test", which, key="once")
        assert done == await told.ok("event_subscriptions.test", which, key="once")
        (request,) = receiver.got
        Webhook(sub["secret"]).verify(request.body, request.headers)
        assert request.json["event_type"] == done["event_type"] == "test.ping"
        assert request.json["event_id"] == done["event_id"]
        assert request.headers["x-team"] == "harbour"
        assert (done["status"], done["delivered"], done["http_status"]) == ("delivered", True, 200)
        failed = await told.ok("event_subscriptions.test", which)
        assert (failed["status"], failed["delivered"], failed["http_status"]) == (
            "failed",
            False,
            500,
        )
        assert "500" in failed["error"]
    gone = await told.ok("event_subscriptions.test", which)
    assert (gone["delivered"], gone["http_status"]) == (False, None) and gone["error"]
    assert await told.listed(sub) == [] and (await told.get(sub))["active"]


async def test_no_transaction_is_open_while_a_test_is_sent(told, receiving, until):
    async with receiving("hang") as receiver:
        sub = await told.subscribe(receiver.url)
        sent = asyncio.create_task(
            told.api.call(
                "event_subscriptions.test", {"subscription_id": sub["id"]}, as_=told.owner
            )
        )
        await until(lambda: receiver.got, 20)
        open_ones = told.api.sql(
            "select count(*) as n from pg_stat_activity where state like 'idle in transaction%%'"
            " and datname = current_database()"
        )
        receiver.hold.set()
        answer = (await sent).json()
    assert open_ones[0]["n"] == 0 and answer["status"] == "failed"


async def test_cron_passes_events_on_and_sends_what_is_due(platform_on, dsn, tmp_path, receiving):
    token = "cron-secret-0123456789"
    async with platform_on(dsn, tmp_path, webhook_allow=LOOPBACK, cron_token=token) as api:
        api.sql("update delivery set state = 'dead' where state = 'due'")
        api.sql("update event set relayed_at = now() where relayed_at is null")
        owner = await api.organization()
        told = Told(api, None, owner, await api.project(owner))
        async with receiving() as good, receiving("500 No") as bad:
            await told.subscribe(good.url)
            await told.subscribe(bad.url)
            await told.happen(2)
            await api.refused(403, "webhooks.drain", as_=owner)
            cron = type(owner)(token)
            done = await api.ok("webhooks.drain", {"limit": 2}, as_=cron)
            assert done == {"attempted": 2, "delivered": 1, "failed": 1, "dead": 0}
            done = await api.ok("webhooks.drain", as_=cron)
            assert done == {"attempted": 2, "delivered": 1, "failed": 1, "dead": 0}
            assert (await api.ok("webhooks.drain", as_=cron))["attempted"] == 0
            for limit in (0, 2001, "x"):
                await api.refused(422, "webhooks.drain", {"limit": limit}, as_=cron)
            assert (len(good.got), len(bad.got)) == (2, 2)
            assert json.loads(good.got[0].body)["event_type"] == "item.created"


async def test_disabling_twice_tells_once(told):
    sub = await told.subscribe("http://127.0.0.1:9/")
    told.api.sql("update event_subscription set gone = true where id = %s", sub["id"])
    pipeline, owner = told.api.platform.pipeline, told.owner.organization_id
    done = [await event_subscriptions.disable(pipeline, owner, sub["id"]) for _ in range(2)]
    assert done == [True, False]
    assert len(await told.ok("notifications.list")) == 1
