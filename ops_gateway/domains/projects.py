"""Projects: the boundary of access within an organization, with members and roles."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import Field

from db.queries import queries
from ops_gateway.catalogue import files, removals
from ops_gateway.domains import departures, jobs, uploads
from ops_gateway.kernel import access
from ops_gateway.kernel.context import ROLE_RANK, Context
from ops_gateway.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.operation import Effect, Input, Output, operation
from ops_gateway.kernel.removal import remove_objects

sql = queries(__file__)

MANAGES = "admin"  # the role that changes a project and its members
DELETED = "the project was deleted"


class GcsRegion(StrEnum):
    """Where a client wants its data kept; a label here."""

    SYDNEY = "australia-southeast1"
    SINGAPORE = "asia-southeast1"
    OREGON = "us-west1"
    BELGIUM = "europe-west1"


class ProjectCreate(Input):
    """Input for creating a project."""

    name: str = Field(min_length=1, max_length=255)
    description: str | None = None
    gcs_region: GcsRegion = GcsRegion.SYDNEY


class ProjectUpdateInput(Input):
    """Input of projects.update; what is absent stays."""

    name: str | None = Field(None, min_length=1, max_length=255)
    description: str | None = None
    is_archived: bool | None = None
    project_id: str


class ProjectArchiveInput(ProjectUpdateInput):
    """Input of projects.archive; `is_archived` false brings the project back."""


class ProjectDeleteInput(Input):
    """Input of projects.delete."""

    project_id: str


class ProjectGetInput(Input):
    """Input of projects.get."""

    project_id: str


class ProjectListInput(Input):
    """Input of projects.list."""

    limit: int = Field(100, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=2**31)
    include_archived: bool = False


class AddMemberInput(Input):
    """Input of projects.add_member."""

    project_id: str
    user_id: str = Field(description="UUID of the person to add")
    role: str = Field("editor", description="owner, admin, editor or viewer")


class UpdateMemberInput(Input):
    """Input of projects.update_member."""

    project_id: str
    user_id: str
    role: str


class RemoveMemberInput(Input):
    """Input of projects.remove_member."""

    project_id: str
    user_id: str


class MembersListInput(Input):
    """Input of projects.members.list."""

    project_id: str


class ProjectResponse(Output):
    """Project as returned from the API."""

    id: str
    organization_id: str
    name: str
    description: str | None = None
    gcs_region: GcsRegion | None = None
    gcs_bucket_name: str | None = Field(None, description="Prefix of the objects in storage")
    is_archived: bool = False
    created_at: datetime
    updated_at: datetime


class ProjectDeleteOutput(Output):
    """Output of projects.delete."""

    deleted: bool = True
    project_id: str
    storage_freed_bytes: int = 0


class ProjectGetOutput(Output):
    """Output of projects.get."""

    project: ProjectResponse


class ProjectListOutput(Output):
    """Output of projects.list, newest first."""

    projects: list[ProjectResponse]
    count: int
    total: int
    limit: int
    offset: int


class MemberOutput(Output):
    """A person's role in a project."""

    project_id: str
    user_id: str
    role: str
    added_by: str | None
    created_at: datetime


class ProjectMember(MemberOutput):
    """A person's role in a project, with who that is."""

    email: str | None
    name: str | None


class MembersListOutput(Output):
    """Output of projects.members.list, oldest first."""

    members: list[ProjectMember]
    count: int


class RemoveMemberOutput(Output):
    """Output of projects.remove_member."""

    ok: bool = True


# ---------------------------------------------------------------- rules


def respond(row: dict[str, Any]) -> ProjectResponse:
    """A project's row as the wire has it."""
    shown = {name: row[name] for name in ProjectResponse.model_fields if name in row}
    return ProjectResponse.model_validate({**shown, "gcs_bucket_name": row["organization_id"]})


def check_role(role: str) -> str:
    """A project role; raises Invalid."""
    if role not in ROLE_RANK:
        raise Invalid.at("role", f"must be one of {', '.join(reversed(ROLE_RANK))}", "enum")
    return role


def person_id(user_id: str) -> UUID:
    """A person's id; what is no UUID is nobody."""
    try:
        return UUID(user_id)
    except ValueError:
        raise NotFound.of("user") from None


async def lock_members(ctx: Context, project_id: str) -> None:
    """Let nobody else change the project or its members until this transaction ends.

    Raises NotFound or Forbidden as `access.project` does for whoever manages a project.
    """
    await access.project(ctx, project_id, MANAGES)
    await ctx.one("project", sql.lock_project, id=project_id)


def require_may_touch_owners(ctx: Context, project_id: str) -> None:
    """Owners are made and unmade by owners and by who runs the organization."""
    if ctx.principal.projects is not None and ctx.principal.role_in(project_id) != "owner":
        raise Forbidden("only an owner of the project may change who owns it")


async def require_another_owner(ctx: Context, project_id: str, user: UUID) -> None:
    """Raise Conflict where `user` is the project's only owner."""
    if await ctx.row(None, sql.other_owner, id=project_id, user=user) is None:
        raise Conflict("a project keeps an owner: make another before this one goes")


# ---------------------------------------------------------------- projects


@operation("projects.create", scope="projects:write", effect=Effect.COMPUTE)
async def create_project(ctx: Context, body: ProjectCreate) -> ProjectResponse:
    """Create a workspace in the caller's organization; its creator becomes owner."""
    row = await ctx.row(
        None,
        sql.insert_project,
        id=new_id("proj"),
        name=body.name,
        description=body.description,
        region=body.gcs_region.value,
        user=access.human(ctx),
    )
    assert row is not None
    if (user := access.human(ctx)) is not None:
        await ctx.execute(sql.insert_member, id=row["id"], user=user, role="owner", by=user)
    ctx.project_id = row["id"]
    ctx.produced("project", row["id"])
    return respond(row)


@operation("projects.list", scope="projects:read", effect=Effect.READ)
async def list_projects(ctx: Context, body: ProjectListInput) -> ProjectListOutput:
    """List the projects the caller sees, newest first; archived ones only where asked for."""
    visible = access.visible_projects(ctx.principal)
    which = {"visible": visible, "archived": body.include_archived}
    rows = await ctx.rows(None, sql.list_projects, limit=body.limit, offset=body.offset, **which)
    total = await ctx.one("project", sql.count_projects, **which)
    return ProjectListOutput(
        projects=[respond(row) for row in rows],
        count=len(rows),
        total=total["total"],
        limit=body.limit,
        offset=body.offset,
    )


@operation("projects.get", scope="projects:read", effect=Effect.READ)
async def get_project(ctx: Context, body: ProjectGetInput) -> ProjectGetOutput:
    """Read one project."""
    return ProjectGetOutput(project=respond(await access.project(ctx, body.project_id)))


@operation("projects.update", scope="projects:write", effect=Effect.COMPUTE)
async def update_project(ctx: Context, body: ProjectUpdateInput) -> ProjectResponse:
    """Change a workspace's name, description or archived flag (project admin or owner)."""
    return await change(ctx, body, body.is_archived)


@operation("projects.archive", scope="projects:write", effect=Effect.COMPUTE)
async def archive_project(ctx: Context, body: ProjectArchiveInput) -> ProjectResponse:
    """Archive a workspace, hiding it from the default list (project admin or owner)."""
    return await change(ctx, body, True if body.is_archived is None else body.is_archived)


async def change(ctx: Context, body: ProjectUpdateInput, archived: bool | None) -> ProjectResponse:
    """Store what the body names."""
    await access.project(ctx, body.project_id, MANAGES)
    row = await ctx.one(
        "project",
        sql.update_project,
        id=body.project_id,
        name=body.name,
        description=body.description,
        archived=archived,
    )
    ctx.produced("project", body.project_id)
    return respond(row)


@operation("projects.delete", scope="projects:write", effect=Effect.DESTRUCTIVE)
async def delete_project(ctx: Context, body: ProjectDeleteInput) -> ProjectDeleteOutput:
    """Delete a workspace with its collections, items, assets and objects (project admin or owner).

    All of it is gone with the answer, and `storage_freed_bytes` are free: the bytes of all files
    that nothing outside of the project names. Of more than 500 items the rows and objects follow in
    batches, and with each its events `item.deleted`.
    Jobs that wait are cancelled and their reservations released; a running one is told to stop and
    can register nothing any more.
    """
    project_id = body.project_id
    await access.project(ctx, project_id, MANAGES)
    # jobs, uploads and items before the project, as their own operations lock them
    for query in (sql.lock_jobs, sql.lock_uploads):
        await ctx.execute(query, id=project_id)
    await removals.lock_first(ctx, project_id)
    # from here nothing new comes into the project: inserting takes a lock on its row
    await ctx.one("project", sql.lock_project_alone, id=project_id)
    for job in await ctx.rows(None, sql.cancel_jobs, id=project_id, message=DELETED):
        if job["open_hold"] is not None:
            ctx.void(job["open_hold"], job_id=job["id"])
        ctx.produced("processing_job", job["id"])
        ctx.emit(jobs.cancelled(job, DELETED))
    await ctx.execute(sql.stop_running_jobs, id=project_id)
    uploaded = await ctx.rows(None, sql.open_upload_paths, id=project_id)
    ended = await ctx.rows(None, sql.end_uploads, id=project_id, message=DELETED)
    for upload in ended:
        ctx.produced("upload", upload["id"])
        ctx.emit(uploads.failed(upload["id"], project_id, DELETED))
    reserved = sum(upload["reserved_bytes"] for upload in ended)
    await ctx.execute(sql.delete_collections, id=project_id)
    await ctx.execute(sql.delete_project, id=project_id)
    freed = await removals.begin(ctx, project_id)
    await files.free(ctx, 0, reserved)
    await remove_objects(ctx, [row["object_path"] for row in uploaded])
    ctx.produced("project", project_id)
    # a replay is for whoever may see the project, and nobody sees it now
    ctx.project_id = None
    return ProjectDeleteOutput(project_id=project_id, storage_freed_bytes=freed)


# ---------------------------------------------------------------- members


@operation("projects.members.list", scope="projects:read", effect=Effect.READ)
async def list_project_members(ctx: Context, body: MembersListInput) -> MembersListOutput:
    """List the people of a project with their roles."""
    await access.project(ctx, body.project_id)
    members = await ctx.rows(ProjectMember, sql.members, id=body.project_id)
    return MembersListOutput(members=members, count=len(members))


@operation("projects.add_member", scope="projects:write", effect=Effect.COMPUTE)
async def add_member(ctx: Context, body: AddMemberInput) -> MemberOutput:
    """Add a person of the organization to a workspace (project admin or owner)."""
    await lock_members(ctx, body.project_id)
    if check_role(body.role) == "owner":
        require_may_touch_owners(ctx, body.project_id)
    user = person_id(body.user_id)
    await ctx.one("user", sql.colleague, user=user)
    added = await ctx.row(
        MemberOutput,
        sql.insert_member,
        id=body.project_id,
        user=user,
        role=body.role,
        by=access.human(ctx),
    )
    if added is None:
        raise Conflict("this person is a member already; see projects.update_member")
    ctx.produced("project", body.project_id)
    return added


@operation("projects.update_member", scope="projects:write", effect=Effect.COMPUTE)
async def update_member(ctx: Context, body: UpdateMemberInput) -> MemberOutput:
    """Change a member's role in a workspace (project admin or owner)."""
    await lock_members(ctx, body.project_id)
    user = person_id(body.user_id)
    member = await ctx.one("member", sql.member, id=body.project_id, user=user)
    if "owner" in (check_role(body.role), member["role"]):
        require_may_touch_owners(ctx, body.project_id)
    if member["role"] == "owner" != body.role:
        await require_another_owner(ctx, body.project_id, user)
    changed = await ctx.row(
        MemberOutput, sql.update_member, id=body.project_id, user=user, role=body.role
    )
    assert changed is not None
    ctx.produced("project", body.project_id)
    return changed


@operation("projects.remove_member", scope="projects:write", effect=Effect.DESTRUCTIVE)
async def remove_member(ctx: Context, body: RemoveMemberInput) -> RemoveMemberOutput:
    """Remove a person from a workspace (project admin or owner).

    Share links of it that they made end, where they do not see it as an owner or admin of the
    organization.
    """
    await lock_members(ctx, body.project_id)
    user = person_id(body.user_id)
    member = await ctx.one("member", sql.member, id=body.project_id, user=user)
    if member["role"] == "owner":
        require_may_touch_owners(ctx, body.project_id)
        await require_another_owner(ctx, body.project_id, user)
    await ctx.execute(sql.delete_member, id=body.project_id, user=user)
    await departures.withdraw(ctx, str(user), await departures.name_of(ctx, str(user)))
    ctx.produced("project", body.project_id)
    return RemoveMemberOutput()
