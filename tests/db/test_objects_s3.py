"""The object store on an S3-compatible server: the same promises, over a bucket."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import rasterio
from rasterio.warp import transform_bounds

from db.objects import Objects
from db.parts import Announced
from db.paths import ObjectMissing, StorageUnavailable
from processes import engine
from processes.process import JobError, Source
from raster.child import ChildFailed, run_child


@pytest.fixture
def objects(bucket: Any, tmp_path: Path) -> Objects:
    return Objects("s3://bucket/prefix", spool=tmp_path / "spool")


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_objects_are_kept_in_the_bucket(objects: Objects, bucket: Any, tmp_path: Path):
    file = tmp_path / "file"
    file.write_bytes(b"from a file")
    big = bytes(7_000_000)
    assert await objects.put("a/bytes", b"some bytes") == 10
    assert await objects.put("a/stream", chunks(b"one ", b"two")) == 7
    assert await objects.put("a/big", chunks(big, b"!")) == 7_000_001
    assert await objects.take("b/file", file) == 11 and not file.exists()
    assert sorted(bucket.objects) == [
        "prefix/a/big",
        "prefix/a/bytes",
        "prefix/a/stream",
        "prefix/b/file",
    ]
    assert await objects.get("a/stream") == b"one two"
    assert await objects.get_range("a/bytes", 5, 8) == b"byt"
    assert b"".join([c async for c in objects.stream("a/big")]) == big + b"!"
    assert sorted([m.path async for m in objects.list("a")]) == ["a/big", "a/bytes", "a/stream"]
    meta = await objects.head("b/file")
    assert meta is not None and meta.size == 11
    await objects.copy("b/file", "c/copy")
    await objects.move("c/copy", "d/moved")
    assert await objects.delete("b/file") and not await objects.delete("b/file")
    assert await objects.get("d/moved") == b"from a file" and await objects.head("c/copy") is None
    with pytest.raises(ObjectMissing):
        await objects.get("b/file")
    await objects.check()


async def test_an_upload_gathers_locally_and_ends_in_the_bucket(objects: Objects, bucket: Any):
    first = await objects.receive("up/x.tif", chunks(b"0123"), Announced(9, 0, 4, 9, whole=False))
    assert not first.complete and bucket.objects == {}
    last = await objects.receive("up/x.tif", chunks(b"45678"), Announced(9, 4, 5, 9, whole=False))
    assert last.complete and bucket.objects == {"prefix/up/x.tif": b"012345678"}
    assert await objects.received("up/x.tif") == last


async def test_a_download_is_by_the_bucket_s_own_signed_url(objects: Objects):
    await objects.put("a/bytes", b"some bytes")
    url = await objects.signed_download("a/bytes", 60)
    assert url is not None and "X-Amz-Signature=" in url and "X-Amz-Expires=60" in url
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).content == b"some bytes"
    assert objects.local_file("a/bytes") is None
    assert objects.gdal_path("a/bytes") == "/vsis3/bucket/prefix/a/bytes"
    assert objects.gdal_options()["AWS_HTTPS"] == "NO"


async def test_a_bucket_that_refuses_us_is_told(objects: Objects, bucket: Any):
    bucket.down = True
    with pytest.raises(StorageUnavailable):
        await objects.put("a/x", b"")
    with pytest.raises(StorageUnavailable):
        await objects.check()


SCENE = Path(__file__).parents[1] / "data" / "rasters" / "s2-flanders_ndvi_2020-11_2021-10_10m.tif"


async def clip(path: str, out: Path, link: str | None) -> bytes:
    """The file of a clip by nearly the whole scene, made in a child as a worker does."""
    with rasterio.open(SCENE) as file:
        west, south, east, north = transform_bounds(file.crs, "EPSG:4326", *file.bounds)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    out.mkdir()
    (made,) = await engine.run(
        "clip",
        {"source_item_id": "it_1", "aoi_geometry": {"type": "Polygon", "coordinates": [ring]}},
        [Source("it_1", "data", path)],
        out,
        links={path: link} if link else None,
    )
    assert made.path is not None
    return made.path.read_bytes()


async def test_a_job_reads_its_source_in_the_bucket_by_a_signed_link_alone(
    objects: Objects, bucket: Any, tmp_path: Path
):
    await objects.put("a/scene.tif", SCENE)
    link = await objects.signed_download("a/scene.tif", 600)
    found = await clip(objects.gdal_path("a/scene.tif"), tmp_path / "bucket", link)
    assert found == await clip(str(SCENE), tmp_path / "local", None)
    assert len(bucket.read) > 1
    assert all("X-Amz-Signature" in request.query_params for request in bucket.read)
    assert not any("authorization" in request.headers for request in bucket.read)


async def test_a_bucket_that_fails_a_job_is_not_taken_for_a_damaged_scene(
    objects: Objects, bucket: Any, tmp_path: Path
):
    await objects.put("a/scene.tif", SCENE)
    path, bucket.broken_reads = objects.gdal_path("a/scene.tif"), True
    link = await objects.signed_download("a/scene.tif", 600)
    with pytest.raises(JobError) as error:
        await clip(path, tmp_path / "broken", link)
    assert error.value.code == "storage_unavailable" and "X-Amz" not in error.value.message
    bucket.broken_reads = False
    gone = await objects.signed_download("a/gone.tif", 600)
    with pytest.raises(JobError) as error:
        await clip(path, tmp_path / "gone", gone)
    assert error.value.code == "scene_unreadable"


async def test_of_many_items_in_the_bucket_only_those_are_contacted_that_are_read(
    objects: Objects, bucket: Any, tmp_path: Path
) -> None:
    """One that is gone has its reason in the answer, and the others their values."""
    await objects.put("a/scene.tif", SCENE)
    await objects.put("a/never-asked-for.tif", SCENE)
    items, links = [], {}
    for item, key, name in (
        ("it_1", "data", "scene"),
        ("it_2", "data", "gone"),
        ("it_3", "data", "never-asked-for"),
    ):
        path = objects.gdal_path(f"a/{name}.tif")
        links[path] = str(await objects.signed_download(f"a/{name}.tif", 600))
        source = {"item_id": item, "asset_key": key, "path": path}
        items.append({"id": item, "datetime": None, "sources": [source]})

    async def histogram(items: list[dict[str, Any]], links: dict[str, str]) -> Any:
        made = await run_child(
            "processes.analysis.engine:execute",
            {
                "operation": "histogram",
                "params": {"item_ids": ["it_1", "it_2"], "band": 1},
                "items": items,
                "out_dir": str(tmp_path),
                "links": links,
            },
        )
        return made["answer"]["results"]

    first, second = await histogram(items, links)
    assert second["error"]["code"] == "not_found"
    here = {"item_id": "it_1", "asset_key": "data", "path": str(SCENE)}
    local, _ = await histogram([{**items[0], "sources": [here]}, items[1]], {})
    assert first == local
    assert any("scene.tif" in str(request.url) for request in bucket.read)
    assert not any("never-asked-for" in str(request.url) for request in bucket.read)
    bucket.broken_reads = True
    again = {path: str(await objects.signed_download("a/scene.tif", 601)) for path in links}
    with pytest.raises(ChildFailed) as error:
        await histogram(items, again)
    assert error.value.code == "storage_unavailable"


async def test_areas_are_read_from_the_bucket_too(
    objects: Objects, bucket: Any, tmp_path: Path
) -> None:
    with rasterio.open(SCENE) as file:
        west, south, east, north = transform_bounds(file.crs, "EPSG:4326", *file.bounds)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    area = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}
    areas = json.dumps({"type": "FeatureCollection", "features": [area] * 2_000})
    tables = []
    for name in ("bucket", "local"):
        folder, links = tmp_path / name, {}
        folder.mkdir()
        (tmp_path / "zones").write_text(areas)
        path = str(tmp_path / "zones")
        if name == "bucket":
            await objects.put("a/zones", areas.encode())
            path = objects.gdal_path("a/zones")
            links[path] = await objects.signed_download("a/zones", 600)
        (made,) = await engine.run(
            "zonal_table",
            {
                "source_item_id": "it_1",
                "zones_item_id": "it_2",
                "bands": [1],
                "statistics": ["mean"],
            },
            [Source("it_1", "data", str(SCENE)), Source("it_2", "data", path)],
            folder,
            links=links,
        )
        assert made.path is not None
        tables.append(made.path.read_bytes())
    assert tables[0] == tables[1] and tables[0].count(b"\n") == 2_001
