"""Methods of one item: spectral_index, histogram, profile."""

from __future__ import annotations

import math

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform as transform_points

from processes.method import MethodError
from raster import formula, indices


@pytest.mark.proves("spectral_index", "value")
def test_an_index_and_its_raster_equal_numpys(run, files, truth, tmp_path):
    path = files["april"]
    green, swir = truth.read(path, "green"), truth.read(path, "swir16")
    expected = (green - swir) / (green + swir)
    answer = run("spectral_index", [truth.item(path)], item_id="it_a", index_name="MNDWI")
    assert math.isclose(answer["statistics"]["mean"], expected.mean(), abs_tol=1e-6)
    with rasterio.open(tmp_path / "it_a_index.tif") as file:
        assert np.allclose(file.read(1), expected, atol=1e-5)
        assert file.descriptions == ("mndwi",)
    savi = run("spectral_index", [truth.item(path)], item_id="it_a", index_name="OSAVI")
    nir, red = truth.read(path, "nir"), truth.read(path, "red")
    assert math.isclose(
        savi["statistics"]["mean"], ((nir - red) / (nir + red + 0.16)).mean(), rel_tol=1e-5
    )


def test_whole_numbers_are_taken_as_reflectance_where_the_index_presupposes_it(run, files, truth):
    answer = run("spectral_index", [truth.item(files["naip"])], item_id="it_a", index_name="SAVI",
                 render=False)  # fmt: skip
    nir, red = (truth.read(files["naip"], n) / 255 for n in ("nir", "red"))
    expected = 1.5 * (nir - red) / (nir + red + 0.5)
    assert answer["reflectance"] == "stored values divided by 255"
    assert math.isclose(answer["statistics"]["mean"], expected.mean(), rel_tol=1e-5)


@pytest.mark.proves("spectral_index", "validity")
def test_an_index_has_no_value_where_a_band_has_none(run, files, truth, holed, tmp_path):
    path = holed(files["april"])
    answer = run("spectral_index", [truth.item(path)], item_id="it_a", index_name="NDVI")
    with rasterio.open(tmp_path / "it_a_index.tif") as file:
        made = file.read(1)
    assert np.isnan(made[truth.HOLE]).all() and np.isnan(made).sum() == 50 * 70
    assert answer["statistics"]["count"] == 10_000 - 50 * 70
    for kind, params in {
        "no_valid_pixel": {"index_name": "NDVI"}, "band_missing": {"index_name": "NDRE"}
    }.items():  # fmt: skip
        with pytest.raises(MethodError) as refusal:
            run("spectral_index", [truth.item(files["empty"])], item_id="it_a", **params)
        assert refusal.value.code == kind
    with pytest.raises(MethodError, match="needs a value for PAR"):
        run("spectral_index", [truth.item(path)], item_id="it_a", index_name="NIRvP")
    run("spectral_index", [truth.item(path)], item_id="it_a", index_name="NIRvP",
        index_constants={"PAR": 2.0})  # fmt: skip


@pytest.mark.proves("histogram", "value")
def test_a_histogram_equals_numpys(run, files, truth):
    values = truth.read(files["naip"], 4).compressed()
    answer = run("histogram", [truth.item(files["naip"])], item_id="it_a", band=4, bins=13)
    counts, edges = np.histogram(values, 13)
    assert answer["counts"] == counts.tolist()
    assert np.allclose(answer["bin_edges"], edges)
    answer = run("histogram", [truth.item(files["naip"])], item_id="it_a", band=4, bins=4,
                 range=[50, 150])  # fmt: skip
    assert answer["counts"] == np.histogram(values, 4, (50, 150))[0].tolist()
    assert (answer["below"], answer["above"]) == ((values < 50).sum(), (values > 150).sum())


@pytest.mark.proves("histogram", "validity")
def test_a_histogram_leaves_out_what_is_masked(run, files, truth, holed):
    path = holed(files["april"])
    answer = run("histogram", [truth.item(path)], item_id="it_a", band="nir", bins=5)
    assert sum(answer["counts"]) == 10_000 - 50 * 70
    with rasterio.open(files["masked"]) as file:
        shown = file.read(1)[file.dataset_mask() > 0]
    answer = run("histogram", [truth.item(files["masked"])], item_id="it_a", band=1, bins=256,
                 range=[0, 256])  # fmt: skip
    assert answer["counts"] == np.bincount(shown, minlength=256).tolist()
    with pytest.raises(MethodError) as refusal:
        run("histogram", [truth.item(files["empty"])], item_id="it_a", band=1)
    assert refusal.value.code == "no_valid_pixel"


def line_of(path, *pixels):
    """A LineString through pixel positions (column, row)."""
    with rasterio.open(path) as file:
        xs, ys = zip(*(file.transform * p for p in pixels), strict=True)
        lon, lat = transform_points(file.crs, "EPSG:4326", xs, ys)
    return {"type": "LineString", "coordinates": [list(p) for p in zip(lon, lat, strict=True)]}


@pytest.mark.proves("profile", "value")
def test_a_profile_has_the_pixels_a_line_crosses(run, files, truth):
    path = files["dsm"]
    line = line_of(path, (10.5, 20.5), (250.5, 230.5))
    answer = run("profile", [truth.item(path)], item_id="it_a", band=1, samples=61, geometry=line)
    values = truth.read(path, 1)
    # evenly spaced on the ground is evenly spaced in pixels of so small a raster
    at = np.linspace(0, 1, 61)
    columns, rows = (10.5 + 240 * at).astype(int), (20.5 + 210 * at).astype(int)
    expected = values[rows, columns]
    found = np.array([p["value"] for p in answer["profile"]])
    assert np.isclose(found, expected, atol=1e-4).mean() > 0.9  # edges of pixels by a hair
    assert np.isclose(found[[0, -1]], expected[[0, -1]], atol=1e-4).all()
    metres = math.hypot(240 * 2, 210 * 2)
    assert math.isclose(answer["length_m"], metres, rel_tol=1e-3)
    assert answer["profile"][-1]["distance_m"] == answer["length_m"]


@pytest.mark.proves("profile", "validity")
def test_a_profile_has_nothing_in_holes_and_outside(run, files, truth, holed):
    path = holed(files["april"])
    line = line_of(path, (50.5, 5.5), (50.5, 140.5))
    answer = run("profile", [truth.item(path)], item_id="it_a", band="nir", samples=136,
                 geometry=line)  # fmt: skip
    shown = np.array([p["value"] is not None for p in answer["profile"]])
    rows = np.arange(136) + 5
    inside = (rows < 100) & ~((rows >= 10) & (rows < 60))
    assert (shown == inside).mean() > 0.97 and shown.sum() == answer["statistics"]["count"]
    far = {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}
    for place, kind in ((far, "no_overlap"), (line_of(path, (30, 20), (80, 50)), "no_valid_pixel")):
        with pytest.raises(MethodError) as refusal:
            run("profile", [truth.item(path)], item_id="it_a", band="nir", geometry=place)
        assert refusal.value.code == kind


def test_every_catalogue_index_is_in_our_grammar_and_is_spyndexs():
    """Each formula, by our parser, against Python's own arithmetic on the published text."""
    generator = np.random.default_rng(1)
    checked = 0
    for index in indices.catalogue().values():
        given = {k: 1.5 + n for n, (k, v) in enumerate(index.constants.items()) if v is None}
        bands = {r: generator.uniform(0.2, 0.6, (4, 4)).astype(np.float32) for r in index.roles}
        names = {role: n for n, role in enumerate(index.roles, 1)}
        parsed = formula.parse(indices.formula_of(index, given), mapping=names)
        found = parsed.evaluate({names[r]: v for r, v in bands.items() if r in index.roles})
        if not index.original or "k" in index.original:
            continue
        letters = {letter: bands[role].astype(float) for letter, role in indices.ROLE_OF.items()
                   if role in bands}  # fmt: skip
        letters |= {k: v for k, v in index.constants.items() if v is not None} | given
        with np.errstate(all="ignore"):
            # a test may trust the catalogue it is installed with; the platform does not
            expected = eval(index.original, {"__builtins__": {}}, letters)  # noqa: S307
        expected = np.broadcast_to(np.asarray(expected, float), (4, 4))
        good = np.isfinite(expected) & (np.abs(expected) < 1e6) & ~np.ma.getmaskarray(found)[0]
        assert np.allclose(found.data[0][good], expected[good], rtol=2e-3, atol=2e-3), index.name
        checked += 1
    assert checked > 250
