"""The block engine: any division, halo, threads and warp give what the whole array gives."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin
from rasterio.vrt import WarpedVRT
from rasterio.warp import Resampling

from processes import blocks, files
from processes.analysis import align
from processes.blocks import Block, Files, Grid
from processes.process import JobError, Source
from raster import cog
from raster.errors import RasterError

Make = Any


def given(path: Path, key: str = "data", **asset: Any) -> dict[str, Source]:
    return {key: Source("it_1", key, str(path), {"id": "it_1"}, asset)}


def doubled(block: Block, read: Files, params: Any) -> np.ma.MaskedArray:
    return read.read("data", block) * np.float32(2)


def mean_of_nine(block: Block, read: Files, params: Any) -> np.ma.MaskedArray:
    values = read.read("data", block)[0]
    valid = ~np.ma.getmaskarray(values)
    total, count = np.zeros(values.shape), np.zeros(values.shape)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            total += np.roll(np.where(valid, values.data, 0), (dy, dx), (0, 1))
            count += np.roll(valid, (dy, dx), (0, 1))
    total, count = block.core(total), block.core(count)
    return np.ma.MaskedArray(total / np.maximum(count, 1), mask=count == 0)


def as_it_is(block: Block, read: Files, params: Any) -> np.ma.MaskedArray:
    return read.read("data", block, **params)


def thread_name(block: Block, read: Files, params: Any) -> str:
    return threading.current_thread().name


def refuses(block: Block, read: Files, params: Any) -> None:
    if block.number == 1:
        raise JobError("band_missing", "no such band")


def opens(block: Block, read: Files, params: Any) -> None:
    read.open(params)


def run(path: Path, out: Path, function: Any = doubled, **options: Any) -> np.ma.MaskedArray:
    with rasterio.open(path) as dataset:
        grid = options.pop("grid", None) or Grid.of(dataset, options.pop("geometry", None))
    usual = {"dtype": "float32", "band_names": ["x"], "nodata": float("nan")}
    blocks.write(out, function, grid, sources=given(path), **(usual | options))
    assert cog.validate(out) == cog.Report(True, (), True)
    with rasterio.open(out) as made:
        return made.read(masked=True)


@pytest.fixture
def noise(make: Make) -> Path:
    values = np.random.default_rng(3).integers(0, 200, (1, 1100, 1300)).astype("float32")
    values[:, :40] = -1
    return make(values, nodata=-1)


def test_any_division_and_number_of_threads_gives_the_same_bytes(noise: Path, tmp_path: Path):
    # 64 MiB of a block divided by so much a pixel: one block, many, and many narrow ones
    made = [
        run(noise, tmp_path / f"{n}.tif", mean_of_nine, halo=1, pixel_bytes=size, threads=threads)
        for n, (size, threads) in enumerate([(16, 1), (256, 1), (256, 3), (4096, 2)])
    ]
    for other in made[1:]:
        assert np.array_equal(made[0].filled(-9), other.filled(-9))
    assert (tmp_path / "1.tif").read_bytes() == (tmp_path / "2.tif").read_bytes()
    assert not made[0].mask[0, 45:-1, 1:-1].any() and made[0].mask[0, :38].all()


def test_a_halo_reads_the_neighbours_across_blocks(noise: Path, tmp_path: Path):
    ours = run(noise, tmp_path / "o.tif", mean_of_nine, halo=1, pixel_bytes=4096)[0]
    with rasterio.open(noise) as file:
        values = file.read(1).astype("float64")
    row, column = 512, 128  # a corner of blocks
    expected = values[row - 1 : row + 2, column - 1 : column + 2].mean()
    assert ours[row, column] == pytest.approx(expected, rel=1e-6)


def test_pixels_outside_the_area_are_hidden_and_not_computed(make: Make, tmp_path: Path):
    source = make(np.full((1, 80, 90), 7, "uint8"))
    ring = [[9.0, 48.751], [9.003, 48.751], [9.003, 48.749], [9.0, 48.749], [9.0, 48.751]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    triangle = {"type": "Polygon", "coordinates": [[*ring[:3], ring[0]]]}
    box = run(source, tmp_path / "box.tif", geometry=geometry)[0]
    half = run(source, tmp_path / "half.tif", geometry=triangle)[0]
    assert box.shape == half.shape and 15 < box.shape[1] < 30
    assert box.count() > 1.7 * half.count() > 0 and (half.compressed() == 14).all()
    with rasterio.open(source) as dataset, pytest.raises(RasterError) as error:
        Grid.of(dataset, {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]})
    assert error.value.code == "no_overlap"


def test_a_warp_in_blocks_is_the_warp_of_the_whole(noise: Path, tmp_path: Path):
    with rasterio.open(noise) as dataset:
        target = Grid(
            rasterio.crs.CRS.from_epsg(4326), from_origin(9.0, 48.76, 2e-4, 1.5e-4), 900, 600
        )
        across, down = align._ratios(dataset, target)
        with WarpedVRT(
            dataset,
            crs=target.crs,
            transform=target.transform,
            width=target.width,
            height=target.height,
            resampling=Resampling.bilinear,
            tolerance=1e-9,
            XSCALE=across,
            YSCALE=down,
        ) as warped:
            whole = warped.read(1, masked=True).filled(np.nan)
    options = {"grid": target, "params": {"resampling": "bilinear"}, "pixel_bytes": 2048}
    ours = run(noise, tmp_path / "o.tif", as_it_is, **options)[0]
    assert np.array_equal(ours.mask, np.isnan(whole))
    # noise of 0 to 200 a pixel; places are exact to a thousandth of one
    assert np.abs(ours.compressed() - whole[~np.isnan(whole)]).max() < 0.2


def test_without_a_nodata_value_a_mask_hides(make: Make, tmp_path: Path):
    source = make(np.arange(12, dtype="uint8").reshape(1, 3, 4), nodata=5)
    made = run(source, tmp_path / "o.tif", nodata=None, dtype="uint16")
    assert made.mask.sum() == 1 and made.mask[0, 1, 1] and made.data[0, 2, 3] == 22
    with rasterio.open(tmp_path / "o.tif") as file:
        assert file.nodata is None and file.tags(1)["STATISTICS_VALID_PERCENT"].startswith("91")


def test_numbers_too_large_for_float32_are_kept(make: Make, tmp_path: Path):
    source = make(np.array([[[16_777_217, 2**31 - 1]]], "int32"))
    params = {"scaled": False, "dtype": "float64"}
    made = run(source, tmp_path / "o.tif", as_it_is, dtype="int32", nodata=None, params=params)
    assert made.data.ravel().tolist() == [16_777_217, 2**31 - 1]


def test_a_refusal_ends_the_run_and_leaves_no_file(noise: Path, tmp_path: Path):
    for threads in (1, 2):
        with pytest.raises(JobError) as error:
            run(noise, tmp_path / "o.tif", refuses, pixel_bytes=4096, threads=threads)
        assert error.value.code == "band_missing"
    assert not [p for p in tmp_path.iterdir() if p.name.startswith("o")]
    assert not files._IDLE_HANDLES._kept


def test_only_the_files_given_are_opened(noise: Path, tmp_path: Path, make: Make):
    other = make(np.zeros((1, 2, 2), "uint8"), "other.tif")
    with pytest.raises(KeyError):
        run(noise, tmp_path / "o.tif", opens, params=Source("x", "data", str(other)))


def test_handles_are_closed_and_bound_to_their_run(noise: Path, make: Make, tmp_path: Path):
    first = run(noise, tmp_path / "a.tif")
    make(np.full((1, 1100, 1300), 4, "float32"))  # replaced
    second = run(noise, tmp_path / "b.tif")
    assert (second == 8).all() and not np.array_equal(first, second)
    assert not files._IDLE_HANDLES._kept


def test_threads_are_of_this_run_and_bounded(noise: Path, monkeypatch: pytest.MonkeyPatch):
    with rasterio.open(noise) as dataset:
        grid = Grid.of(dataset)

    def names(threads: int | None) -> set[str]:
        found = blocks.results(
            thread_name, grid, sources=given(noise), pixel_bytes=4096, threads=threads
        )
        return {name for _, name in found}

    assert names(1) == {"MainThread"}
    assert 1 <= len(names(2)) <= 2
    monkeypatch.setenv(blocks.THREADS, "1")
    assert names(None) == {"MainThread"}


def test_a_band_of_alpha_is_part_of_the_picture(make: Make, tmp_path: Path):
    source = make(np.array([[[1, 0]], [[1, 0]], [[1, 0]], [[255, 0]]], "uint8"))
    rgba = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    options = {"colors": rgba, "dtype": "uint8", "nodata": None, "band_names": list("rgba")}
    params = {"indexes": [1, 2, 3, 4], "scaled": False}
    made = run(source, tmp_path / "o.tif", as_it_is, params=params, **options)
    assert made.data[:, 0].T.tolist() == [[1, 1, 1, 255], [0, 0, 0, 0]]
    with rasterio.open(tmp_path / "o.tif") as file:
        assert file.colorinterp == rgba
