"""Stored bytes: whatever is done in whatever order, what is counted is what is there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import db
from db.pool import make_pool
from ops_gateway.catalogue import removals
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.removal import sweep_objects
from opstac import removing
from stac_api import writes

MIGRATIONS = Path(db.__file__).parent / "migrations"


class Store:
    """An organization whose items have files of their own and of each other's."""

    def __init__(self, api, owner) -> None:
        self.api, self.owner, self.org = api, owner, owner.organization_id
        self.projects: list[str] = []
        self.collections: list[tuple[str, str]] = []
        self.items: list[tuple[str, str]] = []

    async def ok(self, op: str, **body):
        return await self.api.ok(op, body, as_=self.owner)

    async def project(self) -> str:
        made = await self.api.project(self.owner, f"p{len(self.projects)}")
        self.projects.append(made)
        return made

    async def collection(self, project: str) -> str:
        made = await self.ok("collections.create", project_id=project, name=new_id("c"))
        self.collections.append((project, made["id"]))
        return made["id"]

    async def item(self, project: str, collection: str | None = None, files: int = 1) -> str:
        """An item with files, stored and counted as an upload does it."""
        body = {"name": "s", "type": "user_raster", "project_id": project}
        made = await self.ok("items.create", **body, collection_id=collection)
        for number in range(files):
            path, size = f"{self.org}/{new_id('f')}.tif", 100 + 11 * number
            await self.api.platform.services.objects.put(path, b"x" * size)
            self.api.sql(
                "with a as (insert into asset (id, organization_id, item_id, key, object_path,"
                " media_type, size_bytes, checksum) values (%s, %s, %s, %s, %s, 'image/tiff', %s,"
                " 'sha256:0')) update organization set storage_used_bytes = storage_used_bytes + %s"
                " where organization_id = %s",
                new_id("as"), self.org, made["id"], f"k{number}", path, size, size, self.org,
            )  # fmt: skip
        self.items.append((project, made["id"]))
        return made["id"]

    async def copy(self, item: str, project: str) -> str:
        body = {"item_id": item, "target_project_id": project}
        made = (await self.ok("items.duplicate", **body))["id"]
        self.items.append((project, made))
        return made

    async def assets(self, item: str) -> list[dict]:
        return (await self.ok("items.list_assets", item_id=item))["assets"]

    def truth(self, which: str = "counted") -> int:
        """Bytes of the files that assets name, each file once.

        Args:
            which: `there` are all of them, also those of what is being removed; `counted` those
                that are not of a deleted project; `seen` those that somebody can see.
        """
        (row,) = self.api.sql(
            "select coalesce(sum(size_bytes), 0)::int as n from (select distinct on (object_path)"
            " size_bytes from asset a join project p on p.id = a.project_id"
            " where a.organization_id = %(org)s and a.deleted_at is null"
            " and object_path is not null and case %(which)s when 'there' then true"
            " when 'counted' then p.deleted_at is null else exists (select from item i"
            " where i.id = a.item_id and i.deleted_at is null) end order by object_path) f".replace(
                "%(org)s", f"'{self.org}'"
            ).replace("%(which)s", f"'{which}'")
        )
        return row["n"]

    def expected(self) -> dict[str, int]:
        """What `counted` is to be: the ledger tells of files, and follows them."""
        used = dict.fromkeys(("usage", "status", "counter"), self.truth())
        (row,) = self.api.sql(
            "select coalesce(sum(u.total_bytes), 0)::int as n from upload u join project p"
            " on p.id = u.project_id where u.organization_id = %s and p.deleted_at is null",
            self.org,
        )
        return {**used, "ledger": self.truth("there"), "reserved": row["n"]}

    async def counted(self) -> dict[str, int]:
        """The same as everything that counts has it."""
        used = await self.ok("usage.current", organization_id=self.org)
        status = await self.ok("billing.status.get", organization_id=self.org)
        (row,) = self.api.sql(
            "select storage_used_bytes::int as n, storage_reserved_bytes::int as reserved,"
            " (select coalesce(sum(bytes_delta), 0)::int"
            " from storage_entry e where e.organization_id = o.organization_id) as ledger"
            " from organization o where organization_id = %s",
            self.org,
        )
        return {
            "usage": used["storage_bytes"],
            "status": status["usage"]["storage_bytes"],
            "counter": row["n"],
            "ledger": row["ledger"],
            "reserved": row["reserved"],
        }

    async def finish(self) -> None:
        """All that the maintenance loop does."""
        settings = self.api.platform.settings
        async with make_pool(settings.dsn, "opstac_system", min_size=1, max_size=2) as system:
            while await removing.sweep(self.api.platform.pipeline, system, limit=2):
                pass
            await sweep_objects(system, self.api.platform.services.objects, after_seconds=0)

    async def batch(self, killed: bool = False) -> None:
        """One batch of the oldest deletion under way; `killed`: it dies when its files are gone."""
        settings, pipeline = self.api.platform.settings, self.api.platform.pipeline

        async def die(*_: object) -> None:
            raise RuntimeError("killed")

        async with make_pool(settings.dsn, "opstac_system", min_size=1, max_size=2) as system:
            remove, writes.remove_items = (
                writes.remove_items,
                die if killed else writes.remove_items,
            )
            try:
                await removing.sweep(pipeline, system, limit=2, seconds=0)
            finally:
                writes.remove_items = remove

    def on_disk(self) -> int:
        root = self.api.platform.services.objects.local_file("x").parent / self.org
        return sum(f.stat().st_size for f in root.rglob("*") if f.is_file())

    async def check(self) -> None:
        """What counts is right now, and with all swept up what is seen is all there is."""
        seen = self.truth("seen")
        assert await self.counted() == self.expected()
        await self.finish()
        assert await self.counted() == self.expected()
        assert self.on_disk() == self.truth("there") == self.truth() == seen


@pytest.fixture
async def store(api) -> Store:
    return Store(api, await api.organization())


async def test_a_deleted_item_lets_go_of_its_files(store):
    project = await store.project()
    first = await store.item(project, files=2)
    copy = await store.copy(first, project)
    assert store.truth() == 211
    await store.ok("items.delete", item_id=first)
    assert (await store.counted())["usage"] == 211  # the copy has them
    await store.ok("items.delete", item_id=copy)
    assert not any((await store.counted()).values())
    await store.check()
    assert store.on_disk() == 0


async def test_those_who_let_go_of_a_file_at_once_free_it_once(store):
    project, other = await store.project(), await store.project()
    for _ in range(3):
        first = await store.item(project, files=2)
        copies = [await store.copy(first, p) for p in (project, other, other)]
        asset = max(await store.assets(copies[0]), key=lambda asset: asset["size_bytes"])
        await asyncio.gather(
            *(store.ok("items.delete", item_id=i) for i in (first, *copies[1:])),
            store.ok("assets.delete", item_id=copies[0], asset_id=asset["id"]),
        )
        assert store.truth() == 100  # the other file of the item that lost one
        await store.check()
        await store.ok("items.delete", item_id=copies[0])


async def test_projects_that_share_files_are_deleted_at_once_amid_all_else(store, monkeypatch):
    monkeypatch.setattr(removals, "BATCH", 2)
    for _ in range(2):
        first, second, kept = [await store.project() for _ in range(3)]
        made = [await store.item(first) for _ in range(5)]
        copies = [await store.copy(item, second) for item in made]
        await store.copy(made[4], kept)
        before, left = store.truth(), 100 * (len(store.projects) // 3)

        async def call(op: str, **body: str) -> dict[str, Any]:
            answer = await store.api.call(op, body, as_=store.owner)
            assert answer.status_code in (200, 404), answer.text
            return answer.json()

        answers = await asyncio.gather(
            call("projects.delete", project_id=first),
            call("items.duplicate", item_id=made[0], target_project_id=kept),
            call("usage.recalculate_storage", organization_id=store.org),
            call("projects.delete", project_id=second),
            call("items.delete", item_id=copies[1]),
            store.batch(),
            call("items.duplicate", item_id=copies[2], target_project_id=kept),
        )
        freed = sum(answers[n]["storage_freed_bytes"] for n in (0, 3))
        # whoever was the last to let go of the item that was deleted beside
        assert before - store.truth() - freed in (0, 100) and store.truth() >= left
        await store.check()


async def test_what_goes_while_its_project_does_is_freed_once(store, monkeypatch):
    monkeypatch.setattr(removals, "BATCH", 2)
    for _ in range(2):
        project, kept = await store.project(), await store.project()
        made = [await store.item(project) for _ in range(6)]
        await store.copy(made[0], kept)
        calls = [store.api.call("items.delete", {"item_id": i}, as_=store.owner) for i in made[:4]]
        gone = store.api.call("projects.delete", {"project_id": project}, as_=store.owner)
        answers = await asyncio.gather(*calls[:2], gone, *calls[2:])
        assert {a.status_code for a in answers} <= {200, 404}
        assert answers[2].status_code == 200
        await store.check()


Step = tuple[str, int, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("item", "copy", "project") * 3,
                *("move", "asset", "delete", "batch") * 2,
                *("upload", "collection", "sweep", "killed", "recount"),
            ]
        ),
        st.integers(0, 7),
        st.integers(0, 7),
    ),
    min_size=6,
    max_size=18,
)


async def take(store: Store, step: Step) -> None:
    """One thing that somebody does, as far as there is something to do it with."""
    what, one, two = step
    projects, items = store.projects, store.items
    if what == "sweep":
        return await store.finish()
    if what in ("batch", "killed"):
        return await store.batch(killed=what == "killed")
    if what == "recount":
        put = await store.ok("usage.recalculate_storage", organization_id=store.org)
        assert put["storage_bytes"] == put["previous_bytes"]
        return None
    if not projects or (what == "project" and one > 4):
        project = await store.project()
        await store.collection(project)
        return None
    project = projects[one % len(projects)]
    homes = [c for p, c in store.collections if p == project]
    home = homes[two % len(homes)] if homes and two % 3 else None
    if what == "upload":
        body = {"project_id": project, "file_count": 1, "total_bytes": 7 + one}
        await store.ok("uploads.initiate", **body)
    elif what == "item":
        await store.item(project, home, files=1 + two % 3)
    elif what == "project":
        before = await store.counted()
        gone = await store.ok("projects.delete", project_id=project)
        after = await store.counted()
        assert gone["storage_freed_bytes"] == before["counter"] - after["counter"]
        projects.remove(project)
        store.collections = [c for c in store.collections if c[0] != project]
        store.items = [i for i in items if i[0] != project]
    elif what == "collection" and homes:
        how = "delete" if two % 2 else "keep"
        inside = store.api.sql(
            "select id from item where collection_id = %s and deleted_at is null", homes[0]
        )
        body = {"project_id": project, "collection_id": homes[0], "items": how}
        await store.ok("collections.delete", **body)
        store.collections.remove((project, homes[0]))
        if how == "delete":
            ids = {row["id"] for row in inside}
            store.items = [i for i in items if i[1] not in ids]
    elif items:
        place, item = items[two % len(items)]
        if what == "copy":
            await store.copy(item, project)
        elif what == "move" and (own := [c for p, c in store.collections if p == place]):
            await store.ok("items.update", item_id=item, collection_id=own[one % len(own)])
        elif what == "delete":
            await store.ok("items.delete", item_id=item)
            items.remove((place, item))
        elif what == "asset" and (assets := await store.assets(item)):
            asset = assets[one % len(assets)]
            await store.ok("assets.delete", item_id=item, asset_id=asset["id"])
    return None


@pytest.fixture
def run_with(platform_on, dsn, tmp_path) -> Iterator[Callable[..., None]]:
    """Runs a coroutine on a store of its own; the platform is one for all of them."""
    with asyncio.Runner() as runner:
        platform = platform_on(dsn, tmp_path)
        api = runner.run(platform.__aenter__())

        async def whole(body: Callable[[Store], Awaitable[None]]) -> None:
            await body(Store(api, await api.organization()))

        yield lambda body: runner.run(whole(body))
        runner.run(platform.__aexit__(None, None, None))


@settings(
    max_examples=int(os.environ.get("OPSTAC_EXAMPLES", "8")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_whatever_is_done_what_is_counted_is_there(run_with, steps: list[Step]):
    async def history(store: Store) -> None:
        removals_before, removals.BATCH = removals.BATCH, 2
        try:
            for step in steps:
                await take(store, step)
                assert await store.counted() == store.expected(), step
            await store.check()
        finally:
            removals.BATCH = removals_before

    run_with(history)


async def test_files_of_items_deleted_by_an_earlier_version_go(store):
    project = await store.project()
    old, kept = await store.item(project, files=2), await store.item(project)
    shared = await store.item(project)
    await store.copy(shared, project)
    before = "update item set deleted_at = now(), lifecycle_state = 'deleted' where id = any(%s)"
    store.api.sql(before, [old, shared])
    assert (await store.counted())["usage"] == 411
    file = MIGRATIONS / "202611210600_catalog_files_of_deleted_items.sql"
    for _ in range(2):  # the second time there is nothing to do
        store.api.sql(f"begin; {file.read_text()}; commit", role="opstac_owner")
        assert (await store.counted())["usage"] == store.truth() == 200
    await store.check()
    assert await store.assets(kept)


async def test_what_earlier_versions_left_is_brought_to_what_this_one_expects(store, monkeypatch):
    """Assets that name no project, shared files that nobody noted, a deletion under way."""
    monkeypatch.setattr(removals, "BATCH", 2)
    project, kept = await store.project(), await store.project()
    made = [await store.item(project) for _ in range(5)]
    await store.copy(made[0], kept)
    await store.ok("projects.delete", project_id=project)
    shared = "select * from shared_object where organization_id = %s order by 1, 2"
    noted = store.api.sql(shared, store.org)
    two, six = (
        (MIGRATIONS / f"20261122{name}.sql").read_text()
        for name in ("1001_catalog_asset_projects_of_before", "1005_catalog_removals_of_before")
    )
    store.api.sql(
        "begin; alter table asset drop constraint asset_has_project;"
        " set local role opstac_system; update asset set project_id = null;"
        " delete from shared_object; update removal set taken_bytes = null;"
        " update organization set storage_used_bytes = storage_used_bytes + 7"
        f" where organization_id = '{store.org}'; set local role opstac_owner; {two};"
        " alter table asset add constraint asset_has_project check (project_id is not null)"
        f" not valid; {six}; commit",
        role="opstac_owner",
    )
    assert store.api.sql(shared, store.org) == noted and len(noted) == 2
    assert store.truth() == 100
    await store.check()
