"""Hillshade, slope and aspect against `gdaldem`, coded heights, and tiles without seams."""

import io
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from raster import relief
from tiler import datasets, draw, render, terrain
from tiler.algorithms import Relief
from tiler.draw import Output
from tiler.errors import InvalidParameter
from tiler.source import AssetSource
from tiler.target import Target

DSM = Path(__file__).parents[1] / "data" / "rasters" / "washington-dc_dsm_2m.tif"
SOURCE = AssetSource(path=str(DSM), version="1")


def gdaldem(folder: Path, *arguments: str) -> np.ndarray:
    out = folder / "out.tif"
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("GDAL_", "PROJ_", "CPL_"))}
    command = ["gdaldem", arguments[0], str(DSM), str(out), "-q", *arguments[1:]]
    subprocess.run(command, check=True, timeout=60, env=bare)
    with rasterio.open(out) as dataset:
        return dataset.read(1, masked=True)


@pytest.fixture
def on_its_own_grid():
    """(rise east, rise south) of the raster on the raster's own grid, and what is known."""
    with rasterio.open(DSM) as dataset:
        surface = dataset.read(1, masked=True)
    padded = np.ma.MaskedArray(
        np.pad(surface.data, 1), mask=np.pad(np.ma.getmaskarray(surface), 1, constant_values=True)
    )
    side = np.full((surface.shape[0], 1), 2.0)
    return *terrain.gradient(padded, side, side), np.ma.getmaskarray(surface)


@pytest.mark.parametrize(
    ("light", "told"),
    [
        (Relief(), ()),
        (Relief(90, 30, 2.5), ("-az", "90", "-alt", "30", "-z", "2.5")),
        (Relief(225, 60), ("-az", "225", "-alt", "60")),
    ],
)
def test_hillshade_is_that_of_gdaldem(tmp_path, on_its_own_grid, light, told):
    to_east, to_south, _ = on_its_own_grid
    expected = gdaldem(tmp_path, "hillshade", *told)
    mine = np.rint(relief.shaded(to_east, to_south, light.azimuth, light.altitude, light.z_factor))
    seen = ~np.ma.getmaskarray(expected)
    assert seen.mean() > 0.9
    assert np.abs(mine - expected.data.astype(float))[seen].max() <= 1


def test_slope_and_aspect_are_those_of_gdaldem(tmp_path, on_its_own_grid):
    to_east, to_south, _ = on_its_own_grid
    for name, compute in (("slope", relief.slope_degrees), ("aspect", relief.aspect_degrees)):
        expected = gdaldem(tmp_path, name)
        mine = compute(to_east, to_south)
        # where the ground is level to a hair, its direction is what rounding makes of it
        seen = ~np.ma.getmaskarray(expected) & (np.hypot(to_east, to_south) > 0.01)
        assert seen.mean() > 0.9
        off = np.abs(mine - expected.data)[seen]
        assert np.minimum(off, 360 - off).max() < 0.01, name


def test_level_ground_has_no_aspect():
    flat = np.zeros((3, 3))
    assert np.isnan(relief.aspect_degrees(flat, flat)).all()


def grey(source, address, **options):
    output = Output(format="png", algorithm="hillshade", **options)
    body = render.render_tile(source, *address, output=output)
    return np.asarray(Image.open(io.BytesIO(body)).convert("LA"))


def test_tiles_meet_without_a_seam(tile_at):
    """Two tiles of 256 are the halves of what one grid of 512 shows."""
    z, x, y = tile_at(SOURCE)
    whole = np.asarray(
        Image.open(
            io.BytesIO(
                render.render_tile(
                    SOURCE, z, x, y, size=512, output=Output(format="png", algorithm="hillshade")
                )
            )
        ).convert("LA")
    )
    quarters = [[grey(SOURCE, (z + 1, 2 * x + i, 2 * y + j)) for i in (0, 1)] for j in (0, 1)]
    joined = np.concatenate([np.concatenate(row, axis=1) for row in quarters])
    shown = (whole[..., 1] == 255) & (joined[..., 1] == 255)
    assert shown.mean() > 0.2
    off = np.abs(whole[..., 0].astype(int) - joined[..., 0])
    seam = np.zeros(shown.shape, bool)
    seam[254:258] = seam[:, 254:258] = True
    # positions are exact to 0.005 pixels, which on a roof's edge is a few levels of grey
    for where in (shown & seam, shown & ~seam):
        assert np.quantile(off[where], 0.99) <= 2
    assert ((whole[..., 1] > 0) != (joined[..., 1] > 0)).mean() < 0.001


def test_a_side_of_a_pixel_is_that_on_the_ground(tile_at):
    z, x, y = tile_at(SOURCE)
    from tiler import grid

    side_x, side_y = terrain.sides(Target("EPSG:3857", grid.tile(z, x, y).bounds, 256, 256))
    assert side_x == pytest.approx(side_y)
    latitude = datasets.header_of(SOURCE).center[1]
    equator = 40075016.685 / 2**z / 256
    assert side_x.mean() == pytest.approx(equator * np.cos(np.radians(latitude)), rel=1e-3)
    side_x, side_y = terrain.sides(Target("EPSG:4326", (0, 59.5, 1, 60.5), 100, 100))
    assert side_x[50, 0] == pytest.approx(side_y[50, 0] / 2, rel=0.01)


def decoded(body: bytes, code: str) -> np.ndarray:
    r, g, b = np.asarray(Image.open(io.BytesIO(body)).convert("RGB")).astype(float).T
    if code == "terrainrgb":
        return (-10000 + (r * 65536 + g * 256 + b) * 0.1).T
    return (r * 256 + g + b / 256 - 32768).T


@pytest.mark.parametrize(("code", "step"), [("terrainrgb", 0.1), ("terrarium", 1 / 256)])
def test_codes_hold_heights(tile_at, code, step):
    z, x, y = tile_at(SOURCE)
    output = Output(format="png", algorithm=code)
    found = decoded(render.render_tile(SOURCE, z, x, y, output=output), code)
    target = Target("EPSG:3857", render.grid.tile(z, x, y).bounds, 256, 256)
    expected = terrain.level(draw.heights(SOURCE, datasets.header_of(SOURCE), target, {}), target)
    assert np.abs(found - expected).max() <= step / 2 + 1e-4
    assert (found == 0).any() and found.max() > 10  # outside the raster it is 0 m, and opaque
    far = render.render_tile(SOURCE, 3, 1, 1, output=output)
    assert (decoded(far, code) == 0).all()


@pytest.mark.parametrize("image_format", ["webp", "jpg"])
def test_coded_heights_are_never_lossy(image_format):
    with pytest.raises(InvalidParameter, match="exact"):
        render.render_tile(
            SOURCE, 3, 1, 1, output=Output(format=image_format, algorithm="terrainrgb")
        )


def test_slope_by_a_colour_map(tile_at):
    output = Output(format="png", algorithm="slope")
    body = render.render_tile(
        SOURCE, *tile_at(SOURCE), output=output, colormap="viridis", rescale="0,60"
    )
    shown = np.asarray(Image.open(io.BytesIO(body)).convert("RGBA"))
    assert len(np.unique(shown[shown[..., 3] == 255], axis=0)) > 50


def test_several_bands_are_no_heights(photo, tile_at):
    with pytest.raises(InvalidParameter, match="one band"):
        render.render_tile(
            photo, *tile_at(photo), bands="1,2,3", output=Output(format="png", algorithm="slope")
        )
