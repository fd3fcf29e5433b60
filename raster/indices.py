"""The spectral indices: the Awesome Spectral Indices, as the package spyndex carries them.

Only its data files are read; its code is never imported, and a formula of it is a text like any
other, parsed by `raster.formula`. Letters of the catalogue (`N`, `R`, `S1`) become our roles
(`nir`, `red`, `swir16`), constants become numbers. The few indices of `raster.bands.INDICES` have
a display of their own and stand before the catalogue's.

Source: Montero et al., A standardized catalogue of spectral indices to advance the use of remote
sensing in Earth system research, Scientific Data 10, 197 (2023).
"""

import difflib
import functools
import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raster import bands
from raster.bands import BandMissing, Index
from raster.formula import Formula
from raster.formula import parse as parse_formula

ROLE_OF = {
    "A": "coastal",
    "B": "blue",
    "G": "green",
    "G1": "green05",
    "Y": "yellow",
    "R": "red",
    "RE1": "rededge71",
    "RE2": "rededge74",
    "RE3": "rededge78",
    "N": "nir",
    "N2": "nir08",
    "WV": "nir09",
    "S1": "swir16",
    "S2": "swir22",
    "T": "lwir11",
    "T1": "lwir11",
    "T2": "lwir12",
    "HH": "hh",
    "HV": "hv",
    "VH": "vh",
    "VV": "vv",
}
"""Letter of the catalogue → role; polarizations are their own names."""

_COLORMAPS = {
    "vegetation": "rdylgn",
    "kernel": "rdylgn",
    "burn": "rdylgn",
    "water": "blues",
    "snow": "blues",
    "urban": "ylorrd",
    "soil": "ylorbr",
    "clouds": "greys",
    "radar": "viridis",
}
# where the literature fixes a constant otherwise than the catalogue's default: Huete (1988)
_CONSTANTS = {"SAVI": {"L": 0.5}, "WC1": {"epsilon": 1e-10}, "WC2": {"epsilon": 1e-10}}
_KERNEL = "exp(-(({a}) - ({b})) ** 2 / (2 * sigma ** 2))"  # radial basis function
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIFFERENCE = re.compile(r"\((\w+) ?- ?(\w+)\) ?/ ?\((\w+) ?\+ ?(\w+)\)")


@dataclass(frozen=True)
class SensorBand:
    """A band of a sensor: its place among them, 1-based, its name and central wavelength."""

    role: str
    index: int
    name: str
    title: str
    wavelength_nm: float


@dataclass(frozen=True)
class Sensor:
    """A sensor and its bands in the order of its own numbering."""

    id: str
    name: str
    bands: tuple[SensorBand, ...]

    @property
    def roles(self) -> dict[str, int]:
        """Role → 1-based place."""
        return {band.role: band.index for band in self.bands}


def find(name: str) -> Index:
    """The index of that name, without case. Raises: BandMissing: there is none."""
    wanted = name.strip().upper()
    found = bands.INDICES.get(wanted) or catalogue().get(wanted)
    if found is None:
        near = difflib.get_close_matches(wanted[:40], catalogue(), n=5)
        hint = f"did you mean {', '.join(near)}?" if near else "the index list has all"
        raise BandMissing(f"unknown index {name[:40]!r}: {hint}")
    return found


def formula_of(index: Index, constants: Mapping[str, float] | None = None) -> str:
    """The index's formula in roles and numbers, in the grammar of `raster.formula`.

    Args:
        constants: values in place of the usual ones, by the published letter.

    Raises: BandMissing: a constant has no usual value and none is given, or is not the index's.
    """
    given = dict(constants or {})
    if unknown := sorted(given.keys() - index.constants.keys()):
        known = ", ".join(index.constants) or "none"
        raise BandMissing(f"{index.name} has no constant {unknown[0][:40]!r}; its own: {known}")
    chosen = {**index.constants, **given}
    if missing := [letter for letter, value in chosen.items() if value is None]:
        meaning = _constants()[missing[0]]["description"]
        raise BandMissing(f"{index.name} needs a value for {missing[0]} ({meaning})")

    def put(match: re.Match[str]) -> str:
        value = chosen.get(match[0])
        return match[0] if value is None else f"({value!r})" if value < 0 else f"{value:.10g}"

    return _WORD.sub(put, index.formula)


def parse(
    index: Index,
    band_names: Sequence[str | None],
    mapping: Mapping[str, int] | None = None,
    constants: Mapping[str, float] | None = None,
) -> tuple[Formula, dict[str, int]]:
    """An index's formula over a raster's bands, and the bands it takes: role → 1-based number.

    Args:
        mapping: own names, e.g. `{"RED": 1, "NIR": 4}`; wins over `band_names`.
        constants: as `formula_of`.

    Raises: BandMissing, FormulaError.
    """
    found = {role: bands.require(role, band_names, mapping) for role in index.roles}
    count = max(len(band_names), *found.values())
    return parse_formula(formula_of(index, constants), mapping=found, band_count=count), found


def roles_from(mapping: Mapping[str, int] | None) -> dict[str, int] | None:
    """An explicit mapping whose keys may also be the catalogue's letters (`N`, `S1`, `RE2`)."""
    if mapping is None:
        return None
    return {ROLE_OF.get(key.strip().upper(), key): band for key, band in mapping.items()}


@functools.cache
def catalogue() -> dict[str, Index]:
    """Every index by upper-case name, our own ones first."""
    made = dict(bands.INDICES)
    for entry in _read("spectral-indices-dict.json")["SpectralIndices"].values():
        name = str(entry["short_name"])
        if name.upper() in made:
            continue
        made[name.upper()] = _index(name, entry)
    return made


@functools.cache
def sensors() -> dict[str, Sensor]:
    """Every sensor by id."""
    found: dict[str, list[tuple[str, str, str, float]]] = {}
    titles: dict[str, str] = {}
    for letter, entry in _read("bands.json").items():
        for key, band in entry["platforms"].items():
            titles[key] = _TITLES.get(key) or str(band["platform"])
            row = (ROLE_OF.get(letter, letter.lower()), band["band"], band["name"])
            found.setdefault(key, []).append((*row, float(band["wavelength"])))
    made = {
        _IDS.get(key, key): _sensor(_IDS.get(key, key), titles[key], rows)
        for key, rows in found.items()
    }
    naip = [("red", "B1", "Red", 650.0), ("green", "B2", "Green", 560.0)]
    naip += [("blue", "B3", "Blue", 470.0), ("nir", "B4", "Near-Infrared (NIR)", 840.0)]
    made["naip"] = _sensor("naip", "NAIP aerial imagery", naip)
    return dict(sorted(made.items()))


def sensor(name: str) -> Sensor | None:
    """The sensor of that id, however it is written: `sentinel-2`, `Sentinel-2A`, `landsat8`."""
    wanted = bands.fold(name)
    wanted = _ALSO.get(wanted, wanted)
    return next((s for s in sensors().values() if bands.fold(s.id) == wanted), None)


_IDS = {
    "sentinel2a": "sentinel-2a",
    "sentinel2b": "sentinel-2b",
    "landsat4": "landsat-4",
    "landsat5": "landsat-5",
    "landsat7": "landsat-7",
    "landsat8": "landsat-8",
    "landsat9": "landsat-9",
    "wv2": "worldview-2",
    "wv3": "worldview-3",
}
_TITLES = {"landsat9": "Landsat 9", "modis": "Terra and Aqua MODIS"}
_ALSO = {
    "sentinel2": "sentinel2a",
    "sentinel2l1c": "sentinel2a",
    "sentinel2l2a": "sentinel2a",
    "s2": "sentinel2a",
    "landsat": "landsat8",
    "landsatc2l2": "landsat8",
    "landsatoli": "landsat8",
    "landsattm": "landsat5",
    "landsatetm": "landsat7",
    "wv2": "worldview2",
    "wv3": "worldview3",
}


def _sensor(id_: str, name: str, rows: list[tuple[str, str, str, float]]) -> Sensor:
    # one role once; B8A comes after B8
    first = {role: row for row in reversed(rows) for role in [row[0]]}
    ordered = sorted(first.values(), key=lambda row: _number(row[1]))
    return Sensor(
        id_,
        name,
        tuple(
            SensorBand(role, place, band, title, wavelength)
            for place, (role, band, title, wavelength) in enumerate(ordered, start=1)
        ),
    )


def _number(band: str) -> tuple[int, str]:
    match = re.search(r"(\d+)(\w*)", band)
    return (int(match[1]), match[2]) if match else (0, band)


def _index(name: str, entry: Mapping[str, Any]) -> Index:
    original = str(entry["formula"])
    formula = re.sub(r"\bk([A-Z])([A-Z])\b", _kernel, original)
    words = list(dict.fromkeys(_WORD.findall(formula)))
    used = {word: ROLE_OF[word] for word in words if word in ROLE_OF}
    constants = {
        word: _CONSTANTS.get(name, {}).get(word, _constants()[word]["default"])
        for word in words
        if word in _constants()
    }
    domain = str(entry["application_domain"])
    translated = _WORD.sub(lambda m: used.get(m[0], m[0]), formula)
    difference = _DIFFERENCE.fullmatch(original)
    normalized = difference is not None and difference.group(1, 2) == difference.group(3, 4)
    return Index(
        name=name,
        long_name=str(entry["long_name"]),
        formula=translated,
        roles=tuple(dict.fromkeys(used.values())),
        category=domain,
        value_range=(-1.0, 1.0),
        colormap=_COLORMAPS.get(domain, "viridis"),
        source=str(entry["reference"]),
        reflectance=domain == "kernel" or (not normalized and domain != "radar"),
        constants={k: None if v is None else float(v) for k, v in constants.items()},
        original=original,
        known_range=normalized,
    )


def _kernel(match: re.Match[str]) -> str:
    return "1" if match[1] == match[2] else _KERNEL.format(a=match[1], b=match[2])


@functools.cache
def _constants() -> dict[str, Any]:
    return _read("constants.json")


def _read(name: str) -> dict[str, Any]:
    spec = importlib.util.find_spec("spyndex")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the package spyndex, whose catalogue is read, is not installed")
    folder = Path(spec.submodule_search_locations[0])
    return json.loads((folder / "data" / name).read_text(encoding="utf-8"))
