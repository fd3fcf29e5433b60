"""What is said of a file that has just come in: valid, without a recommendation left, and true."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from opstac import journey

CHECK = Path(__file__).with_name("offline_validator.py")
SAMPLE = journey.SAMPLES / "s2-flanders_2021-04_10m.tif"


async def said(api: Any, owner: Any, item: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {owner.token}"}
    answer = await api.client.get(f"/assets/stac/search?ids={item}", headers=headers)
    (feature,) = answer.json()["features"]
    return feature


async def test_stac_check_has_no_recommendation_left(api, ingest, tmp_path):
    owner = await api.organization()
    project = await api.project(owner)
    done = await ingest(api, owner, project, SAMPLE, datetime="2021-04-01T00:00:00Z")
    feature = await said(api, owner, done["items"][0]["id"])
    path = tmp_path / "item.json"
    path.write_text(json.dumps(feature))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, CHECK, "--item", path), stdout=asyncio.subprocess.PIPE
    )
    found = json.loads((await process.communicate())[0].splitlines()[-1])
    assert found["valid"], found
    assert found["recommendations"] == []
    names = {address.split("/")[3] for address in found["schemas"]}
    assert {"file", "projection", "raster", "eo", "render", "timestamps", "version"} <= names
    assert {"tilejson", "wmts", "preview"} <= {link["rel"] for link in feature["links"]}


@pytest.fixture
def without_statistics(tmp_path: Path) -> Path:
    """A cloud-optimized GeoTIFF that no statistics are in."""
    path = tmp_path / "bare.tif"
    with rasterio.open(SAMPLE) as source:
        profile, pixels = source.profile, source.read()
    keep = {name: profile[name] for name in ("width", "height", "count", "dtype", "crs", "nodata")}
    with rasterio.open(
        path, "w", driver="COG", transform=profile["transform"], statistics="no", **keep
    ) as made:
        made.write(pixels)
    with rasterio.open(path) as made:
        assert not any("STATISTICS" in name for band in made.indexes for name in made.tags(band))
    return path


async def test_a_cog_without_statistics_is_given_them_once_and_drawn_by_them(
    api, ingest, without_statistics
):
    owner = await api.organization()
    project = await api.project(owner)
    items = [
        (await ingest(api, owner, project, path))["items"][0]["id"]
        for path in (without_statistics, SAMPLE)
    ]
    features = [await said(api, owner, item) for item in items]
    with rasterio.open(without_statistics) as source:
        bands = [source.read(n, masked=True).compressed().astype("float64") for n in source.indexes]
    for band, told in zip(bands, features[0]["assets"]["data"]["raster:bands"], strict=True):
        statistics = told["statistics"]
        assert statistics["minimum"] == band.min() and statistics["maximum"] == band.max()
        assert statistics["mean"] == pytest.approx(np.mean(band), rel=1e-6)
        assert statistics["stddev"] == pytest.approx(np.std(band), rel=1e-6)
    # the same picture as of the file that came with them, band for band
    headers = {"Authorization": f"Bearer {owner.token}"}
    pictures = []
    for item in items:
        answer = await api.client.get(f"/api/v1/items/{item}/preview.png?bidx=1", headers=headers)
        assert answer.status_code == 200, answer.text
        pictures.append(answer.content)
    assert pictures[0] == pictures[1]
