"""Ground control points: a polynomial either way, as GDAL's warper fits it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rasterio.control import GroundControlPoint

_POINTS_FOR_ORDER_2 = 6


@dataclass(frozen=True, slots=True, eq=False)
class _Polynomial:
    """(x, y) → value, in coordinates about the points' middle so that the sums stay exact."""

    middle: tuple[float, float]
    spread: tuple[float, float]
    factors: np.ndarray
    order: int

    def __call__(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        terms = _terms(
            (np.asarray(x) - self.middle[0]) / self.spread[0],
            (np.asarray(y) - self.middle[1]) / self.spread[1],
            self.order,
        )
        total = np.zeros(np.shape(x))
        for factor, term in zip(self.factors, terms, strict=True):
            total = total + factor * term
        return total


@dataclass(frozen=True, slots=True, eq=False)
class ControlPoints:
    """The fit both ways. They are fitted apart, so that one is not exactly the other's inverse."""

    _column: _Polynomial
    _row: _Polynomial
    _x: _Polynomial
    _y: _Polynomial

    def to_pixel(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates in the points' CRS to full-resolution columns and rows."""
        return self._column(x, y), self._row(x, y)

    def to_crs(self, columns: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns and rows to coordinates."""
        return self._x(columns, rows), self._y(columns, rows)


def fit(points: Sequence[GroundControlPoint]) -> ControlPoints:
    """Least squares through the points: of second order from six points on, else of first.

    This is what `gdalwarp` does unless it is told another order. Raises: ValueError: the points
    lie on a line or are fewer than three.
    """
    order = 2 if len(points) >= _POINTS_FOR_ORDER_2 else 1
    column, row, x, y = (
        np.array([getattr(point, name) for point in points], np.float64)
        for name in ("col", "row", "x", "y")
    )
    return ControlPoints(
        _fitted(x, y, column, order),
        _fitted(x, y, row, order),
        _fitted(column, row, x, order),
        _fitted(column, row, y, order),
    )


def _fitted(x: np.ndarray, y: np.ndarray, values: np.ndarray, order: int) -> _Polynomial:
    middle = float(x.mean()), float(y.mean())
    spread = float(np.ptp(x)) or 1.0, float(np.ptp(y)) or 1.0
    terms = np.stack(
        _terms((x - middle[0]) / spread[0], (y - middle[1]) / spread[1], order), axis=1
    )
    factors, _, rank, _ = np.linalg.lstsq(terms, values, rcond=None)
    if rank < terms.shape[1]:
        raise ValueError("the control points do not span a plane")
    return _Polynomial(middle, spread, factors, order)


def _terms(x: np.ndarray, y: np.ndarray, order: int) -> list[np.ndarray]:
    first = [np.ones_like(x), x, y]
    return first if order == 1 else [*first, x * x, x * y, y * y]
