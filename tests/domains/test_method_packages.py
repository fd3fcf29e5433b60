"""A method of somebody else's package: installed, it is found, published and called."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from processes import method as methods
from raster import child

ROOT = Path(__file__).parents[2]
GUIDE = "write-a-method.md"


@pytest.fixture
def installed(packages: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The guide's package, installed where this process and its children find it."""
    site, module = packages.install(GUIDE, "@method", methods.GROUP, tmp_path)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(methods, "METHODS", dict(methods.discover()))
    monkeypatch.setattr(methods, "_seen", set())
    importlib.invalidate_caches()
    child.shut_down()  # the next one starts with the new path
    yield
    child.shut_down()
    sys.modules.pop(module, None)


def test_the_guide_shows_a_method_in_thirty_lines(packages: Any):
    code = packages.code_of(GUIDE, "@method")
    assert len(code.strip().splitlines()) <= 30


async def test_an_installed_package_answers_by_rest_and_from_the_command_line(
    installed, live, scenes
):
    owner = await live.organization()
    project = await live.project(owner)
    item, _ = await scenes.scene(owner, project)
    body = {"operation": "value_range", "params": {"item_id": item["id"], "band": "nir"}}
    answer = await live.ok("analytics.execute", body, as_=owner)
    with rasterio.open(ROOT / "tests/data/rasters/s2-flanders_2021-06_10m.tif") as file:
        nir = file.read(4) * np.float32(file.scales[3])
    assert answer["operation"] == "value_range"
    assert answer["range"] == pytest.approx(float(nir.max() - nir.min()), rel=1e-5)
    listed = await live.ok("analytics.operations.list", {}, as_=owner)
    assert "value_range" in {m["name"] for m in listed["operations"]}
    refused = await live.refused(
        422, "analytics.execute", {"operation": "value_range", "params": {}}, as_=owner
    )
    assert "item_id" in refused["expected_schema"]["properties"]
    many = {"operation": "value_range", "params": {"item_ids": [item["id"]], "band": "nir"}}
    results = (await live.ok("analytics.execute", many, as_=owner))["results"]
    assert results[0]["range"] == answer["range"]
    environment = {
        **os.environ, "OPSTAC_URL": str(live.client.base_url), "OPSTAC_TOKEN": owner.token,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
    }  # fmt: skip
    words = ["op", "analytics", "execute", "--operation", "value_range"]
    words += ["--params", json.dumps(body["params"])]
    called = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-P", "-m", "opstac", *words],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout)["range"] == answer["range"]


def test_a_package_that_cannot_be_imported_stops_nothing(
    packages: Any, tmp_path: Path, monkeypatch, caplog
):
    site = tmp_path / "site"
    packages.put(site, methods.GROUP, "broken_method", "raise RuntimeError('broken')\n")
    known = set(methods.discover())
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setattr(methods, "_seen", set())
    importlib.invalidate_caches()
    assert set(methods.discover()) == known
    assert "left out" in caplog.text
