"""Clip: source pixels, source grid, nothing outside; compared with GDAL's own cutline."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.enums import ColorInterp
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds, transform_geom
from rasterio.windows import Window
from shapely.geometry import shape as shapely_shape

from processes.process import JobError
from raster import cog

Make = Any
Run = Any


def polygon(*pixels: tuple[float, float], crs: str = "EPSG:32632") -> dict[str, Any]:
    """GeoJSON in EPSG:4326 through these (column, row) corners of the fixture's grid."""
    ring = [[500_000 + 10 * c, 5_400_000 - 10 * r] for c, r in pixels]
    shape = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    return transform_geom(crs, "EPSG:4326", shape, precision=12)


SQUARE = polygon((10, 20), (40, 20), (40, 50), (10, 50))
SLANTED = polygon((3.3, 5.1), (55.7, 12.9), (61.2, 70.4), (20.5, 44.4))


KEYS = ("data", "a b", "a/b", "a_b")


def noise(*shape: int, dtype: str = "uint16", low: int = 1) -> np.ndarray:
    return np.random.default_rng(7).integers(low, 250, shape).astype(dtype)


def clipped(run: Run, source: Any, geometry: dict[str, Any]) -> tuple[rasterio.DatasetReader, dict]:
    (output,) = run("clip", {"aoi_geometry": geometry}, data=source)
    report = cog.validate(output["path"])
    assert report.valid
    assert report.statistics
    return rasterio.open(output["path"]), output


def test_a_square_on_pixel_edges_is_exactly_those_pixels(make: Make, execute_on: Run) -> None:
    array = noise(2, 80, 90)
    file, output = clipped(execute_on, make(array, nodata=0, band_names=["red", "nir"]), SQUARE)
    with file:
        assert np.array_equal(file.read(), array[:, 20:50, 10:40])
        assert file.transform.c == 500_100
        assert file.transform.f == 5_399_800
        assert file.nodata == 0
        assert file.descriptions == ("red", "nir")
    assert output["band_names"] == ("red", "nir")
    assert output["info"]["is_cog"]
    assert output["properties"] == {"opstac:clip_rule": "pixel centre"}


def test_each_asset_gets_a_file_of_its_own_name(make: Make, execute_on: Run) -> None:
    sources = {key: make(noise(1, 80, 90), f"{n}.tif") for n, key in enumerate(KEYS)}
    outputs = execute_on("clip", {"aoi_geometry": SQUARE}, **sources)
    files = [Path(output["path"]).name for output in outputs]
    assert files == ["data_clip.tif", "a_b.1_clip.tif", "a_b.2_clip.tif", "a_b_clip.tif"]


def cut_by_gdal(source: Any, geometry: dict[str, Any], window: Window) -> np.ndarray:
    """What GDAL's warper leaves visible of a window with this cutline: bool (rows, columns).

    `gdalwarp -cutline` does the same after it has divided the edges and moved them to pixels.
    """
    fine = shapely.segmentize(shapely_shape(geometry), 0.0002)
    with rasterio.open(source) as file:
        moved = transform_geom("EPSG:4326", file.crs, fine.__geo_interface__, precision=9)
        pixels = shapely.transform(
            shapely_shape(moved), lambda c: np.column_stack(~file.transform @ (c[:, 0], c[:, 1]))
        )
        with WarpedVRT(file, add_alpha=True, nodata=None, CUTLINE=pixels.wkt) as warped:
            return warped.read(warped.count, window=window) > 0


@pytest.mark.proves("clip", "values")
@pytest.mark.parametrize("name", ["utm", "s2-flanders_2021-06_10m.tif"])
def test_no_valid_pixel_differs_from_gdals_cutline(
    name: str, make: Make, execute_on: Run, data: Path
) -> None:
    geometry = SLANTED
    if name == "utm":
        source = make(noise(3, 80, 90))
    else:
        source = data / name
        ring = [[5.3221, 50.6357], [5.3274, 50.6361], [5.3302, 50.6329], [5.3226, 50.6313]]
        geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    file, _ = clipped(execute_on, source, geometry)
    with file, rasterio.open(source) as whole:
        row, column = whole.index(*file.xy(0, 0))
        window = Window(column, row, file.width, file.height)
        visible = cut_by_gdal(source, geometry, window)
        theirs, ours = whole.read(window=window), file.read(masked=True)
    assert visible.sum() > 1000
    assert np.array_equal(~np.ma.getmaskarray(ours).any(axis=0), visible)
    assert np.array_equal(ours.data[:, visible], theirs[:, visible])


@pytest.mark.proves("clip", "nodata")
@pytest.mark.parametrize("name", ["mask-band_colorado-rgb.tif", "washington-dc_dsm_2m.tif"])
def test_what_was_hidden_stays_hidden_and_all_else_is_seen(
    name: str, execute_on: Run, data: Path, tmp_path: Path
) -> None:
    """Of a real file by its mask, or, cut out here, by its nodata value."""
    source = data / name
    with rasterio.open(source) as whole:
        if whole.nodata is not None:
            values, profile = whole.read(), {**whole.profile, "driver": "GTiff"}
            values[:, 100:130, 90:170] = whole.nodata
            source = tmp_path / "holed.tif"
            with rasterio.open(source, "w", **profile) as holed:
                holed.write(values)
        west, south, east, north = transform_bounds(whole.crs, "EPSG:4326", *whole.bounds)
        x, y = (east - west) / 10, (north - south) / 10
    ring = [[west + x, south + y], [east - x, south + 2 * y], [east - 2 * x, north - y / 2]]
    geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    file, _ = clipped(execute_on, source, geometry)
    with file, rasterio.open(source) as whole:
        row, column = whole.index(*file.xy(0, 0))
        window = Window(column, row, file.width, file.height)
        theirs, ours = whole.read(window=window, masked=True), file.read(masked=True)
        visible = cut_by_gdal(source, geometry, window)
    hidden = np.ma.getmaskarray(theirs) | ~visible
    assert np.ma.getmaskarray(theirs).any() and not hidden.all()
    assert np.array_equal(np.ma.getmaskarray(ours), hidden)
    assert np.array_equal(ours.data[~hidden], theirs.data[~hidden])


def test_outside_an_integer_raster_without_nodata_lies_a_mask(make: Make, execute_on: Run) -> None:
    array = noise(1, 80, 90, dtype="uint8", low=0)
    file, _ = clipped(execute_on, make(array), SLANTED)
    with file:
        assert file.nodata is None
        mask = file.dataset_mask() > 0
        assert 0 < mask.sum() < mask.size
        window = array[0, 5 : 5 + file.height, 3 : 3 + file.width]
        assert np.array_equal(file.read(1)[mask], window[mask])


def test_outside_a_float_raster_without_nodata_lies_nan(make: Make, execute_on: Run) -> None:
    file, _ = clipped(execute_on, make(noise(1, 80, 90, dtype="float32")), SLANTED)
    with file:
        assert np.isnan(file.nodata)
        assert np.isnan(file.read(1)[-1, 0])


@pytest.mark.parametrize("nodata", [None, 7])
def test_an_internal_mask_and_the_polygon_both_count(
    make: Make, execute_on: Run, nodata: int | None
) -> None:
    mask = np.full((80, 90), 255, "uint8")
    mask[:30] = 0
    source = make(noise(1, 80, 90), mask=mask, nodata=nodata)
    file, _ = clipped(execute_on, source, SQUARE)
    with file:
        assert (file.dataset_mask() > 0).tolist() == (mask[20:50, 10:40] > 0).tolist()


def test_alpha_is_transparent_outside(make: Make, execute_on: Run) -> None:
    array = noise(4, 80, 90, dtype="uint8")
    array[3] = 255
    rgba = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    file, _ = clipped(execute_on, make(array, colors=rgba, photometric="rgb", alpha="yes"), SLANTED)
    with file:
        assert file.colorinterp[3] == ColorInterp.alpha
        assert set(np.unique(file.read(4))) == {0, 255}


def test_a_near_infrared_band_flagged_alpha_is_not_cut_out(make: Make, execute_on: Run) -> None:
    array = noise(4, 80, 90, dtype="uint8")
    rgba = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    names = {"band_names": ["red", "green", "blue", "nir"]}
    source = (make(array, colors=rgba, photometric="rgb", alpha="yes"), names)
    file, output = clipped(execute_on, source, SQUARE)
    with file:
        assert np.array_equal(file.read(4), array[3, 20:50, 10:40])
        assert ColorInterp.alpha not in file.colorinterp
    assert output["band_names"] == ("red", "green", "blue", "nir")


def test_a_rotated_raster_keeps_its_grid(execute_on: Run, data: Path) -> None:
    ring = [[-99.165, 47.018], [-99.158, 47.018], [-99.158, 47.024], [-99.165, 47.024]]
    geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    source = data / "rotated-30deg_naip.tif"
    file, _ = clipped(execute_on, source, geometry)
    with file, rasterio.open(source) as whole:
        assert (file.transform.a, file.transform.b) == (whole.transform.a, whole.transform.b)
        column, row = ~whole.transform @ (file.transform.c, file.transform.f)
        column, row = round(column), round(row)
        window = whole.read(1)[row : row + file.height, column : column + file.width]
        valid = file.read_masks(1) > 0
        assert np.array_equal(file.read(1)[valid], window[valid])


def test_scale_and_offset_stay(make: Make, execute_on: Run) -> None:
    file, _ = clipped(execute_on, make(noise(1, 80, 90), scales=((0.1,), (-1.0,))), SQUARE)
    with file:
        assert (file.scales, file.offsets) == ((0.1,), (-1.0,))


def test_an_area_within_one_pixel_gives_that_pixel(make: Make, execute_on: Run) -> None:
    tiny = polygon((5.1, 5.1), (5.3, 5.1), (5.3, 5.3), (5.1, 5.3))
    array = noise(1, 80, 90)
    file, output = clipped(execute_on, make(array, nodata=0), tiny)
    with file:
        assert file.read(1).tolist() == [[array[0, 5, 5]]]
    assert output["properties"] == {"opstac:clip_rule": "pixel touched"}


def test_a_hole_is_cut_out(make: Make, execute_on: Run) -> None:
    inner = polygon((20, 30), (30, 30), (30, 40), (20, 40))["coordinates"][0]
    holed = {"type": "Polygon", "coordinates": [SQUARE["coordinates"][0], inner]}
    file, _ = clipped(execute_on, make(noise(1, 80, 90), nodata=0), holed)
    with file:
        assert (file.read(1) == 0).sum() == 100


def test_every_asset_is_clipped(make: Make, execute_on: Run) -> None:
    coarse = make(noise(1, 40, 45), "b.tif", transform=rasterio.Affine(20, 0, 5e5, 0, -20, 5.4e6))
    outputs = execute_on(
        "clip", {"aoi_geometry": SQUARE}, fine=make(noise(1, 80, 90), "a.tif"), coarse=coarse
    )
    assert [output["asset_key"] for output in outputs] == ["fine", "coarse"]
    assert [output["info"]["width"] for output in outputs] == [30, 15]


def test_an_area_outside_says_so_and_leaves_nothing(
    make: Make, execute_on: Run, tmp_path: Path
) -> None:
    far = polygon((900, 900), (950, 900), (950, 950))
    with pytest.raises(JobError) as error:
        execute_on("clip", {"aoi_geometry": far}, data=make(noise(1, 80, 90)))
    assert error.value.code == "no_overlap"
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("geometry", "place"),
    [
        ({"type": "Point", "coordinates": [1, 2]}, "Polygon or MultiPolygon"),
        (
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1]]]},
            "coordinates[0] has fewer",
        ),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}, "not closed"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [181, 0], [1, 1], [0, 0]]]}, "[0][1]: lon"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 91], [1, 1], [0, 0]]]}, "[0][1]: lat"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, "x"], [1, 1], [0, 0]]]}, "hold numbers"),
        ({"type": "Polygon", "coordinates": [[[0, 0]] * 10_001]}, "more than 10000"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}, "at [0.5"),
        ({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [2, 2], [0, 0]]]}, "coordinates"),
        ({"type": "MultiPolygon", "coordinates": []}, "non-empty"),
        ("x", "Polygon or MultiPolygon"),
    ],
)
def test_a_bad_geometry_is_refused_with_its_place(
    geometry: Any, place: str, make: Make, execute_on: Run
) -> None:
    with pytest.raises(JobError) as error:
        execute_on("clip", {"aoi_geometry": geometry}, data=make(noise(1, 8, 9)))
    assert error.value.code == "invalid_inputs"
    if place != "coordinates":
        assert place in error.value.message
