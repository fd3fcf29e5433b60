"""Who loses rights keeps no way in: invitations, subscriptions and share links end with them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from db.pool import make_pool
from ops_gateway.worker.relay import relay
from opstac.deliveries import deliveries


@pytest.fixture
def api(webhook_api):
    return webhook_api


@pytest.fixture
async def system(dsn):
    async with make_pool(dsn, "opstac_system", min_size=1, max_size=4) as pool:
        yield pool


class House:
    """An organization, its owner and an admin who has made all that one can leave behind."""

    def __init__(self, api, system, owner, admin, project):
        self.api, self.system = api, system
        self.owner, self.admin, self.project = owner, admin, project

    async def invitation(self, as_, role="admin"):
        body = {"email": "friend@example.org", "role": role}
        made = await self.api.ok("organizations.invitations.create", body, as_=as_)
        return urlsplit(made["url"]).path.rsplit("/", 1)[1]

    async def subscription(self, url, as_, **more):
        body = {"event_type": "*", "endpoint_url": url, **more}
        return await self.api.ok("event_subscriptions.create", body, as_=as_)

    async def item(self, name, project=None):
        body = {"name": name, "type": "user_raster", "project_id": project or self.project}
        return (await self.api.ok("items.create", body, as_=self.owner))["id"]

    async def link(self, as_, item):
        ends = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        body = {"target_type": "item", "target_id": item, "password": "a password"}
        body |= {"expires_at": ends}
        return (await self.api.ok("share.link.create", body, as_=as_))["token"]

    async def opens(self, token):
        body = {"token": token, "password": "a password"}
        return (await self.api.call("share.link.validate", body)).status_code

    async def role(self, person, role):
        body = {"user_id": person.user_id, "role": role}
        return await self.api.ok("organizations.members.update", body, as_=self.owner)

    async def remove(self, person):
        body = {"user_id": person.user_id}
        await self.api.ok("organizations.members.remove", body, as_=self.owner)

    async def round(self):
        """Pass events on and attempt once what is due; the states of this organization's."""
        while await relay(self.system):
            pass
        platform = self.api.platform
        sender = deliveries(platform.pipeline, self.system, platform.settings)
        claimed = await sender.claim()
        states = await asyncio.gather(*(sender.attempt(due) for due in claimed))
        own = self.owner.organization_id
        told = zip(claimed, states, strict=True)
        return [state for due, state in told if due.organization_id == own]

    async def told(self, person=None):
        rows = await self.api.ok("notifications.list", as_=person or self.owner)
        return [row["body"] for row in rows if row["type"] == "organization.rights_withdrawn"]


@pytest.fixture
async def house(api, system):
    owner = await api.organization()
    admin = await api.member(owner, "admin")
    return House(api, system, owner, admin, await api.project(owner))


def names(receiver):
    return [request.json["data"].get("name") for request in receiver.got]


async def test_a_removed_admin_does_not_walk_back_in(house):
    token = await house.invitation(house.admin)
    kept = await house.invitation(house.owner)
    await house.remove(house.admin)
    accept = "organizations.invitations.accept"
    await house.api.refused(410, accept, {"token": token}, as_=house.admin)
    await house.api.refused(403, "items.list", {"project_id": house.project}, as_=house.admin)
    page = await house.api.client.get(f"/invitations/{token}")
    assert page.status_code == 410
    [told] = await house.told()
    assert "1 invitations were withdrawn" in told
    # what somebody else offers holds
    friend = house.api.user()
    assert (await house.api.ok(accept, {"token": kept}, as_=friend))["role"] == "admin"


async def test_an_invitation_is_worth_what_its_maker_may_give(house):
    """Also one that was on its way when its maker lost the rights."""
    token = await house.invitation(house.admin)
    modest = await house.invitation(house.owner, "viewer")
    await house.role(house.admin, "member")
    house.api.sql(
        "update invitation set revoked_at = null where invited_by = %s", house.admin.user_id
    )
    accept, friend = "organizations.invitations.accept", house.api.user()
    await house.api.refused(410, accept, {"token": token}, as_=friend)
    await house.api.ok(accept, {"token": modest}, as_=friend)


async def test_a_removed_admins_webhook_is_told_nothing_and_the_owner_is(house, receiving):
    async with receiving() as receiver:
        theirs = await house.subscription(receiver.url, house.admin)
        await house.item("before")
        assert await house.round() == ["delivered"]
        await house.item("waits")
        while await relay(house.system):
            pass
        await house.remove(house.admin)
        await house.item("after")
        assert await house.round() == []
        assert names(receiver) == ["before"]
        [told] = await house.told()
        assert receiver.url in told and "1 webhooks were disabled" in told
        which = {"subscription_id": theirs["id"]}
        get = await house.api.ok("event_subscriptions.get", which, as_=house.owner)
        assert not get["subscription"]["active"]
        # the owner wants it: then it is the owner's
        again = {**which, "active": True}
        taken = await house.api.ok("event_subscriptions.update", again, as_=house.owner)
        assert taken["active"] and taken["created_by"] == house.owner.user_id
        await house.item("taken over")
        assert await house.round() == ["delivered"]
        assert names(receiver) == ["before", "taken over"]


async def test_a_subscription_tells_what_its_maker_may_see_now(house, receiving):
    """Though nothing switched it off; and neither a message that waits nor a replay tells more."""
    member = await house.api.member(house.owner, "member")
    other = await house.api.project(house.owner, "Other")
    for project in (house.project, other):
        body = {"project_id": project, "user_id": member.user_id, "role": "editor"}
        await house.api.ok("projects.add_member", body, as_=house.owner)
    async with receiving() as receiver:
        sub = await house.subscription(receiver.url, member)
        await house.item("seen", other)
        assert await house.round() == ["delivered"]
        await house.item("waits", other)
        while await relay(house.system):
            pass
        gone = {"project_id": other, "user_id": member.user_id}
        await house.api.ok("projects.remove_member", gone, as_=house.owner)
        assert await house.round() == ["dead"]
        replay = {"subscription_id": sub["id"]}
        replay["delivery_ids"] = [
            row["id"]
            for row in (
                await house.api.ok(
                    "event_subscriptions.deliveries.list",
                    {"subscription_id": sub["id"]},
                    as_=member,
                )
            )["deliveries"]
        ]
        await house.api.ok("event_subscriptions.deliveries.replay", replay, as_=member)
        assert await house.round() == ["dead", "dead"]
        await house.item("here")
        assert await house.round() == ["delivered"]
        assert names(receiver) == ["seen", "here"]
        house.api.sql("delete from organization_member where user_id = %s", member.user_id)
        house.api.sql(
            "insert into event (id, organization_id, type, entity_type, entity_id, data)"
            " values ('evt_' || gen_random_uuid(), %s, 'credits.topped_up', 'wallet', 'w', '{}')",
            house.owner.organization_id,
        )
        await house.item("after")
        assert await house.round() == []
        house.api.sql(
            "insert into organization_member (organization_id, user_id, role)"
            " values (%s, %s, 'member')",
            house.owner.organization_id,
            member.user_id,
        )
        house.api.sql("update app_user set disabled_at = now() where id = %s", member.user_id)
        await house.item("closed")
        assert await house.round() == []


async def test_an_admin_who_becomes_a_member_is_told_of_their_projects_only(house, receiving):
    async with receiving() as receiver:
        sub = await house.subscription(receiver.url, house.admin)
        await house.role(house.admin, "member")
        assert len(await house.told()) == 1 and await house.told(house.admin) == []
        body = {"subscription_id": sub["id"], "active": True}
        back = await house.api.ok("event_subscriptions.update", body, as_=house.admin)
        assert back["created_by"] == house.admin.user_id
        await house.item("not theirs")
        assert await house.round() == []
        mine = await house.api.project(house.admin, "Mine")
        body = {"name": "theirs", "type": "user_raster", "project_id": mine}
        await house.api.ok("items.create", body, as_=house.admin)
        assert await house.round() == ["delivered"]
        await house.role(house.admin, "viewer")
        get = {"subscription_id": sub["id"]}
        found = await house.api.ok("event_subscriptions.get", get, as_=house.owner)
        assert not found["subscription"]["active"]


async def test_share_links_end_with_the_right_to_see_what_they_show(house):
    member = await house.api.member(house.owner, "member")
    body = {"project_id": house.project, "user_id": member.user_id, "role": "editor"}
    await house.api.ok("projects.add_member", body, as_=house.owner)
    item = await house.item("shared")
    by_owner, by_admin = await house.link(house.owner, item), await house.link(house.admin, item)
    by_member = await house.link(member, item)
    gone = {"project_id": house.project, "user_id": member.user_id}
    await house.api.ok("projects.remove_member", gone, as_=house.owner)
    assert [await house.opens(t) for t in (by_owner, by_admin, by_member)] == [200, 200, 404]
    await house.remove(house.admin)
    assert [await house.opens(t) for t in (by_owner, by_admin)] == [200, 404]
    listed = (await house.api.ok("share.link.list", as_=house.owner))["share_links"]
    assert [row["revoked_at"] is None for row in listed] == [False, False, True]
    told = await house.told()
    assert len(told) == 2 and all(item in body for body in told)
    assert house.api.sql(
        "select count(*) as n from event where organization_id = %s and type = 'share.revoked'",
        house.owner.organization_id,
    ) == [{"n": 2}]


async def test_a_link_that_came_to_be_after_its_makers_removal_opens_nothing(house):
    token = await house.link(house.admin, await house.item("shared"))
    house.api.sql("delete from organization_member where user_id = %s", house.admin.user_id)
    assert await house.opens(token) == 404
