"""Guarded opening, masks, and geometry on the source grid."""

import struct
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp

from raster import reader, tiff
from raster.errors import RasterError

Make = Any


def refused(path: Path | str) -> str:
    with pytest.raises(RasterError) as error:
        reader.open_guarded(path)
    assert str(path) not in error.value.message
    return error.value.code


def test_what_is_no_geotiff_is_refused(tmp_path: Path, data: Path) -> None:
    texts = {
        "empty.tif": b"",
        "text.tif": b"not a picture",
        "vrt.tif": b'<VRTDataset rasterXSize="1" rasterYSize="1"></VRTDataset>',
        "png.tif": b"\x89PNG\r\n\x1a\n" + bytes(64),
        "xml.tif": b"<GDAL_WMS></GDAL_WMS>",
        "loop.tif": b"II*\0" + struct.pack("<I", 8) + struct.pack("<HI", 0, 8),
    }
    for name, content in texts.items():
        (tmp_path / name).write_bytes(content)
        assert refused(tmp_path / name) == "not_a_geotiff", name
    assert refused(tmp_path / "missing.tif") == "not_found"
    assert refused(data / "truncated.tif") == "truncated"


@pytest.mark.parametrize(
    "path",
    [
        "/vsicurl/http://127.0.0.1/x.tif",
        "/vsizip/x.zip/x.tif",
        "vrt://x.tif",
        "http://127.0.0.1/x.tif",
        "x.tif",
        "/etc/passwd\0.tif",
    ],
)
def test_only_files_and_the_store_are_opened(path: str) -> None:
    assert refused(path) in ("unsupported", "not_found")


def test_a_small_file_that_decodes_to_much_is_refused(make: Make) -> None:
    strip = {"compress": "deflate", "blockysize": 20_000}
    bomb = make(np.zeros((1, 20_000, 8_000), "uint8"), **strip)
    assert bomb.stat().st_size < 400_000
    assert refused(bomb) == "block_too_large"


def test_a_bomb_hidden_in_an_overview_is_refused(make: Make) -> None:
    path = make(np.zeros((1, 512, 512), "uint8"), tiled=True, blockxsize=256, blockysize=256)
    content = path.read_bytes()
    # a second directory, appended: one strip of 20,000 by 8,000 pixels
    head = struct.unpack("<I", content[4:8])[0]
    count = struct.unpack("<H", content[head : head + 2])[0]
    link = head + 2 + count * 12
    tags = [(256, 4, 1, 20_000), (257, 4, 1, 8_000), (258, 3, 1, 8), (277, 3, 1, 1)]
    tags += [(273, 4, 1, 8), (278, 4, 1, 8_000), (279, 4, 1, 100)]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
    extra = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(content[:link] + struct.pack("<I", len(content)) + content[link + 4 :] + extra)
    assert refused(path) == "block_too_large"


def test_the_caps_hold(make: Make) -> None:
    assert refused(make(np.zeros((201, 2, 2), "uint8"))) == "too_many_bands"
    path = make(np.zeros((1, 4, 4), "uint8"), name="tags.tif")
    with rasterio.open(path, "r+") as file:
        file.update_tags(story="x" * 1_100_000)
    assert refused(path) == "tags_too_large"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_headers_are_refused_or_read(data: st.DataObject) -> None:
    source = Path(__file__).parents[1] / "data/rasters/one-pixel_naip.tif"
    content = bytearray(source.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    with tempfile.NamedTemporaryFile(suffix=".tif") as file:
        file.write(bytes(content[: data.draw(st.integers(0, len(content)))]))
        file.flush()
        try:
            tiff.check(file.name)
        except RasterError as error:
            assert error.code


def test_nodata_is_masked_also_where_it_is_nan(make: Make) -> None:
    array = np.array([[[1, -9999, np.nan]]], "float32")
    with reader.open_guarded(make(array, nodata=-9999)) as dataset:
        made = reader.layout(dataset)
        assert reader.read(dataset, layout=made).mask.tolist() == [[[False, True, True]]]
    with reader.open_guarded(make(array, nodata=np.nan)) as dataset:
        made = reader.layout(dataset)
        assert reader.read(dataset, layout=made).mask.tolist() == [[[False, False, True]]]


@pytest.mark.parametrize(
    ("dtype", "nodata", "hidden"),
    [
        ("uint8", 255.0, [False, False, True]),
        ("uint8", -1.0, [False, False, False]),
        ("uint8", 256.0, [False, False, False]),
        ("uint8", 254.5, [False, False, False]),
        ("int16", -1.0, [False, False, True]),
        ("uint16", np.inf, [False, False, False]),
        ("int64", -1.0, [False, False, True]),
    ],
)
def test_whole_numbers_are_hidden_where_they_are_the_nodata_value(
    make: Make, dtype: str, nodata: float, hidden: list[bool]
) -> None:
    array = np.array([[[0, 1, -1]]]).astype(dtype)
    with reader.open_guarded(make(array)) as dataset:
        made = replace(reader.layout(dataset), nodata=(nodata,))
        assert reader.read(dataset, layout=made).mask.tolist() == [[hidden]]


def test_an_internal_mask_hides_every_band(make: Make) -> None:
    mask = np.array([[255, 0]], "uint8")
    path = make(np.ones((2, 1, 2), "uint8"), mask=mask)
    with reader.open_guarded(path) as dataset:
        made = reader.layout(dataset)
        assert made.internal_mask
        assert reader.read(dataset, layout=made).mask.tolist() == [[[False, True]]] * 2


def test_alpha_hides_unless_the_band_has_another_name(make: Make) -> None:
    rgba = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    array = np.ones((4, 1, 2), "uint8")
    array[3] = [[0, 9]]
    path = make(array, colors=rgba)
    with reader.open_guarded(path) as dataset:
        made = reader.layout(dataset)
        assert made.alpha == 4
        assert made.data == (1, 2, 3)
        assert reader.read(dataset, layout=made).mask.all(axis=0).tolist() == [[True, False]]
        named = reader.layout(dataset, band_names=["red", "green", "blue", "nir"])
        assert named.data == (1, 2, 3, 4)
        assert not reader.read(dataset, layout=named).mask.any()


def test_a_near_infrared_band_flagged_alpha_by_its_writer_stays_data(data: Path) -> None:
    with reader.open_guarded(data / "nir-tagged-alpha_naip.tif") as dataset:
        made = reader.layout(dataset)
        assert made.alpha is None
        assert made.names == ("red", "green", "blue", "nir")


def test_a_nameless_band_flagged_alpha_is_data_where_it_cannot_hide(make: Make) -> None:
    rgba = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    array = np.ones((4, 30, 30), "uint8")
    array[3] = np.arange(900).reshape(30, 30) % 200
    measured = make(array, "measured.tif", colors=rgba)
    with reader.open_guarded(measured) as dataset:
        made = reader.layout(dataset)
        assert (made.alpha, made.data, made.names[3]) == (None, (1, 2, 3, 4), "b4")
        assert reader.layout(dataset, band_names=["r", "g", "b"]).alpha == 4
    array[3] = 255
    array[3, :25] = 0
    array[3, 25] = 100  # a soft edge
    with reader.open_guarded(make(array, "cover.tif", colors=rgba)) as dataset:
        assert reader.layout(dataset).alpha == 4
    array[3] = 0
    with reader.open_guarded(make(array, "nothing.tif", colors=rgba)) as dataset:
        assert reader.layout(dataset).alpha == 4


def test_scale_and_offset_come_from_the_file_then_the_metadata(make: Make) -> None:
    array = np.array([[[10, 20]]], "int16")
    own = make(array, scales=(0.5,), offsets=(1.0,))
    told = [{"scale": 2.0, "offset": 3.0}]
    with reader.open_guarded(own) as dataset:
        made = reader.layout(dataset, metadata=told)
        values = reader.read(dataset, layout=made, scaled=True)
        assert values.dtype == np.float32
        assert values.tolist() == [[[6, 11]]]
    with reader.open_guarded(make(array)) as dataset:
        made = reader.layout(dataset, metadata=told)
        assert reader.read(dataset, layout=made, scaled=True).tolist() == [[[23, 43]]]


def test_windows_tile_the_area_once(make: Make) -> None:
    with reader.open_guarded(make(np.zeros((1, 700, 1300), "uint8"))) as dataset:
        within = reader.Window(100, 50, 1100, 600)
        seen = np.zeros(dataset.shape, int)
        for window in reader.windows(dataset, within):
            seen[window.toslices()] += 1
        assert seen[within.toslices()].min() == seen.max() == 1
        assert seen.sum() == 1100 * 600


def box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_a_geometry_outside_the_raster_says_so(make: Make) -> None:
    with reader.open_guarded(make(np.zeros((1, 9, 9), "uint8"))) as dataset:
        for far in (box(0, 0, 1, 1), box(-170, -89, -160, -88)):
            with pytest.raises(RasterError) as error:
                reader.area(dataset, far)
            assert error.value.code == "no_overlap"
        whole = reader.area(dataset, box(-180, -90, 180, 90))
        assert (whole.window.width, whole.window.height) == (9, 9)
        assert whole.inside(whole.window).all()


def test_a_geometry_within_a_pixel_means_that_pixel(make: Make) -> None:
    with reader.open_guarded(make(np.zeros((1, 9, 9), "uint8"))) as dataset:
        lon, lat = 9.0 + 0.00004, 48.75
        _, south, _, north = reader.geographic_bounds(dataset)
        lat = (south + north) / 2 + 0.00001
        tiny = reader.area(dataset, box(lon, lat, lon + 1e-6, lat + 1e-6))
        assert (tiny.window.width, tiny.window.height) == (1, 1)
        assert tiny.inside(tiny.window).all()


def test_a_geometry_across_the_antimeridian_meets_both_sides(data: Path) -> None:
    both = {
        "type": "MultiPolygon",
        "coordinates": [
            box(179.2, 51.2, 180, 52.1)["coordinates"],
            box(-180, 51.2, -179.4, 52.1)["coordinates"],
        ],
    }
    with reader.open_guarded(data / "antimeridian_landsat8_utm60.tif") as dataset:
        area = reader.area(dataset, both)
        west = reader.area(dataset, box(179.2, 51.2, 180, 52.1))
        assert area.window.width > west.window.width
        assert area.geometry.geom_type == "Polygon"  # no gap is left at 180°


def test_a_raster_from_0_to_360_meets_western_longitudes(make: Make) -> None:
    transform = rasterio.transform.from_origin(0, 90, 10, 10)
    path = make(np.zeros((1, 18, 36), "uint8"), crs="EPSG:4326", transform=transform)
    with reader.open_guarded(path) as dataset:
        window = reader.area(dataset, box(-20, 0, -10, 10)).window
        assert (window.col_off, window.row_off, window.width, window.height) == (34, 8, 1, 1)


def test_a_rotated_grid_is_compared_pixel_by_pixel(data: Path) -> None:
    with reader.open_guarded(data / "rotated-30deg_naip.tif") as dataset:
        x, y = reader.place(dataset.transform, 150.5, 150.5)
        (lon,), (lat,) = reader.warp_points(dataset.crs, "EPSG:4326", [x], [y])
        tiny = reader.area(dataset, box(lon - 1e-6, lat - 1e-6, lon + 1e-6, lat + 1e-6))
        assert (tiny.window.col_off, tiny.window.row_off) == (150, 150)
