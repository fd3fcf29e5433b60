"""An organization with so many items that they are removed in batches."""

from __future__ import annotations

from db.pool import make_pool
from opstac import removing
from stac_api.search import COUNTED_EXACTLY

# with the few besides no more than a search counts: of more it tells what the planner expects
MANY, BATCH = COUNTED_EXACTLY - 100, 150

ITEMS = """
with made as (
  insert into item (id, organization_id, project_id, collection_id, stac_id, type, name, datetime)
  select 'it_' || %(k)s || n, %(o)s, %(p)s, nullif(%(c)s, ''), 'scene_' || n, 'user_raster',
         'scene ' || n, '2026-01-01'
  from generate_series(1, %(n)s) n
  returning id
)
insert into asset (id, organization_id, item_id, key, object_path, media_type, size_bytes,
                   checksum, band_count, band_names, width, height, epsg, dtype, is_cog)
select 'as_' || id, %(o)s, id, 'data', %(o)s || '/' || id || '.tif', 'image/tiff', 10,
       'sha256:0', 1, '{b1}', 10, 10, 4326, 'uint8', true
from made
"""
DOCUMENTS = """
select opstac.put_items(s.slot, jsonb_agg(jsonb_build_object(
  'type', 'Feature', 'stac_version', '1.0.0', 'id', i.id, 'assets', '{}'::jsonb,
  'links', '[]'::jsonb, 'bbox', '[1, 2, 1, 2]'::jsonb,
  'geometry', '{"type": "Point", "coordinates": [1, 2]}'::jsonb,
  'properties', jsonb_build_object('datetime', '2026-01-01T00:00:00Z',
    'opstac:project', i.project_id,
    'opstac:collection', coalesce(i.collection_id, i.project_id), 'opstac:stac_id', i.stac_id))))
from item i join organization_slot s on s.organization_id = i.organization_id
where i.organization_id = %s and i.project_id = %s
  and i.collection_id is not distinct from nullif(%s, '')
group by s.slot
"""


class Stored:
    """An organization with a project and a collection of many items."""

    def __init__(self, api, owner, project: str, collection: str) -> None:
        self.api, self.owner, self.project, self.collection = api, owner, project, collection

    def fill(self, count: int = MANY, collection: str | None = None, project: str = "") -> None:
        """Items with an asset and a document each, of ten bytes."""
        names = {
            "o": self.owner.organization_id,
            "p": project or self.project,
            "c": self.collection if collection is None else collection,
        }
        names["k"] = names["c"] or names["p"]
        statement = ITEMS.replace("%(n)s", str(count))
        for name, value in names.items():
            statement = statement.replace(f"%({name})s", f"'{value}'")
        self.api.sql(statement)
        self.api.sql(DOCUMENTS, names["o"], names["p"], names["c"])
        # without statistics it may take counting for dear
        self.api.sql(f"analyze {self.partition()}", role="opstac_owner")
        self.api.sql(
            "update organization set storage_used_bytes = storage_used_bytes + %s"
            " where organization_id = %s",
            10 * count,
            names["o"],
        )

    def count(self) -> dict[str, int]:
        """What the tables hold, whoever may see it."""
        (row,) = self.api.sql(
            """
            select count(*) filter (where i.deleted_at is null) as items,
                   (select count(*) from asset a where a.organization_id = %(o)s
                    and a.deleted_at is null) as assets,
                   (select count(*) from removal r where r.organization_id = %(o)s) as removals,
                   (select storage_used_bytes from organization o
                    where o.organization_id = %(o)s) as bytes,
                   (select count(*) from event e where e.organization_id = %(o)s
                    and e.type = 'item.deleted') as events,
                   (select count(distinct entity_id) from event e where e.organization_id = %(o)s
                    and e.type = 'item.deleted') as told
            from (select set_config('opstac.removing', 'on', true)) s, item i
            where i.organization_id = %(o)s
            """.replace("%(o)s", f"'{self.owner.organization_id}'")
        )
        return row

    def partition(self) -> str:
        """The table of the organization's documents."""
        (row,) = self.api.sql(
            "select i.tableoid::regclass::text as name from pgstac.items i"
            " join opstac.organization_slot s on s.slot = i.collection"
            " where s.organization_id = %s limit 1",
            self.owner.organization_id,
            role="opstac_owner",
        )
        return row["name"]

    def documents(self) -> int:
        """How many documents the organization's slot has."""
        (row,) = self.api.sql(
            "select count(*) as n from pgstac.items i join opstac.organization_slot s"
            " on s.slot = i.collection where s.organization_id = %s",
            self.owner.organization_id,
            role="opstac_owner",
        )
        return row["n"]

    async def settle(self) -> None:
        """Have the tables look as they do some time after they were filled."""
        self.api.sql("vacuum analyze item", role="opstac_owner")
        for _ in range(50):  # what is committed and not yet on the disk is too new for a vacuum
            self.api.sql(
                "update project set updated_at = now() where id = %s"
                " and set_config('synchronous_commit', 'on', true) = 'on'",
                self.project,
            )
            self.api.sql("vacuum (analyze, index_cleanup on) asset", role="opstac_owner")
            (row,) = self.api.sql(
                "select relallvisible < relpages as new from pg_class where oid = 'asset'::regclass"
            )
            if not row["new"]:
                return

    async def sweep(self, **how) -> int:
        """A round of the chore."""
        settings = self.api.platform.settings
        async with make_pool(settings.dsn, "opstac_system") as pool:
            return await removing.sweep(self.api.platform.pipeline, pool, limit=BATCH, **how)

    async def seen(self, item_id: str) -> dict[str, object]:
        """How much of the items shows, by every door, to the owner of the organization."""
        api, owner = self.api, self.owner
        headers = {"Authorization": f"Bearer {owner.token}"}
        got = await api.call("items.get", {"item_id": item_id}, as_=owner)
        found = await api.ok("stac.search", {"limit": 5}, as_=owner)
        counted = await api.client.get(
            "/assets/stac/aggregate", params={"aggregations": "total_count"}, headers=headers
        )
        place = {"item_id": item_id, "z": 0, "x": 0, "y": 0}
        tile = await api.call("items.tile.render", place, as_=owner)
        asset = await api.client.get(f"/v2/assets/as_{item_id}", headers=headers)
        described = await api.client.get("/assets/stac/queryables", headers=headers)
        assert described.status_code == 200
        return {
            "get": got.status_code,
            "search": found["numberMatched"],
            "counted": counted.json()["aggregations"][0]["value"],
            "tile": tile.status_code,
            "asset": asset.status_code,
        }
