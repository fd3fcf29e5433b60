"""Share links: what they open, for whom, and when they do no more."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from datetime import UTC, datetime, timedelta

import pystac_client
import pytest
import rasterio

from ops_gateway.domains import share_access
from opstac import usage as counting

PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(counting, "FLUSH_SECONDS", 0.02)
    share_access._known.clear()  # as if each test were a process of its own


def soon(**more):
    return (datetime.now(UTC) + timedelta(**(more or {"hours": 1}))).isoformat()


class Shared:
    """An organization with a shared item, its collection, and a neighbour that is not shared."""

    def __init__(self, api, owner, project, item, collection, beside):
        self.api, self.owner, self.project = api, owner, project
        self.item, self.collection, self.beside = item, collection, beside

    async def link(self, target=None, kind="item", **more):
        body = {
            "target_type": kind,
            "target_id": target or self.item["id"],
            "password": PASSWORD,
            "expires_at": soon(),
            **more,
        }
        return await self.api.ok("share.link.create", body, as_=self.owner)

    async def get(self, path, password=PASSWORD, **headers):
        if password is not None:
            headers["X-Share-Password"] = password
        return await self.api.client.get(path, headers=headers)


async def build(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    body = {"project_id": project, "name": "Fields"}
    collection = (await api.ok("collections.create", body, as_=owner))["id"]
    item, _ = await catalogue.scene(owner, project, collection_id=collection)
    beside, _ = await catalogue.scene(owner, project, name="beside")
    return Shared(api, owner, project, item, collection, beside)


@pytest.fixture
async def shared(api, catalogue):
    return await build(api, catalogue)


async def test_an_item_is_seen_by_who_has_link_and_password(shared):
    api = shared.api
    link = await shared.link()
    assert link["permission"] == "view" and link["access_count"] == 0
    assert link["project_id"] == shared.project and link["revoked_at"] is None
    assert link["created_by"] == shared.owner.user_id and "password" not in json.dumps(link)
    kept = json.dumps(api.sql("select * from share_link where id = %s", link["id"]), default=str)
    assert link["token"] not in kept and PASSWORD not in kept and "$argon2id$" in kept

    redeemed = {"token": link["token"], "password": PASSWORD}
    seen = await api.ok("share.link.validate", redeemed)
    assert (seen["permission"], seen["target_type"]) == ("view", "item")
    feature = seen["target"]
    assert feature["properties"]["opstac:id"] == shared.item["id"] and feature["assets"] == {}
    maps = {link["rel"]: link["href"] for link in feature["links"]}
    assert set(maps) == {"self", "parent", "collection", "root", "tilejson", "xyz"}
    assert (await api.client.get(maps["tilejson"])).json()["tilejson"] == "3.0.0"
    assert (await api.client.get(maps["xyz"].format(z=0, x=0, y=0))).status_code == 200
    told = json.dumps(seen)
    for private in (shared.project, shared.collection, shared.owner.organization_id, PASSWORD):
        assert private not in told
    await api.refused(403, "share.link.validate", {**redeemed, "password": "wrong one"})
    await api.refused(403, "share.link.validate", {"token": link["token"]})
    for token in ("nope", "", "x" * 5000):
        await api.refused(404, "share.link.validate", {**redeemed, "token": token})
    raw = b'{"token": "\\ud800", "password": "\\udfff"}'
    odd = await api.client.post("/v1/op/share.link.validate", content=raw)
    assert odd.status_code in (400, 404, 422)
    # a share token is no credential
    bearer = {"Authorization": f"Bearer {link['token']}"}
    answer = await api.client.post("/v1/op/items.list", json={}, headers=bearer)
    assert answer.status_code == 401

    tile = {**redeemed, "z": 0, "x": 0, "y": 0}
    drawn = await api.call("share.tile.render", tile)
    assert drawn.status_code == 200 and drawn.content[:4] == b"\x89PNG"
    jpg = await api.call("share.tile.render", {**tile, "format": "webp"})
    assert jpg.headers["content-type"] == "image/webp"
    await api.refused(404, "share.tile.render", {**tile, "x": 5})
    await api.refused(422, "share.tile.render", {**tile, "format": "exe"})
    await api.refused(422, "share.tile.render", {**tile, "profile": "none such"})
    await api.refused(404, "share.tile.render", {**tile, "item_id": shared.beside["id"]})

    document = await api.ok("share.tilejson", redeemed)
    assert PASSWORD not in json.dumps(document) and document["tilejson"] == "3.0.0"
    url = document["tiles"][0].format(z=0, x=0, y=0)
    assert (await api.client.get(url)).status_code == 200
    [row] = (await api.ok("share.link.list", as_=shared.owner))["share_links"]
    assert row["access_count"] == 2 and row["last_accessed_at"] and "token" not in row
    lineage = {"entity_type": "share_link", "entity_id": link["id"]}
    edges = (await api.ok("provenance.get", lineage, as_=shared.owner))["edges"]
    assert ("exports", shared.item["id"]) in [(e["relation"], e["dst_id"]) for e in edges]
    events = api.sql("select type, data from event where entity_id = %s", link["id"])
    assert [e["type"] for e in events] == ["share.created"]
    assert link["token"] not in json.dumps(events[0]["data"])


async def test_revoking_ends_everything_at_once(shared):
    api = shared.api
    link = await shared.link(permission="download")
    base = f"/share/{link['token']}"
    redeemed = {"token": link["token"], "password": PASSWORD}
    document = await api.ok("share.tilejson", redeemed)
    tile = document["tiles"][0].format(z=0, x=0, y=0)
    target = (await api.ok("share.link.validate", redeemed))["target"]
    file = target["assets"]["data"]["href"]
    for path in (tile, file, f"{base}/stac?key={file.partition('key=')[2]}"):
        assert (await api.client.get(path)).status_code in (200, 302)
    stranger = await api.organization()
    viewer = await api.member(shared.owner, "viewer")
    await api.refused(404, "share.link.revoke", {"link_id": link["id"]}, as_=stranger)
    await api.refused(403, "share.link.revoke", {"link_id": link["id"]}, as_=viewer)
    gone = await api.ok("share.link.revoke", {"link_id": link["id"]}, as_=shared.owner)
    assert gone == {"ok": True, "id": link["id"]}
    await api.refused(404, "share.link.revoke", {"link_id": link["id"]}, as_=shared.owner)
    for path in (tile, file, f"{base}/stac", f"{base}/stac/search", f"{base}/tilejson.json", base):
        assert (await shared.get(path)).status_code == 404
    for op, more in (
        ("share.link.validate", {}),
        ("share.tilejson", {}),
        ("share.tile.render", {"z": 0, "x": 0, "y": 0}),
    ):
        await api.refused(404, op, {**redeemed, **more})
    events = api.sql("select type from event where entity_id = %s order by created_at", link["id"])
    assert [e["type"] for e in events] == ["share.created", "share.revoked"]
    assert (await api.ok("share.link.list", as_=stranger))["share_links"] == []


async def test_an_expired_link_says_so_to_who_knows_the_password(shared):
    api = shared.api
    link = await shared.link()
    redeemed = {"token": link["token"], "password": PASSWORD}
    tile = (await api.ok("share.tilejson", redeemed))["tiles"][0].format(z=0, x=0, y=0)
    api.sql("update share_link set expires_at = now() - interval '1 s' where id = %s", link["id"])
    await api.refused(403, "share.link.validate", {**redeemed, "password": "wrong one"})
    await api.refused(410, "share.link.validate", redeemed)
    share_access._known.clear()
    await api.refused(410, "share.link.validate", redeemed)
    assert (await api.client.get(tile)).status_code == 410
    assert (await shared.get(f"/share/{link['token']}/stac")).status_code == 410
    [row] = api.sql("select tried_at, access_count from share_link where id = %s", link["id"])
    assert len(row["tried_at"]) == 1 and row["access_count"] == 1


async def test_what_cannot_be_shared(shared):
    api, owner = shared.api, shared.owner
    right = {"target_type": "item", "target_id": shared.item["id"], "password": PASSWORD}
    right["expires_at"] = soon()
    for wrong in (
        {"password": "short"},
        {"password": "x" * 1025},
        {"expires_at": soon(seconds=-1)},
        {"expires_at": "9999-12-31T23:59:59-12:00"},
        {"expires_at": "0001-01-01T00:00:00+14:00"},
        {"expires_at": "tomorrow"},
        {"expires_at": "2001-01-01T00:00:00"},
        {"target_type": "project"},
        {"permission": "edit"},
        {"expires_at": None},
        {"expires_at": 1e300},
    ):
        await api.refused(422, "share.link.create", {**right, **wrong}, as_=owner)
    stranger = await api.organization()
    for who, status in (
        (stranger, 404),
        (await api.member(owner, "member"), 403),
        (await api.member(owner, "viewer"), 403),
    ):
        await api.refused(status, "share.link.create", right, as_=who)
    for target in ("it_missing", "", "\x00", shared.collection):
        answer = await api.call("share.link.create", {**right, "target_id": target}, as_=owner)
        assert answer.status_code in (404, 422) and answer.status_code != 500
    await api.refused(401, "share.link.create", right)
    reader = await api.key(owner, "*:read")
    await api.refused(403, "share.link.create", right, as_=reader)
    sharer = await api.key(owner, "shares:*")
    assert (await api.ok("share.link.create", right, as_=sharer))["created_by"] is None
    # the same key of idempotency gives the same token
    first = await api.ok("share.link.create", right, as_=owner, key="k1")
    assert await api.ok("share.link.create", right, as_=owner, key="k1") == first


async def test_what_was_deleted_or_moved_is_shared_no_more(shared):
    api = shared.api
    link, other = await shared.link(), await shared.link(shared.beside["id"])
    right = {"token": link["token"], "password": PASSWORD}
    moved = {"token": other["token"], "password": PASSWORD}
    tile = (await api.ok("share.tilejson", right))["tiles"][0].format(z=0, x=0, y=0)
    await api.ok("items.delete", {"item_id": shared.item["id"]}, as_=shared.owner)
    elsewhere = await api.project(shared.owner, "Elsewhere")
    api.sql("update item set project_id = %s where id = %s", elsewhere, shared.beside["id"])
    assert (await api.client.get(tile)).status_code == 404
    for redeemed in (right, moved):
        for op, more in (("share.tilejson", {}), ("share.tile.render", {"z": 0, "x": 0, "y": 0})):
            await api.refused(404, op, {**redeemed, **more})
    await api.refused(404, "share.link.validate", right)
    await api.ok("projects.delete", {"project_id": shared.project}, as_=shared.owner)
    await api.refused(404, "share.link.validate", moved)


@pytest.mark.usefixtures("full_passwords")
async def test_ten_wrong_passwords_are_the_end_of_guessing_for_a_while(shared):
    api = shared.api
    link, other = await shared.link(), await shared.link()
    guess = {"token": link["token"], "password": "a wrong guess"}
    answers = await asyncio.gather(*(api.call("share.link.validate", guess) for _ in range(30)))
    statuses = [a.status_code for a in answers]
    assert statuses.count(403) == 10 and statuses.count(429) == 20
    right = {**guess, "password": PASSWORD}
    problem = await api.call("share.link.validate", right)
    assert problem.status_code == 429 and 0 < int(problem.headers["retry-after"]) <= 900
    base = f"/share/{link['token']}"
    for path in (base, f"{base}/stac", f"{base}/tilejson.json", f"{base}/tiles/0/0/0.png"):
        assert (await shared.get(path)).status_code == 429
    assert (await api.call("share.link.validate", {**right, "token": other["token"]})).is_success
    api.sql(
        "update share_link set tried_at = array(select t - interval '15 minutes'"
        " from unnest(tried_at) t) where id = %s",
        link["id"],
    )
    assert (await api.call("share.link.validate", right)).is_success


@pytest.mark.usefixtures("full_passwords")
async def test_tries_are_counted_by_all_processes_together(
    shared, platform_on, dsn, tmp_path_factory
):
    link = await shared.link()
    guess = {"token": link["token"], "password": "a wrong guess"}
    async with platform_on(dsn, tmp_path_factory.mktemp("two"), "gateway") as second:
        calls = [
            process.call("share.link.validate", {**guess, "password": f"wrong {n}"})
            for n in range(10)
            for process in (shared.api, second)
        ]
        statuses = [a.status_code for a in await asyncio.gather(*calls)]
    assert sorted(statuses) == [403] * 10 + [429] * 10


@pytest.mark.usefixtures("full_passwords")
async def test_right_passwords_use_up_no_tries(shared):
    link = await shared.link()
    right = {"token": link["token"], "password": PASSWORD}
    for _ in range(2):
        share_access._known.clear()
        answers = await asyncio.gather(
            *(shared.api.call("share.link.validate", right) for _ in range(25))
        )
        assert {a.status_code for a in answers} == {200}
    [row] = shared.api.sql(
        "select tried_at, access_count from share_link where id = %s", link["id"]
    )
    assert row == {"tried_at": [], "access_count": 50}


async def test_a_key_opens_its_own_link_for_its_time(shared, monkeypatch):
    api = shared.api
    mine, other = await shared.link(), await shared.link()
    right = {"token": mine["token"], "password": PASSWORD}
    tile = (await api.ok("share.tilejson", right))["tiles"][0].format(z=0, x=0, y=0)
    key = tile.partition("key=")[2]
    assert (await api.client.get(tile)).status_code == 200
    assert (await api.client.get(tile.replace(mine["token"], other["token"]))).status_code == 403
    ends = key.split("_")[1]
    for forged in (
        key[:-1],
        key + "0",
        key.replace(ends, str(int(ends) + 60)),
        "st_",
        "st__",
        "sx__",
        "x",
        "st_999999999999_ä",
        "sx_999999999999_ä",
        "tt_" + key[3:],
        "st_" + key[3:],
        "st_½_x",
        key.removeprefix("sx_"),
    ):
        answer = await api.client.get(tile.partition("key=")[0] + "key=" + forged)
        assert answer.status_code == 403, forged
    monkeypatch.setattr(share_access, "expiry", lambda now: int(now) - 1)
    old = (await api.ok("share.tilejson", right))["tiles"][0].format(z=0, x=0, y=0)
    assert (await api.client.get(old)).status_code == 403


async def test_a_key_of_tiles_opens_tiles_alone(shared):
    api = shared.api
    for link in (
        await shared.link(permission="download"),
        await shared.link(shared.collection, "collection", permission="download"),
    ):
        base, get = f"/share/{link['token']}", api.client.get
        told = (await shared.get(base)).json()["target"]
        feature = told if link["target_type"] == "item" else told["items"][0]
        maps = {one["rel"]: one["href"] for one in feature["links"]}
        file = feature["assets"]["data"]["href"]
        for address in (maps["xyz"], maps["tilejson"]):
            key = address.partition("key=")[2]
            assert (await get(address.format(z=0, x=0, y=0))).status_code == 200
            asset = file.partition("?")[0].removeprefix("http://testserver")
            for path in ("", "/stac", "/stac/collections", "/stac/search", "/stac/conformance"):
                assert (await get(f"{base}{path}?key={key}")).status_code == 403, path
            assert (await get(f"{asset}?key={key}")).status_code == 403
        # what its TileJSON leads to is of its kind
        [tiles] = (await get(maps["tilejson"])).json()["tiles"]
        assert tiles.partition("key=")[2] == maps["xyz"].partition("key=")[2]
        assert (await get(file)).status_code == 200


async def test_no_key_makes_one_that_lives_longer(shared, monkeypatch):
    api = shared.api
    link = await shared.link(permission="download")
    base = f"/share/{link['token']}"
    file = (await shared.get(base)).json()["target"]["assets"]["data"]["href"]
    key = file.partition("key=")[2]
    later = share_access.expiry
    monkeypatch.setattr(share_access, "expiry", lambda now: later(now) + 3000)
    texts = []
    for path in ("", "/stac", "/stac/collections", "/stac/search", "/tilejson.json"):
        answer = await api.client.get(f"{base}{path}?key={key}")
        assert answer.status_code == 200
        texts.append(answer.text)
    found = set(re.findall(r"[.=](?:st|sx)_([0-9]+)_", "".join(texts)))
    assert found == {key.split("_")[1]}
    fresh = (await shared.get(base)).text  # who knows the password has another hour
    assert re.findall(r"key=st_([0-9]+)_", fresh) != [key.split("_")[1]]


async def test_a_collection_is_shared_as_it_grows(shared, catalogue):
    api = shared.api
    link = await shared.link(shared.collection, "collection", permission="download")
    right = {"token": link["token"], "password": PASSWORD}
    target = (await api.ok("share.link.validate", right))["target"]
    assert target["collection"]["title"] == "Fields"
    [one] = target["items"]
    maps = {link["rel"]: link["href"] for link in one["links"]}
    assert (await api.client.get(maps["tilejson"])).json()["tilejson"] == "3.0.0"
    assert (await api.client.get(maps["xyz"].format(z=0, x=0, y=0))).status_code == 200
    assert [f["properties"]["opstac:id"] for f in target["items"]] == [shared.item["id"]]
    later, _ = await catalogue.scene(shared.owner, shared.project, collection_id=shared.collection)
    target = (await api.ok("share.link.validate", right))["target"]
    assert {f["properties"]["opstac:id"] for f in target["items"]} == {
        shared.item["id"],
        later["id"],
    }
    assert shared.beside["id"] not in json.dumps(target)
    await api.refused(422, "share.tilejson", right)
    await api.refused(404, "share.tilejson", {**right, "item_id": shared.beside["id"]})
    document = await api.ok("share.tilejson", {**right, "item_id": later["id"]})
    url = document["tiles"][0].format(z=0, x=0, y=0)
    assert (await api.client.get(url)).status_code == 200
    assert (await api.client.get(url.replace(later["id"], shared.beside["id"]))).status_code == 404
    # what leaves the collection is shared no more
    api.sql("update item set collection_id = null where id = %s", later["id"])
    assert (await api.client.get(url)).status_code == 404
    gone = {"collection_id": shared.collection, "project_id": shared.project}
    await api.ok("collections.delete", gone, as_=shared.owner)
    await api.refused(404, "share.link.validate", right)


async def test_files_are_led_to_and_counted_for_who_shares_them(shared):
    api = shared.api
    link = await shared.link(permission="download")
    look = await shared.link()
    target = (await shared.get(f"/share/{link['token']}")).json()["target"]
    file = target["assets"]["data"]["href"]
    assert file.startswith(f"http://testserver/share/{link['token']}/assets/as_")
    whole = await api.client.get(file)
    assert whole.status_code == 200 and whole.content[:2] == b"II"
    assert "attachment" in whole.headers["content-disposition"]
    bare = file.partition("?")[0]
    part = await shared.get(bare, Range="bytes=2-5")
    assert (part.status_code, part.content) == (206, whole.content[2:6])
    assert (await shared.get(bare, Range="bytes=99999999-")).status_code == 416
    assert (await api.client.head(file)).headers["content-length"] == str(len(whole.content))
    assert (await api.client.get(bare)).status_code == 403
    asset = file.rpartition("/")[2].partition("?")[0]
    assert (await shared.get(f"/share/{look['token']}/assets/{asset}")).status_code == 403
    [beside] = api.sql("select id from asset where item_id = %s limit 1", shared.beside["id"])
    for other in (beside["id"], "as_no", "%00"):
        answer = await shared.get(f"/share/{link['token']}/assets/{other}")
        assert answer.status_code == 404, other
    body = {"organization_id": shared.owner.organization_id}
    for _ in range(100):
        used = await api.ok("usage.current", body, as_=shared.owner)
        if used["egress_bytes"] == len(whole.content) + 4:
            break
        await asyncio.sleep(0.02)
    assert used["egress_bytes"] == target["assets"]["data"]["file:size"] + 4
    # tiles count for who shares too, by whatever door
    tile = {"token": link["token"], "password": PASSWORD, "z": 0, "x": 0, "y": 0}
    assert (await api.call("share.tile.render", tile)).status_code == 200
    assert (await shared.get(f"/share/{link['token']}/tiles/0/0/0.webp")).status_code == 200
    assert (await shared.get(f"/share/{link['token']}/tiles/0/5/0.webp")).status_code == 404
    for _ in range(100):
        used = await api.ok("usage.current", body, as_=shared.owner)
        if used["tile_requests"] >= 2:
            break
        await asyncio.sleep(0.02)
    assert used["tile_requests"] == 2
    # nothing is sent any more, whatever address it led to before
    await api.ok("share.link.revoke", {"link_id": link["id"]}, as_=shared.owner)
    for headers in ({}, {"Range": "bytes=0-1"}):
        assert (await api.client.get(file, headers=headers)).status_code == 404


async def test_the_password_comes_as_clients_send_it(shared):
    link = await shared.link(password="pässwörd ☃ long")
    base, word = f"/share/{link['token']}", "pässwörd ☃ long"
    basic = base64.b64encode(f"any:{word}".encode()).decode()
    client = shared.api.client
    for headers, query in (
        ({"X-Share-Password": word.encode()}, {}),
        ({"Authorization": f"Basic {basic}"}, {}),
        ({}, {"password": word}),
    ):
        answer = await client.get(base, headers=headers, params=query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["referrer-policy"] == "no-referrer"
    for headers in (
        {},
        {"Authorization": "Basic !"},
        {"Authorization": "Basic"},
        {"X-Share-Password": b"\xff"},
    ):
        assert (await client.get(base, headers=headers)).status_code == 403
    asked = await client.options(f"{base}/stac/search")
    assert (
        asked.status_code == 204
        and "X-Share-Password" in asked.headers["access-control-allow-headers"]
    )


async def test_hostile_addresses(shared):
    link = await shared.link(permission="download")
    base = f"/share/{link['token']}"
    for path in (
        "/tiles/x/0/0.png",
        "/tiles/0/0/0.exe",
        "/tiles/-1/0/0.png",
        f"/tiles/{10**30}/0/0.png",
        "/tiles/0/0/0.png?profile=%00",
        "/items/%00/tiles/0/0/0.png",
        "/items/..%2f/tilejson.json",
        "/stac/collections/%00",
        "/stac/collections/x/items/y",
        "/stac/collections/shared/items/%00",
        "/stac/search?limit=x",
        "/stac/search?bbox=1",
        "/stac/search?filter=(((",
        "/stac/search?token=x",
        "/stac/search?ids=%00",
        "/nothing",
        "/assets/..%2f..%2fetc",
    ):
        answer = await shared.get(base + path)
        assert 400 <= answer.status_code < 500, (path, answer.status_code)
        assert answer.headers["content-type"] == "application/problem+json"
    for token in ("%00", "..", "x" * 3000, "%F0%9F%92%A9"):
        assert (await shared.get(f"/share/{token}/stac")).status_code in (404, 405)
    for body in (b"[]", b"{", b'{"limit": 0}', b'{"ids": 5}', b'"x"', b"\xff"):
        answer = await shared.api.client.post(
            f"{base}/stac/search", content=body, headers={"X-Share-Password": PASSWORD}
        )
        assert 400 <= answer.status_code < 500, body


# ---------------------------------------------------------------- as a STAC API


async def test_the_stac_root_shows_what_is_shared_and_nothing_else(shared, catalogue):
    alone, many = await shared.link(), await shared.link(shared.collection, "collection")
    for _ in range(4):
        await catalogue.scene(shared.owner, shared.project, collection_id=shared.collection)
    item = shared.item["id"]
    for link, count in ((alone, 1), (many, 5)):
        root = f"/share/{link['token']}/stac"
        landing = (await shared.get(root)).json()
        assert landing["type"] == "Catalog" and landing["conformsTo"]
        assert link["token"] in landing["links"][0]["href"] and "key=" not in json.dumps(landing)
        [collection] = (await shared.get(f"{root}/collections")).json()["collections"]
        listed = (await shared.get(f"{root}/collections/{collection['id']}/items?limit=100")).json()
        assert listed["numberReturned"] == count
        texts = [landing, collection, listed]
        for path in (
            "search?limit=100",
            f"search?ids={item}",
            f"search?collections={collection['id']}",
            "search?bbox=-180,-90,180,90&sortby=-datetime",
        ):
            found = (await shared.get(f"{root}/{path}")).json()
            assert found["numberReturned"] == (1 if "ids" in path else min(count, 10)), path
            texts.append(found)
        other = shared.beside["id"]
        for path in (
            f"search?ids={other}",
            "search?collections=other",
            f"search?collections={shared.project}",
            "search?datetime=1990-01-01T00:00:00Z",
        ):
            assert (await shared.get(f"{root}/{path}")).json()["numberReturned"] == 0, path
        one = await shared.get(f"{root}/collections/{collection['id']}/items/{item}")
        assert one.json()["properties"]["opstac:id"] == item
        for name in ("", "properties.", "properties.properties."):
            private = f"{name}opstac:project"
            like = {"op": "like", "args": [{"property": private}, "proj_%"]}
            for asked in (
                {"filter": like},
                {"filter": {"op": "not", "args": [like]}},
                {"query": {private: {"eq": shared.project}}},
                {"sortby": [{"field": private, "direction": "asc"}]},
            ):
                answer = await shared.api.client.post(
                    f"{root}/search", json=asked, headers={"X-Share-Password": PASSWORD}
                )
                assert answer.status_code == 422, (asked, answer.text)
            path = f"search?filter=\"{private}\"='{shared.project}'"
            assert (await shared.get(f"{root}/{path}")).status_code == 422, path
        # the collection of an item that is shared alone is not told either
        path = "search?filter=collection='other'"
        assert (await shared.get(f"{root}/{path}")).status_code == (422 if count == 1 else 200)
        for path in (
            f"collections/{collection['id']}/items/{other}",
            f"collections/{shared.project}",
            "collections/other/items",
        ):
            assert (await shared.get(f"{root}/{path}")).status_code == 404, path
        told = json.dumps(texts)
        for private in (other, shared.project, shared.owner.organization_id, "/v2/assets/"):
            assert private not in told, private
    # pages lead on, in the way that they were opened
    page = (await shared.get(f"/share/{many['token']}/stac/search?limit=2")).json()
    seen = []
    for _ in range(5):
        seen += [f["properties"]["opstac:id"] for f in page["features"]]
        following = [one for one in page["links"] if one["rel"] == "next"]
        if not following:
            break
        page = (await shared.get(following[0]["href"])).json()
    assert len(seen) == len(set(seen)) == 5
    # writes are not there
    assert (
        await shared.api.client.post(f"/share/{many['token']}/stac/collections")
    ).status_code == 405


async def test_pystac_client_opens_a_link(live, dsn):
    from pathlib import Path

    api = live
    owner = await api.organization()
    project = await api.project(owner)
    raster = Path(__file__).parents[1] / "data" / "rasters" / "s2-flanders_2021-06_10m.tif"
    body = {"project_id": project, "total_bytes": raster.stat().st_size}
    session = await api.ok("uploads.initiate", body, as_=owner)
    place = {"upload_id": session["id"], "file_name": "scene.tif"}
    url = (await api.ok("uploads.signed_url", place, as_=owner))["upload_url"]
    await api.client.put(url, content=raster.read_bytes())
    done = {"upload_id": session["id"], "datetime": "2021-06-01T00:00:00Z"}
    item = (await api.ok("uploads.complete", done, as_=owner))["items"][0]["id"]
    body = {
        "target_type": "item",
        "target_id": item,
        "password": PASSWORD,
        "expires_at": soon(),
        "permission": "download",
    }
    link = await api.ok("share.link.create", body, as_=owner)
    root = f"{api.client.base_url}/share/{link['token']}/stac".replace("//share", "/share")

    def read(address, **how):
        client = pystac_client.Client.open(address, **how)
        found = list(client.search(max_items=10).items())
        walked = [i for c in client.get_collections() for i in c.get_items()]
        by_post = list(client.search(method="POST", ids=[item]).items())
        return found, walked, by_post

    for address, how in (
        (root, {"headers": {"X-Share-Password": PASSWORD}}),
        (f"{root}?password={PASSWORD}", {}),
    ):
        for items in await asyncio.to_thread(read, address, **how):
            assert [i.properties["opstac:id"] for i in items] == [item]
        href = items[0].assets["data"].href
        assert (await api.client.get(href)).content[:2] == b"II"

    def read_pixels():
        fresh = rasterio.Env(CPL_VSIL_CURL_NON_CACHED="/vsicurl/")
        with fresh, rasterio.open(f"/vsicurl/{href}") as source:
            return source.read(1, window=((0, 4), (0, 4))).shape

    assert await asyncio.to_thread(read_pixels) == (4, 4)
    await api.ok("share.link.revoke", {"link_id": link["id"]}, as_=owner)
    with pytest.raises(rasterio.errors.RasterioIOError):
        await asyncio.to_thread(read_pixels)
