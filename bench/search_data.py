"""What `bench/search.py` searches: an organization with many items, made once or kept."""

import asyncio
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from db import migrate
from db.disposable import migrated_cluster
from db.embedded import Cluster
from stac_api import writes

PROJECTS, COLLECTIONS = 50, 100
ORGANIZATION = "org_bench"


def item(number: int) -> dict[str, Any]:
    """A scene of about 3 kB as stored: five assets with their bands."""
    choose = random.Random(number)
    west, south = choose.uniform(-179, 178), choose.uniform(-80, 79)
    ring = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]
    name = f"it_{number:08d}"
    assets = {
        f"a{key}": {
            "href": f"as_{number:08d}{key}",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "title": f"Asset {key}",
            "roles": ["data"],
            "file:size": 123_456 + key,
            "file:checksum": "1220" + "ab" * 32,
            "proj:code": "EPSG:32756",
            "proj:shape": [10_980, 10_980],
            "proj:transform": [10.0, 0.0, 300_000.0, 0.0, -10.0, 6_200_020.0],
            "raster:bands": [
                {
                    "data_type": "uint16",
                    "nodata": 0,
                    "statistics": {"minimum": 1, "maximum": 15_000},
                }
            ],
            "eo:bands": [{"name": f"B{key:02d}", "common_name": "red"}],
        }
        for key in range(5)
    }
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[west + x, south + y] for x, y in ring]],
        },
        "bbox": [west, south, west + 1, south + 1],
        "properties": {
            "datetime": f"{2015 + number % 10}-{1 + number % 12:02d}-{1 + number % 28:02d}"
            f"T{number % 24:02d}:{number % 60:02d}:{number // 7 % 60:02d}Z",
            "updated": "2025-01-01T00:00:00Z",
            "eo:cloud_cover": number % 100,
            "gsd": 10.0,
            "platform": "sentinel-2a",
            "title": f"Item {number}",
            "opstac:project": f"proj_{number % PROJECTS:03d}",
            "opstac:collection": f"col_{number % COLLECTIONS:04d}",
            "opstac:stac_id": name,
        },
        "stac_extensions": ["https://stac-extensions.github.io/projection/v2.0.0/schema.json"],
        "assets": assets,
        "links": [],
    }


async def fill(dsn: str, slot: str, begin: int, end: int) -> None:
    """Put the items of these numbers into a slot; vacuum and analyze it."""
    options = "-c search_path=opstac,pgstac,public -c role=opstac_system -c synchronous_commit=off"
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, options=options) as conn:
        for first in range(begin, end, 500):
            numbers = range(first, min(end, first + 500))
            await writes.put_items(conn, slot, [item(number) for number in numbers])
        await conn.execute("reset role")
        await conn.execute("set role pgstac_admin")
        # as the database would by itself a minute later; it is the same tables for both
        await conn.execute("vacuum (analyze) pgstac.items")


async def prepare(dsn: str) -> str:
    """An organization with its projects and collections; its slot, empty."""
    options = "-c search_path=opstac,pgstac,public -c role=opstac_system -c synchronous_commit=off"
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, options=options) as conn:
        await conn.execute(
            "insert into organization (organization_id, name, slug) values (%s, 'Bench', 'bench')",
            (ORGANIZATION,),
        )
        row = await (
            await conn.execute(
                "update organization_slot set organization_id = %s where slot = (select min(slot)"
                " from organization_slot where not public) returning slot",
                (ORGANIZATION,),
            )
        ).fetchone()
        assert row is not None
        await conn.execute(
            "insert into project (id, organization_id, name) select"
            " 'proj_' || lpad(n::text, 3, '0'), %s, 'P' from generate_series(0, %s) n",
            (ORGANIZATION, PROJECTS - 1),
        )
        await conn.execute(
            "insert into collection (id, organization_id, project_id, slug, name) select"
            " 'col_' || lpad(n::text, 4, '0'), %s, 'proj_' || lpad((n %% %s)::text, 3, '0'),"
            " 'col_' || lpad(n::text, 4, '0'), 'C' from generate_series(0, %s) n",
            (ORGANIZATION, PROJECTS, COLLECTIONS - 1),
        )
        return str(row[0])


@contextmanager
def database(size: int, kept: Path | None) -> Iterator[tuple[str, str]]:
    """A database with so many items and its slot; in `kept`, where it is found again.

    One that was left half filled is filled on, and an earlier schema is brought up to this one.
    """
    if kept is None:
        with migrated_cluster() as cluster:
            slot = asyncio.run(prepare(cluster.dsn()))
            asyncio.run(fill(cluster.dsn(), slot, 0, size))
            yield cluster.dsn(), slot
        return
    folder = kept.absolute() / f"items-{size}"
    folder.mkdir(parents=True, exist_ok=True)
    note = folder / "filled.json"
    cluster = Cluster(folder / "postgres", disposable=True)
    cluster.start()
    try:
        migrate.migrate(cluster.dsn())
        if not note.is_file():
            note.write_text(json.dumps({"slot": asyncio.run(prepare(cluster.dsn())), "items": 0}))
        said = json.loads(note.read_text())
        for first in range(said["items"], size, 50_000):
            last = min(size, first + 50_000)
            asyncio.run(fill(cluster.dsn(), said["slot"], first, last))
            note.write_text(json.dumps({**said, "items": last}))
        yield cluster.dsn(), said["slot"]
    finally:
        cluster.stop()
