"""`change_detection`: what became of the ground between two dates, as a map of classes.

The rules are those of `classes`; reflectance is compared, so the stored numbers are scaled first.
The later item is brought onto the grid of the earlier one by bilinear interpolation.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from rasterio.enums import ColorInterp

from processes import overlap, scene
from processes.analysis import align
from processes.blocks import Block, Files, Grid, write
from processes.choose import BandMapping, ItemId
from processes.geometry import Polygonal, area_km2
from processes.process import (
    RASTER_OUTPUT,
    JobError,
    Output,
    OutputSpec,
    Price,
    RunContext,
    Source,
    SourceRef,
    described,
    process,
)
from processes.scene import OpenBand
from raster import bands
from raster.errors import RasterError

NODATA = 255
CLASSES = {
    0: ("no change", "e0e0e0"),
    1: ("vegetation gain", "1a9850"),
    2: ("vegetation loss", "e08214"),
    3: ("built-up gain", "b2182b"),
    4: ("water change", "2166ac"),
}
"""Code → name and colour."""
_HAIR = 1e-9  # 0.4 - 0.3 is no less than 0.1

BandName = Annotated[str, Field(min_length=1, max_length=100)]


class ChangeInputs(BaseModel):
    """Two items of one place, and what counts as a change."""

    model_config = ConfigDict(extra="forbid")

    before_item_id: ItemId | None = Field(default=None, title="Earlier item")
    after_item_id: ItemId | None = Field(default=None, title="Later item")
    source_item_ids: list[ItemId] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        title="Both items",
        description="The earlier and the later item, in this order; instead of the two above.",
    )
    threshold: float = Field(
        default=0.1,
        ge=0,
        le=1,
        allow_inf_nan=False,
        title="Threshold",
        description="Smallest difference of reflectance or index that is a change.",
    )
    bands: list[BandName] = Field(
        default=["red", "nir"],
        min_length=1,
        max_length=20,
        title="Bands",
        description="Bands that are compared, by role or name. red and nir are always read; swir16 "
        "sharpens built-up gain, green sharpens water.",
    )
    asset_key: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        title="Asset",
        description="Of both items; default: the assets that have the bands.",
    )
    band_mapping: BandMapping | None = Field(
        default=None,
        title="Band numbers",
        description='1-based, of both items, e.g. {"RED": 3, "NIR": 4}; default by band names.',
    )
    geometry: Polygonal | None = Field(
        default=None, title="Area of interest", description="Default: the whole earlier item."
    )
    output_name: str | None = Field(default=None, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _two_items(self) -> "ChangeInputs":
        missing = [n for n in ("before_item_id", "after_item_id") if getattr(self, n) is None]
        if self.source_item_ids is None and missing:
            raise PydanticCustomError(
                "missing", "{field} is required, or source_item_ids", {"field": missing[0]}
            )
        if self.source_item_ids is not None and len(missing) < 2:
            raise PydanticCustomError(
                "value_error", "name before_item_id and after_item_id, or source_item_ids, not both"
            )
        return self

    def pair(self) -> tuple[str, str]:
        """(before, after)."""
        if self.source_item_ids is not None:
            return self.source_item_ids[0], self.source_item_ids[1]
        return str(self.before_item_id), str(self.after_item_id)

    def wanted(self) -> tuple[str, ...]:
        """Every band that is read, each once: `red` and `nir`, then the others that are named."""
        named: dict[str, None] = {"red": None, "nir": None}
        for name in self.bands:
            named.setdefault(_called(name))
        return tuple(named)


def _called(name: str) -> str:
    """A role, whatever its spelling; any other name as it is."""
    return bands.role(name) or name


def sources(inputs: ChangeInputs) -> tuple[SourceRef, ...]:
    """The two items; one where both are the same."""
    keys = (inputs.asset_key,) if inputs.asset_key else None
    return tuple(SourceRef(item_id, keys) for item_id in dict.fromkeys(inputs.pair()))


def check_sources(inputs: ChangeInputs, sources: Mapping[str, Source]) -> None:
    """Whether both items have the bands, as far as the platform names them. Raises: JobError."""
    overlap.require(inputs.geometry, sources.values())
    red: dict[str, Source] = {}
    for item_id in dict.fromkeys(inputs.pair()):
        own = scene.of_item(sources, item_id)
        if all(source.band_names for source in own):
            found = scene.find(inputs.wanted(), own, inputs.band_mapping)
            red[item_id] = found["red"].source
    before, after = inputs.pair()
    if before in red and after in red:
        overlap.require_pair(inputs.geometry, red[before], red[after])


@process(
    id="change_detection",
    title="Change map",
    keywords=("change", "change detection", "classification", "vegetation", "water", "built-up"),
    category="classification",
    inputs=ChangeInputs,
    outputs={
        "data": OutputSpec(
            "Change classes",
            "Cloud-optimized GeoTIFF, uint8: "
            + ", ".join(f"{code} {name}" for code, (name, _) in CLASSES.items())
            + f", {NODATA} no data.",
            RASTER_OUTPUT,
        )
    },
    sources=sources,
    unit="SQ_KM",
    price=Price("0.1", 1),
    quantity=lambda inputs, items: area_km2(inputs.geometry, items[:1]),
    check_sources=check_sources,
)
def run(ctx: RunContext[ChangeInputs]) -> list[Output]:
    """Compares two items of one place and gives each pixel a class: no change, vegetation gain,
    vegetation loss, built-up gain or water change. Reflectance is scale and offset of the band;
    whole numbers without them are divided by 10,000, bytes by 255. The later item is brought onto
    the grid of the earlier one (bilinear); pixels that are not valid on both dates have no data."""
    path = ctx.out_dir / "change_detection_output.tif"
    wanted = ctx.inputs.wanted()
    keys = {id(source): key for key, source in ctx.sources.items()}
    counts = np.zeros(256, np.int64)

    def count(values: np.ndarray, valid: np.ndarray) -> None:
        nonlocal counts
        counts += np.bincount(values[valid], minlength=256)

    found = [
        scene.find(wanted, scene.of_item(ctx.sources, item_id), ctx.inputs.band_mapping)
        for item_id in ctx.inputs.pair()
    ]
    with ExitStack() as stack:
        before, after = (scene.open_bands(stack, bands, reflectance=True) for bands in found)
        grid = _grid(ctx.inputs, before["red"].dataset, after["red"].dataset)
        tags = _tags(ctx.inputs, before, after)
        dates = [
            [
                {
                    "name": name,
                    "key": keys[id(bands[name].source)],
                    "index": band.index,
                    "scale": band.scale,
                    "offset": band.offset,
                }
                for name, band in opened.items()
            ]
            for bands, opened in zip(found, (before, after), strict=True)
        ]
    write(
        path,
        compared,
        grid,
        sources=ctx.sources,
        params={
            "dates": dates,
            "chosen": list(dict.fromkeys(_called(name) for name in ctx.inputs.bands)),
            "threshold": ctx.inputs.threshold,
        },
        dtype="uint8",
        nodata=NODATA,
        band_names=["change"],
        colors=(ColorInterp.palette,),
        colormap=colors(),
        categorical=True,
        tags=tags,
        pixel_bytes=40 * len(wanted) + 80,
        each=count,
        progress=ctx.progress,
    )
    if not counts[:NODATA].any():
        path.unlink(missing_ok=True)
        raise JobError("no_overlap", "no pixel is valid on both dates")
    return [
        Output(
            asset_key="data",
            path=path,
            name=ctx.inputs.output_name,
            band_names=("change",),
            categorical=True,
            classes=described(CLASSES),
            properties={
                "change:before": ctx.inputs.pair()[0],
                "change:after": ctx.inputs.pair()[1],
                "change:threshold": ctx.inputs.threshold,
                "change:bands": list(ctx.inputs.bands),
                "change:pixels": {name: int(counts[code]) for code, (name, _) in CLASSES.items()},
            },
        )
    ]


def classes(
    before: Mapping[str, np.ndarray],
    after: Mapping[str, np.ndarray],
    chosen: Sequence[str],
    threshold: float,
) -> np.ndarray:
    """The class of each pixel.

    d is the largest |after - before| over the chosen bands and NDVI. Where d < threshold: 0.
    Else the first that holds:

    4. water on exactly one of the dates: nir < 0.1, and NDVI < 0 or, with green, NDWI > 0;
    1. NDVI rose by at least the threshold;
    3. NDVI after is below 0.2, and NDBI (with swir16), else (red + nir) / 2, rose by it;
    2. NDVI fell by it;
    0. none.

    Args:
        before, after: band → reflectance, float64; `red` and `nir` among them.
        chosen: keys of the bands compared.

    Returns: uint8; 255 where NDVI or another ratio that is needed is not defined.

    Source: NDVI, Rouse et al. (1974); NDWI, McFeeters (1996); NDBI, Zha et al. (2003).
    """
    cut = threshold - _HAIR
    ndvi_before, ndvi_after = (_ratio(d["nir"], d["red"]) for d in (before, after))
    rise = ndvi_after - ndvi_before
    change = np.abs(rise)
    for name in chosen:
        change = np.maximum(change, np.abs(after[name] - before[name]))
    wet = [
        (d["nir"] < 0.1) & (_ratio(d["green"], d["nir"]) > 0 if "green" in chosen else ndvi < 0)
        for d, ndvi in ((before, ndvi_before), (after, ndvi_after))
    ]
    bright_before, bright_after = (
        _ratio(d["swir16"], d["nir"]) if "swir16" in chosen else (d["red"] + d["nir"]) / 2
        for d in (before, after)
    )
    built = (ndvi_after < 0.2) & (bright_after - bright_before >= cut)
    made = np.select(
        [change < cut, wet[0] != wet[1], rise >= cut, built, rise <= -cut],
        [np.uint8(0), np.uint8(4), np.uint8(1), np.uint8(3), np.uint8(2)],
        default=np.uint8(0),
    )
    undefined = ~np.isfinite(change) | ~np.isfinite(bright_before) | ~np.isfinite(bright_after)
    if "green" in chosen:
        for d in (before, after):
            undefined |= (d["green"] + d["nir"]) == 0
    made[undefined] = NODATA
    return made.astype(np.uint8, copy=False)


def _ratio(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(one - other) / (one + other), within [-1, 1]; NaN where the sum is zero."""
    total = one + other
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.where(total == 0, np.nan, (one - other) / total)
    return np.clip(value, -1, 1)


def _grid(inputs: ChangeInputs, before: Any, after: Any) -> Grid:
    """The earlier item's grid within the area. Raises: JobError, RasterError."""
    if not align.overlaps(before, after):
        raise JobError("no_overlap", "the two items do not overlap")
    try:
        return Grid.of(before, inputs.geometry)
    except RasterError as error:
        if error.code == "no_overlap":
            raise JobError("no_overlap", "the area of interest lies outside the item") from None
        raise


def compared(block: Block, files: Files, params: Mapping[str, Any]) -> np.ma.MaskedArray:
    """The block function: the class of each pixel, masked where a band has no value."""
    one, two = (_reflectance(bands, block, files) for bands in params["dates"])
    made = classes(
        {name: values.data for name, values in one.items()},
        {name: values.data for name, values in two.items()},
        params["chosen"],
        params["threshold"],
    )
    hidden = made == NODATA
    for values in (*one.values(), *two.values()):
        hidden |= np.ma.getmaskarray(values)
    return np.ma.MaskedArray(made, mask=hidden)


def _reflectance(
    wanted: Sequence[Mapping[str, Any]], block: Block, files: Files
) -> dict[str, np.ma.MaskedArray]:
    """Bands on a block, float64, scale and offset applied."""
    made: dict[str, np.ma.MaskedArray] = {}
    by_file: dict[str, list[Mapping[str, Any]]] = {}
    for band in wanted:
        by_file.setdefault(band["key"], []).append(band)
    for key, members in by_file.items():
        # one read a file: the bands of a pixel share a compressed block
        indexes = [band["index"] for band in members]
        values = files.read(key, block, indexes, resampling="bilinear", scaled=False)
        for row, band in enumerate(members):
            made[band["name"]] = np.ma.MaskedArray(
                values.data[row].astype(np.float64) * band["scale"] + band["offset"],
                mask=np.ma.getmaskarray(values)[row],
            )
    return made


def colors() -> dict[int, tuple[int, int, int, int]]:
    """The colour table."""
    table = {NODATA: (0, 0, 0, 0)}
    for code, (_, color) in CLASSES.items():
        red, green, blue = bytes.fromhex(color)
        table[code] = (red, green, blue, 255)
    return table


def _tags(
    inputs: ChangeInputs, before: Mapping[str, OpenBand], after: Mapping[str, OpenBand]
) -> dict[str, str]:
    """What the file says of itself."""

    def how(found: Mapping[str, OpenBand]) -> str:
        assumed = {name: round(1 / band.scale) for name, band in found.items() if band.assumed}
        if not assumed:
            return "scale and offset of the bands"
        return f"stored integers / {next(iter(assumed.values()))} ({', '.join(assumed)})"

    return {
        "THRESHOLD": repr(inputs.threshold),
        "BANDS": ",".join(inputs.bands),
        "REFLECTANCE_BEFORE": how(before),
        "REFLECTANCE_AFTER": how(after),
        "RESAMPLING": "bilinear",
        **{f"CLASS_{code}": name for code, (name, _) in CLASSES.items()},
    }
