"""The STAC community's own validator and client against a running platform."""

from __future__ import annotations

import asyncio
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import pystac_client
import pytest

VALIDATOR = Path(__file__).with_name("offline_validator.py")
AREA = {"type": "Polygon", "coordinates": [[[4, 49], [8, 49], [8, 53], [4, 53], [4, 49]]]}
# each run has the checks of `core` in it: what changes no other's requests is asked for together
CLASSES = {
    "core browseable item-search features collections children": [],
    "filter": [],
    "item-search#sort": [],
    "item-search#fields": ["--fields-nested-property", "properties.eo:cloud_cover"],
    "item-search#query": [
        *("--query-comparison-field", "eo:cloud_cover"),
        *(f"--query-{op}-value={10}" for op in ("eq", "neq", "lt", "lte", "gt", "gte")),
        *("--query-substring-field", "platform", "--query-starts-with-value", "senti"),
        *("--query-ends-with-value", "2a", "--query-contains-value", "nel"),
        # it compares the letters of a text
        *("--query-in-field", "grade", "--query-in-values", "a,b"),
    ],
    "transaction": ["--transaction-collection", "scenes"],
}  # fmt: skip
ITEMS = 45


@pytest.fixture
async def scenes(live: Any) -> dict[str, str]:
    """A collection of items beside each other; the headers of its owner."""
    owner = await live.organization()
    project = await live.project(owner)
    body = {"name": "Scenes", "slug": "scenes", "project_id": project}
    collection = (await live.ok("collections.create", body, as_=owner))["id"]
    items = []
    for n in range(ITEMS):
        west, south = 5 + n % 9 * 0.2, 50 + n // 9 * 0.2
        ring = [(0, 0), (0.1, 0), (0.1, 0.1), (0, 0.1), (0, 0)]
        extensions = "https://stac-extensions.github.io"
        items.append(
            {
                "type": "Feature",
                "stac_version": "1.0.0",
                "stac_extensions": [f"{extensions}/eo/v1.1.0/schema.json"],
                "id": f"scene-{n:02}",
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [[[west + x, south + y] for x, y in ring]],
                },
                "bbox": [west, south, west + 0.1, south + 0.1],
                "properties": {
                    "datetime": f"2024-{n % 12 + 1:02}-{n % 28 + 1:02}T10:00:00Z",
                    "eo:cloud_cover": n % 3 * 10,
                    "platform": ("sentinel-2a", "sentinel-2b")[n % 2],
                    "grade": "abc"[n % 3],
                },
                "links": [],
                "assets": {"data": {"href": f"https://files.example/{n}.tif"}},
            }
        )
    body = {"project_id": project, "collection_id": collection, "items": items}
    assert (await live.ok("items.import", body, as_=owner))["created"] == ITEMS
    return {"Authorization": f"Bearer {owner.token}"}


@pytest.mark.slow  # each class is a run of a program that asks some hundred times
async def test_stac_api_validator_finds_nothing_in_any_class(live, scenes):
    async def found(names: str) -> str | None:
        """What the validator complains of; None where it is content."""
        classes = [part for name in names.split() for part in ("--conformance", name)]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, VALIDATOR, "--root-url", f"{live.client.base_url}/assets/stac/"),
            *(*classes, "--collection", "scenes", "--geometry", json.dumps(AREA)),
            *("-H", f"Authorization: {scenes['Authorization']}", *CLASSES[names]),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await process.communicate())[0].decode()
        # it ends well where it has stopped in the middle
        errors = output.partition("Errors:")[2].partition("Warnings:")[0]
        wrong = process.returncode or "Failed." in output or "- " in errors
        return f"{names}: {output[-1500:]}" if wrong or "Errors:" not in output else None

    wrong = []
    for first in range(0, len(CLASSES), 3):
        names = list(CLASSES)[first : first + 3]
        wrong += [text for text in await asyncio.gather(*map(found, names)) if text]
    assert not wrong, f"{len(wrong)} of {len(CLASSES)}:\n" + "\n\n".join(wrong)


async def test_pystac_client_walks_every_page(live, scenes):
    def walk() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            client = pystac_client.Client.open(
                f"{live.client.base_url}/assets/stac", headers=scenes
            )
            for method in ("GET", "POST"):
                for limit in (7, 37, 100):
                    for order in (None, "-datetime", "+id"):
                        search = client.search(
                            collections=["scenes"], limit=limit, method=method, sortby=order
                        )
                        ids = [item["id"] for item in search.items_as_dicts()]
                        assert len(ids) == len(set(ids)) == ITEMS, (method, limit, order)
            assert client.search(collections=["scenes"]).matched() == ITEMS

    await asyncio.to_thread(walk)
