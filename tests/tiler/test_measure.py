import numpy as np
import pytest
import rasterio

from raster import reader
from tiler import datasets, measure, sample
from tiler.errors import InvalidParameter, TileError
from tiler.style import style


def part_of(source, share):
    """The middle of the raster's bounds, `share` of each side, as a polygon."""
    west, south, east, north = datasets.header_of(source).geographic_bounds
    dx, dy = (east - west) * (1 - share) / 2, (north - south) * (1 - share) / 2
    west, south, east, north = west + dx, south + dy, east - dx, north - dy
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_the_range_is_the_one_the_default_tile_uses(scene):
    found = measure.statistics(scene, "(nir - red) / (nir + red)")
    drawn = style(scene, datasets.header_of(scene), expression="(nir - red) / (nir + red)")
    assert found["rescale"] == list(drawn.rescale[0])
    assert found["min"] <= found["p2"] <= found["mean"] <= found["p98"] <= found["max"]
    names = "expression asset_key min max mean std p2 p98 rescale"
    assert " ".join(found) == names


def test_a_single_band_answers_from_its_embedded_statistics(scene):
    found = measure.statistics(scene, "b4")
    with rasterio.open(scene.path) as dataset:
        tags = dataset.tags(4)
    assert found["mean"] == pytest.approx(float(tags["STATISTICS_MEAN"]))
    assert found["rescale"] == list(style(scene, datasets.header_of(scene), bands="4").rescale[0])


def test_a_raster_without_a_valid_pixel_has_no_statistics(write_cog, source_of):
    source = source_of(write_cog("all-nodata", np.zeros((1, 300, 300), np.uint16), nodata=0))
    for expression in ("b1", "b1 * 2"):
        found = measure.statistics(source, expression)
        assert found["mean"] is None and found["p98"] is None
        assert found["rescale"][0] < found["rescale"][1]


def test_a_wrong_expression_is_refused(scene):
    for expression in ("b9", "b1;b2;b3", "", "nosuch"):
        with pytest.raises(InvalidParameter):
            measure.statistics(scene, expression or "(")


def test_statistics_of_a_polygon_equal_numpys(scene):
    area = part_of(scene, 0.3)
    found = measure.cog_statistics(scene, area, bands="red,4")
    with rasterio.open(scene.path) as dataset:
        placed = reader.area(dataset, area)
        inside = placed.inside(placed.window)
        for name in ("3", "4"):
            values = dataset.read(int(name), window=placed.window)[inside]
            values = values[values != 0].astype(float)
            band = found["bands"][name]
            assert band["count"] == values.size
            assert band["mean"] == pytest.approx(values.mean(), rel=1e-6)
            assert band["std"] == pytest.approx(values.std(), rel=1e-6)
            assert (band["min"], band["max"]) == (values.min(), values.max())
            assert band["percentiles"]["98"] == pytest.approx(np.percentile(values, 98))
    assert found["rescale"][0] == list(found["bands"]["3"]["percentiles"].values())


def test_statistics_of_an_expression_within_a_polygon(scene):
    found = measure.cog_statistics(
        scene, part_of(scene, 0.2), expression="(b4-b3)/(b4+b3)", percentiles=[5, 95]
    )
    assert list(found["bands"]) == ["1"]
    assert list(found["bands"]["1"]["percentiles"]) == ["5", "95"]
    assert -1 <= found["bands"]["1"]["min"] <= found["bands"]["1"]["max"] <= 1


def test_a_large_area_is_read_from_overviews(scene, monkeypatch):
    area = part_of(scene, 0.9)
    exact = measure.cog_statistics(scene, area, bands="4")["bands"]["4"]
    monkeypatch.setattr(sample, "MAX_VALUES", 100_000)
    rough = measure.cog_statistics(scene, area, bands="4")["bands"]["4"]
    assert rough["count"] <= 100_000 < exact["count"]
    assert rough["mean"] == pytest.approx(exact["mean"], rel=0.02)


@pytest.mark.parametrize(
    "options",
    [
        {"bands": "9"},
        {"bands": "x"},
        {"expression": "b1 +"},
        {"expression": "b1", "bands": "1"},
        {"percentiles": [98, 2]},
        {"percentiles": [2]},
        {"percentiles": [-1, 50]},
        {"percentiles": ["a", 3]},
    ],
)
def test_wrong_wishes_are_refused(scene, options):
    with pytest.raises(InvalidParameter):
        measure.cog_statistics(scene, part_of(scene, 0.1), **options)


def test_a_polygon_elsewhere_is_refused(scene):
    ring = [[100, 10], [101, 10], [101, 11], [100, 10]]
    with pytest.raises(TileError) as refused:
        measure.cog_statistics(scene, {"type": "Polygon", "coordinates": [ring]})
    assert refused.value.status == 422
    for geometry in ({}, {"type": "Polygon"}, {"type": "Polygon", "coordinates": [[[0, 0]]]}):
        with pytest.raises(InvalidParameter):
            measure.cog_statistics(scene, geometry)
