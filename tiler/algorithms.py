"""Pictures computed from a raster's surroundings rather than pixel by pixel, by name.

Who adds one puts it in `ALGORITHMS`; `algorithm=<name>` then asks for it on every picture route.
"""

from collections.abc import Callable

import numpy as np

from tiler.datasets import Header
from tiler.source import AssetSource
from tiler.style import Look
from tiler.target import Target

Painted = tuple[np.ndarray, np.ndarray | None]
"""uint8 colours (rows, columns, 1 or 3), and alpha (rows, columns) or None where all shows."""

Algorithm = Callable[[AssetSource, Header, Target, Look], Painted | None]
"""(asset, header, grid, look) → the picture, or None where the raster has no pixels there."""

ALGORITHMS: dict[str, Algorithm] = {}
