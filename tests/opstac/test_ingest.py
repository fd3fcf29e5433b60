"""`opstac ingest` as a program: killed, repeated, fed with what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ops_gateway.kernel.authenticate import issue_session

SCENES = Path(__file__).parents[1] / "data" / "rasters"
SAMPLES = Path(__file__).parents[2] / "src" / "opstac" / "sampledata"


def stac_item(number: int, **more: Any) -> dict[str, Any]:
    """A synthetic scene of about 700 bytes."""
    west, south = number * 7 % 358 - 179, number * 3 % 160 - 80
    day = f"{2015 + number % 10}-{1 + number % 12:02d}-{1 + number % 28:02d}"
    ring = [[west, south], [west + 1, south], [west + 1, south + 1], [west, south + 1]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": f"scene_{number:07d}",
        "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
        "bbox": [west, south, west + 1, south + 1],
        "properties": {
            "datetime": f"{day}T00:00:00Z",
            "eo:cloud_cover": number % 100,
            "platform": "sentinel-2a",
        },
        "links": [],
        "assets": {"visual": {"href": f"https://scenes.example/{number}.tif"}},
        **more,
    }


def write_lines(path: Path, count: int) -> Path:
    with path.open("w") as file:
        for number in range(count):
            file.write(json.dumps(stac_item(number)) + "\n")
    return path


class Command:
    """The command against a live platform, as one person with one project."""

    def __init__(self, live: Any, owner: Any, home: Path) -> None:
        self.live, self.owner, self.home = live, owner, home

    async def start(self, *words: Any, token: str | None = None) -> asyncio.subprocess.Process:
        env = os.environ | {
            "OPSTAC_URL": str(self.live.client.base_url),
            "OPSTAC_TOKEN": token or self.owner.token,
            "OPSTAC_HOME": str(self.home),
        }
        return await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "opstac", "ingest", *map(str, words),
            env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def __call__(
        self, *words: Any, token: str | None = None, seconds: float = 120
    ) -> tuple[int, Any, str]:
        """(status, counts, standard error)."""
        process = await self.start(*words, token=token)
        out, err = await asyncio.wait_for(process.communicate(), seconds)
        assert process.returncode is not None
        return process.returncode, json.loads(out) if out else None, err.decode()


@pytest.fixture
async def ingest(live: Any, tmp_path: Path) -> Command:
    owner = await live.organization()
    await live.project(owner)
    return Command(live, owner, tmp_path / "home")


def stored(live: Any, owner: Any) -> dict[str, Any]:
    """How many items there are, distinct ones, with lineage, with a document, and events."""
    (row,) = live.sql(
        """
        select count(*) as items, count(distinct stac_id) as distinct_ids,
               count(distinct i.project_id) as projects,
               -- sets that are made once: what was just filled has no statistics to plan by
               count(*) filter (where (i.id, i.project_id) in (select l.src_id, l.dst_id
                 from lineage l where l.src_type = 'item' and l.relation = 'generated_by')
               ) as with_lineage,
               count(*) filter (where i.id in (select a.item_id from asset a)) as assets,
               (select count(distinct e.entity_id) from event e
                where e.organization_id = %s and e.type = 'item.created') as events,
               (select count(*) from event e where e.organization_id = %s) as told
        from item i where i.organization_id = %s and i.deleted_at is null
        """,
        owner.organization_id,
        owner.organization_id,
        owner.organization_id,
    )
    (slot,) = live.sql(
        "select (select count(*) from pgstac.items d where d.collection = s.slot) as documents"
        " from organization_slot s where s.organization_id = %s",
        owner.organization_id,
        role="opstac_owner",
    )
    return {**row, "documents": slot["documents"]}


def peak_bytes(pid: int) -> int:
    """The most memory a process has had; 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    peak = next((line for line in status.splitlines() if line.startswith("VmHWM")), "VmHWM: 0 kB")
    return int(peak.split()[1]) * 1024


async def brought_in(
    live: Any, ingest: Command, folder: Path, count: int, kills: list[int]
) -> None:
    """Kill the command when so many are stored, go on, and look at what is there."""
    path, report, state = folder / "items.ndjson", folder / "report.ndjson", folder / "state.json"
    write_lines(path, count)
    words = (path, "--into", "scenes", "--batch", min(1000, count // 30), "--report", report)
    memory = 0
    for at in kills:
        process = await ingest.start(*words, "--state", state)
        while process.returncode is None:
            done = json.loads(state.read_text())["counts"]["created"] if state.exists() else 0
            memory = max(memory, peak_bytes(process.pid))
            if done >= at:
                process.kill()
                break
            await asyncio.sleep(0.01)
        assert await process.wait() == -9, (await process.communicate())[1]
        # half a line, as a machine that stops would leave it
        with report.open("ab") as file:
            file.write(b'{"id":"sce')
    status, counts, err = await ingest(*words, "--state", state, seconds=120 + count / 100)
    assert 0 < memory < 1024**3
    assert (status, err) == (0, "")
    assert counts == {"created": count, "updated": 0, "unchanged": 0, "failed": 0}
    assert not state.exists()
    same = ("items", "distinct_ids", "with_lineage", "assets", "events", "told")
    expected = dict.fromkeys(same, count)
    assert stored(live, ingest.owner) == expected | {"projects": 1, "documents": count}
    told = [json.loads(line) for line in report.read_text().splitlines()]
    assert [entry["id"] for entry in told] == [f"scene_{n:07d}" for n in range(count)]
    assert {entry["outcome"] for entry in told} == {"created"}
    assert len({entry["item_id"] for entry in told}) == count
    problems = live.sql("select problem from verify_chains(%s)", ingest.owner.organization_id)
    assert problems == []


@pytest.mark.slow  # four processes, three of them killed
async def test_an_ingest_killed_three_times_brings_everything_in_once(live, ingest, tmp_path):
    await brought_in(live, ingest, tmp_path, 3_000, [300, 1_200, 2_400])
    status, counts, _ = await ingest(tmp_path / "items.ndjson", "--into", "scenes")
    assert (status, counts) == (0, {"created": 0, "updated": 0, "unchanged": 3_000, "failed": 0})


@pytest.mark.million  # a quarter of an hour or more; `pytest -m million`
async def test_a_million_items_killed_three_times_are_a_million(live, ingest, tmp_path):
    """With `OPSTAC_TEST_MILLION=20000` the same of fewer."""
    # on a busy machine it takes longer than a session of an hour
    settings, user = live.platform.settings, ingest.owner.user_id
    token = issue_session(live.platform.keys, settings.issuer, user, seconds=24 * 3600)
    ingest.owner = replace(ingest.owner, token=token)
    count = int(os.environ.get("OPSTAC_TEST_MILLION", "1000000"))
    await brought_in(live, ingest, tmp_path, count, [count // 5, count // 2, count // 5 * 4])


async def test_each_bad_line_is_told_and_the_rest_comes_in(live, ingest, tmp_path):
    path, report = tmp_path / "items.ndjson", tmp_path / "report"
    lines = [
        json.dumps(stac_item(0)),
        "",
        "{not json",
        "5",
        json.dumps(stac_item(1, geometry={"type": "Blob"})),
        json.dumps(stac_item(2)).replace("sentinel-2a", "a\\u0000b"),
        '{"id": "\\ud800"}',
        json.dumps(stac_item(3)),
    ]
    path.write_text("\n".join(lines))
    status, counts, _ = await ingest(path, "--report", report)
    assert (status, counts) == (1, {"created": 2, "updated": 0, "unchanged": 0, "failed": 5})
    told = [json.loads(line) for line in report.read_text().splitlines()]
    assert [t["outcome"] for t in told] == ["created", *["failed"] * 5, "created"]
    assert all(t["problem"]["detail"] for t in told if t["outcome"] == "failed")


async def test_what_cannot_be_begun_is_status_2(live, ingest, tmp_path):
    path = write_lines(tmp_path / "a.ndjson", 1)
    empty = tmp_path / "empty"
    empty.mkdir()
    broken = tmp_path / "broken.json"
    broken.write_text('{"type": "FeatureCollection", "features": [{"id": ')
    for words, token in (
        ((tmp_path / "none.ndjson",), None),
        ((empty,), None),
        ((broken,), None),
        ((path, "--project", "proj_none"), None),
        ((path,), "gpra_wrong"),
        ((path, "--batch", "0"), None),
        ((path, "--collection", "x"), None),
        (("http://127.0.0.1:9/stac", "--header", "nonsense"), None),
    ):
        status, counts, err = await ingest(*words, token=token)
        assert (status, counts) == (2, None), (words, err)
        assert err.startswith("opstac ingest: ") and "Traceback" not in err


@pytest.mark.slow  # real files are looked into
async def test_a_folder_of_files_becomes_items(live, ingest, tmp_path):
    folder = tmp_path / "scenes"
    (folder / "2021" / "april").mkdir(parents=True)
    shutil.copy(SAMPLES / "s2-flanders_2021-04_10m.tif", folder / "2021" / "april" / "fields.tif")
    shutil.copy(SAMPLES / "s2-flanders_2021-07_10m.tif", folder / "july.TIF")
    (folder / "no.tif").write_bytes(b"not a GeoTIFF")
    (folder / "readme.txt").write_text("nothing")
    status, counts, err = await ingest(folder, "--into", "files")
    assert (status, counts) == (1, {"created": 2, "updated": 0, "unchanged": 0, "failed": 1}), err
    project = live.sql(
        "select project_id from item where organization_id = %s", ingest.owner.organization_id
    )[0]["project_id"]
    listed = await live.ok("items.list", {"project_id": project}, as_=ingest.owner)
    assert {item["stac_id"] for item in listed["items"]} == {"2021.april.fields", "july"}
    assert all(item["geometry"] and item["gsd"] for item in listed["items"])
    again = await ingest(folder, "--into", "files")
    assert again[:2] == (1, {"created": 0, "updated": 0, "unchanged": 2, "failed": 1})
    (folder / "no.tif").unlink()
    shutil.copy(SAMPLES / "s2-flanders_2021-04_10m.tif", folder / "july.TIF")
    report = tmp_path / "report"
    status, counts, _ = await ingest(folder, "--into", "files", "--report", report)
    assert (status, counts["unchanged"], counts["failed"]) == (1, 1, 1)
    told = [json.loads(line) for line in report.read_text().splitlines()]
    assert "another file" in told[1]["problem"]["detail"]


async def test_a_list_names_paths_and_addresses(live, ingest, tmp_path):
    item_file = SAMPLES / "s2-flanders_2021-04_10m.tif"
    listing = tmp_path / "list.txt"
    nowhere = f"{live.client.base_url}/nothing.tif"
    listing.write_text(f"# mine\n{item_file}\n\nmissing.tif\ns3://bucket/x.tif\n{nowhere}\n")
    status, counts, err = await ingest(listing)
    assert (status, counts) == (1, {"created": 1, "updated": 0, "unchanged": 0, "failed": 3}), err


@pytest.mark.slow  # three runs of the command
async def test_another_catalogue_is_brought_in_with_its_assets(live, ingest, tmp_path):
    source = await live.organization("Source")
    project = await live.project(source)
    collection = {"project_id": project, "name": "Elsewhere", "slug": f"else-{project}"}
    made = await live.ok("collections.create", collection, as_=source)
    items = [stac_item(number) for number in range(250)]
    body = {"project_id": project, "collection_id": made["id"], "items": items}
    await live.ok("items.import", body, as_=source)
    words = (
        str(live.client.base_url.join("/assets/stac")),
        "--collection", f"else-{project}", "--header", f"Authorization: Bearer {source.token}",
        "--into", "copied", "--batch", "40",
    )  # fmt: skip
    status, counts, err = await ingest(*words)
    assert (status, err) == (0, "") and counts["created"] == 250
    assert stored(live, ingest.owner)["with_lineage"] == 250
    row = live.sql(
        "select a.href, c.name from asset a join item i on i.id = a.item_id"
        " join collection c on c.id = i.collection_id"
        " where i.organization_id = %s and i.stac_id = 'scene_0000007'",
        ingest.owner.organization_id,
    )
    assert row == [{"href": "https://scenes.example/7.tif", "name": "Elsewhere"}]
    status, counts, _ = await ingest(*words)
    assert (status, counts["unchanged"]) == (0, 250)
    status, counts, _ = await ingest(*words, "--bbox=-180,-90,-100,0")
    (inside,) = live.sql(
        "select count(*) as n from item where organization_id = %s"
        " and (bbox[1] <= -100 and bbox[2] <= 0)",
        source.organization_id,
    )
    assert (status, counts["unchanged"]) == (0, inside["n"]) and 0 < inside["n"] < 250
