"""WMTS, as its readers read it: OWSLib, and GDAL's own driver over HTTP."""

import io
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import httpx
import numpy as np
import pytest
import uvicorn
from owslib.wmts import WebMapTileService
from PIL import Image

from tiler import datasets, grid, matrix_sets, render, wmts
from tiler.app import create_app
from tiler.source import AssetSource
from tiler.target import GEOGRAPHIC, transformer

PATH = "/api/v1/items/it_scene/wmts"
NAMES = {"ows": "http://www.opengis.net/ows/1.1", "w": "http://www.opengis.net/wmts/1.0"}
TILE = {
    "SERVICE": "WMTS", "Request": "GetTile", "version": "1.0.0", "LAYER": "it_scene",
    "style": "default", "Format": "image/png", "TileMatrixSet": "WebMercatorQuad",
}  # fmt: skip

# GDAL is told here not to open what links to the outside, which WMTS does: so in a child without
GDAL_READS = """
import json, sys, numpy as np, rasterio
from rasterio.windows import Window
left, top = float(sys.argv[3]), float(sys.argv[4])
with rasterio.open(f"WMTS:{sys.argv[1]},tilematrixset={sys.argv[2]}") as found:
    column = round((left - found.bounds.left) / found.res[0])
    row = round((found.bounds.top - top) / found.res[1])
    np.save(sys.argv[5], found.read(window=Window(column, row, 256, 256), boundless=False))
    print(json.dumps({"res": found.res[0], "column": column, "row": row}))
"""


@pytest.fixture(scope="module")
def served(scene):
    """Base URL of a server of the public scene, with profiles."""
    public = replace(
        scene,
        public=True,
        profiles=({"id": "vp_1", "name": "Near & <far>"},),
    )

    async def resolve(request, item_id, asset_key, profile):
        if profile == "vp_1":
            return replace(public, profile={"type": "rgb", "config": {"bands": [4, 3, 2]}})
        return public

    config = uvicorn.Config(create_app(resolve), port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


def test_owslib_reads_the_document_and_a_tile(served, scene):
    found = WebMapTileService(f"{served}/api/v1/items/it_scene/wmts")
    assert list(found.contents) == ["it_scene"]
    layer = found.contents["it_scene"]
    assert {name: style["title"] for name, style in layer.styles.items()} == {
        "default": "Default",
        "vp_1": "Near & <far>",
    }
    assert set(found.tilematrixsets) == {"WebMercatorQuad", "WorldCRS84Quad"}
    header = datasets.header_of(scene)
    bounds = header.geographic_bounds
    assert layer.boundingBoxWGS84 == pytest.approx(bounds)
    limits = layer.tilematrixsetlinks["WebMercatorQuad"].tilematrixlimits
    assert {int(z) for z in limits} == set(range(header.minzoom, header.maxzoom + 1))
    z = str(header.maxzoom)
    at = limits[z]
    row, column = (at.mintilerow + at.maxtilerow) // 2, (at.mintilecol + at.maxtilecol) // 2
    asked = {"tilematrixset": "WebMercatorQuad", "tilematrix": z, "row": row, "column": column}
    tile = found.gettile(layer="it_scene", format="image/png", **asked).read()
    assert tile == render.render_tile(scene, int(z), column, row, format="png")
    infrared = found.gettile(layer="it_scene", style="vp_1", format="image/png", **asked).read()
    assert infrared != tile


@pytest.mark.parametrize("name", ["WebMercatorQuad", "WorldCRS84Quad"])
def test_gdal_opens_the_document_and_reads_our_pixels(served, scene, name, tmp_path):
    header = datasets.header_of(scene)
    z = matrix_sets.zoom_range(name, header)[1]
    x, y = transformer(GEOGRAPHIC, matrix_sets.crs(name)).transform(*header.center)
    west, _, east, north = matrix_sets.bounds(name, z, 0, 0)
    column, row = int((x - west) / (east - west)), int((north - y) / (east - west))
    left, _, _, top = matrix_sets.bounds(name, z, column, row)
    body = render.render_tile(scene, z, column, row, format="png", tms=name)
    expected = np.asarray(Image.open(io.BytesIO(body)).convert("RGBA"))
    shown = expected[..., 3] > 0
    assert shown.any()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GDAL", "CPL"))}
    environment["GDAL_DEFAULT_WMS_CACHE_PATH"] = str(tmp_path / "cache")
    for address in ("/wmts", "/wmts/1.0.0/WMTSCapabilities.xml"):
        url = f"{served}/api/v1/items/it_scene{address}"
        out = tmp_path / "pixels.npy"
        command = [sys.executable, "-c", GDAL_READS, url, name, repr(left), repr(top), str(out)]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        # its finest level is ours
        assert json.loads(done.stdout)["res"] == pytest.approx((east - west) / 256)
        found = np.load(out).transpose(1, 2, 0)
        np.testing.assert_array_equal(found[shown][:, :3], expected[shown][:, :3])


def test_limits_and_boxes_are_such_as_the_schema_and_gdal_want(scene):
    """Types of `wmtsGetCapabilities_response.xsd`: the first may be 0, the last is at least 1."""
    world = Path(__file__).parents[1] / "data" / "rasters" / "modis-ndvi-global_0.4deg.tif"
    for source in (scene, AssetSource(path=str(world), version="1")):
        found = ElementTree.fromstring(wmts.capabilities(source, "it", "http://testserver"))
        [box] = found.findall(".//{*}Layer/{*}BoundingBox")
        corners = [float(n) for corner in box for n in corner.text.split()]
        # a world to its poles is as large as the matrix is, and no larger
        assert corners[0] < corners[2] and corners[1] < corners[3]
        assert max(map(abs, corners)) <= grid.HALF_WORLD_M + 0.01
        links = found.findall(".//{*}TileMatrixSetLink")
        assert len(links) == 2
        for link in links:
            limits = link.findall("{*}TileMatrixSetLimits/{*}TileMatrixLimits")
            assert limits
            for limit in limits:
                numbers = {part.tag.rpartition("}")[2]: part.text for part in limit}
                for way in ("Row", "Col"):
                    first, last = int(numbers[f"MinTile{way}"]), int(numbers[f"MaxTile{way}"])
                    assert 0 <= first <= last and last >= 1, numbers


RASTERS = Path(__file__).parents[1] / "data" / "rasters"
QUERIES = [(), [("bands", "4"), ("colormap", '{"1":"#ff0000"}'), ("x", "<&\"'>\x01é")]]


@pytest.mark.parametrize("query", QUERIES, ids=["plain", "asked"])
@pytest.mark.parametrize(
    "name",
    [
        "antimeridian_landsat8_utm60.tif",
        "gcps_sentinel1-grd.tif",
        "modis-ndvi-global_0.4deg.tif",
        "one-pixel_naip.tif",
        "rotated-30deg_naip.tif",
        "washington-dc_dsm_2m.tif",
    ],
)
def test_documents_are_valid_by_their_schema(ogc, name, query):
    profiles = ({"id": "vp_1", "name": 'A <b> & "c"'}, {"id": "vp_2", "name": "\x00"})
    source = AssetSource(path=str(RASTERS / name), version="1", name="<&>", profiles=profiles)
    body = wmts.capabilities(source, "it & <1>", "http://test", key="tt_&", parameters=query)
    assert ogc.problems(body) == []
    # what is wrong is told of
    assert ogc.problems(body.replace(b"<ows:Identifier>", b"<ows:Identifier a='1'>", 1))
    for broken in (b"<Format>image/png</Format>", b"<ows:WGS84BoundingBox>"):
        assert ogc.problems(body.replace(broken, b"<x/>" + broken, 1)), broken


async def test_refusals_are_valid_by_their_schema(client, ogc):
    refused = [
        {"REQUEST": "GetMap"},
        {**TILE, "TILEMATRIX": "99", "tilerow": 0, "TileCol": 0},
        {**TILE, "TileMatrixSet": "<&>", "TILEMATRIX": 0, "tilerow": 0, "TileCol": 0},
        {**TILE, "TILEMATRIX": 0, "tilerow": "\x01", "TileCol": 0},
        {**TILE, "LAYER": "\ud7ff\ufffe", "TILEMATRIX": 0, "tilerow": 0, "TileCol": 0},
        {"SERVICE": "WMTS", "REQUEST": "GetTile"},
    ]
    for asked in refused:
        answer = await client.get(PATH, params=asked)
        assert 400 <= answer.status_code < 500, asked
        assert "xml" in answer.headers["content-type"], answer.text
        assert ogc.problems(answer.content) == [], answer.text


async def test_kvp_and_rest_tiles_are_the_tile(client, scene, tile_at):
    z, x, y = tile_at(scene)
    expected = (await client.get(f"/api/v1/items/it_scene/tiles/{z}/{x}/{y}.png")).content
    place = {"TILEMATRIX": z, "tilerow": y, "TileCol": x}
    assert (await client.get(PATH, params={**TILE, **place})).content == expected
    rest = f"{PATH}/default/WebMercatorQuad/{z}/{y}/{x}.png"
    assert (await client.get(rest)).content == expected
    other = await client.get(f"{PATH}/infrared/WebMercatorQuad/{z}/{y}/{x}.png")
    assert other.status_code == 200 and other.content != expected


async def test_feature_info_is_the_point(client, scene, tile_at):
    z, x, y = tile_at(scene)
    asked = {**TILE, "Request": "GetFeatureInfo", "TILEMATRIX": z, "tilerow": y, "TileCol": x}
    asked |= {"I": 7, "J": 9, "infoformat": "application/json"}
    found = (await client.get(PATH, params=asked)).json()
    place = ",".join(str(number) for number in found["coordinates"])
    url = f"/api/v1/items/it_scene/point/{place}?coord_crs=EPSG:3857"
    assert (await client.get(url)).json() == found
    text = await client.get(PATH, params={**asked, "infoformat": "text/plain"})
    assert f"nir: {found['values'][3]}" in text.text


async def test_the_document_keeps_the_query_and_has_a_key(client, tile_at, scene):
    answer = await client.get(f"{PATH}?REQUEST=GetCapabilities&bands=4&colormap=viridis")
    assert answer.headers["content-type"] == "application/xml"
    root = ElementTree.fromstring(answer.content)
    template = root.find(".//w:ResourceURL[@format='image/png']", NAMES).get("template")
    z, x, y = tile_at(scene)
    for name, value in {"Style": "default", "TileMatrixSet": "WebMercatorQuad",
                        "TileMatrix": z, "TileRow": y, "TileCol": x}.items():  # fmt: skip
        template = template.replace(f"{{{name}}}", str(value))
    assert "bands=4" in template and "key=tt_" in template
    anonymous = {"Authorization": ""}
    drawn = await client.get(template, headers=anonymous)
    assert drawn.status_code == 200
    direct = f"/api/v1/items/it_scene/tiles/{z}/{x}/{y}.png?bands=4&colormap=viridis"
    assert drawn.content == (await client.get(direct)).content
    assert (await client.get(PATH, headers=anonymous)).status_code == 401


async def test_the_document_is_given_as_qgis_asks_for_it(client):
    """It takes an address without SERVICE=WMTS for a WMS, and decodes an address twice."""
    found = await client.get(f"{PATH}?SERVICE=WMS&REQUEST=GetCapabilities")
    assert found.status_code == 200
    assert ElementTree.fromstring(found.content).tag == f"{{{NAMES['w']}}}Capabilities"


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("(nir-red)/(nir+red)", "(nir - red) / (nir + red)"),
        ("nir+red", "nir + red"),
        ("2*(b4+.5)+b1", "2 * (b4 + .5) + b1"),
        ("b4+%2B+b1", "b4 + b1"),  # as a form writes spaces
        ("%28b4+-+b1%29+%2F+%28b4+%2B+b1%29", "(b4 - b1) / (b4 + b1)"),
        ("where%28b4+%3E+b1%2C+b4%2C+b1%29", "where(b4 > b1, b4, b1)"),
        ("b4+*+b1", "b4 * b1"),
        ("b4%2Bb1", "b4 + b1"),
    ],
)
async def test_a_bare_plus_in_a_formula_is_a_plus(client, scene, tile_at, raw, plain):
    z, x, y = tile_at(scene)
    path = f"/api/v1/items/it_scene/tiles/{z}/{x}/{y}.npy"
    expected = await client.get(path, params={"expression": plain})
    assert expected.status_code == 200
    transport_url = httpx.URL(f"http://platform.test{path}").copy_with(
        raw_path=f"{path}?expression={raw}".encode()
    )
    assert (await client.get(transport_url)).content == expected.content


def test_any_name_gives_well_formed_xml(scene):
    from tiler import wmts

    source = replace(scene, name='<a & "b"> ]]> \x00\x0b é')
    root = ElementTree.fromstring(wmts.capabilities(source, "it_<&", "http://x", key="a&b<"))
    assert root.find(".//ows:Identifier", NAMES).text == "it_<&"


@pytest.mark.parametrize(
    ("change", "code", "locator"),
    [
        ({"Request": "GetMap"}, "OperationNotSupported", "request"),
        ({"SERVICE": "WMS"}, "InvalidParameterValue", "service"),
        ({"SERVICE": "WFS", "Request": "GetCapabilities"}, "InvalidParameterValue", "service"),
        ({"version": "2.0.0"}, "InvalidParameterValue", "version"),
        ({"LAYER": ""}, "MissingParameterValue", "layer"),
        ({"LAYER": "it_other"}, "InvalidParameterValue", "layer"),
        ({"style": "none"}, "ResolveError", None),
        ({"Format": "image/gif"}, "InvalidParameterValue", "format"),
        ({"Format": ""}, "MissingParameterValue", "format"),
        ({"TileMatrixSet": "nosuch"}, "InvalidParameterValue", "tilematrixset"),
        ({"TILEMATRIX": "x"}, "InvalidParameterValue", "tilematrix"),
        ({"TileCol": "99999999"}, "TileOutOfRange", "tilecol"),
        ({"bands": "99"}, "InvalidParameterValue", "bands"),
        ({"nosuch": "1"}, "InvalidParameterValue", "nosuch"),
        ({"Request": "GetFeatureInfo"}, "MissingParameterValue", "infoformat"),
        (
            {"Request": "GetFeatureInfo", "infoformat": "text/plain", "I": 256, "J": 1},
            "PointIJOutOfRange",
            "i",
        ),
    ],
)
async def test_what_is_wrong_is_an_exception_report(client, change, code, locator):
    asked = {**TILE, "TILEMATRIX": "3", "tilerow": "1", "TileCol": "1", **change}
    answer = await client.get(PATH, params=asked)
    if code == "ResolveError":  # the resolver of these tests knows one profile
        assert answer.status_code == 404
        return
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/xml"
    exception = ElementTree.fromstring(answer.content).find("ows:Exception", NAMES)
    assert (exception.get("exceptionCode"), exception.get("locator")) == (code, locator)
    assert exception.find("ows:ExceptionText", NAMES).text
