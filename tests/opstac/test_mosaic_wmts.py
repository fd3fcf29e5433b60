"""WMTS and tilesets of mosaics, as their readers read them: GDAL's own driver over HTTP."""

import asyncio
import io
import json
import os
import sys
from xml.etree import ElementTree

import numpy as np
from PIL import Image

NAMES = {"ows": "http://www.opengis.net/ows/1.1", "w": "http://www.opengis.net/wmts/1.0"}

# GDAL is told here not to open what links to the outside, which WMTS does: so in a child without
GDAL_READS = """
import json, sys, rasterio
from rasterio.warp import transform
from rasterio.windows import Window
with rasterio.open(f"WMTS:{sys.argv[1]},tilematrixset={sys.argv[2]}") as found:
    [x], [y] = transform("EPSG:32633", found.crs, [float(sys.argv[3])], [float(sys.argv[4])])
    row, column = found.index(x, y)
    print(json.dumps(found.read(window=Window(column, row, 1, 1)).ravel().tolist()))
"""


async def mosaic_paths(scenes) -> list[str]:
    search = await scenes.api.ok(
        "saved_searches.create",
        {
            "name": "Here & <there>",
            "project_id": scenes.project,
            "search": {"collections": [scenes.collection]},
        },
        as_=scenes.owner,
    )
    return [f"/api/v1/collections/{scenes.collection}", f"/api/v1/searches/{search['id']}"]


async def test_gdal_opens_a_mosaic(live_scenes, tmp_path):
    scenes, served = live_scenes, str(live_scenes.api.client.base_url).rstrip("/")
    await scenes.add((200, 100, 50), day=1)
    await scenes.add((10, 20, 30), day=2, shift=512)
    reader = await scenes.api.key(scenes.owner, "items:read")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GDAL", "CPL"))}
    environment["GDAL_DEFAULT_WMS_CACHE_PATH"] = str(tmp_path / "cache")
    for path in await mosaic_paths(scenes):
        for address, tms, shift, color in (
            ("/wmts", "WebMercatorQuad", 0, [200, 100, 50]),
            ("/wmts/1.0.0/WMTSCapabilities.xml", "WorldCRS84Quad", 512, [10, 20, 30]),
        ):
            url = f"{served}{path}{address}?rescale=0%2C255&key={reader.token}"
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-c", GDAL_READS, url, tms,
                str(500000 + (shift + 128) * 10), str(5300000 - 2560),
                env=environment, stdout=-1, stderr=-1,
            )  # fmt: skip
            out, err = await asyncio.wait_for(child.communicate(), 60)
            assert child.returncode == 0, err.decode()
            assert json.loads(out)[:3] == color, (path, address, tms)


async def test_the_document_and_its_tiles(scenes, ogc):
    await scenes.add((200, 100, 50))
    z, x, y, _, _ = scenes.place(128)
    get = scenes.api.client.get
    owner = {"Authorization": f"Bearer {scenes.owner.token}"}
    stranger = await scenes.api.organization("Other")
    for path in await mosaic_paths(scenes):
        answer = await get(f"{path}/wmts", headers=owner)
        assert answer.status_code == 200, answer.text
        assert ogc.problems(answer.content) == []
        wrong = await get(f"{path}/wmts?REQUEST=GetMap", headers=owner)
        assert wrong.status_code == 400 and ogc.problems(wrong.content) == []
        root = ElementTree.fromstring(answer.content)
        identifier = root.find(".//w:Layer/ows:Identifier", NAMES).text
        assert path.endswith(identifier)
        template = root.find(".//w:ResourceURL[@format='image/png']", NAMES).get("template")
        assert "rescale=" in template and "key=tt_" in template
        values = {"Style": "default", "TileMatrixSet": "WebMercatorQuad",
                  "TileMatrix": z, "TileRow": y, "TileCol": x}  # fmt: skip
        for name, value in values.items():
            template = template.replace(f"{{{name}}}", str(value))
        rest = await get(template)
        assert rest.status_code == 200
        assert np.asarray(Image.open(io.BytesIO(rest.content)).convert("RGBA"))[..., 3].any()
        kvp = {"service": "WMTS", "REQUEST": "GetTile", "version": "1.0.0", "layer": identifier,
               "style": "default", "format": "image/png", **values}  # fmt: skip
        query = dict(part.split("=") for part in template.partition("?")[2].split("&"))
        query["rescale"] = query["rescale"].replace("%2C", ",")
        named = {name.lower(): value for name, value in {**kvp, **query}.items()}
        drawn = await get(f"{path}/wmts", params=named)
        assert drawn.content == rest.content
        for change, code in (
            ({"request": "GetFeatureInfo"}, "OperationNotSupported"),
            ({"layer": "other"}, "InvalidParameterValue"),
            ({"style": "other"}, "InvalidParameterValue"),
            ({"format": "image/gif"}, "InvalidParameterValue"),
            ({"tilecol": "99999999"}, "TileOutOfRange"),
            ({"nosuch": "1"}, "InvalidParameterValue"),
        ):
            refused = await get(f"{path}/wmts", params={**named, **change})
            assert refused.status_code == 400, (change, refused.text)
            report = ElementTree.fromstring(refused.content).find("ows:Exception", NAMES)
            assert report.get("exceptionCode") == code
        assert (await get(f"{path}/wmts")).status_code == 401
        other = {"Authorization": f"Bearer {stranger.token}"}
        assert (await get(f"{path}/wmts", headers=other)).status_code == 404


async def test_tilesets_lead_to_the_tiles(scenes):
    await scenes.add((200, 100, 50))
    z, x, y, _, _ = scenes.place(128)
    get = scenes.api.client.get
    owner = {"Authorization": f"Bearer {scenes.owner.token}"}
    stranger = await scenes.api.organization("Other")
    for path in await mosaic_paths(scenes):
        answer = await get(f"{path}/tiles", params={"selection": "median"}, headers=owner)
        assert answer.status_code == 200, answer.text
        listed = answer.json()["tilesets"]
        mercator = next(t for t in listed if t["tileMatrixSetURI"].endswith("/WebMercatorQuad"))
        self_ = next(link["href"] for link in mercator["links"] if link["rel"] == "self")
        document = (await get(self_, headers=owner)).json()
        (href,) = (t["href"] for t in document["links"] if t.get("type") == "image/png")
        assert "rescale=" in href and "key=tt_" in href and "selection=median" in href
        for name, value in (("tileMatrix", z), ("tileCol", x), ("tileRow", y)):
            href = href.replace(f"{{{name}}}", str(value))
        tile = await get(href)  # the token opens it
        assert tile.status_code == 200
        assert np.asarray(Image.open(io.BytesIO(tile.content)).convert("RGBA"))[..., 3].any()
        other = {"Authorization": f"Bearer {stranger.token}"}
        for place in ("tiles", "tiles/WebMercatorQuad"):
            assert (await get(f"{path}/{place}")).status_code == 401
            assert (await get(f"{path}/{place}", headers=other)).status_code == 404
