"""Legends: the same colours as the tiles, values in real units, and text that cannot break out."""

import io
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tiler import legend, legend_picture, render
from tiler.errors import InvalidParameter
from tiler.source import AssetSource

RASTERS = Path(__file__).parents[1] / "data" / "rasters"
NDVI = AssetSource(path=str(RASTERS / "int16-scale-offset_ndvi.tif"), version="1")
WORLD = AssetSource(path=str(RASTERS / "modis-ndvi-global_0.4deg.tif"), version="1")


def test_a_ramp_is_in_real_units_with_round_ticks():
    found = legend.of_item(NDVI, {"colormap": "rdylgn", "rescale": "5000,20000"})
    assert found.kind == "continuous" and len(found.colors) == 256
    assert found.range == pytest.approx((-0.5, 1.0))  # ndvi = value * 0.0001 - 1
    assert [tick.label for tick in found.ticks] == ["-0.5", "0", "0.5", "1"]
    assert [tick.position for tick in found.ticks] == pytest.approx([0, 1 / 3, 2 / 3, 1])


def test_its_colours_are_those_of_the_tile(tile_at):
    look = {"colormap": "viridis", "rescale": "8000,20000"}
    found = legend.of_item(NDVI, look)
    body = render.render_tile(NDVI, *tile_at(NDVI), format="png", **look)
    tile = np.asarray(Image.open(io.BytesIO(body)).convert("RGBA"))
    shown = {"#" + "".join(f"{v:02x}" for v in color[:3]) for color in tile[tile[..., 3] == 255]}
    assert len(shown) > 50 and shown <= set(found.colors)


def test_a_formula_is_its_own_title():
    found = legend.of_item(NDVI, {"expression": "b1*2", "rescale": "-2,2"})
    assert (found.title, found.range) == ("b1*2", (-2, 2))


def test_a_composite_names_its_bands(scene):
    found = legend.of_item(scene, {})
    assert found.kind == "composite"
    assert [(e.color, e.label) for e in found.entries] == [
        ("#ff0000", "red"), ("#00ff00", "green"), ("#0000ff", "blue"),
    ]  # fmt: skip
    assert all(entry.range[0] < entry.range[1] for entry in found.entries)


def test_a_palette_of_many_values_is_a_ramp():
    found = legend.of_item(WORLD, {})
    assert found.kind == "continuous" and len(found.colors) > 100
    with rasterio.open(WORLD.path) as dataset:
        palette = dataset.colormap(1)
    assert set(found.colors) <= {"#" + "".join(f"{v:02x}" for v in c[:3]) for c in palette.values()}


def test_classes_are_those_that_occur_by_their_names(write_cog, source_of):
    data = np.tile(np.array([1, 1, 2, 7], np.uint8), (1, 256, 64))
    palette = {1: (10, 20, 30, 255), 2: (200, 0, 0, 255), 7: (0, 0, 250, 255), 9: (1, 1, 1, 255)}
    source = source_of(write_cog("classes", data, palette=palette), is_categorical=True)
    named = {
        "classification:classes": [{"value": 2, "name": "water"}, {"value": 7, "title": "<b>"}]
    }
    found = legend.of_item(replace(source, bands=(named,)), {})
    assert [(e.value, e.label, e.color) for e in found.entries] == [
        (1, "1", "#0a141e"), (2, "water", "#c80000"), (7, "<b>", "#0000fa"),
    ]  # fmt: skip
    assert b"&lt;b&gt;" in legend_picture.svg(found)


def test_classes_of_a_request(scene):
    look = {"bands": "1", "colormap": '[[[0,1000],"#ff0000"],[[1000,9000],"#00ff00"]]'}
    found = legend.of_item(scene, look)
    assert [(e.label, e.color) for e in found.entries] == [
        ("0 to 1000", "#ff0000"), ("1000 to 9000", "#00ff00"),
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "last"), [("slope", 90), ("aspect", 360), ("hillshade", 1)])
def test_algorithms_have_theirs(scene, name, last):
    found = legend.of_item(scene, {}, name)
    assert found.title == name and found.range == (0, last)


@pytest.mark.parametrize("name", ["terrainrgb", "none such"])
def test_algorithms_without(scene, name):
    with pytest.raises(InvalidParameter):
        legend.of_item(scene, {}, name)


@given(st.floats(-1e30, 1e30, allow_nan=False), st.floats(1e-30, 1e30, allow_nan=False))
@settings(max_examples=100, deadline=None)
def test_ticks_lie_in_the_range_and_are_few(low, span):
    high = low + span
    found = legend.ticks(low, high)
    assert len(found) <= 12
    slack = span * 1e-6 + abs(low) * 1e-9
    assert all(low - slack <= value <= high + slack for value in found)


@given(st.text(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_text_makes_a_picture(text):
    entries = tuple(legend.Entry("#123456", text) for _ in range(3))
    found = legend.Legend(text, "classes", text, entries=entries)
    root = ElementTree.fromstring(legend_picture.svg(found))
    assert {element.tag.rpartition("}")[2] for element in root.iter()} == {"svg", "rect", "text"}
    assert Image.open(io.BytesIO(legend_picture.png(found))).size[0] == 520


def test_the_picture_shows_the_ramp():
    found = legend.of_item(NDVI, {"colormap": "viridis"})
    shown = np.asarray(Image.open(io.BytesIO(legend_picture.png(found))).convert("RGB"))
    colors = {"#" + "".join(f"{v:02x}" for v in color) for color in shown[70, 24:-24]}
    assert len(colors) > 100 and colors <= set(found.colors)
