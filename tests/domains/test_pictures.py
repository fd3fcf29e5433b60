"""One asset, one picture: whichever route, operation or document leads to it."""

from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

Z = 14
NAMES = {"w": "http://www.opengis.net/wmts/1.0"}


@pytest.fixture
async def scene(api, catalogue):
    """(owner, headers, item id) of a Sentinel-2 scene of six named bands."""
    owner = await api.organization()
    item, _ = await catalogue.scene(owner, await api.project(owner))
    return owner, {"Authorization": f"Bearer {owner.token}"}, item["id"]


async def middle(api, owner, item_id):
    """x, y of the tile over the item's middle."""
    west, south, east, north = (await api.ok("items.get", {"item_id": item_id}, as_=owner))["item"][
        "bbox"
    ]
    longitude, latitude = (west + east) / 2, math.radians((south + north) / 2)
    x = int((longitude + 180) / 360 * 2**Z)
    return x, int((1 - math.asinh(math.tan(latitude)) / math.pi) / 2 * 2**Z)


async def op(api, owner, name, body):
    headers = {"Authorization": f"Bearer {owner.token}"}
    answer = await api.client.post(f"/v1/op/{name}", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.content


async def test_the_same_picture_everywhere(api, scene):
    owner, headers, item_id = scene
    x, y = await middle(api, owner, item_id)
    base = f"/api/v1/items/{item_id}"

    async def get(url, **sent):
        answer = await api.client.get(url, headers=sent)
        assert answer.status_code == 200, answer.text
        return answer.content

    tile = await get(f"{base}/tiles/{Z}/{x}/{y}.png", **headers)
    assert await get(f"{base}/tiles/WebMercatorQuad/{Z}/{x}/{y}.png", **headers) == tile

    document = await api.ok("items.tile.tilejson", {"item_id": item_id}, as_=owner)
    url = document["tiles"][0].format(z=Z, x=x, y=y)
    assert await get(url.replace(".webp?", ".png?")) == tile  # by its token alone
    webp = await get(url)
    routes = (await api.client.get(f"{base}/tiles/tilejson.json", headers=headers)).json()
    assert await get(routes["tiles"][0].format(z=Z, x=x, y=y)) == webp
    for name in ("bounds", "center", "minzoom", "maxzoom", "name"):
        assert routes[name] == document[name]

    place = {"item_id": item_id, "z": Z, "x": x, "y": y}
    assert await op(api, owner, "items.tile.render", {**place, "format": "png"}) == tile
    assert await op(api, owner, "items.tile.render", place) == webp
    assert await op(api, owner, "items.tile.wmts_get_tile", place) == tile
    reference = {"url": f"item://{item_id}/data", "z": Z, "x": x, "y": y, "format": "png"}
    cog = {**reference, "bands": "3,2,1"}  # a URL has no profile; the item's shows these
    assert await op(api, owner, "cog.tile.render", cog) == tile

    told = {"item_id": item_id, "base_url": "http://testserver"}
    root = ElementTree.fromstring(await op(api, owner, "items.tile.wmts_capabilities", told))
    template = root.find(".//w:ResourceURL[@format='image/png']", NAMES).get("template")
    for name, value in {"Style": "default", "TileMatrixSet": "WebMercatorQuad", "TileMatrix": Z,
                        "TileRow": y, "TileCol": x}.items():  # fmt: skip
        template = template.replace(f"{{{name}}}", str(value))
    assert await get(template) == tile

    profiles = await api.ok("visualization.profiles.list", {"item_id": item_id}, as_=owner)
    default = next(p for p in profiles["profiles"] if p["is_default"])
    assert [style.find("{*}Identifier").text for style in root.iterfind(".//w:Style", NAMES)] == [
        "default",
        *[p["id"] for p in profiles["profiles"]],
    ]
    by_style = template.replace("/default/", f"/{default['id']}/")
    assert await get(by_style) == tile

    thumbnail = await op(api, owner, "cog.thumbnail", {"url": f"item://{item_id}/data"})
    preview = await get(f"{base}/preview.jpg?max_size=256&quality=85&bands=3,2,1", **headers)
    assert preview == thumbnail


async def test_every_answer_can_be_kept_and_asked_for_again(api, scene):
    owner, headers, item_id = scene
    x, y = await middle(api, owner, item_id)
    for path in (
        f"tiles/{Z}/{x}/{y}.webp",
        f"tiles/WorldCRS84Quad/{Z}/0/0.npy",
        "tiles/tilejson.json",
        "preview.png",
        "info",
        "statistics",
        "wmts",
        "bbox/3,51,3.1,51.1.png",
    ):
        url = f"/api/v1/items/{item_id}/{path}"
        first = await api.client.get(url, headers=headers)
        assert first.status_code == 200, first.text
        assert first.headers["cache-control"].startswith("private")
        assert "Authorization" in first.headers["vary"]
        again = await api.client.get(
            url, headers={**headers, "If-None-Match": first.headers["etag"]}
        )
        assert (again.status_code, again.content) == (304, b""), path
        head = await api.client.head(url, headers=headers)
        assert (head.status_code, head.headers["etag"]) == (200, first.headers["etag"])
        stranger = await api.organization()
        foreign = {"Authorization": f"Bearer {stranger.token}"}
        for etag in (first.headers["etag"], "*"):
            answer = await api.client.get(url, headers={**foreign, "If-None-Match": etag})
            assert answer.status_code == 404


@pytest.mark.parametrize(
    "base_url",
    ["", "x", "javascript:alert(1)", "ftp://x", "http://", "http://x?y", "http://x#y",
     "http://u:p@x", "http://x:99999", "http://[x", "http://x y", "http://x\x00"],
)  # fmt: skip
async def test_a_base_url_that_is_none_is_refused(api, scene, base_url):
    _, headers, item_id = scene
    body = {"item_id": item_id, "base_url": base_url}
    answer = await api.client.post(
        "/v1/op/items.tile.wmts_capabilities", json=body, headers=headers
    )
    assert answer.status_code == 422
