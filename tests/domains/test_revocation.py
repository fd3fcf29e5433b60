"""What was signed for a key, a member or a share link opens nothing once they are gone.

Proven with what people open it with: GDAL, odc-stac and a plain GET.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
import rasterio

from db import signing
from ops_gateway.kernel import holders
from ops_gateway.kernel.authenticate import issue_session
from ops_gateway.kernel.context import Principal
from tiler.tokens import sign_tile_token


@dataclass
class Scene:
    """An item in a collection, and who owns it."""

    owner: object
    project: str
    collection: str
    item: str
    asset: str
    zxy: str


@pytest.fixture
def api(live):
    """The platform on a port: GDAL and odc-stac are clients of it."""
    return live


@pytest.fixture
async def scene(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    made = await api.ok("collections.create", {"name": "stac", "project_id": project}, as_=owner)
    item, assets = await catalogue.scene(
        owner, project, collection_id=made["id"], datetime="2025-01-15T00:00:00Z"
    )
    document = await api.client.get(
        f"/api/v1/items/{item['id']}/tiles/tilejson.json",
        headers={"Authorization": f"Bearer {owner.token}"},
    )
    west, north, zoom = (*document.json()["center"][:2], int(document.json()["minzoom"]))
    zxy = tile_at(west, north, zoom)
    return Scene(owner, project, made["id"], item["id"], assets[0]["id"], zxy)


def tile_at(longitude: float, latitude: float, zoom: int) -> str:
    """The Web Mercator tile that a place is in."""
    import math

    n = 2**zoom
    y = (1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2
    return f"{zoom}/{int((longitude + 180) / 360 * n)}/{int(y * n)}"


async def addresses(api, scene, person) -> dict[str, str]:
    """Everything that is signed for a caller: name → URL that needs no header."""
    headers = {"Authorization": f"Bearer {person.token}"}
    found = {}
    body = {"item_id": scene.item, "asset_id": scene.asset}
    found["download"] = (await api.ok("items.asset.download", body, as_=person))["url"]
    hop = await api.client.get(f"/v2/assets/{scene.asset}", headers=headers)
    found["redirect"] = hop.headers["location"]
    own = f"items/{scene.item}"
    for name, what in (("tiles", own), ("mosaic", f"collections/{scene.collection}")):
        document = await api.client.get(f"/api/v1/{what}/tiles/tilejson.json", headers=headers)
        template = document.json()["tiles"][0]
        z, x, y = scene.zxy.split("/")
        found[name] = template.replace("{z}", z).replace("{x}", x).replace("{y}", y)
    body = {"item_id": scene.item, "base_url": str(api.client.base_url)}
    wmts = await api.call("items.tile.wmts_capabilities", body, as_=person)
    key = re.search(r"key=(tt_[A-Za-z0-9_-]+)", wmts.text)
    assert key is not None
    base = urlsplit(found["tiles"])
    found["wmts"] = f"{base.scheme}://{base.netloc}{base.path}?key={key[1]}"
    return found


async def statuses(api, urls, **headers) -> dict[str, int]:
    return {
        name: (await api.client.get(url, headers=headers)).status_code for name, url in urls.items()
    }


async def check(api, scene, person, revoke) -> None:
    """All of them open before `revoke` and none right after it, also with a condition."""
    urls = await addresses(api, scene, person)
    assert set((await statuses(api, urls)).values()) == {200}
    etags = {
        name: (await api.client.get(url)).headers.get("etag", "*") for name, url in urls.items()
    }
    await revoke()
    assert await statuses(api, urls) == {
        name: 403 if name in ("download", "redirect") else 401 for name in urls
    }
    for name, url in urls.items():
        again = await api.client.get(url, headers={"If-None-Match": etags[name]})
        assert again.status_code in (401, 403), (name, again.status_code)
        head = await api.client.head(url)
        assert head.status_code in (401, 403, 405), (name, head.status_code)


async def test_what_a_key_signed_ends_with_the_key(api, scene):
    key = await api.key(scene.owner, "items:read")
    [row] = (await api.ok("api_keys.list", as_=scene.owner))["api_keys"]

    async def revoke():
        await api.ok("api_keys.revoke", {"key_id": row["id"]}, as_=scene.owner)

    await check(api, scene, key, revoke)
    # the owner's own go on
    assert set((await statuses(api, await addresses(api, scene, scene.owner))).values()) == {200}


async def test_an_address_to_upload_to_ends_with_who_was_given_it(api, scene):
    member = await api.member(scene.owner, "member")
    body = {"project_id": scene.project, "user_id": member.user_id, "role": "editor"}
    await api.ok("projects.add_member", body, as_=scene.owner)
    key = await api.key(scene.owner, "uploads:*")
    [row] = (await api.ok("api_keys.list", as_=scene.owner))["api_keys"]

    async def address(as_):
        session = await api.ok("uploads.initiate", {"project_id": scene.project}, as_=as_)
        place = {"upload_id": session["id"], "file_name": "a.tif"}
        return (await api.ok("uploads.signed_url", place, as_=as_))["upload_url"]

    urls = {"key": await address(key), "member": await address(member)}
    owners = await address(scene.owner)
    for url in urls.values():
        piece = {"Content-Range": "bytes 0-3/8"}
        assert (await api.client.put(url, content=b"II*\0", headers=piece)).status_code == 200
    await api.ok("api_keys.revoke", {"key_id": row["id"]}, as_=scene.owner)
    body = {"project_id": scene.project, "user_id": member.user_id}
    await api.ok("projects.remove_member", body, as_=scene.owner)
    for name, url in urls.items():
        piece = {"Content-Range": "bytes 4-7/8"}
        assert (await api.client.put(url, content=b"more", headers=piece)).status_code == 403, name
        assert (await api.client.head(url)).status_code == 403, name
    assert (await api.client.put(owners, content=b"II*\0")).status_code == 201


async def test_what_a_key_signed_ends_at_its_expiry(api, scene):
    key = await api.key(scene.owner, "items:read")

    async def expire():
        api.sql(
            "update api_key set expires_at = now() where organization_id = %s",
            scene.owner.organization_id,
        )

    await check(api, scene, key, expire)


async def member_of_project(api, scene, role="member"):
    member = await api.member(scene.owner, role)
    body = {"user_id": member.user_id, "project_id": scene.project, "role": "viewer"}
    await api.ok("projects.add_member", body, as_=scene.owner)
    return member


async def test_what_a_member_signed_ends_when_they_are_removed(api, scene):
    member = await member_of_project(api, scene)

    async def remove():
        body = {"user_id": member.user_id}
        await api.ok("organizations.members.remove", body, as_=scene.owner)

    await check(api, scene, member, remove)


async def test_what_a_member_signed_ends_when_they_leave_the_project(api, scene):
    member = await member_of_project(api, scene)

    async def leave():
        body = {"user_id": member.user_id, "project_id": scene.project}
        await api.ok("projects.remove_member", body, as_=scene.owner)

    await check(api, scene, member, leave)


async def test_what_an_admin_signed_ends_when_they_are_no_admin_any_more(api, scene):
    admin = await api.member(scene.owner, "admin")

    async def demote():
        body = {"user_id": admin.user_id, "role": "member"}
        await api.ok("organizations.members.update", body, as_=scene.owner)

    await check(api, scene, admin, demote)


async def test_what_a_disabled_person_signed_ends(api, scene):
    admin = await api.member(scene.owner, "admin")

    async def disable():
        api.sql("update app_user set disabled_at = now() where id = %s", admin.user_id)

    await check(api, scene, admin, disable)


async def test_a_share_link_ends_everywhere_at_once(api, scene):
    body = {
        "target_type": "item",
        "target_id": scene.item,
        "password": "correct horse",
        "expires_at": "2032-01-01T00:00:00Z",
        "permission": "download",
    }
    link = await api.ok("share.link.create", body, as_=scene.owner)
    base, opens = f"/share/{link['token']}", {"X-Share-Password": "correct horse"}
    document = (await api.client.get(f"{base}/tilejson.json", headers=opens)).json()
    z, x, y = scene.zxy.split("/")
    tile = document["tiles"][0].replace("{z}", z).replace("{x}", x).replace("{y}", y)
    shown = (await api.client.get(f"{base}/stac/search?password=correct%20horse")).json()
    file = shown["features"][0]["assets"]["data"]["href"]
    urls = {"tile": tile, "file": file, "page": f"{base}?password=correct%20horse"}
    assert set((await statuses(api, urls)).values()) == {200}
    await api.ok("share.link.revoke", {"link_id": link["id"]}, as_=scene.owner)
    assert set((await statuses(api, urls)).values()) == {404}
    assert set((await statuses(api, urls, Range="bytes=0-3")).values()) == {404}


FRESH = {
    "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": "0",
    "VSI_CACHE": "FALSE",
}


def pixels(url: str, between: Callable[[], None] = lambda: None) -> int:
    """What GDAL reads of a file behind a URL; `between` is called with the file open."""
    with rasterio.Env(**FRESH), rasterio.open(f"/vsicurl/{url}") as source:
        between()
        return int(source.read().astype("int64").sum())


async def test_gdal_reads_a_signed_file_until_its_key_is_revoked(api, scene):
    key = await api.key(scene.owner, "items:read")
    url = (await addresses(api, scene, key))["download"]
    assert await asyncio.to_thread(pixels, url) > 0
    [row] = (await api.ok("api_keys.list", as_=scene.owner))["api_keys"]
    loop = asyncio.get_running_loop()

    def revoke() -> None:
        revoking = api.ok("api_keys.revoke", {"key_id": row["id"]}, as_=scene.owner)
        asyncio.run_coroutine_threadsafe(revoking, loop).result(30)

    # with the file open it asks for each range again
    for between in (revoke, lambda: None):
        with pytest.raises(rasterio.errors.RasterioIOError):
            await asyncio.to_thread(pixels, url, between)


ODC = """
import json, sys, warnings
warnings.simplefilter("ignore")
import httpx, odc.stac, pystac_client
base, token = sys.argv[1:]
headers = {"Authorization": f"Bearer {token}"}
catalog = pystac_client.Client.open(base + "/assets/stac", headers=headers)
items = list(catalog.search(max_items=5).items())
signed = {}
def sign(href):
    if href not in signed:
        answer = httpx.post(href + "/download-url", headers=headers)
        signed[href] = answer.raise_for_status().json()["url"]
    return signed[href]
def load():
    try:
        found = odc.stac.load(
            items, patch_url=sign, resolution=200, crs="EPSG:32631", fail_on_error=True
        )
        return int(sum(abs(found[name].astype("int64")).sum() for name in found.data_vars))
    except Exception as error:
        return repr(error)[:300]
for _ in sys.stdin:
    print(json.dumps(load()), flush=True)
"""


async def test_odc_stac_loads_by_signed_urls_until_the_key_is_revoked(api, scene):
    key = await api.key(scene.owner, "items:read")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", ODC, str(api.client.base_url).rstrip("/"), key.token,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={"PATH": "", "CPL_VSIL_CURL_NON_CACHED": "/vsicurl/", "VSI_CACHE": "FALSE"},
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(b"load\n")
        first = json.loads(await asyncio.wait_for(process.stdout.readline(), 120))
        assert isinstance(first, int) and first > 0, first
        [row] = (await api.ok("api_keys.list", as_=scene.owner))["api_keys"]
        await api.ok("api_keys.revoke", {"key_id": row["id"]}, as_=scene.owner)
        # the addresses that it has, within their quarter of an hour
        process.stdin.write(b"load\n")
        second = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
        assert isinstance(second, str), second
    finally:
        process.kill()
        await process.wait()


async def test_a_holder_is_part_of_what_is_signed(api, scene):
    """Nobody takes it out, gives it another name or puts the payer in its place."""
    key = await api.key(scene.owner, "items:read")
    url = (await addresses(api, scene, key))["redirect"]
    [row] = (await api.ok("api_keys.list", as_=scene.owner))["api_keys"]
    given = re.search(r"for=([^&]+)", url)
    payer = re.search(r"payer=([^&]+)", url)
    assert given is not None and payer is not None
    for forged in (
        url.replace(f"for={given[1]}&", ""),
        url.replace(f"for={given[1]}", "for="),
        url.replace(f"for={given[1]}", f"for={payer[1]}"),
        url.replace("for=", "FOR="),
        url.replace(f"payer={payer[1]}&for={given[1]}", f"payer={given[1]}"),
        url.replace("sig=", "for=AA&sig="),
        f"{url}&for={given[1]}",
    ):
        assert (await api.client.get(forged)).status_code == 403, forged
    # another order is the same right, and ends with the key as well
    path, _, query = url.partition("?")
    turned = path + "?" + "&".join(reversed(query.split("&")))
    assert (await api.client.get(turned)).status_code == 200
    await api.ok("api_keys.revoke", {"key_id": row["id"]}, as_=scene.owner)
    assert (await api.client.get(turned)).status_code == 403


async def test_what_nobody_holds_ends_by_its_time_alone(api, scene):
    """Tokens and addresses of before there were holders, and those of runs of jobs."""
    platform = api.platform
    token = sign_tile_token(
        platform.keys.tile.private_bytes(),
        scene.item,
        organization_id=scene.owner.organization_id,
        expires_at=int(time.time()) + 60,
    )
    tile = f"/api/v1/items/{scene.item}/tiles/{scene.zxy}.png?key={token}"
    assert (await api.client.get(tile)).status_code == 200
    [row] = api.sql("select object_path from asset where id = %s", scene.asset)
    grant = signing.Grant("get", row["object_path"], int(time.time()) + 60)
    query = signing.sign(grant, platform.keys.storage)
    assert (await api.client.get(f"/storage/{row['object_path']}?{query}")).status_code == 200
    worker = Principal(kind="worker", id="worker:job_x", organization_id="org_x")
    assert holders.label(worker, None) is None and holders.holder_of(worker) == ""


async def test_a_holder_of_another_organization_opens_nothing(api, scene):
    other = await api.organization("Other")
    key = await api.key(other, "items:read")
    [row] = (await api.ok("api_keys.list", as_=other))["api_keys"]
    for holder in (row["id"], other.user_id, "key_unknown"):
        token = sign_tile_token(
            api.platform.keys.tile.private_bytes(),
            scene.item,
            organization_id=scene.owner.organization_id,
            expires_at=int(time.time()) + 60,
            holder=holder,
        )
        tile = f"/api/v1/items/{scene.item}/tiles/{scene.zxy}.png?key={token}"
        assert (await api.client.get(tile)).status_code == 401
        # nor is told what rasters there are
        told = await api.client.get(f"{tile}&asset_key=none")
        assert told.status_code == 401 and "data" not in told.text
    assert key.token


async def test_a_token_of_a_signed_out_person_that_was_not_used_signs_nothing(api, scene):
    """A session's end is the end of signing; what was signed before goes on for its time."""
    stale = issue_session(
        api.platform.keys, api.platform.settings.issuer, scene.owner.user_id, seconds=-60
    )
    answer = await api.client.get(
        f"/v2/assets/{scene.asset}", headers={"Authorization": f"Bearer {stale}"}
    )
    assert answer.status_code == 401


@pytest.fixture
async def in_bucket(dsn, tmp_path, platform_on, bucket):
    """The platform with its files in a bucket."""
    async with platform_on(dsn, tmp_path, storage="s3://bucket/prefix") as api:
        yield api


async def test_an_address_of_the_buckets_own_holds_for_a_minute(in_bucket, catalogue):
    """It cannot be taken back, so it is the end of a way that asks, and not what is given out."""
    api, get = in_bucket, in_bucket.client.get
    owner = await api.organization()
    made, [asset] = await type(catalogue)(api).scene(owner, await api.project(owner))
    key = await api.key(owner, "items:read")
    body = {"item_id": made["id"], "asset_id": asset["id"]}
    url = (await api.ok("items.asset.download", body, as_=key))["url"]
    assert url.startswith("http://testserver/storage/")
    hop = await get(url)
    assert hop.status_code == 302 and hop.headers["cache-control"] == "private, no-store"
    assert "X-Amz-Expires=60&" in hop.headers["location"] + "&"
    head = await api.client.head(url)
    assert head.status_code == 200 and int(head.headers["content-length"]) == asset["size_bytes"]
    headers = {"Authorization": f"Bearer {key.token}"}
    hop = await get(f"/v2/assets/{asset['id']}", headers=headers)
    assert hop.status_code == 302 and "X-Amz-Expires=60&" in hop.headers["location"] + "&"
    [row] = (await api.ok("api_keys.list", as_=owner))["api_keys"]
    await api.ok("api_keys.revoke", {"key_id": row["id"]}, as_=owner)
    assert (await get(url)).status_code == 403
    assert (await get(f"/v2/assets/{asset['id']}", headers=headers)).status_code == 401
