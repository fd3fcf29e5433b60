"""analytics.*: methods by the wire, what they refuse, whose items they read, what they draw."""

from __future__ import annotations

import io
import json
import math
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import rasterio
from jsonschema import Draft202012Validator
from PIL import Image

from ops_gateway.catalogue.drafts import AssetDraft, ItemDraft
from ops_gateway.catalogue.items import insert_item
from ops_gateway.domains import analytics_run
from ops_gateway.kernel.ids import new_id
from processes import method
from raster.inspect import inspect

ROOT = Path(__file__).parents[2]
APRIL = ROOT / "src/opstac/sampledata/s2-flanders_2021-04_10m.tif"
JULY = ROOT / "src/opstac/sampledata/s2-flanders_2021-07_10m.tif"
NAIP = ROOT / "src/opstac/sampledata/naip_north-dakota_2019-09-04.tif"
RASTERS = ROOT / "tests/data/rasters"


class Land:
    """An organization with a project, and items of given files."""

    def __init__(self, api: Any, catalogue: Any, owner: Any, project: str) -> None:
        self.api, self.catalogue, self.owner, self.project = api, catalogue, owner, project

    async def item(self, *files: Path | tuple[str, Path], **draft: Any) -> str:
        """An item with assets of these files; the first one's key is `data`."""
        named = [f if isinstance(f, tuple) else ("data", f) for f in files]
        assets = []
        for key, file in named:
            path = f"{self.owner.organization_id}/{new_id('f')}.tif"
            await self.api.platform.services.objects.put(path, file)
            assets.append(AssetDraft(key=key, object_path=path, info=inspect(file), file_name="x"))
        first = inspect(named[0][1])
        fields = {"name": "scene", "type": "user_raster", "geometry": first["footprint"], **draft}

        async def work(ctx: Any) -> str:
            made, _ = await insert_item(
                ctx, ItemDraft(project_id=self.project, bbox=first["bbox"], **fields), assets
            )
            ctx.edge(("item", made.id), "generated_by", ("project", self.project))
            return made.id

        caller = await self.catalogue.caller(self.owner)
        return await self.api.platform.pipeline.act("tests.ingest", caller, work)

    async def run(self, operation: str, **params: Any) -> Any:
        body = {"operation": operation, "params": params}
        return await self.api.ok("analytics.execute", body, as_=self.owner)

    async def refused(self, status: int, operation: str, **params: Any) -> dict[str, Any]:
        body = {"operation": operation, "params": params}
        return await self.api.refused(status, "analytics.execute", body, as_=self.owner)


@pytest.fixture
async def land(api: Any, catalogue: Any) -> Land:
    owner = await api.organization()
    return Land(api, catalogue, owner, await api.project(owner))


def ndvi(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        bands = file.read().astype(np.float64)
        names = list(file.descriptions)
    red, nir = bands[names.index("red")], bands[names.index("nir")]
    return (nir - red) / (nir + red)


async def test_statistics_of_a_band_and_an_index_equal_numpys(api, land):
    item = await land.item(NAIP)
    with rasterio.open(NAIP) as file:
        band = file.read(4).astype(np.float64)
    answer = await land.run("zonal_stats", item_id=item, band=4)
    found = answer["statistics"]
    assert answer["operation"] == "zonal_stats" and answer["item_id"] == item
    assert (answer["asset_key"], answer["band"], answer["epsg"]) == ("data", 4, 26914)
    assert found["count"] == band.size and found["valid_percent"] == 100
    assert math.isclose(found["mean"], band.mean(), rel_tol=1e-9)
    assert math.isclose(found["std"], band.std(), rel_tol=1e-9)
    assert (found["min"], found["max"]) == (band.min(), band.max())
    assert found["percentiles"]["25"] == np.percentile(band, 25)
    index = await land.run("zonal_stats", item_id=item, index_name="ndvi")
    assert math.isclose(index["statistics"]["mean"], ndvi(NAIP).mean(), abs_tol=1e-6)
    assert index["band_mapping"] == {"RED": 1, "NIR": 4}
    explicit = await land.run(
        "zonal_stats", item_id=item, index_name="NDVI", band_mapping={"R": 4, "N": 1}
    )
    assert math.isclose(explicit["statistics"]["mean"], -ndvi(NAIP).mean(), abs_tol=1e-6)


async def test_the_same_call_by_get_and_by_path_and_again_is_the_same(api, land):
    item = await land.item(APRIL)
    params = {"item_id": item, "expression": "(nir - red) / (nir + red)"}
    first = await land.run("zonal_stats", **params)
    assert first == await land.run("zonal_stats", **params)
    headers = {"Authorization": f"Bearer {land.owner.token}"}
    query = {"operation": "zonal_stats", "params": json.dumps(params)}
    got = await api.client.get("/v1/analytics/execute", params=query, headers=headers)
    posted = await api.client.post(
        "/v1/analytics/execute", json={**query, "params": params}, headers=headers
    )
    assert got.status_code == posted.status_code == 200
    assert got.json() == posted.json() == first


async def test_bad_parameters_carry_the_methods_schema(api, land):
    problem = await land.refused(422, "zonal_stats", percentiles="x")
    assert problem["operation"] == "zonal_stats"
    assert "item_id" in problem["expected_schema"]["properties"]
    Draft202012Validator.check_schema(problem["expected_schema"])
    assert all(e["loc"][:2] == ["body", "params"] for e in problem["detail"])
    missing = await land.refused(422, "change_detection", after_item_id="it_x")
    assert missing["detail"][0]["loc"] == ["body", "params", "before_item_id"]
    assert missing["detail"][0]["type"] == "missing"
    unknown = await land.refused(422, "no_such")
    assert unknown["detail"][0]["loc"] == ["body", "operation"]
    assert set(unknown["available_operations"]) == set(method.discover())
    await api.refused(422, "analytics.execute", {"operation": "zonal_stats"}, as_=land.owner)


async def test_what_the_data_cannot_give_is_refused_with_a_reason(api, land, tmp_path):
    item, empty = (
        await land.item(APRIL),
        await land.item(RASTERS / "all-nodata_s2-flanders_2020-12.tif"),
    )
    far = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}
    for kind, params in {
        "band_missing": {"item_id": item, "band": 9},
        "no_overlap": {"item_id": item, "band": 1, "geometry": far},
        "no_valid_pixel": {"item_id": empty, "band": 1},
        "too_many_pixels": {"item_id": item, "band": 1, "max_pixels": 9999},
        "invalid_params": {"item_id": item, "expression": "b1 +"},
    }.items():
        problem = await land.refused(422, "zonal_stats", **params)
        assert problem["detail"][0]["type"] == kind, problem
        assert problem["expected_schema"]
    missing = await land.refused(422, "zonal_stats", item_id=item, index_name="NDTI9")
    assert missing["detail"][0]["type"] == "band_missing"
    broken = await land.item(APRIL)
    path = api.sql("select object_path from asset where item_id = %s", broken)[0]["object_path"]
    await api.platform.services.objects.put(path, (RASTERS / "truncated.tif").read_bytes())
    problem = await land.refused(400, "zonal_stats", item_id=broken, band=1)
    assert "cannot be read" in problem["detail"] and str(tmp_path) not in json.dumps(problem)


async def test_several_items_have_an_answer_each_and_one_may_fail(api, land):
    good, bad = await land.item(APRIL), await land.item(RASTERS / "washington-dc_dsm_2m.tif")
    answer = await land.run("zonal_stats", item_ids=[good, bad], band="nir")
    assert [r["item_id"] for r in answer["results"]] == [good, bad]
    assert answer["results"][0]["statistics"]["count"] == 10_000
    assert answer["results"][1]["error"]["code"] == "band_missing"
    assert answer["summary"]["items"] == 2 and answer["summary"]["failed"] == 1
    await land.refused(422, "zonal_stats", item_ids=[bad], band="nir")


async def test_anothers_items_are_not_found_in_any_method(api, land, catalogue):
    stranger = await api.organization("Other")
    theirs = Land(api, catalogue, stranger, await api.project(stranger))
    item = await theirs.item(APRIL)
    own = await land.item(APRIL)
    square = {"type": "Point", "coordinates": [5.32, 50.63]}
    line = {"type": "LineString", "coordinates": [[5.32, 50.63], [5.33, 50.635]]}
    bodies: dict[str, dict[str, Any]] = {
        "change_detection": {"before_item_id": own, "after_item_id": item},
        "anomaly": {"item_id": own, "baseline_item_ids": [item], "band": 1},
        "correlation": {"item_id": own, "other_item_id": item, "band": 1},
        "profile": {"item_id": item, "band": 1, "geometry": line},
        "point_series": {"item_id": item, "band": 1, "geometry": square},
        "spectral_index": {"item_id": item, "index_name": "NDVI"},
    }
    for name, registered in method.discover().items():
        if not registered.module.startswith("processes."):
            continue
        body = bodies.get(name, {"item_id": item, "band": 1})
        foreign = await land.refused(404, name, **body)
        missing = json.loads(json.dumps(body).replace(item, "it_missing"))
        unknown = await land.refused(404, name, **missing)
        assert foreign["detail"] == unknown["detail"] == "item not found"
    await land.refused(404, "time_series", collection_id="col_missing", band=1)
    for op_id in ("analytics.band_math", "analytics.calculate_index"):
        body = {
            "cog_url": f"item://{item}/data", "formula": "b1", "index_name": "NDVI",
            "bbox": {"west": 5, "south": 50, "east": 6, "north": 51}, "sensor": "sentinel-2",
        }  # fmt: skip
        await api.refused(404, op_id, body, as_=land.owner)
    await api.refused(401, "analytics.execute", {"operation": "zonal_stats", "params": {}})
    reader = await api.key(land.owner, "analytics:read")
    body = {"operation": "zonal_stats", "params": {"item_id": own, "band": 1}}
    await api.refused(403, "analytics.execute", body, as_=reader)
    await api.ok("analytics.operations.list", as_=reader)


async def test_a_member_without_the_project_is_refused(api, land):
    item = await land.item(APRIL)
    member = await api.member(land.owner, "member")
    body = {"operation": "zonal_stats", "params": {"item_id": item, "band": 1}}
    await api.refused(403, "analytics.execute", body, as_=member)


async def test_a_change_raster_is_fetched_drawn_and_gone_after_its_day(api, land, tmp_path):
    before, after = await land.item(APRIL), await land.item(JULY)
    answer = await land.run("change_detection", before_item_id=before, after_item_id=after)
    change = answer["change_raster"]
    assert set(change) == {"href", "media_type", "tilejson_url", "expires_at"}
    fetched = await api.client.get(change["href"])
    assert fetched.status_code == 200 and fetched.headers["content-type"] == change["media_type"]
    (tmp_path / "change.tif").write_bytes(fetched.content)
    with rasterio.open(tmp_path / "change.tif") as file:
        made = file.read(1)
        assert file.tags(1)["STATISTICS_MEAN"]
    assert np.allclose(made, ndvi(JULY) - ndvi(APRIL), atol=1e-5)
    document = (await api.client.get(change["tilejson_url"])).json()
    x0, y0, x1, y1 = document["bounds"]
    z = document["maxzoom"]
    n = 2**z
    lat = math.radians((y0 + y1) / 2)
    x = int(((x0 + x1) / 2 + 180) / 360 * n)
    y = int((1 - math.asinh(math.tan(lat)) / math.pi) / 2 * n)
    url = document["tiles"][0].format(z=z, x=x, y=y)
    tile = await api.client.get(url)
    assert tile.status_code == 200 and tile.content[:4] == b"\x89PNG" and len(tile.content) > 1000
    forged = await api.client.get(url.replace("/renders/tt_", "/renders/tt_A"))
    assert forged.status_code == 404
    objects = api.platform.services.objects
    assert await analytics_run.sweep(objects, now=time.time() + 23 * 3600) == 0
    assert await analytics_run.sweep(objects, now=time.time() + 25 * 3600) == 1
    assert (await api.client.get(change["href"])).status_code == 404
    assert (await api.client.get(change["tilejson_url"])).status_code == 404


async def test_a_render_opens_no_item_and_an_items_token_no_render(api, land):
    item = await land.item(APRIL)
    answer = await land.run("spectral_index", item_id=item, index_name="NDWI")
    token = urlsplit(answer["raster"]["tilejson_url"]).path.split("/")[4]
    opened = await api.client.get(f"/api/v1/items/{item}/tiles/tilejson.json?key={token}")
    assert opened.status_code == 401
    tilejson = await api.ok("items.tile.tilejson", {"item_id": item}, as_=land.owner)
    key = tilejson["tiles"][0].split("key=")[1].split("&")[0]
    drawn = await api.client.get(f"/api/v1/renders/{key}/tilejson.json")
    assert drawn.status_code == 404


async def test_a_series_over_a_collection_and_a_search(api, land):
    made = await api.ok(
        "collections.create", {"name": "monthly", "project_id": land.project}, as_=land.owner
    )
    dates = {"2021-04-01T00:00:00Z": APRIL, "2021-07-01T00:00:00Z": JULY}
    empty = RASTERS / "all-nodata_s2-flanders_2020-12.tif"
    for at, file in {**dates, "2020-12-01T00:00:00Z": empty}.items():
        await land.item(file, datetime=at, collection_id=made["id"])
    answer = await land.run("time_series", collection_id=made["id"], index_name="NDVI")
    assert [row["datetime"] for row in answer["series"]] == list(dates)
    values = [row["value"] for row in answer["series"]]
    assert np.allclose(values, [ndvi(f).mean() for f in dates.values()], atol=1e-6)
    assert [gap["datetime"] for gap in answer["gaps"]] == ["2020-12-01T00:00:00Z"]
    assert answer["summary"]["n"] == 2 and answer["summary"]["longest_gap_days"] == 91
    later = await land.run(
        "time_series", collection_id=made["id"], index_name="NDVI", start="2021-05-01"
    )
    assert [row["datetime"] for row in later["series"]] == ["2021-07-01T00:00:00Z"]
    search = {"datetime": "2021-01-01T00:00:00Z/2021-12-31T00:00:00Z"}
    found = await land.run("time_series", search=search, index_name="NDVI")
    assert [row["value"] for row in found["series"]] == values
    assert found["gaps"] == []
    await land.refused(422, "time_series", search={"bbox": [1]}, index_name="NDVI")
    await land.refused(422, "time_series", search={"ids": ["none"]}, index_name="NDVI")


async def test_assets_with_times_are_the_items_series(api, land):
    item = await land.item(APRIL, ("july", JULY))
    for key, at in (("data", "2021-04-01"), ("july", "2021-07-01")):
        api.sql("update asset set datetime = %s where item_id = %s and key = %s", at, item, key)
    answer = await land.run("time_series", item_id=item, index_name="NDVI")
    assert [row["asset_key"] for row in answer["series"]] == ["data", "july"]
    assert math.isclose(answer["series"][1]["value"], ndvi(JULY).mean(), abs_tol=1e-6)


async def test_methods_indices_and_sensors_are_listed(api, land):
    listed = await api.ok("analytics.operations.list", {}, as_=land.owner)
    names = {"zonal_stats", "time_series", "change_detection", "spectral_index", "histogram"}
    names |= {"profile", "point_series", "phenology", "anomaly", "correlation"}
    assert names <= {m["name"] for m in listed["operations"]}
    assert listed["count"] == len(listed["operations"])
    for entry in listed["operations"]:
        Draft202012Validator.check_schema(entry["input_schema"])
        one = await api.ok(
            "analytics.operations.get", {"operation_name": entry["name"]}, as_=land.owner
        )
        assert {**entry, "examples": one["operation"]["examples"]} == one["operation"]
    assert (await api.ok("analytics.operations.list", {"data_type": "vector"}, as_=land.owner))[
        "count"
    ] == 0
    await api.refused(404, "analytics.operations.get", {"operation_name": "x"}, as_=land.owner)
    headers = {"Authorization": f"Bearer {land.owner.token}"}
    for path in (
        "/v1/analytics/operations", "/v1/analytics/operations/zonal_stats",
        "/v1/analytics/indices?category=water&sensor=sentinel-2", "/v1/analytics/index/NDVI",
        "/v1/analytics/sensors", "/v1/analytics/validate_formula?formula=b1&sensor=naip",
    ):  # fmt: skip
        assert (await api.client.get(path, headers=headers)).status_code == 200, path
    indices = await api.ok("analytics.indices.list", {}, as_=land.owner)
    assert indices["count"] > 250
    water = await api.ok("analytics.indices.list", {"category": "water"}, as_=land.owner)
    assert {i["category"] for i in water["indices"]} == {"water"}
    naip = await api.ok("analytics.indices.list", {"sensor": "naip"}, as_=land.owner)
    assert all("SWIR16" not in i["bands"] for i in naip["indices"]) and naip["count"] > 50
    one = (await api.ok("analytics.index.get", {"index_name": "evi"}, as_=land.owner))["index"]
    assert one["name"] == "EVI" and "sentinel-2a" in one["compatible_sensors"]
    await api.refused(404, "analytics.index.get", {"index_name": "x"}, as_=land.owner)
    await api.refused(422, "analytics.indices.list", {"sensor": "x"}, as_=land.owner)
    sensors = (await api.ok("analytics.sensors.list", {}, as_=land.owner))["sensors"]
    s2 = next(s for s in sensors if s["id"] == "sentinel-2a")
    assert s2["bands"]["RED"] == {
        "index": 4, "name": "B4", "title": "Red", "wavelength_nm": 664.6
    }  # fmt: skip


@pytest.mark.parametrize(
    ("formula", "sensor", "required"),
    [
        ("(B8 - B4) / (B8 + B4)", "sentinel-2", ["RED", "NIR"]),
        ("(nir - RED) / (nir + RED)", "landsat-8", ["RED", "NIR08"]),
        ("b1 / b4", "naip", ["RED", "NIR"]),
        ("B4.__class__.__mro__", "sentinel-2", None),
        ("swir16 - 1", "naip", None),
        ("", "naip", None),
        ("b1", "nosuch", None),
    ],
)
async def test_a_formula_is_checked_without_data(api, land, formula, sensor, required):
    body = {"formula": formula, "sensor": sensor}
    answer = await api.ok("analytics.validate_formula", body, as_=land.owner)
    assert answer["valid"] is (required is not None), answer
    assert answer["required_bands"] == (required or [])
    assert (answer["error"] is None) is answer["valid"]


async def test_band_math_and_index_over_a_box(api, land):
    item = await land.item(NAIP)
    with rasterio.open(NAIP) as file:
        bands = file.read().astype(np.float64)
    whole = {"west": -99.3, "south": 46.9, "east": -99.0, "north": 47.2}
    body = {"cog_url": f"item://{item}/data", "bbox": whole, "sensor": "naip"}
    answer = await api.ok("analytics.band_math", {**body, "formula": "B4 - red"}, as_=land.owner)
    assert (answer["width"], answer["height"]) == (934, 723)
    assert math.isclose(answer["statistics"]["mean"], (bands[3] - bands[0]).mean(), rel_tol=1e-6)
    index = await api.ok(
        "analytics.calculate_index", {**body, "index_name": "NDVI"}, as_=land.owner
    )
    assert math.isclose(index["statistics"]["mean"], ndvi(NAIP).mean(), abs_tol=1e-5)
    small = {**body, "index_name": "NDVI", "output_format": "png", "max_size": 100}
    picture = await api.call("analytics.calculate_index", small, as_=land.owner)
    assert picture.status_code == 200 and picture.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(picture.content)) as shown:
        assert shown.size == (100, 77)
    for change, status in (
        ({"formula": "b1 +"}, 422),
        ({"formula": "b9"}, 422),
        ({"sensor": "x"}, 422),
        ({"output_format": "gif"}, 422),
        ({"max_size": 0}, 422),
        ({"bbox": {"west": 1}}, 422),
        ({"bbox": {**whole, "east": 999}}, 422),
        ({"bbox": {"west": 1, "south": 1, "east": 2, "north": 2}}, 422),
        ({"colormap": "nosuch", "output_format": "png"}, 422),
        ({"cog_url": "/etc/passwd"}, 403),
        ({"cog_url": "http://127.0.0.1/x.tif"}, 403),
    ):
        sent = {**body, "formula": "b1", **change}
        answer = await api.call("analytics.band_math", sent, as_=land.owner)
        assert answer.status_code == status, (change, answer.text)


@pytest.mark.parametrize(
    "params",
    [
        {"item_id": "a\x00b", "band": 1},
        {"item_id": "\ud800", "band": 1},
        {"band": 10**30},
        {"band": -1},
        {"band": True},
        {"band": "\x00"},
        {"index_name": "x" * 99},
        {"expression": "(" * 900},
        {"expression": "b1 ** b1"},
        {"band_mapping": {"RED": 10**20}, "index_name": "NDVI"},
        {"band": 1, "percentiles": [101]},
        {"band": 1, "percentiles": [[]]},
        {"band": 1, "geometry": {"type": "Polygon", "coordinates": [[[1e308] * 2] * 4]}},
        {"band": 1, "geometry": {"type": "GeometryCollection", "geometries": []}},
        {"band": 1, "geometry": {"type": "FeatureCollection", "features": [1]}},
        {"band": 1, "mask": {"bits": [99]}},
        {"band": 1, "mask": {"asset_key": "\x00", "exclude": [1]}},
        {"band": 1, "max_pixels": 10**30},
        {"band": 1, "item_ids": []},
        {"band": 1, "item_ids": ["a"] * 101},
    ],
)
async def test_hostile_parameters_are_refused_and_never_a_fault(api, land, params):
    item = await land.item(APRIL)
    sent = {} if "item_ids" in params else {"item_id": item}
    body = {"operation": "zonal_stats", "params": {**sent, **params}}
    headers = {"Authorization": f"Bearer {land.owner.token}", "Content-Type": "application/json"}
    answer = await api.client.post(
        "/v1/op/analytics.execute", content=json.dumps(body).encode(), headers=headers
    )
    assert 400 <= answer.status_code < 500, answer.text


LINES = [[], [[]], [[1], [2]], [[1, 2]], [[1, 2], [1, 2, 3]], [["x", None]], [[999, 0], [0, 999]]]


async def test_what_would_overflow_or_is_no_line_is_refused(land):
    item = await land.item(APRIL)
    for line in LINES:
        for geometry in (line, {"type": "LineString", "coordinates": line}):
            await land.refused(422, "profile", item_id=item, band=1, geometry=geometry)
    wide = [-1.7e308, 1.7e308]
    problem = await land.refused(422, "histogram", item_id=item, band=1, range=wide)
    assert "range must be two ascending numbers" in problem["detail"][0]["msg"]
    # dates of an item's bands that are none in UTC: its own counts
    with rasterio.open(APRIL) as file:
        times = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"] * file.count
    cube = {"t": {"type": "temporal", "values": times[: file.count]}}
    dated = await land.item(APRIL, properties={"cube:dimensions": cube})
    assert len((await land.run("time_series", item_id=dated, band=1))["series"]) == 1


BOW_TIE = {
    "type": "Polygon",
    "coordinates": [[[2.9, 50.9], [3.2, 51.1], [3.2, 50.9], [2.9, 51.1], [2.9, 50.9]]],
}


async def test_a_list_in_place_of_a_geometry_is_refused_by_every_method(land):
    item = await land.item(APRIL)
    for operation in ("zonal_stats", "histogram", "time_series", "point_series"):
        named = {"item_ids": [item]} if operation.endswith("series") else {"item_id": item}
        for inner in (BOW_TIE, {"type": "Point", "coordinates": ["x", None]}, {}, None):
            geometry = [] if inner is None else [["a zone", inner]]
            problem = await land.refused(422, operation, **named, band=1, geometry=geometry)
            assert problem["detail"][0]["loc"] == ["body", "params", "geometry"], problem
