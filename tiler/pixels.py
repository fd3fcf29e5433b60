"""What a read gives, whichever engine made it, and the one way masks are combined."""

from dataclasses import dataclass

import numpy as np


@dataclass(slots=True)
class Pixels:
    """A picture's worth of pixels before colours.

    Attributes:
        data: shape (rows, columns, bands), the file's dtype or float32.
        masked: shape (rows, columns, bands), True = no value in that band; None if there is none.
        alpha: shape (rows, columns), uint8, how much of the picture shows: what lies outside the
            raster, its mask band or alpha band; None if all does.
    """

    data: np.ndarray
    masked: np.ndarray | None = None
    alpha: np.ndarray | None = None

    def opacity(self) -> np.ndarray | None:
        """uint8 (rows, columns), or None if opaque. A pixel shows where any band has a value."""
        if self.masked is None:
            return self.alpha if self.alpha is not None and self.alpha.min() < 255 else None
        # one mask for all bands is the same memory seen again
        shared = self.masked.shape[2] == 1 or self.masked.strides[2] == 0
        hidden = self.masked[..., 0] if shared else self.masked.all(axis=2)
        if not hidden.any():
            return self.alpha
        shown = np.full(hidden.shape, 255, np.uint8) if self.alpha is None else self.alpha.copy()
        shown[hidden] = 0
        return shown

    def band(self, position: int) -> np.ma.MaskedArray:
        """One band (0-based position in `data`), masked where it or the picture has no value."""
        mask = None if self.masked is None else self.masked[..., position]
        if self.alpha is not None:
            hidden = self.alpha == 0
            mask = hidden if mask is None else mask | hidden
        values = self.data[..., position]
        return np.ma.MaskedArray(values, mask=np.ma.nomask if mask is None else mask)
