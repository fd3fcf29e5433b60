"""What the tiler is told about an asset: where it is, and what is known about its bands."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FAR = "/vsipythonfilelike/"
"""Where `raster.remote` mounts files of other hosts."""


@dataclass(frozen=True, kw_only=True)
class AssetSource:
    """One raster asset that the caller may see.

    Attributes:
        path: what GDAL opens: a local file, `/vsis3/bucket/key`, or what `raster.remote` mounted;
            never from user input.
        version: changes whenever the bytes change (a checksum or store etag); keys every cache.
        asset_key: its key in the item.
        name: shown in TileJSON.
        band_names: from the item's metadata, in band order; empty if unknown.
        bands: metadata of each band, if known: `minimum`, `maximum`, `mean`, `stddev` in stored
            numbers; used only where the file itself has no statistics.
        nodata: overrides the file's own, if set.
        profile: display settings: `{"type": "rgb" | "singleband" | "multiband" | "expression",
            "config": {...}}`, or None for the default picture.
        profiles: `id` and `name` of all display profiles that there are to choose from.
        epsg: code of the file's CRS, if known.
        bounds: west, south, east, north in EPSG:4326 (west > east across the antimeridian); None
            to take them from the file.
        is_categorical: pixels are class numbers: never interpolated.
        public: the picture may be kept by shared caches.
        is_stored: its bytes are in the platform's own bucket.
    """

    path: str
    version: str
    asset_key: str = "data"
    name: str = ""
    band_names: tuple[str, ...] = ()
    bands: tuple[Mapping[str, Any], ...] = ()
    nodata: float | None = None
    profile: Mapping[str, Any] | None = None
    profiles: tuple[Mapping[str, str], ...] = ()
    epsg: int | None = None
    bounds: tuple[float, float, float, float] | None = None
    is_categorical: bool = False
    public: bool = False
    is_stored: bool = False

    @property
    def is_far(self) -> bool:
        """Its bytes are on a host of somebody else, which may be slow."""
        return self.path.startswith(FAR) and not self.is_stored
