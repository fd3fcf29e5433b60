"""Whatever is asked of a mosaic, its legend, its WMTS or a render: never a fault of ours."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WORDS = re.split(
    r"\s+",
    """0 -1 1 255 1e400 nan inf 1_0 %00 null true [] {} ../../etc/passwd b1 b99 b1;b2
    (b1-b2)/(b1+b2) b1/0 nir nosuch 1,2,3 1,2 , ; 0,1 1,0 0,0 EPSG:3857 nearest mode viridis
    hillshade terrainrgb ffffff tt_x tt_AAAA gpra_x default WebMercatorQuad WorldCRS84Quad png
    npy tif webp gif GetTile GetCapabilities GetFeatureInfo WMTS WMS newest least_cloudy
    median mean stdev oldest first 2021-01-01/.. ../.. 2021-13-01 -180,-90,180,90
    170,-10,-170,10 1,2,3,4,5,6 +datetime,-id eo:cloud_cover<10 id='x' {"op":"=","args":[1,1]}
    {"op":"and","args":[]} S_INTERSECTS(geometry,POINT(0\u00a00)) cql2-json""",
)
ODD = [
    "",
    " ",
    "\u0661",
    "9" * 400,
    "\x00",
    "\ud800",
    "\U0001f600",
    "[" * 300,
    "(" * 300,
    "\r\nX: y",
]
NASTY = st.sampled_from([*WORDS, *ODD]) | st.text(max_size=12)
NUMBERS = st.one_of(st.integers(-5, 30), st.sampled_from([0, 10**9, 10**20])).map(str)
FAMILIES = re.compile(r"/api/v1/(collections|searches|renders|items)/")


def mostly(good: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """What is asked for usually, and now and then anything."""
    return st.integers(0, 19).flatmap(lambda n: NASTY if n == 0 else good)


def quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


@pytest.fixture
async def mosaic(scenes):
    """Two items in a collection, a saved search of it, and the routes' document."""
    item = await scenes.add((10, 20, 30))
    await scenes.add((40, 50, 60), day=2, cloud=5.0)
    search = {"collections": [scenes.collection]}
    body = {"name": "all", "project_id": scenes.project, "search": search}
    saved = await scenes.api.ok("saved_searches.create", body, as_=scenes.owner)
    document = (await scenes.api.client.get("/api/v1/openapi.json")).json()
    known = {"collections": scenes.collection, "searches": saved["id"], "items": item}
    return scenes.owner, known | {"renders": "tt_none"}, document


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_nothing_asked_of_a_mosaic_breaks_the_server(api, scenes, mosaic, data):
    owner, known, document = mosaic
    paths = sorted(
        p for p in document["paths"] if FAMILIES.match(p) and "get" in document["paths"][p]
    )
    path = data.draw(st.sampled_from([p for p in paths if "/items/" not in p] * 3 + paths))
    family = FAMILIES.match(path)[1]
    z, x, y, _, _ = scenes.place(128)
    good = {
        "mosaic_id": st.just(known[family]), "item_id": st.just(known[family]),
        "token": st.just("tt_none"), "style": st.just("default"),
        "format": st.sampled_from(["png", "webp", "npy", "tif"]),
        "tms": st.just("WebMercatorQuad"), "z": st.just(str(z)),
        "x": st.just(str(x)), "col": st.just(str(x)), "y": st.just(str(y)), "row": st.just(str(y)),
    }  # fmt: skip
    address = path
    for name in re.findall(r"{(\w+)}", path):
        value = data.draw(mostly(good.get(name, NUMBERS)), label=name)
        address = address.replace(f"{{{name}}}", quoted(value))
    takes = [p["name"] for p in document["paths"][path]["get"]["parameters"] if p["in"] == "query"]
    names = mostly(st.sampled_from([name for name in takes if name != "key"] or ["key"]))
    values = st.sampled_from(WORDS) | NASTY | NUMBERS
    query = data.draw(st.lists(st.tuples(names, values), max_size=3), label="query")
    text = "&".join(f"{quoted(name)}={quoted(value)}" for name, value in query)
    known_caller = data.draw(st.integers(0, 9), label="caller") > 0
    headers = {"Authorization": f"Bearer {owner.token}"} if known_caller else {}
    answer = await api.client.get(f"{address}?{text}", headers=headers)
    assert answer.status_code < 500, (address, text, answer.text)
    if answer.status_code >= 400 and "json" in answer.headers.get("content-type", ""):
        assert answer.json()["title"]
