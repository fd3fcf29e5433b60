"""`clip`: the pixels of an item inside a polygon, on the item's own grid.

Never a resample: each output pixel is a source pixel. The output is the window of the polygon's
bounds within the raster. Outside the polygon the file says "no data" in the way the source already
does; where the source has no such way, floats get NaN and integers an internal mask, since any
number could be a measurement.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from rasterio.windows import Window

from processes import overlap
from processes.choose import file_name
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
from raster import cog, reader
from raster.errors import RasterError

_PIECE_BYTES = 8 * 1024**2  # three are held at a time, with their masks


class ClipInputs(BaseModel):
    """What to clip, and to what."""

    model_config = ConfigDict(extra="forbid")

    source_item_id: str = Field(
        min_length=1, max_length=200, title="Item", description="The item to clip."
    )
    aoi_geometry: Polygonal = Field(
        title="Area of interest", description="Polygon or MultiPolygon in EPSG:4326."
    )
    asset_keys: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        title="Assets",
        description="Which assets to clip; default all that are rasters.",
    )
    output_name: str | None = Field(
        default=None, min_length=1, max_length=200, title="Name of the new item"
    )


def sources(inputs: ClipInputs) -> tuple[SourceRef, ...]:
    """The one item, all its rasters or those named."""
    keys = tuple(dict.fromkeys(inputs.asset_keys)) if inputs.asset_keys else None
    return (SourceRef(inputs.source_item_id, keys),)


def check_sources(inputs: ClipInputs, sources: Mapping[str, Source]) -> None:
    """Whether each raster has pixels in the area. Raises: JobError("no_overlap")."""
    overlap.require(inputs.aoi_geometry, sources.values(), every=True)


@process(
    id="clip",
    title="Clip to an area",
    keywords=("clip", "crop", "mask", "area of interest"),
    category="extraction",
    inputs=ClipInputs,
    outputs={
        "data": OutputSpec(
            "Clipped rasters",
            "One cloud-optimized GeoTIFF for each asset, on the source grid.",
            RASTER_OUTPUT,
        )
    },
    sources=sources,
    unit="SQ_KM",
    price=Price("0.05", 1),
    quantity=lambda inputs, items: area_km2(inputs.aoi_geometry, items),
    check_sources=check_sources,
    sync_allowed=False,
)
def run(ctx: RunContext[ClipInputs]) -> list[Output]:
    """Cuts an item's rasters to a polygon. Pixels keep their grid and their values; those whose
    centre lies outside the polygon become no data. An area smaller than a pixel gives the pixels
    it touches."""
    outputs: list[Output] = []
    total = len(ctx.sources)
    if not total:
        raise JobError("scene_unreadable", "the item has no raster asset")
    for number, (key, source) in enumerate(ctx.sources.items()):

        def progress(fraction: float, stage: str, number: int = number, key: str = key) -> None:
            ctx.progress((number + fraction) / total, f"{stage} {key}")

        path = ctx.out_dir / file_name(key, number, "clip")
        properties = clip(source, ctx.inputs.aoi_geometry, path, progress=progress)
        outputs.append(
            Output(
                asset_key=key,
                path=path,
                name=ctx.inputs.output_name,
                band_names=tuple(properties.pop("band_names")),
                properties=properties,
            )
        )
    return outputs


def clip(
    source: Source,
    geometry: dict[str, Any],
    path: Path,
    *,
    level: int | None = None,
    progress: cog.Progress | None = None,
) -> dict[str, Any]:
    """Clip one raster into a COG at `path`; memory does not grow with the image.

    Args:
        geometry: GeoJSON Polygon or MultiPolygon, EPSG:4326.
        level: ZSTD level of the file; default that of `cog.Form`.

    Returns: `band_names`, and the properties that say how the clip was made.

    Raises: JobError("no_overlap"), RasterError.
    """
    temporary = path.with_suffix(".part.tif")
    try:
        with reader.open_guarded(source.path, threads=2) as dataset:
            made = reader.layout(dataset, band_names=source.band_names)
            area = reader.area(dataset, geometry)
            _write_windows(dataset, made, area, temporary, progress or _silent)
        categorical = bool(source.asset.get("is_categorical"))
        if progress:
            progress(0.6, "writing")
        cog.write_cog(temporary, path, level=level, categorical=categorical)
    except RasterError as error:
        if error.code == "no_overlap":
            raise JobError("no_overlap", "the area of interest lies outside the raster") from None
        raise
    finally:
        temporary.unlink(missing_ok=True)
    rule = "touched" if area.all_touched else "centre"
    return {"band_names": list(made.names), "opstac:clip_rule": f"pixel {rule}"}


def _silent(fraction: float, stage: str) -> None:
    """Progress that nobody asked for."""


def _write_windows(
    dataset: Any, made: reader.Layout, area: reader.Area, path: Path, progress: cog.Progress
) -> None:
    window = area.window
    bands = list(dataset.indexes)
    alpha = None if made.alpha is None else bands.index(made.alpha)
    described = cog.describe(dataset, made)
    nodata = dataset.nodata
    masked = alpha is None and (nodata is None or made.internal_mask)
    if masked and not made.internal_mask and np.dtype(dataset.dtypes[0]).kind == "f":
        nodata = described["nodata"] = float("nan")
        masked = False
    fill = 0 if nodata is None else nodata
    origin = reader.place(dataset.transform, window.col_off, window.row_off)
    transform = type(dataset.transform)(
        *(dataset.transform.a, dataset.transform.b, origin[0]),
        *(dataset.transform.d, dataset.transform.e, origin[1]),
    )
    size = {"width": int(window.width), "height": int(window.height), "transform": transform}
    pieces = list(reader.windows(dataset, window, limit=_PIECE_BYTES))

    def load(piece: Window) -> tuple[np.ma.MaskedArray, np.ndarray | None]:
        values = reader.read(dataset, bands, window=piece, layout=made)
        return values, reader.read_mask(dataset, made, piece) if masked else None

    with (
        cog.tiled_writer(path, masked=masked, **size, **described) as out,
        ThreadPoolExecutor(1, "clip") as ahead,
    ):
        # the next piece is read, by this one thread alone, while the last one is written
        coming = ahead.submit(load, pieces[0])
        for number, piece in enumerate(pieces):
            values, mask = coming.result()
            if number + 1 < len(pieces):
                coming = ahead.submit(load, pieces[number + 1])
            inside = area.inside(piece)
            data, valid = values.data, ~np.ma.getmaskarray(values)
            if mask is not None:
                mask &= inside
            if not inside.all():
                data[:, ~inside] = fill
                if alpha is not None:
                    data[alpha, ~inside] = 0
                valid &= inside
            there = reader.pixels(
                piece.col_off - window.col_off,
                piece.row_off - window.row_off,
                piece.width,
                piece.height,
            )
            out.write(data, there, valid=valid, mask=mask)
            progress(0.6 * (number + 1) / len(pieces), "clipping")
