"""All cases of OGC's abstract test suite for CQL2, as text and as JSON, over the public surface.

Where they come from, and why three counts are not the standard's: `tests/data/cql2/README.md`.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import cql2
import httpx

DATA = Path(__file__).parent.parent / "data" / "cql2"
# predicate → the right count; the standard still has that of an older predicate
ERRATA = {
    "ACCENTI(name) LIKE accenti('Ch%')": 3,
    "ACCENTI(CASEI(name)) LIKE accenti(casei('Chiș%'))": 1,
    "ACCENTI(CASEI(name)) LIKE accenti(casei('cHis%'))": 1,
}


def cases() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / "cases.ndjson").read_text().splitlines()]


def items() -> list[dict[str, Any]]:
    text = lzma.decompress((DATA / "items.ndjson.xz").read_bytes()).decode()
    return [json.loads(line) for line in text.splitlines()]


async def load(client: httpx.AsyncClient) -> None:
    """The dataset as a client brings it: three collections and their items."""
    found = items()
    for name in sorted({item["collection"] for item in found}):
        collection = {
            "type": "Collection",
            "stac_version": "1.0.0",
            "id": name.removeprefix("ne_110m_"),
            "description": "Natural Earth",
            "license": "other",
            "links": [],
            "extent": {
                "spatial": {"bbox": [[-180, -90, 180, 90]]},
                "temporal": {"interval": [[None, None]]},
            },
        }
        response = await client.post("/assets/stac/collections", json=collection)
        assert response.status_code == 201, response.text
        features = [
            {**item, "collection": collection["id"], "links": [], "assets": {}}
            for item in found
            if item["collection"] == name
        ]
        address = f"/assets/stac/collections/{collection['id']}/items"
        body = {"type": "FeatureCollection", "features": features}
        response = await client.post(address, json=body)
        assert response.status_code in (200, 201), response.text


async def test_every_case_of_the_standard(api):
    owner = await api.organization()
    await api.project(owner)
    api.client.headers["Authorization"] = f"Bearer {owner.token}"
    await load(api.client)
    found = cases()
    assert len(found) == 351
    wrong = []
    for case in found:
        text = case["filter"]
        parameters = {"filter": text, "filter-lang": "cql2-text", "fields": "id", "limit": 1}
        by_text = await api.client.get(
            "/assets/stac/search", params={**parameters, "collections": case["collection"]}
        )
        body = {"filter": cql2.parse_text(text).to_json(), "collections": [case["collection"]]}
        by_json = await api.client.post(
            "/assets/stac/search", json={**body, "limit": 1, "fields": {"include": ["id"]}}
        )
        expected = ERRATA.get(text, case["expected"])
        for language, response in (("text", by_text), ("json", by_json)):
            if response.status_code != 200 or response.json()["numberMatched"] != expected:
                wrong.append((language, text, expected, response.text[:200]))
    assert not wrong, f"{len(wrong)} of {2 * len(found)}: {wrong[:5]}"
