"""Searches, tiles and files: how many a minute, from where, and whose they are counted as."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from ops_gateway.kernel.services import Limits
from ops_gateway.surfaces.limits import network
from opstac import compose, journey

MANY = 10**6


@asynccontextmanager
async def limited(api, settings=None, **limits):
    """A platform on the same database with these limits, asked from an address of choice."""
    values = {"organization": MANY, "placement": MANY, "spend": MANY, "public": MANY}
    changed = replace(
        api.platform.settings, limits=Limits(**{**values, **limits}), **settings or {}
    )
    # within one window: begin where some of the minute is left
    while time.time() % 60 > 50:
        await asyncio.sleep(0.5)
    async with compose.embedded(changed) as platform:

        @asynccontextmanager
        async def at(address: str):
            transport = httpx.ASGITransport(
                platform.app, raise_app_exceptions=False, client=(address, 1)
            )
            async with httpx.AsyncClient(
                transport=transport, base_url="http://testserver"
            ) as client:
                yield client

        yield at


@pytest.fixture
async def published(api):
    """An owner, a public item with a file, and the file's asset."""
    owner = await api.organization()
    project = await api.project(owner)
    body = {"name": "Open", "slug": f"open-{project}", "project_id": project}
    collection = (await api.ok("collections.create", body, as_=owner))["id"]
    file = journey.SAMPLES / "s2-flanders_2021-04_10m.tif"
    begun = await api.ok(
        "uploads.initiate",
        {"project_id": project, "file_count": 1, "total_bytes": file.stat().st_size},
        as_=owner,
    )
    named = {"upload_id": begun["id"], "file_name": file.name, "content_type": "image/tiff"}
    link = await api.ok("uploads.signed_url", named, as_=owner)
    await api.client.put(
        link["upload_url"], content=file.read_bytes(), headers={"Content-Type": "image/tiff"}
    )
    body = {"upload_id": begun["id"], "collection_id": collection}
    done = await api.ok("uploads.complete", body, as_=owner)
    body = {"project_id": project, "collection_id": collection, "public": True}
    await api.ok("collections.update", body, as_=owner)
    return owner, done["items"][0]["id"], done["assets"][0]["id"], collection


def doors(item: str, asset: str) -> list[str]:
    return [
        "/assets/stac/search?limit=1",
        "/v2/assets/stac/collections?limit=1",
        f"/api/v1/items/{item}/preview.png",
        f"/v2/assets/{asset}",
    ]


async def test_without_a_credential_an_address_has_so_many_reads_a_minute(api, published):
    owner, item, asset, _ = published
    async with limited(api, public_reads=4) as at:
        async with at("192.0.2.1") as client:
            for path in doors(item, asset):
                assert (await client.get(path)).status_code in (200, 302), path
            for path in doors(item, asset):
                answer = await client.get(path)
                assert answer.status_code == 429, path
                assert answer.headers["content-type"] == "application/problem+json"
                assert 1 <= int(answer.headers["retry-after"]) <= 60
            assert (await client.options("/assets/stac/search")).status_code != 429
            # who can be told apart is not counted with whoever else is at the address
            mine = {"Authorization": f"Bearer {owner.token}"}
            for path in doors(item, asset):
                assert (await client.get(path, headers=mine)).status_code in (200, 302), path
        async with at("192.0.2.2") as client:
            assert (await client.get(doors(item, asset)[0])).status_code == 200


async def test_a_credential_has_the_limits_of_its_organization_and_key(api, published):
    owner, item, asset, _ = published
    other = await api.organization("Globex")
    async with limited(api, reads=4, public_reads=1) as at, at("192.0.2.1") as client:
        mine = {"Authorization": f"Bearer {owner.token}"}
        statuses = [
            (await client.get(path, headers=mine)).status_code for path in doors(item, asset) * 2
        ]
        assert statuses == [200, 200, 200, 302, 429, 429, 429, 429]
        theirs = {"Authorization": f"Bearer {other.token}"}
        assert (await client.get("/assets/stac/search", headers=theirs)).status_code == 200
    body = {"name": "few", "permissions": ["items:read"], "rate_limit": 2}
    key = await api.ok("api_keys.create", body, as_=owner)
    async with limited(api) as at, at("192.0.2.1") as client:
        asked = [
            (await client.get(path, headers={"X-API-Key": key["key"]})).status_code
            for path in doors(item, asset)
        ]
        assert asked == [200, 200, 429, 429]


async def test_a_write_by_the_transaction_extension_is_a_call_like_any_other(api, published):
    owner, *_, collection = published
    async with limited(api, organization=2) as at, at("192.0.2.1") as client:
        statuses = []
        for n in range(3):
            feature = {
                "type": "Feature", "stac_version": "1.0.0", "id": f"n{n}", "geometry": None,
                "properties": {"datetime": "2026-01-01T00:00:00Z"}, "links": [], "assets": {},
            }  # fmt: skip
            answer = await client.post(
                f"/assets/stac/collections/{collection}/items",
                json=feature,
                headers={"Authorization": f"Bearer {owner.token}"},
            )
            statuses.append(answer.status_code)
        assert statuses == [201, 201, 429], answer.text


async def test_behind_a_proxy_the_address_is_what_the_proxy_wrote_and_no_invention(api):
    trusting = limited(api, {"trusted_proxy": True}, public_reads=2)
    async with trusting as at, at("10.0.0.1") as proxy:
        statuses = []
        for invented in ("", "1.1.1.1, ", "2.2.2.2,3.3.3.3, ", "x, "):
            headers = {"X-Forwarded-For": f"{invented}198.51.100.7"}
            statuses.append((await proxy.get("/assets/stac", headers=headers)).status_code)
        assert statuses == [200, 200, 429, 429]
        for wrong in ("198.51.100.8", "nonsense"):  # another client; the proxy itself
            answer = await proxy.get("/assets/stac", headers={"X-Forwarded-For": wrong})
            assert answer.status_code == 200
    async with limited(api, public_reads=2) as at, at("10.0.0.1") as client:
        statuses = [
            (
                await client.get("/assets/stac", headers={"X-Forwarded-For": f"1.1.1.{n}"})
            ).status_code
            for n in range(3)
        ]
        assert statuses == [200, 200, 429]


def test_an_ipv6_customer_is_one_address():
    assert network("2001:db8:1:2::5") == network("2001:db8:1:2:ffff::9%eth0")
    assert network("2001:db8:1:2::5") != network("2001:db8:1:3::5")
    assert network("::ffff:192.0.2.1") == network("192.0.2.1") != network("192.0.2.2")
    assert network("") == "" and network("testclient") == "testclient"


async def test_what_anybody_reads_is_counted_as_its_owners(api, published):
    owner, item, asset, collection = published
    stranger = await api.organization("Globex")
    async with limited(api) as at, at("192.0.2.1") as client:
        for path in doors(item, asset):
            assert (await client.get(path)).status_code in (200, 302)
        for _ in range(2):
            found = await client.get(f"/assets/stac/search?collections={collection}")
            assert found.json()["numberReturned"] == 1
        nothing = {"collections": [collection], "ids": ["none"]}
        await client.post("/assets/stac/search", json=nothing)
        mine = {"Authorization": f"Bearer {owner.token}"}
        await client.get("/assets/stac/search", headers=mine)
    counted = {
        who.organization_id: {
            row["metric"]: row["value"]
            for row in api.sql(
                "select metric, value from usage_counter where organization_id = %s"
                " and metric in ('tile_requests', 'public_search_requests',"
                " 'public_file_requests')",
                who.organization_id,
            )
        }
        for who in (owner, stranger)
    }
    own = counted[owner.organization_id]
    assert own.pop("public_search_requests") in (2, 3)  # whether the first found it or another's
    assert own == {"tile_requests": 1, "public_file_requests": 1}
    assert counted[stranger.organization_id] == {}
