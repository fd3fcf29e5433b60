"""Mosaics of a collection and of a saved search, over the wire."""

import io
import json
import math

import numpy as np
import pytest
from PIL import Image

Z = 13


async def test_the_newest_shows_and_what_it_lacks_shows_through(scenes):
    old = await scenes.add((10, 10, 10), day=1)
    new = await scenes.add((200, 100, 50), day=2, hole=True)
    assert (await scenes.pixel(at=400))[0] == (200, 100, 50, 255)
    color, answer = await scenes.pixel(at=100)
    assert color == (10, 10, 10, 255)
    assert old in answer.headers["x-mosaic-items"].split(",")
    color, answer = await scenes.pixel(at=300)
    assert answer.headers["x-mosaic-items"].split(",")[0] == new


async def test_pixel_selections(scenes):
    for day, value, cloud in ((1, 10, 5.0), (2, 60, 80.0), (3, 200, None)):
        await scenes.add((value,) * 3, day=day, cloud=cloud)
    expected = {"newest": 200, "oldest": 10, "least_cloudy": 10, "min": 10, "max": 200,
                "mean": 90, "median": 60, "first": 200}  # fmt: skip
    for selection, value in expected.items():
        color, _ = await scenes.pixel(selection=selection)
        assert color == (value, value, value, 255), selection
    color, _ = await scenes.pixel(selection="first", sortby="eo:cloud_cover")
    assert color[0] == 10
    color, _ = await scenes.pixel(
        selection="first", sortby="-eo:cloud_cover", filter="eo:cloud_cover > 0"
    )
    assert color[0] == 60


async def test_restrictions_choose_the_items(scenes):
    for day, value, cloud in ((1, 10, 5.0), (2, 60, 80.0), (3, 200, 40.0)):
        await scenes.add((value,) * 3, day=day, cloud=cloud)
    assert (await scenes.pixel(datetime="../2026-01-02T12:00:00Z"))[0][0] == 60
    assert (await scenes.pixel(filter="eo:cloud_cover < 50 and eo:cloud_cover > 10"))[0][0] == 200


async def test_a_restriction_that_nothing_meets_is_a_clear_tile(scenes):
    await scenes.add((10, 10, 10))
    for params in ({"bbox": "0,0,1,1"}, {"datetime": "1999-01-01T00:00:00Z"}):
        color, _ = await scenes.pixel(**params)
        assert color[3] == 0
        assert (await scenes.get("tilejson.json", **params)).status_code == 404


async def test_a_median_of_too_many_pixels_is_refused(scenes):
    await scenes.add((10, 10, 10))
    from tiler.mosaic import draw

    kept, draw.MAX_STACK_BYTES = draw.MAX_STACK_BYTES, 1000
    try:
        z, x, y, _, _ = scenes.place(128)
        answer = await scenes.get(f"{z}/{x}/{y}.png", selection="median")
    finally:
        draw.MAX_STACK_BYTES = kept
    assert answer.status_code == 422 and "limit" in answer.text


async def test_a_mosaic_of_one_item_is_the_items_own_tile(scenes):
    item = await scenes.add((200, 100, 50))
    z, x, y, _, _ = scenes.place(128)
    own = await scenes.get(f"{z}/{x}/{y}.png", mosaic=f"items/{item}", rescale="0,255")
    both = await scenes.get(f"{z}/{x}/{y}.png", rescale="0,255")
    assert own.content == both.content


async def test_one_stretch_for_all_items(scenes):
    """Neighbours with other values are shown by the same range: 40 is darker than 80 everywhere."""
    for shift, value in ((0, 40), (512, 80), (1024, 120)):
        await scenes.add((value,) * 3, shift=shift)
    seen = []
    for shift in (0, 512, 1024):
        color, _ = await _default(scenes, shift)
        seen.append(color[0])
    assert seen == sorted(set(seen)) and len(seen) == 3
    described = (await scenes.get("tilejson.json")).json()
    assert "rescale=" in described["tiles"][0]


async def _default(scenes, shift):
    z, x, y, column, row = scenes.place(shift + 128)
    answer = await scenes.get(f"{z}/{x}/{y}.png")
    picture = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
    return tuple(int(v) for v in picture[row, column]), answer


async def test_misfits_are_left_out_and_told(scenes):
    await scenes.add((10, 10, 10), day=1)
    await scenes.add((20, 20, 20), day=2)
    grey = await scenes.add((99,), day=8, names=("height",))
    gone = await scenes.add((99, 99, 99), day=9, broken=True)
    color, answer = await scenes.pixel()
    assert color == (20, 20, 20, 255)
    told = dict(json.loads(answer.headers["x-mosaic-skipped"]))
    assert "red" in told[grey] and "TIFF" in told[gone]


async def test_bands_are_found_by_name(scenes):
    await scenes.add((10, 20, 30), day=1)
    await scenes.add((30, 20, 10, 40), day=2, names=("blue", "green", "red", "nir"), shift=512)
    await scenes.add((10, 20, 30), day=3, shift=1024)
    assert (await scenes.pixel(bands="red,green,blue"))[0] == (10, 20, 30, 255)
    assert (await scenes.pixel(shift=512, bands="red,green,blue"))[0] == (10, 20, 30, 255)


async def test_a_formula_over_a_mosaic(scenes):
    names = ("red", "nir")
    await scenes.add((50, 150), names=names, day=1)
    await scenes.add((100, 100), names=names, day=2, hole=True)
    params = {"expression": "(nir-red)/(nir+red)", "rescale": "-1,1"}
    assert (await scenes.pixel(at=400, **params))[0][0] == 127
    assert (await scenes.pixel(at=100, **params))[0][0] == int(1.5 / 2 * 255)
    assert (await scenes.pixel(at=400, selection="mean", **params))[0][0] == int(1.25 / 2 * 255)
    answer = await scenes.get(f"{Z}/0/0.png", expression="(nir-rde)/2")
    assert answer.status_code == 422
    assert "red" in json.dumps(answer.json()["detail"])


async def test_another_scale_is_converted(scenes):
    one = {"names": ("red", "green", "blue"), "dtype": "int16"}
    await scenes.add((100, 100, 100), day=1, scale=(0.1, 0.0), **one)
    await scenes.add((100, 100, 100), day=2, scale=(0.1, 0.0), shift=512, **one)
    await scenes.add((20, 20, 20), day=3, scale=(0.5, 5.0), **one)  # 15, which is 150 at 0.1
    assert (await scenes.pixel())[0][0] == 150


async def test_a_new_item_and_a_deleted_one_show_at_once(scenes):
    await scenes.add((10, 10, 10), day=1)
    color, first = await scenes.pixel()
    assert color[0] == 10
    new = await scenes.add((77, 77, 77), day=2)
    color, second = await scenes.pixel()
    assert color[0] == 77 and second.headers["etag"] != first.headers["etag"]
    z, x, y, _, _ = scenes.place(128)
    headers = {"Authorization": f"Bearer {scenes.owner.token}"}
    again = await scenes.api.client.get(
        scenes.url(f"{z}/{x}/{y}.png"),
        params={"rescale": "0,255"},
        headers={**headers, "If-None-Match": second.headers["etag"]},
    )
    assert again.status_code == 304
    await scenes.api.ok("items.delete", {"item_id": new}, as_=scenes.owner)
    color, third = await scenes.pixel()
    assert color[0] == 10 and third.headers["etag"] == first.headers["etag"]


async def test_tilejson_holds_a_token_that_opens_this_mosaic_alone(scenes):
    await scenes.add((10, 20, 30))
    other = await scenes.api.ok(
        "collections.create", {"name": "Other", "project_id": scenes.project}, as_=scenes.owner
    )
    other_id = other.get("id") or other["collection"]["id"]
    described = (await scenes.get("tilejson.json")).json()
    assert described["minzoom"] <= described["maxzoom"]
    west, south, east, north = described["bounds"]
    assert 14 < west < east < 16 and 47 < south < north < 48
    z, x, y, _, _ = scenes.place(128)
    url = described["tiles"][0].format(z=z, x=x, y=y)
    assert (await scenes.api.client.get(url)).status_code == 200
    foreign = url.replace(scenes.collection, other_id)
    assert (await scenes.api.client.get(foreign)).status_code == 404
    assert (await scenes.api.client.get(url.split("?")[0])).status_code == 401
    broken = url[:-4] + "AAAA"
    assert (await scenes.api.client.get(broken)).status_code == 401


async def test_nothing_of_another_organization(scenes):
    await scenes.add((10, 20, 30))
    stranger = await scenes.api.organization("Other")
    for what in ("tilejson.json", f"{Z}/1/1.png"):
        assert (await scenes.get(what, as_=stranger)).status_code == 404
        assert (await scenes.get(what, mosaic="collections/col_none")).status_code == 404


async def test_members_see_the_mosaics_of_their_projects_alone(scenes):
    await scenes.add((10, 20, 30))
    member = await scenes.api.member(scenes.owner, "member")
    assert (await scenes.get("tilejson.json", as_=member)).status_code == 404
    await scenes.api.ok(
        "projects.add_member",
        {"project_id": scenes.project, "user_id": member.user_id, "role": "viewer"},
        as_=scenes.owner,
    )
    described = await scenes.get("tilejson.json", as_=member)
    assert described.status_code == 200
    z, x, y, _, _ = scenes.place(128)
    url = described.json()["tiles"][0].format(z=z, x=x, y=y)
    assert (await scenes.api.client.get(url)).status_code == 200


async def test_an_item_outside_of_the_callers_projects_is_in_no_search(scenes):
    """A search of the whole organization, drawn for one who sees a part of it, and by his token."""
    other = await scenes.api.project(scenes.owner, "Other")
    made = await scenes.api.ok(
        "collections.create", {"name": "There", "project_id": other}, as_=scenes.owner
    )
    there = made.get("id") or made["collection"]["id"]
    await scenes.add((10, 10, 10), day=1)
    mine, scenes.project = scenes.project, other
    await scenes.add((200, 200, 200), day=2, collection=there)
    scenes.project = mine
    search = await scenes.api.ok(
        "saved_searches.create", {"name": "All", "search": {}}, as_=scenes.owner
    )
    mosaic = f"searches/{search['id']}"
    assert (await scenes.pixel(mosaic=mosaic))[0][0] == 200
    member = await scenes.api.member(scenes.owner, "member")
    z, x, y, column, row = scenes.place(128)
    assert (await scenes.get("tilejson.json", mosaic=mosaic, as_=member)).status_code == 404
    await scenes.api.ok(
        "projects.add_member",
        {"project_id": mine, "user_id": member.user_id, "role": "viewer"},
        as_=scenes.owner,
    )
    assert (await scenes.pixel(mosaic=mosaic, as_=member))[0][0] == 10
    described = (
        await scenes.get("tilejson.json", mosaic=mosaic, as_=member, rescale="0,255")
    ).json()
    answer = await scenes.api.client.get(
        described["tiles"][0].replace(".webp", ".png").format(z=z, x=x, y=y)
    )
    shown = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
    assert shown[row, column, 0] == 10


async def test_a_saved_search_is_a_layer(scenes):
    for day, value, cloud in ((1, 10, 5.0), (2, 60, 80.0)):
        await scenes.add((value,) * 3, day=day, cloud=cloud)
    made = await scenes.api.ok(
        "saved_searches.create",
        {
            "name": "Clear",
            "project_id": scenes.project,
            "search": {"filter": "eo:cloud_cover < 50", "collections": [scenes.collection]},
        },
        as_=scenes.owner,
    )
    mosaic = f"searches/{made['id']}"
    assert (await scenes.pixel(mosaic=mosaic))[0][0] == 10
    described = (await scenes.get("tilejson.json", mosaic=mosaic)).json()
    assert described["name"] == "Clear"
    z, x, y, _, _ = scenes.place(128)
    assert (
        await scenes.api.client.get(described["tiles"][0].format(z=z, x=x, y=y))
    ).status_code == 200
    stranger = await scenes.api.organization("Other")
    assert (await scenes.get("tilejson.json", mosaic=mosaic, as_=stranger)).status_code == 404


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"selection": "best"}, 422),
        ({"limit": "0"}, 422),
        ({"limit": "201"}, 422),
        ({"filter": "eo:cloud_cover <"}, 422),
        ({"filter": "a" * 5000}, 422),
        ({"filter": "(" * 3000}, 422),
        ({"datetime": "yesterday"}, 422),
        ({"bbox": "1,2,3"}, 422),
        ({"bbox": "nan,0,1,1"}, 422),
        ({"sortby": "geometry"}, 422),
        ({"profile": "none such"}, 404),
        ({"asset_key": "none such"}, 404),
        ({"expression": "__import__('os')"}, 422),
        ({"bands": "purple"}, 422),
        ({"rescale": "5,1"}, 422),
        ({"unknown": "1"}, 422),
    ],
)
async def test_refusals(scenes, params, status):
    await scenes.add((10, 20, 30))
    answer = await scenes.get(f"{Z}/1/1.png", **params)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_empty_collection_and_addresses_beyond_the_map(scenes):
    assert (await scenes.get("tilejson.json")).status_code == 404
    await scenes.add((10, 20, 30))
    assert (await scenes.get("40/1/1.png")).status_code == 404
    assert (await scenes.get(f"{Z}/1/1.gif")).status_code == 404
    empty = await scenes.get(f"{Z}/1/1.png")
    assert empty.status_code == 200
    assert not np.asarray(Image.open(io.BytesIO(empty.content)).convert("RGBA"))[..., 3].any()


async def test_another_tile_matrix_set(scenes):
    await scenes.add((10, 20, 30))
    described = (await scenes.get("WorldCRS84Quad/tilejson.json")).json()
    z = described["maxzoom"]
    west, south, east, north = described["bounds"]
    side = 180 / 2**z
    x, y = (
        math.floor(((west + east) / 2 + 180) / side),
        math.floor((90 - (south + north) / 2) / side),
    )
    answer = await scenes.api.client.get(described["tiles"][0].format(z=z, x=x, y=y))
    assert answer.status_code == 200
    shown = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
    assert (shown[..., 3] == 255).mean() > 0.1


async def test_legends_of_an_item_and_a_collection(scenes):
    item = await scenes.add((10, 20, 30))
    for kind, of in (("items", item), ("collections", scenes.collection)):
        url = f"/api/v1/{kind}/{of}/legend"
        headers = {"Authorization": f"Bearer {scenes.owner.token}"}
        client = scenes.api.client
        found = (await client.get(f"{url}.json", headers=headers)).json()
        assert [entry["label"] for entry in found["entries"]] == ["red", "green", "blue"]
        one = await client.get(f"{url}.json", params={"bands": "red"}, headers=headers)
        assert one.json()["kind"] == "continuous"
        assert (await client.get(f"{url}.png", headers=headers)).content.startswith(b"\x89PNG")
        assert (await client.get(f"{url}.svg", headers=headers)).content.startswith(b"<svg")
        assert (await client.get(f"{url}.gif", headers=headers)).status_code == 404
        wrong = await client.get(f"{url}.svg", params={"bands": "purple"}, headers=headers)
        assert wrong.status_code == 422
        assert (await client.get(f"{url}.png")).status_code == 401
        stranger = await scenes.api.organization("Other")
        headers = {"Authorization": f"Bearer {stranger.token}"}
        assert (await client.get(f"{url}.png", headers=headers)).status_code == 404


async def test_a_filter_may_name_collections(scenes):
    await scenes.add((10, 10, 10))
    named = {"filter": f"collection = '{scenes.collection}'"}
    assert (await scenes.pixel(**named))[0] == (10, 10, 10, 255)
    assert (await scenes.pixel(filter="collection = 'x'"))[0][3] == 0
