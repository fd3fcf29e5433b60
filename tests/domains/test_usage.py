"""Usage: what is done first appears in the figures, and nothing else does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from opstac import usage as counting

FIGURES = (
    "storage_bytes", "peak_storage_bytes", "tile_requests", "public_search_requests",
    "public_file_requests", "egress_bytes", "jobs", "compute_seconds", "credits_used",
)  # fmt: skip


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(counting, "FLUSH_SECONDS", 0.02)


RASTER = Path(__file__).parents[1] / "data" / "rasters" / "s2-flanders_2021-06_10m.tif"


async def upload(api, owner, project, name="scene"):
    """A raster brought in as any client does; the item and its assets."""
    body = {"project_id": project, "total_bytes": RASTER.stat().st_size}
    session = await api.ok("uploads.initiate", body, as_=owner)
    place = {"upload_id": session["id"], "file_name": "scene.tif"}
    url = (await api.ok("uploads.signed_url", place, as_=owner))["upload_url"]
    assert (await api.client.put(url, content=RASTER.read_bytes())).status_code == 201
    done = await api.ok("uploads.complete", {"upload_id": session["id"], "name": name}, as_=owner)
    return done["items"][0], done["assets"]


async def current(api, person):
    body = {"organization_id": person.organization_id}
    return await api.ok("usage.current", body, as_=person)


class Change:
    """What the figures rise by while something is done."""

    def __init__(self, api, person):
        self.api, self.person = api, person

    async def __aenter__(self):
        self.before = await current(self.api, self.person)
        self.by = {}
        return self

    async def __aexit__(self, *error):
        if error[0]:
            return

    async def settled(self, **expected):
        """Wait for the counted reads; the figures that changed must be exactly these."""
        for _ in range(200):
            now = await current(self.api, self.person)
            by = {k: now[k] - self.before[k] for k in FIGURES if now[k] != self.before[k]}
            if by == expected:
                break
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.06)  # nothing comes after
        now = await current(self.api, self.person)
        assert {k: now[k] - self.before[k] for k in FIGURES if now[k] != self.before[k]} == expected
        self.before = now


async def test_each_cause_is_in_its_figure_and_in_no_other(api):
    owner, other = await api.organization(), await api.organization()
    start = await current(api, owner)
    assert {k: start[k] for k in FIGURES} == dict.fromkeys(FIGURES, 0)
    assert start["organization_id"] == owner.organization_id and len(start["period"]) == 7
    project = await api.project(owner)
    change = Change(api, owner)
    async with change:
        item, [asset] = await upload(api, owner, project)
        size = asset["size_bytes"]
        stored = (await current(api, owner))["storage_bytes"]
        assert stored >= size  # the file; pictures of it are drawn by a worker
        await change.settled(storage_bytes=stored, peak_storage_bytes=stored)

        headers = {"Authorization": f"Bearer {owner.token}"}
        tile = f"/api/v1/items/{item['id']}/tiles/0/0/0.png"
        for path in (tile, tile, "/api/v1/items/it_no/tiles/0/0/0.png"):
            await api.client.get(path, headers=headers)
        await api.ok("items.tile.tilejson", {"item_id": item["id"]}, as_=owner)
        await change.settled(tile_requests=2)
        render = {"item_id": item["id"], "z": 0, "x": 0, "y": 0}
        assert (await api.call("items.tile.render", render, as_=owner)).status_code == 200
        await change.settled(tile_requests=1)

        link = {"item_id": item["id"], "asset_id": asset["id"]}
        await api.ok("items.asset.download", link, as_=owner)
        await change.settled(egress_bytes=size)
        await api.refused(404, "items.asset.download", {**link, "asset_id": "as_no"}, as_=owner)
        # by an address that leads to the file, what is sent counts, piece by piece
        led = await api.client.get(f"/v2/assets/{asset['id']}", headers=headers)
        await change.settled()
        at = led.headers["location"]
        assert len((await api.client.get(at, headers={"Range": "bytes=0-99"})).content) == 100
        assert (await api.client.head(at)).status_code == 200
        await change.settled(egress_bytes=100)
        await api.client.get(at)
        await change.settled(egress_bytes=size)
        forged = at.replace("payer=", "payer=b3Ro")
        assert (await api.client.get(forged)).status_code == 403
        unpaid = "&".join(p for p in at.split("&") if not p.startswith("payer="))
        assert (await api.client.get(unpaid)).status_code == 403

        # a copy has the same file; it goes with the last that names it
        copy = await api.ok(
            "items.duplicate", {"item_id": item["id"], "target_project_id": project}, as_=owner
        )
        both = (await current(api, owner))["storage_bytes"]
        assert stored <= both < stored + size  # its own pictures at most
        await change.settled(storage_bytes=both - stored, peak_storage_bytes=both - stored)
        copied = await api.ok("items.list_assets", {"item_id": copy["id"]}, as_=owner)
        freed = []
        for one, asset_id in ((item, asset["id"]), (copy, copied["assets"][0]["id"])):
            file = {"item_id": one["id"], "asset_id": asset_id}
            gone = await api.ok("assets.delete", file, as_=owner)
            freed.append(gone["freed_bytes"])
        assert freed == [0, size]
        for one in (item, copy):
            await api.ok("items.delete", {"item_id": one["id"]}, as_=owner)
        await change.settled(storage_bytes=-both)
    seen = await current(api, other)
    assert {k: seen[k] for k in FIGURES} == dict.fromkeys(FIGURES, 0)


async def test_jobs_compute_and_credits_count_in_the_month_they_end(api, stock):
    owner = await api.organization()
    project = await api.project(owner)
    done, failed, now = (stock.job(owner, project, s) for s in ("completed", "failed", "running"))
    seconds = {done: 90, failed: 30}
    for job, took in seconds.items():
        api.sql(
            "update job set started_at = now() - make_interval(secs => %s), completed_at = now()"
            " where id = %s", took, job,
        )  # fmt: skip
    api.sql("update job set started_at = now() - interval '1 hour' where id = %s", now)
    figures = await current(api, owner)
    assert (figures["jobs"], figures["compute_seconds"]) == (1, 120)

    from ops_gateway.kernel.context import Principal

    platform = Principal(kind="service", id="test", organization_id=owner.organization_id)

    async def post(work):
        return await api.platform.pipeline.act("test.money", platform, work)

    async def hold(ctx):
        return [ctx.hold(50), ctx.hold(7), ctx.hold(9)]

    held = await post(hold)

    async def end(ctx):
        ctx.settle(held[0], 20)
        ctx.void(held[1])

    await post(end)
    assert (await current(api, owner))["credits_used"] == 20  # neither what is held nor given back


async def history(api, owner, months=3):
    body = {"organization_id": owner.organization_id, "months": months}
    return (await api.ok("usage.history", body, as_=owner))["months"]


async def test_months_are_those_of_utc_and_carry_what_is_stored(api, stock):
    owner, org = (o := await api.organization()), o.organization_id
    project = await api.project(owner)
    [edge] = api.sql("select date_trunc('month', now() at time zone 'UTC') as month")
    month = edge["month"]

    def day(metric, value, where):
        api.sql(
            "insert into usage_counter (organization_id, metric, value, day)"
            f" values (%s, %s, %s, {where})",
            org, metric, value, month,
        )  # fmt: skip

    day("tile_requests", 5, "%s::date")
    day("tile_requests", 7, "%s::date - 1")
    day("tile_requests", 11, "(%s - interval '1 month')::date")
    day("egress_bytes", 13, "(%s - interval '1 month')::date - 1")
    # three months ago 100 bytes were stored at the end of a day that had seen 300
    day("storage_bytes", 100, "(%s - interval '3 months')::date + 4")
    day("storage_peak_bytes", 300, "(%s - interval '3 months')::date + 4")
    for moment in ("%s", "%s - interval '1 microsecond'"):
        job = stock.job(owner, project, "completed")
        api.sql(
            f"update job set completed_at = ({moment}) at time zone 'UTC',"
            f" started_at = ({moment}) at time zone 'UTC' where id = %s", month, month, job,
        )  # fmt: skip
    found = await history(api, owner, 5)
    assert [row["month"] for row in found] == sorted({row["month"] for row in found}, reverse=True)
    assert len(found) == 5 and found[0]["month"] == month.strftime("%Y-%m")
    assert [row["tile_requests"] for row in found] == [5, 18, 0, 0, 0]
    assert [row["egress_bytes"] for row in found] == [0, 0, 13, 0, 0]
    assert [row["jobs"] for row in found] == [1, 1, 0, 0, 0]
    assert [row["storage_bytes"] for row in found] == [0, 100, 100, 100, 0]
    assert [row["peak_storage_bytes"] for row in found] == [0, 100, 100, 300, 0]
    assert len(await history(api, owner)) == 3
    assert len(await history(api, owner, -1)) == 1 and len(await history(api, owner, 10**6)) == 36


async def test_the_most_stored_of_a_day_is_kept(api, stock):
    owner = await api.organization()

    def store(size):
        api.sql(
            "update organization set storage_used_bytes = %s where organization_id = %s",
            size, owner.organization_id,
        )  # fmt: skip

    for size in (10, 500, 20):
        store(size)
    [month] = await history(api, owner, 1)
    assert (month["storage_bytes"], month["peak_storage_bytes"]) == (20, 500)


async def test_a_wrong_count_of_storage_is_put_right(api):
    owner, other = await api.organization(), await api.organization()
    project = await api.project(owner)
    item, _ = await upload(api, owner, project)
    await api.ok(
        "items.duplicate", {"item_id": item["id"], "target_project_id": project}, as_=owner
    )
    gone, _ = await upload(api, owner, project, "gone")
    await api.ok("items.delete", {"item_id": gone["id"]}, as_=owner)
    body = {"organization_id": owner.organization_id}
    right = (await current(api, owner))["storage_bytes"]
    assert right > 0
    same = await api.ok("usage.recalculate_storage", body, as_=owner)
    assert same == {**body, "storage_bytes": right, "previous_bytes": right}
    api.sql(
        "update organization set storage_used_bytes = storage_used_bytes + 12345"
        " where organization_id = %s", owner.organization_id,
    )  # fmt: skip
    put = await api.ok("usage.recalculate_storage", body, as_=owner)
    assert put == {**body, "storage_bytes": right, "previous_bytes": right + 12345}
    assert (await current(api, owner))["storage_bytes"] == right
    assert (await current(api, other))["storage_bytes"] == 0
    # an upload under way keeps its room
    api.sql(
        "update organization set storage_used_bytes = 0, storage_quota_bytes = 10"
        " where organization_id = %s", owner.organization_id,
    )  # fmt: skip
    problem = await api.refused(409, "usage.recalculate_storage", body, as_=owner)
    assert str(right) in problem["detail"]


async def test_recounting_beside_uploads_loses_nothing(api):
    owner = await api.organization()
    project = await api.project(owner)
    body = {"organization_id": owner.organization_id}

    async def recount():
        for _ in range(6):
            await api.ok("usage.recalculate_storage", body, as_=owner)

    async def bring(n):
        item, _ = await upload(api, owner, project, f"s{n}")
        if n % 2:
            await api.ok("items.delete", {"item_id": item["id"]}, as_=owner)

    await asyncio.gather(recount(), recount(), *(bring(n) for n in range(4)))
    last = await api.ok("usage.recalculate_storage", body, as_=owner)
    assert last["storage_bytes"] == last["previous_bytes"] > 0


async def test_who_may_ask(api):
    owner, other = await api.organization(), await api.organization()
    member = await api.member(owner, "member")
    mine, theirs = ({"organization_id": who.organization_id} for who in (owner, other))
    for op in ("usage.current", "usage.history", "usage.recalculate_storage"):
        await api.refused(404, op, theirs, as_=owner)
        await api.refused(404, op, {"organization_id": "org_no"}, as_=owner)
        await api.refused(422, op, {}, as_=owner)
        await api.refused(401, op, mine)
        await api.refused(403, op, mine, as_=api.user())
    await api.ok("usage.current", mine, as_=member)
    await api.refused(403, "usage.recalculate_storage", mine, as_=member)
    got = await api.client.get(
        f"/v1/usage/current?organization_id={owner.organization_id}",
        headers={"Authorization": f"Bearer {owner.token}"},
    )
    assert got.status_code == 200 and got.json()["tile_requests"] == 0
