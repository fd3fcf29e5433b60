"""Band names and roles, and when a fourth band is alpha."""

import pytest

from raster import bands


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("B04", "red"),
        ("b8a", "nir08"),
        ("Near Infrared", "nir"),
        ("SR_B5", "nir08"),
        ("swir16", "swir16"),
        ("SWIR 1", "swir16"),
        ("surface elevation", None),
        ("B4", None),
        ("", None),
    ],
)
def test_a_name_has_a_role(name: str, role: str | None) -> None:
    assert bands.role(name) == role


def test_one_infrared_stands_in_for_the_other() -> None:
    assert bands.resolve("nir", ["red", "nir08"]) == 2
    assert bands.resolve("B8A", ["red", "nir"]) == 2
    assert bands.resolve("nir", ["nir08", "nir"]) == 2
    assert bands.resolve("swir22", ["red", "nir"]) is None


def test_a_missing_band_names_those_that_are_there() -> None:
    with pytest.raises(bands.BandMissing, match="red, green, b3"):
        bands.require("nir", ["red", "green", None])


def test_alpha_is_alpha_only_where_its_name_does_not_contradict() -> None:
    flags = ["red", "green", "blue", "alpha"]
    assert bands.alpha_band(flags, ["red", "green", "blue", "nir"]) is None
    assert bands.alpha_band(flags, ["red", "green", "blue", "alpha"]) == 4
    assert bands.alpha_band(flags, ["", "", "", ""]) == 4
    assert bands.alpha_band(flags) == 4
    assert bands.alpha_band(["gray", "undefined"], ["a", "b"]) is None
