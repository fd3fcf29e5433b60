"""`pansharpen`: the colours of coarse bands with the detail of a fine panchromatic one."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from processes import blocks, choose, overlap, scene
from processes.analysis import align
from processes.analysis.params import BandRef
from processes.blocks import Block, Files, Grid
from processes.choose import AssetKey, ItemId, OneItem
from processes.geometry import area_km2
from processes.method import MethodError
from processes.process import (
    RASTER_OUTPUT,
    JobError,
    Output,
    OutputSpec,
    Price,
    RunContext,
    Source,
    SourceRef,
    process,
)
from processes.scene import Band, OpenBand

_KEPT = ("uint8", "int8", "uint16", "int16")  # what 32 bits of a fraction hold exactly
_SAME = 1.01  # ratio of resolutions that still counts as one
_COARSE = "the panchromatic band is the coarser one"


class PansharpenInputs(OneItem):
    """Which colours, and which detail."""

    asset_key: AssetKey | None = Field(
        default=None, description='Asset of the colours; default "data", else the first other one.'
    )
    bands: list[BandRef] = Field(
        default=[],
        max_length=100,
        description="Bands to sharpen, by number from 1, name or role; default all of the asset "
        "but the panchromatic one.",
    )
    pan_item_id: ItemId | None = Field(
        default=None, description="Item of the panchromatic band; default the same."
    )
    pan_asset_key: AssetKey | None = Field(
        default=None, description="Its asset; default the one that has the band."
    )
    pan_band: BandRef | None = Field(
        default=None,
        description="Default: the first band of `pan_asset_key`, else the band with the role pan.",
    )
    weights: list[Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="How much of each band is in the panchromatic one; default equal parts that "
        "sum to 1.",
    )
    resampling: Literal["nearest", "bilinear", "cubic", "cubic_spline", "lanczos"] = Field(
        default="cubic", description="How the colours are brought onto the fine grid."
    )

    @model_validator(mode="after")
    def _fits(self) -> "PansharpenInputs":
        if self.weights is not None:
            if self.bands and len(self.weights) != len(self.bands):
                raise PydanticCustomError("value_error", "weights: one for each of bands")
            if not sum(self.weights):
                raise PydanticCustomError("value_error", "weights: one at least must be above 0")
        return self

    def pan_item(self) -> str:
        """The item of the panchromatic band."""
        return self.pan_item_id or self.source_item_id


def sources(inputs: PansharpenInputs) -> tuple[SourceRef, ...]:
    """The item, and the one with the panchromatic band."""
    color, pan = inputs.asset_key, inputs.pan_asset_key
    if inputs.pan_item() == inputs.source_item_id:
        keys = tuple(dict.fromkeys((color, pan))) if color and pan else None
        return (SourceRef(inputs.source_item_id, keys),)
    return (
        SourceRef(inputs.source_item_id, (color,) if color else None),
        SourceRef(inputs.pan_item(), (pan,) if pan else None),
    )


def _find(inputs: PansharpenInputs, given: Sequence[Source]) -> tuple[Band, list[tuple[str, Band]]]:
    """The panchromatic band, and label and place of each that is sharpened. Raises: JobError."""
    pan = _pan(inputs, [s for s in given if s.item_id == inputs.pan_item()])
    key = inputs.asset_key
    own = [s for s in given if s.item_id == inputs.source_item_id and key in (None, s.asset_key)]
    # an asset that is nothing but the panchromatic band has no colours
    alone = [s for s in own if s is not pan.source or len(scene.names_of(s)) > 1]
    if not alone:
        raise JobError("band_missing", "there is no band beside the panchromatic one")
    first = alone[0]
    names = [band for band in inputs.bands if isinstance(band, str)]
    named = scene.find(names, alone)
    found = [
        (band, named[band]) if isinstance(band, str) else (f"b{band}", Band(first, band))
        for band in inputs.bands or range(1, len(scene.names_of(first)) + 1)
    ]
    if not inputs.bands:
        found = [(label, band) for label, band in found if band != pan]
    if inputs.weights is not None and len(inputs.weights) != len(found):
        raise JobError("invalid_inputs", f"weights: {len(inputs.weights)} for {len(found)} bands")
    return pan, found


def _pan(inputs: PansharpenInputs, given: Sequence[Source]) -> Band:
    key, band = inputs.pan_asset_key, inputs.pan_band
    own = [source for source in given if key in (None, source.asset_key)]
    if not own:
        raise JobError("band_missing", f"pan_asset_key: no raster asset {key!r}")
    if key is not None and band is None:
        return Band(own[0], 1)
    if isinstance(band, int):
        count = len(scene.names_of(own[0]))
        if band > count:
            raise JobError("band_missing", f"pan_band: no band {band}; the raster has {count}")
        return Band(own[0], band)
    name = band or "pan"
    return scene.find([name], own)[name]


def check_sources(inputs: PansharpenInputs, given: Mapping[str, Source]) -> None:
    """Whether the bands are there, as far as the platform names them. Raises: JobError."""
    overlap.require(inputs.geometry, given.values())
    if all(source.band_names for source in given.values()):
        pan, found = _find(inputs, list(given.values()))
        for _, band in (("", pan), *found):
            count = len(band.source.band_names or ())
            if band.index > count:
                raise JobError("band_missing", f"no band {band.index}; the raster has {count}")
        overlap.require_bands(inputs.geometry, [pan.source])
        for _, band in found:
            overlap.require_bands(None, [pan.source, band.source])
            grids = overlap.known([pan.source, band.source])
            with suppress(MethodError):  # the run says what is wrong with a grid
                if grids and align.gsd(grids[0]) > _SAME * align.gsd(grids[1]):
                    raise JobError("grid_mismatch", _COARSE)


@process(
    id="pansharpen",
    title="Pansharpen",
    keywords=("pansharpening", "panchromatic", "brovey", "resolution"),
    category="raster",
    inputs=PansharpenInputs,
    outputs={
        "data": OutputSpec(
            "Sharpened bands", "Cloud-optimized GeoTIFF on the panchromatic grid.", RASTER_OUTPUT
        )
    },
    sources=sources,
    unit="SQ_KM",
    price=Price("0.1", 1),
    quantity=lambda inputs, items: area_km2(inputs.geometry, items[-1:]),
    check_sources=check_sources,
)
def run(ctx: RunContext[PansharpenInputs]) -> list[Output]:
    """Gives bands the detail of a finer panchromatic one: each is multiplied by the ratio of that
    band to the weighted sum of them all (weighted Brovey, as gdal_pansharpen has it). Whole numbers
    of 8 and 16 bits stay what they are, rounded and kept within their range; bands with a scale or
    offset, and all others, become float32. A pixel has no data where one of the bands has none."""
    inputs = ctx.inputs
    keys = {id(source): key for key, source in ctx.sources.items()}
    pan, found = _find(inputs, list(ctx.sources.values()))
    with ExitStack() as stack:
        opened = scene.open_bands(
            stack, {"": pan, **{f"={n}": b for n, (_, b) in enumerate(found)}}
        )
        fine = opened.pop("").dataset
        for band in opened.values():
            if not align.overlaps(fine, band.dataset):
                raise JobError("no_overlap", "the bands do not lie in the same place")
            if align.gsd(fine) > _SAME * align.gsd(band.dataset):
                raise JobError("grid_mismatch", _COARSE)
        names = [
            label if not label.startswith("b") else _name(band) or label
            for (label, _), band in zip(found, opened.values(), strict=True)
        ]
        dtype, nodata = _form(list(opened.values()))
        with choose.refusals():
            grid = Grid.of(fine, inputs.geometry)
    weights = inputs.weights or [1 / len(found)] * len(found)
    path = ctx.out_dir / "pansharpened.tif"
    used = {keys[id(band.source)]: band.source for band in (pan, *(band for _, band in found))}
    valid = blocks.write(
        path,
        sharpen,
        grid,
        sources=used,
        params={
            "pan": [keys[id(pan.source)], pan.index],
            "bands": [[keys[id(band.source)], band.index] for _, band in found],
            "weights": weights,
            "resampling": inputs.resampling,
            "dtype": dtype,
            "nodata": None if dtype == "float32" else nodata,
        },
        dtype=dtype,
        nodata=nodata,
        band_names=names,
        pixel_bytes=24 * len(found) + 32,
        progress=ctx.progress,
    )
    if not valid:
        raise JobError("no_overlap", "no pixel is valid in all bands")
    said = {"method": "weighted Brovey", "weights": weights, "resampling": inputs.resampling}
    return [
        Output(
            asset_key="data",
            path=path,
            name=inputs.output_name,
            band_names=tuple(names),
            properties={f"opstac:{name}": value for name, value in said.items()},
        )
    ]


def _name(band: OpenBand) -> str:
    return band.layout.names[band.layout.data.index(band.index)]


def _form(bands: Sequence[OpenBand]) -> tuple[str, float | None]:
    """Number type and nodata of the output."""
    kinds = {band.dataset.dtypes[band.index - 1] for band in bands}
    scaled = any((band.scale, band.offset) != (1.0, 0.0) for band in bands)
    if scaled or len(kinds) > 1 or next(iter(kinds)) not in _KEPT:
        return "float32", float("nan")
    first = bands[0]
    return kinds.pop(), first.layout.nodata[first.layout.data.index(first.index)]


def sharpen(block: Block, files: Files, params: Mapping[str, Any]) -> np.ma.MaskedArray:
    """One block: band * pan / sum(weight * band), (bands, rows, columns)."""
    key, index = params["pan"]
    pan = files.read(key, block, [index])[0]
    hidden = np.ma.getmaskarray(pan).copy()
    colors = np.empty((len(params["bands"]), *block.shape), np.float64)
    for key in dict.fromkeys(key for key, _ in params["bands"]):
        places = [n for n, band in enumerate(params["bands"]) if band[0] == key]
        indexes = [params["bands"][n][1] for n in places]
        read = files.read(key, block, indexes, resampling=params["resampling"])
        hidden |= np.ma.getmaskarray(read).any(axis=0)
        colors[places] = read.data
    # band by band: a product of matrices sums as the processor at hand does it quickest, and where
    # a value lies between two numbers its last bit says which is stored
    whole = np.zeros(block.shape)
    for weight, color in zip(params["weights"], colors, strict=True):
        whole += weight * color
    ratio = np.divide(pan.data, whole, out=np.zeros_like(whole), where=whole != 0)
    colors *= ratio
    kind = np.dtype(params["dtype"])
    if kind.kind in "iu":
        low, high = np.iinfo(kind).min, np.iinfo(kind).max
        np.clip(np.floor(colors + 0.5, out=colors), low, high, out=colors)
        nodata = params["nodata"]
        if nodata is not None:
            # what is measured must not look like nothing
            colors[colors == nodata] = nodata + 1 if nodata < high else nodata - 1
    else:
        hidden |= ~np.isfinite(colors).all(axis=0)
    made = np.where(hidden, 0, colors).astype(kind)
    return np.ma.MaskedArray(made, mask=np.broadcast_to(hidden, made.shape))
