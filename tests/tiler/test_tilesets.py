"""Tilesets, as the models of OGC API - Tiles read them, and as their addresses open."""

import httpx
import pytest
from titiler.core.models.OGC import TileSet, TileSetList

from tiler import datasets, matrix_sets, render

PLACE = "/api/v1/items/it_scene/tiles"


def tile_link(document, media_type):
    return next(
        link["href"]
        for link in document["links"]
        if link["rel"] == "item" and link["type"] == media_type
    )


async def test_the_list_leads_to_tilesets_and_these_to_tiles(client, scene, tile_at):
    answer = await client.get(PLACE)
    assert answer.status_code == 200, answer.text
    listed = TileSetList.model_validate(answer.json()).tilesets
    assert answer.json()["tilesets"][0]["crs"].endswith("/EPSG/0/3857")
    # a scene in Austria: the poles and New Zealand have no place for it
    names = [entry.tileMatrixSetURI.path.rpartition("/")[2] for entry in listed]
    assert {"WebMercatorQuad", "WorldCRS84Quad", "EuropeanETRS89_LAEAQuad"} <= set(names)
    assert not {"NZTM2000Quad", "UPSAntarcticWGS84Quad"} & set(names)
    header = datasets.header_of(scene)
    for entry, name in zip(answer.json()["tilesets"], names, strict=True):
        links = {link["rel"].rpartition("/")[2]: link["href"] for link in entry["links"]}
        scheme = (await client.get(links["tiling-scheme"])).json()
        assert scheme["id"] == name
        document = (await client.get(links["self"])).json()
        TileSet.model_validate(document)
        box = document["boundingBox"]
        assert [*box["lowerLeft"], *box["upperRight"]] == pytest.approx(header.geographic_bounds)
        last = matrix_sets.zoom_range(name, header)[1]
        if "tileMatrixSetLimits" in document:
            limits = document["tileMatrixSetLimits"]
            assert limits[-1]["tileMatrix"] == str(last)
            row, column = limits[-1]["minTileRow"], limits[-1]["minTileCol"]
        else:
            row = column = 0
        href = tile_link(document, "image/png")
        for variable, value in (("tileMatrix", last), ("tileRow", row), ("tileCol", column)):
            href = href.replace(f"{{{variable}}}", str(value))
        # the token in it opens the tile without a header
        async with httpx.AsyncClient(
            transport=client.transport, base_url="http://platform.test"
        ) as anybody:
            drawn = await anybody.get(href)
        assert drawn.status_code == 200, drawn.text
        expected = render.render_tile(scene, last, column, row, format="png", tms=name)
        assert drawn.content == expected
        tilejson = next(x["href"] for x in document["links"] if x["rel"] == "alternate")
        assert (await client.get(tilejson)).json()["maxzoom"] == last


async def test_limits_are_those_of_the_raster(client, scene, tile_at):
    document = (await client.get(f"{PLACE}/WebMercatorQuad")).json()
    z, x, y = tile_at(scene)
    at = next(one for one in document["tileMatrixSetLimits"] if one["tileMatrix"] == str(z))
    assert at["minTileCol"] <= x <= at["maxTileCol"]
    assert at["minTileRow"] <= y <= at["maxTileRow"]
    for column, row in ((at["minTileCol"] - 1, y), (x, at["maxTileRow"] + 1)):
        outside = await client.get(f"{PLACE}/{z}/{column}/{row}.npy?bands=1")
        inside = await client.get(f"{PLACE}/{z}/{x}/{y}.npy?bands=1")
        assert outside.content != inside.content


async def test_the_query_stays_and_codes_are_png_alone(client):
    query = "?bands=nir&bands=red&bands=green&rescale=0,3000&key=x"
    for path in ("", "/WorldCRS84Quad"):
        document = (await client.get(f"{PLACE}{path}{query}")).json()
        hrefs = str(document)
        assert "bands=nir%2Cred%2Cgreen&rescale=0%2C3000" in hrefs and "key=x" not in hrefs
    codes = (await client.get(f"{PLACE}/WebMercatorQuad?algorithm=terrainrgb&bands=1")).json()
    assert {x["type"] for x in codes["links"] if x["rel"] == "item"} == {"image/png"}
    for path, status in (
        ("/nosuch", 404),
        ("?bands=nosuch", 422),
        ("/WebMercatorQuad?expression=b1%2B", 422),
        ("/NZTM2000Quad?nosuch=1", 422),
    ):
        assert (await client.get(f"{PLACE}{path}")).status_code == status, path
    sent = {"If-None-Match": (await client.get(PLACE)).headers["etag"]}
    assert (await client.get(PLACE, headers=sent)).status_code == 304
    assert (await client.get(PLACE, headers={"Authorization": "no"})).status_code == 401
