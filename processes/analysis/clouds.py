"""What a cloud is: the classes and bits of quality bands that say a pixel does not count.

Sentinel-2 L2A says it by classes (SCL), Landsat Collection 2 by bits (QA_PIXEL). Jobs and analytics
share this definition. A quality band that is finer than the grid hides a pixel wherever one of its
own does; a coarser one goes by the nearest.

Sources: Sentinel-2 Products Specification Document, scene classification; USGS LSDS-1619, Landsat
8-9 Collection 2 Level 2 Science Product Guide, QA_PIXEL.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Protocol

import numpy as np
from pydantic import BaseModel, Field
from rasterio.io import DatasetReader
from rasterio.windows import Window

from processes import scene
from processes.analysis import align
from processes.analysis.params import BandRef
from processes.process import JobError, Source
from processes.scene import Band
from raster import bands
from raster.reader import Gridded, Layout

SCL = {
    0: "no data",
    1: "saturated or defective",
    2: "dark area",
    3: "cloud shadow",
    4: "vegetation",
    5: "bare soil",
    6: "water",
    7: "unclassified",
    8: "cloud, medium probability",
    9: "cloud, high probability",
    10: "thin cirrus",
    11: "snow or ice",
}
SCL_HIDDEN = (1, 3, 8, 9, 10)
"""Classes that do not count, beside 0, which is no data."""
QA_PIXEL = {
    0: "fill",
    1: "dilated cloud",
    2: "cirrus",
    3: "cloud",
    4: "cloud shadow",
    5: "snow",
    6: "clear",
    7: "water",
}
QA_PIXEL_HIDDEN = (1, 2, 3, 4)
"""Bits that do not count, beside 0, which is fill."""

CLEAR, HIDDEN, EMPTY = 0, 1, 2
_SCL_NAMES = ("scl", "sceneclassification", "sceneclassificationmap", "sceneclassificationlayer")
_QA_NAMES = ("qapixel",)


class Spec(Protocol):
    """Values and bits of a quality band; a pixel is hidden by any of them."""

    @property
    def exclude(self) -> Collection[int]:
        """Values that do not count."""
        ...

    @property
    def keep(self) -> Collection[int]:
        """Values that alone count; empty for all."""
        ...

    @property
    def bits(self) -> Collection[int]:
        """Bits of which none may be set."""
        ...


@dataclass(frozen=True)
class Rule:
    """What a quality band says by which numbers.

    Attributes:
        exclude, keep, bits: see `Spec`.
        empty, empty_bits: values and bits that say there is no pixel at all.
    """

    exclude: tuple[int, ...] = ()
    keep: tuple[int, ...] = ()
    bits: tuple[int, ...] = ()
    empty: tuple[int, ...] = ()
    empty_bits: tuple[int, ...] = ()

    def json(self) -> dict[str, list[int]]:
        """For a journey; `Rule.of` is the way back."""
        return {name: list(numbers) for name, numbers in asdict(self).items()}

    @classmethod
    def of(cls, said: Mapping[str, Sequence[int]]) -> "Rule":
        """The rule that `json` said."""
        return cls(**{name: tuple(numbers) for name, numbers in said.items()})

    def words(self) -> dict[str, list[int]]:
        """What it hides, for people."""
        every = {"classes": (*self.empty, *self.exclude), "bits": (*self.empty_bits, *self.bits)}
        return {name: sorted(set(numbers)) for name, numbers in every.items() if numbers}


def hidden(spec: Spec, values: np.ma.MaskedArray) -> np.ndarray:
    """True where numbers of a quality band say that the pixel does not count, or there is none."""
    masked = np.ma.getmaskarray(values).copy()
    whole = np.where(masked, 0, values.data).astype(np.int64)
    if spec.exclude:
        masked |= np.isin(whole, list(spec.exclude))
    if spec.keep:
        masked |= ~np.isin(whole, list(spec.keep))
    return masked | _any_bit(whole, spec.bits)


def _any_bit(whole: np.ndarray, chosen: Collection[int]) -> np.ndarray:
    return (whole & sum(1 << bit for bit in set(chosen))) != 0


def state(rule: Rule, values: np.ma.MaskedArray) -> np.ndarray:
    """uint8 of each pixel: CLEAR, HIDDEN, or EMPTY where the band has no value."""
    masked = np.ma.getmaskarray(values)
    whole = np.where(masked, 0, values.data).astype(np.int64)
    empty = masked | np.isin(whole, rule.empty) | _any_bit(whole, rule.empty_bits)
    made = np.where(hidden(rule, values), HIDDEN, CLEAR)
    return np.where(empty, EMPTY, made).astype(np.uint8)


def states_on(
    dataset: DatasetReader,
    layout: Layout,
    index: int,
    rule: Rule,
    *,
    onto: Gridded,
    window: Window,
) -> np.ndarray:
    """`state` of a quality band on a window of another grid; EMPTY beside the band."""
    found = _on(dataset, layout, index, lambda values: state(rule, values), onto, window)
    return found.filled(EMPTY).astype(np.uint8)


def hidden_on(
    dataset: DatasetReader,
    layout: Layout,
    index: int,
    spec: Spec,
    *,
    onto: Gridded,
    window: Window,
) -> np.ndarray:
    """`hidden` of a quality band on a window of another grid; True beside the band."""
    found = _on(dataset, layout, index, lambda values: hidden(spec, values), onto, window)
    return found.filled(1) > 0


def _on(
    dataset: DatasetReader, layout: Layout, index: int, judge: Any, onto: Gridded, window: Window
) -> np.ma.MaskedArray:
    finer = align.resampling_for(dataset, onto, categorical=True) == "mode"
    return align.read(
        dataset,
        layout,
        [index],
        onto=onto,
        window=window,
        resampling="max" if finer else "nearest",
        scaled=False,
        dtype="float64",  # holds 32 bits
        convert=lambda values: np.ma.MaskedArray(judge(values).astype(np.uint8)),
    )[0]


class CloudInputs(BaseModel):
    """Which pixels do not count."""

    mask_asset_key: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        default=None,
        description="Asset with the quality band; default one called SCL or QA_PIXEL.",
    )
    mask_band: BandRef | None = Field(
        default=None,
        description="Its band by number or name; default one called SCL or QA_PIXEL, else 1.",
    )
    mask_classes: list[Annotated[int, Field(ge=0, le=65_535)]] | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Values that do not count; default of SCL "
        + ", ".join(f"{n} ({SCL[n]})" for n in SCL_HIDDEN)
        + ". 0 of SCL is always no data.",
    )
    mask_bits: list[Annotated[int, Field(ge=0, le=31)]] | None = Field(
        default=None,
        min_length=1,
        max_length=32,
        description="Bits of which none may be set; default of QA_PIXEL "
        + ", ".join(f"{n} ({QA_PIXEL[n]})" for n in QA_PIXEL_HIDDEN)
        + ". Bit 0 of QA_PIXEL is always no data.",
    )


@dataclass(frozen=True)
class Quality:
    """A quality band and what it says."""

    band: Band
    rule: Rule


def find(inputs: CloudInputs, sources: Sequence[Source]) -> Quality | None:
    """The quality band of an item, None where it has none and none is named.

    Args:
        sources: the item's assets.

    Raises: JobError: band_missing, invalid_inputs.
    """
    key, wanted = inputs.mask_asset_key, inputs.mask_band
    if key is not None and all(source.asset_key != key for source in sources):
        known = ", ".join(source.asset_key for source in sources)
        raise JobError("band_missing", f"no asset {key!r} with a quality band; there are {known}")
    given = [source for source in sources if key is None or source.asset_key == key]
    for source in given:
        names = scene.names_of(source)
        for index, name in enumerate(names or [""], start=1):
            called = name if _kind(name) else source.asset_key if len(names) <= 1 else name
            if wanted is None and _kind(called):
                return Quality(Band(source, index), _rule(inputs, _kind(called), called))
    if wanted is None and key is None:
        if inputs.mask_classes or inputs.mask_bits:
            raise none_there()
        return None
    source = given[0]
    names = scene.names_of(source)
    count = source.asset.get("band_count") or len(names)
    if isinstance(wanted, str):
        index = bands.resolve(wanted, names)
        if index is None and (names or not source.path):
            there = ", ".join(name for name in names[:40] if name) or "without names"
            raise JobError("band_missing", f"no quality band {wanted!r}; its bands are: {there}")
        index = index or 0
    else:
        index = wanted or 1
    if not 1 <= index <= max(count, 1):
        raise JobError("band_missing", f"no band {wanted} in asset {source.asset_key!r}")
    name = names[index - 1] if index <= len(names) else ""
    called = name if _kind(name) else source.asset_key if count <= 1 else name
    return Quality(Band(source, index), _rule(inputs, _kind(called), called or source.asset_key))


def none_there() -> JobError:
    """No quality band."""
    return JobError(
        "band_missing", "no band called SCL or QA_PIXEL; name one by mask_asset_key and mask_band"
    )


def _kind(name: str) -> str:
    folded = bands.fold(name)
    return "scl" if folded in _SCL_NAMES else "qa_pixel" if folded in _QA_NAMES else ""


def _rule(inputs: CloudInputs, kind: str, called: str) -> Rule:
    classes, bits = tuple(inputs.mask_classes or ()), tuple(inputs.mask_bits or ())
    if not classes and not bits:
        if not kind:
            raise JobError(
                "invalid_inputs",
                f"{called!r} is called neither SCL nor QA_PIXEL: say mask_classes or mask_bits",
            )
        classes = SCL_HIDDEN if kind == "scl" else ()
        bits = QA_PIXEL_HIDDEN if kind == "qa_pixel" else ()
    return Rule(
        exclude=classes,
        bits=bits,
        empty=(0,) if kind == "scl" else (),
        empty_bits=(0,) if kind == "qa_pixel" else (),
    )


def spread(cloudy: np.ndarray, pixels: int) -> np.ndarray:
    """Where a hidden pixel is not farther than so many pixels, from middle to middle.

    Args:
        cloudy: bool, shape (rows, columns).
    """
    if not pixels or not cloudy.any():
        return cloudy
    import cv2

    away = cv2.distanceTransform((~cloudy).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return away <= pixels + 1e-3
