"""Whatever is asked: a picture or a refusal that says why, and never a fault of ours."""

import json
import re
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiler.routes.parameters import PARAMETERS

WORDS = re.split(
    r"\s+",
    """0 -1 1 255 256 1e400 -1e308 nan inf NaN 1_0 %00 null true [] {} {"1": {"1":"#ffffff"}
    [[[0,1],"#ffffff"]] ../../etc/passwd /vsicurl/http://x b1 b99 b1;b2 (b1-b2)/(b1+b2) b1/0
    log(0-b1) b1**b1**b1 nir nosuch 1,2,3 1,2 1,1,1,1 , ; 0,1 1,0 0,0 1e38,2e38 EPSG:3857 EPSG:0
    EPSG:4978 EPSG:99999999 OGC:CRS84 EPSG:5041 PROJCS[ +proj=merc nearest mode lanczos viridis
    hillshade terrainrgb ffffff #fff 512 4096 5000 tt_x default WebMercatorQuad WorldCRS84Quad
    UPSArcticWGS84Quad EuropeanETRS89_LAEAQuad png npy tif webp gif GetTile GetCapabilities
    GetFeatureInfo WMTS image/png application/json it_scene 3@2x infrared""",
)
ODD = ["", " ", "\u0661", "9" * 400, "\x00", "\ud800", "\U0001f600", "[" * 300, "gamma RGB 0.1"]
NASTY = st.sampled_from([*WORDS, *ODD, "saturation 9", "\r\nX: y"]) | st.text(max_size=12)
NUMBERS = st.one_of(
    st.integers(-5, 40), st.floats(-600, 600), st.sampled_from([0, 10**9, 10**10, 1e300])
).map(str)
PLACES = {
    "item_id": st.sampled_from(["it_scene"] * 9 + ["it_none"]),
    "format": st.sampled_from(["png", "npy", "tif", "jpg", "gif"]),
}
BODIES = st.one_of(
    st.binary(max_size=40),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "coordinates", "geometry", "features", "properties"]), inner
        ),
        max_leaves=12,
    ).map(lambda found: json.dumps(found).encode()),
    st.lists(st.tuples(st.floats(), st.floats()), min_size=3, max_size=6).map(
        lambda ring: json.dumps(
            {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
        ).encode()
    ),
)  # fmt: skip


@pytest.fixture
async def document(client):
    return (await client.get("/api/v1/openapi.json")).json()


async def test_every_route_is_described(client, document):
    assert len(document["paths"]) >= 23
    ids = [op["operationId"] for path in document["paths"].values() for op in path.values()]
    assert len(set(ids)) == len(ids)
    for path, methods in document["paths"].items():
        for operation in methods.values():
            named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_nothing_breaks_the_server(client, document, data):
    path = data.draw(st.sampled_from(sorted(document["paths"])))
    method = data.draw(st.sampled_from(sorted(document["paths"][path])))
    operation = document["paths"][path][method]
    address = path
    for name in re.findall(r"{(\w+)}", path):
        value = data.draw(PLACES.get(name, NUMBERS | NASTY), label=name)
        address = address.replace(f"{{{name}}}", _quoted(value))
    known = [p["name"] for p in operation["parameters"] if p["in"] == "query"]
    names = st.sampled_from([*known, "key", "nosuch"] if known else ["nosuch"])
    query = data.draw(st.lists(st.tuples(names, NASTY | NUMBERS), max_size=3), label="query")
    text = "&".join(f"{name}={_quoted(value)}" for name, value in query)
    content = data.draw(BODIES, label="body") if "requestBody" in operation else None
    answer = await client.request(method.upper(), f"{address}?{text}", content=content)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        if answer.headers["content-type"] == "application/xml":
            return
        body = answer.json()
        assert body["title"] and body["status"] == answer.status_code
        if answer.status_code == 422:
            assert all({"loc", "msg", "type"} <= fault.keys() for fault in body["detail"])


def _quoted(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


@pytest.mark.parametrize("name", sorted(PARAMETERS))
async def test_no_parameter_is_ignored_where_it_is_not_taken(client, document, name):
    for path in ("/api/v1/items/it_scene/info", "/api/v1/tileMatrixSets"):
        described = document["paths"][path.replace("it_scene", "{item_id}")]["get"]
        taken = {p["name"] for p in described["parameters"]}
        if name not in taken and name != "key":
            assert (await client.get(f"{path}?{name}=1")).status_code == 422


async def test_a_formula_is_refused_at_its_character(client):
    answer = await client.get("/api/v1/items/it_scene/tiles/0/0/0.png?expression=b1%20%2B%20%24")
    assert answer.status_code == 422
    (fault,) = answer.json()["detail"]
    assert fault["loc"] == ["query", "expression"]
    assert re.search(r"character 6\b", fault["msg"]), fault["msg"]
