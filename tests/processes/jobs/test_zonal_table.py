"""Tables of many areas: against shares of pixels cut out by shapely, and numpy."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from pydantic import ValidationError
from rasterio.warp import transform

from processes.engine import execute
from processes.jobs import zonal_table
from processes.process import JobError, Source, discover

SQUARE = {"type": "Polygon", "coordinates": [[[3, 51], [4, 51], [4, 52], [3, 52], [3, 51]]]}


def degrees(file: Any, shape: Any) -> Any:
    return shapely.transform(
        shape, lambda p: np.column_stack(transform(file.crs, "EPSG:4326", p[:, 0], p[:, 1]))
    )


def parcels(path: Path, count: int = 12) -> list[Any]:
    """Irregular areas that share the raster among them and reach over its edge, in its CRS."""
    with rasterio.open(path) as file:
        left, bottom, right, top = file.bounds
    points = np.random.default_rng(5).uniform((left, bottom), (right, top), (count, 2))
    cells = shapely.voronoi_polygons(shapely.MultiPoint(points))
    around = shapely.box(left - 33, bottom - 21, right + 4, top + 9)
    return [part.intersection(around) for part in shapely.get_parts(cells)]


def collection(shapes: list[Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": f"field {n}",
                "properties": {"code": n * 10},
                "geometry": shape
                if isinstance(shape, dict)
                else json.loads(shapely.to_geojson(shape)),
            }
            | more
            for n, shape in enumerate(shapes)
        ],
    }


def shares(path: Path, shape: Any) -> np.ndarray:
    """Of each pixel, by cutting its square: (rows, columns)."""
    with rasterio.open(path) as file:
        t, rows, columns = file.transform, file.height, file.width
    c, r = (grid.ravel() for grid in np.meshgrid(np.arange(columns), np.arange(rows)))
    cells = shapely.box(t.c + c * t.a, t.f + (r + 1) * t.e, t.c + (c + 1) * t.a, t.f + r * t.e)
    part = shapely.area(shapely.intersection(cells, shape)) / abs(t.a * t.e)
    return part.reshape(rows, columns)


@pytest.fixture
def table(tmp_path):
    def call(path: Path, zones_file: Path | None = None, **inputs: Any) -> Any:
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        given = [Source("it_1", "data", str(path))]
        if zones_file is not None:
            inputs |= {"zones_item_id": "it_2"}
            given.append(Source("it_2", "data", str(zones_file)))
        given = [vars(source) for source in given]
        body = {"source_item_id": "it_1", **inputs}
        (output,) = execute("zonal_table", body, given, str(out), lambda f, s: None)
        assert [str(p) for p in out.iterdir()] == [output["path"]]
        return output

    return call


def rows_of(output: Any) -> list[dict[str, Any]]:
    with open(output["path"], newline="") as file:
        return [
            {k: v if k == "id" else (float(v) if v else None) for k, v in row.items()}
            for row in csv.DictReader(file)
        ]


@pytest.mark.proves("zonal_table", "values")
def test_every_area_has_the_numbers_of_its_shares_of_pixels(rasters, table):
    path = rasters["june"]
    with rasterio.open(path) as file:
        shapes = parcels(path)
        zones = collection([degrees(file, shape) for shape in shapes])
        values = file.read(masked=True) * np.array(file.scales)[:, None, None]
        values = values.astype("float64") + np.array(file.offsets)[:, None, None]
        names = list(file.descriptions)
    red, nir = values[names.index("red")], values[names.index("nir")]
    output = table(
        path, zones=zones, bands=["nir", 1], index_names=["NDVI"],
        expressions={"ratio": "nir / red"}, percentiles=[10],
    )  # fmt: skip
    rows = rows_of(output)
    assert [row["id"] for row in rows] == [f"field {n}" for n in range(len(shapes))]
    truth = {"nir": nir, "b1": values[0], "ndvi": (nir - red) / (nir + red), "ratio": nir / red}
    for row, shape in zip(rows, shapes, strict=True):
        part = shares(path, shape)
        met = part > 1e-9
        assert row["area_m2"] == pytest.approx(part.sum() * 100, rel=1e-3)
        for name, pixels in truth.items():
            weights, there = part[met], pixels[met]
            mean = np.average(there, weights=weights)
            spread = np.sqrt(np.average((there - mean) ** 2, weights=weights))
            assert row[f"{name}_count"] == pytest.approx(weights.sum(), rel=1e-4)
            assert row[f"{name}_mean"] == pytest.approx(mean, rel=1e-5)
            assert row[f"{name}_std"] == pytest.approx(spread, rel=1e-4)
            assert row[f"{name}_sum"] == pytest.approx((there * weights).sum(), rel=1e-4)
            assert row[f"{name}_min"] == pytest.approx(there.min(), rel=1e-5)
            assert row[f"{name}_max"] == pytest.approx(there.max(), rel=1e-5)
            # between the quantiles of a little less and a little more weight
            order = np.argsort(there)
            reached = np.cumsum(weights[order]) / weights.sum()
            for column, share in (("median", 0.5), ("p10", 0.1)):
                low, high = np.interp([share - 0.01, share + 0.01], reached, there[order])
                assert low - 1e-6 <= row[f"{name}_{column}"] <= high + 1e-6
    # the parcels share the raster among them
    assert sum(row["b1_count"] for row in rows) == pytest.approx(nir.size, rel=1e-6)
    assert output["media_type"] == "text/csv"
    assert output["properties"]["opstac:zones"] == len(shapes)


@pytest.mark.proves("zonal_table", "nodata")
def test_what_is_not_valid_does_not_count(rasters, table, make):
    with rasterio.open(rasters["june"]) as file:
        band = file.read(1).astype("int32")
    band[:, 30:50] = -7
    path = make(band[None], nodata=-7)
    with rasterio.open(path) as file:
        left, top = file.bounds.left, file.bounds.top
        shapes = [
            shapely.box(left + 205, top - 400, left + 600, top - 100),  # from within a pixel
            shapely.box(left + 310, top - 400, left + 490, top - 100),  # nothing valid
            shapely.box(left - 900, top - 400, left - 100, top - 100),  # beside it
        ]
        zones = collection([degrees(file, shape) for shape in shapes])
    some, none, beside = rows_of(table(path, zones=zones))
    weights = np.zeros(band.shape)
    weights[10:40, 20:60] = 1
    weights[10:40, 20] = 0.5
    weights[band == -7] = 0
    assert some["b1_count"] == pytest.approx(weights.sum(), rel=1e-4)
    assert some["b1_mean"] == pytest.approx(np.average(band, weights=weights), rel=1e-5)
    assert some["b1_valid_percent"] == pytest.approx(100 * weights.sum() / (30 * 39.5), rel=1e-4)
    for row in (none, beside):
        assert row["b1_count"] == 0 and row["b1_valid_percent"] == 0
        assert {row[f"b1_{s}"] for s in ("min", "max", "mean", "std", "median", "sum")} == {None}
    assert none["area_m2"] > 0 and beside["area_m2"] == 0


def test_masks_hide_as_in_the_method(rasters, table):
    from processes.analysis import engine

    path = rasters["masked"]
    with rasterio.open(path) as file:
        assert not file.read_masks(1).all()
        zone = degrees(file, shapely.box(*file.bounds))
    zones = collection([zone])
    (row,) = rows_of(table(path, zones=zones, bands=[2]))
    asset = {"checksum": "sha256:1"}
    source = {"item_id": "it_a", "asset_key": "data", "path": str(path), "asset": asset}
    item = {"id": "it_a", "datetime": None, "properties": {}, "sources": [source]}
    params = {"item_id": "it_a", "band": 2, "geometry": zones["features"][0]["geometry"]}
    found = engine.execute("zonal_stats", params, [item], ".")["answer"]["statistics"]
    assert {s: row[f"b2_{s}"] for s in zonal_table.STATISTICS} == {
        s: found[s] for s in zonal_table.STATISTICS
    }


def test_areas_come_from_a_file_in_any_of_three_forms(rasters, table, tmp_path):
    path = rasters["june"]
    with rasterio.open(path) as file:
        shapes = [degrees(file, shape) for shape in parcels(path, 5)]
    zones_file = tmp_path / "zones.geojson"
    zones_file.write_text(json.dumps(collection(shapes)))
    shared = {"bands": ["nir"], "statistics": ["mean", "count"]}
    plain = rows_of(table(path, zones_file, **shared, id_property="code"))
    assert [row["id"] for row in plain] == ["0", "10", "20", "30", "40"]
    os.remove(tmp_path / "out" / "zonal_table.csv")
    output = table(path, zones_file, **shared, format="geoparquet")
    made = pq.read_table(output["path"])
    assert made.column_names == ["id", "area_m2", "nir_mean", "nir_count", "geometry"]
    assert made["nir_mean"].to_pylist() == [row["nir_mean"] for row in plain]
    assert shapely.from_wkb(made["geometry"].to_pylist()).tolist() == shapes
    said = json.loads(made.schema.metadata[b"geo"])
    assert said["version"] == "1.1.0" and said["columns"]["geometry"]["encoding"] == "WKB"
    assert said["columns"]["geometry"]["crs"]["id"] == {"authority": "OGC", "code": "CRS84"}
    os.remove(output["path"])
    output = table(path, zones_file, **shared, format="geojson")
    found = json.loads(Path(output["path"]).read_text())["features"]
    assert [f["properties"]["nir_mean"] for f in found] == [row["nir_mean"] for row in plain]
    for feature, shape in zip(found, shapes, strict=True):
        assert shapely.hausdorff_distance(shapely.geometry.shape(feature["geometry"]), shape) < 1e-8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("{}", "no GeoJSON FeatureCollection"),
        ('{"type": "FeatureCollection", "features": []}', "no features"),
        ('{"type": "FeatureCollection", "features": [7]}', r"features\[0\]"),
        (json.dumps(collection([shapely.Point(3, 51)])), "Polygon or MultiPolygon"),
        (json.dumps(collection([shapely.box(0, 0, 1, 1)])), "every area lies outside"),
        (json.dumps(collection([SQUARE])).replace("[3, 51]", "[NaN, 51]"), "finite"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_of_areas_is_said(rasters, table, tmp_path, text, said):
    path = tmp_path / "zones.geojson"
    path.write_text(text)
    with pytest.raises(JobError, match=said) as error:
        table(rasters["june"], path)
    assert error.value.code in ("invalid_inputs", "no_overlap")


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"zones": SQUARE, "zones_item_id": "it_2"}, {"zones": []}, {"zones": [["a", SQUARE]]},
        {"zones": SQUARE, "statistics": []}, {"zones": SQUARE, "index_names": ["NOPE"]},
        {"zones": SQUARE, "percentiles": [float("nan")]}, {"zones": SQUARE, "bands": [0]},
        {"zones": SQUARE, "expressions": {"a b": "b1"}}, {"zones": SQUARE, "format": "xlsx"},
        {"zones": SQUARE, "more": 1}, {"zones": {"type": "FeatureCollection", "features": []}},
    ],
)  # fmt: skip
def test_inputs_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValidationError):
        discover()["zonal_table"].check({"source_item_id": "it_1", **wrong})


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"bands": [7]}, "band_missing"),
        ({"bands": ["swir99"]}, "band_missing"),
        ({"index_names": ["NDMI"]}, "band_missing"),
        ({"expressions": {"x": "nope * 2"}}, "band_missing"),
        ({"expressions": {"x": "b1 +"}}, "invalid_inputs"),
        ({"expressions": {"x": "b1; b2"}}, "invalid_inputs"),
    ],
)
def test_what_is_known_beforehand_is_refused_before_the_run(inputs, code):
    process = discover()["zonal_table"]
    typed = process.check({"source_item_id": "it_1", "zones": SQUARE, **inputs})
    asset = {"band_names": ["red", "nir"], "band_count": 2}
    with pytest.raises(JobError) as error:
        process.check_sources(typed, {"data": Source("it_1", "data", "", {}, asset)})
    assert error.value.code == code


def test_inputs_survive_being_kept(rasters):
    process = discover()["zonal_table"]
    typed = process.check({"source_item_id": "it_1", "zones": SQUARE, "mask": {"exclude": [3]}})
    kept = json.loads(json.dumps(typed.model_dump(mode="json", exclude_none=True)))
    assert process.check(kept) == typed


def test_areas_that_overlap_are_paid_once():
    process = discover()["zonal_table"]
    twice = collection([shapely.box(3, 51, 3.01, 51.01)] * 2)
    typed = process.check({"source_item_id": "it_1", "zones": twice})
    once = process.check(
        {"source_item_id": "it_1", "zones": collection([shapely.box(3, 51, 3.01, 51.01)])}
    )
    assert process.quantity(typed, [{}]) == process.quantity(once, [{}]) > 0
