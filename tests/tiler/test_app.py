"""The HTTP surface, with a resolver that knows three items."""

import asyncio
import threading
import time

import httpx
import jsonschema
import pytest

from tiler import render, tokens
from tiler.errors import Busy
from tiler.pool import TilePool


@pytest.fixture
def path(scene, tile_at):
    z, x, y = tile_at(scene)
    return f"/api/v1/items/it_scene/tiles/{z}/{x}/{y}"


@pytest.mark.parametrize(
    ("name", "media_type", "start"),
    [
        (".png", "image/png", b"\x89PNG"),
        (".webp", "image/webp", b"RIFF"),
        (".jpg", "image/jpeg", b"\xff\xd8"),
        ("@2x.png", "image/png", b"\x89PNG"),
    ],
)
async def test_a_tile(client, path, name, media_type, start):
    answer = await client.get(path + name)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.content.startswith(start)
    assert answer.headers["cache-control"] == "private, max-age=3600"
    assert answer.headers["vary"] == "Authorization, X-API-Key"
    assert answer.headers["etag"].startswith('"')


async def test_head_and_double_size(client, path):
    assert (await client.head(path + ".png")).status_code == 200
    body = (await client.get(path + "@2x.png")).content
    assert int.from_bytes(body[16:20], "big") == 512


async def test_an_unchanged_tile_is_not_drawn_again(client, path, monkeypatch):
    tag = (await client.get(path + ".png")).headers["etag"]
    monkeypatch.setattr(render, "render_tile", None)  # drawing would fail now
    for sent in (tag, f'"other", W/{tag}', "*"):
        answer = await client.get(path + ".png", headers={"If-None-Match": sent})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag


async def test_pages_of_any_origin_may_read_answers(client, path):
    asked = {"Origin": "https://map.example", "Access-Control-Request-Method": "GET"}
    asked["Access-Control-Request-Headers"] = "authorization"
    preflight = await client.options(path + ".png", headers=asked)
    assert preflight.status_code == 204
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    for answer in (
        preflight,
        await client.get(path + ".png"),  # without Origin too: a cache would hold that answer
        await client.get(path + ".png?nosuch=1"),
        await client.get("/api/v1/items/it_scene/tiles/tilejson.json"),
    ):
        assert answer.headers["access-control-allow-origin"] == "*"


async def test_tilejson_is_sent_again_only_where_it_changed(client, monkeypatch):
    url = "/api/v1/items/it_scene/tiles/tilejson.json"
    first = await client.get(url)
    again = await client.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = await client.get(url + "?bands=1", headers={"If-None-Match": first.headers["etag"]})
    assert other.status_code == 200


def test_tokens_of_documents_repeat_for_five_minutes():
    starts = {tokens.expiry(now) for now in range(1_000_000, 1_003_600)}
    assert len(starts) in (12, 13)
    for now in range(1_000_000, 1_000_900, 7):
        assert 3300 <= tokens.expiry(now) - now <= 3600


async def test_the_etag_follows_what_is_drawn_but_not_the_token(client, path, signing_key):
    async def tag(suffix, **headers):
        return (await client.get(path + suffix, headers=headers)).headers["etag"]

    token = tokens.sign_tile_token(signing_key, "it_scene")
    tags = [await tag(s) for s in (".png", ".webp", ".png?bands=1", ".png?profile=infrared")]
    assert len(set(tags)) == 4
    assert await tag(f".png?key={token}") == tags[0]


@pytest.mark.parametrize(
    "query",
    [
        "buffer=15000",
        "tilesize=20000",
        "url=/etc/passwd",
        "bands=99",
        "bands=1,2",
        "bands=",
        "expression=b1*9**9**9**9",
        "expression=" + "-" * 1025,
        "rescale=1,0",
        "rescale=x",
        "colormap=nosuch",
        "quality=0",
        "quality=101",
        "quality=ten",
        "bands=1&bands=2",
        "bands=%00",
        "bands=1&expression=b1",
    ],
)
async def test_a_wrong_query_is_422_with_a_list(client, path, query):
    answer = await client.get(f"{path}.png?{query}")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["title"] and body["status"] == 422
    for fault in body["detail"]:
        assert set(fault) >= {"loc", "msg", "type"}
        assert isinstance(fault["loc"], list)


@pytest.mark.parametrize(
    "tail",
    ["31/0/0.png", "3/8/0.png", "3/0/8.png", "3/-1/0.png", "3/1/1.gif", "3/1/1", "a/1/1.png",
     "3/1/1.png.png", "99999999999999999999/1/1.png", "3/\uff11/1.png"],
)  # fmt: skip
async def test_no_such_tile_is_404(client, tail):
    answer = await client.get(f"/api/v1/items/it_scene/tiles/{tail}")
    assert answer.status_code == 404
    assert answer.json()["title"] == "Not found"


async def test_outside_the_raster_is_an_empty_tile(client):
    answer = await client.get("/api/v1/items/it_scene/tiles/10/3/3.png")
    assert answer.status_code == 200
    assert answer.content == render.encode.empty("png", 256)


async def test_who_may_not_see_an_item_learns_nothing(client, path, signing_key):
    anonymous = {"Authorization": ""}
    answer = await client.get(path + ".png", headers=anonymous)
    assert answer.status_code == 401 and "www-authenticate" in answer.headers
    unknown = await client.get(path.replace("it_scene", "it_none") + ".png")
    assert unknown.status_code == 404
    other = tokens.sign_tile_token(signing_key, "it_photo")
    foreign = await client.get(f"{path}.png?key={other}", headers=anonymous)
    assert (foreign.status_code, foreign.json()) == (unknown.status_code, unknown.json())
    for bad in ("profile=none", "asset_key=none"):
        assert (await client.get(f"{path}.png?{bad}")).status_code == 404


async def test_tilejson_urls_open_without_a_header(client):
    answer = await client.get("/api/v1/items/it_scene/tiles/tilejson.json?bands=4&colormap=viridis")
    document = answer.json()
    assert answer.status_code == 200
    template = document["tiles"][0]
    assert template.startswith(
        "http://platform.test/api/v1/items/it_scene/tiles/{z}/{x}/{y}.webp?bands=4"
    )
    longitude, latitude, zoom = document["center"]
    import morecantile

    tile = morecantile.tms.get("WebMercatorQuad").tile(longitude, latitude, zoom)
    url = template.format(z=tile.z, x=tile.x, y=tile.y)
    async with httpx.AsyncClient(transport=client.transport) as anonymous:
        drawn = await anonymous.get(url)
    assert drawn.status_code == 200
    assert drawn.headers["content-type"] == "image/webp"


@pytest.mark.parametrize("query", ["bands=9", "expression=b9", "colormap=nosuch", "tilesize=300"])
async def test_tilejson_refuses_what_its_tiles_would(client, query):
    answer = await client.get(f"/api/v1/items/it_scene/tiles/tilejson.json?{query}")
    assert answer.status_code == 422


async def test_a_public_item_needs_no_token(client):
    answer = await client.get("/api/v1/items/it_public/tiles/tilejson.json")
    assert "key=" not in answer.json()["tiles"][0]
    tile = await client.get("/api/v1/items/it_public/tiles/0/0/0.png")
    assert tile.headers["cache-control"] == "public, no-cache"


async def test_a_full_pool_refuses_and_recovers():
    pool = TilePool(1, queued=1)
    gate = threading.Event()
    running = asyncio.create_task(pool.run(gate.wait, 5))
    waiting = asyncio.create_task(pool.run(lambda: "done"))
    await asyncio.sleep(0)
    with pytest.raises(Busy) as refused:
        await pool.run(lambda: None)
    assert refused.value.headers["Retry-After"] == "1"
    gate.set()
    assert await running is True
    assert await waiting == "done"
    assert await pool.run(lambda: 3) == 3
    pool.close()


async def test_a_slow_tile_is_given_up_but_keeps_its_place():
    pool = TilePool(1, queued=0, timeout_seconds=0.05)
    gate = threading.Event()
    with pytest.raises(Busy):
        await pool.run(gate.wait, 5)
    assert pool.pending == 1
    gate.set()
    deadline = time.monotonic() + 5
    while pool.pending and time.monotonic() < deadline:
        await asyncio.sleep(0.001)
    assert pool.pending == 0
    pool.close()
    with pytest.raises(Busy):
        await pool.run(lambda: None)


async def test_many_tiles_at_once_are_the_same_as_one_by_one(client, scene, tile_at):
    z, x, y = tile_at(scene)
    urls = [
        f"/api/v1/items/{item}/tiles/{z}/{x + dx}/{y + dy}.png"
        for item in ("it_scene", "it_photo")
        for dx in range(-1, 1)
        for dy in range(-1, 1)
    ]
    single = [(await client.get(url)).content for url in urls]
    together = await asyncio.gather(*(client.get(url) for url in urls * 4))
    assert [answer.content for answer in together] == single * 4


async def test_vanilla_titiler_routes_are_not_there(client):
    for url in ("/cog/info?url=/etc/passwd", "/info?url=x", "/tiles/WebMercatorQuad/0/0/0?url=x"):
        assert (await client.get(url)).status_code == 404


# what the schema of TileJSON 3.0.0 asks (github.com/mapbox/tilejson-spec), and its text beyond that
TILEJSON = {
    "type": "object",
    "required": ["tilejson", "tiles", "vector_layers"],
    "properties": {
        "tilejson": {"type": "string", "pattern": r"^3\.0\.[0-9]+$"},
        "tiles": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "pattern": r"^https?://.*\{z\}.*\{x\}.*\{y\}"},
        },
        "vector_layers": {"type": "array", "maxItems": 0},
        "name": {"type": "string"},
        "scheme": {"enum": ["xyz", "tms"]},
        "minzoom": {"type": "integer", "minimum": 0, "maximum": 30},
        "maxzoom": {"type": "integer", "minimum": 0, "maximum": 30},
        "bounds": {
            "type": "array",
            "prefixItems": [
                {"type": "number", "minimum": -180, "maximum": 180},
                {"type": "number", "minimum": -90, "maximum": 90},
                {"type": "number", "minimum": -180, "maximum": 180},
                {"type": "number", "minimum": -90, "maximum": 90},
            ],
            "minItems": 4,
            "maxItems": 4,
        },
        "center": {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3},
    },
}


@pytest.mark.parametrize("tms", ["", "WorldCRS84Quad/", "EuropeanETRS89_LAEAQuad/"])
async def test_tilejson_follows_its_specification(client, tms):
    document = (await client.get(f"/api/v1/items/it_scene/tiles/{tms}tilejson.json")).json()
    jsonschema.validate(document, TILEJSON)
    west, south, east, north = document["bounds"]
    longitude, latitude, zoom = document["center"]
    assert west <= longitude <= east and south <= latitude <= north
    assert document["minzoom"] <= zoom <= document["maxzoom"]
