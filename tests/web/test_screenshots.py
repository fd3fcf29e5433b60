"""The pictures of the documentation, made in a headless Chromium from a running platform.

`OPSTAC_SCREENSHOTS=1 ./opstac test tests/web/test_screenshots.py` writes them to docs/pictures;
without it they are made and checked all the same.
"""

import io
import math
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from ops_gateway.catalogue.drafts import AssetDraft, ItemDraft
from ops_gateway.catalogue.items import insert_item
from ops_gateway.kernel.ids import new_id
from raster.cog import convert_to_cog
from raster.inspect import inspect

pytestmark = [pytest.mark.browser, pytest.mark.slow]  # starts a browser

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "src" / "opstac" / "sampledata" / "naip_north-dakota_2019-09-04.tif"
DSM = ROOT / "tests" / "data" / "rasters" / "washington-dc_dsm_2m.tif"
PICTURES = ROOT / "docs" / "pictures"
CHROMIUM = Path("/usr/bin/chromium")
WIDTH, HEIGHT = 860, 520
PAPER = (238, 240, 243)

PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: rgb{paper}; overflow: hidden; font-family: sans-serif }}
#map {{ position: relative; width: {width}px; height: {height}px; overflow: hidden }}
#map img.tile {{ position: absolute; width: {side}px; height: {side}px }}
#legend {{ position: absolute; right: 14px; bottom: 14px; width: 230px; border-radius: 6px;
  box-shadow: 0 1px 6px rgba(0,0,0,.35) }}
</style><div id="map">{tiles}{legend}</div>"""


class Studio:
    """A live platform with items, and pages of their tiles."""

    def __init__(self, live, owner, project: str) -> None:
        self.live, self.owner, self.project = live, owner, project

    async def item(self, path: Path, day: int = 1, collection: str | None = None) -> str:
        info = inspect(path)
        key = f"{self.owner.organization_id}/{new_id('f')}.tif"
        await self.live.platform.services.objects.put(key, path)

        async def work(ctx):
            draft = ItemDraft(
                project_id=self.project,
                name=path.stem,
                type="user_raster",
                bbox=info["bbox"],
                geometry=info["footprint"],
                datetime=f"2026-01-{day:02d}T00:00:00Z",
                collection_id=collection,
            )
            asset = AssetDraft(key="data", object_path=key, info=info, file_name=path.name)
            made, _ = await insert_item(ctx, draft, [asset])
            ctx.edge(("item", made.id), "generated_by", ("project", self.project))
            return made.id

        caller = await self.live.platform.authenticator.authenticate(self.owner.token)
        return await self.live.platform.pipeline.act("tests.ingest", caller, work)

    async def shot(self, browser, layer: str, *, zoom: int, legend: bool = False, **params):
        """A layer around its middle, as a web map shows it: uint8 (rows, columns, 3)."""
        headers = {"Authorization": f"Bearer {self.owner.token}"}
        answer = await self.live.client.get(
            f"/api/v1/{layer}/tiles/tilejson.json", params=params, headers=headers
        )
        assert answer.status_code == 200, answer.text
        described = answer.json()
        template = described["tiles"][0].replace(".webp", "@2x.png")
        west, south, east, north = described["bounds"]
        x = ((west + east) / 2 + 180) / 360 * 2**zoom
        middle = math.radians((south + north) / 2)
        y = (1 - math.asinh(math.tan(middle)) / math.pi) / 2 * 2**zoom
        side, tiles = 256, []
        for column in range(math.floor(x - WIDTH / 512), math.floor(x + WIDTH / 512) + 1):
            for row in range(math.floor(y - HEIGHT / 512), math.floor(y + HEIGHT / 512) + 1):
                left = round((column - x) * side + WIDTH / 2)
                top = round((row - y) * side + HEIGHT / 2)
                source = template.format(z=zoom, x=column, y=row)
                place = f"left:{left}px;top:{top}px"
                tiles.append(f'<img class="tile" src="{source}" style="{place}">')
        picture = ""
        if legend:
            drawn = await self.live.client.get(
                f"/api/v1/{layer}/legend.svg", params=params, headers=headers
            )
            assert drawn.status_code == 200, drawn.text
            picture = drawn.text.replace("<svg ", '<svg id="legend" ', 1)
        page = await browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        failed: list[str] = []
        page.on("response", lambda r: r.status >= 400 and failed.append(r.url))
        html = PAGE.format(
            paper=PAPER, width=WIDTH, height=HEIGHT, side=side, tiles="".join(tiles), legend=picture
        )
        await page.set_content(html, wait_until="networkidle")
        whole = "[...document.images].every(i => i.complete && i.naturalWidth == 512)"
        await page.wait_for_function(whole, timeout=60_000)
        body = await page.screenshot()
        await page.close()
        assert failed == []
        return np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))


@pytest.fixture
async def studio(live):
    owner = await live.organization()
    return Studio(live, owner, await live.project(owner))


@pytest.fixture
async def browser():
    from playwright.async_api import async_playwright

    assert CHROMIUM.exists(), "the browser tests drive the system's Chromium: apt install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox"]
        )
        yield browser
        await browser.close()


def keep(name: str, picture: np.ndarray) -> None:
    """Write a picture for the documentation, where that was asked for; small either way."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "WEBP", quality=82, method=6)
    assert len(out.getvalue()) < 150_000
    if os.environ.get("OPSTAC_SCREENSHOTS"):
        PICTURES.mkdir(exist_ok=True)
        (PICTURES / f"{name}.webp").write_bytes(out.getvalue())


def covered(picture: np.ndarray) -> np.ndarray:
    """Where something is drawn."""
    return np.abs(picture.astype(int) - PAPER).max(axis=2) > 6


async def test_an_item_and_a_mosaic_of_its_parts_look_alike(studio, browser, tmp_path):
    made = await studio.live.ok(
        "collections.create", {"name": "Parts", "project_id": studio.project}, as_=studio.owner
    )
    collection = made.get("id") or made["collection"]["id"]
    item = await studio.item(SAMPLE)
    with rasterio.open(SAMPLE) as whole:
        for number, (left, top) in enumerate([(0, 0), (420, 0), (0, 330), (420, 330)], start=1):
            # each with statistics of its own: lakes here, fields there
            window = Window(left, top, min(514, whole.width - left), min(393, whole.height - top))
            part = tmp_path / f"part-{number}.tif"
            profile = {
                **whole.profile,
                "driver": "GTiff",
                "width": window.width,
                "height": window.height,
                "transform": window_transform(window, whole.transform),
                "alpha": "NO",
            }
            plain = part.with_suffix(".plain.tif")
            with rasterio.open(plain, "w", **profile) as out:
                out.write(whole.read(window=window))
                out.descriptions = whole.descriptions
            convert_to_cog(plain, part, level=1)
            await studio.item(part, number, collection)
    alone = await studio.shot(browser, f"items/{item}", zoom=14)
    mosaic = await studio.shot(browser, f"collections/{collection}", zoom=14)
    assert covered(alone).mean() > 0.5 and alone.std() > 20
    assert np.abs(covered(alone).mean() - covered(mosaic).mean()) < 0.02
    both = covered(alone) & covered(mosaic)
    # another stretch, the parts' own pooled, but one: the difference has no steps at their edges
    difference = (mosaic.astype(int) - alone)[both]
    assert np.abs(difference).mean() < 12
    keep("item", alone)
    keep("mosaic", mosaic)


async def test_a_formula_with_its_legend(studio, browser):
    item = await studio.item(SAMPLE)
    picture = await studio.shot(
        browser,
        f"items/{item}",
        zoom=14,
        legend=True,
        expression="(nir-red)/(nir+red)",
        colormap="rdylgn",
        rescale="-0.4,0.6",
    )
    red, green = picture[..., 0].astype(int), picture[..., 1].astype(int)
    assert (covered(picture) & (green > red + 20)).mean() > 0.1  # plants
    assert (covered(picture) & (red > green + 20)).mean() > 0.02  # water
    corner = picture[-90:-20, -230:-20]
    assert (corner == 255).all(axis=2).mean() > 0.3  # the legend's paper
    keep("formula", picture)


async def test_a_hillshade(studio, browser):
    item = await studio.item(DSM)
    picture = await studio.shot(browser, f"items/{item}", zoom=17, algorithm="hillshade")
    drawn = picture[covered(picture)].astype(int)
    assert covered(picture).mean() > 0.5
    assert (np.ptp(drawn, axis=1) <= 2).mean() > 0.99  # grey
    assert drawn.std() > 25
    keep("hillshade", picture)
