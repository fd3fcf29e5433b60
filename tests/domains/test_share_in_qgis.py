"""A share link in QGIS and odc-stac: the requests that they send, in their order and form.

QGIS's STAC source takes for the list of collections the link whose address *ends* with
`/collections`, puts a query of its own in the place of the search link's, writes times without a
zone, and gives `/vsicurl/` addresses with user and password in front of the host.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import sys
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit
from xml.etree import ElementTree

import httpx
import pystac
import pytest
import rasterio

PASSWORD = "correct-horse"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"


# GDAL is told here not to open what links to the outside, which WMTS does: so in a child without
GDAL_READS = """
import json, sys, rasterio
from rasterio.warp import transform
from rasterio.windows import Window
with rasterio.open(f"WMTS:{sys.argv[1]},tilematrixset={sys.argv[2]}") as found:
    [x], [y] = transform("EPSG:4326", found.crs, [float(sys.argv[3])], [float(sys.argv[4])])
    row, column = found.index(x, y)
    print(json.dumps(found.read(window=Window(column, row, 8, 8)).astype("int64").sum().item()))
"""
WMTS = {"ows": "http://www.opengis.net/ows/1.1", "w": "http://www.opengis.net/wmts/1.0"}


async def gdal_reads(url: str, tms: str, place: tuple[float, float], cache: Any, **env: str) -> Any:
    """(the sum of the pixels there, or None where it opens nothing)."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("GDAL", "CPL"))}
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", GDAL_READS, url, tms, *map(str, place),
        env={**own, "GDAL_DEFAULT_WMS_CACHE_PATH": str(cache), **env}, stdout=-1, stderr=-1,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(child.communicate(), 60)
    return json.loads(out) if child.returncode == 0 else None


class Qgis:
    """A connection with its authentication, as the STAC, XYZ and GDAL providers use it."""

    def __init__(self, password: str | None) -> None:
        self.password = password
        self.headers = {"User-Agent": "Mozilla/5.0 QGIS/34400/Linux", "Accept-Language": "en,*"}
        if password is not None:
            basic = base64.b64encode(f"qgis:{password}".encode()).decode()
            self.headers["Authorization"] = f"Basic {basic}"

    async def get(self, url: str) -> httpx.Response:
        async with httpx.AsyncClient(headers=self.headers, timeout=30) as http:
            return await http.get(url)

    async def document(self, url: str) -> dict[str, Any]:
        answer = await self.get(url)
        assert answer.status_code == 200, (url, answer.text)
        found = answer.json()
        assert all(isinstance(one["href"], str) and one["rel"] for one in found["links"])
        return found

    async def connect(self, url: str) -> tuple[list[dict[str, Any]], str]:
        """(the collections, the address to search at)."""
        landing = await self.document(url)
        assert landing["type"] == "Catalog" and re.match(r"1\.\d+\.\d+", landing["stac_version"])
        assert isinstance(landing["id"], str) and isinstance(landing["description"], str)
        hrefs = [one["href"] for one in landing["links"] if one["href"].endswith("/collections")]
        searches = [one["href"] for one in landing["links"] if one["rel"] == "search"]
        assert hrefs and searches, "Server does not support STAC search API"
        found = (await self.document(hrefs[-1]))["collections"]
        for one in found:
            assert one["license"] is None or isinstance(one["license"], str)
            assert all(len(box) in (4, 6) for box in one["extent"]["spatial"]["bbox"])
            assert all(len(pair) == 2 for pair in one["extent"]["temporal"]["interval"])
        return found, searches[-1]

    async def search(self, url: str, **query: str) -> list[dict[str, Any]]:
        """Every page; the query takes the place of the one that the address has."""
        items: list[dict[str, Any]] = []
        url = urlunsplit(urlsplit(url)._replace(query=urlencode(query, safe=",:/")))
        while url:
            page = await self.document(url)
            items += page["features"]
            url = next((one["href"] for one in page["links"] if one["rel"] == "next"), "")
        return items

    def vsicurl(self, href: str) -> str:
        if self.password is not None:
            href = href.replace("://", f"://qgis:{self.password}@", 1)
        return f"/vsicurl/{href}"


def pixels(source: str) -> int:
    """As QGIS's GDAL provider opens it: with files beside it looked for."""
    with rasterio.Env(CPL_VSIL_CURL_NON_CACHED="/vsicurl/"), rasterio.open(source) as file:
        return int(file.read(1).astype("int64").sum())


@pytest.fixture
async def link(live, scenes):
    """(the platform, its owner, a collection's link to download by): three items of it."""
    owner = await live.organization()
    project = await live.project(owner)
    body = {"project_id": project, "name": "Fields"}
    collection = (await live.ok("collections.create", body, as_=owner))["id"]
    for month in (1, 3, 6):
        when = f"2025-{month:02d}-15T12:00:00Z"
        await scenes.scene(owner, project, collection_id=collection, datetime=when)
    made = await live.ok(
        "share.link.create",
        {
            "target_type": "collection",
            "target_id": collection,
            "password": PASSWORD,
            "expires_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
            "permission": "download",
        },
        as_=owner,
    )
    return live, owner, made


@pytest.mark.parametrize("configured", [True, False], ids=["authentication", "address"])
async def test_qgis_connects_searches_and_draws(link, configured):
    live, owner, made = link
    root = f"{str(live.client.base_url).rstrip('/')}/share/{made['token']}/stac"
    qgis = Qgis(PASSWORD if configured else None)
    if not configured:
        assert (await qgis.get(root)).status_code == 403
        root += f"?password={PASSWORD}"
    collections, search = await qgis.connect(root)
    ids = ",".join(one["id"] for one in collections)
    assert len(await qgis.search(search, collections=ids)) == 3
    assert len(await qgis.search(search, collections=ids, limit="1")) == 3
    spring = "2025-02-01T00:00:00.000/2025-04-01T00:00:00.000"
    for query, count in (
        ({"bbox": "-180,-90,180,90"}, 3),
        ({"bbox": "40.5,50.6201,41.25,50.64"}, 0),
        ({"datetime": spring}, 1),
        ({"datetime": "2025-02-01T00:00:00.000/.."}, 2),
        ({"datetime": "2025-01-15T12:00:00.000"}, 1),
        ({"intersects": '{"type": "Point", "coordinates": [5.325, 50.633]}'}, 3),
    ):
        found = await qgis.search(search, collections=ids, **query)
        assert len(found) == count, query
    # the browser's tree: catalogue, collection, items
    landing = await qgis.document(root)
    [child] = [one["href"] for one in landing["links"] if one["rel"] == "child"]
    shown = await qgis.document(child)
    [listed] = [one["href"] for one in shown["links"] if one["rel"] == "items"]
    assert len(await qgis.search(listed, limit="2")) == 3
    item = (await qgis.search(search, collections=ids, datetime=spring))[0]
    [own] = [one["href"] for one in item["links"] if one["rel"] == "self"]
    assert (await qgis.document(own))["id"] == item["id"]

    # its files: what is a COG by its media type is a layer, a thumbnail is shown in the list
    assert item["assets"]["data"]["type"] == COG
    source = qgis.vsicurl(item["assets"]["data"]["href"])
    assert await asyncio.to_thread(pixels, source) > 0
    for asset in item["assets"].values():
        if "thumbnail" in asset.get("roles", ()):
            picture = await qgis.get(asset["href"])
            assert picture.headers["content-type"].startswith("image/")
    [xyz] = [one["href"] for one in item["links"] if one["rel"] == "xyz"]
    tile = xyz.replace("{z}", "0").replace("{x}", "0").replace("{y}", "0")
    drawn = await qgis.get(tile)
    assert drawn.status_code == 200 and drawn.content[:4] == b"\x89PNG"
    if configured:
        # in a project that is opened again the next day the key is old, and the password goes along
        old = re.sub(r"key=sx_\d+_", "key=sx_1_", tile)
        assert (await qgis.get(old)).status_code == 200
        assert (await Qgis(None).get(old)).status_code == 403
        assert (await Qgis("wrong-one").get(old)).status_code == 403
        old = re.sub(r"key=st_\d+_", "key=st_1_", source)
        assert await asyncio.to_thread(pixels, old) > 0

    await live.ok("share.link.revoke", {"link_id": made["id"]}, as_=owner)
    for url in (root, search, listed, tile):
        assert (await qgis.get(url)).status_code == 404
    with pytest.raises(rasterio.errors.RasterioIOError):
        await asyncio.to_thread(pixels, source)


async def test_a_key_in_the_path_is_worth_what_it_is_in_the_query(link):
    live, _, made = link
    base = f"/share/{made['token']}"
    landing = (await live.client.get(f"{base}/stac?password={PASSWORD}")).json()
    hrefs = [urlsplit(one["href"]) for one in landing["links"]]
    assert len({href.path.split("/")[2] for href in hrefs}) == 1 and not any(h.query for h in hrefs)
    named = hrefs[0].path.split("/")[2]
    key = named.removeprefix(made["token"] + ".")
    assert f"{made['token']}.{key}" == named and PASSWORD not in str(landing)
    posted = await live.client.post(f"/share/{named}/stac/search", json={"limit": 1})
    [following] = [one for one in posted.json()["links"] if one["rel"] == "next"]
    body = following["body"]
    assert (await live.client.post(following["href"], json=body)).json()["numberReturned"] == 1
    for path in ("", "/tilejson.json", "/stac", "/stac/collections"):
        right = (await live.client.get(f"/share/{named}{path}")).status_code
        assert right == (422 if path == "/tilejson.json" else 200)
        for wrong in (f"{made['token']}.", f"{named}0", f"{named}.", f"{made['token']}.st_1_x"):
            assert (await live.client.get(f"/share/{wrong}{path}")).status_code == 403, wrong
        for wrong in (f"x{named}", f".{key}", f"{key}.{made['token']}"):
            assert (await live.client.get(f"/share/{wrong}{path}")).status_code == 404, wrong


async def test_odc_stac_loads_by_a_link_until_it_is_revoked(link):
    live, owner, made = link
    url = f"/share/{made['token']}/stac/search?password={PASSWORD}"
    page = (await live.client.get(url)).json()
    items = [pystac.Item.from_dict(feature) for feature in page["features"]]

    def load() -> int:
        import odc.stac

        with warnings.catch_warnings(), rasterio.Env(CPL_VSIL_CURL_NON_CACHED="/vsicurl/"):
            warnings.simplefilter("ignore")
            found = odc.stac.load(items, resolution=200, crs="EPSG:32631", fail_on_error=True)
            assert dict(found.sizes)["time"] == 3
            return int(sum(abs(found[name].astype("int64")).sum() for name in found.data_vars))

    assert await asyncio.to_thread(load) > 0
    await live.ok("share.link.revoke", {"link_id": made["id"]}, as_=owner)
    with pytest.raises(Exception, match=r"404|HTTP"):
        await asyncio.to_thread(load)


async def test_a_link_is_a_wmts_that_gdal_opens_until_it_is_revoked(link, scenes, tmp_path):
    live, owner, made = link
    root = f"{str(live.client.base_url).rstrip('/')}/share/{made['token']}"
    found = (await Qgis(PASSWORD).document(f"{root}/stac/search?limit=1"))["features"][0]
    west, south, east, north = found["bbox"]
    place = ((west + east) / 2, (south + north) / 2)
    item = found["properties"].get("opstac:id") or found["id"]
    url = f"{root}/items/{item}/wmts"
    for address, tms, env in (
        (f"{url}?password={PASSWORD}", "WebMercatorQuad", {}),
        (f"{url}/1.0.0/WMTSCapabilities.xml?password={PASSWORD}", "WorldCRS84Quad", {}),
        (url, "WebMercatorQuad", {"GDAL_HTTP_USERPWD": f"qgis:{PASSWORD}"}),
    ):
        assert await gdal_reads(address, tms, place, tmp_path / "cache", **env), (address, tms)
    assert await gdal_reads(f"{url}?password=wrong-one", "WebMercatorQuad", place, tmp_path) is None

    # as QGIS asks, which signs in with each request and keeps the document's addresses
    qgis = Qgis(PASSWORD)
    body = {"item_id": item, "name": "Secret", "type": "singleband", "config": {"band": 1}}
    look = await live.ok("visualization.profile.create", body, as_=owner)
    document = await qgis.get(f"{url}?SERVICE=WMTS&REQUEST=GetCapabilities&VERSION=1.0.0")
    assert document.headers["content-type"] == "application/xml"
    tree = ElementTree.fromstring(document.text)
    [layer] = tree.findall(".//w:Layer/ows:Identifier", WMTS)
    [template] = [
        one.attrib["template"]
        for one in tree.findall(".//w:ResourceURL", WMTS)
        if one.attrib["format"] == "image/png"
    ]
    assert PASSWORD not in document.text and "GetFeatureInfo" not in document.text
    # what the owner calls other looks is not told
    styles = [one.text for one in tree.findall(".//w:Style/ows:Identifier", WMTS)]
    assert styles == ["default"]
    assert "Secret" not in document.text and look["id"] not in document.text
    tile = template
    for name, value in (
        ("Style", "default"), ("TileMatrixSet", "WebMercatorQuad"), ("TileMatrix", "0"),
        ("TileRow", "0"), ("TileCol", "0"),
    ):  # fmt: skip
        tile = tile.replace(f"{{{name}}}", value)
    query = {
        "SERVICE": "WMTS", "REQUEST": "GetTile", "VERSION": "1.0.0", "LAYER": layer.text,
        "STYLE": "default", "TILEMATRIXSET": "WebMercatorQuad", "TILEMATRIX": "0",
        "TILEROW": "0", "TILECOL": "0", "FORMAT": "image/png",
    }  # fmt: skip
    counted = live.sql("select access_count as n from share_link where id = %s", made["id"])
    drawn = await Qgis(None).get(tile)
    assert drawn.status_code == 200 and drawn.content[:4] == b"\x89PNG"
    by_key = await qgis.get(f"{url}?{urlencode(query)}")
    assert by_key.content == drawn.content
    again = live.sql("select access_count as n from share_link where id = %s", made["id"])
    assert again == counted  # tiles are no visits
    # whatever else a query or a header says: only a tile by a query and a file's range are pieces
    asked = ("", "/stac", f"/items/{item}/tilejson.json", f"/items/{item}/wmts")
    capabilities = f"/items/{item}/wmts/1.0.0/WMTSCapabilities.xml"
    headers = {"X-Share-Password": PASSWORD, "Range": "bytes=0-9"}
    for path in (*asked, f"{capabilities}?request=GetTile", "?REQUEST=GetTile"):
        before = live.sql("select access_count as n from share_link where id = %s", made["id"])
        assert (await live.client.get(f"{root}{path}", headers=headers)).status_code == 200, path
        after = live.sql("select access_count as n from share_link where id = %s", made["id"])
        assert after[0]["n"] == before[0]["n"] + 1, path
    old = re.sub(r"key=sx_\d+_", "key=sx_1_", tile)
    assert (await Qgis(None).get(old)).status_code == 403
    assert (await qgis.get(old)).status_code == 200

    # what breaks the protocol is told in its form, and what is not shared is not there
    for wrong, code in (
        ({"REQUEST": "GetFeatureInfo"}, "OperationNotSupported"),
        ({"FORMAT": "image/gif"}, "InvalidParameterValue"),
        ({"LAYER": "another"}, "InvalidParameterValue"),
        ({"TILEROW": "5"}, "TileOutOfRange"),
        ({"TILEROW": ""}, "MissingParameterValue"),
    ):
        answer = await qgis.get(f"{url}?{urlencode(query | wrong)}")
        assert answer.status_code == 400 and f'exceptionCode="{code}"' in answer.text, wrong
    other = await live.project(owner, "Another")
    secret = (await scenes.scene(owner, other))[0]["id"]
    for path in (
        f"items/{secret}/wmts", f"items/{item}/wmts/default/x/0/0/0.png",
        f"items/{item}/wmts/default/WebMercatorQuad/0/1/0.png", "items/%00/wmts",
    ):  # fmt: skip
        assert (await qgis.get(f"{root}/{path}")).status_code == 404, path
    assert (await qgis.get(f"{root}/wmts")).status_code == 422  # of which item?
    style = f"{root}/items/{item}/wmts/nobodys/WebMercatorQuad/0/0/0.png"
    assert (await qgis.get(style)).status_code == 422
    for path in ("", "/stac"):
        key = re.search(r"key=([^&\"]+)", tile)
        assert key and (await Qgis(None).get(f"{root}{path}?key={key[1]}")).status_code == 403

    await live.ok("share.link.revoke", {"link_id": made["id"]}, as_=owner)
    assert (await qgis.get(tile)).status_code == 404
    assert (await qgis.get(url)).status_code == 404
