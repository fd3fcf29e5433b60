"""The tiler as a service of its own: it knows callers, draws tiles, and can do nothing else."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from opstac import compose
from opstac.journey import SAMPLES

FIELDS = SAMPLES / "s2-flanders_2021-04_10m.tif"


@pytest.fixture
async def tiler(api):
    keys = api.platform.keys.public().text()
    settings = replace(api.platform.settings, master_secret=b"", verify_keys=keys)
    async with compose.tiler_alone(settings) as served:
        transport = httpx.ASGITransport(served.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            yield client


@pytest.fixture
async def item(api):
    owner = await api.organization()
    project = await api.project(owner)
    size = FIELDS.stat().st_size
    upload = await api.ok(
        "uploads.initiate", {"project_id": project, "total_bytes": size}, as_=owner
    )
    place = await api.ok(
        "uploads.signed_url", {"upload_id": upload["id"], "file_name": FIELDS.name}, as_=owner
    )
    await api.client.put(place["upload_url"], content=FIELDS.read_bytes())
    done = await api.ok("uploads.complete", {"upload_id": upload["id"]}, as_=owner)
    return owner, done["items"][0]["id"]


async def test_it_draws_for_tokens_keys_and_sessions_and_for_nobody_else(api, tiler, item):
    owner, item_id = item
    document = await api.ok("items.tile.tilejson", {"item_id": item_id}, as_=owner)
    zoom, west, north = document["minzoom"], *document["center"][:2]
    assert zoom >= 0 and west and north
    url = document["tiles"][0].format(z=0, x=0, y=0)
    assert (await tiler.get(url)).status_code == 200
    bare = url.partition("?")[0]
    reader = await api.key(owner, "items:read")
    other = await api.organization()
    for token, status in [(owner.token, 200), (reader.token, 200), (other.token, 404)]:
        answer = await tiler.get(bare, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == status, answer.text
    assert (await tiler.get(bare)).status_code == 401
    assert (await tiler.get("/readyz")).status_code == 200
    assert (await tiler.post("/v1/op/items.get", json={"item_id": item_id})).status_code == 404


def test_keys_are_carried_as_text_and_a_broken_text_is_refused(api):
    from ops_gateway.kernel.secrets import PublicKeys

    public = api.platform.keys.public()
    assert PublicKeys.parse(public.text()).text() == public.text()
    for broken in ("", "session-1:00", public.text().rpartition(",")[0]):
        with pytest.raises(ValueError):
            PublicKeys.parse(broken)
