"""What is drawn: profile and request parameters, checked against the raster's bands, once."""

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np

from raster import bands as band_roles
from raster.formula import Formula, FormulaError
from raster.formula import parse as parse_formula
from tiler import adjust
from tiler import rescale as ranges
from tiler.cache import known
from tiler.classes import Classes
from tiler.classes import parse as parse_classes
from tiler.colormaps import table
from tiler.datasets import Header
from tiler.errors import InvalidParameter
from tiler.profile import Wish, nodata_of, profile_rescale, resampling_of, wish_of
from tiler.source import AssetSource

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
        classes: a request's or a profile's own colours by value, for one output band.
        gamma: brightens above 1.
        adjustments: of the finished colours.

    Without `rescale`, values are not stretched: they are wanted themselves, or coloured by class.
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
    classes: Classes | None = None
    adjustments: tuple[adjust.Step, ...] = ()


class Look(TypedDict, total=False):
    """What a request may say of how a raster is drawn; all of it replaces the profile's.

    Attributes:
        bands: one or three, by number or name: `3,2,1`, `red,green,blue`, `B08`.
        expression: in the grammar of `raster.formula`, one or three blocks.
        rescale: as `tiler.rescale.parse`.
        colormap: a name of `tiler.colormaps`, or classes as `tiler.classes.parse`; for one band.
        color_formula: as `tiler.adjust.parse`.
        resampling: one of `tiler.profile.RESAMPLING`.
        nodata: a number, or `nan` for none but NaN.
    """

    bands: str | None
    expression: str | None
    rescale: str | None
    colormap: str | None
    color_formula: str | None
    resampling: str | None
    nodata: str | None


LOOK = ("bands", "expression", "rescale", "colormap", "color_formula", "resampling", "nodata")
"""The keys of `Look`."""

PAINTED = ("rescale", "colormap", "color_formula")
"""Those that make colours of values."""


class Purpose(Enum):
    """What the style is for: a picture of one band or three, or values of up to `MAX_BANDS`."""

    PICTURE = "picture"
    VALUES = "values"
    EVERY_VALUE = "every value"  # of all bands with data, whatever the profile shows


def style(
    source: AssetSource,
    header: Header,
    purpose: Purpose = Purpose.PICTURE,
    **look: Unpack[Look],
) -> Style:
    """The style of a request. Explicit bands or an expression replace those of the profile;
    the rest of a look replaces just that.

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
        purpose,
        _Wanted(*(look.get(name) or None for name in LOOK)),
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


class _Wanted(NamedTuple):
    """A look that can be hashed."""

    bands: str | None
    expression: str | None
    rescale: str | None
    colormap: str | None
    color_formula: str | None
    resampling: str | None
    nodata: str | None


def _style(
    header: Header,
    source_names: tuple[str, ...],
    metadata_json: str,
    source_nodata: float | None,
    is_categorical: bool,
    profile_json: str,
    purpose: Purpose,
    wanted: _Wanted,
) -> Style:
    names = names_of(source_names, header)
    alpha_bidx = band_roles.alpha_band(header.color_interpretation, names)
    wish = _wish(json.loads(profile_json) if profile_json else None, purpose, wanted)
    nodata = wish.nodata if wish.nodata is not None else source_nodata
    is_picture = purpose is Purpose.PICTURE

    # a profile that only says "the first band" leaves its colours as they are
    by_palette = (
        header.palette is not None
        and is_picture
        and not (wanted.bands or wish.expression or wish.rescale or wish.colormap)
        and not wanted.rescale
        and (not wish.bands or [band_index(b, names, header) for b in wish.bands] == [1])
    )
    formula = parse_expression(wish.expression, names, header) if wish.expression else None
    if formula and (single := plain_band(formula)):  # `b3` is band 3, drawn as a band is
        formula, wish.bands = None, [single]
    if formula:
        bidx = formula.bands
    elif by_palette:
        bidx = (1,)
    elif wish.bands:
        bidx = tuple(band_index(band, names, header) for band in wish.bands)
    elif is_picture:
        bidx = default_bands(header, names, alpha_bidx)
    else:
        bidx = tuple(i for i in range(1, header.count + 1) if i != alpha_bidx)[:MAX_BANDS] or (1,)
    outputs = len(formula.blocks) if formula else len(bidx)
    if outputs not in (1, 3) and is_picture:
        what = "expression" if formula else "bands"
        raise InvalidParameter.of(what, f"a picture has one band or three, not {outputs}")
    if max(outputs, len(bidx)) > MAX_BANDS:
        what = "expression" if formula else "bands"
        raise InvalidParameter.of(what, f"uses more than {MAX_BANDS} bands")

    if wanted.colormap and outputs != 1:
        raise InvalidParameter.of("colormap", "colours one band; choose one with bands=")
    colors, classes = _colors(wish.colormap) if outputs == 1 and is_picture else (None, None)
    chosen: tuple[ranges.Range, ...] = ()
    if wanted.rescale:
        chosen = ranges.parse(wanted.rescale, outputs)
    elif wish.rescale is not None and is_picture and not classes:
        chosen = profile_rescale(wish.rescale, outputs)
    elif by_palette:
        chosen = ((0.0, 255.0),)
    elif is_picture and not classes:
        metadata = json.loads(metadata_json) if metadata_json else ()
        chosen = default_ranges(header, bidx, formula, metadata, nodata, alpha_bidx)
    by_class = is_categorical or by_palette or (classes is not None and classes.single)
    return Style(
        bidx=bidx,
        formula=formula,
        rescale=chosen,
        colors=colors,
        palette=_palette(header) if by_palette else None,
        gamma=wish.gamma,
        resampling=wish.resampling or ("nearest" if by_class else "bilinear"),
        nodata=nodata,
        alpha_bidx=alpha_bidx,
        classes=classes,
        adjustments=adjust.parse(wish.color_formula) if wish.color_formula else (),
    )


def _wish(profile: Mapping[str, Any] | None, purpose: Purpose, wanted: _Wanted) -> Wish:
    """The profile's settings with the request's in their place. Raises: InvalidParameter."""
    if wanted.bands and wanted.expression:
        raise InvalidParameter.of("expression", "is not combined with bands: give one of them")
    wish = wish_of(profile) if profile else Wish()
    if wanted.bands or wanted.expression or purpose is Purpose.EVERY_VALUE:
        wish = Wish(nodata=wish.nodata, resampling=wish.resampling)
        wish.bands = [part.strip() for part in wanted.bands.split(",")] if wanted.bands else None
        wish.expression = wanted.expression
    wish.colormap = wanted.colormap or wish.colormap
    wish.color_formula = wanted.color_formula or wish.color_formula
    if wanted.resampling:
        wish.resampling = resampling_of(wanted.resampling, "resampling")
    if wanted.nodata:
        wish.nodata = nodata_of(wanted.nodata)
    return wish


def _colors(colormap: str | None) -> tuple[np.ndarray | None, Classes | None]:
    if not colormap:
        return None, None
    if colormap.lstrip()[:1] in ("{", "["):
        return None, parse_classes(colormap)
    return table(colormap), None


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


def _palette(header: Header) -> np.ndarray:
    colors = np.zeros((256 if header.dtype.itemsize == 1 else 65536, 4), np.uint8)
    for value, color in (header.palette or {}).items():
        if 0 <= value < len(colors):
            colors[value] = color
    return colors
