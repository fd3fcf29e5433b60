"""What a method is given beside its parameters: the items, opened when asked for, and a budget."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from rasterio.io import DatasetReader
from rasterio.windows import Window

from processes.analysis import align, measured, zonal, zones
from processes.analysis.params import MAX_PIXELS, Measure
from processes.analysis.params import Zone as Place
from processes.analysis.quantity import Quantity
from processes.analysis.summary import Part
from processes.analysis.zones import Zone
from processes.method import Item, MethodError
from processes.process import Source
from raster import reader
from raster.reader import Layout

RENDER = "$render"


@dataclass(frozen=True)
class Render:
    """A raster that a method made: where it lies, and how it is drawn."""

    path: Path
    name: str
    colormap: str
    rescale: tuple[float, float]


class MethodContext:
    """The items of one call.

    Attributes:
        items: by id, in the order of the call.
        out_dir: an empty folder for rasters that the method makes.
    """

    def __init__(
        self, items: Sequence[Item], out_dir: Path, *, max_pixels: int = MAX_PIXELS
    ) -> None:
        """`max_pixels`: pixels times bands that may be read in all."""
        self.items = {item.id: item for item in items}
        self.out_dir = out_dir
        self.renders: list[Render] = []
        self._left = self._allowed = max_pixels
        self._stack: ExitStack | None = None
        self._opened: dict[str, tuple[DatasetReader, Layout]] = {}

    # ------------------------------------------------------------ items and files

    def item(self, params: Any) -> Item:
        """The item of `params.item_id`, or the only one there is."""
        name = getattr(params, "item_id", None)
        if name is None and len(self.items) == 1:
            return next(iter(self.items.values()))
        return self.items[str(name)]

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Files opened within are closed at the end; for methods that go through many items."""
        outer, kept = self._stack, self._opened
        self._opened = {}
        try:
            with ExitStack() as self._stack:
                yield
        finally:
            self._stack, self._opened = outer, kept

    def open(self, source: Source) -> tuple[DatasetReader, Layout]:
        """A source's dataset and layout; closed with the call or with `opened`."""
        if self._stack is None:
            raise RuntimeError("files are opened within opened()")
        if source.path not in self._opened:
            dataset = self._stack.enter_context(reader.open_guarded(source.path, threads=2))
            layout = reader.layout(
                dataset,
                band_names=source.band_names,
                metadata=source.asset.get("bands") or None,
            )
            self._opened[source.path] = (dataset, layout)
        return self._opened[source.path]

    def quantity(self, item: Item, measure: Measure) -> Quantity:
        """The band, index or expression of an item. Raises: MethodError."""
        return measured.find(item, measure, self.open)

    # ------------------------------------------------------------ areas

    def zones(
        self, dataset: DatasetReader, places: Sequence[Place] | None
    ) -> list[tuple[str, Zone | None]]:
        """(id, area on the raster's grid or None where outside); the whole raster without places.

        Raises: MethodError("no_overlap"): every one lies outside.
        """
        if places is None:
            return [("0", zones.whole(dataset))]
        found = [(name, zones.place(dataset, name, geometry)) for name, geometry in places]
        if all(zone is None for _, zone in found):
            raise MethodError("no_overlap", "the geometry lies outside the raster")
        return found

    def zone(self, dataset: DatasetReader, places: Sequence[Place] | None) -> Zone:
        """One area: the union of all places. Raises: MethodError("no_overlap")."""
        return self.joined([zone for _, zone in self.zones(dataset, places) if zone is not None])

    def joined(self, places: Sequence[Zone]) -> Zone:
        """The union of areas on one grid."""
        if len(places) == 1:
            return places[0]
        found = zones.within("0", shapely.union_all([zone.polygons for zone in places]))
        assert found is not None
        return found

    def spend(self, pixels: int, limit: int | None = None) -> None:
        """Count pixels times bands before they are read. Raises: MethodError("too_many_pixels")."""
        self._left -= pixels
        used = self._allowed - self._left
        allowed = self._allowed if limit is None else min(limit, self._allowed)
        if used > allowed:
            raise MethodError(
                "too_many_pixels",
                f"this would read {used:,} pixels times bands, and one call reads at most "
                f"{allowed:,}: choose a smaller geometry or fewer items",
            )

    # ------------------------------------------------------------ values

    def parts(
        self, what: Quantity, zone: Zone, *, onto: DatasetReader | None = None
    ) -> Iterator[Part]:
        """Values and weights of a zone, window by window; what the zone does not touch is left out.

        The weights are the covered fractions of the pixels; None where they are all 1.
        """
        yield from zonal.parts(what, zone, onto)

    def blocks(self, params: Any) -> Iterator[Part]:
        """As `parts`, of the item, measure and geometry that `params` name; counts the pixels."""
        what = self.quantity(self.item(params), params)
        zone = self.zone(what.grid, getattr(params, "geometry", None))
        self.spend(zone.pixels * what.bands_read, getattr(params, "max_pixels", None))
        yield from self.parts(what, zone)

    def summarize(
        self,
        what: Quantity,
        zone: Zone,
        *,
        percentiles: Sequence[float] = (),
        limit: int | None = None,
    ) -> dict[str, Any]:
        """Weighted statistics of a zone; see `Summary.result`."""
        self.spend(zone.pixels * what.bands_read, limit)
        return zonal.statistics([what], [zone], percentiles)[0][0]

    def describe(self, what: Quantity) -> dict[str, Any]:
        """What every answer says of the quantity it is about."""
        said: dict[str, Any] = {"item_id": what.item_id, "asset_key": what.asset_key, **what.label}
        if what.mapping:
            said["band_mapping"] = dict(what.mapping)
        if what.reflectance:
            said["reflectance"] = what.reflectance
        said["epsg"] = what.grid.crs.to_epsg() if what.grid.crs else None
        said["resolution"] = resolution(what.grid)
        resampling = what.resampling()
        if resampling != "none":
            said["resampling"] = resampling
        return said

    # ------------------------------------------------------------ rasters made

    def render(
        self, path: Path, *, name: str, colormap: str, rescale: tuple[float, float]
    ) -> dict[str, Any]:
        """Hand over a finished COG in `out_dir`; what to put into the answer for it."""
        low, high = rescale
        if not (math.isfinite(low) and math.isfinite(high)) or low >= high:
            rescale = (-1.0, 1.0)
        self.renders.append(Render(path, name, colormap, rescale))
        return {RENDER: len(self.renders) - 1}


def resolution(dataset: DatasetReader) -> list[float]:
    """Pixel size (x, y) in units of the raster's CRS."""
    t = dataset.transform
    return [round(math.hypot(t.a, t.d), 9), round(math.hypot(t.b, t.e), 9)]


def alignment(
    target: Quantity, others: Mapping[str, Quantity], grid: DatasetReader
) -> dict[str, Any]:
    """What an answer says of rasters brought onto one grid."""
    return {
        "grid": target.item_id,
        "epsg": grid.crs.to_epsg() if grid.crs else None,
        "resolution": resolution(grid),
        "resampling": {name: other.resampling(grid) for name, other in others.items()},
    }


def common_grid(quantities: Sequence[Quantity]) -> DatasetReader:
    """The coarsest grid; the first of about equal ones. Raises: MethodError("no_overlap")."""
    grid = quantities[0].grid
    for other in quantities[1:]:
        if not align.same_grid(grid, other.grid):
            if not align.overlaps(quantities[0].grid, other.grid):
                raise MethodError(
                    "no_overlap",
                    f"items {quantities[0].item_id} and {other.item_id} do not overlap",
                )
            grid = align.coarser(grid, other.grid)
    return grid


def common_zone(
    ctx: MethodContext,
    grid: DatasetReader,
    quantities: Sequence[Quantity],
    places: Sequence[Place] | None,
) -> Zone:
    """The area, its window cut to where all rasters lie. Raises: MethodError("no_overlap")."""
    zone = ctx.zone(grid, places)
    full = shapely.box(0, 0, grid.width, grid.height)
    for other in quantities:
        if align.same_grid(grid, other.grid):
            continue
        ground = align.ground_of(other.grid, grid)
        shared = (full if zone.polygons is None else zone.polygons).intersection(ground)
        met = zones.within(zone.id, shared)
        window = None if met is None else _both(zone.window, met.window)
        if window is None:
            raise MethodError("no_overlap", "the rasters do not overlap within the area")
        # only the window is cut: which pixel counts is decided by its values
        zone = Zone(zone.id, window, zone.polygons)
    return zone


def _both(one: Window, other: Window) -> Window | None:
    """Two windows' common part, the second one with a margin of a pixel."""
    left = max(one.col_off, other.col_off - 1)
    top = max(one.row_off, other.row_off - 1)
    right = min(one.col_off + one.width, other.col_off + other.width + 1)
    bottom = min(one.row_off + one.height, other.row_off + other.height + 1)
    if left >= right or top >= bottom:
        return None
    return reader.pixels(left, top, right - left, bottom - top)


def rows_area(dataset: DatasetReader, window: Any) -> np.ndarray:
    """Ground area in m² of a window's pixels: shape (rows, 1), of the window's middle column."""
    rows = np.arange(int(window.row_off), int(window.row_off) + int(window.height), dtype=float)
    column = float(window.col_off) + float(window.width) / 2
    return align.pixel_area(dataset, rows, column)[:, np.newaxis]
