"""What a query may hold, by name; each route says which of it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tiler.classes import MAX_CHARACTERS, color_of
from tiler.errors import InvalidParameter
from tiler.mosaic.source import SELECTIONS
from tiler.profile import RESAMPLING
from tiler.style import LOOK

_NUMBER = re.compile(r"\d{1,10}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter.

    Attributes:
        description: for the reference and the OpenAPI document.
        read: text → value; raises ValueError with what it must be.
        longest: characters.
        repeated: given several times, its texts are joined by commas.
        schema: JSON Schema of the text.
    """

    description: str
    read: Callable[[str], Any] = str
    longest: int = 128
    repeated: bool = False
    schema: dict[str, Any] = field(default_factory=lambda: {"type": "string"})


def whole(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers of low to high."""

    def read(text: str) -> int:
        if not (_NUMBER.fullmatch(text) and low <= int(text) <= high):
            raise ValueError(f"must be a whole number of {low} to {high}")
        return int(text)

    return read


def _whole(description: str, low: int, high: int, default: int | None = None) -> Parameter:
    schema: dict[str, Any] = {"type": "integer", "minimum": low, "maximum": high}
    if default is not None:
        schema["default"] = default
    return Parameter(description, whole(low, high), schema=schema)


def _choice(description: str, *choices: str, default: str | None = None) -> Parameter:
    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return text

    schema: dict[str, Any] = {"type": "string", "enum": list(choices)}
    if default is not None:
        schema["default"] = default
    return Parameter(description, read, schema=schema)


def _number(description: str, low: float, high: float, default: float) -> Parameter:
    schema = {"type": "number", "minimum": low, "maximum": high, "default": default}
    return Parameter(
        description, lambda text: numbers(text, low=low, high=high, most=1)[0], schema=schema
    )


def _flag(description: str, *, default: bool) -> Parameter:
    def read(text: str) -> bool:
        if text.lower() not in ("true", "false"):
            raise ValueError("must be true or false")
        return text.lower() == "true"

    return Parameter(description, read, schema={"type": "boolean", "default": default})


def _color(text: str) -> tuple[int, int, int]:
    try:
        return color_of(text, "background")[:3]
    except InvalidParameter:
        raise ValueError("must be a colour, six hexadecimal digits") from None


def numbers(text: str, *, low: float, high: float, most: int) -> list[float]:
    """Numbers between commas. Raises: ValueError."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not 1 <= len(found) <= most or not all(low <= number <= high for number in found):
        count = "a number" if most == 1 else f"1 to {most} numbers"
        raise ValueError(f"must be {count} of {low:g} to {high:g}")
    return found


def _pair(text: str) -> list[float]:
    found = numbers(text, low=-1e38, high=1e38, most=2)
    if len(found) != 2:
        raise ValueError("must be low,high")
    return found


PARAMETERS: dict[str, Parameter] = {
    "key": Parameter("A tile token or an API key, where no header can be sent.", longest=2048),
    "asset_key": Parameter("The item's asset; by default its data asset."),
    "profile": Parameter("A display profile, by id or name; default the item's own."),
    "bands": Parameter(
        "Bands by number or name: `3,2,1`, `B08`. A picture has one or three.",
        longest=256,
        repeated=True,
    ),
    "expression": Parameter("A formula of bands; blocks are separated by `;`.", longest=1024),
    "rescale": Parameter(
        "`low,high` for every band, or a pair for each.", longest=512, repeated=True
    ),
    "colormap": Parameter(
        "Of one band: a name, or JSON: `{value: colour}` or `[[[low, high], colour]]`.",
        longest=MAX_CHARACTERS,
    ),
    "color_formula": Parameter(
        "`gamma RGB 1.2, sigmoidal RGB 6 0.5, saturation 1.3` of the colours."
    ),
    "resampling": _choice(
        "How pixels are interpolated; default `bilinear`, classes `nearest`.", *RESAMPLING
    ),
    "nodata": Parameter(
        "The number that means no value, in place of the file's; or `nan`.", longest=32
    ),
    "quality": _whole("Of JPEG and WebP.", 1, 100, 82),
    "tilesize": _choice(
        "Pixels a side of a tile; `@2x` in the path doubles it.", "256", "512", default="256"
    ),
    "background": Parameter(
        "Colour behind what is masked, `ffffff`; JPEG has white.", _color, longest=9
    ),
    "return_mask": _flag(
        "Whether alpha, the mask band of npy or of a GeoTIFF is written.", default=True
    ),
    "unscale": _flag(
        "Values with scale and offset applied; npy, tif, point and statistics.", default=False
    ),
    "algorithm": Parameter(
        "Computed from heights, in place of the style's colours: `hillshade`, `slope`, `aspect`, "
        "`terrainrgb`, `terrarium`.",
        longest=32,
    ),
    "selection": _choice(
        "Which item shows where several do, or a statistic of all.", *SELECTIONS, default="newest"
    ),
    "datetime": Parameter("Only items of this instant or interval (RFC 3339)."),
    "filter": Parameter("Only items that this CQL2 text holds for.", longest=4096),
    "bbox": Parameter("Only items that meet this west,south,east,north.", longest=256),
    "sortby": Parameter("Order of `selection=first`: `-datetime,eo:cloud_cover`.", longest=256),
    "limit": _whole("Items looked at for a tile, at most.", 1, 200, 64),
    "azimuth": _number("Where a hillshade's light comes from, degrees from north.", 0, 360, 315),
    "altitude": _number("Of a hillshade's light above the horizon, degrees.", 0, 90, 45),
    "z_factor": _number("What an algorithm multiplies heights by.", -1000, 1000, 1),
    "max_size": _whole("Longest side, pixels, where no size is given.", 1, 4096, 1024),
    "width": _whole("Pixels.", 1, 4096),
    "height": _whole("Pixels.", 1, 4096),
    "coord_crs": Parameter(
        "CRS of the path's coordinates, `EPSG:32633`; default EPSG:4326.", longest=64
    ),
    "dst_crs": Parameter("CRS of the picture, `EPSG:3857`; default EPSG:4326.", longest=64),
    "p": Parameter(
        "Percentiles, 0 to 100.",
        lambda text: numbers(text, low=0, high=100, most=16),
        repeated=True,
    ),
    "categorical": _flag("Count each value instead of ranges of values.", default=False),
    "histogram_bins": _whole("Number of ranges in the histogram.", 1, 256, 10),
    "histogram_range": Parameter(
        "`low,high` of the histogram; default the extremes.",
        _pair,
    ),
}
"""What a query may hold; each route names which of it."""

ALIASES = {"bidx": "bands", "colormap_name": "colormap"}
"""TiTiler's names for the same, so that what was written for it works."""

ACCESS = ("key", "asset_key")
STYLE = LOOK
SHOWN = (*ACCESS, "profile", *STYLE)
RELIEF = ("azimuth", "altitude", "z_factor")
OUTPUT = ("quality", "background", "return_mask", "unscale", "algorithm", *RELIEF)
TILE = (*SHOWN, *OUTPUT, "tilesize")
RESTRICTIONS = ("datetime", "filter", "bbox", "sortby")
MOSAIC = (*TILE, "selection", *RESTRICTIONS, "limit")
