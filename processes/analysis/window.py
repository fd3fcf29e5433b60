"""A formula over a box of a raster, read at a reduced size where it is large."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from rasterio.features import rasterize
from rasterio.transform import Affine

from processes.analysis.summary import Summary
from processes.method import MethodError
from raster import bands, indices, reader, reflectance
from raster.bands import BandMissing
from raster.formula import FormulaError, parse
from raster.indices import Sensor


@dataclass(frozen=True)
class Window:
    """Values of a box.

    Attributes:
        values: float32, (rows, columns), masked outside the box and where there is no value.
        bands: the bands used: role or name → 1-based index.
    """

    values: np.ma.MaskedArray
    bands: Mapping[str, int]

    def statistics(self) -> dict[str, Any]:
        """As of a zone, each pixel of the reduced picture weighing 1."""
        total = Summary()
        total.add(self.values)
        return total.result((2, 25, 50, 75, 98), lambda: [(self.values, None)])


def compute(
    path: str,
    *,
    bbox: Mapping[str, float],
    sensor: Sensor,
    formula: str | None = None,
    index_name: str | None = None,
    max_size: int = 2048,
    band_names: Sequence[str | None] = (),
    metadata: Sequence[Mapping[str, Any]] = (),
) -> Window:
    """Values of a formula or index within a box.

    Args:
        bbox: west, south, east, north in degrees; west > east across the antimeridian.
        sensor: whose band names the formula may use. Where the raster's own bands are named, they
            say which is which; else its bands are taken in the sensor's order.
        max_size: pixels of the longer side; a larger window is read reduced, nearest neighbour.
        band_names, metadata: from the platform, in band order.

    Raises: MethodError, RasterError.
    """
    with reader.open_guarded(path, threads=2) as dataset:
        layout = reader.layout(dataset, band_names=list(band_names), metadata=list(metadata))
        area = reader.area(dataset, box_of(bbox))
        names: list[str | None] = [None] * dataset.count
        for index, name in zip(layout.data, layout.names, strict=True):
            names[index - 1] = name or None
        mapping = places_of(sensor, names)
        try:
            if index_name is not None:
                found = indices.find(index_name)
                parsed, _ = indices.parse(found, names, mapping)
                presupposed = found.reflectance
            else:
                parsed = parse(
                    formula or "", band_names=names, mapping=mapping, band_count=dataset.count
                )
                presupposed = reflectance.presupposed(parsed)
        except BandMissing as error:
            raise MethodError("band_missing", str(error)) from None
        except FormulaError as error:
            raise MethodError("invalid_params", f"formula: {error}") from None
        if len(parsed.blocks) != 1:
            raise MethodError("invalid_params", "formula: must give one value")
        if missing := [number for number in parsed.bands if number not in layout.data]:
            raise MethodError("band_missing", f"the raster has no data band {missing[0]}")
        height, width = int(area.window.height), int(area.window.width)
        shrink = max(1.0, max(height, width) / max_size)
        shape = max(1, round(height / shrink)), max(1, round(width / shrink))
        read = reader.read(
            dataset, parsed.bands, window=area.window, layout=layout, scaled=True, out_shape=shape
        )
        inside = _inside(area, shape, height, width)
        divisors = reflectance.divisors(dataset, layout, parsed.bands)
    given = dict(zip(parsed.bands, read, strict=True))
    if presupposed:
        given = {n: reflectance.divided(given[n], divisors[n]) for n in parsed.bands}
    values = parsed.evaluate(given)[0]
    values = np.ma.MaskedArray(values.data, mask=np.ma.getmaskarray(values) | ~inside)
    used = {names[n - 1] or f"b{n}": n for n in parsed.bands}
    return Window(values, used)


def places_of(sensor: Sensor, names: Sequence[str | None]) -> dict[str, int]:
    """What a sensor's roles and band names mean on a raster whose bands are called `names`."""
    known = bands.roles_of(names)
    if known:
        places = {b.role: bands.resolve(b.role, names) for b in sensor.bands}
    else:
        places = {b.role: b.index if b.index <= len(names) else None for b in sensor.bands}
    found = {role: place for role, place in places.items() if place is not None}
    own = {b.name: found[b.role] for b in sensor.bands if b.role in found}
    return own | found


def box_of(bbox: Mapping[str, float]) -> dict[str, Any]:
    """The box as GeoJSON, in two parts across the antimeridian."""
    west, south, east, north = (bbox[name] for name in ("west", "south", "east", "north"))
    spans = [(west, east)] if west < east else [(west, 180.0), (-180.0, east)]
    boxes = [shapely.box(w, south, e, north) for w, e in spans if w < e]
    return shapely.geometry.mapping(boxes[0] if len(boxes) == 1 else shapely.MultiPolygon(boxes))


def _inside(area: reader.Area, shape: tuple[int, int], height: int, width: int) -> np.ndarray:
    if shape == (height, width):
        return area.inside(area.window)
    steps = Affine(
        width / shape[1], 0, area.window.col_off, 0, height / shape[0], area.window.row_off
    )
    burned = rasterize(
        [(area.geometry, 1)],
        out_shape=shape,
        transform=steps,
        all_touched=area.all_touched,
        dtype="uint8",
    )
    return np.asarray(burned, dtype=bool)
