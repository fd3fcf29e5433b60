"""COG writing keeps what the source says and adds what a COG must have."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.warp
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp

from raster import cog
from raster.errors import RasterError

Make = Any
AWKWARD = [
    "antimeridian_landsat8_utm60.tif",
    "all-nodata_s2-flanders_2020-12.tif",
    "mask-band_colorado-rgb.tif",
    "one-pixel_naip.tif",
    "rotated-30deg_naip.tif",
    "jpeg-ycbcr_naip-rgb.tif",
    "nir-tagged-alpha_naip.tif",
]


def noise(*shape: int, dtype: str = "uint8", top: int = 250) -> np.ndarray:
    return np.random.default_rng(1).integers(1, top, shape).astype(dtype)


def assert_cog(path: Path) -> None:
    report = cog.validate(path)
    assert report.reasons == ()
    assert report.statistics
    with rasterio.open(path) as file:
        assert file.compression.name == "zstd"


@pytest.mark.parametrize("name", AWKWARD)
def test_an_awkward_file_keeps_its_pixels(name: str, data: Path, tmp_path: Path) -> None:
    made = tmp_path / "made.tif"
    cog.convert_to_cog(data / name, made)
    assert_cog(made)
    with rasterio.open(data / name) as before, rasterio.open(made) as after:
        assert np.array_equal(before.read(), after.read())
        assert before.transform.almost_equals(after.transform, 1e-9)
        assert before.crs == after.crs
        assert before.descriptions == after.descriptions
        assert before.nodata == after.nodata
    assert [file.name for file in tmp_path.iterdir()] == ["made.tif"]


def test_scale_nodata_names_and_colours_are_kept(make: Make, tmp_path: Path) -> None:
    array = noise(1, 600, 600, dtype="int16")
    array[0, :5] = -1
    source = make(array, nodata=-1, scales=(0.01,), offsets=(-2.0,), band_names=["ndvi"])
    cog.convert_to_cog(source, tmp_path / "out.tif")
    assert_cog(tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as file:
        assert (file.nodata, file.scales, file.offsets) == (-1, (0.01,), (-2.0,))
        assert file.descriptions == ("ndvi",)
        assert file.overviews(1) == [2]
        assert file.block_shapes == [(512, 512)]


def test_statistics_are_exact_and_leave_out_what_is_masked(make: Make, tmp_path: Path) -> None:
    array = noise(2, 700, 900, dtype="uint16", top=60_000)
    array[0, :100] = 0
    valid = array[0][array[0] > 0].astype("float64")
    cog.convert_to_cog(make(array, nodata=0), tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as file:
        tags = {name: float(value) for name, value in file.tags(1).items()}
    assert tags["STATISTICS_MINIMUM"] == valid.min()
    assert tags["STATISTICS_MAXIMUM"] == valid.max()
    assert tags["STATISTICS_MEAN"] == pytest.approx(valid.mean(), rel=1e-12)
    assert tags["STATISTICS_STDDEV"] == pytest.approx(valid.std(), rel=1e-10)
    assert tags["STATISTICS_VALID_PERCENT"] == pytest.approx(100 * valid.size / array[0].size)


def test_a_palette_is_kept_and_its_overviews_hold_only_its_classes(
    make: Make, tmp_path: Path
) -> None:
    array = np.where(np.indices((1, 600, 600))[2] % 2, 7, 3).astype("uint8")
    source = make(array, colors=(ColorInterp.palette,), photometric="palette")
    with rasterio.open(source, "r+") as file:
        file.write_colormap(1, {3: (1, 2, 3, 255), 7: (9, 8, 7, 255)})
    cog.convert_to_cog(source, tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif", overview_level=0) as file:
        assert file.colormap(1)[7] == (9, 8, 7, 255)
        assert set(np.unique(file.read())) <= {3, 7}


def test_four_byte_bands_do_not_become_rgba(make: Make, tmp_path: Path) -> None:
    source = make(noise(4, 20, 20), photometric="rgb", alpha="yes")
    with rasterio.open(source) as file:
        assert file.colorinterp[3] == ColorInterp.alpha
    done = cog.convert_to_cog(
        source, tmp_path / "out.tif", band_names=["red", "green", "blue", "nir"]
    )
    assert done == ["a band wrongly flagged as alpha lost the flag"]
    with rasterio.open(tmp_path / "out.tif") as file:
        assert ColorInterp.alpha not in file.colorinterp
        assert file.descriptions[3] == "nir"


def test_a_file_with_control_points_only_is_warped_once(make: Make, tmp_path: Path) -> None:
    array = noise(1, 60, 60)
    points = [
        GroundControlPoint(row=r, col=c, x=9 + c * 0.001, y=48 - r * 0.001)
        for r in (0, 30, 60)
        for c in (0, 30, 60)
    ]
    source = make(array, crs="EPSG:4326", transform=None, gcps=points)
    done = cog.convert_to_cog(source, tmp_path / "out.tif")
    assert "EPSG:32632" in done[0]
    assert_cog(tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as file:
        middle = rasterio.warp.transform("EPSG:4326", file.crs, [9.0305], [47.9695])
        row, col = file.index(middle[0][0], middle[1][0])
        assert file.read(1)[row, col] in array[0, 29:33, 29:33]


def test_many_bands_get_smaller_tiles(make: Make, tmp_path: Path) -> None:
    source = make(noise(60, 300, 300, dtype="float32"))
    cog.convert_to_cog(source, tmp_path / "out.tif")
    assert_cog(tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.block_shapes[0] == (256, 256)


def test_a_damaged_block_is_reported_and_leaves_nothing(make: Make, tmp_path: Path) -> None:
    source = make(noise(1, 512, 512), compress="deflate", tiled=True)
    content = bytearray(source.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    source.write_bytes(content)
    with pytest.raises(RasterError) as error:
        cog.convert_to_cog(source, tmp_path / "out.tif")
    assert error.value.code == "unreadable"
    assert [file.name for file in tmp_path.iterdir()] == [source.name]


@pytest.mark.parametrize("mask", [False, True])
def test_what_the_writer_keeps_for_itself_changes_no_byte(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mask: bool
) -> None:
    source = make(noise(3, 1200, 700, dtype="uint16", top=900), nodata=None if mask else 7)
    if mask:
        with rasterio.open(source, "r+") as file:
            file.write_mask(noise(1200, 700) > 99)
    cog.convert_to_cog(source, tmp_path / "ours.tif")
    monkeypatch.setattr(cog, "_PLAIN_BYTES", 0)  # as a large file goes
    cog.convert_to_cog(source, tmp_path / "large.tif")
    monkeypatch.setattr(cog, "_SCRATCH", {})
    cog.convert_to_cog(source, tmp_path / "plain.tif")
    monkeypatch.setenv(cog.THREADS, "1")
    cog.convert_to_cog(source, tmp_path / "one.tif")
    wanted = (tmp_path / "ours.tif").read_bytes()
    for other in ("large", "plain", "one"):
        assert (tmp_path / f"{other}.tif").read_bytes() == wanted


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """With which options files were opened to be written, and which GDAL's settings were."""
    seen: list[dict[str, Any]] = []
    to_open, settings = rasterio.open, rasterio.Env

    def open_noted(path: Any, mode: str = "r", **options: Any) -> Any:
        if mode == "w":
            seen.append(options)
        return to_open(path, mode, **options)

    def settings_noted(**options: Any) -> Any:
        seen.append(options)
        return settings(**options)

    monkeypatch.setattr(rasterio, "open", open_noted)
    monkeypatch.setattr(rasterio, "Env", settings_noted)
    return seen


@pytest.mark.parametrize("nodata", [None, 7])
@pytest.mark.parametrize("mask", [False, True])
def test_a_mask_is_written_beside_one_thread_alone(
    make: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    opened: list[dict[str, Any]],
    nodata: int | None,
    mask: bool,
) -> None:
    source = make(noise(1, 600, 600), nodata=nodata, mask=noise(600, 600) > 99 if mask else None)
    monkeypatch.setattr(cog, "_PLAIN_BYTES", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setenv(cog.THREADS, "3")
    opened.clear()
    cog.convert_to_cog(source, tmp_path / "out.tif")
    (threads,) = [options["num_threads"] for options in opened if "num_threads" in options]
    assert threads == ("1" if mask else "3")
    with rasterio.open(source) as before, rasterio.open(tmp_path / "out.tif") as after:
        assert np.array_equal(before.read_masks(1), after.read_masks(1))
        assert np.array_equal(before.read(1), after.read(1))
        assert after.nodata == nodata


def test_a_mask_that_was_not_announced_is_refused(tmp_path: Path) -> None:
    grid = {"width": 9, "height": 9, "crs": rasterio.CRS.from_epsg(32632), "dtype": "uint8"}
    values, mask = noise(1, 9, 9), np.ones((9, 9), bool)
    window = rasterio.windows.Window(0, 0, 9, 9)
    for masked, given in ((False, mask), (True, None)):
        with (
            pytest.raises(ValueError, match="mask"),
            cog.tiled_writer(
                tmp_path / "part.tif",
                transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5.4e6),
                count=1,
                masked=masked,
                **grid,
            ) as out,
        ):
            out.write(values, window, mask=given)


def test_scratch_is_compressed_where_there_is_little_room(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[dict[str, Any]]
) -> None:
    source, looked = make(noise(1, 600, 600)), []

    def made(name: str, free: int) -> tuple[bytes, list[bool]]:
        def usage(path: Path) -> SimpleNamespace:
            looked.append(path)
            return SimpleNamespace(free=free)

        monkeypatch.setattr(cog.shutil, "disk_usage", usage)
        opened.clear()
        cog.convert_to_cog(source, tmp_path / name)
        plain = [
            *("compress" not in options for options in opened if "num_threads" in options),
            *(True for options in opened if "COG_TMP_COMPRESSION" in options),
            *(False for options in opened if "ZSTD_LEVEL_OVERVIEW" in options),
        ]
        return (tmp_path / name).read_bytes(), plain

    wide, plain = made("wide.tif", 4 * 600 * 600)
    narrow, packed = made("narrow.tif", 4 * 600 * 600 - 1)
    assert (plain, packed) == ([True, True], [False, False])
    assert wide == narrow
    assert set(looked) == {tmp_path}


def test_progress_grows_to_one(make: Make, tmp_path: Path) -> None:
    seen: list[float] = []
    cog.convert_to_cog(
        make(noise(1, 900, 40)), tmp_path / "out.tif", progress=lambda f, _: seen.append(f)
    )
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_what_is_no_cog_is_told_why(make: Make) -> None:
    plain = make(noise(1, 700, 700))
    assert not cog.is_cog(plain)
    assert any("not tiled" in reason for reason in cog.validate(plain).reasons)
