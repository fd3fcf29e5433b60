"""`classify`: pixels of like values as classes that k-means finds by itself."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from processes import blocks, choose, overlap, scene
from processes.analysis import align
from processes.analysis.params import BandRef
from processes.blocks import Block, Files, Grid
from processes.choose import BandMapping, OneItem
from processes.colormaps import ramp
from processes.geometry import area_km2
from processes.grid import carried, inside
from processes.process import (
    JSON_MEDIA_TYPE,
    RASTER_OUTPUT,
    JobError,
    Output,
    OutputSpec,
    Price,
    RunContext,
    Source,
    described,
    file_output,
    process,
)
from processes.scene import Band

NODATA = 255
STARTS = 4
"""k-means begins so many times, and the best end counts."""


class ClassifyInputs(OneItem):
    """Which bands, and how many classes."""

    bands: list[BandRef] = Field(
        default=[],
        max_length=100,
        description="By number from 1, name or role; default all bands of the asset.",
    )
    band_mapping: BandMapping | None = Field(
        default=None, description='1-based, e.g. {"RED": 3, "NIR": 4}; default by band names.'
    )
    classes: int = Field(default=8, ge=2, le=100, description="How many classes.")
    sample: int = Field(
        default=100_000,
        ge=1_000,
        le=1_000_000,
        description="Pixels, chosen at random, that the classes are found from.",
    )
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="Of everything that is random.")
    standardize: bool = Field(
        default=True,
        description="Measure each band by its standard deviation, so that none outweighs the "
        "others by its unit.",
    )


@dataclass(frozen=True)
class Model:
    """Centres of classes, darkest first.

    Attributes:
        centers: shape (classes, bands), in the unit of the bands.
        scale: of each band, what a distance in it is divided by.
        inertia: sum of the squared distances of the sample to its centres.
    """

    centers: np.ndarray
    scale: np.ndarray
    inertia: float
    iterations: int


def _find(inputs: ClassifyInputs, given: Mapping[str, Source]) -> dict[str, Band]:
    """Label → band. Raises: JobError("band_missing")."""
    first = choose.first(given)
    wanted: Sequence[int | str] = inputs.bands
    if not wanted:
        count = first.asset.get("band_count") or len(scene.names_of(first))
        wanted = range(1, count + 1)
    names = [band for band in wanted if isinstance(band, str)]
    named = scene.find(names, [first, *given.values()], inputs.band_mapping)
    found: dict[str, Band] = {}
    for band in wanted:
        label = band if isinstance(band, str) else f"b{band}"
        found[label] = named[band] if isinstance(band, str) else Band(first, band)
    return found


def check_sources(inputs: ClassifyInputs, given: Mapping[str, Source]) -> None:
    """Whether the bands are there, as far as the platform knows. Raises: JobError."""
    overlap.require(inputs.geometry, given.values())
    first = choose.first(given)
    count = first.asset.get("band_count")
    for band in inputs.bands:
        if isinstance(band, int) and isinstance(count, int) and band > count:
            raise JobError("band_missing", f"no band {band}; the raster has {count}")
    if all(source.band_names for source in given.values()):
        found = _find(inputs, given)
        overlap.require_bands(inputs.geometry, [band.source for band in found.values()])


@process(
    id="classify",
    title="Unsupervised classification",
    keywords=("classification", "unsupervised", "k-means", "clustering", "land cover"),
    category="classification",
    inputs=ClassifyInputs,
    outputs={
        "data": OutputSpec(
            "Classes",
            f"Cloud-optimized GeoTIFF: uint8, 0 the darkest class, {NODATA} no data.",
            RASTER_OUTPUT,
        ),
        "model": OutputSpec(
            "Model", "JSON: the classes' centres, and how they were found.",
            file_output(JSON_MEDIA_TYPE),
        ),
    },
    sources=choose.one_item,
    unit="SQ_KM",
    price=Price("0.1", 1),
    quantity=lambda inputs, items: area_km2(inputs.geometry, items),
    check_sources=check_sources,
)  # fmt: skip
def run(ctx: RunContext[ClassifyInputs]) -> list[Output]:
    """Divides pixels into classes of like values by k-means (Lloyd 1982, begun as k-means++ does,
    by scikit-learn) of a random sample, then gives every pixel the class of the nearest centre.
    Classes are numbered by the mean of their centre's bands, the darkest is 0. The same inputs and
    seed give the same classes. A pixel counts where all bands are valid. The centres are kept as
    JSON beside the raster."""
    inputs = ctx.inputs
    found = _find(inputs, ctx.sources)
    keys = {id(source): key for key, source in ctx.sources.items()}
    with ExitStack() as stack:
        opened = scene.open_bands(stack, found)
        grid = next(iter(opened.values())).dataset
        for band in opened.values():
            if not align.overlaps(grid, band.dataset):
                raise JobError("no_overlap", "the bands do not lie in the same place")
            if not align.same_grid(grid, band.dataset):
                grid = align.coarser(grid, band.dataset)
        names = [band.layout.names[band.layout.data.index(band.index)] for band in opened.values()]
        with choose.refusals():
            target = Grid.of(grid, inputs.geometry)
    used = [(keys[id(band.source)], band.index) for band in found.values()]
    sources = {key: ctx.sources[key] for key, _ in used}
    pixels = _sampled(ctx, target, sources, used)
    ctx.progress(0.4, "finding classes")
    model = fit(pixels, inputs.classes, seed=inputs.seed, standardize=inputs.standardize)
    path = ctx.out_dir / "classes.tif"
    blocks.write(
        path,
        assign,
        target,
        sources=sources,
        params={
            "bands": used, "centers": model.centers.tolist(), "scale": model.scale.tolist(),
        },
        dtype="uint8",
        nodata=NODATA,
        band_names=["class"],
        categorical=True,
        pixel_bytes=_pixel_bytes(used),
        progress=lambda fraction, stage: ctx.progress(0.4 + 0.6 * fraction, stage),
    )  # fmt: skip
    said = {
        "method": "k-means",
        "seed": inputs.seed,
        "sampled_pixels": len(pixels),
        "inertia": model.inertia,
        "iterations": model.iterations,
    }
    document = {
        "type": "opstac-kmeans",
        "version": 1,
        **said,
        "bands": [
            {"asset": source_key, "band": index, "name": name or f"b{index}"}
            for (source_key, index), name in zip(used, names, strict=True)
        ],
        "scale": model.scale.tolist(),
        "centers": model.centers.tolist(),
    }
    kept = ctx.out_dir / "model.json"
    kept.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    shades = ramp("viridis")[np.linspace(0, 255, inputs.classes).round().astype(int)]
    return [
        Output(
            asset_key="data",
            path=path,
            name=inputs.output_name,
            band_names=("class",),
            categorical=True,
            classes=described(
                {n: (f"class {n}", bytes(shade).hex()) for n, shade in enumerate(shades)}
            ),
            properties={f"opstac:{name}": value for name, value in said.items()},
        ),
        Output(
            asset_key="model",
            path=kept,
            name=inputs.output_name,
            media_type=JSON_MEDIA_TYPE,
            title="Centres of the classes",
            roles=("metadata",),
        ),
    ]


def _pixel_bytes(used: Sequence[Any]) -> int:
    return 12 * len(used) + 48


def _sampled(
    ctx: RunContext[ClassifyInputs],
    grid: Grid,
    sources: Mapping[str, Source],
    used: Sequence[tuple[str, int]],
) -> np.ndarray:
    """Valid pixels of the area: float64, (n, bands), n at most `sample`, all equally likely.

    Every pixel draws a number; those with the lowest are kept, in the order of the raster.
    """
    wanted = ctx.inputs.sample
    params = {"bands": used, "seed": ctx.inputs.seed, "most": wanted, "area": carried(grid)}
    drawn, kept = np.empty(0), np.empty((0, len(used)))
    size = _pixel_bytes(used)
    total = sum(1 for _ in grid.blocks(pixel_bytes=size))
    for block, made in blocks.results(draw, grid, sources=sources, params=params, pixel_bytes=size):
        if made is not None:
            drawn, kept = np.concatenate([drawn, made[0]]), np.concatenate([kept, made[1]])
            if len(drawn) > 2 * wanted:
                drawn, kept = _lowest(drawn, kept, wanted)
        ctx.progress(0.35 * (block.number + 1) / total, "sampling")
    pixels = _lowest(drawn, kept, wanted)[1]
    if not len(pixels):
        raise JobError("no_overlap", "no pixel of the area is valid in all bands")
    return pixels


def _lowest(drawn: np.ndarray, kept: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The `most` rows with the lowest numbers, in their order."""
    if len(drawn) <= most:
        return drawn, kept
    chosen = np.sort(np.argpartition(drawn, most)[:most])
    return drawn[chosen], kept[chosen]


def draw(block: Block, files: Files, params: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The block's valid pixels with the lowest random numbers: those, and values (n, bands)."""
    values, valid = _read(block, files, params["bands"])
    valid &= inside(params["area"], block)
    drawn = np.random.default_rng([params["seed"], block.number]).random(valid.shape)[valid]
    return _lowest(drawn, values[:, valid].T.astype(np.float64), params["most"])


def _read(
    block: Block, files: Files, bands: Sequence[tuple[str, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """(float32 (bands, rows, columns), True where all of them are valid)."""
    made = np.empty((len(bands), *block.shape), np.float32)
    valid = np.ones(block.shape, bool)
    for key in dict.fromkeys(key for key, _ in bands):
        places = [place for place, band in enumerate(bands) if band[0] == key]
        # one read a file: the bands of a pixel often share a compressed block
        read = files.read(key, block, [bands[place][1] for place in places])
        valid &= ~np.ma.getmaskarray(read).any(axis=0) & np.isfinite(read.data).all(axis=0)
        made[places] = read.data
    return made, valid


def fit(pixels: np.ndarray, classes: int, *, seed: int, standardize: bool) -> Model:
    """Centres of k-means.

    Args:
        pixels: float64, (n, bands).

    Raises: JobError("invalid_inputs"): there are fewer different pixels than classes.
    """
    different = len(np.unique(pixels, axis=0))
    if different < classes:
        raise JobError(
            "invalid_inputs",
            f"classes: {classes} were asked for, and the sample has {different} different pixels",
        )
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    scale = pixels.std(axis=0) if standardize else np.ones(pixels.shape[1])
    scale = np.where(scale > 0, scale, 1.0)
    with threadpool_limits(1):  # the order of a sum decides its last bits
        how: dict[str, Any] = {"n_init": STARTS, "random_state": seed}
        found: Any = KMeans(classes, **how).fit(pixels / scale)
    centers = found.cluster_centers_ * scale
    order = np.lexsort((*centers.T[::-1], centers.mean(axis=1)))
    return Model(centers[order], scale, float(found.inertia_), int(found.n_iter_))


def assign(block: Block, files: Files, params: Mapping[str, Any]) -> np.ma.MaskedArray:
    """The class of each pixel of a block: the nearest centre, of two as near the darker."""
    values, valid = _read(block, files, params["bands"])
    best = np.full(block.shape, np.inf)
    made = np.zeros(block.shape, np.uint8)
    for number, center in enumerate(params["centers"]):
        distance = np.zeros(block.shape)
        for band, middle, scale in zip(values, center, params["scale"], strict=True):
            distance += (np.subtract(band, middle, dtype=np.float64) / scale) ** 2
        nearer = distance < best
        made[nearer] = number
        np.minimum(best, distance, out=best)
    return np.ma.MaskedArray(made, mask=~valid)
