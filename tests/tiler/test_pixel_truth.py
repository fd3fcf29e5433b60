"""Our tiles against GDAL's own `gdalwarp`, value by value, on files that are awkward.

    OPSTAC_TEST_IMAGERY=FOLDER pytest -m imagery tests/tiler/test_pixel_truth.py

does the same with every GeoTIFF below a folder. Where that has an `items.jsonl`, names of bands
come from the STAC items in it.

The oracle is another program: `gdalwarp -et 0`, which places each pixel exactly, in 64-bit floats
and band by band, so that it rounds nothing. What is compared is a block of tiles, warped in one go:
a difference at the edge between two tiles shows too.

Tolerances, and why:
  bilinear   half a unit of an integer (we round, the oracle does not) plus what moving a pixel by
             `TOLERANCE_PIXELS` on either axis changes where the raster is steepest.
  nearest    the same value, but for pixels whose centre falls within `TOLERANCE_PIXELS` of the edge
             between two source pixels: 2 in 1,000 (chance would give 2 axes x 2 x 0.005 in 1).
  masks      validity is that of the nearest source pixel, so the rule is that of nearest; but only
             pixels at the edge of a mask can differ: 1 in 1,000.
  decimated  where a raster has no overview coarse enough, tiles average down what they read, since
             picking pixels would alias. There the oracle is gdalwarp with its own wide filter, and
             the mean difference is below 3 per cent of the range of values.
"""

import json
import math
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.enums import ColorInterp, Resampling
from rasterio.transform import Affine

from tiler import datasets, fast, general, grid
from tiler.locate import TOLERANCE_PIXELS, NotCovered, Request
from tiler.source import AssetSource
from tiler.style import style

RASTERS = Path(__file__).parents[1] / "data" / "rasters"
SAMPLE = (
    Path(__file__).parents[2] / "src" / "opstac" / "sampledata" / "naip_north-dakota_2019-09-04.tif"
)
OUTSIDE = -9.0e9  # the oracle's mark for "no value"


@dataclass(frozen=True)
class Case:
    """A file, and what is known of it beyond what it says itself."""

    path: Path
    band_names: tuple[str, ...] = ()
    warp: tuple[str, ...] = ()  # what gdalwarp has to be told likewise
    decoded: bool = False  # gdalwarp gets our decoded pixels: decoders of JPEG differ by themselves

    @property
    def source(self) -> AssetSource:
        return AssetSource(path=str(self.path), version="1", band_names=self.band_names)


def _from_sample(folder: Path, name: str) -> Path:
    """Awkwardness put into real imagery: 934 x 723 pixels of NAIP, and its NDVI."""
    path = folder / f"{name}.tif"
    with rasterio.open(SAMPLE) as dataset:
        data, profile = dataset.read(), dataset.profile
    profile.update(driver="GTiff", tiled=True, blockxsize=256, blockysize=256, compress="zstd")
    # four bytes are taken for red, green, blue and alpha where nobody says otherwise
    profile["alpha"] = "YES" if name == "graded-alpha" else "NO"
    if name == "graded-alpha":
        profile["nodata"] = None
    if name == "south-up":
        a = profile["transform"]
        profile["transform"] = a * Affine(1, 0, 0, 0, -1, data.shape[1])
        data = data[:, ::-1]
    if name == "nan-nodata":
        red, nir = data[0].astype(np.float32), data[3].astype(np.float32)
        ndvi = (nir - red) / np.maximum(nir + red, 1)
        ndvi[data[0] < 40] = np.nan  # water and shade: holes of all sizes
        ndvi[:90] = np.nan
        data = ndvi[None]
        profile.update(count=1, dtype="float32", nodata=math.nan)
    with rasterio.open(path, "w", **profile) as out:
        out.write(data)
        if name != "graded-alpha":
            out.descriptions = ("red", "green", "blue", "nir")[: len(data)]
    if name != "no-overviews":
        with rasterio.open(path, "r+") as out:
            out.build_overviews([2, 4], Resampling.average)
    return path


FILES = {
    "antimeridian": Case(RASTERS / "antimeridian_landsat8_utm60.tif"),
    "rotated": Case(RASTERS / "rotated-30deg_naip.tif"),
    "gcps": Case(RASTERS / "gcps_sentinel1-grd.tif"),
    "mask-band": Case(RASTERS / "mask-band_colorado-rgb.tif"),
    "jpeg-ycbcr": Case(RASTERS / "jpeg-ycbcr_naip-rgb.tif", decoded=True),
    "int16-scale-offset": Case(RASTERS / "int16-scale-offset_ndvi.tif"),
    "six-bands": Case(RASTERS / "s2-flanders_2021-06_10m.tif"),
    "one-pixel": Case(RASTERS / "one-pixel_naip.tif"),
    "all-nodata": Case(RASTERS / "all-nodata_s2-flanders_2020-12.tif"),
    "nir-tagged-alpha": Case(
        RASTERS / "nir-tagged-alpha_naip.tif", ("red", "green", "blue", "nir"), ("-nosrcalpha",)
    ),
    "aerial-rgba": Case(RASTERS / "colorado-hro_2014-04_rgba_0.15m.tif"),
    "modis-global-4326": Case(RASTERS / "modis-ndvi-global_0.4deg.tif"),
    "dem": Case(RASTERS / "washington-dc_dsm_2m.tif"),
    "south-up": Case(Path("south-up")),
    "no-overviews": Case(Path("no-overviews")),
    "nan-nodata": Case(Path("nan-nodata")),
    "graded-alpha": Case(Path("graded-alpha")),
}


@pytest.fixture(scope="session")
def case_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    folder = tmp_path_factory.mktemp("awkward")
    made: dict[str, Case] = {}

    def of(name: str) -> Case:
        if name not in made:
            case = FILES[name]
            if not case.path.is_absolute():
                case = replace(case, path=_from_sample(folder, name))
            made[name] = case
        return made[name]

    return of


@dataclass(frozen=True)
class Block:
    """Tiles side by side: `columns` x `rows` from (x, y) of a zoom level."""

    z: int
    x: int
    y: int
    columns: int
    rows: int

    def tiles(self) -> Iterator[tuple[int, int, int, int]]:
        for row in range(self.rows):
            for column in range(self.columns):
                yield row, column, self.x + column, self.y + row

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        first = grid.tile(self.z, self.x, self.y).bounds
        last = grid.tile(self.z, self.x + self.columns - 1, self.y + self.rows - 1).bounds
        return first[0], last[1], last[2], first[3]


def ours(source: AssetSource, block: Block, resampling: str) -> tuple[np.ndarray, np.ndarray]:
    """(values float64, has a value), each (bands, rows, columns), put together from tiles."""
    header = datasets.header_of(source)
    alpha = style(source, header).alpha_bidx
    bidx = tuple(i for i in range(1, header.count + 1) if i != alpha)
    values = np.zeros((len(bidx), block.rows * 256, block.columns * 256))
    known = np.zeros(values.shape, bool)
    for row, column, x, y in block.tiles():
        bounds = grid.tile(block.z, x, y).bounds
        request = Request(bounds, 256, bidx, None, alpha, resampling)
        try:
            pixels = fast.read(header, request)
        except NotCovered:
            pixels = general.read(header, request)
        if pixels is None:
            continue
        place = np.s_[:, row * 256 : row * 256 + 256, column * 256 : column * 256 + 256]
        values[place] = pixels.data.transpose(2, 0, 1)
        seen = np.ones(pixels.data.shape, bool) if pixels.masked is None else ~pixels.masked
        if pixels.alpha is not None:
            seen = seen & (pixels.alpha > 0)[..., None]
        known[place] = seen.transpose(2, 0, 1)
    return values, known


def truth(
    case: Case, block: Block, resampling: str, level: int, folder: Path, *, wide: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """The same from gdalwarp: between four pixels of an overview, or `wide`: GDAL's own filter."""
    header = datasets.header_of(case.source)
    out, path, overview = folder / "truth.tif", case.path, level
    if case.decoded:
        path, overview = _decoded(case.path, level, folder), 0
    command = [
        "gdalwarp", "-q", "-overwrite", "-t_srs", "EPSG:3857", "-et", "0",
        "-te", *(repr(v) for v in block.bounds),
        "-ts", str(block.columns * 256), str(block.rows * 256),
        "-r", "near" if resampling == "nearest" else "bilinear",
        "-ovr", "NONE" if overview == 0 else str(overview - 1),
        *(() if wide else ("-wo", "XSCALE=1", "-wo", "YSCALE=1")),
        "-wo", "UNIFIED_SRC_NODATA=NO", "-wo", "SAMPLE_GRID=YES", "-wo", "SAMPLE_STEPS=100",
        "-wt", "Float64", "-ot", "Float64", "-dstnodata", repr(OUTSIDE), *case.warp,
        str(path), str(out),
    ]  # fmt: skip
    # of the platform's settings for GDAL, such as the drivers it refuses, none
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("GDAL_", "PROJ_", "CPL_"))}
    subprocess.run(command, check=True, timeout=60, env=bare)
    with rasterio.open(out) as dataset:
        values = dataset.read()
    if style(case.source, header).alpha_bidx is not None:
        shown = (values[-1] > 0) & (values[-1] != OUTSIDE)
        values = np.where(shown, values[:-1], OUTSIDE)
    return values, values != OUTSIDE


def _decoded(path: Path, level: int, folder: Path) -> Path:
    options = {"overview_level": level - 1} if level else {}
    with rasterio.open(path, **options) as dataset:
        data, profile = dataset.read(), dataset.profile
    out = folder / "decoded.tif"
    kept = {k: profile[k] for k in ("count", "width", "height", "dtype", "crs", "transform")}
    with rasterio.open(out, "w", driver="GTiff", photometric="RGB", **kept) as target:
        target.write(data)
    return out


def blocks(source: AssetSource, zoom_out: int) -> list[Block]:
    """Two by two tiles in the middle and, at native zoom, at the top left corner with its edges."""
    header = datasets.header_of(source)
    z = max(0, header.maxzoom - zoom_out)
    found = []
    for place in ("middle", "corner") if zoom_out == 0 else ("middle",):
        west, _, _, north = header.geographic_bounds
        longitude, latitude = header.center if place == "middle" else (west, north)
        x = (longitude + 180) / 360 * 2**z
        limit = math.radians(max(-grid.MAX_LATITUDE, min(grid.MAX_LATITUDE, latitude)))
        y = (1 - math.asinh(math.tan(limit)) / math.pi) / 2 * 2**z
        last = 2**z - 1
        side = min(2, 2**z)
        left = max(0, min(math.floor(x - 0.5), last - side + 1))
        top = max(0, min(math.floor(y - 0.5), last - side + 1))
        found.append(Block(z, left, top, side, side))
    return list(dict.fromkeys(found))


def source_pixels(header: datasets.Header, block: Block) -> float:
    """Source pixels a tile pixel, in the middle, worked out anew."""
    west, south, east, north = block.bounds
    x = (
        max(west, header.web_mercator_boxes[0][0]) + min(east, header.web_mercator_boxes[0][2])
    ) / 2
    y = (
        max(south, header.web_mercator_boxes[0][1]) + min(north, header.web_mercator_boxes[0][3])
    ) / 2
    step = (east - west) / (256 * block.columns)
    place = Transformer.from_crs(3857, header.crs_text, always_xy=True)
    xs, ys = place.transform([x, x + step, x], [y, y, y + step])
    columns, rows = ~header.transform * (np.array(xs), np.array(ys))
    across = math.hypot(columns[1] - columns[0], rows[1] - rows[0])
    return min(across, math.hypot(columns[2] - columns[0], rows[2] - rows[0]))


def steepest(path: Path, level: int) -> float:
    """The largest step between neighbouring source pixels that both have a value."""
    options = {"overview_level": level - 1} if level else {}
    with rasterio.open(path, **options) as dataset:
        data = dataset.read(masked=True).astype(np.float64)
    steps = [np.abs(np.diff(data, axis=axis)) for axis in (1, 2)]
    return max((float(step.max()) for step in steps if step.count()), default=0.0)


@pytest.mark.parametrize("resampling", ["bilinear", "nearest"])
@pytest.mark.parametrize("zoom_out", [-3, 0, 2], ids=["overzoom", "native", "overview"])
@pytest.mark.parametrize("name", list(FILES))
def test_tiles_are_what_gdalwarp_makes(case_of, tmp_path, name, zoom_out, resampling):
    compared = compare(case_of(name), zoom_out, resampling, tmp_path)
    assert compared > 0 or name in ("all-nodata", "one-pixel")


def compare(case: Case, zoom_out: int, resampling: str, tmp_path: Path) -> int:
    """Hold the blocks of a file against the oracle; how many values were compared."""
    header = datasets.header_of(case.source)
    compared = 0
    for block in blocks(case.source, zoom_out):
        scale = source_pixels(header, block)
        level = max(i for i, factor in enumerate(header.levels) if i == 0 or factor <= scale)
        decimated = scale / header.levels[level] >= 3
        values, known = ours(case.source, block, resampling)
        expected, valid = truth(case, block, resampling, level, tmp_path, wide=decimated)
        if resampling == "bilinear" and (known != valid).mean() > 0.001:
            # band by band, gdalwarp lets a value reach into neighbours that have none; ours end
            # where the nearest pixel does, which shows where a mask is ragged
            assert not (known & ~valid).any()
            _, nearest = truth(case, block, "nearest", level, tmp_path, wide=decimated)
            assert (known != nearest).mean() <= 0.001
        else:
            assert (known != valid).mean() <= 0.001
        both = known & valid
        if not both.any():
            continue
        compared += int(both.sum())
        difference = np.abs(values - expected)[both]
        if decimated:
            shown = np.ptp(expected[both]) or 1.0
            # a single pixel of a block stands for all of it, so only averages can be compared
            assert resampling == "nearest" or difference.mean() <= 0.03 * shown
        elif resampling == "nearest":
            assert (difference > 0).mean() <= 0.002
        else:
            rounding = 0.5 if header.dtype.kind in "ui" and header.dtype.name != "int16" else 0.0
            slope = steepest(case.path, level)
            assert difference.max() <= rounding + 2 * 1.5 * TOLERANCE_PIXELS * slope + 1e-3
    return compared


def _imagery() -> list[Path]:
    """The GeoTIFFs of the folder that the environment names, but those that are none."""
    folder = Path(os.environ.get("OPSTAC_TEST_IMAGERY", "/nowhere"))
    return sorted(path for path in folder.rglob("*.tif") if "invalid" not in path.parts)


def _told_names(path: Path) -> tuple[str, ...]:
    """Names of a file's bands in the STAC items beside it; empty where there are none."""
    listed = Path(os.environ["OPSTAC_TEST_IMAGERY"]) / "items.jsonl"
    for line in listed.read_text().splitlines() if listed.is_file() else ():
        for asset in json.loads(line)["assets"].values():
            if (listed.parent / asset["href"]).resolve() == path.resolve():
                bands = asset.get("eo:bands") or asset.get("bands") or asset.get("raster:bands", ())
                names = [b.get("common_name") or b.get("name") for b in bands]
                return tuple(names) if all(names) else ()
    return ()


@pytest.mark.imagery
@pytest.mark.parametrize("resampling", ["bilinear", "nearest"])
@pytest.mark.parametrize("zoom_out", [-3, 0, 2], ids=["overzoom", "native", "overview"])
@pytest.mark.parametrize("path", _imagery(), ids=lambda path: path.stem)
def test_tiles_of_a_folder_are_what_gdalwarp_makes(path, tmp_path, zoom_out, resampling):
    case = Case(path, _told_names(path))
    with rasterio.open(path) as dataset:
        jpeg = dataset.profile.get("compress") == "jpeg"
        tagged = dataset.colorinterp[-1] is ColorInterp.alpha
        values = dataset.read(masked=True)
    if tagged and style(case.source, datasets.header_of(case.source)).alpha_bidx is None:
        case = replace(case, warp=("-nosrcalpha",))
    compared = compare(replace(case, decoded=jpeg), zoom_out, resampling, tmp_path)
    # of a file with next to nothing in it, a tile may miss that
    assert compared > 0 or values.count() <= 4


@pytest.mark.parametrize("resampling", ["bilinear", "nearest"])
@pytest.mark.parametrize("zoom_out", [0, 2], ids=["native", "overview"])
def test_tiles_go_on_across_the_antimeridian(case_of, tmp_path, zoom_out, resampling):
    """The last tile of a row and the first, side by side, are one picture."""
    case = case_of("antimeridian")
    header = datasets.header_of(case.source)
    z = header.maxzoom - zoom_out
    y = blocks(case.source, zoom_out)[0].y
    east, west = Block(z, 2**z - 1, y, 1, 2), Block(z, 0, y, 1, 2)
    parts = [ours(case.source, block, resampling) for block in (east, west)]
    values, known = (np.concatenate(side, axis=2) for side in zip(*parts, strict=True))
    for _, seen in parts:
        assert seen.mean() > 0.02

    class Both(Block):
        @property
        def bounds(self):
            left, south, _, north = east.bounds
            return left, south, grid.HALF_WORLD_M + (grid.HALF_WORLD_M - left), north

    level = max(
        i
        for i, factor in enumerate(header.levels)
        if i == 0 or factor <= source_pixels(header, east)
    )
    both = Both(z, 2**z - 1, y, 2, 2)
    expected, valid = truth(case, both, resampling, level, tmp_path)
    assert (known != valid).mean() <= 0.001
    difference = np.abs(values - expected)[known & valid]
    if resampling == "nearest":
        assert (difference > 0).mean() <= 0.002
    else:
        assert difference.max() <= 0.5 + 3 * TOLERANCE_PIXELS * steepest(case.path, level)


def test_control_points_are_followed_whatever_the_resampling(case_of):
    source = case_of("gcps").source
    header = datasets.header_of(source)
    block = blocks(source, 0)[0]
    bounds = grid.tile(block.z, block.x, block.y).bounds
    smooth = fast.read(header, Request(bounds, 256, (1,), resampling="cubic"))
    assert np.array_equal(smooth.data, fast.read(header, Request(bounds, 256, (1,))).data)
