"""A process of somebody else's package: installed, it is called at every door and run by a worker
of its own process, beside a package that is broken."""

from __future__ import annotations

import asyncio
import importlib
import io
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from opstac.journey import SAMPLES
from processes import process as processes
from raster import child

ROOT = Path(__file__).parents[2]
FIELDS = SAMPLES / "s2-flanders_2021-04_10m.tif"
GUIDE = "write-a-process.md"
LEVEL = 0.1
RAISING = """
import sys
from typing import Any
from pydantic import BaseModel, model_validator
from processes.process import OutputSpec, Price, SourceRef, process

WRONG = {
    "sources": lambda: 1 / 0, "sources_value": lambda: [7],
    "check_sources": lambda: {}["missing"], "check_exit": lambda: sys.exit(3),
    "quantity": lambda: [].pop(), "quantity_value": lambda: float("nan"),
    "quantity_less": lambda: -1, "quantity_none": lambda: None,
}

class Inputs(BaseModel):
    source_item_id: str
    part: str
    value: Any = None

    @model_validator(mode="after")
    def _check(self):
        if self.part == "inputs":
            raise KeyError("theirs")
        if self.part == "inputs_value":
            self.value = object()
        return self

def at(part, inputs, good):
    return WRONG[inputs.part]() if inputs.part.startswith(part) else good

@process(
    id="raises_in_the_server", title="Raises", inputs=Inputs,
    outputs={"data": OutputSpec("D", "d", {})}, unit="SQ_KM", price=Price(1),
    sources=lambda inputs: at("sources", inputs, (SourceRef(inputs.source_item_id),)),
    check_sources=lambda inputs, sources: at("check", inputs, None),
    quantity=lambda inputs, items: at("quantity", inputs, 2.5),
)
def run(ctx):
    return []
"""
PARTS = (
    *("sources", "sources_value", "check_sources", "check_exit", "quantity", "quantity_value"),
    *("quantity_less", "quantity_none", "inputs", "inputs_value"),
)


@pytest.fixture
def installed(packages: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The guide's package and a broken one, where this process and its children find them."""
    kept = set(processes.discover())
    site, module = packages.install(GUIDE, "@process", processes.GROUP, tmp_path)
    packages.put(site, processes.GROUP, "a_broken_process", "raise RuntimeError('broken')\n")
    packages.put(site, processes.GROUP, "a_raising_process", RAISING)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(processes, "_seen", set())
    importlib.invalidate_caches()
    child.shut_down()  # the next one starts with the new path
    yield site
    child.shut_down()
    for name in set(processes.PROCESSES) - kept:
        del processes.PROCESSES[name]
    for name in (module, "a_raising_process"):
        sys.modules.pop(name, None)


@pytest.fixture
def api(installed: Path, live: Any) -> Any:
    """A platform started after the packages were installed, for clients that are programs."""
    return live


def test_the_guide_shows_a_process_in_about_thirty_lines(packages: Any) -> None:
    code = packages.code_of(GUIDE, "@process").strip().splitlines()
    assert len([line for line in code if line.strip()]) <= 36


async def by_rest(scene: Any, inputs: dict[str, Any]) -> str:
    body = {"project_id": scene.project, "job_type_id": "above_level", "input_params": inputs}
    made = await scene.ok("processing.create_and_dispatch", body)
    return made["job"]["id"]


async def by_command(scene: Any, inputs: dict[str, Any]) -> str:
    words = ["op", "processing", "execute", "--process-id", "above_level"]
    words += ["--workspace-id", scene.project, "--inputs", json.dumps(inputs)]
    called = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-P", "-m", "opstac", *words],
        env={
            **os.environ,
            "OPSTAC_URL": str(scene.api.client.base_url),
            "OPSTAC_TOKEN": scene.owner.token,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
        },
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert called.returncode == 0, called.stderr
    return json.loads(called.stdout)["jobID"]


async def by_ogc(scene: Any, inputs: dict[str, Any]) -> str:
    answer = await scene.api.client.post(
        "/ogc/processes/above_level/execution",
        json={"inputs": inputs},
        headers={"Authorization": f"Bearer {scene.owner.token}", "Prefer": "respond-async"},
    )
    assert answer.status_code == 201, answer.text
    return answer.json()["jobID"]


@pytest.mark.slow  # a worker process, and a command, and three runs of it
async def test_an_installed_process_answers_at_every_door(
    scene: Any, workers: Any, installed: Path, until: Any
) -> None:
    path = [str(installed), str(ROOT), str(ROOT / "src")]
    await workers.start(PYTHONPATH=os.pathsep.join(path))
    await until(
        lambda: scene.api.sql(
            "select 1 from registered_worker where job_type_id = 'above_level' and active"
            " and heartbeat_at > now() - interval '30 seconds'"
        )
    )
    inputs = {"source_item_id": scene.item["id"], "level": LEVEL}
    body = {"process_id": "above_level", "inputs": inputs}
    estimate = await scene.ok("processing.catalog.estimate", body)
    with rasterio.open(FIELDS) as file:
        band = file.read(1, masked=True) * np.float32(file.scales[0]) + file.offsets[0]
        expected = np.where(np.ma.getmaskarray(band), 255, band.data > LEVEL).astype("uint8")
        square_km = file.width * file.height * abs(file.res[0] * file.res[1]) / 1e6
    assert {0, 1} <= set(np.unique(expected))
    # the area of the footprint is measured on another plane than the file's
    assert abs(estimate["totalCredits"] - max(3, math.ceil(square_km * 0.02))) <= 1
    for door in (by_rest, by_command, by_ogc):
        job = await scene.ended(await door(scene, inputs))
        assert job["status"] == "completed", (door, job["error"])
        # the first is paid; the same asked at another door answers from it
        assert job["credits_charged"] == (estimate["totalCredits"] if door is by_rest else 0)
        (made,) = job["output_item_ids"]
        item = (await scene.ok("items.get", {"item_id": made}))["item"]
        link = await scene.ok(
            "items.asset.download", {"item_id": made, "asset_id": item["assets"][0]["id"]}
        )
        pixels = await scene.api.client.get(link["url"])
        with rasterio.open(io.BytesIO(pixels.content)) as file:
            assert file.nodata == 255
            assert np.array_equal(file.read(1), expected), door
    described = (await scene.api.client.get("/ogc/processes/above_level")).json()
    assert described["inputs"]["level"]["schema"]["type"] == "number"
    await scene.api.refused(
        422, "processing.execute",
        {
            "process_id": "above_level", "workspaceId": scene.project,
            "inputs": {**inputs, "unheard_of": 1},
        },
        as_=scene.owner,
    )  # fmt: skip
    outsider = await scene.api.organization()
    project = await scene.api.project(outsider)
    theirs = {"process_id": "above_level", "workspaceId": project, "inputs": inputs}
    await scene.api.refused(404, "processing.execute", theirs, as_=outsider)


@pytest.mark.parametrize("part", PARTS)
async def test_what_a_package_raises_in_the_server_is_a_clear_refusal(
    scene: Any, part: str, caplog: pytest.LogCaptureFixture
) -> None:
    inputs = {"source_item_id": scene.item["id"], "part": part}
    name = {"process_id": "raises_in_the_server", "inputs": inputs}
    for operation, body in (
        ("processing.catalog.validate", name),
        ("processing.catalog.estimate", name),
        ("processing.execute", {**name, "workspaceId": scene.project}),
        (
            "processing.create",
            {
                "project_id": scene.project,
                "job_type_id": "raises_in_the_server",
                "input_params": inputs,
            },
        ),
    ):
        caplog.clear()
        problem = await scene.api.refused(422, operation, body, as_=scene.owner)
        shown = json.dumps(problem)
        assert "'raises_in_the_server' cannot be asked about these inputs" in shown
        assert "Traceback" not in shown
        (said,) = [r for r in caplog.records if "raises_in_the_server failed" in r.getMessage()]
        assert said.exc_info and vars(said)["package"] == "a_raising_process"
    for door in ("/ogc/processes", "/v2/processing/processes"):
        answer = await scene.api.client.post(
            f"{door}/raises_in_the_server/execution",
            json={"inputs": inputs},
            headers={"Authorization": f"Bearer {scene.owner.token}", "Prefer": "respond-async"},
        )
        assert 400 <= answer.status_code < 500, answer.text
        assert "cannot be asked about these inputs" in answer.text
    assert answer.status_code == 422 and answer.json()["errors"][0]["name"] == "process_failed"


async def test_a_quantity_that_is_no_decimal_is_priced(scene: Any) -> None:
    inputs = {"source_item_id": scene.item["id"], "part": "none of them"}
    body = {"process_id": "raises_in_the_server", "inputs": inputs}
    assert (await scene.ok("processing.catalog.estimate", body))["totalCredits"] == 3
