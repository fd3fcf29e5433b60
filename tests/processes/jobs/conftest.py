"""Real rasters by a short name, and runs of one process on files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from processes.engine import execute
from processes.process import Source

ROOT = Path(__file__).parents[3]
RASTERS = ROOT / "tests/data/rasters"
SAMPLES = ROOT / "src/opstac/sampledata"


@pytest.fixture
def rasters() -> dict[str, Path]:
    return {
        "april": SAMPLES / "s2-flanders_2021-04_10m.tif",
        "june": RASTERS / "s2-flanders_2021-06_10m.tif",
        "july": SAMPLES / "s2-flanders_2021-07_10m.tif",
        "empty": RASTERS / "all-nodata_s2-flanders_2020-12.tif",
        "naip": SAMPLES / "naip_north-dakota_2019-09-04.tif",
        "antimeridian": RASTERS / "antimeridian_landsat8_utm60.tif",
        "masked": RASTERS / "mask-band_colorado-rgb.tif",
        "scaled": RASTERS / "int16-scale-offset_ndvi.tif",
    }


CLOUDED = ("10", "13", "15", "18", "20")
"""Days of August 2023 on which one place was seen, mostly through clouds."""


@pytest.fixture
def clouded() -> dict[str, tuple[Path, Path]]:
    """Day → four bands of reflectance, and their scene classification."""
    return {
        day: (
            RASTERS / f"s2-33TWM_2023-08-{day}_120m.tif",
            RASTERS / f"s2-33TWM_2023-08-{day}_scl_120m.tif",
        )
        for day in CLOUDED
    }


@pytest.fixture
def process_on(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """`process_on("index", inputs, sources)` → the one output."""

    def call(name: str, inputs: dict[str, Any], *sources: Source) -> dict[str, Any]:
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        made = execute(name, inputs, [vars(s) for s in sources], str(out), lambda f, s: None)
        assert [p.name for p in out.iterdir()] == [Path(made[0]["path"]).name]
        return made[0]

    return call
