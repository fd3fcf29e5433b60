"""From an asset and a grid to bytes: read, masked, painted or left as values, encoded.

Every picture goes through `make`, whatever route or operation asks for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rasterio.errors import RasterioError
from rasterio.features import geometry_mask
from rasterio.transform import from_bounds
from rasterio.warp import transform_geom
from shapely.geometry import shape as shape_of

from tiler import encode, fast, general, geojson, paint, values
from tiler.algorithms import ALGORITHMS, Relief, look_of_heights
from tiler.datasets import Header
from tiler.encode import Color
from tiler.errors import InvalidParameter
from tiler.locate import NotCovered, Request
from tiler.pixels import Pixels
from tiler.source import AssetSource
from tiler.style import PAINTED, Look, Purpose, Style, names_of, style
from tiler.target import GEOGRAPHIC, Target, meets

PICTURES = ("png", "webp", "jpg")
FORMATS = (*PICTURES, *values.FORMATS)

_EXACT = frozenset(("uint8", "uint16", "int16", "float32"))  # what the fast read does not round


@dataclass(frozen=True, slots=True)
class Output:
    """What is made of the pixels.

    Attributes:
        format: one of `FORMATS`.
        quality: 1 to 100; JPEG and WebP.
        background: behind what is masked; None for transparent, and white in JPEG.
        mask: whether what is masked is told: alpha, the last band of npy, a GeoTIFF's mask.
        unscale: values with scale and offset applied; `npy` and `tif`.
        algorithm: one of `tiler.algorithms.ALGORITHMS`, in place of the style's colours.
        relief: of an algorithm that lights heights.
        every_band: values of every band, whatever the profile shows, unless the look names some.
    """

    format: str = "webp"
    quality: int = 82
    background: Color | None = None
    mask: bool = True
    unscale: bool = False
    every_band: bool = False
    algorithm: str | None = None
    relief: Relief = field(default_factory=Relief)

    def check(self) -> None:
        """Raise InvalidParameter where no such picture is made."""
        if self.format not in FORMATS:
            raise InvalidParameter.of("format", f"must be one of {', '.join(FORMATS)}", "enum")
        if not 1 <= self.quality <= 100:
            raise InvalidParameter.of("quality", "must be 1 to 100")
        if self.unscale and self.format in PICTURES:
            raise InvalidParameter.of("unscale", "is of values: formats npy and tif")
        if self.algorithm is not None and self.algorithm not in ALGORITHMS:
            known = ", ".join(sorted(ALGORITHMS)) or "none"
            raise InvalidParameter.of("algorithm", f"must be one of {known}", "enum")
        if self.is_coded and self.format in ("webp", "jpg"):
            raise InvalidParameter.of("algorithm", f"{self.algorithm} is exact: ask for png")

    @property
    def is_coded(self) -> bool:
        """Whether the colours are numbers, which a lossy format would change."""
        return self.algorithm is not None and ALGORITHMS[self.algorithm].coded

    def purpose(self, look: Look) -> Purpose:
        """What the style is for: values, unless colours are asked for."""
        if self.format in PICTURES or any(look.get(name) for name in PAINTED):
            return Purpose.PICTURE
        return Purpose.EVERY_VALUE if self.every_band else Purpose.VALUES


def read(header: Header, chosen: Style, target: Target, *, exact: bool = False) -> Pixels | None:
    """The pixels of a grid; None where the raster has none there.

    Args:
        exact: values are wanted as the file's type, not rounded to 32 bits.

    Raises: Unreadable, TileError.
    """
    if target.is_fast and (not exact or header.dtype.name in _EXACT):
        request = Request(
            target.bounds,
            target.width,
            chosen.bidx,
            chosen.nodata,
            chosen.alpha_bidx,
            chosen.resampling,
        )
        try:
            return fast.read(header, request)
        except NotCovered:
            return general.read(header, request)
    if not meets(header, target):
        return None
    return general.warp(
        header,
        target,
        bidx=chosen.bidx,
        nodata=chosen.nodata,
        alpha_bidx=chosen.alpha_bidx,
        resampling=chosen.resampling,
    )


def make(
    source: AssetSource,
    header: Header,
    target: Target,
    output: Output,
    look: Look,
    *,
    area: Mapping[str, Any] | None = None,
) -> bytes:
    """The picture or the values of a grid.

    Args:
        area: GeoJSON Polygon or MultiPolygon, EPSG:4326; nothing is shown outside.

    Raises: InvalidParameter, Unreadable, TileError.
    """
    if output.algorithm is not None:
        surface = heights(source, header, ALGORITHMS[output.algorithm].grid(target), look)
        return computed(surface, target, output, look, area=area)
    purpose = output.purpose(look)
    chosen = style(source, header, purpose, **look)
    is_picture = purpose is Purpose.PICTURE
    pixels = read(header, chosen, target, exact=not is_picture)
    if pixels is not None and area is not None:
        keep_inside(pixels, area, target)
    return made(source, header, chosen, pixels, target, output, is_picture=is_picture)


def heights(
    source: AssetSource, header: Header, target: Target, look: Look
) -> np.ma.MaskedArray | None:
    """Metres, float32 (rows, columns), of the first band or what the look names; None: none there.

    Raises: InvalidParameter: the look names several bands.
    """
    chosen = style(source, header, Purpose.VALUES, **look_of_heights(look))
    pixels = read(header, chosen, target)
    return None if pixels is None else one_band(paint.values(pixels, header, chosen, unscale=True))


def one_band(values: np.ma.MaskedArray) -> np.ma.MaskedArray:
    """The heights of values (1, rows, columns). Raises: InvalidParameter: there are more bands."""
    if len(values) != 1:
        raise InvalidParameter.of("bands", "heights are one band")
    band = values[0].astype(np.float32)
    return np.ma.MaskedArray(band.data, mask=np.ma.getmaskarray(band) | ~np.isfinite(band.data))


def computed(
    surface: np.ma.MaskedArray | None,
    target: Target,
    output: Output,
    look: Look,
    *,
    area: Mapping[str, Any] | None = None,
) -> bytes:
    """The picture that the output's algorithm makes of heights; `area` as `make`."""
    assert output.algorithm is not None
    painted = ALGORITHMS[output.algorithm].paint(surface, target, look, output.relief)
    if painted is None:
        return empty(target, output)
    colors, alpha = painted
    if area is not None:
        covered = Pixels(colors, None, alpha)
        keep_inside(covered, area, target)
        alpha = covered.alpha
    return _picture(colors, alpha, target, output)


def made(
    source: AssetSource,
    header: Header,
    chosen: Style,
    pixels: Pixels | None,
    target: Target,
    output: Output,
    *,
    is_picture: bool,
) -> bytes:
    """The bytes of pixels that were read already."""
    if not is_picture:
        return _values(source, header, chosen, pixels, target, output)
    if pixels is None:
        return empty(target, output)
    colors, alpha = paint.paint(pixels, header, chosen)
    if alpha is not None and not alpha.any():
        return empty(target, output)
    return _picture(colors, alpha, target, output)


def _picture(colors: np.ndarray, alpha: np.ndarray | None, target: Target, output: Output) -> bytes:
    if not output.mask:
        alpha = None
    if output.format in PICTURES:
        return encode.encode(
            colors, alpha, output.format, quality=output.quality, background=output.background
        )
    if output.background is not None:
        colors, alpha = encode.flattened(colors, alpha, output.background), None
    hidden = np.ma.nomask
    if alpha is not None:
        hidden = np.broadcast_to(alpha == 0, (colors.shape[2], *alpha.shape))
    found = np.ma.MaskedArray(colors.transpose(2, 0, 1), mask=hidden)
    if output.format == "npy":
        return values.npy(found, mask=output.mask)
    return values.geotiff(found, target, colors=True, mask=output.mask)


def empty(target: Target, output: Output) -> bytes:
    """A picture of nothing: transparent, or all background."""
    shape = target.height, target.width
    if output.background is None and output.format in PICTURES and shape[0] == shape[1]:
        return encode.empty(output.format, shape[0])
    clear = np.zeros(shape, np.uint8)
    colors = clear[..., None] if output.format in PICTURES else np.zeros((*shape, 3), np.uint8)
    return _picture(colors, clear, target, output)


def _values(
    source: AssetSource,
    header: Header,
    chosen: Style,
    pixels: Pixels | None,
    target: Target,
    output: Output,
) -> bytes:
    count = len(chosen.formula.blocks) if chosen.formula else len(chosen.bidx)
    if pixels is None:
        floats = chosen.formula is not None or output.unscale
        shape = (count, target.height, target.width)
        dtype = np.dtype(np.float32) if floats else header.dtype
        found = np.ma.MaskedArray(np.zeros(shape, dtype), mask=True)
    else:
        found = paint.values(pixels, header, chosen, unscale=output.unscale)
    stored = chosen.formula is None and not output.unscale
    nodata = _nodata(header, chosen) if stored else None
    return written(source, header, chosen, found, target, output, nodata=nodata)


def written(
    source: AssetSource,
    header: Header,
    chosen: Style,
    found: np.ma.MaskedArray,
    target: Target,
    output: Output,
    *,
    nodata: float | None,
) -> bytes:
    """A file of values (bands, rows, columns), with the bands' names, scale and offset.

    Args:
        nodata: as `tiler.values.geotiff`.
    """
    if output.format == "npy":
        return values.npy(found, mask=output.mask)
    stored = chosen.formula is None and not output.unscale
    names = names_of(source.band_names, header)
    return values.geotiff(
        found,
        target,
        nodata=nodata,
        names=[names[i - 1] or f"b{i}" for i in chosen.bidx] if chosen.formula is None else (),
        scaling=[(header.scales[i - 1], header.offsets[i - 1]) for i in chosen.bidx]
        if stored
        else (),
        mask=output.mask,
    )


def _nodata(header: Header, chosen: Style) -> float | None:
    """The number that stands for no value in every band, where there is one that fits the type."""
    if chosen.nodata is not None:
        found = chosen.nodata
    else:
        known = {header.nodata[i - 1] for i in chosen.bidx}
        found = known.pop() if len(known) == 1 else None
    if found is None or header.dtype.kind == "f":
        return found
    limits = np.iinfo(header.dtype)
    return found if limits.min <= found <= limits.max and found == int(found) else None


def keep_inside(pixels: Pixels, area: Mapping[str, Any], target: Target) -> None:
    """Hide what lies outside a polygon (EPSG:4326). Raises: InvalidParameter."""
    shape = target.height, target.width
    try:
        projected = transform_geom(GEOGRAPHIC, target.crs, dict(area))
        _, bottom, _, top = target.bounds
        geojson.check_fill(shape_of(projected), bottom, top, target.height, "geometry")
        outside = geometry_mask(
            [projected], shape, from_bounds(*target.bounds, target.width, target.height)
        )
    except (RasterioError, ValueError):
        raise InvalidParameter.of("aoi", "cannot be placed on the map") from None
    if pixels.alpha is None:
        pixels.alpha = np.full(shape, 255, np.uint8)
    pixels.alpha[outside] = 0
