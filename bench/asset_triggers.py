"""Assets inserted in bulk with the triggers of their table, against the same rows without.

    python bench/asset_triggers.py [--assets 10000] [--batch 500] [--rounds 3]

The triggers ask for pictures, look that no item is deleted, note which objects are shared, and keep
the ledger of stored bytes; each is called once a statement. Both kinds of assets are measured: with
objects of ours, which the ledger counts, and those that lie elsewhere, as an import of STAC items
brings them. Rounds take turns on a private PostgreSQL, each in a transaction that is rolled back.
Printed: medians of the rounds' ratios of the time with a trigger (each alone, and all of them) to
the time without any.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import psycopg

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from db.disposable import migrated_cluster  # noqa: E402

TRIGGERS = ("ask_for_picture", "items_are_live", "note_shared", "track_added")
SETUP = """
insert into organization (organization_id, name, slug) values ('org_b', 'b', 'b');
insert into project (id, organization_id, name) values ('proj_b', 'org_b', 'b');
insert into item (id, organization_id, project_id, stac_id, type, name, datetime)
select 'it_' || n, 'org_b', 'proj_b', 'it_' || n, 'user_raster', 's', now()
from generate_series(1, %(assets)s) n;
analyze;
"""
INSERT = """
insert into asset (id, organization_id, project_id, item_id, key, object_path, href, media_type,
                   size_bytes, checksum, band_count, band_names)
select 'as_' || n, 'org_b', 'proj_b', 'it_' || n, 'data',
       case when %(own)s then 'org_b/' || n || '.tif' end,
       case when not %(own)s then 'https://scenes.example/' || n || '.tif' end,
       'image/tiff', 1000, 'sha256:0', case when %(own)s then 4 end, '{b1,b2,b3,b4}'
from generate_series(%(first)s::int, %(last)s::int) n
"""


def insert(connection: psycopg.Connection, own: bool, on: tuple[str, ...], args) -> float:
    """Seconds for all the assets with only the triggers of `on`; nothing stays."""
    with connection.transaction(force_rollback=True):
        for trigger in TRIGGERS:
            how = "enable" if trigger in on else "disable"
            connection.execute(f"alter table asset {how} trigger {trigger}".encode())
        began = time.perf_counter()
        for first in range(1, args.assets + 1, args.batch):
            last = min(args.assets, first + args.batch - 1)
            connection.execute(INSERT.encode(), {"own": own, "first": first, "last": last})
        return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    kinds = {"none": (), **{name: (name,) for name in TRIGGERS}, "all": TRIGGERS}
    printed = {}
    options = "-c search_path=opstac"
    with (
        migrated_cluster() as cluster,
        psycopg.connect(
            cluster.superuser_dsn("opstac"), autocommit=True, options=options
        ) as connection,
    ):
        for statement in SETUP.replace("%(assets)s", str(args.assets)).strip().split(";"):
            if statement.strip():
                connection.execute(statement.encode())
        for name, own in (("objects", True), ("elsewhere", False)):
            insert(connection, own, TRIGGERS, args)  # caches
            ratios: dict[str, list[float]] = {kind: [] for kind in kinds}
            for _ in range(args.rounds):
                seconds = {kind: insert(connection, own, on, args) for kind, on in kinds.items()}
                for kind in kinds:
                    ratios[kind].append(seconds[kind] / seconds["none"])
            printed[name] = {
                kind: round(statistics.median(found), 2) for kind, found in ratios.items()
            }
    print(json.dumps({"assets": args.assets, "batch": args.batch, "ratios": printed}, indent=1))


if __name__ == "__main__":
    main()
