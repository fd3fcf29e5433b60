"""Pictures computed from a raster's surroundings rather than pixel by pixel, by name.

Who adds one puts it in `ALGORITHMS`; `algorithm=<name>` then asks for it on every picture route.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tiler.datasets import Header
from tiler.source import AssetSource
from tiler.style import Look
from tiler.target import Target

Painted = tuple[np.ndarray, np.ndarray | None]
"""uint8 colours (rows, columns, 1 or 3), and alpha (rows, columns) or None where all shows."""


@dataclass(frozen=True, slots=True)
class Relief:
    """How heights are lit.

    Attributes:
        azimuth: where the light comes from, degrees from north by east.
        altitude: of the light above the horizon, degrees.
        z_factor: heights are multiplied by it: exaggeration, or metres a unit.
    """

    azimuth: float = 315.0
    altitude: float = 45.0
    z_factor: float = 1.0


Algorithm = Callable[[AssetSource, Header, Target, Look, Relief], Painted | None]
"""(asset, header, grid, look, relief) → the picture, or None where the raster has no pixels."""

CODES = frozenset(("terrainrgb", "terrarium"))
"""Those whose colours are numbers, which a lossy format would change."""

ALGORITHMS: dict[str, Algorithm] = {}
