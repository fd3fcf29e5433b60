"""Formats, matrix sets and parameters of the tile routes' work, against GDAL and NumPy."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.transform import from_bounds
from rasterio.warp import reproject

from tiler import datasets, matrix_sets, render
from tiler.draw import Output
from tiler.errors import InvalidParameter, OutOfRange


def npy(*args, **kwargs) -> np.ndarray:
    output = kwargs.pop("output", Output(format="npy", every_band=True))
    return np.load(io.BytesIO(render.render_tile(*args, output=output, **kwargs)))


def warped(source, crs, bounds, size, band=1, how=Resampling.nearest):
    """GDAL's own warp of a band onto a tile's grid, from full resolution."""
    with rasterio.open(source.path) as file:
        out = np.zeros((size, size), file.dtypes[band - 1])
        reproject(
            file.read(band),
            out,
            src_transform=file.transform,
            src_crs=file.crs,
            dst_transform=from_bounds(*bounds, size, size),
            dst_crs=crs,
            src_nodata=file.nodata,
            dst_nodata=file.nodata,
            resampling=how,
            tolerance=0.01,
        )
        return out


def test_npy_holds_every_band_as_stored_and_the_mask_last(scene, tile_at):
    z, x, y = tile_at(scene)
    found = npy(scene, z, x, y, resampling="nearest")
    assert (found.shape, found.dtype) == ((5, 256, 256), np.uint16)
    assert set(np.unique(found[-1])) <= {0, 255}
    box = matrix_sets.bounds("WebMercatorQuad", z, x, y)
    for band in range(1, 5):
        assert np.mean(found[band - 1] == warped(scene, "EPSG:3857", box, 256, band)) > 0.99
    assert npy(scene, z, x, y, output=Output("npy", mask=False, every_band=True)).shape[0] == 4
    assert npy(scene, z, x, y, bands="4").shape[0] == 2
    assert npy(scene, 10, 3, 3)[-1].max() == 0  # beside the raster


def test_npy_of_a_formula_is_its_values(scene, tile_at):
    z, x, y = tile_at(scene)
    bands = npy(scene, z, x, y, resampling="nearest").astype(np.float64)
    index = npy(scene, z, x, y, resampling="nearest", expression="(nir - red) / (nir + red)")
    assert index.dtype == np.float32
    shown = index[-1] > 0
    red, nir = bands[2][shown], bands[3][shown]
    np.testing.assert_allclose(index[0][shown], (nir - red) / (nir + red), atol=1e-6)


def test_values_are_painted_only_where_that_is_asked_for(scene, tile_at):
    z, x, y = tile_at(scene)
    painted = npy(scene, z, x, y, bands="4", rescale="1000,3000", colormap="viridis")
    png = render.render_tile(
        scene, z, x, y, format="png", bands="4", rescale="1000,3000", colormap="viridis"
    )
    colors = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    assert painted.dtype == np.uint8
    shown = painted[3] > 0
    np.testing.assert_array_equal(painted[:3].transpose(1, 2, 0)[shown], colors[shown])


def test_geotiff_lies_where_the_tile_does(scene, tile_at):
    z, x, y = tile_at(scene)
    body = render.render_tile(scene, z, x, y, output=Output("tif", every_band=True))
    with MemoryFile(body) as memory, memory.open() as found:
        assert found.crs.to_epsg() == 3857
        assert tuple(found.bounds) == pytest.approx(
            matrix_sets.bounds("WebMercatorQuad", z, x, y), abs=1e-6
        )
        assert (found.count, found.nodata, found.dtypes[0]) == (4, 0, "uint16")
        assert found.descriptions == ("blue", "green", "red", "nir")
        np.testing.assert_array_equal(found.read(), npy(scene, z, x, y)[:4])


def test_geotiff_without_nodata_has_a_mask_and_colours_have_alpha(photo):
    header = datasets.header_of(photo)
    z, x, y = 11, *_tile_of(header, 11)
    body = render.render_tile(photo, z, x, y, output=Output("tif", every_band=True))
    with MemoryFile(body) as memory, memory.open() as found:
        assert found.nodata is None
        assert set(np.unique(found.dataset_mask())) == {0, 255}
    body = render.render_tile(photo, z, x, y, output=Output("tif"), rescale="0,255")
    with MemoryFile(body) as memory, memory.open() as found:
        assert [c.name for c in found.colorinterp] == ["red", "green", "blue", "alpha"]


def _tile_of(header, z):
    import morecantile

    tile = morecantile.tms.get("WebMercatorQuad").tile(*header.center, z)
    return tile.x, tile.y


@pytest.mark.parametrize("name", ["WorldCRS84Quad", "WGS1984Quad", "WorldMercatorWGS84Quad",
                                  "UTM31WGS84Quad", "EuropeanETRS89_LAEAQuad",
                                  "UPSArcticWGS84Quad"])  # fmt: skip
def test_tiles_of_other_matrix_sets_are_gdals_warp(scene, name):
    import morecantile

    header = datasets.header_of(scene)
    first, last = matrix_sets.zoom_range(name, header)
    assert matrix_sets.zooms(name)[0] <= first < last
    tile = morecantile.tms.get(name).tile(*header.center, last)
    crs = CRS.from_user_input(matrix_sets.crs(name))
    box = matrix_sets.bounds(name, last, tile.x, tile.y)
    found = npy(scene, last, tile.x, tile.y, tms=name, resampling="nearest")
    assert found[-1].any()
    assert np.mean(found[0] == warped(scene, crs, box, 256)) > 0.999


def test_a_matrix_set_that_does_not_reach_the_raster_shows_nothing(scene):
    assert npy(scene, 3, 1, 1, tms="UPSAntarcticWGS84Quad")[-1].max() == 0
    for address in ((30, 0, 0), (0, 2, 0), (0, 0, 1), (-1, 0, 0)):
        with pytest.raises(OutOfRange):
            render.render_tile(scene, *address, tms="WorldCRS84Quad")
    with pytest.raises(OutOfRange):
        render.render_tile(scene, 0, 0, 0, tms="GNOSISGlobalGrid")


def test_zoom_ranges_follow_one_rule(scene):
    header = datasets.header_of(scene)
    assert matrix_sets.zoom_range("WebMercatorQuad", header) == (header.minzoom, header.maxzoom)
    for name in ("WorldCRS84Quad", "WorldMercatorWGS84Quad", "UTM31WGS84Quad"):
        described = render.tilejson(scene, "x", tms=name)
        found = described["minzoom"], described["maxzoom"]
        assert found == matrix_sets.zoom_range(name, header)
        assert described["tileMatrixSet"] == name
        # 10 m pixels are no coarser on screen than in the file
        metres = matrix_sets.level(name, found[1])[0] * 0.00028
        assert metres <= 10 * 1.04 / np.cos(np.radians(header.center[1]))


def test_colours_by_value_and_by_interval(write_cog, source_of):
    classes = np.zeros((1, 512, 512), np.uint8)
    classes[0, :, :170], classes[0, :, 170:340], classes[0, :, 340:] = 1, 2, 7
    source = source_of(write_cog("landcover", classes), is_categorical=True)
    header = datasets.header_of(source)
    z, (x, y) = header.minzoom - 2, _tile_of(header, header.minzoom - 2)
    by_value = json.dumps({"1": "#ff0000", "2": [0, 128, 0], "9": "#00000080"})
    png = render.render_tile(source, z, x, y, format="png", colormap=by_value)
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")).reshape(-1, 4)
    raw = npy(source, z, x, y)
    values, shown = raw[0].ravel(), raw[1].ravel() > 0
    assert {1, 2, 7} == set(values[shown])
    assert (picture[shown & (values == 1)] == (255, 0, 0, 255)).all()
    assert (picture[shown & (values == 2)] == (0, 128, 0, 255)).all()
    assert (picture[shown & (values == 7)][:, 3] == 0).all()

    by_interval = json.dumps([[[0, 2], "#0000ff"], [[2, 8], "#ffff00"]])
    png = render.render_tile(source, z, x, y, format="png", colormap=by_interval)
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA")).reshape(-1, 4)
    assert (picture[shown & (values == 1)] == (0, 0, 255, 255)).all()
    assert (picture[shown & (values >= 2)] == (255, 255, 0, 255)).all()


@pytest.mark.parametrize(
    "colormap",
    ["{", "{}", "[]", "[1]", "[[[1,0],\"#ffffff\"]]", "[[[0,2],\"#fff\"]]", '{"a":"#ffffff"}',
     '{"1":[1,2]}', '{"1":[1,2,300]}', '{"1":"#ffffff","1.0":"#000000"}', '{"nan":"#ffffff"}',
     '[[[0,2],"#ffffff"],[[1,3],"#ffffff"]]', "[" * 5000,
     json.dumps({str(i): "#ffffff" for i in range(1025)})],
)  # fmt: skip
def test_colours_that_cannot_be_are_refused(scene, colormap):
    with pytest.raises(InvalidParameter):
        render.render_tile(scene, 0, 0, 0, bands="1", colormap=colormap)


def test_adjustments_change_colours_as_they_say(photo, tile_at):
    address = tile_at(photo)
    plain = npy(photo, *address, output=Output("npy"), rescale="0,255")[:3].astype(int)

    def adjusted(formula):
        look = {"rescale": "0,255", "color_formula": formula}
        return npy(photo, *address, output=Output("npy"), **look)[:3].astype(int)

    np.testing.assert_array_equal(adjusted("gamma RGB 1"), plain)
    brighter = adjusted("gamma R 2")
    assert (brighter[0] >= plain[0]).all() and (brighter[1:] == plain[1:]).all()
    grey = adjusted("saturation 0")
    assert (grey[0] == grey[1]).all() and (grey[1] == grey[2]).all()
    contrast = adjusted("sigmoidal RGB 8 0.5")
    assert contrast.std() > plain.std()
    for wrong in ("gamma", "gamma X 1", "gamma R", "gamma R 0", "sigmoidal RGB 1", "sepia 1",
                  "saturation nan", ", ", "gamma R 1 " * 9):  # fmt: skip
        with pytest.raises(InvalidParameter):
            adjusted(wrong)


def test_a_background_is_behind_what_is_masked(scene):
    header = datasets.header_of(scene)
    z, (x, y) = 9, _tile_of(header, 9)
    for image_format in ("jpg", "png", "webp"):
        output = Output(image_format, background=(0, 0, 255), quality=100)
        body = render.render_tile(scene, z, x, y, output=output)
        picture = Image.open(io.BytesIO(body))
        assert picture.mode == "RGB"
        assert np.abs(np.asarray(picture)[0, 0].astype(int) - (0, 0, 255)).max() <= 3
        elsewhere = render.render_tile(scene, 9, 0, 0, output=output)
        assert np.asarray(Image.open(io.BytesIO(elsewhere)).convert("RGB"))[0, 0, 2] >= 252


def test_nodata_and_resampling_can_be_said(scene, tile_at):
    z, x, y = tile_at(scene, zoom_out=2)
    shown = npy(scene, z, x, y)[-1]
    assert npy(scene, z, x, y, nodata="nan")[-1].sum() > shown.sum()
    for wrong in ("x", "inf", "-inf"):
        with pytest.raises(InvalidParameter):
            npy(scene, z, x, y, nodata=wrong)
    different = {
        npy(scene, z + 2, x * 4 + 1, y * 4 + 1, resampling=name).tobytes()
        for name in ("nearest", "bilinear", "cubic", "lanczos")
    }
    assert len(different) == 4


def test_64_bit_values_are_not_rounded(write_cog, source_of):
    data = (np.arange(512 * 512).reshape(1, 512, 512) + 2.0**40 + 0.25).astype(np.float64)
    source = source_of(write_cog("wide", data))
    header = datasets.header_of(source)
    found = npy(source, header.maxzoom, *_tile_of(header, header.maxzoom), resampling="nearest")
    values = found[0][found[-1] > 0]
    assert found.dtype == np.float64 and np.isin(values, data).all()


def test_a_named_profile_says_which_values(scene, tile_at):
    address = tile_at(scene)
    infrared = {"type": "rgb", "config": {"bands": [4, 3, 2]}}
    source = replace(scene, profile=infrared)
    assert npy(source, *address, output=Output("npy")).shape[0] == 4
    assert npy(source, *address).shape[0] == 5  # every band: no profile was asked for
