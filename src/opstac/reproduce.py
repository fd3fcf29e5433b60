"""Running the job of an item once more, from what was recorded of it, and comparing every bit.

Nothing is stored and nothing is charged: the outputs of the second run lie in a folder that goes.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from psycopg.rows import dict_row

from db.objects import ObjectMissing, Objects
from db.pool import Pool
from db.queries import queries
from ops_gateway.worker.claim import ClaimedJob
from ops_gateway.worker.compute import make_compute
from ops_gateway.worker.services import JobFailed, PassingError
from opstac.platform_worker import PlatformWorker, recipe_of
from processes.process import Output, Source, discover
from raster import reader
from raster.errors import RasterError

sql = queries(__file__)


class CannotReproduce(Exception):
    """The item was not made by a job, or by one whose work is not known."""


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        equal: every file of the second run has the bytes of the first.
        causes: what is not as it was: sources, process, code, libraries, stored outputs.
        differences: a line for each output that differs.
    """

    job_id: str
    equal: bool
    causes: Sequence[str]
    differences: Sequence[str]


async def reproduce(
    system: Pool, worker: PlatformWorker, objects: Objects, item_id: str, *, seconds: float = 3600
) -> Outcome:
    """Run the job of an item again.

    Args:
        system: a pool of role opstac_system, which sees every tenant.

    Raises: CannotReproduce.
    """
    async with system.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(sql.job_of_item, {"item": item_id})
        row = await cursor.fetchone()
    if row is None:
        raise CannotReproduce(f"no job made item {item_id}")
    recipe = row["recipe"]
    if not recipe:
        raise CannotReproduce(f"what job {row['id']} computed is not known: it was done outside")
    if recipe["process"] not in discover():
        raise CannotReproduce(f"there is no process {recipe['process']!r} any more")
    job = replace(ClaimedJob.of(row), input_params=recipe["inputs"], created_by=None)
    try:
        sources = await worker.sources(job)
        causes = _changes(recipe, recipe_of(job, sources))
        causes += [line async for line in _touched_sources(objects, sources)]
        with tempfile.TemporaryDirectory(prefix="opstac-reproduce-") as folder:
            made = await make_compute()(
                job, sources, Path(folder), progress=_silent, log=_unsaid, seconds=seconds
            )
            found = await _compare(system, objects, row, recipe["outputs"], made.outputs)
    except (JobFailed, PassingError) as error:
        return Outcome(row["id"], False, [], [f"the run fails now: {error}"])
    differences, touched = found
    return Outcome(row["id"], not differences and not touched, causes + touched, differences)


def _silent(fraction: float, stage: str | None) -> None:
    """Progress that nobody listens to."""


def _unsaid(text: str) -> None:
    """What a run prints, and nobody reads."""


def _changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What a recipe says is not as it was."""
    lines = []
    if then["version"] != now["version"]:
        lines.append(f"process {then['process']}: version {then['version']}, now {now['version']}")
    if then["code"] != now["code"]:
        lines.append("code: its digest is another one")
    for name in sorted({*then["libraries"], *now["libraries"]}):
        before, after = (r["libraries"].get(name, "none") for r in (then, now))
        if before != after:
            lines.append(f"library {name}: {before}, now {after}")
    known = {(s["item_id"], s["asset_key"]): s for s in now["sources"]}
    for source in then["sources"]:
        name = f"source {source['item_id']}/{source['asset_key']}"
        current = known.pop((source["item_id"], source["asset_key"]), None)
        if current is None:
            lines.append(f"{name}: is not read any more")
        elif current["checksum"] != source["checksum"]:
            lines.append(f"{name}: another file, {source['checksum']}, now {current['checksum']}")
        elif current["metadata"] != source["metadata"]:
            lines.append(f"{name}: its metadata was changed")
    return lines + [f"source {item}/{key}: was not read then" for item, key in known]


async def _touched_sources(objects: Objects, sources: Sequence[Source]) -> AsyncIterator[str]:
    """Sources whose bytes are not those that came in."""
    for source in sources:
        path, known = source.asset.get("object_path"), source.asset.get("checksum")
        if path and known and await _checksum(objects, path) != known:
            name = f"source {source.item_id}/{source.asset_key}"
            yield f"{name}: its file is not the one that came in"


async def _checksum(objects: Objects, path: str) -> str | None:
    digest = hashlib.sha256()
    try:
        async for piece in objects.stream(path):
            digest.update(piece)
    except ObjectMissing:
        return None
    return digest.hexdigest()


async def _compare(
    system: Pool,
    objects: Objects,
    job: Mapping[str, Any],
    recorded: Sequence[Mapping[str, Any]],
    outputs: Sequence[Output],
) -> tuple[list[str], list[str]]:
    """(outputs that differ, stored files that are not as they were made)."""
    made = {output.path.name: output for output in outputs if output.path is not None}
    differences: list[str] = []
    touched: list[str] = []
    for entry in recorded:
        name = f"asset {entry['asset_key']} of {entry['item_id']}"
        path = await _path(system, job, entry)
        stored = None if path is None else await _checksum(objects, path)
        if stored is None:
            touched.append(f"{name}: its file is gone")
        elif stored != entry["checksum"]:
            touched.append(f"{name}: its file is not the one that was made")
        again = made.pop(entry["file_name"], None)
        if again is None:
            differences.append(f"{name}: is not made any more")
            continue
        assert again.path is not None
        with again.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest == entry["checksum"]:
            continue
        how = "its bytes differ"
        if path is not None and stored == entry["checksum"] and "tiff" in again.media_type:
            kept = again.path.with_name(f"kept-{again.path.name}")
            await objects.download(path, kept)
            how = pixels_that_differ(kept, again.path)
        differences.append(f"{name}: {how}")
    differences += [f"file {name}: was not made then" for name in made]
    return differences, touched


async def _path(system: Pool, job: Mapping[str, Any], entry: Mapping[str, Any]) -> str | None:
    which = {
        "organization": job["organization_id"],
        "item": entry["item_id"],
        "key": entry["asset_key"],
    }
    async with system.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(sql.asset_path, which)
        row = await cursor.fetchone()
    return None if row is None else row["object_path"]


def pixels_that_differ(one: Path, other: Path) -> str:
    """In words: how many pixels of two rasters are not the same in some band."""
    try:
        with reader.open_guarded(one) as a, reader.open_guarded(other) as b:
            if (a.shape, a.count, a.crs) != (b.shape, b.count, b.crs):
                sizes = [f"{r.width} x {r.height} pixels, {r.count} bands" for r in (a, b)]
                return f"{sizes[0]}, now {sizes[1]}; or another coordinate reference system"
            if not a.transform.almost_equals(b.transform, 1e-12):
                return "it lies elsewhere"
            count = 0
            for window in reader.windows(a):
                x, y = a.read(window=window), b.read(window=window)
                same = (x == y) | ((x != x) & (y != y))
                count += int(np.count_nonzero(~same.all(axis=0)))
    except RasterError as error:
        return f"its bytes differ, and it cannot be read: {error.message}"
    if not count:
        return "the same pixels in other bytes"
    return f"{count} of {a.width * a.height} pixels differ"
