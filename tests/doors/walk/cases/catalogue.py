"""Projects, collections, items, assets, searches, lineage."""

from __future__ import annotations

from walk.case import Body, Sent, case
from walk.world import APRIL, FIELDS, Person, World

BOX = [5.31, 50.62, 5.34, 50.64]
STAC_ITEM = {
    "type": "Feature",
    "stac_version": "1.0.0",
    "id": "survey-7",
    "geometry": FIELDS,
    "bbox": [5.322, 50.631, 5.328, 50.635],
    "properties": {"datetime": "2024-05-01T10:00:00Z", "platform": "drone"},
    "links": [],
    "assets": {},
}

# ---------------------------------------------------------------- projects


@case("projects.create", foreign="names nothing")
def _(w: World) -> Body:
    return {"name": "Harbour", "description": "Dredging, monthly"}


@case("projects.get", "projects.members.list")
def _(w: World) -> Body:
    return {"project_id": w.project}


@case("projects.list", foreign="lists the caller's")
def _(w: World) -> Sent:
    owner = w.of("projects", w.organization)
    w.of("two projects", lambda: [w.new_project(owner) for _ in range(2)])
    return Sent({"limit": 10}, owner)


@case("projects.update")
def _(w: World) -> Body:
    return {"project_id": w.new_project(), "name": "Port", "description": "Since 2024"}


@case("projects.archive")
def _(w: World) -> Body:
    return {"project_id": w.new_project(), "is_archived": True}


@case("projects.delete")
def _(w: World) -> Body:
    project = w.new_project()
    w.note(project=project)
    return {"project_id": project}


@case("projects.add_member")
def _(w: World) -> Body:
    person = w.of("colleague", lambda: w.member(w.owner))
    return {"project_id": w.new_project(), "user_id": person.user_id, "role": "viewer"}


def with_viewer(w: World) -> tuple[str, Person]:
    project, person = w.new_project(), w.of("colleague", lambda: w.member(w.owner))
    body = {"project_id": project, "user_id": person.user_id, "role": "viewer"}
    w.ok("projects.add_member", body)
    return project, person


@case("projects.update_member")
def _(w: World) -> Body:
    project, person = with_viewer(w)
    return {"project_id": project, "user_id": person.user_id, "role": "editor"}


@case("projects.remove_member")
def _(w: World) -> Body:
    project, person = with_viewer(w)
    return {"project_id": project, "user_id": person.user_id}


# ---------------------------------------------------------------- collections


@case("collections.create")
def _(w: World) -> Body:
    return {
        "project_id": w.new_project(),
        "name": "Scenes",
        "description": "Of the harbour",
        "color": "#2b83ba",
    }


@case("collections.get")
def _(w: World) -> Body:
    return {"project_id": w.project, "collection_id": w.item["collection_id"]}


@case("collections.list")
def _(w: World) -> Body:
    project = w.of("project of collections", w.new_project)
    w.of("collections", lambda: [w.new_collection(project=project) for _ in range(2)])
    return {"project_id": project}


@case("collections.update")
def _(w: World) -> Body:
    project = w.new_project()
    return {
        "project_id": project,
        "collection_id": w.new_collection(project=project),
        "name": "Seasons",
        "show_on_map": False,
    }


@case("collections.delete")
def _(w: World) -> Body:
    project = w.new_project()
    return {"project_id": project, "collection_id": w.new_collection(project=project)}


# ---------------------------------------------------------------- items


@case("items.create")
def _(w: World) -> Body:
    return {
        "project_id": w.project,
        "name": "Survey",
        "type": "user_raster",
        "geometry": FIELDS,
        "datetime": "2024-05-01T10:00:00Z",
        "properties": {"platform": "drone"},
    }


@case(
    "items.get",
    "items.list_assets",
    "visualization.profiles.list",
    "items.tile.tilejson",
)
def _(w: World) -> Body:
    return {"item_id": w.item["id"]}


@case("items.get_stac")
def _(w: World) -> Body:
    return {"item_id": w.item["id"], "base_url": w.url}


@case("items.list")
def _(w: World) -> Body:
    return {"project_id": w.shelf[0], "limit": 10}


@case("items.list_by_collection")
def _(w: World) -> Body:
    return {"collection_id": w.shelf[1], "limit": 10}


@case("items.search")
def _(w: World) -> Body:
    return {"project_id": w.shelf[0], "bbox": BOX, "datetime": "2021-01-01/2024-12-31", "limit": 10}


@case("items.search_org", foreign="a filter that finds nothing")
def _(w: World) -> Body:
    return {"collections": [w.shelf[1]], "bbox": BOX, "limit": 10}


@case("stac.search", foreign="a filter that finds nothing")
def _(w: World) -> Body:
    return {
        "collections": [w.shelf[1]],
        "filter": {"op": "<", "args": [{"property": "datetime"}, "2025-01-01T00:00:00Z"]},
        "filter-lang": "cql2-json",
        "limit": 10,
    }


@case("stac.collections.list", foreign="lists the caller's")
def _(w: World) -> Sent:
    owner = w.of("collections of", w.organization)
    w.of("its collection", lambda: w.new_collection(owner, w.new_project(owner)))
    return Sent({}, owner)


@case("items.update")
def _(w: World) -> Body:
    return {
        "item_id": w.note()["id"],
        "name": "Second survey",
        "cloud_cover": 12.5,
        "set_properties": {"platform": "drone"},
    }


@case("items.delete")
def _(w: World) -> Body:
    return {"item_id": w.copy()["id"]}


@case("items.duplicate")
def _(w: World) -> Body:
    return {"item_id": w.item["id"], "new_name": "Copy"}


@case("items.import")
def _(w: World) -> Body:
    return {"project_id": w.new_project(), "items": [STAC_ITEM], "method": "insert"}


@case("items.lineage")
def _(w: World) -> Body:
    return {"item_id": w.clipped}


@case("provenance.get")
def _(w: World) -> Body:
    return {"entity_type": "item", "entity_id": w.clipped, "direction": "up", "max_depth": 5}


@case("items.detect_asset_bands")
def _(w: World) -> Body:
    item = w.copy()["id"]
    return {"item_id": item, "asset_id": w.raster_of(item)["id"]}


@case("items.set_asset_band_names")
def _(w: World) -> Body:
    item = w.copy()["id"]
    names = ["blue", "green", "red", "nir", "swir1", "swir2"]
    return {"item_id": item, "asset_id": w.raster_of(item)["id"], "band_names": names}


@case("items.asset.download")
def _(w: World) -> Body:
    return {"item_id": w.item["id"], "asset_id": w.asset["id"]}


@case("assets.delete")
def _(w: World) -> Body:
    item = w.copy()["id"]
    return {"item_id": item, "asset_id": w.raster_of(item)["id"]}


@case("items.list_expiring", foreign="the operator's")
def _(w: World) -> Sent:
    def make() -> None:
        item = w.note()["id"]
        w.sql("update item set expires_at = '2099-01-01', lifecycle_state = 'expiring'"
              " where id = %s", item)  # fmt: skip

    w.of("expiring", make)
    return Sent({"days": 36_500}, w.operator)


@case("items.expire_batch", foreign="the scheduler's")
def _(w: World) -> Sent:
    item = w.note()["id"]
    w.sql("update item set expires_at = now() - interval '1 hour' where id = %s", item)
    return Sent({}, w.cron)


# ---------------------------------------------------------------- saved searches


def saved(w: World, project: str | None = None, name: str = "Spring") -> str:
    body = {"name": name, "project_id": project or w.new_project(), "search": {"bbox": BOX}}
    return w.ok("saved_searches.create", body)["id"]


@case("saved_searches.create", random=("cursor",))
def _(w: World) -> Body:
    return {
        "name": "Spring",
        "project_id": w.new_project(),
        "search": {"bbox": BOX, "datetime": "2021-03-01/2021-05-31"},
    }


@case("saved_searches.get", "saved_searches.items", random=("cursor",))
def _(w: World) -> Body:
    return {"search_id": w.of("search", lambda: saved(w, w.shelf[0]))}


@case("saved_searches.feed", random=("cursor",))
def _(w: World) -> Body:
    def make() -> str:
        project = w.new_project()
        search = saved(w, project)
        w.note(project=project)
        w.pass_events_on()
        return search

    return {"search_id": w.of("search with a feed", make), "limit": 10}


@case("saved_searches.list", random=("cursor",))
def _(w: World) -> Body:
    project = w.of("project of searches", w.new_project)
    w.of("searches", lambda: [saved(w, project, name) for name in ("Spring", "Fall")])
    return {"project_id": project}


@case("saved_searches.update", random=("cursor",))
def _(w: World) -> Body:
    return {"search_id": saved(w), "name": "Summer", "search": {"datetime": "2021-06-01/.."}}


@case("saved_searches.delete")
def _(w: World) -> Body:
    return {"search_id": saved(w)}


# ---------------------------------------------------------------- uploads


def begun(w: World) -> str:
    body = {"project_id": w.project, "file_count": 1, "total_bytes": 80_539}
    return w.ok("uploads.initiate", body)["id"]


@case("uploads.initiate")
def _(w: World) -> Body:
    return {"project_id": w.project, "file_count": 1, "total_bytes": 80_539}


@case("uploads.signed_url")
def _(w: World) -> Body:
    return {"upload_id": begun(w), "file_name": "april.tif", "content_type": "image/tiff"}


@case("uploads.progress")
def _(w: World) -> Body:
    return {"upload_id": begun(w), "status": "uploading", "bytes_uploaded": 40_000}


@case("uploads.complete")
def _(w: World) -> Body:
    return {
        "upload_id": w.uploaded(APRIL),
        "name": "April",
        "datetime": "2021-04-01T00:00:00Z",
    }


@case("uploads.fail")
def _(w: World) -> Body:
    return {"upload_id": begun(w), "error_message": "the disk is full", "error_step": "upload"}


@case("uploads.get")
def _(w: World) -> Body:
    return {"upload_id": w.of("upload", lambda: begun(w))}
