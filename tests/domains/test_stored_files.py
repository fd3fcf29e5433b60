"""Files of assets are compared with the checksum they came in with."""

from __future__ import annotations

from db.pool import make_pool
from opstac.stored_files import check_files


async def test_a_file_that_changed_by_one_byte_is_found(api, catalogue) -> None:
    owner = await api.organization()
    item, _ = await catalogue.scene(owner, await api.project(owner))
    objects = api.platform.services.objects
    (asset,) = api.sql("select object_path, key from asset where item_id = %s", item["id"])
    file = objects.local_file(asset["object_path"])

    async def found() -> list[str]:
        async with make_pool(api.platform.settings.dsn, "opstac_system", max_size=1) as pool:
            count, findings = await check_files(pool, objects)
        assert count >= 1
        return [str(f) for f in findings if f.organization_id == owner.organization_id]

    assert await found() == []
    data = bytearray(file.read_bytes())
    data[-100] ^= 1  # in the pixels: whoever reads them sees no error
    file.write_bytes(data)
    name = f"{owner.organization_id}  asset {item['id']}/{asset['key']}"
    assert await found() == [f"{name}: its file is not the one that came in"]
    file.unlink()
    assert await found() == [f"{name}: its file is gone"]
