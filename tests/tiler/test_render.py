"""What is drawn: default picture, profiles, explicit choices, masks; and what is refused."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.enums import ColorInterp
from rasterio.warp import transform

from tiler import datasets, fast, grid, render
from tiler.errors import InvalidParameter, OutOfRange, TileError, Unreadable
from tiler.locate import Request
from tiler.source import AssetSource
from tiler.style import style


def picture(source, address, **options) -> np.ndarray:
    body = render.render_tile(source, *address, format="png", **options)
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGBA"))


def chosen(source, **options):
    return style(source, datasets.header_of(source), **options)


def tags_range(source, band):
    with rasterio.open(source.path) as dataset:
        tags = dataset.tags(band)
    low, high, mean, stddev = (
        float(tags[f"STATISTICS_{name}"]) for name in ("MINIMUM", "MAXIMUM", "MEAN", "STDDEV")
    )
    return max(low, mean - 2 * stddev), min(high, mean + 2 * stddev)


# -- the default picture ------------------------------------------------------------------------


def test_the_default_is_red_green_blue_by_name_within_two_sigma(scene):
    found = chosen(scene)
    assert found.bidx == (3, 2, 1)
    assert found.rescale == tuple(pytest.approx(tags_range(scene, band)) for band in (3, 2, 1))


def test_band_names_of_the_item_win_over_those_of_the_file(scene):
    renamed = replace(scene, band_names=("red", "green", "blue", "nir"))
    assert chosen(renamed).bidx == (1, 2, 3)


def test_a_picture_is_the_rescaled_pixels(photo, tile_at):
    address = tile_at(photo)
    plain = picture(photo, address, bands="1,2,3", rescale="0,255")
    shown = picture(photo, address)
    low, high = tags_range(photo, 2)
    expected = np.clip((plain[..., 1].astype(float) - low) * 255 / (high - low), 0, 255)
    assert np.abs(shown[..., 1] - expected).max() <= 1


def test_missing_statistics_come_from_an_overview(write_cog, source_of, texture, tile_at):
    data = np.clip(1000 + 100 * texture(700, 700, 1, seed=4), 0, 5000).astype(np.uint16)
    source = source_of(write_cog("no-stats", data, statistics=False))
    low, high = chosen(source).rescale[0]
    exact = data.astype(float)
    assert low == pytest.approx(exact.mean() - 2 * exact.std(), abs=20)
    assert high == pytest.approx(exact.mean() + 2 * exact.std(), abs=20)
    known = replace(source, bands=({"minimum": 0, "maximum": 9, "mean": 4, "stddev": 1},))
    assert chosen(known).rescale == ((2, 6),)


def test_a_constant_band_is_drawn_mid_grey(write_cog, source_of, tile_at):
    source = source_of(write_cog("constant", np.full((1, 300, 300), 7, np.uint16)))
    shown = picture(source, tile_at(source))
    assert set(np.unique(shown[shown[..., 3] == 255][:, 0])) == {127}


def test_a_palette_keeps_its_own_colours_and_is_never_interpolated(write_cog, source_of, tile_at):
    classes = np.repeat(np.repeat(np.array([[1, 2], [3, 1]], np.uint8), 256, 0), 256, 1)[None]
    colors = {1: (255, 0, 0, 255), 2: (0, 255, 0, 255), 3: (0, 0, 255, 255)}
    source = source_of(write_cog("palette", classes, palette=colors))
    shown = picture(source, tile_at(source))
    seen = {tuple(c) for c in shown[shown[..., 3] == 255]}
    assert seen and seen <= set(colors.values())
    plain = {"type": "singleband", "config": {"band": 1}}  # as it is made when the file comes in
    assert (picture(replace(source, profile=plain), tile_at(source)) == shown).all()
    grey = picture(source, tile_at(source), bands="1")
    assert (grey[..., 0] == grey[..., 1]).all()


def test_categories_are_never_interpolated(write_cog, source_of, tile_at):
    classes = np.random.default_rng(1).choice([0, 200], (1, 400, 400)).astype(np.uint8)
    source = source_of(write_cog("classes", classes), is_categorical=True)
    shown = picture(source, tile_at(source), rescale="0,255")
    assert set(np.unique(shown[..., 0])) <= {0, 200}


# -- profiles and explicit choices --------------------------------------------------------------


def test_a_profile_chooses_and_a_query_overrides_it(scene):
    config = {"bands": [4, 3, 2], "rescale": [[0, 100], [0, 200], [0, 300]]}
    source = replace(scene, profile={"type": "rgb", "config": config})
    assert chosen(source).bidx == (4, 3, 2)
    assert chosen(source).rescale == ((0, 100), (0, 200), (0, 300))
    assert chosen(source, rescale="5,6").rescale == ((5, 6),) * 3
    assert chosen(source, bands="1").bidx == (1,)
    assert chosen(source, bands="1").rescale == (pytest.approx(tags_range(scene, 1)),)


def test_each_profile_type(scene):
    single = {"type": "singleband", "config": {"band": 4, "colormap": "viridis", "rescale": [0, 9]}}
    found = chosen(replace(scene, profile=single))
    assert (found.bidx, found.rescale) == ((4,), ((0, 9),))
    assert found.colors is not None
    many = {"type": "multiband", "config": {"bands": [4, 3, 2, 1]}}
    assert chosen(replace(scene, profile=many)).bidx == (4, 3, 2)
    ndvi = {
        "type": "expression",
        "config": {"expression": "(nir-red)/(nir+red)", "colormap": "rdylgn", "rescale": [-1, 1]},
    }
    found = chosen(replace(scene, profile=ndvi))
    assert found.formula is not None and found.bidx == (3, 4)
    assert found.rescale == ((-1, 1),)


@pytest.mark.parametrize(
    "config",
    [
        {"bands": [9]},
        {"bands": ["nosuch", 1, 2]},
        {"expression": "b1 +"},
        {"bands": [1], "rescale": "x"},
        {"bands": [1], "rescale": [5, 5]},
        {"bands": [1], "colormap": "nosuch"},
        {"bands": [1], "gamma": "much"},
        {"bands": [1], "resampling": "blurry"},
    ],
)
def test_a_profile_that_does_not_fit_the_raster_is_refused(scene, config):
    with pytest.raises(InvalidParameter):
        chosen(replace(scene, profile={"type": "user", "config": config}))


@pytest.mark.parametrize("bands", ["3,2,1", "red,green,blue", "B04,B03,B02", "b3,b2,b1", "RED,2,1"])
def test_bands_by_number_or_name(scene, bands):
    assert chosen(scene, bands=bands).bidx == (3, 2, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bands", "9"),
        ("bands", "0"),
        ("bands", "99999999999999999999"),
        ("bands", "1,2"),
        ("bands", "1,2,3,4"),
        ("bands", "nosuch"),
        ("bands", ","),
        ("bands", "-1"),
        ("expression", "b9"),
        ("expression", "b1*9**9**9**9"),
        ("expression", "__import__('os')"),
        ("expression", "b1;b2"),
        ("expression", "(" * 3000),
        ("expression", "1+"),
        ("rescale", "5,1"),
        ("rescale", "1"),
        ("rescale", "a,b"),
        ("rescale", "nan,1"),
        ("rescale", "0,inf"),
        ("rescale", "0,5e-324"),
        ("rescale", "0,1,0,1"),
        ("colormap", "nosuch"),
        ("colormap", "viridis"),  # of three bands
    ],
)
def test_a_wrong_choice_is_refused_with_its_name(scene, name, value):
    with pytest.raises(InvalidParameter) as refused:
        chosen(scene, **{name: value})
    assert refused.value.status == 422
    assert refused.value.errors[0]["loc"][0] == "query"


@pytest.mark.parametrize("text", ["0,1e-30", "-1e38,1e38", "9e37,1e38", "-1e38,-9e37"])
def test_the_widest_and_narrowest_ranges_draw(write_cog, source_of, tile_at, text):
    """Values beyond what float32 spreads are the range's ends, without a warning."""
    data = np.full((1, 300, 300), 3e38, np.float32)
    data[:, 150:] = 0
    source = source_of(write_cog("wide-values", data))
    shown = picture(source, tile_at(source), rescale=text)
    assert shown[..., 0].max() == 255


def test_a_wrong_band_name_lists_those_there_are(scene):
    with pytest.raises(InvalidParameter, match="did you mean nir"):
        chosen(scene, bands="nirr")


def test_an_expression_is_computed_from_the_resampled_bands(scene, tile_at):
    address = tile_at(scene)
    red = picture(scene, address, bands="red", rescale="0,10000")[..., 0].astype(float)
    nir = picture(scene, address, bands="nir", rescale="0,10000")[..., 0].astype(float)
    shown = picture(scene, address, expression="(nir-red)/(nir+red)", rescale="-1,1")
    opaque = shown[..., 3] == 255
    assert opaque.mean() > 0.5
    red, nir = red[opaque], nir[opaque]
    expected = ((nir - red) / (nir + red) + 1) * 127.5
    assert np.abs(shown[..., 0][opaque] - expected).mean() < 4


def test_scale_and_offset_reach_formulas_but_not_bands(write_cog, source_of, texture, tile_at):
    data = np.clip(3000 + 800 * texture(400, 400, 1, seed=7), 1, 9000).astype(np.uint16)
    source = source_of(write_cog("scaled", data, scale=(0.0001, -0.1)))
    address = tile_at(source)
    stored = picture(source, address, bands="1", rescale="1000,6000")
    same_band = picture(source, address, expression="b1", rescale="1000,6000")
    scaled = picture(source, address, expression="b1 + 0 * b1", rescale="0,0.5")
    assert np.array_equal(stored, same_band)
    assert np.abs(stored[..., 0].astype(int) - scaled[..., 0]).max() <= 1
    told = source_of(write_cog("told", data), bands=({"scale": 0.0001, "offset": -0.1},))
    by_metadata = picture(told, address, expression="b1 + 0 * b1", rescale="0,0.5")
    assert np.array_equal(by_metadata, scaled)


def test_gamma_brightens(photo, tile_at):
    config = {"bands": [1, 2, 3], "rescale": [[0, 255]] * 3}
    plain = replace(photo, profile={"type": "rgb", "config": config})
    bright = replace(photo, profile={"type": "rgb", "config": {**config, "gamma": 2}})
    before, after = picture(plain, tile_at(photo)), picture(bright, tile_at(photo))
    assert after[..., :3].mean() > before[..., :3].mean() + 30


def test_a_colormap_colours_one_band(photo, tile_at):
    shown = picture(photo, tile_at(photo), bands="1", colormap="Viridis")
    assert not np.array_equal(shown[..., 0], shown[..., 1])


# -- masks --------------------------------------------------------------------------------------


def test_only_a_masked_picture_has_alpha(photo, scene, tile_at):
    z, x, y = tile_at(photo)
    assert Image.open(io.BytesIO(render.render_tile(photo, z, x, y, format="png"))).mode == "RGB"
    z, x, y = tile_at(scene, zoom=datasets.header_of(scene).minzoom)
    assert Image.open(io.BytesIO(render.render_tile(scene, z, x, y, format="png"))).mode == "RGBA"


def test_a_pixel_shows_where_any_band_has_a_value(write_cog, source_of, tile_at):
    data = np.full((3, 400, 400), 50, np.uint8)
    data[0] = 0  # nodata in one band only
    data[:, :, :200] = 0
    source = source_of(write_cog("any-band", data, nodata=0))
    address = tile_at(source)
    shown = picture(source, address, bands="1,2,3", rescale="0,100")
    assert 0.05 < (shown[..., 3] == 255).mean() < 0.8
    ndvi = picture(source, address, expression="(b2-b1)/(b2+b1)", rescale="-1,1")
    assert (ndvi[..., 3] == 0).all()  # a formula needs all its bands


def test_a_fourth_band_flagged_alpha_is_believed_unless_named(write_cog, source_of, tile_at):
    data = np.full((4, 400, 400), 90, np.uint8)
    data[3, :, :200] = 0
    flags = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
    path = write_cog("rgba", data, colorinterp=flags)
    address = tile_at(source_of(path))
    unnamed = picture(source_of(path), address)
    named = picture(source_of(path, band_names=("red", "green", "blue", "nir")), address)
    assert (unnamed[..., 3] < 255).mean() > 0.2
    assert (named[..., 3] == 255).all()
    nir = picture(source_of(path, band_names=("red", "green", "blue", "nir")), address, bands="nir")
    assert (nir[..., 3] == 255).all()


def test_nan_is_masked_also_without_nodata(write_cog, source_of, texture, tile_at):
    data = texture(400, 400, 1, seed=3).astype(np.float32)
    data[0, 150:260] = np.nan
    source = source_of(write_cog("nan", data, nodata=np.nan))
    shown = picture(source, tile_at(source))
    assert 0.1 < (shown[..., 3] == 0).mean() < 0.9


def test_outside_the_raster_is_a_transparent_picture(scene):
    for image_format in render.PICTURES:
        body = render.render_tile(scene, 10, 3, 3, format=image_format)
        assert body == render.encode.empty(image_format, 256)


def test_an_area_of_interest_hides_the_rest(photo, tile_at):
    address = tile_at(photo)
    west, south, east, north = grid.tile(*address).bounds
    (west, east), (south, north) = transform("EPSG:3857", "EPSG:4326", [west, east], [south, north])
    middle = (west + east) / 2
    ring = [[west, south], [middle, south], [middle, north], [west, north], [west, south]]
    area = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}
    shown = picture(photo, address, aoi=area)
    assert (shown[:, :128, 3] == 255).all() and (shown[:, 128:, 3] == 0).all()
    for bad in ("{", {"type": "Point"}, {"type": "Polygon", "coordinates": [[["a"]]]}):
        with pytest.raises(InvalidParameter):
            render.area_of(bad)


# -- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [(31, 0, 0), (3, 8, 0), (3, 0, -1)])
def test_an_address_outside_the_grid(scene, address):
    with pytest.raises(OutOfRange):
        render.render_tile(scene, *address)


@pytest.mark.parametrize(
    "options", [{"size": 20000}, {"size": 0}, {"quality": 0}, {"format": "gif"}]
)
def test_sizes_and_formats_are_fixed(scene, options):
    with pytest.raises(InvalidParameter):
        render.render_tile(scene, 0, 0, 0, **options)


@pytest.mark.parametrize("size", [256, 512, 1024])
def test_larger_tiles(scene, tile_at, size):
    assert picture(scene, tile_at(scene), size=size).shape == (size, size, 4)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"<VRTDataset rasterXSize='1' rasterYSize='1'/>", b"II*\0\0\0\0\0"]
)
def test_what_is_no_geotiff_is_refused_without_its_path(tmp_path, content):
    path = tmp_path / "x.tif"
    path.write_bytes(content)
    with pytest.raises(Unreadable) as refused:
        render.render_tile(AssetSource(path=str(path), version="1"), 0, 0, 0)
    assert str(tmp_path) not in refused.value.detail


def test_a_missing_file_and_an_address_are_refused(tmp_path):
    for path in (str(tmp_path / "none.tif"), "http://127.0.0.1:1/x.tif", "/vsicurl/http://x/y.tif"):
        with pytest.raises(TileError) as refused:
            render.render_tile(AssetSource(path=path, version="1"), 0, 0, 0)
        assert refused.value.status == 422


def test_a_new_version_of_a_file_is_seen(tmp_path, write_cog, tile_at):
    path = tmp_path / "changing.tif"
    first = write_cog("first", np.full((1, 300, 300), 10, np.uint8))
    second = write_cog("second", np.full((1, 300, 300), 200, np.uint8))
    path.write_bytes(first.read_bytes())
    source = AssetSource(path=str(path), version="a")
    address = tile_at(source)
    before = picture(source, address, rescale="0,255")
    path.unlink()
    path.write_bytes(second.read_bytes())
    after = picture(replace(source, version="b"), address, rescale="0,255")
    assert (before[..., 0].max(), after[..., 0].max()) == (10, 200)


def test_thumbnails_fit_and_are_jpeg(photo, write_cog, source_of):
    for width, height in ((256, 256), (100, 40), (1, 1)):
        small = Image.open(io.BytesIO(render.thumbnail(photo, width, height)))
        assert small.format == "JPEG"
        assert small.width <= width and small.height <= height
    tiny = source_of(write_cog("one-pixel", np.full((1, 1, 1), 9, np.uint8)))
    assert Image.open(io.BytesIO(render.thumbnail(tiny))).size == (1, 1)
    for side in (0, -5, 10**6):
        with pytest.raises(InvalidParameter):
            render.thumbnail(photo, side, 10)


def heights_of(body) -> np.ndarray:
    red, green, blue = np.moveaxis(np.asarray(Image.open(io.BytesIO(body))).astype(float), -1, 0)
    return -10000 + (red * 65536 + green * 256 + blue) * 0.1


def test_terrain_codes_heights_to_a_tenth_of_a_metre(write_cog, source_of, tile_at):
    heights = np.linspace(-20, 1500, 400 * 400, dtype=np.float32).reshape(1, 400, 400)
    heights[0, :30] = -9999
    source = source_of(write_cog("dem", heights, nodata=-9999))
    z, x, y = tile_at(source)
    pixels = fast.read(datasets.header_of(source), Request(grid.tile(z, x, y).bounds, 256, (1,)))
    expected = pixels.band(0).filled(0)
    decoded = heights_of(render.render_terrain(source, z, x, y))
    assert np.abs(decoded - expected).max() <= 0.11
    depths = heights_of(render.render_terrain(source, z, x, y, invert=True))
    assert np.abs(depths + expected).max() <= 0.11
    assert (heights_of(render.render_terrain(source, 3, 1, 1)) == 0).all()


def test_pickers(scene):
    assert "viridis" in render.colormaps()["sequential"]
    for names in render.colormaps().values():
        for name in names:
            assert chosen(scene, bands="1", colormap=name).colors.shape == (256, 4)
    assert render.formulas()["NDVI"]["bands"] == ["nir", "red"]
    assert set(render.formulas()["NDVI"]) >= {"formula", "bands", "colormap", "range"}
    for formula in render.formulas().values():
        assert chosen(scene, bands="1", colormap=formula["colormap"]).colors is not None


# -- anything at all ----------------------------------------------------------------------------

WORDS = [
    "b1",
    "b4",
    "nir",
    "red",
    "(",
    ")",
    "+",
    "-",
    "/",
    "**",
    ",",
    ";",
    "0",
    "1e9",
    "where",
    " ",
]


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "bands": st.text(max_size=20),
            "expression": st.lists(st.sampled_from(WORDS), max_size=12).map("".join),
            "rescale": st.text(alphabet="0123456789.,-einfa", max_size=20),
            "colormap": st.text(max_size=12),
        },
    )
)
@settings(max_examples=150, deadline=None)
def test_any_choice_gives_a_picture_or_a_refusal(photo, choices):
    try:
        body = render.render_tile(photo, 12, 2219, 1426, format="png", **choices)
    except TileError as refused:
        assert refused.status == 422
    else:
        assert body.startswith(b"\x89PNG")


def test_a_damaged_block_is_refused_until_the_file_is_whole_again(tmp_path, photo, tile_at):
    whole = Path(photo.path).read_bytes()
    path = tmp_path / "damaged.tif"
    path.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) // 2))
    damaged = replace(photo, path=str(path))
    z, x, y = tile_at(damaged)
    across = range(x - 4, x + 4)  # some of these lie in the zeroed half
    with pytest.raises(Unreadable):
        for column in across:
            render.render_tile(damaged, z, column, y, format="png")
    path.unlink()
    path.write_bytes(whole)
    for column in across:
        body = render.render_tile(damaged, z, column, y, format="png")
        assert body == render.render_tile(photo, z, column, y, format="png")
