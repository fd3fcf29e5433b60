"""Contour lines against gdal_contour, across the seams of blocks."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydantic import ValidationError
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import transform_geom
from scipy.spatial import KDTree

from processes import isolines
from processes.grid import Block, Grid
from processes.process import JobError, discover
from raster import reader

DSM = "washington-dc_dsm_2m.tif"


def in_parquet(output, name="height"):
    """{level: [line]} of a GeoParquet file, and what it says of its geometry."""
    table = pq.read_table(output["path"])
    said = json.loads(table.schema.metadata[b"geo"])["columns"]["geometry"]
    return grouped(table[name].to_pylist(), shapely.from_wkb(table["geometry"].to_pylist())), said


def grouped(levels, lines):
    found = {}
    for level, line in zip(levels, lines, strict=True):
        found.setdefault(level, []).append(line)
    return found


def by_gdal(gdal, path, out, *words):
    gdal("gdal_contour", "-q", "-a", "their", *words, path, "-f", "GeoJSON", out)
    found = json.loads(out.read_text())["features"]
    lines = [shapely.LineString(f["geometry"]["coordinates"]) for f in found]
    return grouped([f["properties"]["their"] for f in found], lines)


def pieces(lines, transform):
    """Straight pieces of lines, (n, 2, 2) as column and row, the first centre at 0, 0."""
    points, of = shapely.get_coordinates(lines, return_index=True)
    column, row = ~transform * (points[:, 0], points[:, 1])
    placed = np.column_stack([column, row]) - 0.5
    return np.stack([placed[:-1], placed[1:]], axis=1)[of[:-1] == of[1:]]


def squares_of(found):
    """Row and column of the four centres that each piece lies between."""
    column, row = np.floor(found.mean(axis=1)).astype(int).T
    return row, column


def unordered(found):
    """Pieces as points near which only the same piece lies, whichever end comes first."""
    step = found[:, 1] - found[:, 0]
    return np.column_stack([found.mean(axis=1), np.abs(step), step.prod(axis=1)])


def alike(ours, theirs, values, shown, transform, levels):
    """Whether every piece of a line is one of gdal_contour's and the other way round.

    Compared is what lies between four centres that all have a value: gdal_contour goes on to the
    edges of pixels. Between four that are high and low crosswise it always takes the same of the
    two ways; there only the number of pieces must be equal, but for one: a ring of less than 0.001
    pixels round a height that just reaches a level is left out here, and theirs may be a bend of
    another line. Pieces that short are not compared. Tolerance: 0.0001 pixels.
    """
    whole = shown[:-1, :-1] & shown[1:, :-1] & shown[:-1, 1:] & shown[1:, 1:]
    height, width = whole.shape
    compared = crosswise = 0
    for level in levels:
        high = values >= level
        cross = (high[:-1, :-1] == high[1:, 1:]) & (high[1:, :-1] == high[:-1, 1:])
        cross &= high[:-1, :-1] != high[1:, :-1]
        mine = pieces(ours.get(level, []), transform)
        their = pieces(theirs.get(level, []), transform)
        mine, their = (one[np.hypot(*(one[:, 1] - one[:, 0]).T) > 0.001] for one in (mine, their))
        row, column = squares_of(their)
        meant = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        their = their[meant]
        their = their[whole[squares_of(their)]]
        assert whole[squares_of(mine)].all()
        my_way, their_way = cross[squares_of(mine)], cross[squares_of(their)]
        assert (~my_way).sum() == (~their_way).sum()
        assert abs(int(my_way.sum()) - int(their_way.sum())) <= 1
        crosswise += my_way.sum()
        mine, their = unordered(mine[~my_way]), unordered(their[~their_way])
        if len(mine):
            assert KDTree(mine).query(their)[0].max() < 1e-4
            assert KDTree(their).query(mine)[0].max() < 1e-4
        compared += len(mine)
    assert compared > 50 * crosswise > 0 or crosswise == 0 < compared
    assert set(ours) <= set(levels)
    return compared


@pytest.mark.proves("contour", "values")
@pytest.mark.parametrize(("interval", "base"), [(1.0, 0.0), (2.5, 0.3)])
def test_lines_are_those_of_gdal(data, execute_on, gdal, tmp_path, interval, base):
    words = ["-i", interval, "-off", base]
    theirs = by_gdal(gdal, data / DSM, tmp_path / "their.json", *words)
    inputs = {"interval": interval, "base": base, "format": "geoparquet"}
    (output,) = execute_on("contour", inputs, data=data / DSM)
    ours, said = in_parquet(output)
    with rasterio.open(data / DSM) as file:
        heights, transform = file.read(1), file.transform
        assert said["crs"]["name"] and said["geometry_types"] == ["LineString"]
    shown = np.ones(heights.shape, bool)
    levels = [round(base + n * interval, 6) for n in range(-10, 50)]
    assert alike(ours, theirs, heights, shown, transform, levels) > 20_000
    assert output["properties"]["opstac:features"] == sum(map(len, ours.values()))


@pytest.mark.proves("contour", "values")
def test_lines_are_those_of_gdal_across_the_seams_of_blocks(data, make, execute_on, gdal, tmp_path):
    """Enlarged heights, 1,036 x 1,132: nine blocks; many lines go through several."""
    with rasterio.open(data / DSM) as file:
        heights = file.read(1, out_shape=(1036, 1132), resampling=Resampling.cubic_spline)
    path = make(heights[None])
    theirs = by_gdal(gdal, path, tmp_path / "their.json", "-i", 3)
    (output,) = execute_on("contour", {"interval": 3, "format": "geoparquet"}, data=path)
    ours, _ = in_parquet(output)
    with rasterio.open(path) as file:
        transform = file.transform
    levels = [3.0 * n for n in range(1, 14)]
    assert alike(ours, theirs, heights, np.ones(heights.shape, bool), transform, levels) > 50_000
    # no line ends at a seam: all that are open end at the border of the centres
    lines = [line for every in ours.values() for line in every]
    ends = [p for line in lines if not line.is_closed for p in (line.coords[0], line.coords[-1])]
    column, row = np.array(~transform * np.array(ends).T) - 0.5
    off = np.minimum(np.minimum(column, 1131 - column), np.minimum(row, 1035 - row))
    assert len(ends) > 50 and np.abs(off).max() < 1e-6
    assert max(np.ptp(pieces([line], transform)[:, 0], axis=0).max() for line in lines) > 520


@pytest.mark.proves("contour", "nodata")
def test_where_there_is_no_data_there_is_no_line(data, make, execute_on, gdal, tmp_path):
    with rasterio.open(data / DSM) as file:
        heights = np.tile(file.read(1), (3, 2))  # blocks beside and below each other
    hidden = np.zeros(heights.shape, bool)
    hidden[500:520, 40:300] = hidden[100:700, 505:515] = hidden[300, 300] = True
    theirs = None
    for name, options in (("nodata", {"nodata": -9999}), ("mask", {"mask": ~hidden})):
        values = np.where(hidden, np.float32(-9999 if name == "nodata" else 12.3), heights)
        path = make(values[None], f"{name}.tif", **options)
        if theirs is None:
            theirs = by_gdal(gdal, path, tmp_path / "their.json", "-i", 4)
        (output,) = execute_on("contour", {"interval": 4, "format": "geoparquet"}, data=path)
        ours, _ = in_parquet(output)
        with rasterio.open(path) as file:
            transform = file.transform
        levels = [4.0 * n for n in range(1, 11)]
        assert alike(ours, theirs, values, ~hidden, transform, levels) > 10_000


def divided(values, columns, rows):
    height, width = values.shape
    grid = Grid(CRS.from_epsg(32632), Affine.identity(), width, height)
    joiner, found = isolines.Joiner(grid), []
    whole = reader.pixels(0, 0, width, height)
    for number, window in enumerate(reader.tiles(whole, columns, rows)):
        block = Block(grid, number, window)
        wide = isolines.reaching(block).window
        part = values[wide.toslices()]
        found += joiner.add(block, isolines.trace(part, window.col_off, window.row_off))
    return found


def ends_and_pieces(lines):
    """What lines are made of: their pieces, and where the open ones end."""
    made, ends = [], []
    for level, points in lines:
        placed = [tuple(p) for p in np.round(points, 9).tolist()]
        made += [(level, *pair) for pair in pairwise(placed)]
        if placed[0] != placed[-1]:
            ends += [(level, "from", placed[0]), (level, "to", placed[-1])]
    return sorted(made), sorted(ends)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(1, 4), st.integers(1, 4),
    arrays.arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 9)),
                  elements=st.sampled_from([0, 0.5, 1, 1.7, 2, 3, np.nan])),
)  # fmt: skip
def test_however_a_raster_is_divided_its_lines_are_the_same(rows, columns, values):
    values = np.ma.masked_array(values, np.isnan(values))
    one, many = divided(values, 9, 9), divided(values, columns, rows)
    assert len(one) == len(many)
    assert ends_and_pieces(one) == ends_and_pieces(many)


def test_geojson_is_in_degrees_and_cut_to_the_area(data, execute_on):
    with rasterio.open(data / DSM) as file:
        left, top, crs = file.bounds.left, file.bounds.top, file.crs
    square = shapely.box(left + 100, top - 300, left + 300, top - 100)
    area = transform_geom(crs, "EPSG:4326", shapely.geometry.mapping(square), precision=12)
    inputs = {"interval": 2, "attribute": "elev", "geometry": area}
    (output,) = execute_on("contour", inputs, data=data / DSM)
    assert output["media_type"] == "application/geo+json"
    found = json.loads(Path(output["path"]).read_text())["features"]
    assert found and all(set(f["properties"]) == {"elev"} for f in found)
    back = [
        shapely.geometry.shape(transform_geom("EPSG:4326", crs, f["geometry"], precision=6))
        for f in found
    ]
    ground = shapely.GeometryCollection(back)
    assert square.buffer(0.01).contains(ground)
    assert shapely.box(*ground.bounds).symmetric_difference(square).area < 0.05 * square.area
    (output,) = execute_on("contour", {**inputs, "attribute": None}, data=data / DSM)
    again = json.loads(Path(output["path"]).read_text())["features"]
    assert [f["geometry"] for f in again] == [f["geometry"] for f in found]
    assert all(f["properties"] == {} for f in again)


def test_geojson_is_cut_at_the_antimeridian(rasters, execute_on):
    with rasterio.open(rasters["antimeridian"]) as file:
        middle = float(np.median(file.read(1)))
    inputs = {"interval": 5_000, "base": middle, "max_features": 500_000}
    (output,) = execute_on("contour", inputs, data=rasters["antimeridian"])
    found = json.loads(Path(output["path"]).read_text())["features"]
    shapes = [shapely.geometry.shape(f["geometry"]) for f in found]
    boxes = np.array([part.bounds for s in shapes for part in shapely.get_parts(s)])
    assert boxes[:, 0].min() >= -180 and boxes[:, 2].max() <= 180
    assert (boxes[:, 2] - boxes[:, 0]).max() < 5
    assert (boxes[:, 0] > 0).any() and (boxes[:, 2] < 0).any()


def test_a_level_is_the_decimal_that_was_asked_for(make, execute_on):
    heights = np.tile(np.linspace(0, 1, 21), (5, 1))[None].astype("float32")
    inputs = {"interval": 0.1, "format": "geoparquet"}
    (output,) = execute_on("contour", inputs, data=make(heights))
    ours, _ = in_parquet(output)
    assert sorted(ours) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_one_height_on_a_level_makes_no_line(make, execute_on):
    heights = np.zeros((1, 40, 40), "int16") + 5
    heights[0, 20, 20] = 10
    (output,) = execute_on("contour", {"interval": 10, "format": "geoparquet"}, data=make(heights))
    assert output["properties"]["opstac:features"] == 0


def test_more_than_is_allowed_is_refused(data, make, execute_on):
    with pytest.raises(JobError, match="more than 100;") as error:
        execute_on("contour", {"interval": 1, "max_features": 100}, data=data / DSM)
    assert error.value.code == "invalid_inputs"
    with pytest.raises(JobError, match="Choose a larger interval") as error:
        execute_on("contour", {"interval": 1e-6}, data=data / DSM)
    assert error.value.code == "invalid_inputs"
    stray = np.full((1, 20, 20), 3, "float32")
    stray[0, 3, 3] = -3.4e38
    with pytest.raises(JobError, match="means no data"):
        execute_on("contour", {"interval": 1}, data=make(stray))
    noise = np.random.default_rng(1).integers(0, 4000, (1, 300, 300)).astype("int16")
    with pytest.raises(JobError, match="points in one block"):
        execute_on("contour", {"interval": 1}, data=make(noise))
    grid = Grid(CRS.from_epsg(32632), Affine.identity(), 64, 64)
    block = Block(grid, 0, reader.pixels(0, 0, 64, 32))
    part = np.ma.masked_array(np.tile(np.arange(64) + 0.5, (33, 1)))
    with pytest.raises(JobError, match="more than 40 points"):
        list(isolines.Joiner(grid, max_points=40).add(block, isolines.trace(part, 0, 0)))


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"interval": 0}, {"interval": -1}, {"interval": float("nan")}, {"interval": 1e13},
        {"interval": 1, "base": float("inf")}, {"interval": 1, "attribute": ""},
        {"interval": 1, "attribute": "geo-metry"}, {"interval": 1, "attribute": "a" * 64},
        {"interval": 1, "attribute": "geometry"}, {"interval": 1, "attribute": "h\n"},
        {"interval": 1, "max_features": 0}, {"interval": 1, "format": "csv"},
    ],
)  # fmt: skip
def test_what_means_nothing_is_refused(wrong):
    with pytest.raises(ValidationError):
        discover()["contour"].check({"source_item_id": "it_1", **wrong})
