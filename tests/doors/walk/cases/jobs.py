"""Processing, clips, the ASTRA operations."""

from __future__ import annotations

from walk.case import Body, case
from walk.world import FIELDS, World


def inputs(w: World) -> Body:
    return {"source_item_id": w.item["id"], "aoi_geometry": FIELDS}


@case("processing.catalog.list", "processing.job_types.list", foreign="names nothing")
def _(w: World) -> Body:
    return {}


@case("processing.catalog.get", foreign="names nothing")
def _(w: World) -> Body:
    return {"process_id": "clip"}


@case("processing.catalog.estimate")
@case("processing.catalog.validate", empty="that it succeeds says all")
def _(w: World) -> Body:
    return {"process_id": "clip", "inputs": inputs(w)}


@case("processing.create")
@case("processing.create_and_dispatch", random=("queue_id",))
def _(w: World) -> Body:
    return {
        "project_id": w.project,
        "job_type_id": "clip",
        "input_params": inputs(w),
        "use_cache": False,
    }


@case("processing.execute")
def _(w: World) -> Body:
    return {
        "process_id": "clip",
        "workspaceId": w.project,
        "inputs": inputs(w),
        "use_cache": False,
    }


@case("processing.dispatch", random=("queue_id",))
def _(w: World) -> Body:
    return {"job_id": w.job()["id"]}


@case("processing.job.delete")
def _(w: World) -> Body:
    return {"job_id": w.job(dispatched=True)["id"]}


@case("processing.job.register")
def _(w: World) -> Body:
    job, path = w.computed()
    return {"job_id": job, "outputs": [{"object_path": path, "name": "Result"}]}


@case(
    "processing.job.get",
    "processing.job.receipt",
    "processing.job.tile_info",
    "processing.jobs.get",
    "processing.project_job.get",
    "clip.job.get",
    "clip.job.downloads",
    "clip.job.tile_info",
)
def _(w: World) -> Body:
    return {"job_id": w.jobs["clip"]["id"]}


@case("processing.jobs.list", foreign="a filter that finds nothing")
def _(w: World) -> Body:
    return {"ids": w.jobs["clip"]["id"], "status": "successful"}


def the_clip(w: World, answer: Body) -> Body:
    """The one job that is there whichever cases went before."""
    jobs = [job for job in answer["jobs"] if job["id"] == w.jobs["clip"]["id"]]
    return {**answer, "jobs": jobs, "count": len(jobs), "total": len(jobs)}


@case("processing.project_jobs.list", about=the_clip)
def _(w: World) -> Body:
    return {"project_id": w.jobs["clip"]["project_id"], "status": "completed", "limit": 10}


# ---------------------------------------------------------------- clips


@case("clip.areas.list", foreign="open to all")
def _(w: World) -> Body:
    assert w.area
    return {}


@case("clip.area.metadata", "clip.area.mosaics", foreign="open to all")
def _(w: World) -> Body:
    return {"area": w.area}


@case("clip.create_from_area")
def _(w: World) -> Body:
    return {
        "area": w.area,
        "mosaic_types": ["data"],
        "aoi_geometry": FIELDS,
        "aoi_name": "My corner",
        "project_id": w.project,
        "organization_id": w.owner.organization_id,
        "use_cache": False,
    }


@case("clip.create_from_item")
def _(w: World) -> Body:
    return {
        "source_item_id": w.item["id"],
        "project_id": w.project,
        "aoi_geometry": FIELDS,
        "output_name": "Corner",
        "use_cache": False,
    }


@case("clip.job.delete")
def _(w: World) -> Body:
    return {"job_id": w.job(dispatched=True)["id"]}


@case("clip.job.download")
def _(w: World) -> Body:
    return {"job_id": w.jobs["clip"]["id"], "mosaic_type": "data"}


@case("clip.jobs.list")
def _(w: World) -> Body:
    assert w.jobs
    return {"organization_id": w.owner.organization_id, "status": "completed", "limit": 10}


# ---------------------------------------------------------------- ASTRA


@case("astra.process")
def _(w: World) -> Body:
    return {"operation": "ndvi", "scene_ids": [w.item["id"]], "project_id": w.project}


@case("astra.process.get")
def _(w: World) -> Body:
    return {"job_id": w.jobs["ndvi"]["id"]}
