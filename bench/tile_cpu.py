"""CPU of a tile in one process, against the least work that could make it; part of `tile.py`."""

import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tile_data import CASES, NDVI, tiles


def cpu(folder: Path) -> list[dict[str, Any]]:
    """CPU of a warm tile against reading its window from an open file and a fast PNG."""
    from tiler import datasets, encode, fast, grid, handles, render
    from tiler.locate import Request, locate
    from tiler.source import AssetSource

    rows = []
    print(f"\n{'CPU a warm PNG tile, one thread':45} {'ours ms':>8} {'least ms':>9} {'ratio':>7}")
    for case in CASES:
        if not case.cpu:
            continue
        title, name = case.title, case.file
        source = AssetSource(path=str(folder / f"{name}.tif"), version="bench")
        header = datasets.header_of(source)
        wanted = tiles(Path(source.path), case.zoom_out, case.where)[:20]

        pictures = {address: picture(source, header, address) for address in wanted}

        def least(
            address: tuple[int, int, int], header: Any = header, pictures: Any = pictures
        ) -> None:
            from rasterio.windows import Window

            request = Request(grid.tile(*address).bounds, 256, (1, 2, 3))
            found = locate(header, request)
            level = fast.choose_level(header, found.scale)
            handle = handles.dataset(header, level)
            factor = header.width / handle.width
            span = max(256, math.ceil(found.scale / factor * 256))
            column = max(0, min(int(found.columns.min() / factor), handle.width - span))
            row = max(0, min(int(found.rows.min() / factor), handle.height - span))
            width, height = min(span, handle.width), min(span, handle.height)
            handle.read((1, 2, 3), window=Window(column, row, width, height))
            encode.png(*pictures[address])

        def ours(address: tuple[int, int, int], source: Any = source) -> None:
            render.render_tile(source, *address, format="png")

        spent = _paired({"ours": ours, "least": least}, wanted)
        ratio = statistics.median(a / b for a, b in zip(spent["ours"], spent["least"], strict=True))
        figures = {who: statistics.median(times) * 1000 for who, times in spent.items()}
        rows.append({"case": title, **figures, "ratio": ratio})
        print(
            f"{title:45} {figures['ours']:8.2f} {figures['least']:9.2f} {ratio:6.2f}x", flush=True
        )
    return rows


def ndvi_cpu(folder: Path) -> dict[str, float]:
    """CPU of the array of an NDVI tile against that of the two bands it is made of."""
    from tiler import datasets, fast, grid
    from tiler.locate import Request
    from tiler.source import AssetSource
    from tiler.style import style

    source = AssetSource(path=str(folder / "utm_u16.tif"), version="bench")
    header = datasets.header_of(source)
    formula = style(source, header, expression=NDVI, rescale="-0.2,0.6").formula
    assert formula is not None
    wanted = tiles(Path(source.path), 0)[:20]

    def bands(address: tuple[int, int, int]) -> Any:
        request = Request(grid.tile(*address).bounds, 256, formula.bands)
        return fast.read(header, request)

    def index(address: tuple[int, int, int]) -> None:
        fast.evaluate(formula, header, bands(address))

    spent = _paired({"index": index, "bands": bands}, wanted)
    ratio = statistics.median(a / b for a, b in zip(spent["index"], spent["bands"], strict=True))
    print(f"NDVI of a tile against reading its two bands: {ratio:.2f}x the CPU")
    return {"ratio": ratio}


def picture(source: Any, header: Any, address: tuple[int, int, int]) -> tuple[Any, Any]:
    """(colours, alpha) of a tile as it is encoded, so that the least work encodes the same."""
    from tiler import fast, grid
    from tiler.locate import Request
    from tiler.paint import paint
    from tiler.style import style

    chosen = style(source, header)
    pixels = fast.read(header, Request(grid.tile(*address).bounds, 256, chosen.bidx))
    assert pixels is not None
    return paint(pixels, header, chosen)


def _paired(
    variants: dict[str, Callable[[tuple[int, int, int]], None]],
    wanted: list[tuple[int, int, int]],
) -> dict[str, list[float]]:
    """CPU seconds a tile of each variant, in turn, five rounds after a warm-up."""
    spent: dict[str, list[float]] = {who: [] for who in variants}
    for turn in range(6):
        for who, function in variants.items():
            started = time.process_time()
            for address in wanted:
                function(address)
            if turn:
                spent[who].append((time.process_time() - started) / len(wanted))
    return spent
