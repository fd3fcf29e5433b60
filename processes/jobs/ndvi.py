"""`ndvi`: normalized difference vegetation index of an item, as data or as a picture."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from rasterio.enums import ColorInterp

from processes import colormaps
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
    process,
)
from raster import bands, cog, reader
from raster.errors import RasterError


class NdviInputs(BaseModel):
    """Which item, which of its bands, and what to make."""

    model_config = ConfigDict(extra="forbid")

    source_item_id: str = Field(min_length=1, max_length=200, title="Item")
    asset_key: str | None = Field(
        default=None,
        max_length=200,
        title="Asset",
        description="Default: the asset that has a red and a near infrared band, else one of each.",
    )
    band_mapping: dict[str, int] | None = Field(
        default=None,
        title="Bands",
        description='1-based, e.g. {"RED": 3, "NIR": 4}; default by band names.',
    )
    geometry: Polygonal | None = Field(
        default=None, title="Area of interest", description="Default: the whole item."
    )
    colormap: Literal["none", "rdylgn", "viridis", "greens"] = Field(
        default="none",
        title="Colours",
        description="none gives the index as float32, a name a picture (RGBA, -1 to 1).",
    )
    output_name: str | None = Field(default=None, min_length=1, max_length=200)


@dataclass(frozen=True)
class _Band:
    source: Source
    index: int


def sources(inputs: NdviInputs) -> tuple[SourceRef, ...]:
    """The one item."""
    keys = (inputs.asset_key,) if inputs.asset_key else None
    return (SourceRef(inputs.source_item_id, keys),)


def check_sources(inputs: NdviInputs, sources: Mapping[str, Source]) -> None:
    """Whether there is a red and a near infrared band, as far as the platform names them.

    Raises: JobError.
    """
    if all(source.band_names for source in sources.values()):
        for role in ("red", "nir"):
            _find(inputs, sources, role)


@process(
    id="ndvi",
    title="Vegetation index (NDVI)",
    keywords=("ndvi", "vegetation", "index"),
    category="index",
    inputs=NdviInputs,
    outputs={
        "data": OutputSpec(
            "NDVI", "Cloud-optimized GeoTIFF: float32 in [-1, 1], or RGBA.", RASTER_OUTPUT
        )
    },
    sources=sources,
    unit="SQ_KM",
    price=Price("0.05", 1),
    quantity=lambda inputs, items: area_km2(inputs.geometry, items),
    check_sources=check_sources,
)
def run(ctx: RunContext[NdviInputs]) -> list[Output]:
    """(nir - red) / (nir + red) of an item, scale and offset applied first, clipped to [-1, 1].
    Where a band is invalid or the sum is zero there is no data. With a colour ramp: a picture of
    it."""
    red = _find(ctx.inputs, ctx.sources, "red")
    nir = _find(ctx.inputs, ctx.sources, "nir")
    path = ctx.out_dir / "ndvi_output.tif"
    temporary = path.with_suffix(".part.tif")
    try:
        with ExitStack() as stack:
            opened = [_open(stack, band) for band in (red, nir)]
            _same_grid(opened)
            _write(ctx, opened, [red, nir], temporary)
        cog.write_cog(temporary, path)
    except RasterError as error:
        if error.code == "no_overlap":
            raise JobError("no_overlap", "the area of interest lies outside the raster") from None
        raise
    finally:
        temporary.unlink(missing_ok=True)
    ctx.progress(1.0, "done")
    names = ("ndvi",) if ctx.inputs.colormap == "none" else ("red", "green", "blue", "alpha")
    return [
        Output(
            asset_key="data",
            path=path,
            name=ctx.inputs.output_name,
            band_names=names,
            properties={"opstac:index": "NDVI", "opstac:colormap": ctx.inputs.colormap},
        )
    ]


def ndvi(red: np.ma.MaskedArray, nir: np.ma.MaskedArray) -> np.ndarray:
    """(nir - red) / (nir + red), clipped to [-1, 1].

    Args:
        red, nir: float32 on one grid, scale and offset applied.

    Returns: float32, NaN where an input is masked or the sum is zero.

    Source: Rouse et al., NASA SP-351 (1974).
    """
    invalid = np.ma.getmaskarray(red) | np.ma.getmaskarray(nir)
    total = nir.data + red.data
    invalid |= total == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (nir.data - red.data) / total
    np.clip(value, -1, 1, out=value)
    value[invalid | ~np.isfinite(value)] = np.nan
    return value


def _find(inputs: NdviInputs, sources: Mapping[str, Source], role: str) -> _Band:
    """The band of this role: in an asset that has both, else in the first that has it."""
    mapping = inputs.band_mapping
    found: list[tuple[bool, Source, int]] = []
    for source in sources.values():
        names = _names(source)
        index = bands.resolve(role, names, mapping)
        if index is None and len(sources) > 1 and bands.role(source.asset_key) is not None:
            # one file a band: the asset's key is the band's name
            index = 1 if bands.resolve(role, [source.asset_key]) else None
        if index is not None and 1 <= index <= max(len(names), 1):
            both = all(bands.resolve(r, names, mapping) for r in ("red", "nir"))
            found.append((both, source, index))
    if not found:
        seen = sorted({n for s in sources.values() for n in _names(s) if n})
        raise JobError("band_missing", f"no {role} band; the item's bands are: {', '.join(seen)}")
    _, source, index = max(found, key=lambda entry: entry[0])
    return _Band(source, index)


def _names(source: Source) -> list[str]:
    """Band names of the platform, else of the file."""
    if source.band_names:
        return source.band_names
    with reader.open_guarded(source.path) as dataset:
        return [description or "" for description in dataset.descriptions]


def _open(stack: ExitStack, band: _Band) -> tuple[Any, reader.Layout]:
    dataset = stack.enter_context(reader.open_guarded(band.source.path, threads=2))
    metadata = band.source.asset.get("bands") or band.source.asset.get("raster:bands")
    made = reader.layout(dataset, band_names=band.source.band_names, metadata=metadata)
    if band.index not in made.data:
        raise JobError("band_missing", f"the raster has no band {band.index}")
    return dataset, made


def _same_grid(opened: list[tuple[Any, reader.Layout]]) -> None:
    (first, _), (second, _) = opened
    same = first.crs == second.crs and first.shape == second.shape
    if not same or not first.transform.almost_equals(second.transform, 1e-6):
        raise JobError("grid_mismatch", "the red and the near infrared band have different grids")


def _write(
    ctx: RunContext[NdviInputs],
    opened: list[tuple[Any, reader.Layout]],
    chosen: list[_Band],
    path: Any,
) -> None:
    first = opened[0][0]
    area = reader.area(first, ctx.inputs.geometry) if ctx.inputs.geometry else None
    whole = reader.pixels(0, 0, first.width, first.height)
    window = area.window if area else whole
    x, y = reader.place(first.transform, window.col_off, window.row_off)
    t = first.transform
    colors = None if ctx.inputs.colormap == "none" else colormaps.ramp(ctx.inputs.colormap)
    rgba = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    pieces = list(reader.windows(first, window))
    with cog.tiled_writer(
        path,
        width=int(window.width),
        height=int(window.height),
        crs=first.crs,
        transform=type(t)(t.a, t.b, x, t.d, t.e, y),
        count=1 if colors is None else 4,
        dtype="float32" if colors is None else "uint8",
        nodata=float("nan") if colors is None else None,
        band_names=["ndvi"] if colors is None else [c.name for c in rgba],
        color_interpretation=(ColorInterp.gray,) if colors is None else rgba,
    ) as out:
        for number, piece in enumerate(pieces):
            red, nir = _read_pair(opened, chosen, piece)
            value = ndvi(red, nir)
            if area is not None:
                value[~area.inside(piece)] = np.nan
            there = reader.pixels(
                piece.col_off - window.col_off,
                piece.row_off - window.row_off,
                piece.width,
                piece.height,
            )
            if colors is None:
                out.write(value[np.newaxis], there)
            else:
                picture, visible = paint(value, colors)
                out.write(picture, there, valid=visible)
            ctx.progress(0.7 * (number + 1) / len(pieces), "computing")


def _read_pair(
    opened: list[tuple[Any, reader.Layout]], chosen: list[_Band], window: reader.Window
) -> tuple[np.ma.MaskedArray, np.ma.MaskedArray]:
    indexes = [band.index for band in chosen]
    if chosen[0].source.path == chosen[1].source.path:
        # one read: the bands of a pixel share a compressed block
        dataset, made = opened[0]
        pair = reader.read(dataset, indexes, window=window, layout=made, scaled=True)
        return pair[0], pair[1]
    red, nir = (
        reader.read(dataset, [index], window=window, layout=made, scaled=True)[0]
        for (dataset, made), index in zip(opened, indexes, strict=True)
    )
    return red, nir


def paint(value: np.ndarray, colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """NDVI as colours: uint8 RGBA, shape (4, rows, columns), and where each band counts."""
    seen = np.isfinite(value)
    scaled = np.where(seen, (value + 1) * np.float32(127.5), 0).round().astype(np.uint8)
    picture = np.zeros((4, *value.shape), np.uint8)
    picture[:3] = np.moveaxis(colors[scaled], -1, 0)
    picture[:3, ~seen] = 0
    picture[3] = np.where(seen, 255, 0)
    visible = np.broadcast_to(seen, picture.shape).copy()
    visible[3] = True
    return picture, visible
