"""schemathesis against the three descriptions: no answer that a description does not foresee.

Requests are made from the OpenAPI documents, right ones and wrong ones, with the ids of things that
are there. Each answer has a status, a media type and a body as described, and none is a fault of
the server. The quick run is the same requests every time; the long one goes on for ten minutes.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from opstac import journey

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance"
)
SAMPLE = journey.SAMPLES / "s2-flanders_2021-04_10m.tif"


@pytest.fixture
async def place(live: Any, ingest: Any) -> dict[str, Any]:
    """An owner with an item that has a file, in a collection."""
    owner = await live.organization()
    project = await live.project(owner)
    body = {"name": "Scenes", "slug": "scenes", "project_id": project}
    collection = (await live.ok("collections.create", body, as_=owner))["id"]
    done = await ingest(live, owner, project, SAMPLE, collection_id=collection, stac_id="scene")
    return {
        "token": owner.token,
        "project_id": project,
        "collection_id": "scenes",
        "item_id": done["items"][0]["id"],
        "asset_key": "data",
    }


def with_ids(document: dict[str, Any], place: dict[str, Any]) -> dict[str, Any]:
    """The description, with the ids of what is there in the places of its paths."""
    known = {**place, "version": "1", "z": 14, "x": 8433, "y": "5472", "row": 5472, "col": 8433}
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "path" and parameter["name"] in known:
                    parameter["schema"] = {"enum": [known[parameter["name"]]]}
    return document


async def fuzzed(
    live: Any, place: dict[str, Any], folder: Path, document: str, **options: str
) -> str:
    """What schemathesis says; fails where it found something."""
    described = (await live.client.get(document)).json()
    path = folder / "openapi.json"
    path.write_text(json.dumps(with_ids(described, place)))
    given = {
        "--url": str(live.client.base_url),
        "--header": f"Authorization: Bearer {place['token']}",
        "--checks": CHECKS,
        "--mode": "all",
        "--workers": "1",
        "--warnings": "off",
        "--request-timeout": "30",
        **options,
    }
    command = [Path(sys.executable).with_name("schemathesis"), "run", path]
    command += ["--continue-on-failure", "--no-color", "--generation-deterministic"]
    process = await asyncio.create_subprocess_exec(
        *command,
        *(part for option in given.items() for part in option),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text[-8000:]
    return text


@pytest.mark.slow  # some hundred requests to each of the three
@pytest.mark.parametrize(
    ("document", "operations", "examples"),
    [("/assets/stac/api", 35, "4"), ("/api/v1/openapi.json", 40, "2"), ("/openapi.json", 110, "1")],
)
async def test_no_answer_is_unforeseen(live, place, tmp_path, document, operations, examples):
    options = {"--phases": "fuzzing", "--max-examples": examples}
    text = await fuzzed(live, place, tmp_path, document, **options)
    assert "passed" in text
    # it has asked, and not only looked
    tested = int(text.split("Tested:")[1].split()[0])
    assert tested >= operations, text[-2000:]


@pytest.mark.million
@pytest.mark.parametrize("document", ["/assets/stac/api", "/api/v1/openapi.json", "/openapi.json"])
async def test_no_answer_is_unforeseen_for_ten_minutes(live, place, tmp_path, document):
    options = {"--phases": "examples,coverage,fuzzing", "--max-examples": "100"}
    await fuzzed(live, place, tmp_path, document, **options, **{"--max-time": "600"})
