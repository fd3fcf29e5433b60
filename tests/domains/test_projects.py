"""Projects, their members, and what goes with one that is deleted."""

from __future__ import annotations

import asyncio

import pytest

from ops_gateway.kernel.removal import sweep_objects


async def member_of(api, owner, project, role):
    """A person of the organization with a role in one project and no say in the organization."""
    person = await api.member(owner, "member")
    await api.ok(
        "projects.add_member",
        {"project_id": project, "user_id": person.user_id, "role": role},
        as_=owner,
    )
    return person


async def test_a_project_is_made_read_and_listed(api):
    owner = await api.organization()
    made = await api.ok(
        "projects.create", {"name": "Harbour", "gcs_region": "europe-west1"}, as_=owner
    )
    assert made["organization_id"] == owner.organization_id
    assert made["gcs_region"] == "europe-west1" and made["is_archived"] is False
    assert made["created_at"].endswith("Z")
    assert (await api.ok("projects.get", {"project_id": made["id"]}, as_=owner))["project"] == made
    listed = await api.ok("projects.list", as_=owner)
    assert listed == {"projects": [made], "count": 1, "total": 1, "limit": 100, "offset": 0}
    members = (await api.ok("projects.members.list", {"project_id": made["id"]}, as_=owner))[
        "members"
    ]
    assert [(m["user_id"], m["role"], m["added_by"]) for m in members] == [
        (owner.user_id, "owner", owner.user_id)
    ]
    response = await api.client.get(
        f"/v1/projects/{made['id']}", headers={"X-API-Key": owner.token}
    )
    assert response.json()["project"]["id"] == made["id"]


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": "n" * 256}, {"name": "x", "gcs_region": "moon"}]
)
async def test_a_project_that_cannot_be_is_refused(api, body):
    await api.refused(422, "projects.create", body, as_=await api.organization())


async def test_pages_of_projects_are_the_whole_without_repeats(api):
    owner = await api.organization()
    made = {await api.project(owner, f"p{n}") for n in range(5)}
    seen = []
    for offset in range(0, 6, 2):
        page = await api.ok("projects.list", {"limit": 2, "offset": offset}, as_=owner)
        assert page["total"] == 5
        seen += [p["id"] for p in page["projects"]]
    assert sorted(seen) == sorted(made)


async def test_an_update_changes_what_it_names_and_null_is_absent(api):
    owner = await api.organization()
    project = await api.project(owner)
    await api.ok("projects.update", {"project_id": project, "description": "tides"}, as_=owner)
    changed = await api.ok(
        "projects.update", {"projectId": project, "name": "Port", "description": None}, as_=owner
    )
    assert (changed["name"], changed["description"]) == ("Port", "tides")


async def test_an_archived_project_leaves_the_list_and_comes_back(api):
    owner = await api.organization()
    project = await api.project(owner)
    assert (await api.ok("projects.archive", {"project_id": project}, as_=owner))[
        "is_archived"
    ] is True
    assert (await api.ok("projects.list", as_=owner))["total"] == 0
    assert (await api.ok("projects.list", {"include_archived": True}, as_=owner))["total"] == 1
    assert (await api.ok("projects.get", {"project_id": project}, as_=owner))["project"][
        "is_archived"
    ] is True
    back = await api.ok(
        "projects.archive", {"project_id": project, "is_archived": False}, as_=owner
    )
    assert back["is_archived"] is False


async def test_roles_decide_who_changes_a_project(api):
    owner = await api.organization()
    project = await api.project(owner)
    outsider = await api.member(owner, "member")
    stranger = await api.organization("Other")
    change = {"project_id": project, "name": "New"}
    for role, status in [("viewer", 403), ("editor", 403), ("admin", 200), ("owner", 200)]:
        person = await member_of(api, owner, project, role)
        assert (await api.call("projects.update", change, as_=person)).status_code == status, role
        assert (
            await api.call("projects.get", {"project_id": project}, as_=person)
        ).status_code == 200
    await api.refused(403, "projects.get", {"project_id": project}, as_=outsider)
    await api.refused(403, "projects.update", change, as_=outsider)
    unknown = await api.refused(404, "projects.get", {"project_id": "proj_missing"}, as_=stranger)
    foreign = await api.refused(404, "projects.get", {"project_id": project}, as_=stranger)
    assert {**unknown, "instance": ""} == {**foreign, "instance": ""}
    assert (await api.ok("projects.list", as_=outsider))["projects"] == []


async def test_a_key_is_editor_unless_it_has_all_of_projects(api):
    owner = await api.organization()
    project = await api.project(owner)
    writer, manager = await api.key(owner, "projects:write"), await api.key(owner, "projects:*")
    await api.refused(403, "projects.update", {"project_id": project, "name": "x"}, as_=writer)
    await api.ok("projects.update", {"project_id": project, "name": "x"}, as_=manager)
    made = await api.ok("projects.create", {"name": "by key"}, as_=writer)
    members = await api.ok("projects.members.list", {"project_id": made["id"]}, as_=manager)
    assert members["count"] == 0


async def test_members_come_change_and_go(api):
    owner = await api.organization()
    project = await api.project(owner)
    person = await api.member(owner, "member")
    who = {"project_id": project, "user_id": person.user_id}
    added = await api.ok("projects.add_member", who, as_=owner)
    assert (added["role"], added["added_by"], added["project_id"]) == (
        "editor",
        owner.user_id,
        project,
    )
    await api.refused(409, "projects.add_member", who, as_=owner)
    assert (await api.ok("projects.update_member", {**who, "role": "viewer"}, as_=owner))[
        "role"
    ] == "viewer"
    await api.refused(422, "projects.update_member", {**who, "role": "king"}, as_=owner)
    assert await api.ok("projects.remove_member", who, as_=owner) == {"ok": True}
    await api.refused(403, "projects.get", {"project_id": project}, as_=person)
    await api.refused(404, "projects.remove_member", who, as_=owner)
    await api.refused(404, "projects.update_member", {**who, "role": "viewer"}, as_=owner)


async def test_nobody_from_outside_the_organization_becomes_a_member(api):
    owner, other = await api.organization(), await api.organization("Other")
    project = await api.project(owner)
    for user in (
        other.user_id,
        api.user().user_id,
        "not-a-uuid",
        "00000000-0000-0000-0000-000000000000",
    ):
        problem = await api.refused(
            404, "projects.add_member", {"project_id": project, "user_id": user}, as_=owner
        )
        assert problem["detail"] == "user not found"


async def test_a_project_keeps_its_last_owner(api):
    owner = await api.organization()
    project = await api.project(owner)
    me = {"project_id": project, "user_id": owner.user_id}
    await api.refused(409, "projects.remove_member", me, as_=owner)
    await api.refused(409, "projects.update_member", {**me, "role": "admin"}, as_=owner)
    await api.ok("projects.update_member", {**me, "role": "owner"}, as_=owner)
    await member_of(api, owner, project, "owner")
    await api.ok("projects.remove_member", me, as_=owner)


async def test_two_owners_who_remove_each_other_leave_one(api):
    owner = await api.organization()
    for _ in range(5):
        project = await api.project(owner)
        a, b = [await member_of(api, owner, project, "owner") for _ in range(2)]
        await api.ok(
            "projects.remove_member", {"project_id": project, "user_id": owner.user_id}, as_=owner
        )
        answers = await asyncio.gather(
            api.call(
                "projects.remove_member", {"project_id": project, "user_id": b.user_id}, as_=a
            ),
            api.call(
                "projects.remove_member", {"project_id": project, "user_id": a.user_id}, as_=b
            ),
        )
        assert sorted(r.status_code for r in answers) == [200, 409], [r.text for r in answers]


async def test_only_owners_make_and_unmake_owners(api):
    owner = await api.organization()
    project = await api.project(owner)
    admin, friend = await member_of(api, owner, project, "admin"), await api.member(owner, "member")
    await api.refused(
        403,
        "projects.add_member",
        {"project_id": project, "user_id": friend.user_id, "role": "owner"},
        as_=admin,
    )
    await api.ok(
        "projects.add_member",
        {"project_id": project, "user_id": friend.user_id, "role": "admin"},
        as_=admin,
    )
    await api.refused(
        403,
        "projects.update_member",
        {"project_id": project, "user_id": admin.user_id, "role": "owner"},
        as_=admin,
    )
    await api.refused(
        403, "projects.remove_member", {"project_id": project, "user_id": owner.user_id}, as_=admin
    )


async def test_deleting_takes_items_assets_and_objects_along(api, stock):
    owner = await api.organization()
    project, kept = await api.project(owner), await api.project(owner, "kept")
    collection = stock.collection(owner, project)
    items = [
        await stock.item(owner, project, collection_id=collection),
        await stock.item(owner, project),
    ]
    other = await stock.item(owner, kept)
    # a copy in another project shares the object of the first item
    stock.asset(owner, other["id"], items[0]["path"], key="copy")
    upload = stock.upload(owner, project, reserved=500)
    answer = await api.ok("projects.delete", {"project_id": project}, as_=owner)
    assert answer == {"deleted": True, "project_id": project, "storage_freed_bytes": 1000}
    await api.refused(404, "projects.get", {"project_id": project}, as_=owner)
    await api.refused(404, "projects.delete", {"project_id": project}, as_=owner)
    assert stock.stored(owner) == {other["id"]}
    objects = api.platform.services.objects
    assert await objects.head(items[1]["path"]) is None
    assert await objects.head(items[0]["path"]) and await objects.head(other["path"])
    left = api.sql(
        "select (select count(*) from item where organization_id = %(o)s and deleted_at is"
        " null) as items,"
        " (select count(*) from asset where organization_id = %(o)s and deleted_at is null)"
        " as assets,"
        " (select count(*) from collection where organization_id = %(o)s and deleted_at is"
        " null) as collections,"
        " (select storage_used_bytes from organization where organization_id = %(o)s) as used,"
        " (select storage_reserved_bytes from organization where organization_id = %(o)s)"
        " as reserved,"
        " (select status from upload where id = %(u)s) as upload".replace(
            "%(o)s", f"'{owner.organization_id}'"
        ).replace("%(u)s", f"'{upload}'")
    )
    assert left == [
        {"items": 1, "assets": 2, "collections": 0, "used": 2000, "reserved": 0, "upload": "failed"}
    ]
    events = api.sql(
        "select entity_id from event where organization_id = %s and type = 'item.deleted'",
        owner.organization_id,
    )
    assert {e["entity_id"] for e in events} == {i["id"] for i in items}


async def test_an_object_that_could_not_be_removed_is_swept_up_later(api, stock, monkeypatch):
    owner = await api.organization()
    project = await api.project(owner)
    item = await stock.item(owner, project)
    objects = api.platform.services.objects
    with monkeypatch.context() as patch:

        async def refuse(path):
            raise OSError("storage is away")

        patch.setattr(objects, "delete", refuse)
        await api.ok("projects.delete", {"project_id": project}, as_=owner)
    assert await objects.head(item["path"])
    from db.pool import make_pool

    async with make_pool(api.platform.settings.dsn, "opstac_system") as pool:
        assert await sweep_objects(pool, objects, after_seconds=0) >= 1
        assert await objects.head(item["path"]) is None
        assert await sweep_objects(pool, objects, after_seconds=0) == 0


async def test_jobs_of_a_deleted_project_end_and_give_their_credits_back(api, stock):
    owner = await api.organization()
    project = await api.project(owner)
    holds = {}

    async def reserve(ctx):
        holds["waiting"], holds["running"] = ctx.hold(100), ctx.hold(50)

    await api.platform.pipeline.act("tests.hold", stock.platform_of(owner), reserve)
    waiting = stock.job(owner, project, "dispatched", holds["waiting"])
    running = stock.job(owner, project, "running", holds["running"])
    before = await api.ok("billing.credits.balance", as_=owner)
    assert (before["reserved"], before["balance"]) == (150, 1000)
    await api.ok("projects.delete", {"project_id": project}, as_=owner)
    assert (await api.ok("billing.credits.balance", as_=owner))["reserved"] == 50
    jobs = {
        j["id"]: j
        for j in api.sql(
            "select id, status, cancel_requested from job where project_id = %s", project
        )
    }
    assert jobs[waiting]["status"] == "cancelled"
    assert (jobs[running]["status"], jobs[running]["cancel_requested"]) == ("running", True)


async def test_a_deleted_project_takes_nothing_in(api, stock):
    owner = await api.organization()
    project = await api.project(owner)
    await api.ok("projects.delete", {"project_id": project}, as_=owner)
    for put in (stock.job, stock.upload, stock.collection):
        with pytest.raises(Exception, match="is deleted"):
            put(owner, project)
    person = await api.member(owner, "member")
    await api.refused(
        404, "projects.add_member", {"project_id": project, "user_id": person.user_id}, as_=owner
    )
    await api.refused(404, "projects.members.list", {"project_id": project}, as_=owner)


async def test_a_repeated_deletion_with_its_key_replays(api):
    owner = await api.organization()
    project = await api.project(owner)
    first = await api.call("projects.delete", {"project_id": project}, as_=owner, key="once")
    again = await api.call("projects.delete", {"project_id": project}, as_=owner, key="once")
    assert first.content == again.content and again.headers["idempotent-replayed"] == "true"
