"""zonal_stats against numpy, rasterstats and supersampling; masks, grids and the antimeridian."""

from __future__ import annotations

import itertools
import json
import math
import warnings

import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.features
import rasterstats
import shapely
import shapely.affinity
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rasterio.warp import transform_bounds, transform_geom

from processes.analysis import coverage, engine, zonal, zones
from processes.analysis.counts import Table
from processes.analysis.summary import Summary
from processes.method import MethodError
from raster import reader

FINE = 20  # subpixels a side of the brute-force coverage


def inner(path, share=0.3):
    """A slanted polygon well within a raster, in degrees."""
    with rasterio.open(path) as file:
        w, s, e, n = transform_bounds(file.crs, "EPSG:4326", *file.bounds)
    dx, dy, x, y = (e - w) * share, (n - s) * share, (w + e) / 2, (s + n) / 2
    ring = [
        [x - dx, y - dy * 0.7],
        [x + dx, y - dy],
        [x + dx * 0.6, y + dy],
        [x - dx * 0.8, y + dy],
    ]
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def supersampled(path, geometry):
    """Covered fractions of pixels by counting FINE x FINE points in each, in the raster's CRS."""
    with rasterio.open(path) as file:
        dense = shapely.segmentize(shapely.geometry.shape(geometry), 1e-4)
        moved = transform_geom("EPSG:4326", file.crs, json.loads(shapely.to_geojson(dense)))
        fine = rasterio.features.rasterize(
            [(moved, 1)],
            out_shape=(file.height * FINE, file.width * FINE),
            transform=file.transform * rasterio.Affine.scale(1 / FINE),
            dtype="uint8",
        )
        rows, columns = file.height, file.width
    return fine.reshape(rows, FINE, columns, FINE).mean(axis=(1, 3))


@pytest.mark.proves("zonal_stats", "value")
def test_a_polygon_weighs_pixels_by_what_it_covers(run, files, truth):
    path, geometry = files["april"], inner(files["april"])
    weights, values = supersampled(path, geometry), truth.ndvi(path).filled(np.nan)
    answer = run(
        "zonal_stats", [truth.item(path)], item_id="it_a", index_name="NDVI", geometry=geometry
    )
    found = answer["statistics"]
    mean = np.average(values, weights=weights)
    # a boundary pixel's brute-force share is known to about 1/FINE; they average out
    assert math.isclose(found["count"], weights.sum(), rel_tol=2e-4)
    assert math.isclose(found["mean"], mean, rel_tol=2e-4)
    spread = math.sqrt(np.average((values - mean) ** 2, weights=weights))
    assert math.isclose(found["std"], spread, rel_tol=5e-4)
    assert math.isclose(found["sum"], (values * weights).sum(), rel_tol=3e-4)
    touched = values[weights > 0]
    assert found["min"] <= touched.min() + 1e-6 and found["max"] >= touched.max() - 1e-6
    inside = np.sort(values[weights > 0.999])
    assert math.isclose(found["median"], np.median(inside), abs_tol=0.01)
    geodesic = shapely.geometry.shape(geometry)
    import pyproj

    area = abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(geodesic)[0])
    assert math.isclose(answer["area_m2"], area, rel_tol=1e-3)


def test_means_agree_with_rasterstats_where_edges_hardly_count(run, files, truth):
    path, geometry = files["naip"], inner(files["naip"], 0.45)
    with rasterio.open(path) as file:
        moved = transform_geom("EPSG:4326", file.crs, geometry)
        values, transform = file.read(4).astype(np.float64), file.transform
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = rasterstats.zonal_stats(
            moved, values, affine=transform, nodata=-1, stats="mean count std"
        )[0]
    found = run("zonal_stats", [truth.item(path)], item_id="it_a", band=4, geometry=geometry)[
        "statistics"
    ]
    assert math.isclose(found["count"], other["count"], rel_tol=2e-3)
    assert math.isclose(found["mean"], other["mean"], rel_tol=2e-3)
    assert math.isclose(found["std"], other["std"], rel_tol=2e-3)


@pytest.mark.proves("zonal_stats", "validity")
def test_nodata_masks_and_alpha_do_not_count(run, files, truth, holed):
    path = holed(files["april"])
    found = run("zonal_stats", [truth.item(path)], item_id="it_a", index_name="NDVI")["statistics"]
    values = truth.ndvi(path).compressed()
    assert found["count"] == values.size == 10_000 - 50 * 70
    assert math.isclose(found["valid_percent"], 65.0)
    assert math.isclose(found["mean"], values.mean(), rel_tol=1e-6)
    for name in ("masked", "alpha"):
        with rasterio.open(files[name]) as file:
            shown = file.dataset_mask() > 0
            band = file.read(1)[shown].astype(float)
        found = run("zonal_stats", [truth.item(files[name])], item_id="it_a", band=1)["statistics"]
        assert found["count"] == band.size
        assert math.isclose(found["mean"], band.mean(), rel_tol=1e-9)
    with pytest.raises(MethodError, match="no pixel") as refusal:
        run("zonal_stats", [truth.item(files["empty"])], item_id="it_a", band=1)
    assert refusal.value.code == "no_valid_pixel"


def test_a_mask_band_hides_classes_and_bits(run, files, truth, tmp_path):
    path = files["april"]
    with rasterio.open(path) as file:
        profile = {**file.profile, "count": 1, "dtype": "uint8", "nodata": None, "driver": "GTiff"}
    classes = np.arange(10_000).reshape(100, 100) % 12
    with rasterio.open(tmp_path / "scl.tif", "w", **profile) as out:
        out.write(classes.astype("uint8"), 1)
    item = truth.item(path)
    item["sources"].append(
        {"item_id": "it_a", "asset_key": "scl", "path": str(tmp_path / "scl.tif"), "asset": {}}
    )
    values = truth.read(path, "nir")
    for mask, shown in (
        ({"exclude": [3, 8, 9, 10]}, ~np.isin(classes, [3, 8, 9, 10])),
        ({"keep": [4, 5]}, np.isin(classes, [4, 5])),
        ({"bits": [0, 3]}, (classes & 0b1001) == 0),
    ):
        found = run(
            "zonal_stats", [item], item_id="it_a", band="nir", mask={"asset_key": "scl", **mask}
        )["statistics"]
        assert found["count"] == shown.sum()
        assert math.isclose(found["mean"], values[shown].mean(), rel_tol=1e-6)


def test_scale_and_offset_are_applied(run, files, truth):
    found = run("zonal_stats", [truth.item(files["scaled"])], item_id="it_a", band=1)["statistics"]
    values = truth.read(files["scaled"], 1).compressed()
    assert math.isclose(found["mean"], values.mean(), abs_tol=1e-6)
    assert math.isclose(found["percentiles"]["98"], np.percentile(values, 98), abs_tol=1e-6)


def test_a_rotated_grid_and_the_antimeridian(run, files, truth):
    answer = run("zonal_stats", [truth.item(files["rotated"])], item_id="it_a", band=4)
    values = truth.read(files["rotated"], 4).compressed()
    assert math.isclose(answer["statistics"]["mean"], values.mean(), rel_tol=1e-9)
    path = files["antimeridian"]
    with rasterio.open(path) as file:
        corners = transform_bounds(file.crs, "EPSG:4326", *file.bounds)
    assert corners[0] > corners[2]  # west of the line in the east
    west, south, east, north = corners
    box = shapely.box
    north, south = south + (north - south) * 0.7, south + (north - south) * 0.3
    both = shapely.MultiPolygon(
        [box(west + 0.5, south, 180, north), box(-180, south, east - 0.5, north)]
    )
    geometry = json.loads(shapely.to_geojson(both))
    found = run("zonal_stats", [truth.item(path)], item_id="it_a", band=1, geometry=geometry)
    halves = [
        run("zonal_stats", [truth.item(path)], item_id="it_a", band=1,
            geometry=json.loads(shapely.to_geojson(part)))
        for part in both.geoms
    ]  # fmt: skip
    total = sum(h["statistics"]["count"] for h in halves)
    assert all(h["statistics"]["count"] > 1000 for h in halves)
    assert math.isclose(found["statistics"]["count"], total, rel_tol=1e-6)
    assert math.isclose(
        found["statistics"]["sum"], sum(h["statistics"]["sum"] for h in halves), rel_tol=1e-6
    )
    area = sum(h["area_m2"] for h in halves)
    assert math.isclose(found["area_m2"], area, rel_tol=1e-3)


def test_every_feature_has_its_statistics_beside_those_of_all(run, files, truth):
    path, one = files["april"], inner(files["april"], 0.1)
    far = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    features = [
        {"type": "Feature", "id": "field", "properties": {}, "geometry": one},
        {"type": "Feature", "properties": {"name": "sea"}, "geometry": far},
    ]
    answer = run("zonal_stats", [truth.item(path)], item_id="it_a", band=1,
                 geometry={"type": "FeatureCollection", "features": features})  # fmt: skip
    alone = run("zonal_stats", [truth.item(path)], item_id="it_a", band=1, geometry=one)
    assert [zone["id"] for zone in answer["zones"]] == ["field", "sea"]
    assert answer["zones"][0]["statistics"] == alone["statistics"] == answer["statistics"]
    assert answer["zones"][1]["statistics"]["count"] == 0
    assert answer["zones"][1]["statistics"]["mean"] is None


def test_an_area_smaller_than_a_pixel_has_that_pixels_value(run, files, truth):
    path = files["april"]
    with rasterio.open(path) as file:
        x, y = file.transform * (40.4, 30.4)
        box = shapely.box(x, y - 1, x + 1, y)
        moved = transform_geom(file.crs, "EPSG:4326", json.loads(shapely.to_geojson(box)))
    found = run("zonal_stats", [truth.item(path)], item_id="it_a", band="nir", geometry=moved)
    assert math.isclose(found["statistics"]["count"], 0.01, rel_tol=1e-2)
    assert math.isclose(found["statistics"]["mean"], truth.read(path, "nir")[30, 40], rel_tol=1e-6)


def test_bands_lying_one_in_an_asset_are_found_and_aligned(run, files, truth, tmp_path):
    sources = []
    for number, name in ((3, "red"), (4, "nir")):
        with rasterio.open(files["april"]) as file:
            profile = {**file.profile, "count": 1, "driver": "GTiff"}
            values, scale = file.read(number), file.scales[0]
        made = tmp_path / f"{name}.tif"
        with rasterio.open(made, "w", **profile) as out:
            out.write(values, 1)
            out.scales = (scale,)
        sources.append({"item_id": "it_a", "asset_key": name, "path": str(made), "asset": {}})
    item = {**truth.item(files["april"]), "sources": sources}
    answer = run("zonal_stats", [item], item_id="it_a", index_name="NDVI")
    assert set(answer["asset_key"].split(",")) == {"red", "nir"}
    assert math.isclose(
        answer["statistics"]["mean"], truth.ndvi(files["april"]).mean(), rel_tol=1e-6
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.floats(-5, 35), st.floats(-5, 35)), min_size=3, max_size=8),
    st.integers(0, 5),
)
@example([(0.0, 0.0), (0.0, 1.0), (2.0, 1.1125369292536007e-308)], 0)
@example([(0.0, -1e-309), (0.0, 1.0), (20.0, 1e-309)], 0)
@example([(9.0, 7.0 - 1e-15), (2.0, 14.0), (29.0, 7.0 + 1e-15), (12.0, 21.0)], 0)
def test_coverage_adds_up_to_the_area_of_any_polygon(points, shift):
    polygon = shapely.convex_hull(shapely.MultiPoint(points))
    zone = zones.within("0", polygon.intersection(shapely.box(0, 0, 30, 30)))
    if zone is None:
        return
    total = 0.0
    for window in zones.windows(zone, rows=7 + shift, columns=11):
        part = zones.coverage(zone, window)
        total += window.width * window.height if part is None else float(part.sum())
        assert part is None or (part.min() >= 0 and part.max() <= 1.0001)
    assert math.isclose(total, zone.polygons.area, rel_tol=1e-4, abs_tol=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.floats(-5, 35) | st.integers(-10, 70).map(lambda n: n / 2)] * 2),
        min_size=3,
        max_size=10,
    ),
    st.tuples(st.floats(0, 30), st.floats(0, 30), st.floats(0.1, 9)),
    st.sampled_from([12, 100, 1_000_000]),
)
def test_each_pixel_is_covered_as_its_intersection_says(points, hole, pieces):
    x, y, radius = hole
    made = shapely.make_valid(shapely.Polygon(points)).difference(
        shapely.Point(x, y).buffer(radius)
    )
    polygons = shapely.union_all([p for p in shapely.get_parts(made) if p.geom_type == "Polygon"])
    left, top, width, height = 3, 2, 20, 17
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coverage, "PIECES", pieces)
        found = coverage.cover(coverage.edges(polygons), reader.pixels(left, top, width, height))
    columns, rows = np.meshgrid(np.arange(width) + left, np.arange(height) + top)
    cells = shapely.box(columns, rows, columns + 1, rows + 1)
    expected = shapely.area(shapely.intersection(cells, polygons))
    dense = found.dense()
    assert np.allclose(np.ones(expected.shape) if dense is None else dense, expected, atol=1e-6)
    assert math.isclose(found.total, expected.sum(), abs_tol=1e-6)


def tiles_of(path, count):
    """Slanted areas that overlap their neighbours, across a raster, in degrees."""
    with rasterio.open(path) as file:
        w, s, e, n = transform_bounds(file.crs, "EPSG:4326", *file.bounds)
    side = math.isqrt(count)
    features = []
    for number in range(count):
        x, y = w + (e - w) * (number % side) / side, s + (n - s) * (number // side) / side
        dx, dy = 1.2 * (e - w) / side, 1.2 * (n - s) / side
        ring = [[x, y + dy * 0.2], [x + dx * 0.9, y], [x + dx, y + dy], [x + dx * 0.1, y + dy]]
        geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
        features.append({"type": "Feature", "id": str(number), "geometry": geometry})
    return {"type": "FeatureCollection", "features": features}


@pytest.mark.parametrize("measure", [{"band": 2}, {"index_name": "NDVI"}])
def test_many_areas_at_once_have_what_each_has_alone(run, files, truth, measure, monkeypatch):
    item, places = truth.item(files["naip"]), tiles_of(files["naip"], 25)
    if "index_name" in measure:
        item = truth.item(files["april"])
        places = tiles_of(files["april"], 25)
    monkeypatch.setattr(zones, "BLOCK", 64)
    monkeypatch.setattr(zonal, "BLOCK", 64)
    monkeypatch.setattr(zonal, "COLUMNS", 128)
    monkeypatch.setattr(zonal, "MEMORY", 1_000_000)  # a few areas at a time
    together = run("zonal_stats", [item], item_id="it_a", geometry=places, **measure)
    assert len(together["zones"]) == 25
    for zone, feature in zip(together["zones"], places["features"], strict=True):
        alone = run("zonal_stats", [item], item_id="it_a", geometry=feature["geometry"], **measure)
        for name, value in alone["statistics"].items():
            assert zone["statistics"][name] == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize("overlap", [0.0, 0.3, -0.4], ids=["touching", "overlapping", "apart"])
def test_all_areas_together_have_what_their_union_has(run, files, truth, overlap):
    with rasterio.open(files["naip"]) as file:
        w, s, e, n = transform_bounds(file.crs, "EPSG:4326", *file.bounds)
    x, y, step = w + 0.2 * (e - w), s + 0.2 * (n - s), 0.1 * (e - w)
    boxes = [shapely.box(x + k * step, y, x + (k + 1 + overlap) * step, y + step) for k in range(4)]
    shapes = [shapely.affinity.rotate(box, 17, origin=(x, y)) for box in boxes]
    features = [
        {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shape)}
        for shape in shapes
    ]
    item, asked = truth.item(files["naip"]), {"item_id": "it_a", "band": 1}
    places = {"type": "FeatureCollection", "features": features}
    joined = run("zonal_stats", [item], geometry=places, **asked)
    union = shapely.union_all(shapes)
    alone = run("zonal_stats", [item], geometry=shapely.geometry.mapping(union), **asked)
    for name, value in alone["statistics"].items():
        assert joined["statistics"][name] == pytest.approx(value, rel=1e-6), name
    assert joined["area_m2"] == pytest.approx(alone["area_m2"], rel=1e-6)
    meant = abs(pyproj.Geod(ellps="WGS84").geometry_area_perimeter(union)[0])
    assert alone["area_m2"] == pytest.approx(meant, rel=1e-4)


def asked_of(path, run, truth, shapes, **asked):
    """What areas have together, and whether that was added up from them."""
    seen = []
    add_up = zonal.add_up
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zonal, "add_up", lambda *given: seen.append(add_up(*given)) or seen[-1])
        features = [
            {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(shape)}
            for shape in shapes
        ]
        places = {"type": "FeatureCollection", "features": features}
        answer = run("zonal_stats", [truth.item(path)], item_id="it_a", geometry=places, **asked)
    (added,) = seen
    return answer["statistics"], added


@pytest.fixture
def few(tmp_path):
    """Write rows of numbers as a raster with pixels of 1° from 0°, 10° on; 0 is no value."""

    def write(numbers):
        array = np.array(numbers, "uint16")
        path = tmp_path / "few.tif"
        with rasterio.open(
            path, "w", driver="GTiff", count=1, dtype="uint16", nodata=0, crs="EPSG:4326",
            height=array.shape[0], width=array.shape[1],
            transform=rasterio.Affine(1, 0, 0, 0, -1, 10),
        ) as file:  # fmt: skip
            file.write(array, 1)
        return path

    return write


def test_a_pixel_that_two_areas_share_is_one_pixel_of_them_together(few, run, truth):
    path, box = few([[10, 20]]), shapely.box
    cut = [box(0, 9, 1.5, 10), box(1.5, 9, 2, 10)]
    asked = {"band": 1, "percentiles": [0, 25, 75, 100]}
    found, added = asked_of(path, run, truth, cut, **asked)
    assert added
    assert found["percentiles"] == {"0": 10, "25": 12.5, "75": 17.5, "100": 20}
    assert found["median"] == 15
    # of too many for one group the union is read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zonal, "MEMORY", 1)
        by_union, added = asked_of(path, run, truth, cut, **asked)
    assert not added
    assert by_union == found


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_all_areas_together_are_the_same_however_they_are_cut(few, run, truth, data):
    numbers = data.draw(
        st.lists(st.lists(st.integers(0, 65535), min_size=3, max_size=3), min_size=2, max_size=2)
    )
    path = few(numbers)
    place = st.sampled_from([0.5, 1.0, 1.25, 1.75, 2.0, 2.5])
    xs = [0.25, *sorted(data.draw(st.sets(place, min_size=1, max_size=4))), 2.75]
    middle = data.draw(st.sampled_from([8.5, 9.0, 9.25]))
    cut = [
        shapely.box(left, low, right, high)
        for left, right in itertools.pairwise(xs)
        for low, high in ((8.25, middle), (middle, 9.75))
    ]
    asked = {"band": 1, "percentiles": [0, 10, 25, 60, 90, 100]}
    try:
        found, added = asked_of(path, run, truth, cut, **asked)
    except MethodError as error:
        assert error.code == "no_valid_pixel" and not np.any(numbers)
        return
    assert added
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zonal, "_NEIGHBOURS", 0)
        by_union, added = asked_of(path, run, truth, cut, **asked)
    assert not added
    for name in ("count", "min", "max", "mean", "std", "median", "sum", "valid_percent"):
        assert found[name] == pytest.approx(by_union[name], rel=1e-9, abs=1e-6), name
    assert found["percentiles"] == pytest.approx(by_union["percentiles"], rel=1e-9)


def test_areas_are_not_looked_at_where_too_many_boxes_meet(few, run, truth):
    path = few(np.arange(1, 101).reshape(10, 10))
    # stripes that do not touch, in boxes of which each meets every other
    stripes = [
        shapely.Polygon([(k, 0.1), (k + 0.05, 0.1), (9.9, 9.9 - k), (9.9, 9.95 - k)])
        for k in np.arange(40) / 10
    ]
    assert not any(one.intersects(other) for one, other in itertools.combinations(stripes, 2))
    found, added = asked_of(path, run, truth, stripes, band=1)
    assert not added
    alone = run(
        "zonal_stats", [truth.item(path)], item_id="it_a", band=1,
        geometry=shapely.geometry.mapping(shapely.MultiPolygon(stripes)),
    )  # fmt: skip
    assert found["mean"] == pytest.approx(alone["statistics"]["mean"], rel=1e-9)


def test_bands_have_in_one_call_what_each_has_alone(run, files, truth):
    path = files["naip"]
    places = {"geometry": tiles_of(path, 4), "item_id": "it_a"}
    answer = run("zonal_stats", [truth.item(path)], bands=[4, 1, 1], **places)
    assert [band["band"] for band in answer["bands"]] == [4, 1, 1]
    assert answer["item_id"] == "it_a"
    for band in answer["bands"]:
        alone = run("zonal_stats", [truth.item(path)], band=band["band"], **places)
        assert band["statistics"] == alone["statistics"]
        assert band["zones"] == alone["zones"]
        assert answer["inputs"] == alone["inputs"]
    for wrong in ({"bands": [1], "band": 1}, {"bands": []}, {"bands": [99]}, {}):
        with pytest.raises(MethodError):
            run("zonal_stats", [truth.item(path)], item_id="it_a", **wrong)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["uint8", "int8", "uint16", "int16"]),
    st.sampled_from([(1.0, 0.0), (-0.5, 3.0), (1e-4, -0.1)]),
    st.data(),
)
def test_counted_numbers_have_the_statistics_of_their_values(dtype, scaling, data):
    info = np.iinfo(dtype)
    numbers = data.draw(st.lists(st.integers(info.min, info.max), min_size=1, max_size=200))
    stored = np.array(numbers, dtype)
    unsigned = f"u{stored.itemsize}"
    every = np.arange(256**stored.itemsize).astype(unsigned).view(dtype)
    values = every.astype(np.float32) * np.float32(scaling[0]) + np.float32(scaling[1])
    counted, plain = Summary(table=Table(values)), Summary()
    window = coverage.whole(reader.pixels(0, 0, stored.size, 1))
    seen = stored.astype(np.float32) * np.float32(scaling[0]) + np.float32(scaling[1])
    for _ in range(data.draw(st.integers(1, 3))):
        counted.add_cover(np.ma.MaskedArray(stored.view(unsigned)[np.newaxis]), window)
        plain.add_cover(np.ma.MaskedArray(seen[np.newaxis]), window)
    one, other = counted.result([0, 10, 90, 100]), plain.result([0, 10, 90, 100])
    for name in ("count", "min", "max", "mean", "std", "median", "sum", "valid_percent"):
        assert one[name] == pytest.approx(other[name], rel=1e-5, abs=1e-4), name
    assert one["percentiles"] == pytest.approx(other["percentiles"], rel=1e-6, abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=300)
    | st.lists(st.integers(0, 65535), min_size=1, max_size=300)
    | st.tuples(st.lists(st.integers(0, 9), min_size=100), st.lists(st.floats(0, 9, width=32))).map(
        lambda pair: [*pair[0], *pair[1]]
    ),
    st.lists(st.sampled_from([0.0, 2.0, 25.0, 50.0, 98.0, 100.0]), min_size=1, max_size=4),
    st.booleans(),
)
def test_percentiles_are_numpys_in_one_reading_or_two(values, wanted, weighed):
    array = np.ma.MaskedArray(np.array(values, np.float32).reshape(1, -1))
    weights = np.full(array.shape, 0.5, np.float32) if weighed else None
    once, twice = Summary(), Summary(keep=0)  # as after more than KEEP values
    for part in (slice(0, 100), slice(100, None)):
        for total in (once, twice):
            total.add(array[:, part], None if weights is None else weights[:, part])

    expected = np.percentile(np.array(values, np.float32).astype(float), wanted)
    assert np.allclose(once.percentiles(wanted), expected, rtol=1e-5, atol=1e-4)
    again = twice.percentiles(wanted, lambda: [(array, weights)])
    assert np.allclose(again, expected, rtol=1e-5, atol=1e-4)


def test_not_finite_numbers_become_null():
    made = engine.finite({"a": [float("nan"), np.float32("inf"), np.int16(3)], "b": (1.5,)})
    assert made == {"a": [None, None, 3], "b": [1.5]}
    json.dumps(made, allow_nan=False)
