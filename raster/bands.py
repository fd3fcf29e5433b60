"""Band names and what they mean: names → roles, spectral indices in roles, the alpha rule.

A role is the common name of STAC's electro-optical extension (`red`, `nir`, `swir16` …). `B04`,
`Red` and `red` all have the role `red`. Compared without case, spaces and punctuation.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ROLES = (
    "coastal",
    "blue",
    "green",
    "yellow",
    "red",
    "rededge71",
    "rededge74",
    "rededge78",
    "nir08",
    "nir",
    "nir09",
    "cirrus",
    "swir16",
    "swir22",
    "pan",
    "lwir11",
    "lwir12",
)
"""Every role, from short to long wavelength, then panchromatic and thermal."""

# Sentinel-2's two-digit names are unambiguous; Landsat's `B4` is not (`b4` is also "band four").
_SPELLINGS = {
    "coastal": "coastalaerosol aerosol coastalblue b01 srb1",
    "blue": "b b02 srb2",
    "green": "g b03 srb3",
    "yellow": "y",
    "red": "r b04 srb4",
    "rededge71": "re rededge rededge1 rededge071 b05",
    "rededge74": "rededge2 rededge074 b06",
    "rededge78": "rededge3 rededge078 b07",
    "nir": "n nearinfrared infrared nir1 nirbroad b08",
    "nir08": "nirnarrow narrownir nir8 nir8a b8a srb5",
    "nir09": "watervapour watervapor nir9 b09",
    "cirrus": "b10",
    "swir16": "swir swir1 b11 srb6",
    "swir22": "swir2 b12 srb7",
    "pan": "panchromatic",
    "lwir11": "lwir thermal tir1",
    "lwir12": "tir2",
}
_ALIASES = {spelling: role for role, more in _SPELLINGS.items() for spelling in more.split()}
_ALIASES |= {role: role for role in ROLES}

# Where the exact role is missing its neighbour stands in: sensors name one broad band differently.
_STANDS_IN: dict[str, tuple[str, ...]] = {"nir": ("nir08",), "nir08": ("nir",)}


class BandMissing(LookupError):
    """A band that a formula, index or process needs is not among the raster's bands."""

    code = "band_missing"


@dataclass(frozen=True)
class Index:
    """A spectral index.

    Attributes:
        formula: in roles, the grammar of `raster.formula`.
        value_range: the usual display range, dimensionless.
        reflectance: True where constants in the formula presuppose reflectance in [0, 1].
        constants: what stands for a letter of the published formula; None where a value must be
            given, such as a wavelength.
        original: the formula as published, in its own letters.
        known_range: False where nothing says what is usual, and `value_range` is a guess.
    """

    name: str
    long_name: str
    formula: str
    roles: tuple[str, ...]
    category: str
    value_range: tuple[float, float]
    colormap: str
    source: str
    reflectance: bool = False
    constants: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    original: str = ""
    known_range: bool = True


def _index(
    name: str,
    long_name: str,
    formula: str,
    category: str,
    colormap: str,
    source: str,
    *,
    value_range: tuple[float, float] = (-1.0, 1.0),
    reflectance: bool = False,
) -> Index:
    words = dict.fromkeys(re.findall(r"[a-z]+[0-9]*", formula))
    roles = tuple(word for word in words if word in ROLES)
    return Index(
        name, long_name, formula, roles, category, value_range, colormap, source, reflectance
    )


INDICES: dict[str, Index] = {
    index.name: index
    for index in (
        _index(
            *("NDVI", "Normalized Difference Vegetation Index", "(nir - red) / (nir + red)"),
            *("vegetation", "rdylgn", "Rouse et al., NASA SP-351 (1974)"),
        ),
        _index(
            *("GNDVI", "Green Normalized Difference Vegetation Index"),
            *("(nir - green) / (nir + green)", "vegetation", "rdylgn"),
            "Gitelson et al., Remote Sensing of Environment 58 (1996)",
        ),
        _index(
            *("EVI", "Enhanced Vegetation Index"),
            *("2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1)", "vegetation", "rdylgn"),
            "Huete et al., Remote Sensing of Environment 83 (2002)",
            reflectance=True,
        ),
        _index(
            *("EVI2", "Two-band Enhanced Vegetation Index"),
            *("2.5 * (nir - red) / (nir + 2.4 * red + 1)", "vegetation", "rdylgn"),
            "Jiang et al., Remote Sensing of Environment 112 (2008)",
            reflectance=True,
        ),
        _index(
            *("SAVI", "Soil Adjusted Vegetation Index"),
            *("1.5 * (nir - red) / (nir + red + 0.5)", "vegetation", "rdylgn"),
            "Huete, Remote Sensing of Environment 25 (1988)",
            reflectance=True,
        ),
        _index(
            *("MSAVI", "Modified Soil Adjusted Vegetation Index"),
            "0.5 * (2 * nir + 1 - sqrt((2 * nir + 1) ** 2 - 8 * (nir - red)))",
            *("vegetation", "rdylgn", "Qi et al., Remote Sensing of Environment 48 (1994)"),
            reflectance=True,
        ),
        _index(
            *("NDRE", "Normalized Difference Red Edge Index"),
            *("(nir - rededge71) / (nir + rededge71)", "vegetation", "rdylgn"),
            "Barnes et al., 5th Int. Conf. on Precision Agriculture (2000)",
        ),
        _index(
            *("NDMI", "Normalized Difference Moisture Index"),
            *("(nir - swir16) / (nir + swir16)", "water", "rdylbu"),
            "Wilson and Sader, Remote Sensing of Environment 80 (2002)",
        ),
        _index(
            *("NDWI", "Normalized Difference Water Index"),
            *("(green - nir) / (green + nir)", "water", "blues"),
            "McFeeters, Int. Journal of Remote Sensing 17 (1996)",
        ),
        _index(
            *("MNDWI", "Modified Normalized Difference Water Index"),
            *("(green - swir16) / (green + swir16)", "water", "blues"),
            "Xu, Int. Journal of Remote Sensing 27 (2006)",
        ),
        _index(
            *("NBR", "Normalized Burn Ratio", "(nir - swir22) / (nir + swir22)", "burn", "rdylgn"),
            "Key and Benson, USDA RMRS-GTR-164 (2006)",
        ),
        _index(
            *("NDBI", "Normalized Difference Built-up Index"),
            *("(swir16 - nir) / (swir16 + nir)", "urban", "ylorrd"),
            "Zha et al., Int. Journal of Remote Sensing 24 (2003)",
        ),
        _index(
            *("BSI", "Bare Soil Index"),
            "((swir16 + red) - (nir + blue)) / ((swir16 + red) + (nir + blue))",
            *("soil", "ylorbr", "Rikimaru et al., Tropical Ecology 43 (2002)"),
        ),
        _index(
            *("NDSI", "Normalized Difference Snow Index"),
            *("(green - swir16) / (green + swir16)", "snow", "blues"),
            "Hall et al., Remote Sensing of Environment 54 (1995)",
        ),
        _index(
            *("VARI", "Visible Atmospherically Resistant Index"),
            *("(green - red) / (green + red - blue)", "vegetation", "rdylgn"),
            "Gitelson et al., Remote Sensing of Environment 80 (2002)",
        ),
    )
}
"""The indices with a display of their own, by upper-case name; `raster.indices` has all."""


def fold(name: str) -> str:
    """A band name for comparison: lower case, letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def role(name: str) -> str | None:
    """The role a band name stands for, or None: `B04` → `red`, `Near Infrared` → `nir`."""
    return _ALIASES.get(fold(name))


def roles_of(
    band_names: Sequence[str | None], mapping: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Role → 1-based band index; of two bands with one role the first counts.

    Args:
        band_names: of the raster, in band order; None or "" where a band has none.
        mapping: an explicit choice such as `{"RED": 1, "NIR": 4}`; wins over the names.
    """
    found: dict[str, int] = {}
    for name, index in (mapping or {}).items():
        if known := role(name):
            found.setdefault(known, index)
    for index, name in enumerate(band_names, start=1):
        if name and (known := role(name)):
            found.setdefault(known, index)
    return found


def resolve(
    name: str,
    band_names: Sequence[str | None],
    mapping: Mapping[str, int] | None = None,
) -> int | None:
    """1-based index of the band `name` means, or None.

    In order: a key of `mapping`, an exact band name, a role (an explicit one first, then by band
    name), the role that stands in for it (`nir08` for `nir`). Compared without case.
    """
    wanted = fold(name)
    if not wanted:
        return None
    for key, index in (mapping or {}).items():
        if fold(key) == wanted:
            return index
    for index, candidate in enumerate(band_names, start=1):
        if candidate and fold(candidate) == wanted:
            return index
    known = role(name)
    if known is None:
        return None
    present = roles_of(band_names, mapping)
    for candidate in (known, *_STANDS_IN.get(known, ())):
        if candidate in present:
            return present[candidate]
    return None


def require(
    name: str,
    band_names: Sequence[str | None],
    mapping: Mapping[str, int] | None = None,
) -> int:
    """As `resolve`, for a band that must be there. Raises: BandMissing."""
    index = resolve(name, band_names, mapping)
    if index is None:
        have = ", ".join(n or f"b{i}" for i, n in enumerate(band_names, start=1)) or "none"
        raise BandMissing(f"no {name} band; the raster's bands are: {have}")
    return index


def is_alpha_name(name: str | None) -> bool:
    """Whether a band name leaves it open, or says, that the band is alpha."""
    return (
        not name
        or re.fullmatch(r"(alpha|a|transparency|mask|(band)?[0-9]*)", fold(name)) is not None
    )


def alpha_band(
    color_interpretation: Sequence[str], band_names: Sequence[str | None] | None = None
) -> int | None:
    """1-based index of the alpha band, or None.

    Writers flag the fourth of four byte bands as alpha without being asked, so the flag counts
    only where the band's name does not contradict it.

    Args:
        color_interpretation: one word a band: `red`, `alpha`, `undefined` …
        band_names: from the item's metadata if known, else the file's own descriptions.
    """
    names = list(band_names or ())
    for index in range(len(color_interpretation), 0, -1):
        name = names[index - 1] if index <= len(names) else None
        if color_interpretation[index - 1] == "alpha" and is_alpha_name(name):
            return index
    return None
