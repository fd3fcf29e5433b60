"""A platform whose pictures are drawn in another process, which dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from opstac import compose
from opstac.journey import SAMPLES
from opstac.server import worker_environment
from raster.inspect import inspect

SAMPLE = SAMPLES / "s2-flanders_2021-04_10m.tif"


def children() -> list[int]:
    """The drawing processes of this process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            line = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if parent == os.getpid() and b"tiler.drawing" in line:
            found.append(int(folder.name))
    return found


@pytest.fixture
async def served(api: Any, tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, str, Any]]:
    """(a client as the owner, an item's tiles, the platform), drawn in a process of its own."""
    owner = await api.organization()
    project = await api.project(owner)
    size = SAMPLE.stat().st_size
    upload = await api.ok(
        "uploads.initiate", {"project_id": project, "total_bytes": size}, as_=owner
    )
    named = {"upload_id": upload["id"], "file_name": SAMPLE.name}
    link = await api.ok("uploads.signed_url", named, as_=owner)
    await api.client.put(link["upload_url"], content=SAMPLE.read_bytes())
    done = await api.ok("uploads.complete", {"upload_id": upload["id"]}, as_=owner)
    place = f"/api/v1/items/{done['items'][0]['id']}"
    async with compose.embedded(api.platform.settings, late=True, apart=True) as platform:
        transport = httpx.ASGITransport(platform.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport,
            base_url="http://testserver",
            headers={"Authorization": f"Bearer {owner.token}"},
        ) as client:
            yield client, place, platform


async def until_drawn(client: httpx.AsyncClient, path: str) -> httpx.Response:
    """The picture, once there is a process again; until then each answer is a 503."""
    async with asyncio.timeout(60):
        while (answer := await client.get(path)).status_code == 503:
            assert int(answer.headers["retry-after"]) >= 1
            assert answer.headers["content-type"] == "application/problem+json"
            await asyncio.sleep(0.05)
    assert answer.status_code == 200, answer.text
    return answer


async def test_a_crash_in_gdal_ends_nothing_but_what_was_drawn(served: Any) -> None:
    client, place, platform = served
    whole = f"{place}/preview/64x64.png"
    first = await until_drawn(client, whole)
    [child] = children()
    os.kill(child, signal.SIGSTOP)
    drawn = asyncio.create_task(client.get(whole))
    async with asyncio.timeout(30):
        while platform.services.compute.__self__.pending == 0:
            await asyncio.sleep(0.001)
    # what needs no pixel is answered meanwhile
    unchanged = await client.get(whole, headers={"If-None-Match": first.headers["etag"]})
    assert unchanged.status_code == 304
    os.kill(child, signal.SIGSEGV)
    os.kill(child, signal.SIGCONT)
    async with asyncio.timeout(10):
        crashed = await drawn
    assert crashed.status_code == 503 and crashed.headers["retry-after"] == "1"
    assert crashed.headers["content-type"] == "application/problem+json"
    assert crashed.json()["status"] == 503
    assert (await client.get("/readyz")).status_code == 200
    # a supervisor has started another one
    again = await until_drawn(client, whole)
    assert again.content == first.content
    assert children() not in ([], [child])


async def test_the_process_holds_no_secret(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client, place, platform = served
    await until_drawn(client, f"{place}/info")
    [child] = children()
    told = dict(
        line.split("=", 1)
        for line in Path(f"/proc/{child}/environ").read_bytes().decode().split("\0")
        if line
    )
    given = worker_environment(platform.settings, platform.settings.home)
    assert not {name for name in told if name.startswith(("AWS_", "OPSTAC_", "DATABASE_"))} - {
        "OPSTAC_WORKER_NAME",
        "OPSTAC_PARENT_PID",
    }
    secrets = {given["DATABASE_URL"], given["OPSTAC_SECRET_KEY"]}
    assert not secrets & set(told.values())


async def test_operations_draw_there_too_and_are_refused_alike(served: Any) -> None:
    client, place, _ = served
    await until_drawn(client, f"{place}/info")
    item = place.rpartition("/")[2]
    body = {"item_id": item, "expression": "b1"}
    there = await client.post("/v1/op/items.tile.statistics", json=body)
    assert there.status_code == 200, there.text
    assert there.json()["max"] <= inspect(SAMPLE)["bands"][0]["maximum"] + 1
    wrong = await client.post(
        "/v1/op/items.tile.statistics", json={"item_id": item, "expression": "b1 +"}
    )
    assert wrong.status_code == 422


async def test_mosaics_are_drawn_there_too(served: Any) -> None:
    client, place, _ = served
    await until_drawn(client, f"{place}/info")
    [child] = children()
    body = {"name": "everything", "search": {}}
    search = (await client.post("/v1/op/saved_searches.create", json=body)).json()["id"]
    mosaic = f"/api/v1/searches/{search}"
    described = await client.get(f"{mosaic}/tiles/tilejson.json")
    assert described.status_code == 200, described.text
    zoom = described.json()["maxzoom"]
    item = (await client.get(f"{place}/tiles/WebMercatorQuad")).json()
    at = next(one for one in item["tileMatrixSetLimits"] if one["tileMatrix"] == str(zoom))
    tile = f"{zoom}/{at['minTileCol']}/{at['minTileRow']}"
    for path in (
        *(f"tiles/{tile}.png?selection={how}" for how in ("newest", "least_cloudy", "median")),
        f"tiles/{tile}.tif",
        f"tiles/{tile}.png?expression=b1*2",
        f"tiles/{tile}.png?algorithm=hillshade&bands=1",
        *("legend.png", "tiles", "tiles/WorldCRS84Quad", "wmts"),
    ):
        answer = await client.get(f"{mosaic}/{path}")
        assert answer.status_code == 200, (path, answer.text)
    assert children() == [child]
