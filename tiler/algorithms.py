"""Pictures computed from a raster's surroundings rather than pixel by pixel, by name.

Who adds one puts it in `ALGORITHMS`; `algorithm=<name>` then asks for it on every picture route.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from tiler.style import PAINTED, Look
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


Paint = Callable[[np.ma.MaskedArray | None, Target, Look, Relief], Painted | None]
"""(heights, grid of the picture, look, relief) → the picture, or None where nothing shows.

Heights are metres, float32 (rows, columns), on the grid widened by the algorithm's margin; None
where the raster has no pixels.
"""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A picture computed from heights.

    Attributes:
        paint: makes it.
        margin: pixels that it looks at on each side of the picture.
        coded: its colours are numbers, which a lossy format would change.
    """

    paint: Paint
    margin: int = 0
    coded: bool = False

    def grid(self, target: Target) -> Target:
        """Where heights are wanted for a picture on `target`."""
        if not self.margin:
            return target
        west, south, east, north = target.bounds
        across = (east - west) / target.width * self.margin
        down = (north - south) / target.height * self.margin
        return replace(
            target,
            bounds=(west - across, south - down, east + across, north + down),
            width=target.width + 2 * self.margin,
            height=target.height + 2 * self.margin,
        )


ALGORITHMS: dict[str, Algorithm] = {}


def look_of_heights(look: Look) -> Look:
    """What of a look says which heights are read: the first band, unless it names another."""
    wanted: Look = {k: v for k, v in look.items() if k not in PAINTED and v}  # type: ignore[assignment]
    if not (wanted.get("bands") or wanted.get("expression")):
        wanted["bands"] = "1"
    return wanted
