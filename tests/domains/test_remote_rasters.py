"""Rasters where they lie, at hosts that the operator allows and no other; tiles on the bill."""

from __future__ import annotations

import re
import threading
from contextlib import asynccontextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import morecantile
import pytest

from opstac import compose

FILE = Path(__file__).parent.parent / "data" / "rasters" / "s2-flanders_2021-06_10m.tif"
AREA = {
    "type": "Polygon",
    "coordinates": [[[-180, -85], [180, -85], [180, 85], [-180, 85], [-180, -85]]],
}


class Ranges(BaseHTTPRequestHandler):
    """Serves one file in ranges."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """One range."""
        data = FILE.read_bytes()
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        assert match is not None
        start, last = int(match[1]), min(int(match[2]), len(data) - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last + 1 - start))
        self.send_header("ETag", '"one"')
        self.end_headers()
        self.wfile.write(data[start : last + 1])

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def href():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ranges)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}/scene.tif"
    server.shutdown()
    server.server_close()


@asynccontextmanager
async def on_platform(api, settings):
    """Another platform on the database of `api`."""
    async with compose.embedded(settings) as platform:
        transport = httpx.ASGITransport(platform.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            yield type(api)(platform, client)


@pytest.fixture
async def allowing(api):
    """The API of a platform that opens files of localhost."""
    settings = replace(
        api.platform.settings,
        raster_hosts="localhost",
        raster_allow="127.0.0.0/8:1024-65535,[::1]/128:1024-65535",
    )
    async with on_platform(api, settings) as other:
        yield other


async def counted(api, owner, metric="tile_requests"):
    rows = api.sql(
        "select value from usage_counter where organization_id = %s and metric = %s",
        owner.organization_id,
        metric,
    )
    return sum(row["value"] for row in rows)


async def test_an_asset_at_an_allowed_host_is_drawn_like_any_other(api, allowing, catalogue, href):
    owner = await api.organization()
    project = await api.project(owner)
    own, _ = await catalogue.scene(owner, project)
    body = {"name": "far", "type": "external_reference", "project_id": project}
    far = await api.ok("items.create", body | {"assets": {"data": {"href": href}}}, as_=owner)
    headers = {"Authorization": f"Bearer {owner.token}"}
    document = await allowing.ok("items.tile.tilejson", {"item_id": own["id"]}, as_=owner)
    longitude, latitude, zoom = document["center"]
    tile = morecantile.tms.get("WebMercatorQuad").tile(longitude, latitude, int(zoom))
    address = f"{tile.z}/{tile.x}/{tile.y}.png"
    pictures = [
        await allowing.client.get(f"/api/v1/items/{item['id']}/tiles/{address}", headers=headers)
        for item in (own, far)
    ]
    assert [answer.status_code for answer in pictures] == [200, 200], pictures[1].text
    assert pictures[0].content == pictures[1].content
    tag = {"If-None-Match": pictures[1].headers["etag"]}
    path = f"/api/v1/items/{far['id']}/tiles/{address}"
    assert (await allowing.client.get(path, headers=headers | tag)).status_code == 304
    at = {"z": tile.z, "x": tile.x, "y": tile.y, "format": "png"}
    for url in (href, f"item://{far['id']}/data"):
        answer = await allowing.call("cog.tile.render", {"url": url, **at}, as_=owner)
        assert answer.status_code == 200 and answer.content.startswith(b"\x89PNG"), answer.text
        figures = await allowing.ok("cog.statistics", {"url": url, "geometry": AREA}, as_=owner)
        assert figures["bands"]
        assert (await allowing.call("cog.thumbnail", {"url": url}, as_=owner)).status_code == 200
    # the platform that allows no host opens neither
    await api.refused(403, "cog.tile.render", {"url": href, **at}, as_=owner)
    assert (await api.client.get(path, headers=headers)).status_code == 403
    stranger = await api.organization()
    foreign = {"Authorization": f"Bearer {stranger.token}"}
    assert (await allowing.client.get(path, headers=foreign)).status_code == 404
    await allowing.refused(404, "cog.tile.render", {"url": f"item://{far['id']}/data", **at},
                           as_=stranger)  # fmt: skip


async def test_an_address_that_is_not_allowed_is_403(allowing):
    owner = await allowing.organization()
    at = {"z": 0, "x": 0, "y": 0, "format": "png"}
    for url in (
        "http://127.0.0.1:9/a.tif",
        "http://localhost:22/a.tif",
        "https://169.254.169.254/a.tif",
        "http://localhost@169.254.169.254/",
        "/vsicurl/http://localhost/a.tif",
    ):
        await allowing.refused(403, "cog.tile.render", {"url": url, **at}, as_=owner)


async def test_tiles_are_counted_for_the_bill(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    item, _ = await catalogue.scene(owner, project)
    headers = {"Authorization": f"Bearer {owner.token}"}
    path = f"/api/v1/items/{item['id']}/tiles/0/0/0.png"
    async with on_platform(api, api.platform.settings) as other:
        answers = [await other.client.get(path, headers=headers) for _ in range(3)]
        tag = {"If-None-Match": answers[0].headers["etag"]}
        assert (await other.client.get(path, headers=headers | tag)).status_code == 304
        assert (await other.client.get(path)).status_code == 401
        assert (await other.client.get(path + "?bands=99", headers=headers)).status_code == 422
        render = {"item_id": item["id"], "z": 0, "x": 0, "y": 0}
        assert (await other.call("items.tile.render", render, as_=owner)).status_code == 200
        assert await counted(api, owner) == 0  # not a statement a tile
    assert await counted(api, owner) == 4  # the end of the server is a flush


async def test_counts_outlive_the_database(api, dsn):
    from db.pool import make_pool
    from opstac.usage import counting

    owner, other = await api.organization(), await api.organization()
    async with make_pool(dsn, "opstac_tiler", min_size=1, max_size=1) as pool:
        async with counting(pool) as count:
            count.note(owner.organization_id)
            held = await pool.getconn()
            pool.timeout = 0.01
            await count.flush()  # no connection to be had
            pool.timeout = 30
            await pool.putconn(held)
            count.note(owner.organization_id)
            count.note(other.organization_id)
        assert await counted(api, owner) == 2  # the end of the server is a flush
        assert await counted(api, other) == 1


async def test_a_mosaic_draws_assets_of_allowed_hosts_and_says_why_not_the_others(
    api, allowing, catalogue, href
):
    owner = await api.organization()
    project = await api.project(owner)
    own, _ = await catalogue.scene(owner, project)
    made = await api.ok("collections.create", {"name": "Far", "project_id": project}, as_=owner)
    document = await allowing.ok("items.tile.tilejson", {"item_id": own["id"]}, as_=owner)
    west, south, east, north = document["bounds"]
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    body = {
        "type": "external_reference", "project_id": project, "collection_id": made["id"],
        "datetime": "2026-01-01T00:00:00Z", "bbox": [west, south, east, north],
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }  # fmt: skip
    far = await api.ok(
        "items.create", body | {"name": "far", "assets": {"data": {"href": href}}}, as_=owner
    )
    tile = morecantile.tms.get("WebMercatorQuad").tile(*document["center"][:2], 14)
    address = f"tiles/{tile.z}/{tile.x}/{tile.y}.png"
    headers = {"Authorization": f"Bearer {owner.token}"}

    async def drawn(platform, path):
        return await platform.client.get(f"/api/v1/{path}/{address}", headers=headers)

    alone = await drawn(allowing, f"items/{far['id']}")
    together = await drawn(allowing, f"collections/{made['id']}")
    assert together.status_code == 200, together.text
    assert together.headers["x-mosaic-items"] == far["id"]
    assert together.content == alone.content
    formula = await allowing.client.get(
        f"/api/v1/collections/{made['id']}/{address}",
        params={"expression": "(nir-red)/(nir+red)"},
        headers=headers,
    )
    assert formula.status_code in (200, 422), formula.text
    # where no host is allowed there is nothing to draw, and the reason is the host's
    assert (await drawn(api, f"collections/{made['id']}")).status_code == 404
    # a host that does not answer leaves the others' pixels, and the picture is not kept
    gone = {"data": {"href": "http://localhost:1024/gone.tif"}}
    newer = {"name": "gone", "assets": gone, "datetime": "2026-02-01T00:00:00Z"}
    lost = await api.ok("items.create", body | newer, as_=owner)
    again = await drawn(allowing, f"collections/{made['id']}")
    assert again.content == alone.content and "etag" not in again.headers
    assert lost["id"] in again.headers["x-mosaic-skipped"]
    assert "does not answer" in again.headers["x-mosaic-skipped"]
