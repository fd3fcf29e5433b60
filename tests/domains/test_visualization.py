"""How items are drawn: profiles over the wire, exactly one the default, at once in every tile."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

RGB = {"type": "rgb", "config": {"bands": [3, 2, 1]}}
NDVI = {
    "type": "expression",
    "config": {"expression": "(nir - red) / (nir + red)", "colormap": "RdYlGn", "rescale": [-1, 1]},
}


@pytest.fixture
async def scene(api, catalogue):
    """(owner, item id, asset) of a Sentinel-2 scene of six named bands."""
    owner = await api.organization()
    item, assets = await catalogue.scene(owner, await api.project(owner))
    return owner, item["id"], assets[0]


async def listed(api, owner, item_id):
    answer = await api.ok("visualization.profiles.list", {"item_id": item_id}, as_=owner)
    assert answer["count"] == len(answer["profiles"])
    return answer["profiles"]


async def create(api, owner, item_id, name, **fields):
    body = {"item_id": item_id, "name": name, **RGB, **fields}
    return await api.ok("visualization.profile.create", body, as_=owner)


async def tile(api, owner, item_id, **params):
    """The tile in the middle of the item."""
    headers = {"Authorization": f"Bearer {owner.token}"}
    item = (await api.ok("items.get", {"item_id": item_id}, as_=owner))["item"]
    west, south, east, north = item["bbox"]
    longitude, latitude = (west + east) / 2, math.radians((south + north) / 2)
    x = int((longitude + 180) / 360 * 2**14)
    y = int((1 - math.asinh(math.tan(latitude)) / math.pi) / 2 * 2**14)
    path = f"/api/v1/items/{item_id}/tiles/14/{x}/{y}.png"
    return await api.client.get(path, headers=headers, params=params)


# ---------------------------------------------------------------- profiles


async def test_a_raster_comes_with_a_profile_of_its_own(api, scene):
    owner, item_id, asset = scene
    (auto,) = await listed(api, owner, item_id)
    assert (auto["name"], auto["layer"], auto["type"]) == ("auto", "auto", "rgb")
    assert auto["config"] == {"bands": [3, 2, 1]} and auto["is_default"]
    assert auto["asset_key"] == asset["key"] and auto["version"] == 1
    body = {"item_id": item_id, "profile_id": auto["id"]}
    assert (await api.ok("visualization.profile.get", body, as_=owner))["profile"] == auto


async def test_profiles_are_listed_by_their_order_and_then_by_age(api, scene):
    owner, item_id, _ = scene
    await create(api, owner, item_id, "late", sort_order=5)
    await create(api, owner, item_id, "early", sort_order=-1)
    await create(api, owner, item_id, "middle")
    assert [p["name"] for p in await listed(api, owner, item_id)] == [
        "early", "auto", "middle", "late",
    ]  # fmt: skip


async def test_a_profile_is_drawn_at_once_by_name_id_and_as_the_default(api, scene):
    owner, item_id, _ = scene
    first = await tile(api, owner, item_id)
    assert first.status_code == 200
    made = await create(api, owner, item_id, "greenness", **NDVI)
    by_name = await tile(api, owner, item_id, profile="greenness")
    by_id = await tile(api, owner, item_id, profile=made["id"])
    same = await tile(
        api, owner, item_id,
        expression=NDVI["config"]["expression"], colormap="rdylgn", rescale="-1,1",
    )  # fmt: skip
    assert by_name.content == by_id.content == same.content != first.content
    unchanged = await tile(api, owner, item_id)
    assert unchanged.headers["etag"] == first.headers["etag"]
    ref = {"item_id": item_id, "profile_id": made["id"]}
    assert (await api.ok("visualization.profile.set_default", ref, as_=owner))["is_default"]
    after = await tile(api, owner, item_id)
    assert after.content == by_name.content
    assert after.headers["etag"] != first.headers["etag"]
    config = {**NDVI["config"], "rescale": [0, 0.5]}
    changed = await api.ok("visualization.profile.update", {**ref, "config": config}, as_=owner)
    assert changed["version"] == made["version"] + 1
    stretched = await tile(api, owner, item_id)
    assert stretched.content != after.content
    assert stretched.headers["etag"] != after.headers["etag"]
    gone = await api.ok("visualization.profile.delete", ref, as_=owner)
    assert gone == {"ok": True, "id": ref["profile_id"]}
    assert (await tile(api, owner, item_id)).content == first.content
    missing = await tile(api, owner, item_id, profile="greenness")
    assert missing.status_code == 422 and "auto" in missing.text


async def test_a_profile_of_another_asset_draws_that_asset(api, catalogue, stock):
    owner = await api.organization()
    item, assets = await catalogue.scene(owner, await api.project(owner))
    other, path = "second", "select object_path from asset where id = %s"
    stock.asset(owner, item["id"], api.sql(path, assets[0]["id"])[0]["object_path"], key=other)
    made = await create(api, owner, item["id"], "x", type="singleband", config={"band": 1},
                        asset_key=other)  # fmt: skip
    drawn = await tile(api, owner, item["id"], profile=made["id"])
    assert drawn.status_code == 200
    ref = {"item_id": item["id"], "profile_id": made["id"]}
    await api.ok("visualization.profile.set_default", ref, as_=owner)
    assert (await tile(api, owner, item["id"])).content == drawn.content
    # asked for by its key, an asset is drawn as its file says, not by another's default
    assert (await tile(api, owner, item["id"], asset_key="data")).content != drawn.content


@pytest.mark.parametrize(
    ("fields", "place", "says"),
    [
        ({"config": {}}, ["bands"], "required"),
        ({"config": {"bands": [1, 2]}}, ["bands"], "three"),
        ({"config": {"bands": [1, 2, 7]}}, ["bands", 2], "7"),
        ({"config": {"bands": [0, 1, 2]}}, ["bands", 0], "0"),
        ({"config": {"bands": ["red", "green", "purple"]}}, ["bands", 2], "purple"),
        ({"config": {"bands": [True, 2, 3]}}, ["bands", 0], "number or name"),
        ({"config": {"bands": "3,2,1"}}, ["bands"], "list"),
        ({"config": {"bands": [3, 2, 1], "colormap": "viridis"}}, ["colormap"], "one band"),
        ({"config": {"bands": [3, 2, 1], "rescale": [[0, 1], [0, 1]]}}, ["rescale"], "one a band"),
        ({"config": {"bands": [3, 2, 1], "rescale": [[0, 1], [1, 0], [0, 1]]}}, ["rescale", 1], ""),
        ({"config": {"bands": [3, 2, 1], "rescale": [0, 1e39]}}, ["rescale"], "two numbers"),
        ({"config": {"bands": [3, 2, 1], "rescale": [0, "1"]}}, ["rescale"], "two numbers"),
        ({"config": {"bands": [3, 2, 1], "gamma": 0}}, ["gamma"], "0.1"),
        ({"config": {"bands": [3, 2, 1], "nodata": "none"}}, ["nodata"], "number"),
        ({"config": {"bands": [3, 2, 1], "resampling": "best"}}, ["resampling"], "bilinear"),
        ({"config": {"bands": [3, 2, 1], "note": "x" * 20_000}}, [], "bytes"),
        ({"config": {"bands": [3, 2, 1], "expression": "b1"}}, ["expression"], "bands"),
        ({"type": "singleband", "config": {"band": 1, "colormap": "nope"}}, ["colormap"], "nope"),
        ({"type": "singleband", "config": {"band": 1, "colormap": 5}}, ["colormap"], "name"),
        ({"type": "singleband", "config": {"band": 1, "colormap": {"a": 1}}}, ["colormap"], ""),
        ({"config": {"bands": [3, 2, 1], "color_formula": "glow"}}, ["color_formula"], "glow"),
        ({"type": "singleband", "config": {"band": [1]}}, ["band"], "number or name"),
        ({"type": "multiband", "config": {"bands": []}}, ["bands"], "1 to"),
        ({"type": "expression", "config": {"expression": "nir -"}}, ["expression"], "character"),
        ({"type": "expression", "config": {"expression": "b1;b2"}}, ["expression"], "one block"),
        ({"type": "expression", "config": {"expression": "thermal"}}, ["expression"], "thermal"),
        ({"type": "expression", "config": {"expression": 5}}, ["expression"], "formula"),
    ],
)
async def test_a_config_that_could_not_be_drawn_is_refused_at_its_place(
    api, scene, fields, place, says
):
    owner, item_id, _ = scene
    body = {"item_id": item_id, "name": "x", **RGB, **fields}
    problem = await api.refused(422, "visualization.profile.create", body, as_=owner)
    (error,) = problem["detail"]
    assert error["loc"] == ["body", "config", *place] and says in error["msg"]
    (auto,) = await listed(api, owner, item_id)
    ref = {"item_id": item_id, "profile_id": auto["id"]}
    again = await api.refused(422, "visualization.profile.update", {**ref, **fields}, as_=owner)
    assert again["detail"][0]["loc"] == error["loc"]


async def test_bands_by_name_and_unknown_members_are_kept(api, scene):
    owner, item_id, _ = scene
    config = {"bands": ["B08", "red", "Green"], "gamma": 1.2, "my:note": [1]}
    made = await create(api, owner, item_id, "infrared", config=config)
    assert made["config"] == config
    drawn = await tile(api, owner, item_id, profile="infrared")
    assert drawn.status_code == 200
    assert drawn.content == (await tile(api, owner, item_id, profile=made["id"])).content


async def test_names_tell_profiles_apart(api, scene):
    owner, item_id, _ = scene
    body = {"item_id": item_id, "name": "auto", **RGB}
    await api.refused(409, "visualization.profile.create", body, as_=owner)
    await api.refused(422, "visualization.profile.create", {**body, "name": "  "}, as_=owner)
    await api.refused(422, "visualization.profile.create", {**body, "name": "a\u202eb"}, as_=owner)
    made = await create(api, owner, item_id, "second")
    ref = {"item_id": item_id, "profile_id": made["id"], "name": "auto"}
    await api.refused(409, "visualization.profile.update", ref, as_=owner)
    over = {**body, "name": "y", "sort_order": 2**40}
    await api.refused(422, "visualization.profile.create", over, as_=owner)
    wrong = {**body, "name": "y", "asset_key": "nothing"}
    problem = await api.refused(422, "visualization.profile.create", wrong, as_=owner)
    assert "'data'" in problem["detail"][0]["msg"]


async def test_viewers_look_and_editors_change(api, scene):
    owner, item_id, _ = scene
    viewer = await api.member(owner, "viewer")
    key = await api.key(owner, "items:read")
    project = (await api.ok("items.get", {"item_id": item_id}, as_=owner))["item"]["project_id"]
    added = {"project_id": project, "user_id": viewer.user_id, "role": "viewer"}
    await api.ok("projects.add_member", added, as_=owner)
    assert len(await listed(api, viewer, item_id)) == 1
    assert len(await listed(api, key, item_id)) == 1
    body = {"item_id": item_id, "name": "x", **RGB}
    await api.refused(403, "visualization.profile.create", body, as_=viewer)
    await api.refused(403, "visualization.profile.create", body, as_=key)


async def test_the_default_is_handed_on_and_never_dropped(api, scene):
    owner, item_id, _ = scene
    (auto,) = await listed(api, owner, item_id)
    ref = {"item_id": item_id, "profile_id": auto["id"]}
    await api.refused(409, "visualization.profile.update", {**ref, "is_default": False}, as_=owner)
    second = await create(api, owner, item_id, "second", is_default=True)
    await api.ok("visualization.profile.update", {**ref, "is_default": True}, as_=owner)
    await api.ok("visualization.profile.delete", ref, as_=owner)
    (left,) = await listed(api, owner, item_id)
    assert left["id"] == second["id"] and left["is_default"]
    await api.refused(404, "visualization.profile.delete", ref, as_=owner)
    await api.refused(404, "visualization.profile.get", ref, as_=owner)
    await api.ok(
        "visualization.profile.delete", {"item_id": item_id, "profile_id": left["id"]}, as_=owner
    )
    assert await listed(api, owner, item_id) == []
    assert (await tile(api, owner, item_id)).status_code == 200
    assert (await create(api, owner, item_id, "first again"))["is_default"]


STEPS = st.lists(
    st.lists(
        st.one_of(
            st.tuples(st.just("create"), st.booleans()),
            st.tuples(st.sampled_from(["delete", "set_default", "update"]), st.integers(0, 9)),
        ),
        min_size=1,
        max_size=4,
    ),
    min_size=1,
    max_size=5,
)


async def test_exactly_one_profile_is_the_default_whatever_happens_at_once(api, catalogue):
    owner = await api.organization()
    project = await api.project(owner)
    loop = asyncio.get_running_loop()

    async def run(rounds) -> None:
        item, _ = await catalogue.scene(owner, project)
        known = [p["id"] for p in await listed(api, owner, item["id"])]
        count = 0
        for together in rounds:
            calls = []
            for name, value in together:
                body = {"item_id": item["id"]}
                if name == "create":
                    count += 1
                    body |= {"name": f"p{count}", **RGB, "is_default": value}
                else:
                    body["profile_id"] = known[value % len(known)]
                    if name == "update":
                        body["is_default"] = True
                calls.append(api.call(f"visualization.profile.{name}", body, as_=owner))
            for answer in await asyncio.gather(*calls):
                assert answer.status_code in (200, 404), answer.text
                if answer.status_code == 200 and "id" in answer.json():
                    known.append(answer.json()["id"])
            left = await listed(api, owner, item["id"])
            assert sum(p["is_default"] for p in left) == (1 if left else 0)

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(rounds=STEPS)
    def check(rounds) -> None:
        asyncio.run_coroutine_threadsafe(run(rounds), loop).result(60)

    await asyncio.to_thread(check)


# ---------------------------------------------------------------- names of bands


async def test_naming_the_bands_changes_the_item_the_profile_and_the_tiles(api, catalogue, scene):
    owner, item_id, asset = scene
    before = await tile(api, owner, item_id)
    names = ["nir", "green", "blue", "red", "swir16", "swir22"]
    body = {"item_id": item_id, "asset_id": asset["id"], "band_names": names}
    await api.refused(
        422, "items.set_asset_band_names", {**body, "band_names": names[:5]}, as_=owner
    )
    named = await api.ok("items.set_asset_band_names", body, as_=owner)
    assert named["band_names"] == names
    (auto,) = await listed(api, owner, item_id)
    assert auto["config"] == {"bands": [4, 2, 3]} and auto["version"] == 2
    feature = (await api.ok("stac.search", {"ids": [item_id]}, as_=owner))["features"][0]
    bands = feature["assets"]["data"]["eo:bands"]
    assert [band["common_name"] for band in bands] == names
    after = await tile(api, owner, item_id)
    assert after.headers["etag"] != before.headers["etag"] and after.content != before.content
    assert after.content == (await tile(api, owner, item_id, bands="4,2,3")).content


async def test_a_profile_that_names_a_band_keeps_it(api, scene):
    owner, item_id, asset = scene
    await create(api, owner, item_id, "greenness", **NDVI)
    names = ["a", "b", "c", "d", "e", "f"]
    body = {"item_id": item_id, "asset_id": asset["id"], "band_names": names}
    problem = await api.refused(409, "items.set_asset_band_names", body, as_=owner)
    assert "greenness" in problem["detail"]
    kept = (await api.ok("items.list_assets", {"item_id": item_id}, as_=owner))["assets"][0]
    assert kept["band_names"] == asset["band_names"]


async def test_a_changed_profile_is_its_editors(api, scene):
    owner, item_id, asset = scene
    (auto,) = await listed(api, owner, item_id)
    body = {"item_id": item_id, "profile_id": auto["id"], "config": {"bands": [4, 3, 2]}}
    changed = await api.ok("visualization.profile.update", body, as_=owner)
    assert changed["layer"] == "user" and changed["version"] == 2
    names = ["nir", "green", "blue", "red", "swir16", "swir22"]
    renamed = {"item_id": item_id, "asset_id": asset["id"], "band_names": names}
    await api.ok("items.set_asset_band_names", renamed, as_=owner)
    assert (await listed(api, owner, item_id))[0]["config"] == {"bands": [4, 3, 2]}


async def test_bands_are_told_by_their_pixels(api, scene):
    owner, item_id, asset = scene
    ref = {"item_id": item_id, "asset_id": asset["id"]}
    plain = [f"b{n}" for n in range(1, 7)]
    await api.ok("items.set_asset_band_names", {**ref, "band_names": plain}, as_=owner)
    found = await api.ok("items.detect_asset_bands", ref, as_=owner)
    assert found["suggested_band_names"] == ["blue", "green", "red", "nir", "swir16", "swir22"]
    assert found["current_band_names"] == plain and found["method"] == "reflectance_ranking"
    assert found["confidence"] > 0.8
    # it only suggests
    kept = (await api.ok("items.list_assets", {"item_id": item_id}, as_=owner))["assets"][0]
    assert kept["band_names"] == plain
    reader = await api.key(owner, "items:read")
    assert (await api.ok("items.detect_asset_bands", ref, as_=reader)) == found
    await api.refused(404, "items.detect_asset_bands", {**ref, "asset_id": "as_0"}, as_=owner)


# ---------------------------------------------------------------- looks


async def test_looks_follow_from_the_bands(api):
    owner = await api.organization()
    body = {"band_roles": {"B04": 3, "green": 2, "Blue": 1, "nir": 4}, "asset": "data"}
    found = await api.ok("visualization.list_for", body, as_=owner)
    looks = {look["id"]: look for look in found["visualizations"]}
    assert found["default_id"] == "true-colour"
    assert looks["true-colour"]["bands"] == [3, 2, 1] and looks["true-colour"]["is_default"]
    assert [look["is_default"] for look in found["visualizations"]].count(True) == 1
    assert looks["colour-infrared"]["bands"] == [4, 3, 2]
    assert looks["ndvi"]["expression"] == "(b4 - b3) / (b4 + b3)"
    assert looks["ndvi"]["rescale"] == "-1,1" and looks["ndvi"]["kind"] == "index"
    assert "nbr" not in looks and "geology" not in looks
    assert looks["band-4"]["kind"] == "raw" and looks["band-4"]["asset"] == "data"
    assert (await api.ok("visualization.list_for", {}, as_=owner)) == {
        "visualizations": [], "default_id": "",
    }  # fmt: skip


async def test_heights_are_coloured(api):
    owner = await api.organization()
    params = {"rescale": [0, 120], "colormap": "gist_earth"}
    body = {"band_roles": {"height": 1}, "data_type": "DSM", "render_params": params}
    (look,) = (await api.ok("visualization.list_for", body, as_=owner))["visualizations"]
    assert look["kind"] == "elevation" and look["bands"] == [1]
    assert look["rescale"] == "0,120" and look["colormap"] == "gist_earth"


async def test_every_look_can_be_drawn(api, scene):
    owner, item_id, asset = scene
    roles = {name: n for n, name in enumerate(asset["band_names"], 1)}
    found = await api.ok("visualization.list_for", {"band_roles": roles}, as_=owner)
    assert len(found["visualizations"]) > 15
    for look in found["visualizations"]:
        params = {name: look[name] for name in ("expression", "colormap", "rescale") if look[name]}
        if look["bands"]:
            params["bands"] = ",".join(map(str, look["bands"]))
        drawn = await tile(api, owner, item_id, **params)
        assert drawn.status_code == 200, (look, drawn.text)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"band_roles": {"red": 0}}, ["band_roles", "red"]),
        ({"band_roles": {"red": -(2**50)}}, ["band_roles", "red"]),
        ({"band_roles": {str(n): 1 for n in range(300)}}, ["band_roles"]),
        ({"render_params": {"rescale": "a,b"}}, ["render_params", "rescale"]),
        ({"render_params": {"rescale": [1, 0]}}, ["render_params", "rescale"]),
        ({"render_params": {"rescale": [[1], 5]}}, ["render_params", "rescale"]),
        ({"render_params": {"colormap": 5}}, ["render_params", "colormap"]),
        ({"render_params": {"colormap": "nope"}}, ["render_params", "colormap"]),
    ],
)
async def test_looks_of_no_bands_are_refused(api, body, place):
    owner = await api.organization()
    problem = await api.refused(422, "visualization.list_for", body, as_=owner)
    assert problem["detail"][0]["loc"] == ["body", *place]
