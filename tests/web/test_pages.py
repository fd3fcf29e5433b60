"""The page's files, and in a browser: a map with the pixels of an item drawn on it."""

import contextlib
import io
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from ops_gateway.kernel.errors import NotFound
from ops_gateway.surfaces import pages
from raster.cog import convert_to_cog
from tiler.app import routes as tile_routes
from tiler.errors import ResolveError
from tiler.pool import TilePool
from tiler.source import AssetSource

CHROMIUM = Path("/usr/bin/chromium")
GREEN = (30, 200, 60)
KEY = "gpra_test"
FOOTPRINT = {
    "type": "Polygon",
    "coordinates": [[[15.0, 47.8], [15.03, 47.8], [15.03, 47.85], [15.0, 47.85], [15.0, 47.8]]],
}


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> AssetSource:
    """A plain green scene."""
    import rasterio
    from rasterio.transform import from_origin

    folder = tmp_path_factory.mktemp("page")
    data = np.empty((3, 512, 512), np.uint8)
    data[:] = np.array(GREEN, np.uint8)[:, None, None]
    profile = {"driver": "GTiff", "width": 512, "height": 512, "count": 3, "dtype": "uint8"}
    place = {"crs": "EPSG:32633", "transform": from_origin(500000, 5300000, 10, 10)}
    with rasterio.open(folder / "plain.tif", "w", **profile, **place) as dataset:
        dataset.write(data)
    convert_to_cog(folder / "plain.tif", folder / "scene.tif")
    shown = {"type": "rgb", "config": {"bands": [1, 2, 3], "rescale": [[0, 255]] * 3}}
    path = str(folder / "scene.tif")
    return AssetSource(path=path, version="1", name="Green field", profile=shown)


@pytest.fixture(scope="module")
def app(source) -> Starlette:
    """The page beside a tile server that knows one item, and stand-ins for what else it asks."""

    async def resolve(request, item_id, asset_key, profile):
        given = request.headers.get("authorization"), request.query_params.get("key")
        if given[0] != f"Bearer {KEY}" and given[1] != "tt_good":
            raise ResolveError.unauthorized()
        if item_id != "it_1":
            raise ResolveError.not_found()
        return source

    async def search(request: Request) -> JSONResponse:
        properties = {"title": "Green field", "datetime": "2024-05-01T10:00:00Z"}
        feature = {"type": "Feature", "id": "it_1", "collection": "col_1", "geometry": FOOTPRINT}
        return JSONResponse({"features": [{**feature, "properties": properties}]})

    async def lineage(request: Request) -> JSONResponse:
        edge = {"src_type": "item", "relation": "generated_by", "dst_type": "upload"}
        return JSONResponse({"edges": [{**edge, "dst_id": "up_1"}]})

    async def not_found(request, error):
        return JSONResponse({"title": "Not found"}, 404)

    return Starlette(
        routes=[
            *pages.routes(),
            *tile_routes(resolve, TilePool(1), sign_tile_token=lambda request, item: "tt_good"),
            Route("/assets/stac/search", search, methods=["POST"]),
            Route("/v1/op/provenance.get", lineage, methods=["POST"]),
        ],
        exception_handlers={NotFound: not_found},
    )


@pytest.fixture
async def client(app):
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://page.test") as client:
        yield client


async def test_the_page_and_all_it_names_are_served(client):
    page = await client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-cache"
    named = re.findall(r'(?:href|src)="(static/[^"]+)"', page.text)
    assert len(named) >= 4
    for path in named:
        assert (await client.get(f"/{path}")).status_code == 200


async def test_the_viewer_holds_nothing_of_the_item(client):
    page = await client.get("/api/v1/items/it_1/viewer")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"] == pages.POLICY
    assert (await client.get("/api/v1/items/it_none/viewer?key=x")).content == page.content
    for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text):
        assert (await client.get(path)).status_code == 200
    assert (await client.get("/api/v1/items/it_1/viewer?nosuch=1")).status_code == 422


async def test_modules_have_the_type_that_browsers_run(client):
    for path in ("app.mjs", "maplibre-gl-6.17.0/maplibre-gl-worker.mjs"):
        answer = await client.get(f"/static/{path}")
        assert answer.headers["content-type"].startswith("text/javascript")


async def test_versioned_files_are_kept_and_others_asked_for_again(client):
    vendor = await client.get("/static/maplibre-gl-6.17.0/maplibre-gl.css")
    assert "immutable" in vendor.headers["cache-control"]
    own = await client.get("/static/app.mjs")
    assert own.headers["cache-control"] == "no-cache"
    again = await client.get("/static/app.mjs", headers={"If-None-Match": own.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["nosuch", "../README.md", "..%2f..%2fpyproject.toml", ""])
async def test_nothing_else_is_served(client, path):
    assert (await client.get(f"/static/{path}")).status_code == 404


def test_the_page_names_no_other_host():
    for file in pages.WEB.glob("*"):
        if file.is_file():
            hosts = set(re.findall(r"https?://[^\s\"'/)]+", file.read_text()))
            assert hosts <= {"http://www.w3.org"}, file.name


def test_the_map_library_comes_with_its_licence():
    assert (pages.WEB / "maplibre-gl-6.17.0" / "LICENSE.txt").is_file()


# -- in a browser -------------------------------------------------------------------------------


@contextlib.contextmanager
def served(app) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    assert CHROMIUM.exists(), "the browser tests drive the system's Chromium: apt install chromium"
    flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield browser
        browser.close()


def green_share(page) -> float:
    """Share of the map's pixels that have the scene's colour."""
    shot = page.locator("#map").screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)
    return float((np.abs(pixels - np.array(GREEN)).max(axis=2) < 16).mean())


@pytest.mark.browser
@pytest.mark.slow  # starts a browser
def test_an_item_is_drawn_on_the_map(app, browser):
    asked: list[str] = []
    faults: list[str] = []
    with served(app) as url:
        page = browser.new_page(viewport={"width": 1100, "height": 700})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda m: m.type == "error" and faults.append(m.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{url}/?item=it_1&key=tt_good")
        page.wait_for_selector("html[data-map=idle] #item:not([hidden])", timeout=60_000)
        assert page.text_content("#name") == "Green field"
        assert green_share(page) > 0.2
        page.fill("#expression", "b9")
        page.click("#picture button")
        page.wait_for_selector("#message.error")
        assert "unknown band" in page.text_content("#message")
        page.close()
    allowed = (url, f"blob:{url}", "data:")
    assert [other for other in asked if not other.startswith(allowed)] == []
    assert [fault for fault in faults if "422" not in fault] == []


@pytest.mark.browser
@pytest.mark.slow  # starts a browser
def test_signing_in_lists_items_and_shows_their_lineage(app, browser):
    with served(app) as url:
        page = browser.new_page(viewport={"width": 1100, "height": 700})
        page.goto(f"{url}/?key={KEY}")
        page.click("#items a")
        page.wait_for_selector("html[data-map=idle] #lineage li", timeout=60_000)
        assert KEY not in page.url
        assert "generated by upload up_1" in page.text_content("#lineage")
        assert green_share(page) > 0.2
        page.click("#signout")
        page.wait_for_selector("#signin:not([hidden])")
        page.close()


@pytest.mark.browser
@pytest.mark.slow  # starts a browser
def test_the_viewer_draws_and_tells_values(app, browser):
    asked: list[str] = []
    faults: list[str] = []
    with served(app) as url:
        page = browser.new_page(viewport={"width": 1100, "height": 700})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda m: m.type == "error" and faults.append(m.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{url}/api/v1/items/it_1/viewer?key=tt_good")
        page.wait_for_selector("html[data-viewer=ready]", timeout=60_000)
        assert page.evaluate("window.opstacViewer.ready") is True
        assert page.text_content("#name") == "Green field"
        assert green_share(page) > 0.2
        box = page.locator("#map").bounding_box()
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_selector("#values dd")
        assert page.locator("#values dd").all_text_contents() == [str(v) for v in GREEN]
        page.fill("#expression", "b2 / 2")
        page.select_option("#colormap", "viridis")
        page.fill("#rescale", "0,200")
        page.click("#picture button")
        page.wait_for_selector("html[data-viewer=ready]", timeout=60_000)
        page.wait_for_selector("#legend:not([hidden])")
        assert (page.text_content("#low"), page.text_content("#high")) == ("0", "200")
        assert green_share(page) < 0.05
        assert "colormap=viridis" in page.url
        page.fill("#expression", "b9")
        page.click("#picture button")
        page.wait_for_selector("#message.error")
        assert "unknown band" in page.evaluate("window.opstacViewer.error")
        page.close()
    allowed = (url, f"blob:{url}", "data:")
    assert [other for other in asked if not other.startswith(allowed)] == []
    assert [fault for fault in faults if "422" not in fault] == []
