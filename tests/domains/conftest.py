"""Entities put into the tables directly, for tests of one domain that stand on another."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
import rasterio
from psycopg.types.json import Jsonb
from rasterio.transform import from_origin

from db.pool import make_pool
from ops_gateway.catalogue.drafts import AssetDraft, ItemDraft
from ops_gateway.catalogue.items import insert_item
from ops_gateway.kernel.ids import new_id
from ops_gateway.worker.relay import relay
from opstac import rehearsal
from opstac.alerting import Alerting
from raster.inspect import inspect


class Stock:
    """Rows of an organization that no operation of the test's domain makes."""

    def __init__(self, api) -> None:
        self.api = api

    async def item(
        self, owner, project_id: str, *, collection_id: str | None = None
    ) -> dict[str, str]:
        """An item with one asset, its object and its pgstac row; `id`, `asset_id`, `path`."""
        item_id, asset_id = new_id("it"), new_id("as")
        path = f"{owner.organization_id}/{item_id}/{asset_id}.tif"
        await self.api.platform.services.objects.put(path, b"x" * 1000)
        self.api.sql(
            "insert into item (id, organization_id, project_id, collection_id, stac_id,"
            " type, name, datetime)"
            " values (%s, %s, %s, %s, %s, 'user_raster', 'scene', now())",
            item_id,
            owner.organization_id,
            project_id,
            collection_id,
            item_id,
        )
        self.asset(owner, item_id, path, asset_id)
        self.api.sql(
            "update organization set storage_used_bytes = storage_used_bytes + 1000 where"
            " organization_id = %s",
            owner.organization_id,
        )
        document = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": item_id,
            "geometry": {"type": "Point", "coordinates": [1, 2]},
            "bbox": [1, 2, 1, 2],
            "assets": {},
            "links": [],
            "properties": {
                "datetime": "2026-01-01T00:00:00Z",
                "opstac:project": project_id,
                "opstac:collection": collection_id or project_id,
                "opstac:stac_id": item_id,
            },
        }
        self.api.sql(
            "select opstac.put_items(slot, %s) from organization_slot where organization_id = %s",
            Jsonb([document]),
            owner.organization_id,
        )
        return {"id": item_id, "asset_id": asset_id, "path": path}

    def asset(
        self, owner, item_id: str, path: str, asset_id: str | None = None, key: str = "data"
    ) -> str:
        """An asset row for an object that may be another's too."""
        asset_id = asset_id or new_id("as")
        self.api.sql(
            "insert into asset (id, organization_id, item_id, key, object_path, media_type,"
            " size_bytes, checksum,"
            " band_count, band_names, width, height, epsg, dtype, is_cog)"
            " values (%s, %s, %s, %s, %s, 'image/tiff', 1000, 'sha256:0', 1, '{b1}', 10,"
            " 10, 4326, 'uint8', true)",
            asset_id,
            owner.organization_id,
            item_id,
            key,
            path,
        )
        return asset_id

    def job(
        self, owner, project_id: str, status: str = "running", hold_id: str | None = None
    ) -> str:
        job_id = new_id("job")
        self.api.sql(
            "insert into job (id, organization_id, project_id, job_type_id, status, hold_id)"
            " values (%s, %s, %s, 'clip', %s, %s)",
            job_id,
            owner.organization_id,
            project_id,
            status,
            hold_id,
        )
        return job_id

    def upload(self, owner, project_id: str, status: str = "uploading", reserved: int = 0) -> str:
        upload_id = new_id("up")
        self.api.sql(
            "insert into upload (id, organization_id, project_id, status, transfer_method,"
            " file_count,"
            " total_bytes, reserved_bytes) values (%s, %s, %s, %s, 'signed_url', 1, 10, %s)",
            upload_id,
            owner.organization_id,
            project_id,
            status,
            reserved,
        )
        self.api.sql(
            "update organization set storage_reserved_bytes = storage_reserved_bytes + %s"
            " where organization_id = %s",
            reserved,
            owner.organization_id,
        )
        return upload_id

    def collection(self, owner, project_id: str) -> str:
        collection_id = new_id("col")
        self.api.sql(
            "insert into collection (id, organization_id, project_id, slug, name) values"
            " (%s, %s, %s, %s, 'c')",
            collection_id,
            owner.organization_id,
            project_id,
            collection_id,
        )
        return collection_id

    async def edges(self, owner, *edges: tuple[tuple[str, str], str, tuple[str, str]]) -> None:
        """Record lineage as an operation does."""
        principal = self.platform_of(owner)

        async def work(ctx) -> None:
            for src, relation, dst in edges:
                ctx.edge(src, relation, dst)

        await self.api.platform.pipeline.act("tests.link", principal, work)

    def platform_of(self, owner):
        """The platform acting for `owner`'s organization."""
        from ops_gateway.kernel.context import Principal

        return Principal(kind="service", id="tests", organization_id=owner.organization_id)

    def stored(self, owner) -> set[str]:
        """Ids of the organization's pgstac items."""
        rows = self.api.sql(
            "select i.id from pgstac.items i join opstac.organization_slot s on s.slot ="
            " i.collection"
            " where s.organization_id = %s",
            owner.organization_id,
            role="opstac_owner",
        )
        return {row["id"] for row in rows}


@pytest.fixture
def stock(api) -> Stock:
    """Makes rows by hand."""
    return Stock(api)


@pytest.fixture
def stock_of():
    """The function from a platform to its stock."""
    return Stock


class Catalogue:
    """Items made over the wire, and items with a real file registered as an ingest does it."""

    def __init__(self, api) -> None:
        self.api = api

    async def item(self, owner, project_id: str, **fields):
        """An item made by hand; what items.create answers."""
        body = {"name": "scene", "type": "user_raster", "project_id": project_id, **fields}
        return await self.api.ok("items.create", body, as_=owner)

    async def scene(
        self, owner, project_id: str, *, key: str = "data", file: Path | None = None, **draft
    ):
        """An item whose file is in the store, by default a small Sentinel-2 COG: (item, assets)."""
        rasters = Path(__file__).parent.parent / "data" / "rasters"
        file = file or rasters / "s2-flanders_2021-06_10m.tif"
        info = inspect(file)
        path = f"{owner.organization_id}/{new_id('f')}.tif"
        await self.api.platform.services.objects.put(path, file)
        fields = {"name": "scene", "type": "user_raster", "geometry": info["footprint"], **draft}

        async def work(ctx):
            made, assets = await insert_item(
                ctx,
                ItemDraft(project_id=project_id, bbox=info["bbox"], **fields),
                [AssetDraft(key=key, object_path=path, info=info, file_name="scene.tif")],
            )
            ctx.edge(("item", made.id), "generated_by", ("project", project_id))
            return made.model_dump(mode="json"), [a.model_dump(mode="json") for a in assets]

        made = await self.api.platform.pipeline.act("tests.ingest", await self.caller(owner), work)
        self.api.sql(
            "update organization set storage_used_bytes = storage_used_bytes + %s"
            " where organization_id = %s",
            info["size_bytes"],
            owner.organization_id,
        )
        return made

    async def caller(self, person):
        """The principal of a person's token."""
        return await self.api.platform.authenticator.authenticate(person.token)

    async def stac(self, person, path: str, **params):
        """GET below /assets/stac; the response."""
        headers = {"Authorization": f"Bearer {person.token}"} if person else {}
        return await self.api.client.get(f"/assets/stac{path}", params=params, headers=headers)


@pytest.fixture
def catalogue(api) -> Catalogue:
    """Makes items."""
    return Catalogue(api)


@pytest.fixture
def scenes(live) -> Catalogue:
    """Makes items of a platform on a port."""
    return Catalogue(live)


class Watch:
    """An organization with a project, its alert rules, and the worker's loops by hand."""

    def __init__(self, api, owner, project, system, folder: Path) -> None:
        self.api, self.owner, self.project, self.system = api, owner, project, system
        self.catalogue, self.folder = Catalogue(api), folder

    def raster(self, values: np.ndarray, **profile) -> Path:
        """A GeoTIFF of these values (bands, rows, columns)."""
        path = self.folder / f"{uuid.uuid4().hex}.tif"
        count, height, width = values.shape
        scales, offsets = profile.pop("scales", None), profile.pop("offsets", None)
        with rasterio.open(
            path, "w", driver="GTiff", width=width, height=height, count=count,
            dtype=values.dtype, crs="EPSG:32756", transform=from_origin(330000, 6260000, 10, 10),
            **profile,
        ) as file:  # fmt: skip
            file.write(values)
            if scales:
                file.scales, file.offsets = scales, offsets
        return path

    @staticmethod
    def noise(rows: int = 40, columns: int = 50) -> np.ndarray:
        """Six bands, 0 in a corner of the fourth and in another one of the first."""
        values = np.random.default_rng(1).integers(100, 9000, (6, rows, columns)).astype("uint16")
        values[3, :5, :7] = 0
        values[0, -9:, -4:] = 0
        return values

    async def rule(self, **fields) -> dict:
        body = {
            "name": "watch", "expression": "b1", "comparison": "gt", "threshold": 0,
            "cooldown_minutes": 0, **fields,
        }  # fmt: skip
        return (await self.api.ok("alerts.create_rule", body, as_=self.owner))["alert_rule"]

    async def item(self, file: Path | None = None, **draft) -> str:
        file = file or self.raster(self.noise(8, 8))
        made, _ = await self.catalogue.scene(self.owner, self.project, file=file, **draft)
        return made["id"]

    async def relay(self) -> None:
        while await relay(self.system):
            pass

    async def run(self, name: str = "hand") -> None:
        """Everything that the worker would do now."""
        await self.relay()
        await Alerting(self.api.platform.pipeline, self.system, name=name).drain()

    async def events(self, **filters) -> list[dict]:
        answer = await self.api.ok("alerts.events.list", filters, as_=self.owner)
        assert answer["count"] == len(answer["alert_events"])
        return answer["alert_events"]

    async def test(self, rule: dict, item: str, status: int = 200) -> dict:
        body = {"rule_id": rule["id"], "item_id": item}
        answer = await self.api.call("alerts.test_rule", body, as_=self.owner)
        assert answer.status_code == status, answer.text
        return answer.json()

    def due(self) -> list[dict]:
        return self.api.sql(
            "select * from alert_due where organization_id = %s", self.owner.organization_id
        )

    def told(self) -> list[dict]:
        """The events `alert.triggered` in the outbox."""
        return self.api.sql(
            "select * from event where organization_id = %s and type = 'alert.triggered'"
            " order by id",
            self.owner.organization_id,
        )


async def watching(api, folder: Path, system) -> Watch:
    """A watch on a platform, with nothing due from other tests of this process."""
    api.sql("delete from alert_due")
    owner = await api.organization()
    return Watch(api, owner, await api.project(owner), system, folder)


@pytest.fixture(name="watching")
def watching_fixture():
    """The function from a platform to a watch."""
    return watching


@pytest.fixture
async def system(dsn):
    """A pool that sees every tenant, as a worker's."""
    async with make_pool(dsn, "opstac_system", min_size=1, max_size=8) as pool:
        yield pool


@pytest.fixture
async def watch(api, tmp_path, system) -> Watch:
    """A watch."""
    return await watching(api, tmp_path, system)


@pytest.fixture(scope="session")
def card_provider():
    """(URL, `Rehearsal`) of a server that speaks Stripe's API, one a test process."""
    with rehearsal.rehearsing() as found:
        yield found


@pytest.fixture
async def paid(dsn, tmp_path, platform_on, card_provider):
    """The platform with a card provider; `paid.provider` steers that."""
    url, provider = card_provider
    provider.down, provider.strict, provider.lose_answers = False, False, 0
    async with platform_on(
        dsn,
        tmp_path,
        "gateway",
        stripe_key=rehearsal.KEY,
        stripe_webhook_secret=rehearsal.WEBHOOK_SECRET,
        stripe_api_base=url,
    ) as api:
        api.provider = provider
        yield api
