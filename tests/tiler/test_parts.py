"""Parts, previews, points, statistics and info, against the file's own pixels."""

import io
import json

import numpy as np
import pytest
import rasterio
from PIL import Image
from pyproj import Transformer
from rasterio.features import geometry_mask
from rasterio.io import MemoryFile
from rasterio.warp import transform_geom

from tiler import datasets, describe, draw, encode, geojson, parts, render
from tiler.draw import Output
from tiler.errors import InvalidParameter, TileError

ITEM = "/api/v1/items/it_scene"
VALUES = Output("npy", every_band=True)


@pytest.fixture
def box(scene):
    """(west, south, east, north) in the file's CRS, about its middle; not on pixel edges."""
    with rasterio.open(scene.path) as file:
        x, y = file.xy(1000, 1000)
    return x - 403.0, y - 297.0, x + 401.0, y + 302.0


@pytest.fixture
def square(scene, box):
    """About the box, as a GeoJSON polygon."""
    lonlat = Transformer.from_crs(32633, 4326, always_xy=True)
    west, south = lonlat.transform(box[0], box[1])
    east, north = lonlat.transform(box[2], box[3])
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_a_box_in_the_files_crs_is_the_files_own_pixels(scene, box):
    body = parts.part(scene, box, Output("tif", every_band=True), {}, crs="EPSG:32633")
    with (
        MemoryFile(body) as memory,
        memory.open() as found,
        rasterio.open(scene.path) as file,
    ):
        window = file.window(*found.bounds)
        assert window.col_off == pytest.approx(round(window.col_off), abs=1e-6)
        assert (window.width, window.height) == (found.width, found.height)
        assert found.bounds.left <= box[0] and found.bounds.top >= box[3]
        assert found.res == (10, 10) and found.crs.to_epsg() == 32633
        np.testing.assert_array_equal(found.read(), file.read(window=window.round_lengths()))


def test_a_box_of_longitudes_is_warped_to_the_size_asked_for(scene):
    header = datasets.header_of(scene)
    longitude, latitude = header.center
    around = (longitude - 0.01, latitude - 0.01, longitude + 0.01, latitude + 0.01)
    found = np.load(io.BytesIO(parts.part(scene, around, VALUES, {}, size=(300, 200))))
    assert found.shape == (5, 200, 300) and found[-1].mean() > 250
    tall = np.load(io.BytesIO(parts.part(scene, around, VALUES, {}, max_size=64)))
    assert max(tall.shape[1:]) == 64
    in_metres = parts.part(scene, around, Output("tif"), {}, dst_crs="EPSG:3857")
    with MemoryFile(in_metres) as memory, memory.open() as tif:
        assert tif.crs.to_epsg() == 3857
    beside = np.load(io.BytesIO(parts.part(scene, (0, 0, 1, 1), VALUES, {}, size=(8, 8))))
    assert beside[-1].max() == 0


def test_a_polygon_hides_what_is_around_it(scene, square):
    triangle = {"type": "Polygon", "coordinates": [[*square["coordinates"][0][:3],
                                                     square["coordinates"][0][0]]]}  # fmt: skip
    whole = np.load(io.BytesIO(parts.feature(scene, square, VALUES, {})))
    half = np.load(io.BytesIO(parts.feature(scene, triangle, VALUES, {})))
    assert half.shape == whole.shape
    assert 0.4 < (half[-1] > 0).sum() / (whole[-1] > 0).sum() < 0.6
    inside = half[-1] > 0
    np.testing.assert_array_equal(half[:, inside], whole[:, inside])


def test_a_preview_is_the_whole_raster(scene, photo):
    picture = Image.open(io.BytesIO(parts.preview(scene, Output("png"), {}, max_size=200)))
    assert max(picture.size) == 200 and picture.mode == "RGBA"
    small = Image.open(io.BytesIO(parts.preview(scene, Output("png"), {}, size=(50, 20))))
    assert small.size == (50, 20)
    body = parts.preview(photo, Output("tif", every_band=True), {}, max_size=4096)
    with MemoryFile(body) as memory, memory.open() as found, rasterio.open(photo.path) as file:
        assert found.bounds == file.bounds
        np.testing.assert_array_equal(found.read(), file.read())


def test_the_thumbnail_is_the_preview(photo):
    seen = parts.preview(photo, Output("jpg", quality=85), {}, max_size=256)
    assert render.thumbnail(photo, 256, 256) == seen


def test_a_point_is_the_pixel_there(scene):
    with rasterio.open(scene.path) as file:
        x, y = file.xy(1500, 1400)
        expected = [int(v) for v in file.read(window=((1500, 1501), (1400, 1401))).ravel()]
        hidden = file.xy(1001, 1001)
    found = describe.point(scene, x, y, crs="EPSG:32633")
    assert found["values"] == expected
    assert found["band_descriptions"] == ["blue", "green", "red", "nir"]
    longitude, latitude = Transformer.from_crs(32633, 4326, always_xy=True).transform(x, y)
    assert describe.point(scene, longitude, latitude)["values"] == expected
    index = describe.point(scene, longitude, latitude, expression="nir / red; nir")
    assert index["values"] == pytest.approx([expected[3] / expected[2], expected[3]])
    assert describe.point(scene, *hidden, crs="EPSG:32633")["values"] == [None] * 4
    assert describe.point(scene, 0, 0, bands="nir")["values"] == [None]


def test_statistics_are_of_every_pixel(scene):
    with rasterio.open(scene.path) as file:
        band = file.read(4)
    values = band[band != 0].astype(float)
    found = describe.statistics(scene, bands="nir", percentiles=(5, 50), bins=4)["b4"]
    assert found["exact"] is True and found["description"] == "nir"
    assert found["valid_pixels"] == values.size
    assert found["masked_pixels"] == band.size - values.size
    for name, expected in {
        "min": values.min(), "max": values.max(), "mean": values.mean(), "std": values.std(),
        "sum": values.sum(), "median": np.median(values), "unique": len(np.unique(values)),
        "percentile_5": np.percentile(values, 5), "percentile_50": np.median(values),
    }.items():  # fmt: skip
        assert found[name] == pytest.approx(expected), name
    counts, edges = np.histogram(values, bins=4)
    assert found["histogram"] == [counts.tolist(), pytest.approx(edges.tolist())]
    assert found["majority"] in values and found["minority"] in values


def test_statistics_of_a_formula_within_a_polygon(scene, square):
    found = describe.statistics(scene, geometry=square, expression="nir - red")["b1"]
    with rasterio.open(scene.path) as file:
        bands = file.read().astype(float)
        outline = transform_geom("EPSG:4326", file.crs, square)
        inside = geometry_mask([outline], file.shape, file.transform, invert=True)
    inside &= bands[3] != 0
    expected = (bands[3] - bands[2])[inside]
    assert found["mean"] == pytest.approx(expected.mean(), rel=1e-3)
    assert found["count"] == pytest.approx(expected.size, rel=1e-3)
    far = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    with pytest.raises(TileError) as refused:
        describe.statistics(scene, geometry=far)
    assert refused.value.status == 422


def test_classes_are_counted(write_cog, source_of):
    data = np.repeat(np.array([3, 3, 9], np.uint8), 300).reshape(1, 30, 30)
    found = describe.statistics(source_of(write_cog("counted-classes", data)), categorical=True)[
        "b1"
    ]
    assert found["histogram"] == [[600, 300], [3, 9]]
    assert (found["majority"], found["minority"], found["unique"]) == (3, 9, 2)


def test_info_says_what_the_file_is(scene):
    found = describe.info(scene)
    with rasterio.open(scene.path) as file:
        assert found["bounds"] == list(file.bounds)
        assert (found["width"], found["height"], found["count"]) == (file.width, file.height, 4)
    assert found["crs"].endswith("/32633")
    assert (found["nodata_type"], found["nodata_value"], found["dtype"]) == ("Nodata", 0, "uint16")
    json.dumps(found, allow_nan=False)
    outline = describe.outline(scene)
    assert outline["geometry"]["type"] == "Polygon"
    assert outline["properties"] == found


async def test_the_routes_answer(client, square):
    for path, media_type in (
        ("/info", "application/json"),
        ("/info.geojson", "application/geo+json"),
        ("/statistics?bands=1&p=5&p=95", "application/json"),
        ("/point/15.1,47.8", "application/json"),
        ("/preview.png", "image/png"),
        ("/preview/64x64.npy", encode.MEDIA_TYPES["npy"]),
        ("/bbox/15,47.8,15.1,47.9.png", "image/png"),
        ("/bbox/15,47.8,15.1,47.9/32x16.tif", encode.MEDIA_TYPES["tif"]),
        ("/bbox/500000,5290000,501000,5291000.jpg?coord_crs=EPSG:32633", "image/jpeg"),
    ):
        answer = await client.get(ITEM + path)
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["content-type"] == media_type
        sent = {"If-None-Match": answer.headers["etag"]}
        assert (await client.get(ITEM + path, headers=sent)).status_code == 304
    assert (await client.post(f"{ITEM}/feature.png", json=square)).content.startswith(b"\x89PNG")
    feature = {"type": "Feature", "geometry": square, "properties": {"name": "here"}, "id": 7}
    found = (await client.post(f"{ITEM}/statistics", json=feature)).json()
    assert (found["id"], found["properties"]["name"]) == (7, "here")
    assert found["properties"]["statistics"]["b1"]["count"] > 0
    both = {"type": "FeatureCollection", "features": [feature, feature]}
    found = (await client.post(f"{ITEM}/statistics", json=both)).json()
    assert [f["id"] for f in found["features"]] == [7, 7]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/bbox/1,2,3.png", 404), ("/bbox/a,2,3,4.png", 422), ("/bbox/3,2,1,4.png", 200),
        ("/bbox/1,4,3,2.png", 422), ("/bbox/1,2,3,400.png", 422), ("/bbox/nan,2,3,4.png", 422),
        ("/bbox/1,2,3,4/0x5.png", 404), ("/bbox/1,2,3,4/5x5000.png", 404),
        ("/bbox/1,2,3,4.png?width=5", 422), ("/bbox/1,2,3,4.png?dst_crs=EPSG:1", 422),
        ("/bbox/1,2,3,4.png?dst_crs=/etc/passwd", 422), ("/bbox/1,2,3,4.gif", 404),
        ("/bbox/1,2,3,4/4096x4096.npy", 422), ("/preview.png?max_size=0", 422),
        ("/point/a,b", 422), ("/point/1,91", 422), ("/point/1,2?bands=9", 422),
        ("/point/1,2?profile=infrared", 422), ("/statistics?p=101", 422),
        ("/statistics?histogram_bins=0", 422), ("/statistics?histogram_range=2,1", 422),
        ("/statistics?categorical=maybe", 422), ("/info?bands=1", 422), ("/nothing", 404),
    ],
)  # fmt: skip
async def test_what_cannot_be_answered_says_why(client, path, status):
    answer = await client.get(ITEM + path)
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json()["title"] and answer.json()["status"] == status


@pytest.mark.parametrize(
    "body",
    ["", "x", "null", "[]", "{}", '{"type":"Point","coordinates":[1,2]}',
     '{"type":"Polygon","coordinates":[]}', '{"type":"Polygon","coordinates":[[[1,2],[3,4]]]}',
     '{"type":"Polygon","coordinates":[[[1,2],[3,"x"],[5,6],[1,2]]]}',
     '{"type":"Polygon","coordinates":[[[1,2],[1,2],[1,2],[1,2]]]}',
     '{"type":"Polygon","coordinates":[[[1e400,2],[1,2],[1,2],[1,2]]]}',
     '{"type":"Polygon","coordinates":[[[NaN,2],[1,2],[1,2],[1,2]]]}',
     '{"type":"MultiPolygon","coordinates":[[],[[[1,2],[3,4],[5,6],[1,2]]]]}',
     '{"type":"Polygon","coordinates":[["1234","1234","1234","1234"]]}',
     '{"type":"Polygon","coordinates":[[{"0":1},{"0":1},{"0":1},{"0":1}]]}',
     '{"type":"FeatureCollection","features":[]}', "[" * 100_000],
)  # fmt: skip
async def test_a_body_that_is_no_polygon_is_refused(client, body):
    for path in ("/feature.png", "/statistics"):
        answer = await client.post(ITEM + path, content=body)
        assert answer.status_code == 422, answer.text
        assert all("loc" in fault for fault in answer.json()["detail"])
    long = await client.post(ITEM + "/feature.png", content=b" " * (5 << 20))
    assert long.status_code == 413


async def test_heights_of_a_polygon_are_left_out(client, square):
    """Whatever stands in their place: some positions have one and others not."""
    odd = {**square, "coordinates": [[[*p, z] for p, z in zip(ring, [1, "x", [2], None, {}],
                                                             strict=False)]
                                     for ring in square["coordinates"]]}  # fmt: skip
    odd["coordinates"][0].append(square["coordinates"][0][0])
    for path in ("/feature.npy", "/statistics"):
        plain = await client.post(ITEM + path, json=square)
        answer = await client.post(ITEM + path, json=odd)
        assert answer.status_code == 200, answer.text
        if path == "/feature.npy":
            assert answer.content == plain.content


def _rings(square) -> dict[str, list]:
    """Rings of 50,000 positions in a square: round, of rays, and a comb."""
    (west, south), (east, north) = square["coordinates"][0][0], square["coordinates"][0][2]
    count = 50_000
    turn = np.linspace(0, 2 * np.pi, count)
    longer = np.where(np.arange(count) % 2, 1.0, 0.2)
    middle = np.array([(west + east) / 2, (south + north) / 2])
    radius = np.array([(east - west) / 2, (north - south) / 2])
    around = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    across = np.repeat(np.linspace(west, east, count // 2), 2)
    along = np.tile([south + radius[1] / 9, north, north, south + radius[1] / 9], count // 4)
    comb = np.stack([across, along], axis=1).tolist()
    found = {
        "round": (middle + radius * around).tolist(),
        "rays": (middle + radius * around * longer[:, None]).tolist(),
        "comb": [[west, south], *comb, [east, south]],
    }
    return {name: [*ring[:-1], ring[-1], ring[0]] for name, ring in found.items()}


async def test_a_polygon_of_many_vertices_is_drawn_or_refused_at_once(client, square, monkeypatch):
    """Filling costs as often as edges cross rows; to see whether one is sound, pairs of edges."""
    filled = []
    fill = draw.geometry_mask
    monkeypatch.setattr(draw, "geometry_mask", lambda *a: filled.append(a) or fill(*a))
    rings = _rings(square)
    for name, said in (
        ("round", None),
        ("rays", "too many edges beside each other"),
        ("comb", "edges that cross rows of pixels"),
    ):
        body = json.dumps({"type": "Polygon", "coordinates": [rings[name]]})
        answer = await client.post(f"{ITEM}/feature/512x512.npy", content=body)
        if said is None:
            assert answer.status_code == 200, answer.text
        else:
            assert answer.status_code == 422 and said in answer.text, answer.text
    assert len(filled) == 1
    # to the last digit of what is allowed
    half = {"type": "Polygon", "coordinates": [rings["comb"][:20_000] + rings["comb"][:1]]}
    monkeypatch.setattr(geojson, "MAX_CROSSINGS", 15_000)
    assert (await client.post(f"{ITEM}/feature/1x1.npy", json=half)).status_code == 200
    for path in ("/feature/2x2.npy", "/statistics"):
        refused = await client.post(ITEM + path, json=half)
        assert refused.status_code == 422 and "at most 15000" in refused.text, refused.text


async def test_parts_that_overlap_are_one_area(client, square):
    (west, south), (east, north) = square["coordinates"][0][0], square["coordinates"][0][2]
    middle = (west + east) / 2
    inner = (west + 3 * middle) / 4
    parts = [
        [[[a, south], [b, south], [b, north], [a, north], [a, south]]]
        for a, b in ((west, middle), (inner, east))
    ]
    both = {"type": "MultiPolygon", "coordinates": parts}
    answer = await client.post(f"{ITEM}/statistics", json=both)
    whole = await client.post(f"{ITEM}/statistics", json=square)
    assert answer.status_code == 200, answer.text
    found, expected = (a.json()["properties"]["statistics"] for a in (answer, whole))
    assert found == expected


async def test_a_polygon_that_crosses_itself_is_the_area_it_means(client, square):
    (a, b, c, d, _) = square["coordinates"][0]
    bow = {"type": "Polygon", "coordinates": [[a, c, b, d, a]]}
    middle = [(a[0] + c[0]) / 2, (a[1] + c[1]) / 2]
    halves = {
        "type": "MultiPolygon",
        "coordinates": [[[a, middle, d, a]], [[middle, b, c, middle]]],
    }
    counted = []
    for shape in (bow, halves):
        answer = await client.post(f"{ITEM}/statistics?bands=1", json=shape)
        assert answer.status_code == 200, answer.text
        counted.append(answer.json()["properties"]["statistics"]["b1"]["count"])
    assert 0 < counted[0] == pytest.approx(counted[1], rel=0.02)


def test_a_polygon_of_endless_crossings_is_refused():
    ring = [[n * 104_729 % 5_003 / 5_003, n * 7919 % 5_009 / 5_009] for n in range(5_000)]
    with pytest.raises(InvalidParameter, match="crosses itself too often"):
        geojson.polygon({"type": "Polygon", "coordinates": [[*ring, ring[0]]]}, "body")


def test_a_polygon_that_goes_to_and_fro_is_refused_before_its_edges_are_divided(scene):
    west, south, east, north = datasets.header_of(scene).geographic_bounds
    teeth = 20_000
    side = [[west + (east - west) * n / teeth / 2, (south, north)[n // 2 % 2]]
            for n in range(2 * teeth)]  # fmt: skip
    comb = [*side, [east, south - 1], [west, south - 1], side[0]]
    with pytest.raises(TileError, match="to and fro"):
        describe.statistics(scene, geometry={"type": "Polygon", "coordinates": [comb]})


def test_an_antimeridian_box_is_one_box(write_cog, source_of, texture):
    data = np.clip(100 + 20 * texture(256, 256, 1), 1, 255).astype(np.uint8)
    transform = rasterio.Affine(10, 0, 694000, 0, -10, 6010000)
    source = source_of(write_cog("fiji", data, crs="EPSG:32660", transform=transform))
    west, south, east, north = datasets.header_of(source).geographic_bounds
    if west < east:
        pytest.fail("the raster of this test crosses the antimeridian")
    found = np.load(io.BytesIO(parts.part(source, (west, south, east, north), VALUES, {})))
    assert (found[-1] > 0).mean() > 0.5
    for refused in ((east, south, west, south), (1, 1, 1, 2)):
        with pytest.raises(InvalidParameter):
            parts.part(source, refused, VALUES, {})
