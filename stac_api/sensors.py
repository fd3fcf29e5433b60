"""Where the bands of well-known sensors lie in the spectrum, in micrometres."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# centres of Sentinel-2A's bands: ESA, Sentinel-2 MSI technical guide
_SENTINEL_2 = {
    "coastal": 0.443,
    "blue": 0.492,
    "green": 0.560,
    "red": 0.665,
    "rededge71": 0.704,
    "rededge74": 0.741,
    "rededge78": 0.783,
    "nir": 0.833,
    "nir08": 0.865,
    "nir09": 0.945,
    "cirrus": 1.374,
    "swir16": 1.614,
    "swir22": 2.202,
}
# centres of the bands of OLI and TIRS: USGS, Landsat 8 data users handbook
_LANDSAT_8 = {
    "coastal": 0.443,
    "blue": 0.482,
    "green": 0.561,
    "red": 0.655,
    "pan": 0.590,
    "nir": 0.865,
    "nir08": 0.865,
    "cirrus": 1.373,
    "swir16": 1.609,
    "swir22": 2.201,
    "lwir11": 10.895,
    "lwir12": 12.005,
}
_SENSORS = {"sentinel-2": _SENTINEL_2, "landsat-8": _LANDSAT_8, "landsat-9": _LANDSAT_8}


def wavelengths(properties: Mapping[str, Any]) -> Mapping[str, float]:
    """Role → centre wavelength of the sensor that `platform` or `constellation` names."""
    for name in ("platform", "constellation"):
        said = str(properties.get(name) or "").lower().replace("_", "-")
        for sensor, table in _SENSORS.items():
            if said.startswith(sensor):
                return table
    return {}
