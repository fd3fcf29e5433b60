"""The block engine: a function of one block, run over all blocks of a grid, written as one COG.

    def halves(block: Block, files: Files, params: dict[str, Any]) -> np.ma.MaskedArray:
        return files.read("data", block, [params["band"]]) / 2

    grid = Grid.of(dataset, geometry)  # of the source, cut to the area of interest
    write(path, halves, grid, sources=ctx.sources, params={"band": 1}, dtype="float32",
          nodata=float("nan"), band_names=["half"], progress=ctx.progress)

A block function is a plain function of a module, so that another machine can import it. It is given
a block, the source files and the params (JSON values), and returns what pickle takes: for `write` a
masked array of shape (bands, rows, columns) or (rows, columns) without the halo, which belongs to
the file from then on. It reads by `files.read(key, block)`, which gives a source's pixels on the
block's grid, halo included; `block.core(values)` takes the halo off again. Files are named by the
keys of `sources`; no others can be opened. Pixels outside the grid's area are hidden by the driver,
blocks that lie wholly outside are not computed.

`results` gives what the function returns, block by block, for anything that is no raster.

Blocks are computed here, or with OPSTAC_DASK_SCHEDULER set on the Dask workers there. They are
divided in the same way and come back in order, so the output has the same bits. So many are under
way at a time that memory does not grow with the image.
"""

import itertools
import os
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp

from processes import on_dask
from processes.calls import BlockFunction, Call, Pending, Place
from processes.files import Files, forget
from processes.grid import Block, Grid
from processes.process import Source
from raster import cog
from raster.fill import filled, put

__all__ = ["Block", "BlockFunction", "Files", "Grid", "results", "write"]

Progress = Callable[[float, str], None]

THREADS = cog.THREADS
_COMPUTED = 0.8  # part of the work that is done when all blocks are written


def results(
    function: BlockFunction,
    grid: Grid,
    *,
    sources: Mapping[str, Source],
    params: Any = None,
    pixel_bytes: int = 64,
    halo: int = 0,
    threads: int | None = None,
) -> Iterator[tuple[Block, Any]]:
    """Run a function over the blocks of a grid.

    Args:
        sources: what it may read.
        pixel_bytes, halo: see `Grid.blocks`.
        threads: of this process; default OPSTAC_BLOCK_THREADS, else 2, at most the processors.

    Yields: (block, what the function returned) in the grid's order; None for a block that lies
        outside the grid's area.

    Raises: what the function raises.
    """
    slim = {key: replace(source, item={}) for key, source in sources.items()}
    call = Call(uuid.uuid4().hex, function, slim, params)
    waiting: deque[tuple[Block, Pending | None]] = deque()
    with _place(call, threads or _threads()) as place:
        for block in grid.blocks(pixel_bytes=pixel_bytes, halo=halo):
            inside = block.inside()
            computed = inside is None or bool(inside.any())
            waiting.append((block, place.start(block.without_area()) if computed else None))
            while len(waiting) >= place.under_way:
                yield _next(waiting)
        while waiting:
            yield _next(waiting)


def _next(waiting: deque[tuple[Block, Pending | None]]) -> tuple[Block, Any]:
    block, pending = waiting.popleft()
    return block, None if pending is None else pending.result()


def _threads() -> int:
    wanted = os.environ.get(THREADS, "")
    return max(1, min(int(wanted) if wanted.isdecimal() else 2, os.cpu_count() or 1, 64))


def _place(call: Call, threads: int) -> AbstractContextManager[Place]:
    if address := os.environ.get(on_dask.SCHEDULER):
        return on_dask.place(call, address)
    return _here(call) if threads == 1 else _pool(call, threads)


@dataclass(frozen=True)
class _Now:
    """A block that is computed when it is asked for."""

    call: Call
    block: Block

    def result(self) -> Any:
        return self.call(self.block)


@contextmanager
def _here(call: Call) -> Iterator[Place]:
    try:
        yield Place(lambda block: _Now(call, block), 1)
    finally:
        forget(call.run)


@contextmanager
def _pool(call: Call, threads: int) -> Iterator[Place]:
    pool = ThreadPoolExecutor(threads, thread_name_prefix="block")
    try:
        # some are ready ahead, so that no thread waits while one is written
        yield Place(lambda block: pool.submit(call, block), 2 * threads + 1)
    finally:
        pool.shutdown(cancel_futures=True)
        forget(call.run)


def write(
    path: Path,
    function: BlockFunction,
    grid: Grid,
    *,
    sources: Mapping[str, Source],
    params: Any = None,
    dtype: str,
    band_names: Sequence[str],
    nodata: float | None = None,
    pixel_bytes: int = 64,
    halo: int = 0,
    colors: Sequence[ColorInterp] | None = None,
    colormap: Mapping[int, Any] | None = None,
    scales: Sequence[float] | None = None,
    offsets: Sequence[float] | None = None,
    categorical: bool = False,
    level: int | None = None,
    tags: dict[str, str] | None = None,
    each: Callable[[np.ndarray, np.ndarray], None] | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
) -> int:
    """Compute a raster block by block into a COG at `path`.

    What the function masks holds `nodata`; without a nodata value it holds 0 and, unless the last
    of `colors` is alpha, a pixel masked in every band is hidden by an internal mask.

    Args:
        sources, params, pixel_bytes, halo, threads: see `results`.
        band_names: one for each band that the function returns.
        colormap: colours of the values of a file of one band.
        scales, offsets: one for each band; they are written down, the function returns stored
            numbers.
        categorical: overviews take the most frequent value instead of the average.
        tags: of the file.
        each: is shown every block as it is written, and where it is valid, both (bands, rows,
            columns), in order.
        progress: gets a fraction in [0, 1] and a word.

    Returns: how many pixels have a value in some band other than alpha.

    Raises: RasterError, and what the function raises.
    """
    temporary = path.with_suffix(".part.tif")
    alpha = bool(colors) and colors[-1] == ColorInterp.alpha
    masked = nodata is None and not alpha
    report = progress or _silent
    total = sum(1 for _ in grid.blocks(pixel_bytes=pixel_bytes, halo=halo))
    written = itertools.count(1)
    valid_pixels = 0
    try:
        with cog.tiled_writer(
            temporary,
            width=grid.width,
            height=grid.height,
            crs=grid.crs,
            transform=grid.transform,
            count=len(band_names),
            dtype=dtype,
            nodata=nodata,
            masked=masked,
            band_names=band_names,
            color_interpretation=colors,
            scales=scales,
            offsets=offsets,
            colormap=dict(colormap) if colormap else None,
            tags=tags,
        ) as out:
            for block, made in results(
                function,
                grid,
                sources=sources,
                params=params,
                pixel_bytes=pixel_bytes,
                halo=halo,
                threads=threads,
            ):
                shape = (len(band_names), *block.shape)
                values, valid = _settled(block, made, shape, dtype, nodata, alpha)
                measured = valid[:-1] if alpha else valid
                seen = np.asarray(measured.any(axis=0))
                valid_pixels += int(np.count_nonzero(seen))
                out.write(values, block.window, valid=valid, mask=seen if masked else None)
                if each is not None:
                    each(values, valid)
                report(_COMPUTED * next(written) / total, "computing")
        report(_COMPUTED, "writing")
        cog.write_cog(temporary, path, level=level, categorical=categorical)
    finally:
        temporary.unlink(missing_ok=True)
    report(1.0, "done")
    return valid_pixels


def _silent(fraction: float, stage: str) -> None:
    """Progress that nobody asked for."""


def _settled(
    block: Block,
    made: np.ndarray | None,
    shape: tuple[int, int, int],
    dtype: str,
    nodata: float | None,
    alpha: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """A block's values as they are written, and what counts for the statistics."""
    fill = 0 if nodata is None else nodata
    if made is None:
        values, hidden = np.full(shape, fill, dtype), np.ones(shape, bool)
    else:
        hidden = np.ma.getmaskarray(made).reshape(shape)
        values = np.ma.getdata(made).reshape(shape)
        inside = block.inside()
        if inside is not None:
            hidden = hidden | ~inside
        if values.dtype != dtype:  # what is hidden may be no number of the type
            values = filled(values, hidden, 0)
        values = values.astype(dtype, copy=not values.flags.writeable)
        put(values, hidden, fill)
    valid = ~hidden
    if alpha:
        valid[-1] = True
    return values, valid
