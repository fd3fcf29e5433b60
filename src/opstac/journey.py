"""The main job over the public wire: an image becomes an item, a map, a clip with its lineage."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opstac.client import Geopera, OperationError

SAMPLES = Path(__file__).parent / "sampledata"
PHOTOGRAPH = SAMPLES / "naip_north-dakota_2019-09-04.tif"
TAKEN = "2019-09-04T17:00:00Z"
JOB_SECONDS = 120


def upload(
    client: Geopera, project_id: str, path: Path, *, key: str | None = None, **complete: Any
) -> dict[str, Any]:
    """Bring a file in; the item it became. With `key`, repeating it gives the same item."""

    def keyed(step: str) -> str | None:
        return f"{key}-{step}" if key else None

    size = path.stat().st_size
    session = client.op(
        "uploads.initiate",
        {"project_id": project_id, "file_count": 1, "total_bytes": size},
        idempotency_key=keyed("initiate"),
    )
    body = {"upload_id": session["id"], **complete}
    try:
        place = client.op(
            "uploads.signed_url",
            {"upload_id": session["id"], "file_name": path.name, "content_type": "image/tiff"},
        )
        client.put_file(place["upload_url"], path)
    except OperationError as error:
        if error.status != 409:  # completed by an earlier run: its answer is replayed below
            raise
    return client.op("uploads.complete", body, idempotency_key=keyed("complete"))["items"][0]


def area_inside(item: Mapping[str, Any], shrink: float = 0.3) -> dict[str, Any]:
    """A rectangle in the middle of an item's bounding box, EPSG:4326."""
    west, south, east, north = item["bbox"]
    dx, dy = (east - west) * shrink, (north - south) * shrink
    west, east, south, north = west + dx, east - dx, south + dy, north - dy
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def wait_for(client: Geopera, job_id: str, seconds: float = JOB_SECONDS) -> dict[str, Any]:
    """The job once it has ended, native shape; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while True:
        job = client.op("processing.project_job.get", {"job_id": job_id})["job"]
        if job["status"] in ("completed", "failed", "cancelled"):
            return job
        if time.monotonic() > deadline:
            raise TimeoutError(f"job {job_id} is still {job['status']} after {seconds:.0f} s")
        time.sleep(0.1)


def middle_tile(document: Mapping[str, Any]) -> str:
    """The URL of the tile in the middle of a TileJSON document."""
    import math

    longitude, latitude, _ = document["center"]
    zoom = min(document["maxzoom"], max(document["minzoom"], document["maxzoom"] - 2))
    count = 2**zoom
    x = int((longitude + 180) / 360 * count)
    y = int((1 - math.asinh(math.tan(math.radians(latitude))) / math.pi) / 2 * count)
    return document["tiles"][0].format(z=zoom, x=x, y=y)
