"""What one look of many items means for each of them."""

import io
import math

import numpy as np
import pytest
import rasterio

from tiler import datasets, draw
from tiler.mosaic import layer as layers
from tiler.render import render_tile
from tiler.source import AssetSource
from tiler.style import Purpose
from tiler.target import GEOGRAPHIC, Target

RGB = {"type": "rgb", "config": {"bands": [1, 2, 3]}}


@pytest.fixture(scope="module")
def two(write_cog) -> list[AssetSource]:
    """Newest first: bytes whose hole is 0, and words whose hole is 65535, with the layer's look."""
    found = []
    for name, dtype, hole in (("bytes", "uint8", 0), ("words", "uint16", 65535)):
        data = np.full((3, 256, 256), 100, dtype)
        data[:, :128] = hole
        path = write_cog(name, data, nodata=hole, descriptions=("red", "green", "blue"))
        bands = tuple({"dtype": "uint16"} for _ in range(3))  # one kind, as far as is told
        found.append(
            AssetSource(path=str(path), version="1", bands=bands, nodata=hole, profile=RGB)
        )
    return found


@pytest.mark.parametrize("square", [True, False])  # the fast read, and the general one
def test_each_file_has_its_own_number_for_no_value(two, square):
    boxes = [datasets.header_of(source).geographic_bounds for source in two]
    layer = layers.build(two, ["new", "old"], boxes, 2, Purpose.PICTURE)
    assert layer.model.path == two[1].path and layer.style.nodata == 65535
    west, south, east, north = boxes[0]
    box = (west + 1e-3, south + 1e-3, east - 1e-3, north - 1e-3)
    target = Target(GEOGRAPHIC, box, 64, 64 if square else 63)
    for source in two:
        pixels = layers.read(source, layer, target)
        hidden = pixels.masked.all(axis=2)
        assert hidden[:20].all() and not hidden[-20:].any(), source.path


@pytest.mark.parametrize("nodata", ["65535", "-1", "0.5", "1e300", "nan"])
def test_a_number_that_no_pixel_can_be_is_no_fault(two, nodata, tile_at):
    z, x, y = tile_at(two[0])
    body = render_tile(two[0], z, x, y, format="png", nodata=nodata)
    assert body.startswith(b"\x89PNG")
    header = datasets.header_of(two[0])
    wide = Target(GEOGRAPHIC, (-180.0, -90.0, 180.0, 90.0), 60, 30)
    made = draw.make(two[0], header, wide, draw.Output("tif"), {"nodata": nodata, "bands": "1"})
    with rasterio.open(io.BytesIO(made)) as found:
        assert found.count == 1 and not math.isnan(found.read().max())
