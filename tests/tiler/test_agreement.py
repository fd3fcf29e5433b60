"""The fast read against rio-tiler and GDAL's warper, from the same overview."""

import numpy as np
import pytest
from rasterio.enums import ColorInterp
from rasterio.transform import Affine, from_origin

from tiler import datasets, fast, general, grid
from tiler.locate import NotCovered, Request

ROTATED = Affine.translation(5e5, 5.3e6) * Affine.rotation(30) * Affine.scale(10, -10)
GEOGRAPHIC = from_origin(12.0, 47.0, 0.0002, 0.0002)


def both(source, address, bidx, *, resampling="bilinear", size=256, alpha_bidx=None):
    header = datasets.header_of(source)
    bounds = grid.tile(*address).bounds
    request = Request(bounds, size, bidx, None, alpha_bidx, resampling)
    quick = fast.read(header, request)
    assert quick is not None
    return quick, general.read(header, request)


def hidden(pixels):
    """True where nothing shows or, with `masked`, where a band has no value."""
    rows, columns, bands = pixels.data.shape
    out = np.zeros((rows, columns, bands), bool) if pixels.masked is None else pixels.masked.copy()
    if pixels.alpha is not None:
        out |= (pixels.alpha == 0)[..., None]
    return out


def compare(quick, slow, *, shown):
    """(share of differing masks, largest difference in 255ths of the range `shown`)."""
    mine, theirs = hidden(quick), hidden(slow)
    both_seen = ~mine & ~theirs
    assert both_seen.any()
    difference = np.abs(quick.data.astype(float) - slow.data.astype(float))[both_seen]
    return (mine != theirs).any(axis=2).mean(), difference.max() * 255 / shown


@pytest.mark.parametrize("zoom_out", [0, 1, 2])
def test_photo_bilinear_is_within_one_level(photo, tile_at, zoom_out):
    masks, levels = compare(*both(photo, tile_at(photo, zoom_out), (1, 2, 3)), shown=255)
    assert masks == 0
    assert levels <= 1


@pytest.mark.parametrize("zoom_out", [0, 1, 2, 3])
def test_nodata_edges_and_values_agree(scene, tile_at, zoom_out):
    z, x, y = tile_at(scene, zoom_out)
    for dx, dy in ((0, 0), (-1, -1)):  # the middle, and where the empty corner is
        try:
            quick, slow = both(scene, (z, x + dx, y + dy), (3, 2, 1))
        except AssertionError:  # outside, at low zooms
            continue
        if hidden(quick).all():
            assert hidden(slow).all()
            continue
        masks, levels = compare(quick, slow, shown=2500)
        assert masks < 0.001  # pixels whose centre falls on a pixel's very edge
        assert levels <= 1


def test_nearest_differs_only_where_a_centre_falls_on_an_edge(scene, tile_at):
    quick, slow = both(scene, tile_at(scene), (1, 2, 3), resampling="nearest")
    differing = (quick.data != slow.data) & ~hidden(quick) & ~hidden(slow)
    # GDAL's default tolerance alone moves 2 to 8 per cent of them
    assert differing.any(axis=2).mean() < 0.005


@pytest.fixture
def texture_u8(texture):
    def made(rows=600, columns=600, bands=3):
        values = 120 + 40 * texture(rows, columns, bands, seed=5)
        return np.clip(values, 1, 255).astype(np.uint8)

    return made


@pytest.mark.parametrize(
    ("name", "crs", "transform"),
    [
        ("geographic", "EPSG:4326", GEOGRAPHIC),
        ("mercator", "EPSG:3857", from_origin(1335833, 5941737, 17.3, 17.3)),
        ("rotated", "EPSG:32633", ROTATED),
        ("south-up", "EPSG:32633", Affine(10, 0, 5e5, 0, 10, 5.29e6)),
        ("antimeridian", "EPSG:32660", from_origin(700000, 5700000, 30, 30)),
        ("polar", "EPSG:3413", from_origin(-200000, -1500000, 100, 100)),
        ("lambert", "EPSG:3035", from_origin(4321000, 3210000, 25, 25)),
    ],
)  # fmt: skip
def test_other_grids_agree(write_cog, source_of, texture_u8, tile_at, name, crs, transform):
    data = texture_u8(bands=1)
    source = source_of(write_cog(f"grid-{name}", data, crs=crs, transform=transform))
    masks, levels = compare(*both(source, tile_at(source), (1,)), shown=255)
    assert masks < 0.002
    assert levels <= 1


def test_a_raster_that_runs_past_180_degrees_shows_on_both_sides(write_cog, source_of, texture_u8):
    data = texture_u8(bands=1)
    transform = from_origin(179.9, 10, 0.0005, 0.0005)
    source = source_of(write_cog("past-180", data, crs="EPSG:4326", transform=transform))
    header = datasets.header_of(source)
    side = 2 * grid.HALF_WORLD_M / 2**10
    y = int((grid.HALF_WORLD_M - 1100000) / side)
    for x in (0, 2**10 - 1):
        pixels = fast.read(header, Request(grid.tile(10, x, y).bounds, 256, (1,)))
        assert pixels is not None and pixels.alpha is not None
        assert 0.1 < (pixels.alpha == 255).mean() < 0.9


def test_a_mask_band_agrees(write_cog, source_of, texture_u8, tile_at):
    mask = np.full((600, 600), 255, np.uint8)
    mask[250:340, 200:330] = 0
    source = source_of(write_cog("mask-band", texture_u8(), mask=mask))
    quick, slow = both(source, tile_at(source), (1, 2, 3))
    assert 0.01 < hidden(quick).all(axis=2).mean() < 0.9
    masks, levels = compare(quick, slow, shown=255)
    assert masks < 0.002
    assert levels <= 1


def test_an_alpha_band_agrees(write_cog, source_of, texture_u8, tile_at):
    data = texture_u8(bands=4)
    data[3] = 255
    data[3, 250:340, 200:330] = 0
    colors = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    source = source_of(write_cog("alpha-band", data, colorinterp=colors))
    quick, slow = both(source, tile_at(source), (1, 2, 3), alpha_bidx=4)
    shown_by_both = (quick.alpha == 255) & (slow.alpha == 255)
    assert ((quick.alpha == 0) != (slow.alpha == 0)).mean() < 0.005
    difference = np.abs(quick.data.astype(int) - slow.data.astype(int))
    assert difference[shown_by_both].max() <= 1


@pytest.mark.parametrize("kind", ["int16", "int32", "float32", "float64"])
def test_other_number_types_agree(write_cog, source_of, texture, tile_at, kind):
    data = (300 * texture(600, 600, 1, seed=9)).astype(kind)
    data[0, 100:140] = -9999
    source = source_of(write_cog(f"type-{kind}", data, nodata=-9999))
    masks, levels = compare(*both(source, tile_at(source), (1,)), shown=1200)
    assert masks < 0.002
    assert levels <= 1


def test_an_aligned_raster_is_copied_not_resampled(write_cog, source_of, texture_u8):
    z = 14
    side = 2 * grid.HALF_WORLD_M / 2**z
    west, north = grid.tile(z, 8900, 5700).bounds[0], grid.tile(z, 8900, 5700).bounds[3]
    data = texture_u8(512, 512)
    transform = from_origin(west, north, side / 256, side / 256)
    source = source_of(write_cog("aligned", data, crs="EPSG:3857", transform=transform))
    request = Request(grid.tile(z, 8901, 5701).bounds, 256, (1, 2, 3))
    pixels = fast.read(datasets.header_of(source), request)
    assert np.array_equal(pixels.data, data[:, 256:, 256:].transpose(1, 2, 0))
    assert pixels.opacity() is None


def test_cubic_is_left_to_the_general_read(photo, tile_at):
    request = Request(grid.tile(*tile_at(photo)).bounds, 256, (1,), resampling="cubic")
    with pytest.raises(NotCovered):
        fast.read(datasets.header_of(photo), request)
    pixels = general.read(datasets.header_of(photo), request)
    assert pixels.data.std() > 10
