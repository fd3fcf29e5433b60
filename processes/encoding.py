"""How a result keeps its values: stored numbers of a type, with scale, offset and no data."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp

from processes.process import JobError
from raster import cog, fill
from raster.reader import Layout


@dataclass(frozen=True)
class Encoding:
    """How bands are stored.

    Attributes:
        names: one for each band, "" where unknown.
        alpha: the last band is alpha.
        scales, offsets: of each band; value = stored * scale + offset.
    """

    dtype: str
    nodata: float | None
    names: tuple[str, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    colors: tuple[ColorInterp, ...] | None = None
    colormap: dict[int, Any] | None = None
    alpha: bool = False

    @property
    def exact(self) -> str:
        """The type of fractions that holds the stored numbers."""
        kind = np.dtype(self.dtype)
        return "float64" if kind.itemsize > (4 if kind.kind == "f" else 2) else "float32"

    def with_nodata(self, nodata: float | None) -> "Encoding":
        """With this number for no data; without one NaN of fractions.

        Raises: JobError("invalid_inputs"): the type does not hold it.
        """
        if nodata is not None:
            require_fits(nodata, self.dtype)
            return replace(self, nodata=nodata)
        if self.nodata is None and not self.alpha and np.dtype(self.dtype).kind == "f":
            return replace(self, nodata=float("nan"))
        return self

    def options(self) -> dict[str, Any]:
        """For `blocks.write`."""
        return {
            "dtype": self.dtype,
            "nodata": self.nodata,
            "band_names": self.names,
            "scales": self.scales,
            "offsets": self.offsets,
            "colors": self.colors,
            "colormap": self.colormap,
        }


def of(dataset: Any, made: Layout, indexes: tuple[int, ...]) -> Encoding:
    """That of some data bands of a file, with its alpha band where there is one."""
    places = [made.data.index(index) for index in indexes]
    given = cog.colors(dataset, made)
    alpha = made.alpha is not None
    palette = given[0] == ColorInterp.palette and dataset.count == 1
    every = [*indexes, *([made.alpha] if made.alpha is not None else ())]
    return Encoding(
        dtype=dataset.dtypes[0],
        nodata=dataset.nodata,
        names=tuple([made.names[p] for p in places] + [""] * alpha),
        scales=tuple([made.scales[p] for p in places] + [1.0] * alpha),
        offsets=tuple([made.offsets[p] for p in places] + [0.0] * alpha),
        colors=tuple(given[index - 1] for index in every),
        colormap=dataset.colormap(1) if palette else None,
        alpha=alpha,
    )


def require_fits(nodata: float, dtype: str) -> None:
    """Raise JobError unless a type holds the number."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        fits = abs(nodata) <= float(np.finfo(kind).max)
    else:
        info = np.iinfo(kind)
        fits = float(nodata).is_integer() and info.min <= int(nodata) <= info.max
    if not fits:
        raise JobError("invalid_inputs", f"nodata: {nodata:g} is no number of type {dtype}")


def stored(values: np.ma.MaskedArray, dtype: str, nodata: float | None) -> np.ma.MaskedArray:
    """Numbers as a type stores them.

    Whole numbers are rounded, half to even, and kept within the type: some kernels overshoot. A
    value that is the number for no data moves to the next one, as gdalwarp does it.
    """
    kind = np.dtype(dtype)
    hidden = np.ma.getmaskarray(values)
    data = values.data
    if kind.kind in "iu":
        if data.dtype.kind == "f":
            low, high = limits(kind, data.dtype)
            data = np.clip(np.rint(fill.filled(data, hidden, 0)), low, high)
        made = data.astype(kind)
    else:
        made = data.astype(kind)
    if nodata is not None and not np.isnan(nodata):
        number = np.asarray(nodata, kind)
        same = (made == number) & ~hidden
        if same.any():
            made[same] = _next(number)
    return np.ma.MaskedArray(made, mask=hidden)


def limits(kind: np.dtype[Any], fractions: np.dtype[Any]) -> tuple[Any, Any]:
    """The least and the greatest fraction that a whole type holds."""
    info = np.iinfo(kind)
    low, high = fractions.type(info.min), fractions.type(info.max)
    if int(high) > info.max:
        high = np.nextafter(high, fractions.type(0))
    return low, high


def _next(number: np.ndarray) -> Any:
    if number.dtype.kind == "f":
        return np.nextafter(number, number.dtype.type(np.inf))
    top = np.iinfo(number.dtype).max
    return number - 1 if int(number) == top else number + 1
