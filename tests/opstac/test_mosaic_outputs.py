"""Values, heights and small zooms of mosaics, over the wire."""

import io
from itertools import pairwise

import morecantile
import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rasterio.warp import transform

from tiler.mosaic.layer import around

HEIGHTS = ("elevation",)


def array(answer) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.load(io.BytesIO(answer.content))


async def test_values_are_the_items_own(scenes):
    item = await scenes.add((200, 100, 50))
    z, x, y, column, row = scenes.place(128)
    for params in ({}, {"bands": "red"}, {"expression": "(red-green)/(red+green)"}):
        own = array(await scenes.get(f"{z}/{x}/{y}.npy", mosaic=f"items/{item}", **params))
        both = array(await scenes.get(f"{z}/{x}/{y}.npy", **params))
        assert own.dtype == both.dtype
        np.testing.assert_array_equal(own, both)
    assert both[0, row, column] == pytest.approx(1 / 3) and both[-1, row, column] == 255


async def test_values_of_several_items(scenes):
    await scenes.add((10, 20, 30), day=1)
    await scenes.add((200, 100, 50), day=2, hole=True)
    z, x, y, column, row = scenes.place(400)
    newest = array(await scenes.get(f"{z}/{x}/{y}.npy"))
    assert newest.dtype == np.uint8 and newest[:, row, column].tolist() == [200, 100, 50, 255]
    mean = array(await scenes.get(f"{z}/{x}/{y}.npy", selection="mean"))
    assert mean.dtype == np.float32 and mean[:, row, column].tolist() == [105, 60, 40, 255]
    answer = await scenes.get(f"{z}/{x}/{y}.tif", selection="max", bands="red,blue")
    with rasterio.open(io.BytesIO(answer.content)) as found:
        assert found.descriptions == ("red", "blue") and found.crs.to_epsg() == 3857
        assert found.read()[:, row, column].tolist() == [200, 50]
    z, x, y, _, _ = scenes.place(100_000)
    nothing = array(await scenes.get(f"{z}/{x}/{y}.npy", bands="red"))
    assert nothing.shape == (2, 256, 256) and not nothing.any()


async def test_scaled_values(scenes):
    await scenes.add((100,), dtype="uint16", names=("t",), scale=(0.5, 10))
    z, x, y, column, row = scenes.place(128)
    stored = array(await scenes.get(f"{z}/{x}/{y}.npy"))
    scaled = array(await scenes.get(f"{z}/{x}/{y}.npy", unscale="true"))
    assert (stored[0, row, column], scaled[0, row, column]) == (100, 60)


async def test_values_of_no_item_are_refused(scenes):
    await scenes.add((10, 10, 10))
    answer = await scenes.get("0/0/0.npy", datetime="1999-01-01T00:00:00Z")
    assert answer.status_code == 404 and "no item" in answer.json()["detail"]


async def test_heights_of_one_item_are_that_items(scenes):
    slope = np.broadcast_to(np.arange(1, 513, dtype="int16")[None, None] * 4, (1, 512, 512))
    item = await scenes.add(slope, dtype="int16", names=HEIGHTS)
    z, x, y, column, row = scenes.place(256)
    for name in ("hillshade", "slope", "aspect", "terrainrgb", "terrarium"):
        own = await scenes.get(f"{z}/{x}/{y}.png", mosaic=f"items/{item}", algorithm=name)
        both = await scenes.get(f"{z}/{x}/{y}.png", algorithm=name)
        assert both.status_code == 200, both.text
        assert own.content == both.content, name
    answer = await scenes.get(f"{z}/{x}/{y}.png", algorithm="slope", rescale="0,90")
    # 4 m of height a pixel of 10 m: 21.8 degrees
    assert abs(int(scenes.picture(answer)[row, column, 0]) - 21.8 / 90 * 255) <= 1.5


async def test_no_seam_between_the_items_of_a_slope(scenes):
    """Two halves of one slope have the hillshade of the whole at the line where they meet."""
    whole = np.arange(1, 1025, dtype="int16") * 4
    for shift in (0, 512):
        part = np.broadcast_to(whole[shift : shift + 512][None, None], (1, 512, 512))
        await scenes.add(part, dtype="int16", names=HEIGHTS, shift=shift)
    z, x, y, column, row = scenes.place(512)
    answer = await scenes.get(f"{z}/{x}/{y}.png", algorithm="hillshade")
    shade = scenes.picture(answer)[row, max(0, column - 8) : column + 8, 0]
    assert np.ptp(shade.astype(int)) <= 1 and shade[0] > 0


async def test_a_picture_of_codes_is_png_in_documents(scenes):
    await scenes.add((100,), dtype="int16", names=HEIGHTS)
    for mosaic in (None, f"items/{await scenes.add((90,), dtype='int16', names=HEIGHTS)}"):
        found = await scenes.get("tilejson.json", mosaic=mosaic, algorithm="terrainrgb")
        assert ".png?" in found.json()["tiles"][0], found.text
        assert (await scenes.get("tilejson.json", mosaic=mosaic, algorithm="x")).status_code == 422
    z, x, y, _, _ = scenes.place(128)
    assert (await scenes.get(f"{z}/{x}/{y}.webp", algorithm="terrainrgb")).status_code == 422
    headers = {"Authorization": f"Bearer {scenes.owner.token}"}
    wmts = await scenes.api.client.get(
        f"/api/v1/collections/{scenes.collection}/wmts",
        params={"algorithm": "terrainrgb"},
        headers=headers,
    )
    assert "image/png" in wmts.text and "image/webp" not in wmts.text


async def test_legends_of_a_saved_search(scenes):
    await scenes.add((100,), dtype="int16", names=HEIGHTS)
    search = await scenes.api.ok(
        "saved_searches.create",
        {
            "name": "Heights",
            "project_id": scenes.project,
            "search": {"collections": [scenes.collection]},
        },
        as_=scenes.owner,
    )
    get = scenes.api.client.get
    owner = {"Authorization": f"Bearer {scenes.owner.token}"}
    path = f"/api/v1/searches/{search['id']}/legend"
    found = await get(f"{path}.json", params={"rescale": "0,50"}, headers=owner)
    assert found.json()["range"] == [0, 50] and found.json()["title"] == "elevation"
    slopes = await get(f"{path}.json", params={"algorithm": "slope"}, headers=owner)
    assert slopes.json()["unit"] == "degrees"
    picture = await get(f"{path}.png", headers=owner)
    assert Image.open(io.BytesIO(picture.content)).size[0] > 100
    drawing = await get(f"{path}.svg", headers=owner)
    assert drawing.headers["content-type"].startswith("image/svg+xml")
    # opened as a page it runs nothing
    assert drawing.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in drawing.headers["content-security-policy"]
    stranger = await scenes.api.organization("Other")
    foreign = {"Authorization": f"Bearer {stranger.token}"}
    assert (await get(f"{path}.json", headers=foreign)).status_code == 404
    assert (await get(f"{path}.json")).status_code == 401


async def test_all_items_show_on_a_small_map(scenes):
    """With one item looked at, the others are there all the same, in their mean colour."""
    shifts = range(0, 5 * 512, 512)
    for day, shift in enumerate(shifts, start=1):
        await scenes.add((day * 40, 100, 50), day=day, shift=shift)
    seen = set()
    for shift in shifts:
        color, answer = await scenes.pixel(at=256, shift=shift, limit="1")
        assert color == ((shift // 512 + 1) * 40, 100, 50, 255)
        seen.add(answer.headers.get("x-mosaic-sketched"))
    assert seen - {None}  # of a tile with one item alone, nothing is sketched
    for params, expected in (
        ({"expression": "red/2+green", "rescale": "0,255"}, 40 / 2 + 100),
        ({"bands": "red", "rescale": "0,255"}, 40),
    ):
        color, _ = await scenes.pixel(at=400, shift=0, limit="1", **params)
        assert color[0] == pytest.approx(expected, abs=1) and color[3] == 255
    # a statistic counts pixels, not patches
    z, x, y, _, _ = scenes.place(256)
    answer = await scenes.get(f"{z}/{x}/{y}.png", limit="1", selection="mean")
    assert "x-mosaic-sketched" not in answer.headers


async def test_what_is_sketched_is_told_and_follows_its_items(scenes):
    await scenes.add((200, 10, 10), day=2, shift=512)
    first = await scenes.add((40, 10, 10), day=1)
    answer = await scenes.get("5/17/11.png", limit="1", rescale="0,255")
    assert answer.headers["x-mosaic-sketched"] == "1"
    shown = scenes.picture(answer)
    assert (shown[shown[..., 3] == 255][:, 0]).max() == 200
    body = {"item_id": first}
    await scenes.api.ok("items.delete", body, as_=scenes.owner)
    again = await scenes.get("5/17/11.png", limit="1", rescale="0,255")
    assert again.headers["etag"] != answer.headers["etag"]
    assert "x-mosaic-sketched" not in again.headers


async def test_a_picture_that_lacks_an_unreadable_file_is_not_kept(scenes):
    await scenes.add((10, 10, 10), day=1)
    await scenes.add((200, 10, 10), day=2, broken=True)
    _, answer = await scenes.pixel()
    assert "etag" not in answer.headers and answer.headers["cache-control"] == "no-store"


def test_bounds_across_the_antimeridian():
    assert around([(170, -20, 175, -10), (-175, -30, -170, -15)]) == (170, -30, -170, -10)
    assert around([(175, 0, -175, 1), (178, 0, 179, 1)]) == (175, 0, -175, 1)
    assert around([(-180, -90, 180, 90), (0, 0, 1, 1)]) == (-180, -90, 180, 90)
    assert around([(10, 0, 20, 1), (30, 0, 40, 1)]) == (10, 0, 40, 1)


LONGITUDES = st.integers(-180, 180)


@given(st.lists(st.tuples(LONGITUDES, LONGITUDES), min_size=1, max_size=8))
def test_bounds_hold_every_box_the_shortest_way_round(pairs):
    boxes = [(float(west), 0.0, float(east), 1.0) for west, east in pairs]
    west, _, east, _ = around(boxes)
    width = east - west + 360 * (west > east)

    def inside(degree: float) -> bool:
        return (degree - west) % 360 <= width + 1e-9

    covered = set()
    for left, _, right, _ in boxes:
        span = right - left + 360 * (left > right)
        covered.update((left + step) % 360 for step in np.arange(0, span + 0.25, 0.5))
    assert all(inside(degree) for degree in covered)
    ordered = sorted(covered)
    gaps = [b - a for a, b in pairwise([*ordered, ordered[0] + 360])]
    assert width == pytest.approx(360 - max(gaps)) or (width == 360 and max(gaps) <= 0.5)


async def test_a_mosaic_over_the_antimeridian(scenes):
    """A raster in two halves of the world is one place, not a belt around it."""
    [easting], _ = transform("EPSG:4326", "EPSG:32660", [180], [47.83])
    await scenes.add((10, 20, 30), crs="EPSG:32660", west=easting - 2560)
    await scenes.add((10, 20, 30), crs="EPSG:32660", west=easting - 2560, shift=512)
    described = (await scenes.get("tilejson.json")).json()
    assert described["bounds"][::2] == [-180, 180]  # TileJSON has no other way to say it
    longitude, latitude, zoom = described["center"]
    assert abs(longitude) > 179.9 and zoom <= 4
    tms = morecantile.tms.get("WebMercatorQuad")
    for degrees in (179.99, -179.99, -179.95):
        tile = tms.tile(degrees, latitude, 13)
        answer = await scenes.get(f"{tile.z}/{tile.x}/{tile.y}.png", rescale="0,255")
        assert scenes.picture(answer)[..., 3].max() == 255, degrees
    wgs84 = (await scenes.get("WorldCRS84Quad/tilejson.json")).json()
    assert wgs84["tileMatrixSet"] == "WorldCRS84Quad" and abs(wgs84["center"][0]) > 179.9
