"""Organizations, keys, share links, alerts, subscriptions, notifications."""

from __future__ import annotations

from walk.case import Body, Sent, case
from walk.cases.pictures import over
from walk.world import PASSWORD, World, token_of

# ---------------------------------------------------------------- organizations


@case("organizations.create", foreign="names nothing", random=("slug",))
def _(w: World) -> Sent:
    w.room()
    return Sent(
        {"name": "Harbour Watch", "description": "Monitors ports", "country": "NZ"}, w.user()
    )


@case("organizations.get", foreign="the caller's")
def _(w: World) -> Body:
    return {}


@case("organizations.members.list", foreign="lists the caller's")
def _(w: World) -> Sent:
    owner = w.of("people", w.organization)
    w.of("two people", lambda: [w.member(owner, role) for role in ("member", "viewer")])
    return Sent({}, owner)


@case("organizations.members.update")
def _(w: World) -> Body:
    return {"user_id": w.member(w.owner).user_id, "role": "admin"}


@case("organizations.members.remove")
def _(w: World) -> Body:
    return {"user_id": w.member(w.owner).user_id}


def invited(w: World, owner=None) -> Body:
    body = {"email": "kai@example.org", "role": "member"}
    return w.ok("organizations.invitations.create", body, owner)


@case("organizations.invitations.create", foreign="names nothing")
def _(w: World) -> Sent:
    body = {"email": "kai@example.org", "role": "member", "expires_in_days": 7}
    return Sent(body, w.organization())


@case("organizations.invitations.list", foreign="lists the caller's")
def _(w: World) -> Sent:
    owner = w.of("inviting", w.organization)
    w.of("an invitation", lambda: invited(w, owner))
    return Sent({}, owner)


@case("organizations.invitations.revoke")
def _(w: World) -> Sent:
    owner = w.organization()
    return Sent({"invitation_id": invited(w, owner)["invitation"]["id"]}, owner)


@case("organizations.invitations.accept", foreign="for whom it was sent to")
def _(w: World) -> Sent:
    person = w.user()
    body = {"email": f"{person.user_id}@example.org", "role": "member"}
    made = w.ok("organizations.invitations.create", body)
    return Sent({"token": token_of(made)}, person)


# ---------------------------------------------------------------- keys


@case("api_keys.create", foreign="names nothing")
def _(w: World) -> Body:
    return {"name": "ingest", "permissions": ["items:read", "uploads:*"], "expires_in_days": 30}


@case("api_keys.list", foreign="lists the caller's")
def _(w: World) -> Sent:
    owner = w.of("keys", w.organization)
    w.of("two keys", lambda: [w.key(owner, "items:read"), w.key(owner, "*:read")])
    return Sent({}, owner)


@case("api_keys.revoke")
def _(w: World) -> Body:
    body = {"name": "ingest", "permissions": ["items:read"]}
    return {"key_id": w.ok("api_keys.create", body)["id"]}


# ---------------------------------------------------------------- share links


def link(w: World) -> Body:
    return {
        "target_type": "item",
        "target_id": w.item["id"],
        "permission": "view",
        "password": PASSWORD,
        "expires_at": "2099-01-01T00:00:00Z",
    }


@case("share.link.create")
def _(w: World) -> Body:
    return link(w)


@case("share.link.list", foreign="lists the caller's")
def _(w: World) -> Sent:
    owner = w.of("sharing", w.organization)

    def make() -> None:
        item = w.note(owner, w.new_project(owner))["id"]
        w.ok("share.link.create", {**link(w), "target_id": item}, owner)

    w.of("its link", make)
    return Sent({}, owner)


@case("share.link.revoke")
def _(w: World) -> Body:
    return {"link_id": w.ok("share.link.create", link(w))["id"]}


def opened(w: World) -> Body:
    made = w.of("link", lambda: w.ok("share.link.create", link(w)))
    return {"token": made["token"], "password": PASSWORD}


@case("share.link.validate", "share.tilejson", foreign="open to who has the token")
def _(w: World) -> Body:
    return opened(w)


@case("share.tile.render", foreign="open to who has the token")
def _(w: World) -> Body:
    return {**opened(w), **over(w.item), "format": "png"}


# ---------------------------------------------------------------- alerts


RULE = {
    "name": "Green",
    "description": "More leaves than bare ground",
    "expression": "(b4-b3)/(b4+b3)",
    "comparison": "gt",
    "threshold": 0.1,
    "event_types": ["item.created"],
    "notification_channels": ["in_app"],
    "cooldown_minutes": 0,
}


def rule(w: World, **more) -> str:
    return w.ok("alerts.create_rule", {**RULE, **more})["alert_rule"]["id"]


def watched(w: World) -> tuple[str, str]:
    """A rule of a collection of its own, and an item that it fired on."""

    def make() -> tuple[str, str]:
        collection = w.new_collection()
        made = rule(w, collection_id=collection)
        body = {"item_id": w.item["id"], "target_collection_id": collection}
        item = w.ok("items.duplicate", body)
        w.pass_events_on()
        return made, item.get("item", item)["id"]

    return w.of("watched", make)


def fired(w: World) -> str:
    body = {"rule_id": watched(w)[0]}
    return w.ok("alerts.events.list", body)["alert_events"][0]["id"]


@case("alerts.create_rule", foreign="its collection may come later")
def _(w: World) -> Body:
    return {**RULE, "collection_id": w.new_collection()}


@case("alerts.rule.get")
def _(w: World) -> Body:
    return {"rule_id": watched(w)[0]}


@case("alerts.rules.list", foreign="a filter that finds nothing")
def _(w: World) -> Body:
    def make() -> str:
        collection = w.new_collection()
        rule(w, collection_id=collection)
        return collection

    return {"collection_id": w.of("collection with a rule", make)}


@case("alerts.events.list", foreign="a filter that finds nothing")
def _(w: World) -> Body:
    return {"rule_id": watched(w)[0], "limit": 10}


@case("alerts.test_rule")
def _(w: World) -> Body:
    made, item = watched(w)
    return {"rule_id": made, "item_id": item}


@case("alerts.backtest")
def _(w: World) -> Body:
    return {"rule_id": watched(w)[0], "limit": 5}


@case("alerts.update_rule")
def _(w: World) -> Body:
    return {"rule_id": rule(w), "threshold": 0.4, "active": False}


@case("alerts.delete_rule")
def _(w: World) -> Body:
    return {"rule_id": rule(w)}


@case("alerts.acknowledge_event")
def _(w: World) -> Body:
    event = fired(w)
    w.sql("update alert_event set acknowledged_at = null where id = %s",
          event)  # fmt: skip
    return {"event_id": event}


def given_up(w: World) -> None:
    """An event that could not be evaluated."""
    w.sql(
        "insert into alert_due (event_id, organization_id, item_id, event_type, project_id,"
        " happened_at, attempts, error, given_up_at)"
        " select replace(id, 'it_', 'evt_'), organization_id, id, 'item.created', project_id,"
        " now(), 31, 'the store is away', now() from item where id = %s"
        " on conflict (event_id) do update set given_up_at = now()",
        w.item["id"],
    )


@case("alerts.given_up.list", foreign="names nothing")
def _(w: World) -> Body:
    given_up(w)
    return {"limit": 5}


@case("alerts.given_up.replay", foreign="leaves out what is none")
def _(w: World) -> Body:
    given_up(w)
    return {"event_ids": [w.item["id"].replace("it_", "evt_")]}


# ---------------------------------------------------------------- subscriptions


def subscribed(w: World, path: str = "/hook", **more) -> str:
    body = {"event_type": "item.created", "endpoint_url": w.hook(path), **more}
    made = w.ok("event_subscriptions.create", body)
    return made.get("subscription", made)["id"]


def died(w: World) -> Sent:
    """A subscription with a delivery that was given up, in an organization without others."""
    owner = w.of("unheard", w.organization)
    project = w.of("unheard project", lambda: w.new_project(owner))
    body = {"event_type": "item.created", "endpoint_url": w.hook("/no")}
    made = w.ok("event_subscriptions.create", body, owner)["id"]
    w.note(owner, project)
    w.deliver()
    return Sent({"subscription_id": made}, owner)


@case("event_subscriptions.create", foreign="names nothing")
def _(w: World) -> Body:
    return {
        "event_type": "item.created",
        "endpoint_url": w.hook(),
        "headers": {"X-Team": "harbour"},
        "description": "Tell the harbour",
    }


@case("event_subscriptions.get")
def _(w: World) -> Body:
    return {"subscription_id": w.of("subscription", lambda: subscribed(w, description="Mine"))}


@case("event_subscriptions.list", foreign="lists the caller's")
def _(w: World) -> Sent:
    owner = w.of("subscribing", w.organization)
    body = {"event_type": "processing.completed", "endpoint_url": w.hook()}
    w.of("its subscription", lambda: w.ok("event_subscriptions.create", body, owner))
    return Sent({"event_type": "processing.completed"}, owner)


@case("event_subscriptions.update")
def _(w: World) -> Body:
    return {"subscription_id": subscribed(w), "description": "No more", "active": False}


@case("event_subscriptions.delete")
def _(w: World) -> Body:
    return {"subscription_id": subscribed(w)}


@case("event_subscriptions.rotate_secret")
def _(w: World) -> Body:
    return {"subscription_id": subscribed(w), "valid_hours": 12}


@case("event_subscriptions.test")
def _(w: World) -> Body:
    return {"subscription_id": subscribed(w)}


@case("event_subscriptions.deliveries.list")
def _(w: World) -> Sent:
    dead = w.of("dead letters", lambda: died(w))
    return Sent({**dead.body, "state": "dead"}, dead.by)


@case("event_subscriptions.deliveries.replay")
def _(w: World) -> Sent:
    return died(w)


@case("webhooks.drain", foreign="the scheduler's")
def _(w: World) -> Sent:
    w.deliver()
    owner = w.of("drained", w.organization)
    project = w.of("drained project", lambda: w.new_project(owner))
    body = {"event_type": "item.created", "endpoint_url": w.hook()}
    w.of("drained subscription", lambda: w.ok("event_subscriptions.create", body, owner))
    w.note(owner, project)
    return Sent({"limit": 100}, w.cron)


# ---------------------------------------------------------------- notifications


def told(w: World) -> tuple[str, Sent]:
    """Somebody with one notification, which came by the wire: an invitation was accepted."""
    from ops_gateway.domains.notifications import notify

    owner = w.organization()

    async def work(ctx):
        return await notify(
            ctx, title="Alert: green", body="NDVI is 0.4", type="alert.triggered",
            entity_type="alert_event", entity_id="ae_1",
        )  # fmt: skip

    w.act(owner, work)
    sent = Sent({}, owner)
    return w.ok("notifications.list", {}, owner)[0]["id"], sent


@case("notifications.list", "notifications.unread_count", foreign="lists the caller's")
def _(w: World) -> Sent:
    return w.of("told", lambda: told(w))[1]


@case("notifications.mark_all_read", foreign="the caller's")
def _(w: World) -> Sent:
    return told(w)[1]


@case("notifications.mark_read", "notifications.dismiss")
def _(w: World) -> Sent:
    found, sent = told(w)
    return Sent({"notification_id": found}, sent.by)
