"""Pictures of a public collection: for anybody, and of nothing else."""

import numpy as np
import pytest


async def publish(scenes, public: bool) -> None:
    body = {"project_id": scenes.project, "collection_id": scenes.collection, "public": public}
    await scenes.api.ok("collections.update", body, as_=scenes.owner)


def addresses(scenes, item: str, collection: str) -> list[str]:
    z, x, y, _, _ = scenes.place(128)
    return [
        f"/api/v1/{of}/{what}"
        for of in (f"items/{item}", f"collections/{collection}")
        for what in (
            "tiles/tilejson.json", f"tiles/{z}/{x}/{y}.png", "legend.json", "wmts",
            "wmts/1.0.0/WMTSCapabilities.xml", f"wmts/default/WebMercatorQuad/{z}/{y}/{x}.png",
        )
    ] + [f"/api/v1/items/{item}/preview.png"]  # fmt: skip


async def test_anybody_draws_what_is_public_until_it_is_taken_back(scenes):
    item = await scenes.add((200, 100, 50))
    get = scenes.api.client.get
    closed = await scenes.api.ok(
        "collections.create", {"name": "Closed", "project_id": scenes.project}, as_=scenes.owner
    )
    hidden = await scenes.add((9, 9, 9), day=9, collection=closed["id"])
    search = await scenes.api.ok(
        "saved_searches.create", {"name": "All", "search": {}}, as_=scenes.owner
    )
    # by its id, and by the name that the catalogue shows it by
    names = [scenes.collection, scenes.slug]
    for public in (False, True, False):
        await publish(scenes, public)
        for address in (a for name in names for a in addresses(scenes, item, name)):
            answer = await get(address)
            assert answer.status_code == (200 if public else 401), (address, answer.text)
            if public:
                assert answer.headers["cache-control"] == "public, no-cache", address
                assert "authorization" in answer.headers["vary"].lower()
                assert "key=" not in answer.text or not answer.text.isprintable()
                headers = {"If-None-Match": answer.headers["etag"]}
                assert (await get(address, headers=headers)).status_code == 304
                for token in ("Bearer gpra_wrong", "Bearer tt_wrong"):
                    wrong = await get(address, headers={"Authorization": token})
                    assert wrong.status_code == 401
                assert (await get(address, params={"key": "tt_wrong"})).status_code == 401
            own = await get(address, headers={"Authorization": f"Bearer {scenes.owner.token}"})
            assert own.status_code == 200
            assert own.headers["cache-control"].startswith("private")
        for address in [*addresses(scenes, hidden, closed["id"]),
                        *addresses(scenes, "it_none", "col_none")]:  # fmt: skip
            assert (await get(address)).status_code in (401, 404), address
        for what in ("tiles/tilejson.json", "tiles/0/0/0.png", "legend.json", "wmts"):
            path = f"/api/v1/searches/{search['id']}/{what}"
            assert (await get(path)).status_code == 401


async def test_no_restriction_brings_in_what_is_not_public(scenes):
    await scenes.add((10, 10, 10), day=1)
    closed = await scenes.api.ok(
        "collections.create", {"name": "Closed", "project_id": scenes.project}, as_=scenes.owner
    )
    await scenes.add((200, 200, 200), day=2, collection=closed["id"])
    await publish(scenes, True)
    for wider in ("1 = 1 or 1 = 2", "collection = 'closed' or true", "id is not null"):
        z, x, y, column, row = scenes.place(128)
        params = {"rescale": "0,255", "filter": wider}
        answer = await scenes.get(f"{z}/{x}/{y}.png", as_=False, **params)
        if answer.status_code == 200:
            picture = scenes.picture(answer)
            assert tuple(picture[row, column]) in ((10, 10, 10, 255), (0, 0, 0, 0)), wider
        else:
            assert answer.status_code == 422
    clear = await scenes.get(f"{z}/{x}/{y}.png", as_=False, datetime="1999-01-01T00:00:00Z")
    assert clear.headers["cache-control"] == "public, no-cache"
    assert not np.any(scenes.picture(clear)[..., 3])


@pytest.mark.parametrize("path", [
    "/api/v1/items/it_x/tiles/0/0/0.png", "/api/v1/collections/c/tiles/tilejson.json",
    "/api/v1/searches/s/legend.json", "/api/v1/tileMatrixSets", "/assets/stac",
    "/assets/stac/search",
])  # fmt: skip
async def test_a_page_elsewhere_reads_what_the_edge_refuses(api, path):
    headers = {"Authorization": "Bearer gpra_wrong", "Origin": "https://maps.example"}
    answer = await api.client.get(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers.get_list("access-control-allow-origin") == ["*"]
    elsewhere = await api.client.get("/api/v1/projects", headers=headers)
    assert "access-control-allow-origin" not in elsewhere.headers
