"""Polygons of classes against gdal_polygonize, across the seams of blocks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import rasterio.features
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform_geom

from processes import outlines
from processes.grid import Block, Grid
from processes.process import JobError, discover
from raster import reader


def in_parquet(output):
    """[(properties, polygon)] and the CRS, of a GeoParquet file."""
    table = pq.read_table(output["path"])
    said = json.loads(table.schema.metadata[b"geo"])["columns"]["geometry"]
    rows = table.drop_columns("geometry").to_pylist()
    return list(zip(rows, shapely.from_wkb(table["geometry"].to_pylist()), strict=True)), said


def by_gdal(gdal, path, out, *words):
    """[(value, polygon)] of gdal_polygonize, in the raster's CRS."""
    gdal("gdal_polygonize.py", "-q", *words, path, "-f", "GeoJSON", out, "their", "value")
    found = json.loads(out.read_text())["features"]
    return [(f["properties"]["value"], shapely.geometry.shape(f["geometry"])) for f in found]


def normal(pairs):
    """A list that is the same for the same polygons of the same values."""
    return sorted((value, shapely.normalize(polygon).wkb) for value, polygon in pairs)


@pytest.fixture
def classes(rasters):
    """Real classes of uint8 in patches, 723 x 934: more than one block each way."""
    with rasterio.open(rasters["naip"]) as file:
        red, nir = file.read(1).astype(float), file.read(4).astype(float)
        ndvi = (nir - red) / np.maximum(nir + red, 1)
        return np.digitize(ndvi, [-0.05, 0.1, 0.2]).astype("uint8")


@pytest.mark.proves("vectorize", "values")
def test_polygons_are_those_of_gdal(classes, make, execute_on, gdal, tmp_path):
    path = make(classes[None])
    theirs = by_gdal(gdal, path, tmp_path / "their.json")
    inputs = {"format": "geoparquet", "max_features": 200_000}
    (output,) = execute_on("vectorize", inputs, data=path)
    ours, said = in_parquet(output)
    assert len(theirs) > 1_000 and len(ours) == len(theirs)
    assert normal([(row["value"], polygon) for row, polygon in ours]) == normal(theirs)
    assert said["crs"]["id"] == {"authority": "EPSG", "code": 32632}
    assert sum(row["pixels"] for row, _ in ours) == classes.size
    assert all(row["pixels"] == round(polygon.area / 100) for row, polygon in ours)
    assert output["properties"]["opstac:features"] == len(ours)


@pytest.mark.proves("vectorize", "nodata")
def test_what_has_no_data_is_in_no_polygon(classes, make, execute_on, gdal, tmp_path):
    values = classes.copy()
    values[480:540, 100:800] = 9  # across a seam
    values[:, 505:520] = 9
    shown = np.ones(values.shape, bool)
    shown[600:650, 200:400] = False
    for name, options in (("nodata", {"nodata": 9}), ("mask", {"mask": shown})):
        path = make(values[None], f"{name}.tif", **options)
        theirs = by_gdal(gdal, path, tmp_path / f"{name}.json")
        (output,) = execute_on("vectorize", {"format": "geoparquet"}, data=path)
        ours, _ = in_parquet(output)
        assert normal([(row["value"], polygon) for row, polygon in ours]) == normal(theirs)
        hidden = values == 9 if name == "nodata" else ~shown
        assert sum(row["pixels"] for row, _ in ours) == (~hidden).sum()


def test_levels_divide_scaled_values_and_values_choose_among_them(rasters, execute_on):
    path = rasters["june"]
    with rasterio.open(path) as file:
        red = file.read(3).astype("float32") * np.float32(file.scales[2]) + file.offsets[2]
        crs, to = file.crs, file.transform
    inputs = {"band": "red", "breaks": [0.04, 0.08], "values": [1, 2], "format": "geoparquet"}
    (output,) = execute_on("vectorize", inputs, data=path)
    ours, _ = in_parquet(output)
    for code, low, high in ((1, 0.04, 0.08), (2, 0.08, None)):
        mine = [(row, polygon) for row, polygon in ours if row["value"] == code]
        assert {(row["from"], row["to"]) for row, _ in mine} == {(low, high)}
        burned = rasterio.features.rasterize(
            [polygon for _, polygon in mine], out_shape=red.shape, transform=to
        )
        assert np.array_equal(burned > 0, (red >= low) & (red < (high or 9)))
    assert {row["value"] for row, _ in ours} == {1, 2} and crs.is_projected
    inputs |= {"min_pixels": 5}
    (output,) = execute_on("vectorize", inputs, data=path)
    large, _ = in_parquet(output)
    assert normal([(row["value"], polygon) for row, polygon in large]) == normal(
        [(row["value"], polygon) for row, polygon in ours if row["pixels"] >= 5]
    )


def test_geojson_is_in_degrees_and_cut_to_the_area(classes, make, execute_on):
    path = make(classes[None])
    with rasterio.open(path) as file:
        left, top = file.bounds.left, file.bounds.top
        square = shapely.box(left + 4_000, top - 6_000, left + 6_000, top - 4_500)
        area = transform_geom(file.crs, "EPSG:4326", shapely.geometry.mapping(square), precision=12)
        crs = file.crs
    (output,) = execute_on("vectorize", {"geometry": area}, data=path)
    found = json.loads(Path(output["path"]).read_text())
    assert output["media_type"] == "application/geo+json"
    back = [
        shapely.geometry.shape(transform_geom("EPSG:4326", crs, f["geometry"], precision=3))
        for f in found["features"]
    ]
    assert shapely.union_all(back, grid_size=0.01).symmetric_difference(square).area < 20
    pixels = sum(f["properties"]["pixels"] for f in found["features"])
    assert pixels == 200 * 150
    west, south, east, north = output["bbox"]
    assert (
        shapely.box(west, south, east, north)
        .buffer(1e-6)
        .contains(
            shapely.GeometryCollection(
                [shapely.geometry.shape(f["geometry"]) for f in found["features"]]
            )
        )
    )


def test_geojson_is_cut_at_the_antimeridian(rasters, execute_on):
    with rasterio.open(rasters["antimeridian"]) as file:
        middle = float(np.median(file.read(1)))
    inputs = {"breaks": [middle], "min_pixels": 50}
    (output,) = execute_on("vectorize", inputs, data=rasters["antimeridian"])
    shapes = [
        shapely.geometry.shape(f["geometry"])
        for f in json.loads(Path(output["path"]).read_text())["features"]
    ]
    assert shapes and all(shape.is_valid for shape in shapes)
    boxes = np.array([part.bounds for s in shapes for part in shapely.get_parts(s)])
    assert boxes[:, 0].min() >= -180 and boxes[:, 2].max() <= 180
    assert (boxes[:, 2] - boxes[:, 0]).max() < 5
    assert (boxes[:, 0] > 0).any() and (boxes[:, 2] < 0).any()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(1, 4), st.integers(1, 4),
    arrays.arrays(np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)),
                  elements=st.integers(0, 2)),
)  # fmt: skip
def test_however_a_raster_is_divided_its_polygons_are_the_same(rows, columns, values):
    height, width = values.shape
    grid = Grid(CRS.from_epsg(32632), Affine.identity(), width, height)
    joiner, found = outlines.Joiner(grid), []
    whole = reader.pixels(0, 0, width, height)
    for number, window in enumerate(reader.tiles(whole, columns, rows)):
        block = Block(grid, number, window)
        part = values[window.toslices()]
        found += joiner.add(block, outlines.trace(block, part, part != 0, 1000))
    expected = [
        (int(value), shapely.geometry.shape(outline))
        for outline, value in rasterio.features.shapes(values.astype("int32"), mask=values != 0)
    ]
    assert normal(found) == normal(expected)


def test_more_than_is_allowed_is_refused(classes, make, execute_on):
    with pytest.raises(JobError, match="more than 100;") as error:
        execute_on("vectorize", {"max_features": 100}, data=make(classes[None]))
    assert error.value.code == "invalid_inputs"
    grid = Grid(CRS.from_epsg(32632), Affine.identity(), 64, 64)
    joiner = outlines.Joiner(grid, max_vertices=40)
    block = Block(grid, 0, reader.pixels(0, 0, 64, 32))
    part = np.arange(32 * 64).reshape(32, 64)
    with pytest.raises(JobError, match="more than 40 points"):
        list(joiner.add(block, outlines.trace(block, part, part >= 0, 10_000)))


def test_a_band_of_fractions_needs_levels(rasters, execute_on, data):
    with pytest.raises(JobError, match="breaks: needed") as error:
        execute_on("vectorize", {}, data=data / "washington-dc_dsm_2m.tif")
    assert error.value.code == "invalid_inputs"


def test_nothing_found_is_an_empty_file(rasters, execute_on):
    for form in ("geojson", "geoparquet"):
        (output,) = execute_on(
            "vectorize", {"breaks": [9e9], "values": [1], "format": form}, data=rasters["june"]
        )
        assert output["properties"]["opstac:features"] == 0
        Path(output["path"]).unlink()


@pytest.mark.parametrize(
    "wrong",
    [
        {"breaks": [1, 1]}, {"breaks": [2, 1]}, {"breaks": [float("nan")]}, {"values": [1.5]},
        {"min_pixels": 0}, {"max_features": 10**6}, {"format": "csv"}, {"values": [2**60]},
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(wrong):
    with pytest.raises(ValidationError):
        discover()["vectorize"].check({"source_item_id": "it_1", **wrong})
