"""Pixels of files that are overwritten where they lie: in a bucket, and on this machine."""

from __future__ import annotations

import io
import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from ops_gateway.catalogue import pictures
from ops_gateway.catalogue.drafts import AssetDraft, ItemDraft
from ops_gateway.catalogue.items import insert_item
from ops_gateway.kernel.ids import new_id
from raster import suggest
from raster.cog import convert_to_cog
from raster.inspect import inspect


def cog(folder: Path, value: int) -> Path:
    """A raster that is `value` everywhere."""
    return cog_of(folder / f"{value}.tif", np.full((1, 300, 300), value, np.uint8))


def cog_of(path: Path, values: np.ndarray) -> Path:
    """A raster of these values (bands, rows, columns)."""
    plain = path.with_suffix(".plain.tif")
    profile = {
        "driver": "GTiff", "width": values.shape[2], "height": values.shape[1],
        "count": len(values), "dtype": "uint8", "crs": "EPSG:32633",
        "transform": from_origin(500000, 5300000, 10, 10),
    }  # fmt: skip
    with rasterio.open(plain, "w", **profile) as out:
        out.write(values)
    convert_to_cog(plain, path)
    return path


class Shop:
    """An organization with one item of one raster."""

    def __init__(self, api: Any, owner: Any, item: str, key: str) -> None:
        self.api, self.owner, self.item, self.key = api, owner, item, key

    async def get(self, path: str, **headers: str) -> Any:
        headers = {"Authorization": f"Bearer {self.owner.token}", **headers}
        return await self.api.client.get(f"/api/v1/items/{self.item}/{path}", headers=headers)

    async def value(self) -> tuple[int, str]:
        """(what the preview holds everywhere, its ETag)."""
        answer = await self.get("preview.npy")
        assert answer.status_code == 200, answer.text
        (value,) = np.unique(np.load(io.BytesIO(answer.content))[0])
        return int(value), answer.headers["etag"]


async def shop(api: Any, file: Path) -> Shop:
    owner = await api.organization()
    project = await api.project(owner)
    key = f"{owner.organization_id}/{new_id('f')}.tif"
    await api.platform.services.objects.put(key, file)
    info = inspect(file)

    async def work(ctx: Any) -> str:
        draft = ItemDraft(
            project_id=project, bbox=info["bbox"], name="scene", type="user_raster",
            geometry=info["footprint"],
        )  # fmt: skip
        asset = AssetDraft(key="data", object_path=key, info=info, file_name="x.tif")
        made, _ = await insert_item(ctx, draft, [asset])
        ctx.edge(("item", made.id), "generated_by", ("project", project))
        return made.id

    caller = await api.platform.authenticator.authenticate(owner.token)
    item = await api.platform.pipeline.act("tests.ingest", caller, work)
    return Shop(api, owner, item, key)


@pytest.fixture
async def in_bucket(dsn: str, tmp_path: Path, platform_on: Any, bucket: Any) -> AsyncIterator[Any]:
    async with platform_on(dsn, tmp_path, storage="s3://bucket/prefix") as api:
        yield api


def age(api: Any) -> None:
    """Let the time pass for which a version counts."""
    api.platform.services.objects._pins.fresh_seconds = 0.0
    for known in api.platform.services.objects._pins._known.values():
        known.until = 0.0


async def test_an_object_that_somebody_overwrites_is_noticed(in_bucket, bucket, tmp_path):
    made = await shop(in_bucket, cog(tmp_path, 10))
    value, tag = await made.value()
    assert value == 10
    assert (await made.get("preview.npy", **{"If-None-Match": tag})).status_code == 304
    assert bucket.heads == 1  # the version counts for a while
    bucket.objects[f"prefix/{made.key}"] = cog(tmp_path, 20).read_bytes()
    age(in_bucket)
    value, fresh = await made.value()
    assert value == 20 and fresh != tag
    assert (await made.get("preview.npy", **{"If-None-Match": tag})).status_code == 200


async def test_what_the_platform_replaces_is_noticed_at_once(in_bucket, bucket, tmp_path):
    made = await shop(in_bucket, cog(tmp_path, 10))
    assert (await made.value())[0] == 10
    await in_bucket.platform.services.objects.put(made.key, cog(tmp_path, 20))
    assert (await made.value())[0] == 20
    # another process did: this one learns of it by the row alone
    bucket.objects[f"prefix/{made.key}"] = cog(tmp_path, 30).read_bytes()
    assert (await made.value())[0] == 20
    in_bucket.sql("update asset set version = version + 1 where item_id = %s", made.item)
    assert (await made.value())[0] == 30


async def test_two_files_are_never_mixed(in_bucket, bucket, tmp_path):
    noise = np.random.default_rng(1).integers(0, 100, (1, 1500, 1500)).astype(np.uint8)
    first, second = (cog_of(tmp_path / f"{n}.tif", noise + n) for n in (0, 100))
    made = await shop(in_bucket, first)
    with rasterio.open(first) as file:
        left, bottom, right, top = file.bounds

    def box(x: float, y: float) -> str:
        west, north = left + x * (right - left), top - y * (top - bottom)
        corner = f"{west},{north - 2000},{west + 2000},{north}"
        return f"bbox/{corner}/200x200.npy?coord_crs=epsg:32633&dst_crs=epsg:32633"

    async def values(where: str) -> Any:
        answer = await made.get(where)
        if answer.status_code != 200:
            return answer
        return np.load(io.BytesIO(answer.content))[0]

    assert (await values(box(0, 0))).max() < 100
    bucket.objects[f"prefix/{made.key}"] = second.read_bytes()
    refused = await values(box(0.8, 0.8))  # blocks that were not read yet
    assert refused.status_code == 503 and refused.headers["retry-after"] == "1"
    assert "changed" in refused.json()["detail"]
    assert (await values(box(0.8, 0.8))).min() >= 100
    assert (await values(box(0, 0))).min() >= 100


async def test_an_object_that_is_gone_or_a_bucket_that_is_silent_is_told(
    in_bucket, bucket, tmp_path
):
    made = await shop(in_bucket, cog(tmp_path, 10))
    assert (await made.value())[0] == 10
    kept = bucket.objects.pop(f"prefix/{made.key}")
    age(in_bucket)
    gone = await made.get("preview.npy")
    assert gone.status_code == 422 and "not in the store" in gone.text
    bucket.objects[f"prefix/{made.key}"] = kept
    bucket.down = True
    silent = await made.get("preview.npy")
    assert silent.status_code == 503 and int(silent.headers["retry-after"]) > 0
    bucket.down = False
    assert (await made.value())[0] == 10


async def test_other_doors_read_the_bucket_too(in_bucket, bucket, tmp_path):
    """GDAL is told the endpoint, and keeps nothing of a file that it closed."""
    made = await shop(in_bucket, cog(tmp_path, 10))
    call = {"operation": "zonal_stats", "params": {"item_id": made.item, "band": 1}}

    async def mean() -> float:
        answer = await in_bucket.ok("analytics.execute", call, as_=made.owner)
        return answer["statistics"]["mean"]

    assert await mean() == 10
    bucket.objects[f"prefix/{made.key}"] = cog(tmp_path, 20).read_bytes()
    assert await mean() == 20


async def test_a_file_that_is_written_over_in_place_is_noticed(api, tmp_path):
    made = await shop(api, cog(tmp_path, 10))
    value, tag = await made.value()
    assert value == 10
    path = api.platform.services.objects.local_file(made.key)
    before = path.stat().st_ino
    path.chmod(0o640)
    path.write_bytes(cog(tmp_path, 20).read_bytes())
    assert path.stat().st_ino == before
    value, fresh = await made.value()
    assert value == 20 and fresh != tag
    assert (await made.get("preview.npy", **{"If-None-Match": tag})).status_code == 200


async def mosaic_follows(api: Any, made: Shop, replace: Callable[[], object]) -> None:
    """The tile of a mosaic changes, and so does its ETag, once `replace` has been called."""
    search = {"name": "all", "search": {"ids": [made.item]}}
    saved = await api.ok("saved_searches.create", search, as_=made.owner)
    place = f"/api/v1/searches/{saved['id']}/tiles"
    token = {"Authorization": f"Bearer {made.owner.token}"}
    described = (await api.client.get(f"{place}/tilejson.json", headers=token)).json()
    west, south, east, north = described["bounds"]
    z = described["maxzoom"]
    latitude = math.radians((south + north) / 2)
    x = int(((west + east) / 2 + 180) / 360 * 2**z)
    y = int((1 - math.asinh(math.tan(latitude)) / math.pi) / 2 * 2**z)

    async def tile(**headers: str) -> Any:
        return await api.client.get(f"{place}/{z}/{x}/{y}.npy", headers={**token, **headers})

    first = await tile()
    assert np.load(io.BytesIO(first.content))[0].max() == 10
    tag = first.headers["etag"]
    assert (await tile(**{"If-None-Match": tag})).status_code == 304
    replace()
    changed = await tile(**{"If-None-Match": tag})
    assert changed.status_code == 200 and changed.headers["etag"] != tag
    assert np.load(io.BytesIO(changed.content))[0].max() == 20


async def test_a_mosaic_shows_an_object_that_somebody_overwrote(in_bucket, bucket, tmp_path):
    made = await shop(in_bucket, cog(tmp_path, 10))

    def replace() -> None:
        bucket.objects[f"prefix/{made.key}"] = cog(tmp_path, 20).read_bytes()
        age(in_bucket)

    await mosaic_follows(in_bucket, made, replace)


async def test_a_mosaic_shows_a_file_that_was_written_over_in_place(api, tmp_path):
    made = await shop(api, cog(tmp_path, 10))
    path = api.platform.services.objects.local_file(made.key)
    path.chmod(0o640)
    await mosaic_follows(api, made, lambda: path.write_bytes(cog(tmp_path, 20).read_bytes()))


async def test_names_of_bands_are_found_in_the_file_that_lies_there(
    in_bucket, bucket, tmp_path, monkeypatch
):
    made = await shop(in_bucket, cog(tmp_path, 10))
    opened = []
    kept = suggest.suggest_for

    def look(path: str, *args: Any) -> Any:
        opened.append(path)
        return kept(path, *args)

    monkeypatch.setattr(suggest, "suggest_for", look)
    [asset] = in_bucket.sql("select id from asset where item_id = %s and key = 'data'", made.item)
    body = {"item_id": made.item, "asset_id": asset["id"]}
    await in_bucket.ok("items.detect_asset_bands", body, as_=made.owner)
    assert await pictures.refresh(
        in_bucket.platform.pipeline, made.owner.organization_id, made.item
    )
    # in one version, by the platform's own hand: GDAL is given no key of the bucket for it
    assert opened and not any(path.startswith("/vsis3") for path in opened)
