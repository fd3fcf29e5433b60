"""COG conversion against `gdal_translate`, and that nothing of a file gets lost."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.shutil import copy

from processes.process import JobError, Source, discover
from raster import cog
from raster.errors import RasterError


def converted(execute_on, source, **inputs):
    (output,) = execute_on("cog_convert", inputs, data=source)
    report = cog.validate(output["path"])
    assert report.reasons == () and report.statistics
    return rasterio.open(output["path"]), output


@pytest.mark.proves("cog_convert", "values")
@pytest.mark.parametrize("compression", ["ZSTD", "DEFLATE", "LZW"])
@pytest.mark.parametrize(
    "name",
    [
        "s2-flanders_2021-06_10m.tif",
        "washington-dc_dsm_2m.tif",
        "int16-scale-offset_ndvi.tif",
        "rotated-30deg_naip.tif",
        "antimeridian_landsat8_utm60.tif",
        "one-pixel_naip.tif",
    ],
)
def test_pixels_are_those_of_gdal_translate(data, tmp_path, execute_on, gdal, name, compression):
    gdal("gdal_translate", "-q", data / name, tmp_path / "their.tif")
    ours, output = converted(execute_on, data / name, compression=compression)
    with ours, rasterio.open(tmp_path / "their.tif") as theirs:
        assert ours.compression.name.upper() == compression
        assert ours.dtypes == theirs.dtypes and ours.crs == theirs.crs
        assert ours.transform.almost_equals(theirs.transform, 1e-9)
        assert ours.descriptions == theirs.descriptions
        assert (ours.scales, ours.offsets) == (theirs.scales, theirs.offsets)
        assert ours.nodatavals == theirs.nodatavals
        assert np.array_equal(ours.read(), theirs.read(), equal_nan=ours.dtypes[0][0] == "f")
    assert output["properties"] == {"opstac:compression": compression}


def test_a_jpeg_loses_nothing_more(data, execute_on):
    """Compared with one decoder: builds of GDAL differ in how they enlarge JPEG's colours."""
    ours, _ = converted(execute_on, data / "jpeg-ycbcr_naip-rgb.tif")
    with ours, rasterio.open(data / "jpeg-ycbcr_naip-rgb.tif") as theirs:
        assert np.array_equal(ours.read(), theirs.read())


@pytest.mark.proves("cog_convert", "nodata")
@pytest.mark.parametrize(
    "name",
    ["mask-band_colorado-rgb.tif", "colorado-hro_2014-04_rgba_0.15m.tif",
     "all-nodata_s2-flanders_2020-12.tif", "s2-flanders_ndvi_2020-11_2021-10_10m.tif"],
)  # fmt: skip
def test_what_is_hidden_stays_hidden(data, tmp_path, execute_on, gdal, name):
    inner = ("--config", "GDAL_TIFF_INTERNAL_MASK", "YES")
    gdal("gdal_translate", "-q", *inner, data / name, tmp_path / "their.tif")
    ours, _ = converted(execute_on, data / name)
    with ours, rasterio.open(tmp_path / "their.tif") as theirs:
        assert ours.mask_flag_enums == theirs.mask_flag_enums
        assert ours.nodatavals == theirs.nodatavals
        assert np.array_equal(ours.read_masks(), theirs.read_masks())
        assert np.array_equal(ours.read(), theirs.read(), equal_nan=ours.dtypes[0][0] == "f")


@pytest.mark.proves("cog_convert", "nodata")
def test_a_mask_and_values_beneath_it_are_kept(make, execute_on):
    array = np.random.default_rng(3).integers(0, 9, (2, 700, 600)).astype("uint16")
    mask = np.random.default_rng(4).random((700, 600)) > 0.4
    ours, _ = converted(execute_on, make(array, mask=mask))
    with ours:
        assert ours.nodata is None
        assert ours.mask_flag_enums == ([MaskFlags.per_dataset],) * 2
        assert np.array_equal(ours.read_masks(1) > 0, mask)
        assert np.array_equal(ours.read(), array)
        assert float(ours.tags(1)["STATISTICS_MAXIMUM"]) == array[0][mask].max()


def test_bands_keep_names_scale_and_nan(make, execute_on):
    array = np.random.default_rng(3).random((3, 600, 520)).astype("float32")
    array[1, 5:80] = np.nan
    source = make(
        array, nodata=float("nan"), band_names=["red", "nir", "swir16"],
        scales=((0.1, 0.2, 0.3), (1.0, -2.0, 3.0)), tiled=False,
    )  # fmt: skip
    ours, output = converted(execute_on, source)
    with ours:
        assert ours.descriptions == ("red", "nir", "swir16")
        assert (ours.scales, ours.offsets) == ((0.1, 0.2, 0.3), (1.0, -2.0, 3.0))
        assert np.isnan(ours.nodata) and np.array_equal(ours.read(), array, equal_nan=True)
    assert output["band_names"] == ("red", "nir", "swir16")


@pytest.fixture
def palette(make):
    array = np.where(np.indices((1, 600, 600))[2] % 3, 7, 3).astype("uint8")
    path = make(array, colors=(ColorInterp.palette,), photometric="palette")
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, {3: (1, 2, 3, 255), 7: (9, 8, 7, 255)})
    return path


@pytest.mark.parametrize("resampling", ["auto", "mode", "nearest"])
def test_a_palette_is_kept(palette, execute_on, resampling):
    ours, output = converted(execute_on, palette, overview_resampling=resampling)
    with ours, rasterio.open(palette) as before:
        assert ours.colormap(1) == before.colormap(1)
        assert np.array_equal(ours.read(), before.read())
    with rasterio.open(output["path"], overview_level=0) as small:
        assert set(np.unique(small.read())) <= {3, 7}


@pytest.mark.parametrize("resampling", ["average", "bilinear", "cubic", "lanczos"])
def test_classes_are_not_averaged(palette, execute_on, resampling):
    inputs = {"overview_resampling": resampling}
    with pytest.raises(JobError, match="holds classes") as refused:
        execute_on("cog_convert", inputs, data=palette)
    assert refused.value.code == "invalid_inputs"
    process = discover()["cog_convert"]
    typed = process.check({"source_item_id": "it_1", **inputs})
    known = Source("it_1", "data", "", {}, {"is_categorical": True})
    with pytest.raises(JobError, match="holds classes"):
        process.check_sources(typed, {"data": known})


@pytest.mark.parametrize("resampling", ["nearest", "average", "bilinear", "cubic", "lanczos"])
def test_overviews_are_those_of_gdal(data, tmp_path, execute_on, resampling):
    source = data / "antimeridian_landsat8_utm60.tif"
    ours, output = converted(execute_on, source, overview_resampling=resampling, block_size=128)
    with ours:
        assert ours.block_shapes[0] == (128, 128) and ours.overviews(1)
    told = {"BLOCKSIZE": "128", "OVERVIEW_RESAMPLING": resampling.upper(), "COMPRESS": "ZSTD"}
    copy(source, tmp_path / "their.tif", driver="COG", OVERVIEWS="IGNORE_EXISTING", **told)
    with (
        rasterio.open(output["path"], overview_level=0) as small,
        rasterio.open(tmp_path / "their.tif", overview_level=0) as theirs,
    ):
        assert np.array_equal(small.read(), theirs.read())


@pytest.mark.parametrize("block", [128, 256, 512, 1024])
def test_tiles_have_the_size_that_was_asked_for(make, execute_on, block):
    source = make(np.ones((1, 1100, 1200), "uint8"))
    with converted(execute_on, source, block_size=block)[0] as ours:
        assert ours.block_shapes == [(block, block)]


def test_a_tile_of_many_bands_is_smaller(make, execute_on):
    source = make(np.ones((40, 300, 300), "float32"))
    with converted(execute_on, source, block_size=1024)[0] as ours:
        assert ours.block_shapes[0] == (256, 256)


def test_control_points_are_warped_once_and_the_item_says_so(data, execute_on):
    ours, output = converted(execute_on, data / "gcps_sentinel1-grd.tif")
    with ours:
        assert ours.crs.is_projected and not ours.transform.is_identity
    (note,) = output["properties"]["opstac:conversion"]
    assert note.startswith("data: warped from ground control points to EPSG:")


def test_every_asset_gets_a_file_and_the_same_bytes_each_time(data, execute_on):
    names = {"data": "one-pixel_naip.tif", "d/s m": "washington-dc_dsm_2m.tif"}
    files = {key: data / name for key, name in names.items()}
    made = []
    for _ in range(2):
        outputs = execute_on("cog_convert", {}, **files)
        paths = [Path(output["path"]) for output in outputs]
        made.append([(path.name, path.read_bytes()) for path in paths])
    assert made[0] == made[1]
    assert [name for name, _ in made[0]] == ["data_cog.tif", "d_s_m.1_cog.tif"]


@pytest.mark.parametrize(
    "inputs",
    [{"compression": "JPEG"}, {"compression": "zstd"}, {"block_size": 100}, {"block_size": "512"},
     {"overview_resampling": "gauss"}, {"asset_keys": []}, {"quality": 3}],
)  # fmt: skip
def test_what_is_not_on_a_list_is_refused(make, execute_on, inputs):
    with pytest.raises(JobError) as refused:
        execute_on("cog_convert", inputs, data=make(np.ones((1, 5, 5), "uint8")))
    assert refused.value.code == "invalid_inputs"


def test_a_damaged_file_is_no_scene(data, execute_on):
    with pytest.raises(RasterError) as failed:
        execute_on("cog_convert", {}, data=data / "truncated.tif")
    assert failed.value.code in ("truncated", "unreadable")
