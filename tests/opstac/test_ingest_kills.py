"""`opstac ingest` killed at three points of each kind of source, and gone on with.

The platform kills the command in the middle of a call: before the operation is run, so that it may
or may not have happened, or after it is committed and before anybody is told.
"""

from __future__ import annotations

import asyncio
import http.server
import importlib.util
import json
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from ops_gateway.kernel.pipeline import Pipeline
from raster.cog import convert_to_cog

BESIDE = Path(__file__).with_name("test_ingest.py")
SPEC = importlib.util.spec_from_file_location("ingesting", BESIDE)
assert SPEC is not None and SPEC.loader is not None
ingesting = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(ingesting)
ingest = ingesting.ingest

FILES = 6
Point = tuple[str, int, str]  # an operation, its how manieth call of a run, before or after it
UPLOADING: list[Point] = [
    ("uploads.initiate", 2, "after"),
    ("uploads.complete", 2, "after"),
    ("uploads.complete", 2, "before"),
]
IMPORTING: list[Point] = [
    ("items.import", 1, "after"),
    ("items.import", 2, "before"),
    ("items.import", 2, "after"),
]


class Killer:
    """Kills a process at a point of what it asks of the platform."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.process: asyncio.subprocess.Process | None = None
        self.point: Point | None = None
        self.calls: Counter[str] = Counter()
        run = Pipeline.run

        async def killing(pipeline: Pipeline, name: str, *args: Any, **kwargs: Any) -> Any:
            self.calls[name] += 1
            here = (name, self.calls[name])
            self._kill(*here, "before")
            answer = await run(pipeline, name, *args, **kwargs)
            self._kill(*here, "after")
            return answer

        monkeypatch.setattr(Pipeline, "run", killing)

    def _kill(self, *here: Any) -> None:
        if self.process is not None and here == self.point:
            self.process.kill()
            self.point = None


@pytest.fixture
def killer(live: Any, monkeypatch: pytest.MonkeyPatch) -> Killer:
    return Killer(monkeypatch)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small COGs in folders, each of a picture of its own."""
    folder = tmp_path_factory.mktemp("scenes")
    flat = folder.parent / "flat.tif"
    for number in range(FILES):
        path = folder / f"day{number % 2}" / f"scene_{number}.tif"
        path.parent.mkdir(exist_ok=True)
        grid = from_origin(500000 + 1000 * number, 5300000, 10, 10)
        pixels = np.full((1, 32, 32), number + 1, "uint8")
        with rasterio.open(
            flat, "w", driver="GTiff", width=32, height=32, count=1, dtype="uint8",
            crs="EPSG:32631", transform=grid,
        ) as file:  # fmt: skip
            file.write(pixels)
        convert_to_cog(flat, path)
    return folder


@pytest.fixture(scope="module")
def web(scenes: Path) -> Iterator[str]:
    """The same files, from a server."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = partial(Quiet, directory=str(scenes))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


async def killed_and_gone_on(
    ingest: Any, killer: Killer, points: list[Point], report: Path, words: list[Any]
) -> dict[str, Any]:
    """Kill the command at each point, and then let it end; the counts it ends with."""
    words = [*words, "--report", report]
    for point in points:
        killer.calls.clear()
        killer.process, killer.point = await ingest.start(*words), point
        out, err = await asyncio.wait_for(killer.process.communicate(), 60)
        assert killer.process.returncode == -9, (point, out, err)
        if report.exists():  # half a line, as a machine that stops would leave it
            with report.open("ab") as file:
                file.write(b'{"id":"sce')
    killer.process = None
    status, counts, err = await ingest(*words)
    assert (status, err) == (0, "")
    return counts


def look(live: Any, owner: Any, report: Path, names: set[str]) -> None:
    """Everything is there once, and told of once."""
    count = len(names)
    found = ingesting.stored(live, owner)
    rows = live.sql(
        "select i.id, i.stac_id, i.project_id, i.collection_id, (select count(*) from lineage l"
        " where l.src_type = 'item' and l.src_id = i.id and l.relation = 'generated_by') as made"
        " from item i where i.organization_id = %s and i.deleted_at is null",
        owner.organization_id,
    )
    assert {row["stac_id"] for row in rows} == names and len(rows) == count
    assert {row["made"] for row in rows} == {1}
    assert len({(row["project_id"], row["collection_id"]) for row in rows}) == 1
    same = ("items", "distinct_ids", "assets", "events", "documents")
    assert {name: found[name] for name in same} == dict.fromkeys(same, count)
    told = [json.loads(line) for line in report.read_text().splitlines()]
    assert sorted(entry["id"] for entry in told) == sorted(names)
    assert {entry["outcome"] for entry in told} <= {"created", "unchanged"}
    assert {entry["item_id"] for entry in told} == {row["id"] for row in rows}
    (events,) = live.sql(
        "select count(*) as n from event where organization_id = %s and type = 'item.created'",
        owner.organization_id,
    )
    assert events["n"] == count
    (bytes_,) = live.sql(
        "select storage_used_bytes as used, storage_reserved_bytes as reserved,"
        " (select coalesce(sum(size_bytes), 0) from (select distinct on (object_path) size_bytes"
        "  from asset a where a.organization_id = o.organization_id and a.deleted_at is null"
        "  and object_path is not null) f) as truth"
        " from organization o where organization_id = %s",
        owner.organization_id,
    )
    assert (bytes_["used"], bytes_["reserved"]) == (bytes_["truth"], 0)
    assert live.sql("select problem from verify_chains(%s)", owner.organization_id) == []


@pytest.mark.slow  # four processes, three of them killed
@pytest.mark.parametrize("kind", ["folder", "list"])
async def test_files_come_in_once(live, ingest, killer, scenes, web, tmp_path, kind):
    report = tmp_path / "report.ndjson"
    paths = sorted(path.relative_to(scenes) for path in scenes.rglob("*.tif"))
    source = scenes
    names = {str(path)[:-4].replace("/", ".") for path in paths}
    if kind == "list":
        source = tmp_path / "list.txt"
        source.write_text("".join(f"{web}/{path}\n" for path in paths))
        names = {path.stem for path in paths}
    counts = await killed_and_gone_on(
        ingest, killer, UPLOADING, report, [source, "--into", "files"]
    )
    look(live, ingest.owner, report, names)
    # what was stored when the command was killed is found by its key, or by its digest
    assert counts["created"] + counts["unchanged"] == FILES and counts["failed"] == 0
    status, counts, _ = await ingest(source, "--into", "files")
    assert (status, counts["unchanged"]) == (0, FILES)
    (uploads,) = live.sql(
        "select count(*) as n, count(*) filter (where status = 'completed') as completed"
        " from upload where organization_id = %s",
        ingest.owner.organization_id,
    )
    assert uploads["n"] == uploads["completed"] == FILES


@pytest.mark.slow  # four processes, three of them killed
async def test_a_collection_of_another_api_comes_in_once(live, ingest, killer, tmp_path):
    source = await live.organization("Source")
    project = await live.project(source)
    collection = {"project_id": project, "name": "Elsewhere", "slug": f"else-{project}"}
    made = await live.ok("collections.create", collection, as_=source)
    items = [ingesting.stac_item(number) for number in range(50)]
    body = {"project_id": project, "collection_id": made["id"], "items": items}
    await live.ok("items.import", body, as_=source)
    report = tmp_path / "report.ndjson"
    words = [
        str(live.client.base_url.join("/assets/stac")),
        "--collection", f"else-{project}", "--header", f"Authorization: Bearer {source.token}",
        "--into", "copied", "--batch", "10",
    ]  # fmt: skip
    counts = await killed_and_gone_on(ingest, killer, IMPORTING, report, words)
    assert counts == {"created": 50, "updated": 0, "unchanged": 0, "failed": 0}
    look(live, ingest.owner, report, {item["id"] for item in items})
