"""API keys: minted once, no more than their maker, gone when revoked."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from ops_gateway.domains.api_keys import covers
from ops_gateway.kernel.context import Principal


def maker(*scopes: str, kind: str = "api_key") -> Principal:
    return Principal(kind=kind, id="p", organization_id="o", scopes=frozenset(scopes))  # type: ignore[arg-type]


async def test_a_key_is_shown_once_and_works_in_both_headers(api):
    owner = await api.organization()
    made = await api.ok(
        "api_keys.create",
        {"name": "ci", "permissions": ["organizations:read", "alerts:*"], "expires_in_days": 1},
        as_=owner,
    )
    assert made["key"].startswith(made["prefix"]) and made["prefix"].startswith("gpra_")
    assert made["permissions"] == ["organizations:read", "alerts:*"]
    for headers in ({"Authorization": f"Bearer {made['key']}"}, {"X-API-Key": made["key"]}):
        assert (
            await api.client.get("/v1/op/organizations.get", headers=headers)
        ).status_code == 200
    listed = await api.ok("api_keys.list", as_=owner)
    assert made["key"] not in json.dumps(listed) and listed["count"] == 1
    row = listed["api_keys"][0]
    assert row["id"] == made["id"] and "key" not in row and row["created_by"] == owner.user_id
    assert row["last_used_at"] is not None and row["revoked_at"] is None
    secrets = api.sql(
        "select secret_sha256::text || lookup as kept from api_key where id = %s", made["id"]
    )
    assert made["key"].removeprefix(made["prefix"]) not in secrets[0]["kept"]


async def test_a_key_without_permissions_reads(api):
    owner = await api.organization()
    for body in (
        {"name": "a"},
        {"name": "b", "permissions": []},
        {"name": "c", "permissions": None},
    ):
        assert (await api.ok("api_keys.create", body, as_=owner))["permissions"] == ["*:read"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "n" * 201},
        {"name": "x", "expires_in_days": 0},
        {"name": "x", "rate_limit": 0},
        {"name": "x", "expires_in_days": 10**9},
        {"name": "x", "rate_limit": 10**12},
        {"name": "x", "permissions": "items:read"},
        {"name": "x", "permissions": ["items"]},
        {"name": "x", "permissions": ["items:eat"]},
        {"name": "x", "permissions": ["ghosts:read"]},
        {"name": "x", "permissions": ["*:*"]},
        {"name": "x", "permissions": ["items:read\n"]},
        {"name": "x", "permissions": [""]},
        {"name": "x", "permissions": ["items:read"] * 101},
    ],
)
async def test_a_key_that_cannot_be_is_refused(api, body):
    await api.refused(422, "api_keys.create", body, as_=await api.organization())


@pytest.mark.parametrize(
    ("scopes", "asked", "allowed"),
    [
        (["items:read"], "items:read", True),
        (["items:read"], "items:write", False),
        (["items:read"], "items:*", False),
        (["items:*"], "items:write", True),
        (["*:read"], "items:read", True),
        (["*:read"], "*:read", True),
        (["*:read"], "*", False),
        (["*"], "*", True),
        (["*"], "*:write", True),
        (["*"], "admin:read", False),
        (["*:read"], "admin:read", False),
        (["admin:read"], "admin:read", True),
        (["admin:read"], "admin:*", False),
        (["admin:*"], "admin:*", True),
        (["admin:*"], "items:read", False),
    ],
)
def test_a_maker_covers_what_it_holds(scopes, asked, allowed):
    assert covers(maker(*scopes), asked) is allowed


def test_even_a_service_with_everything_gives_no_admin_away():
    assert not covers(maker("*", kind="service"), "admin:write")


async def test_a_key_makes_no_key_above_itself(api):
    owner = await api.organization()
    minter = await api.key(owner, "api_keys:*", "items:read")
    for permissions in (["items:write"], ["*:read"], ["*"], ["admin:read"], []):
        await api.refused(
            403, "api_keys.create", {"name": "x", "permissions": permissions}, as_=minter
        )
    made = await api.ok("api_keys.create", {"name": "x", "permissions": ["items:read"]}, as_=minter)
    listed = (await api.ok("api_keys.list", as_=minter))["api_keys"]
    assert next(k for k in listed if k["id"] == made["id"])["created_by"] is None


async def test_an_owner_gives_everything_but_admin(api):
    owner = await api.organization()
    everything = await api.key(owner, "*")
    for permission in ("admin:read", "admin:*"):
        body = {"name": "x", "permissions": [permission]}
        await api.refused(403, "api_keys.create", body, as_=owner)
        await api.refused(403, "api_keys.create", body, as_=everything)


@pytest.mark.parametrize("role", ["member", "billing", "viewer"])
async def test_who_does_not_run_the_organization_makes_no_keys(api, role):
    owner = await api.organization()
    problem = await api.refused(
        403, "api_keys.create", {"name": "x"}, as_=await api.member(owner, role)
    )
    assert "api_keys:write" in problem["detail"]


async def test_a_revoked_key_is_refused_at_once(api):
    owner, other = await api.organization(), await api.organization("Other")
    key = await api.ok("api_keys.create", {"name": "x", "permissions": ["*"]}, as_=owner)
    await api.refused(404, "api_keys.revoke", {"key_id": key["id"]}, as_=other)
    await api.refused(404, "api_keys.revoke", {"key_id": "key_missing"}, as_=owner)
    headers = {"X-API-Key": key["key"]}
    assert (await api.client.post("/v1/op/organizations.get", headers=headers)).status_code == 200
    assert await api.ok("api_keys.revoke", {"key_id": key["id"]}, as_=owner) == {
        "ok": True,
        "id": key["id"],
    }
    response = await api.client.post("/v1/op/organizations.get", headers=headers)
    assert response.status_code == 401 and response.headers["www-authenticate"] == "Bearer"
    when = (await api.ok("api_keys.list", as_=owner))["api_keys"][0]["revoked_at"]
    await api.ok("api_keys.revoke", {"key_id": key["id"]}, as_=owner)
    assert (await api.ok("api_keys.list", as_=owner))["api_keys"][0]["revoked_at"] == when


async def test_an_expired_key_is_refused(api):
    owner = await api.organization()
    key = await api.key(owner, "*:read")
    await api.ok("organizations.get", as_=key)
    api.sql(
        "update api_key set expires_at = now() - interval '1 second' where organization_id = %s",
        owner.organization_id,
    )
    await api.refused(401, "organizations.get", as_=key)


async def test_a_replay_shows_the_same_secret_and_the_table_does_not(api):
    owner = await api.organization()
    first = await api.call("api_keys.create", {"name": "x"}, as_=owner, key="once")
    again = await api.call("api_keys.create", {"name": "x"}, as_=owner, key="once")
    assert first.content == again.content
    kept = api.sql(
        "select body, encrypted from idempotency_key where organization_id = %s",
        owner.organization_id,
    )
    assert kept[0]["encrypted"] and first.json()["key"].encode() not in bytes(kept[0]["body"])


# ---------------------------------------------------------------- what a key has set up

PASSWORD = "a long password"


class SetUp:
    """What a key has made: a webhook and a share link."""

    def __init__(self, api, owner, key, item):
        self.api, self.owner, self.key, self.item = api, owner, key, item

    async def made(self, as_):
        ends = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        link = {"target_type": "item", "target_id": self.item, "expires_at": ends}
        link = await self.api.ok("share.link.create", {**link, "password": PASSWORD}, as_=as_)
        body = {"event_type": "*", "endpoint_url": "http://127.0.0.1:9/hook"}
        return link["token"], (await self.api.ok("event_subscriptions.create", body, as_=as_))["id"]

    async def stands(self, made):
        token, subscription = made
        redeemed = {"token": token, "password": PASSWORD}
        status = (await self.api.call("share.link.validate", redeemed)).status_code
        body = {"subscription_id": subscription}
        found = await self.api.ok("event_subscriptions.get", body, as_=self.owner)
        return status == 200, found["subscription"]["active"]

    async def id_of(self, key):
        """The id of a key by its text."""
        prefix = key.token[:13]
        listed = (await self.api.ok("api_keys.list", as_=self.owner))["api_keys"]
        return next(one["id"] for one in listed if one["prefix"] == prefix)

    async def revoke(self, key, **more):
        body = {"key_id": await self.id_of(key), **more}
        await self.api.ok("api_keys.revoke", body, as_=self.owner)


@pytest.fixture
async def set_up(platform_on, dsn, tmp_path):
    async with platform_on(dsn, tmp_path, "gateway", webhook_allow="127.0.0.1/32:1-65535") as api:
        owner = await api.organization()
        project = await api.project(owner)
        body = {"name": "x", "type": "user_raster", "project_id": project}
        item = (await api.ok("items.create", body, as_=owner))["id"]
        yield SetUp(api, owner, await api.key(owner, "*"), item)


async def test_what_a_key_set_up_ends_with_it(set_up):
    api, owner = set_up.api, set_up.owner
    minted = await api.key(set_up.key, "shares:*", "event_subscriptions:*")
    other = await api.key(owner, "*")
    ended = [await set_up.made(set_up.key), await set_up.made(minted)]
    going_on = [await set_up.made(other), await set_up.made(owner)]
    before = await api.ok("notifications.list", as_=owner)
    await set_up.revoke(set_up.key)
    assert [await set_up.stands(made) for made in ended] == [(False, False)] * 2
    assert [await set_up.stands(made) for made in going_on] == [(True, True)] * 2
    told = await api.ok("notifications.list", as_=owner)
    assert len(told) == len(before) + 1
    assert "2 webhooks" in told[0]["body"] and "2 share links" in told[0]["body"]
    query = "select count(*) as n from event where organization_id = %s and type = 'share.revoked'"
    assert api.sql(query, owner.organization_id) == [{"n": 2}]
    # who enables a webhook again has it as their own
    body = {"subscription_id": ended[0][1], "active": True}
    await api.ok("event_subscriptions.update", body, as_=other)
    await set_up.revoke(set_up.key)  # once more changes nothing
    assert (await set_up.stands(ended[0]))[1]
    await set_up.revoke(other)
    assert not (await set_up.stands(ended[0]))[1]


async def test_what_a_key_that_is_replaced_set_up_may_go_on(set_up):
    made = await set_up.made(set_up.key)
    await set_up.revoke(set_up.key, keep_set_up=True)
    assert await set_up.stands(made) == (True, True)
    await set_up.revoke(set_up.key)
    assert await set_up.stands(made) == (True, True)


async def test_what_a_key_sets_up_while_it_is_revoked_ends_too(set_up):
    """Of many at once, what was made is ended, or was not made."""
    key = set_up.key
    calls = [set_up.made(key) for _ in range(6)]
    *found, _ = await asyncio.gather(*calls, set_up.revoke(key), return_exceptions=True)
    query = """
      select count(*) as n from share_link where revoked_at is null and organization_id = %s
      union all select count(*) from event_subscription where active and organization_id = %s"""
    organization = set_up.owner.organization_id
    assert set_up.api.sql(query, organization, organization) == [{"n": 0}, {"n": 0}]
    assert len(found) == 6
