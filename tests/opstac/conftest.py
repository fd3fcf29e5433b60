"""`opstac verify` looks at every organization there is: these tests have a cluster of their own."""

from __future__ import annotations

import asyncio
import io
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import from_origin
from rasterio.warp import transform

from db.disposable import migrated_cluster
from ops_gateway.catalogue.drafts import AssetDraft, ItemDraft
from ops_gateway.catalogue.items import insert_item
from ops_gateway.kernel.ids import new_id
from opstac.cli import main
from raster.cog import convert_to_cog
from raster.inspect import inspect


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    """A cluster of this folder's own: no other test tampers with it."""
    with migrated_cluster() as cluster:
        yield cluster.dsn()


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capfd: Any, tmp_path: Path) -> Any:
    """Runs a command line of ours in this process: (status, standard output, standard error)."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("OPSTAC_TOKEN", "OPSTAC_URL", "GEOPERA_API_TOKEN", "GEOPERA_API_URL"):
        monkeypatch.delenv(name, raising=False)

    async def run(*words: str, as_: Any = None) -> tuple[int, str, str]:
        if as_ is not None:
            monkeypatch.setenv("OPSTAC_TOKEN", as_.token)
        else:
            monkeypatch.delenv("OPSTAC_TOKEN", raising=False)
        capfd.readouterr()
        try:
            status = await asyncio.to_thread(main, list(words))
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def of_live(shell: Any, live: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same, against the live platform."""
    monkeypatch.setenv("OPSTAC_URL", str(live.client.base_url))
    return shell


@pytest.fixture
def op(of_live: Any) -> Any:
    """The same, for `opstac op`."""

    async def run(*words: str, as_: Any = None) -> tuple[int, str, str]:
        return await of_live("op", *words, as_=as_)

    return run


WEST, NORTH = 500000, 5300000
Z = 13


class Scenes:
    """Items with rasters of one value, in a collection of a new organization."""

    def __init__(self, api, owner, project: str, collection: str, slug: str, folder) -> None:
        self.api, self.owner, self.project = api, owner, project
        self.collection, self.slug, self.folder = collection, slug, folder

    async def add(
        self,
        value,
        *,
        day: int = 1,
        cloud: float | None = None,
        shift: int = 0,
        names=("red", "green", "blue"),
        hole: bool = False,
        broken: bool = False,
        dtype: str = "uint8",
        collection: str | None = None,
        scale: tuple[float, float] | None = None,
        crs: str = "EPSG:32633",
        west: float = WEST,
    ) -> str:
        """A 512 x 512 raster at 10 m, `shift` pixels to the east; 0 is no data. The item's id.

        `value` is a number of each band, or all numbers.
        """
        values = np.array(value, dtype)
        values = values if values.ndim == 3 else values.reshape(-1, 1, 1)
        data = np.broadcast_to(values, (len(names), 512, 512)).copy()
        if hole:
            data[:, :, :256] = 0
        path = self.folder / f"{new_id('f')}.tif"
        profile = {
            "driver": "GTiff", "width": 512, "height": 512, "count": len(names), "dtype": dtype,
            "crs": crs, "transform": from_origin(west + shift * 10, NORTH, 10, 10),
            "nodata": 0,
        }  # fmt: skip
        if dtype == "uint8" and len(names) == 4:
            profile["alpha"] = "NO"
        plain = path.with_suffix(".plain.tif")
        with rasterio.open(plain, "w", **profile) as out:
            out.write(data)
            out.descriptions = names
            if scale:
                out.scales, out.offsets = (scale[0],) * len(names), (scale[1],) * len(names)
        convert_to_cog(plain, path, level=1)
        info = inspect(path)
        key = f"{self.owner.organization_id}/{new_id('f')}.tif"
        await self.api.platform.services.objects.put(key, b"nothing" if broken else path)

        async def work(ctx):
            made, _ = await insert_item(
                ctx,
                ItemDraft(
                    project_id=self.project,
                    name="scene",
                    type="user_raster",
                    bbox=info["bbox"],
                    geometry=info["footprint"],
                    datetime=f"2026-01-{day:02d}T00:00:00Z",
                    cloud_cover=cloud,
                    collection_id=collection or self.collection,
                ),
                [AssetDraft(key="data", object_path=key, info=info, file_name="scene.tif")],
            )
            ctx.edge(("item", made.id), "generated_by", ("project", self.project))
            return made.id

        caller = await self.api.platform.authenticator.authenticate(self.owner.token)
        return await self.api.platform.pipeline.act("tests.ingest", caller, work)

    def url(self, what: str, mosaic: str | None = None) -> str:
        return f"/api/v1/{mosaic or 'collections/' + self.collection}/tiles/{what}"

    async def get(self, what: str, *, mosaic: str | None = None, as_=None, **params):
        token = (as_ or self.owner).token
        headers = {"Authorization": f"Bearer {token}"} if as_ is not False else {}
        return await self.api.client.get(self.url(what, mosaic), params=params, headers=headers)

    @staticmethod
    def picture(answer) -> np.ndarray:
        """RGBA of a tile."""
        return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))

    @staticmethod
    def place(pixel: float) -> tuple[int, int, int, int, int]:
        """(z, x, y, column, row) of a pixel of the rasters' middle row."""
        return place(pixel)

    async def pixel(self, *, at: int = 128, shift: int = 0, mosaic=None, **params):
        """RGBA near a raster's middle, `at` pixels from its left edge, and the response."""
        z, x, y, column, row = place(shift + at)
        params.setdefault("rescale", "0,255")
        answer = await self.get(f"{z}/{x}/{y}.png", mosaic=mosaic, **params)
        assert answer.status_code == 200, answer.text
        picture = self.picture(answer)
        return tuple(int(v) for v in picture[row, column]), answer


def place(pixel: float) -> tuple[int, int, int, int, int]:
    """(z, x, y, column, row) of a pixel of the rasters' middle row."""
    [x], [y] = transform("EPSG:32633", "EPSG:3857", [WEST + pixel * 10], [NORTH - 2560])
    half = 20037508.342789244
    side = 2 * half / 2**Z
    along, down = (x + half) / side, (half - y) / side
    return Z, int(along), int(down), int(along % 1 * 256), int(down % 1 * 256)


@pytest.fixture
async def scenes(api, tmp_path):
    return await made_scenes(api, tmp_path)


@pytest.fixture
async def live_scenes(live, tmp_path):
    """The same on a port, for clients that are programs."""
    return await made_scenes(live, tmp_path)


async def made_scenes(api, tmp_path) -> Scenes:
    owner = await api.organization()
    project = await api.project(owner)
    slug = f"fields-{uuid.uuid4().hex[:12]}"
    body = {"name": "Fields", "slug": slug, "project_id": project}
    made = await api.ok("collections.create", body, as_=owner)
    folder = tmp_path / "made"
    folder.mkdir()
    return Scenes(api, owner, project, made["id"], slug, folder)
