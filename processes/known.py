"""Rasters as the platform knows them, for what is told before a run opens any file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from affine import Affine
from rasterio.io import DatasetReader

from processes import overlap
from processes.process import Source
from raster.reader import Layout


class NotKnown(Exception):
    """The platform does not know a raster well enough: the run says what is wrong with it."""


@dataclass(frozen=True)
class Raster(overlap.Placed):
    """What is asked of an open file before its pixels are read.

    Attributes:
        dtypes: of all its bands.
    """

    dtypes: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many bands there are."""
        return len(self.dtypes)


def opener(sources: Sequence[Source]) -> Callable[[Source], tuple[DatasetReader, Layout]]:
    """In place of `MethodContext.open`: grid and bands of one of these rasters, and no pixels.

    Where a grid is not known, none has a system. The function raises NotKnown.
    """
    placed = {source.asset_key: overlap.placed(source.asset) for source in sources}
    nowhere = overlap.Placed(None, Affine.identity(), 1, 1)
    grids = {key: grid if all(placed.values()) else nowhere for key, grid in placed.items()}
    made = {}

    def opened(source: Source) -> tuple[DatasetReader, Layout]:
        key = source.asset_key
        if key not in made:
            made[key] = _opened(source, grids[key] or nowhere)
        return made[key]

    return opened


def _opened(source: Source, grid: overlap.Placed) -> tuple[DatasetReader, Layout]:
    said = source.band_names or []
    count = source.asset.get("band_count") or len(said)
    bands: dict[int, Any] = {n: {} for n in range(1, count + 1)}
    if found := source.asset.get("bands"):
        bands = {band["index"]: band for band in found if band.get("index")}
    if not bands:
        raise NotKnown(source.asset_key)
    types = {n: band.get("dtype") or "float32" for n, band in bands.items()}
    dtypes = tuple(types.get(n, "uint8") for n in range(1, max(bands) + 1))
    made = Raster(grid.crs, grid.transform, grid.width, grid.height, dtypes)
    layout = Layout(
        data=tuple(bands),
        names=tuple(
            (said[n - 1] if n <= len(said) else None) or bands[n].get("name") or "" for n in bands
        ),
        alpha=None,
        internal_mask=False,
        nodata=(None,) * len(bands),
        scales=tuple(_number(band.get("scale"), 1.0) for band in bands.values()),
        offsets=tuple(_number(band.get("offset"), 0.0) for band in bands.values()),
    )
    return cast(DatasetReader, made), layout


def _number(said: Any, default: float) -> float:
    return float(said) if isinstance(said, int | float) else default
