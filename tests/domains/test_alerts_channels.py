"""Where a rule that fires is told: inboxes, mail through a real server, webhooks."""

from __future__ import annotations

from email import message_from_bytes, policy

import pytest
from aiosmtpd.controller import Controller

from ops_gateway.providers.mail import MailServer
from opstac.deliveries import deliveries


class Inbox:
    """Keeps the mails that arrive."""

    def __init__(self) -> None:
        self.mails = []

    async def handle_DATA(self, server, session, envelope):
        message = message_from_bytes(envelope.content, policy=policy.default)
        self.mails.append((envelope.rcpt_tos, message))
        return "250 OK"


class Port0(Controller):
    """A controller that says which port it was given."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
async def postal(dsn, tmp_path, platform_on, system, watching):
    """A watch on a platform that sends mail by a server, and what arrives there."""
    inbox = Inbox()
    controller = Port0(inbox, hostname="127.0.0.1", port=0)
    controller.start()
    server = MailServer("127.0.0.1", "maps@example.org", port=controller.port, tls="none")
    try:
        async with platform_on(dsn, tmp_path, "gateway", smtp=server) as api:
            api.sql("update delivery set state = 'dropped' where state = 'due'")
            yield await watching(api, tmp_path, system), inbox
    finally:
        controller.stop()


async def send_all(watch):
    """What the worker's loop of deliveries does."""
    sending = deliveries(watch.api.platform.pipeline, watch.system, watch.api.platform.settings)
    while claimed := await sending.claim():
        for due in claimed:
            assert await sending.attempt(due) == "delivered"


async def colleague(watch, role="member", *, sees=True):
    """A member of the organization who is in the watched project, or is not."""
    person = await watch.api.member(watch.owner, role)
    if sees:
        add = {"user_id": person.user_id, "project_id": watch.project, "role": "viewer"}
        await watch.api.ok("projects.add_member", add, as_=watch.owner)
    return person


async def test_an_alert_is_in_the_inbox_of_every_member(watch):
    viewer = await colleague(watch, "viewer")
    stranger = await watch.api.organization()
    key = await watch.api.key(watch.owner, "notifications:read")
    rule = await watch.rule(
        name="NDVI drop on north paddock",
        expression="(b4 - b3) / (b4 + b3)",
        band_mapping={"red": 3, "nir": 4},
        comparison="lt",
        threshold=0.9,
        notification_channels=["in_app"],
    )
    await watch.rule(comparison="lt", notification_channels=["in_app"])  # does not fire
    await watch.rule(notification_channels=["webhook"])
    item = await watch.item()
    await watch.run()
    [event] = await watch.events(rule_id=rule["id"])
    for person in (watch.owner, viewer):
        [note] = await watch.api.ok("notifications.list", {"unread_only": True}, as_=person)
        assert note["title"] == "Alert: NDVI drop on north paddock"
        value = f"{event['computed_value']:.3f}"
        assert note["body"] == f"Mean NDVI {value} fell below 0.9 on {item}"
        assert (note["type"], note["entity_type"]) == ("alert.triggered", "alert_event")
        assert note["entity_id"] == event["id"] and note["created_at"].endswith("Z")
        assert await watch.api.ok("notifications.unread_count", as_=person) == {"count": 1}
    assert await watch.api.ok("notifications.list", as_=stranger) == []
    assert await watch.api.ok("notifications.list", as_=key) == []


async def test_an_alert_is_mailed_to_every_member_once(postal):
    watch, inbox = postal
    await colleague(watch)
    other = await watch.api.organization()
    rule = await watch.rule(
        name="Dämme: hoch", comparison="between", threshold=-1, threshold_upper=20000.5,
        notification_channels=["email", "in_app"],
    )  # fmt: skip
    item = await watch.item()
    await watch.run()
    await send_all(watch)
    people = watch.api.sql(
        "select u.email from app_user u join organization_member m on m.user_id = u.id"
        " where m.organization_id = %s",
        watch.owner.organization_id,
    )
    assert sorted(to for tos, _ in inbox.mails for to in tos) == sorted(p["email"] for p in people)
    assert len(inbox.mails) == 2 and other.user_id not in str(inbox.mails)
    [event] = await watch.events(rule_id=rule["id"])
    for _, message in inbox.mails:
        assert message["Subject"] == "Alert: Dämme: hoch"
        value = f"{event['computed_value']:.3f}"
        said = f"Mean value {value} is between -1 and 20000.5 on {item}.\n"
        assert message.get_content().replace("\r\n", "\n") == said
    await watch.run()
    await send_all(watch)
    assert len(inbox.mails) == 2


async def test_nobody_is_buried_in_mails(postal):
    watch, inbox = postal
    for n in range(14):
        await watch.rule(name=f"r{n}", threshold=-1, notification_channels=["email"])
    item = await watch.item()
    await watch.run()
    await send_all(watch)
    assert len(await watch.events()) == 14
    subjects = [message["Subject"] for _, message in inbox.mails]
    assert len(subjects) == 11 and subjects.count("4 more alerts of one item") == 1
    (rest,) = [m.get_content() for _, m in inbox.mails if "more alerts" in m["Subject"]]
    assert rest.count("Alert: r") == rest.count(item) == 4
    # an address is sent 60 an hour at most by an organization
    for _ in range(6):
        await watch.item()
        await watch.run()
    mails = "select count(*) as n from mail where organization_id = %s"
    assert watch.api.sql(mails, watch.owner.organization_id) == [{"n": 60}]
    watch.api.sql("update mail set created_at = created_at - interval '1 hour'")
    await watch.item()
    await watch.run()
    assert watch.api.sql(mails, watch.owner.organization_id) == [{"n": 71}]
    assert len(await watch.events(limit=200)) == 14 * 8


async def test_a_killed_decision_tells_nobody(postal, monkeypatch):
    watch, inbox = postal
    await watch.rule(notification_channels=["email", "in_app", "webhook"])
    await watch.item()
    monkeypatch.setenv("OPSTAC_FAULT", "alerts.inside:raise")
    await watch.run()
    await send_all(watch)
    assert await watch.events() == [] and watch.told() == [] and inbox.mails == []
    assert await watch.api.ok("notifications.list", as_=watch.owner) == []
    monkeypatch.delenv("OPSTAC_FAULT")
    watch.api.sql("update alert_due set next_at = now()")
    await watch.run()
    await send_all(watch)
    assert len(await watch.events()) == len(watch.told()) == len(inbox.mails) == 1
    assert len(await watch.api.ok("notifications.list", as_=watch.owner)) == 1


async def test_a_webhook_is_sent_what_the_event_says(watch):
    sent = "sub_" + watch.owner.organization_id
    watch.api.sql(
        "insert into event_subscription (id, organization_id, event_type, endpoint_url, secret)"
        " values (%s, %s, 'alert.triggered', 'https://example.org', '')",
        sent,
        watch.owner.organization_id,
    )
    await watch.rule(notification_channels=["webhook"])
    await watch.rule(notification_channels=["in_app"])
    await watch.item()
    await watch.run()
    await watch.relay()
    [told] = watch.told()
    deliveries = watch.api.sql("select * from delivery where subscription_id = %s", sent)
    assert [row["event_id"] for row in deliveries] == [told["id"]]
    names = {"id", "rule_id", "rule_name", "expression", "threshold_upper", "collection_id"}
    assert names < set(told["data"]) and told["data"]["project_id"] == watch.project


async def test_nobody_hears_of_a_project_that_they_may_not_see(postal):
    """Neither by a rule of their own nor by one of somebody who does see it."""
    watch, inbox = postal
    api, everything = watch.api, {"threshold": -1e9, "notification_channels": ["in_app", "email"]}
    blind = await colleague(watch, sees=False)
    seeing = await colleague(watch)
    made = {}
    for person in (blind, seeing, watch.owner):
        body = {"name": "n", "expression": "b1", "comparison": "gt", "cooldown_minutes": 0}
        answer = await api.ok("alerts.create_rule", body | everything, as_=person)
        made[person.user_id] = answer["alert_rule"]["id"]
    # whoever sets a rule of another is who it watches for
    taken = await watch.rule(**everything)
    await api.ok("alerts.update_rule", {"rule_id": taken["id"], "threshold": -2e9}, as_=blind)
    await watch.item()
    await watch.run()
    await send_all(watch)
    fired = {event["rule_id"] for event in await watch.events()}
    assert fired == {made[seeing.user_id], made[watch.owner.user_id]}
    rules = (await api.ok("alerts.rules.list", as_=blind))["alert_rules"]
    assert {r["id"] for r in rules if r["last_triggered_at"]} == fired
    assert await api.ok("alerts.events.list", as_=blind) == {"alert_events": [], "count": 0}
    [one, _] = await watch.events()
    await api.refused(404, "alerts.acknowledge_event", {"event_id": one["id"]}, as_=blind)
    await api.ok("alerts.acknowledge_event", {"event_id": one["id"]}, as_=seeing)
    counts = [len(await api.ok("notifications.list", as_=p)) for p in (blind, seeing, watch.owner)]
    assert counts == [0, 2, 2]
    address = f"{blind.user_id}@example.org"
    assert len(inbox.mails) == 4 and not any(address in tos for tos, _ in inbox.mails)
    # who leaves the project, or the organization, watches it no more
    leave = {"user_id": seeing.user_id, "project_id": watch.project}
    await api.ok("projects.remove_member", leave, as_=watch.owner)
    await watch.item()
    await watch.run()
    assert len(await watch.events(rule_id=made[seeing.user_id])) == 1
    assert len(await watch.events(rule_id=made[watch.owner.user_id])) == 2
