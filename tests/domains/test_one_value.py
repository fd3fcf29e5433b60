"""An index with constants is one number through every door, of a file without a scale."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from processes.engine import execute
from processes.process import Source

JUNE = Path(__file__).parent.parent / "data" / "rasters" / "s2-flanders_2021-06_10m.tif"
# (name, as the catalogue writes it, as others do, numpy)
INDICES = [
    (
        "EVI",
        "2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1)",
        "((b4 - b3) / (1 + b4 - 7.5 * b1 + 6 * b3)) * 2.5",
        lambda blue, red, nir: 2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1),
    ),
    (
        "SAVI",
        "1.5 * (nir - red) / (nir + red + 0.5)",
        "(1 + 0.5) * (b4 - b3) / (b4 + b3 + 0.5)",
        lambda blue, red, nir: 1.5 * (nir - red) / (nir + red + 0.5),
    ),
]


@pytest.fixture
def unscaled(tmp_path: Path) -> Path:
    """Sentinel-2 as its product has it: whole numbers, and nothing says what they count."""
    path = tmp_path / "s2.tif"
    with rasterio.open(JUNE) as file:
        profile, values, names = file.profile, file.read(), file.descriptions
    with rasterio.open(path, "w", **profile) as out:
        out.write(values)
        out.descriptions = names
    with rasterio.open(path) as made:
        assert made.scales == (1.0,) * 6
        assert made.dtypes[0] == "uint16"
    return path


@pytest.mark.parametrize(("name", "text", "otherwise", "formula"), INDICES)
async def test_an_index_is_one_value_everywhere(
    api, catalogue, unscaled, tmp_path, name, text, otherwise, formula
):
    owner = await api.organization()
    project = await api.project(owner)
    item, _ = await catalogue.scene(owner, project, file=unscaled)
    with rasterio.open(unscaled) as file:
        blue, red, nir = (file.read(band) / 1e4 for band in (1, 3, 4))
        lon, lat = rasterio.warp.transform(file.crs, "EPSG:4326", *[[v] for v in file.xy(40, 60)])
    expected = formula(blue, red, nir)

    async def get(path: str, **params: str) -> Any:
        headers = {"Authorization": f"Bearer {owner.token}"}
        answer = await api.client.get(
            f"/api/v1/items/{item['id']}/{path}", params=params, headers=headers
        )
        assert answer.status_code == 200, answer.text
        return answer

    async def run(operation: str, **params: Any) -> Any:
        body = {"operation": operation, "params": {"item_id": item["id"], **params}}
        return await api.ok("analytics.execute", body, as_=owner)

    def job(process: str, **inputs: Any) -> np.ndarray:
        out = tmp_path / f"{process}-{len(list(tmp_path.iterdir()))}"
        out.mkdir()
        source = Source(item["id"], "data", str(unscaled), {}, {})
        given = {"source_item_id": item["id"], **inputs}
        (made,) = execute(process, given, [vars(source)], str(out), lambda f, s: None)
        with rasterio.open(made["path"]) as file:
            return file.read(1)

    near = pytest.approx(expected.mean(), rel=1e-5)
    for formula_text in (text, otherwise):
        point = (await get(f"point/{lon[0]},{lat[0]}", expression=formula_text)).json()
        assert point["values"] == [pytest.approx(expected[40, 60], rel=1e-5)]
        statistics = (await get("statistics", expression=formula_text)).json()["b1"]
        assert statistics["mean"] == near and statistics["count"] == expected.size
        tile = await get("preview.npy", expression=formula_text, resampling="nearest")
        assert np.allclose(np.load(io.BytesIO(tile.content))[0], expected, rtol=1e-5)
        legend = await api.ok(
            "items.tile.statistics", {"item_id": item["id"], "expression": formula_text}, as_=owner
        )
        assert legend["mean"] == near
        low, high = legend["rescale"]
        two = 2 * expected.std()
        assert low == pytest.approx(max(expected.min(), expected.mean() - two), abs=1e-4)
        assert high == pytest.approx(min(expected.max(), expected.mean() + two), abs=1e-4)
        zone = await run("zonal_stats", expression=formula_text)
        assert zone["statistics"]["mean"] == near
        made = job("band_math", expression=formula_text)
        assert np.allclose(made, expected, rtol=1e-5)
    assert (await run("zonal_stats", index_name=name))["statistics"]["mean"] == near
    assert np.allclose(job("index", index_name=name), expected, rtol=1e-5)
    west, south, east, north = item["bbox"]
    calculated = await api.ok(
        "analytics.calculate_index",
        {
            "cog_url": f"item://{item['id']}/data",
            "index_name": name,
            "sensor": "sentinel-2",
            "bbox": {"west": west, "south": south, "east": east, "north": north},
        },
        as_=owner,
    )
    assert calculated["statistics"]["mean"] == pytest.approx(expected.mean(), rel=1e-3)


async def test_other_formulas_see_the_numbers_as_they_are(api, catalogue, unscaled):
    owner = await api.organization()
    item, _ = await catalogue.scene(owner, await api.project(owner), file=unscaled)
    with rasterio.open(unscaled) as file:
        red, nir = (file.read(band).astype(float) for band in (3, 4))
    for text, expected in (
        ("b4 - b3", nir - red),
        ("(b4 - b3) / (b4 + b3 + 1)", (nir - red) / (nir + red + 1)),
        ("b4 / b3 - 1; b4 + 1", nir / red - 1),
    ):
        answer = await api.client.get(
            f"/api/v1/items/{item['id']}/statistics",
            params={"expression": text},
            headers={"Authorization": f"Bearer {owner.token}"},
        )
        assert answer.json()["b1"]["mean"] == pytest.approx(expected.mean(), rel=1e-5)
