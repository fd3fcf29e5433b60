"""What is drawn: profile and request parameters, checked against the raster's bands, once."""

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

import numpy as np

from raster import bands as band_roles
from raster.formula import Formula, FormulaError
from raster.formula import parse as parse_formula
from tiler import rescale as ranges
from tiler.cache import known
from tiler.colormaps import table
from tiler.datasets import Header
from tiler.errors import InvalidParameter
from tiler.source import AssetSource

RESAMPLING = ("bilinear", "nearest", "cubic")
MAX_BANDS = 16


@dataclass(frozen=True, slots=True, eq=False)
class Style:
    """How a raster is drawn; everything is resolved.

    Attributes:
        bidx: 1-based bands that are read, in the order of the picture or of `formula.bands`.
        formula: computed from the bands; None to show them as they are.
        rescale: value range of each output band: in stored numbers for bands, in scaled values for
            a formula.
        colors: uint8 (256, 4), for one output band; None for grey or three bands.
        palette: uint8 (256 or 65536, 4), the file's own colours by pixel value.
        gamma: brightens above 1.
    """

    bidx: tuple[int, ...]
    formula: Formula | None
    rescale: tuple[ranges.Range, ...]
    colors: np.ndarray | None
    palette: np.ndarray | None
    gamma: float
    resampling: str
    nodata: float | None
    alpha_bidx: int | None


class Look(TypedDict, total=False):
    """What a request may say of how a raster is drawn; all of it replaces the profile's.

    Attributes:
        bands: one or three, by number or name: `3,2,1`, `red,green,blue`, `B08`.
        expression: in the grammar of `raster.formula`, one or three blocks.
        rescale: as `tiler.rescale.parse`.
        colormap: a name of `tiler.colormaps`, for one band.
    """

    bands: str | None
    expression: str | None
    rescale: str | None
    colormap: str | None


def style(source: AssetSource, header: Header, **look: Unpack[Look]) -> Style:
    """The style of a request. Explicit bands or an expression replace those of the profile;
    rescale and colormap replace just that.

    Bands are drawn in stored numbers, as their STATISTICS tags and `rescale` count them. A formula
    sees values with scale and offset applied, as everywhere else; one that merely names a band
    means that band.

    Raises: InvalidParameter.
    """
    profile = json.dumps(source.profile, sort_keys=True) if source.profile else ""
    metadata = ""
    if source.bands:
        metadata = json.dumps([dict(band) for band in source.bands], default=str)
    told = (
        source.band_names,
        metadata,
        # NaN is masked anyway, and is no key: it does not equal itself
        None if source.nodata is None or math.isnan(source.nodata) else source.nodata,
        source.is_categorical,
        profile,
        look.get("bands") or None,
        look.get("expression") or None,
        look.get("rescale") or None,
        look.get("colormap") or None,
    )
    key = ("style", *header.identity, *told)
    return known.get(key, lambda: _style(header, *told), _weight)


def _weight(found: Style) -> int:
    """About how many bytes a style takes with its key; colour maps are shared."""
    own = 0 if found.palette is None else found.palette.nbytes
    return 6000 + own


def names_of(source_names: Sequence[str], header: Header) -> tuple[str | None, ...]:
    """One name a band: the item's, else the file's own descriptions."""
    return tuple(
        (source_names[i] if i < len(source_names) else None) or header.descriptions[i]
        for i in range(header.count)
    )


@dataclass(slots=True)
class _Wish:
    """A profile's settings and a request's, before they are checked against the raster."""

    bands: Sequence[int | str] | None = None
    expression: str | None = None
    rescale: tuple[ranges.Range, ...] | None = None
    raw_rescale: Any = None
    colormap: str | None = None
    gamma: float = 1.0
    resampling: str | None = None
    nodata: float | None = None


def _style(
    header: Header,
    source_names: tuple[str, ...],
    metadata_json: str,
    source_nodata: float | None,
    is_categorical: bool,
    profile_json: str,
    bands: str | None,
    expression: str | None,
    rescale: str | None,
    colormap: str | None,
) -> Style:
    if bands and expression:
        raise InvalidParameter.of("expression", "is not combined with bands: give one of them")
    names = names_of(source_names, header)
    alpha_bidx = band_roles.alpha_band(header.color_interpretation, names)
    wish = _profile_wish(json.loads(profile_json)) if profile_json else _Wish()
    if bands or expression:
        wish = _Wish(nodata=wish.nodata, resampling=wish.resampling)
        wish.bands = [part.strip() for part in bands.split(",")] if bands else None
        wish.expression = expression
    nodata = wish.nodata if wish.nodata is not None else source_nodata

    # a profile that only says "the first band" leaves its colours as they are
    by_palette = (
        header.palette is not None
        and not (bands or wish.expression or wish.raw_rescale or wish.colormap)
        and not (rescale or colormap)
        and (not wish.bands or [band_index(b, names, header) for b in wish.bands] == [1])
    )
    formula = parse_expression(wish.expression, names, header) if wish.expression else None
    if formula and (single := plain_band(formula)):  # `b3` is band 3, drawn as a band is
        formula, wish.bands = None, [single]
    if formula:
        bidx, outputs = formula.bands, len(formula.blocks)
    elif by_palette:
        bidx, outputs = (1,), 1
    elif wish.bands:
        bidx = tuple(band_index(band, names, header) for band in wish.bands)
        outputs = len(bidx)
    else:
        bidx = default_bands(header, names, alpha_bidx)
        outputs = len(bidx)
    if outputs not in (1, 3):
        what = "expression" if formula else "bands"
        raise InvalidParameter.of(what, f"a picture has one band or three, not {outputs}")
    if len(bidx) > MAX_BANDS:
        raise InvalidParameter.of("expression", f"uses more than {MAX_BANDS} bands")

    name = colormap or wish.colormap
    if colormap and outputs != 1:
        raise InvalidParameter.of("colormap", "colours one band; choose one with bands=")
    colors = table(name) if name and outputs == 1 else None
    if rescale:
        chosen = ranges.parse(rescale, outputs)
    elif wish.raw_rescale is not None:
        chosen = _profile_rescale(wish.raw_rescale, outputs)
    elif by_palette:
        chosen = ((0.0, 255.0),)
    else:
        metadata = json.loads(metadata_json) if metadata_json else ()
        chosen = default_ranges(header, bidx, formula, metadata, nodata, alpha_bidx)
    interpolated = not (is_categorical or by_palette)
    return Style(
        bidx=bidx,
        formula=formula,
        rescale=chosen,
        colors=colors,
        palette=_palette(header) if by_palette else None,
        gamma=wish.gamma,
        resampling=wish.resampling or ("bilinear" if interpolated else "nearest"),
        nodata=nodata,
        alpha_bidx=alpha_bidx,
    )


def default_bands(
    header: Header, names: Sequence[str | None], alpha_bidx: int | None
) -> tuple[int, ...]:
    """Red, green and blue by name or colour interpretation; else the first three, else one."""
    roles = band_roles.roles_of(names)
    by_color = {name: i for i, name in enumerate(header.color_interpretation, start=1)}
    for named in (roles, by_color):
        if all(color in named for color in ("red", "green", "blue")):
            return named["red"], named["green"], named["blue"]
    data = [i for i in range(1, header.count + 1) if i != alpha_bidx]
    return tuple(data[:3]) if len(data) >= 3 else tuple(data[:1] or [1])


def default_ranges(
    header: Header,
    bidx: Sequence[int],
    formula: Formula | None,
    metadata: Sequence[Mapping[str, Any]],
    nodata: float | None,
    alpha_bidx: int | None,
) -> tuple[ranges.Range, ...]:
    """The range each output band is shown in where nobody chose one."""

    def of_band(index: int) -> ranges.Range:
        return ranges.default_range(
            ranges.band_statistics(
                header, index, metadata=metadata, nodata=nodata, alpha_bidx=alpha_bidx
            )
        )

    if formula is None:
        return tuple(of_band(index) for index in bidx)
    found = ranges.formula_statistics(header, formula, nodata, alpha_bidx)
    return tuple(ranges.default_range(block) for block in found)


def plain_band(formula: Formula) -> int | None:
    """The band that a formula merely names, or None."""
    if len(formula.blocks) != 1:
        return None
    return getattr(formula.blocks[0].tree, "index", None)


def parse_expression(text: str, names: Sequence[str | None], header: Header) -> Formula:
    """A checked formula over the raster's bands. Raises: InvalidParameter."""
    try:
        return parse_formula(text, band_names=names, band_count=header.count)
    except FormulaError as error:
        raise InvalidParameter.of("expression", str(error)) from None


def band_index(band: int | str, names: Sequence[str | None], header: Header) -> int:
    """The 1-based index of a band given by number or name. Raises: InvalidParameter."""
    text = str(band).strip()
    number = text[1:] if text[:1] in ("b", "B") and text[1:2] not in ("", "0") else text
    index = band_roles.resolve(text, names)
    if (text.isascii() and text.isdecimal()) or text.startswith("b"):
        # `4` and `b4` are band four, whatever the bands are called
        index = int(number) if number.isascii() and number.isdecimal() else index
    elif index is None and number.isascii() and number.isdecimal():
        index = int(number)
    if index is None or not 1 <= index <= header.count:
        known = [name for name in names if name] or [f"1 to {header.count}"]
        near = difflib.get_close_matches(text[:40], known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InvalidParameter.of(
            "bands", f"no band {text[:40]!r}; the bands are {', '.join(known[:20])}{hint}"
        )
    return index


def _profile_wish(profile: Mapping[str, Any]) -> _Wish:
    """A profile's settings. Raises: InvalidParameter: it does not have the shape of its type."""
    config = profile.get("config") or {}
    kind = profile.get("type") or profile.get("profile_type")
    wish = _Wish(raw_rescale=config.get("rescale"), colormap=config.get("colormap"))
    if kind == "expression" or "expression" in config:
        wish.expression = config.get("expression")
    elif kind == "singleband" or "band" in config:
        wish.bands = [config.get("band", 1)]
    elif config.get("bands"):
        wish.bands = list(config["bands"])
        if kind == "multiband" and len(wish.bands) not in (1, 3):
            wish.bands = wish.bands[:3] if len(wish.bands) > 3 else wish.bands[:1]
    try:
        wish.gamma = float(config.get("gamma") or 1.0)
        nodata = config.get("nodata")
        wish.nodata = None if nodata is None else float(nodata)
    except (TypeError, ValueError):
        raise InvalidParameter.of("profile", "gamma and nodata must be numbers") from None
    if not 0.1 <= wish.gamma <= 10:
        raise InvalidParameter.of("profile", "gamma must be 0.1 to 10")
    wish.resampling = config.get("resampling")
    if wish.resampling is not None and wish.resampling not in RESAMPLING:
        raise InvalidParameter.of("profile", f"resampling must be one of {', '.join(RESAMPLING)}")
    return wish


def _profile_rescale(raw: Any, outputs: int) -> tuple[ranges.Range, ...]:
    """`[low, high]` or `[[low, high], …]`. Raises: InvalidParameter."""
    try:
        pairs = raw if isinstance(raw[0], list | tuple) else [raw]
        checked = [(float(low), float(high)) for low, high in pairs]
    except (TypeError, ValueError, IndexError, KeyError):
        raise InvalidParameter.of("profile", "rescale must be [low, high], one a band") from None
    # a profile for more bands than are shown: its first ranges belong to the first bands
    return ranges.ranges(checked[:outputs] if len(checked) > outputs else checked, outputs)


def _palette(header: Header) -> np.ndarray:
    colors = np.zeros((256 if header.dtype.itemsize == 1 else 65536, 4), np.uint8)
    for value, color in (header.palette or {}).items():
        if 0 <= value < len(colors):
            colors[value] = color
    return colors
