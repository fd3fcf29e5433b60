import math

import morecantile
import numpy as np
import pytest
from rasterio.transform import from_origin

from tiler import datasets, grid, render
from tiler.errors import OutOfRange, Unreadable
from tiler.source import AssetSource

WEB_MERCATOR = morecantile.tms.get("WebMercatorQuad")


@pytest.mark.parametrize("address", [(0, 0, 0), (1, 1, 0), (12, 3767, 2457), (30, 5, 2**30 - 1)])
def test_a_tile_lies_where_morecantile_says(address):
    z, x, y = address
    expected = WEB_MERCATOR.xy_bounds(morecantile.Tile(x, y, z)) if z <= 24 else None
    bounds = grid.tile(z, x, y).bounds
    if expected is not None:
        assert bounds == pytest.approx(tuple(expected), abs=1e-6)
    assert bounds[2] > bounds[0] and bounds[3] > bounds[1]


@pytest.mark.parametrize("address", [(31, 0, 0), (-1, 0, 0), (3, 8, 0), (3, 0, 8), (3, -1, 0)])
def test_no_tile_beyond_the_grid(address):
    with pytest.raises(OutOfRange):
        grid.tile(*address)


@pytest.mark.parametrize("latitude", [0, 45, -60, 84])
def test_maxzoom_shows_the_raster_at_its_own_resolution(latitude):
    for resolution in (0.1, 0.6, 10, 30, 1000):
        minzoom, maxzoom = grid.zoom_range(resolution, latitude, 4096)
        pixel = 2 * grid.HALF_WORLD_M / 256 / 2**maxzoom * math.cos(math.radians(latitude))
        if 0 < maxzoom < 24:
            assert resolution * 0.5 <= pixel * 1.04 and pixel <= resolution * 1.04
        assert 0 <= minzoom <= maxzoom


def test_a_global_geographic_raster_has_sensible_zooms(write_cog):
    data = np.ones((1, 900, 1800), np.uint8)
    path = write_cog("globe", data, crs="EPSG:4326", transform=from_origin(-180, 90, 0.2, 0.2))
    source = AssetSource(path=str(path), version="1", name="globe")
    document = render.tilejson(source, "u/{z}/{x}/{y}")
    assert (document["minzoom"], document["maxzoom"]) == (0, 3)
    assert document["bounds"] == pytest.approx([-180, -85.0511287798066, 180, 85.0511287798066])


def test_a_raster_across_the_antimeridian_keeps_its_zooms_and_centre(write_cog):
    data = np.ones((1, 512, 512), np.uint8)
    transform = from_origin(690000, 5700000, 90, 90)  # UTM 60N, beyond 180 degrees east
    path = write_cog("dateline", data, crs="EPSG:32660", transform=transform)
    source = AssetSource(path=str(path), version="1")
    document = render.tilejson(source, "u/{z}/{x}/{y}")
    west, _, east, _ = datasets.header_of(source).geographic_bounds
    assert west > east
    assert (document["bounds"][0], document["bounds"][2]) == (-180, 180)
    assert document["maxzoom"] == 11
    for x in (0, 2**8 - 1):  # the tiles on either side of 180 degrees both show it
        middle = document["center"][1]
        row = (1 - math.asinh(math.tan(math.radians(middle))) / math.pi) / 2 * 2**8
        body = render.render_tile(source, 8, x, int(row), format="png")
        assert body != render.encode.empty("png", 256)


def test_tilejson_is_what_the_specification_asks(scene):
    document = render.tilejson(scene, "https://h/{z}/{x}/{y}.webp")
    assert document["tilejson"] == "3.0.0" and document["scheme"] == "xyz"
    assert document["tiles"] == ["https://h/{z}/{x}/{y}.webp"]
    west, south, east, north = document["bounds"]
    longitude, latitude, zoom = document["center"]
    assert west < longitude < east and south < latitude < north
    assert document["minzoom"] <= zoom <= document["maxzoom"]


def test_a_raster_without_a_place_cannot_be_mapped(write_cog):
    data = np.ones((1, 64, 64), np.uint8)
    path = write_cog("nowhere", data, crs=None)
    with pytest.raises(Unreadable, match="coordinate system"):
        render.tilejson(AssetSource(path=str(path), version="1"), "u/{z}/{x}/{y}")
