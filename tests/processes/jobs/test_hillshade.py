"""Hillshade against `gdaldem`, and where a height is missing."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine, from_origin
from rasterio.warp import transform_bounds, transform_geom

from processes.process import JobError
from raster import cog

DSM = "washington-dc_dsm_2m.tif"


def shade(execute_on, path, **inputs):
    (output,) = execute_on("hillshade", inputs, data=path)
    report = cog.validate(output["path"])
    assert report.valid and report.statistics
    with rasterio.open(output["path"]) as file:
        return file.read(1, masked=True), file.profile, output


def read(path):
    with rasterio.open(path) as file:
        return file.read(1, masked=True)


@pytest.mark.proves("hillshade", "values")
@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({}, ()),
        (
            {"azimuth": 90, "altitude": 30, "z_factor": 2.5},
            ("-az", "90", "-alt", "30", "-z", "2.5"),
        ),
        ({"algorithm": "zevenbergen_thorne"}, ("-alg", "ZevenbergenThorne")),
    ],
)
@pytest.mark.parametrize("edges", [True, False])
def test_it_is_that_of_gdaldem(data, tmp_path, execute_on, gdal, inputs, told, edges):
    border = ("-compute_edges",) if edges else ()
    gdal("gdaldem", "hillshade", data / DSM, tmp_path / "their.tif", *told, *border)
    theirs = read(tmp_path / "their.tif")
    ours, profile, _ = shade(execute_on, data / DSM, edges=edges, **inputs)
    assert profile["nodata"] == 0 and profile["dtype"] == "uint8"
    assert np.array_equal(np.ma.getmaskarray(ours), np.ma.getmaskarray(theirs))
    assert ours.count() == (ours.size if edges else ours.size - 2 * sum(ours.shape) + 4)
    off = np.abs(ours.astype(int) - theirs.astype(int))
    # gdaldem computes in 32 bits: a value at a half is rounded to either side
    assert off.max() <= 1 and (off > 0).mean() < 0.002


@pytest.mark.proves("hillshade", "nodata")
@pytest.mark.parametrize("edges", [True, False])
def test_missing_heights_are_what_gdaldem_makes_of_them(data, tmp_path, execute_on, gdal, edges):
    with rasterio.open(data / DSM) as file:
        heights, profile = file.read(1), file.profile
    for hole in (np.s_[0, 0], np.s_[100:140, 50:90], np.s_[-1, 30:60], np.s_[30:35, -1]):
        heights[hole] = profile["nodata"]
    heights[200:202, 200] = np.nan
    with rasterio.open(tmp_path / "holed.tif", "w", **{**profile, "driver": "GTiff"}) as file:
        file.write(heights, 1)
    border = ("-compute_edges",) if edges else ()
    told = heights.copy()
    told[np.isnan(told)] = profile["nodata"]  # gdaldem knows no second kind of nodata
    with rasterio.open(tmp_path / "told.tif", "w", **{**profile, "driver": "GTiff"}) as file:
        file.write(told, 1)
    gdal("gdaldem", "hillshade", tmp_path / "told.tif", tmp_path / "their.tif", *border)
    theirs = read(tmp_path / "their.tif")
    ours, _, _ = shade(execute_on, tmp_path / "holed.tif", edges=edges)
    assert np.array_equal(np.ma.getmaskarray(ours), np.ma.getmaskarray(theirs))
    assert 1000 < np.ma.getmaskarray(ours).sum() < 5000
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


def test_a_polygon_cuts_but_its_edge_is_no_edge(data, execute_on):
    with rasterio.open(data / DSM) as file:
        x, y = file.xy(100, 100, offset="ul")
        ring = [[x, y], [x + 100, y], [x + 100, y - 60], [x, y]]
        triangle = {"type": "Polygon", "coordinates": [ring]}
        geometry = transform_geom(file.crs, "EPSG:4326", triangle, precision=12)
    whole, _, _ = shade(execute_on, data / DSM)
    ours, profile, _ = shade(execute_on, data / DSM, geometry=geometry)
    assert (profile["width"], profile["height"]) == (50, 30)
    seen = ~np.ma.getmaskarray(ours)
    assert 700 < seen.sum() < 800
    assert np.array_equal(ours.data[seen], whole.data[100:130, 100:150][seen])


def test_blocks_leave_no_seam(make, execute_on, tmp_path, gdal):
    rows, columns = np.mgrid[0:1100, 0:1300]
    heights = (40 * np.sin(rows / 37) + 30 * np.cos(columns / 23)).astype("float32")
    path = make(heights[None])
    gdal("gdaldem", "hillshade", path, tmp_path / "their.tif", "-compute_edges")
    ours, _, _ = shade(execute_on, path)
    assert np.abs(ours.astype(int) - read(tmp_path / "their.tif").astype(int)).max() <= 1


def at_sixty_degrees(make, heights, **options):
    """Heights on pixels of 1/10,000 degree at 60° north: 5.58 m by 11.14 m."""
    grid = from_origin(10.0, 60.0, 1e-4, 1e-4)
    return make(heights[None], "degrees.tif", crs="EPSG:4326", transform=grid, **options)


def test_degrees_are_measured_on_the_ground(data, make, execute_on, tmp_path, gdal):
    """The same pixels in metres, by the length of a degree that geodesists print in tables."""
    heights = read(data / DSM).data
    metres = Affine(1e-4 * 55_802.0, 0, 0, 0, -1e-4 * 111_412.0, 0)
    flat = make(heights[None], "metres.tif", transform=metres)
    gdal("gdaldem", "hillshade", flat, tmp_path / "their.tif", "-compute_edges")
    theirs = read(tmp_path / "their.tif").astype(int)
    ours, _, _ = shade(execute_on, at_sixty_degrees(make, heights))
    off = np.abs(ours.astype(int) - theirs)
    # 259 rows are 0.026 degrees, over which a degree of longitude changes by 0.08 %
    assert off.max() <= 1
    mercator = transform_bounds("EPSG:4326", "EPSG:3857", 10, 60 - 0.0259, 10.0283, 60)
    high, wide = (mercator[3] - mercator[1]) / 259, (mercator[2] - mercator[0]) / 283
    stretched = make(
        heights[None], "mercator.tif", crs="EPSG:3857",
        transform=Affine(wide, 0, mercator[0], 0, -high, mercator[3]),
    )  # fmt: skip
    ours, _, _ = shade(execute_on, stretched)
    # Web Mercator is of a sphere: a degree of latitude is off by up to 0.7 %
    assert np.abs(ours.astype(int) - theirs).max() <= 3


def test_feet_are_metres(data, make, execute_on):
    heights = read(data / DSM).data
    foot = 0.3048006096
    metres, _, _ = shade(execute_on, make(heights[None], transform=from_origin(0, 0, foot, foot)))
    feet = make(heights[None], "f.tif", crs="EPSG:2263", transform=from_origin(9e5, 2e5, 1, 1))
    ours, _, _ = shade(execute_on, feet)
    assert np.abs(ours.astype(int) - metres.astype(int)).max() <= 1


def test_a_turned_grid_gives_the_light_of_the_ground(make, execute_on):
    """A plane that falls to the south and east looks the same on every grid."""
    for name, grid in {
        "north-up": Affine(10, 0, 5e5, 0, -10, 5e6),
        "south-up": Affine(10, 0, 5e5, 0, 10, 5e6),
        "turned": Affine.translation(5e5, 5e6) @ Affine.rotation(30) @ Affine.scale(10, -8),
    }.items():
        column, row = np.meshgrid(np.arange(20) + 0.5, np.arange(30) + 0.5)
        x, y = grid @ (column, row)
        heights = (0.5 * (y - 5e6) - 0.25 * (x - 5e5)).astype("float32")
        ours, _, _ = shade(execute_on, make(heights[None], f"{name}.tif", transform=grid))
        normal = np.array([0.25, -0.5, 1]) / np.sqrt(0.25**2 + 0.5**2 + 1)  # east, north, up
        light = np.array([-0.5, 0.5, np.sqrt(0.5)])  # from the north-west, at 45 degrees
        expected = round(1 + 254 * float(normal @ light))
        # at a corner gdaldem takes the pixel itself for its neighbour to the side
        assert (ours.reshape(-1)[1:19] == expected).all() and (ours[1:-1] == expected).all(), name


def test_a_band_that_is_not_there_is_named(data, execute_on):
    for band in (2, "slope"):
        with pytest.raises(JobError, match="no band") as refused:
            execute_on("hillshade", {"band": band}, data=data / DSM)
        assert refused.value.code == "band_missing"
