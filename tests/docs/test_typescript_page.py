"""The page on TypeScript, run as one program; `tests/clients` checks its types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "typescript.md"


@pytest.mark.slow  # an upload and a clip by a worker process
async def test_the_page_runs(reader: Any, typescript: Any):
    folder = reader.folder
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "opstac").symlink_to(typescript.FOLDER)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "page.ts").write_text(typescript.program(PAGE))
    status, said = await reader.types(f"{typescript.NODE} page.ts")
    assert status == 0, said
    lines = said.splitlines()
    assert lines[0] == "404 item not found"
    size = (folder / "src/opstac/sampledata/s2-flanders_2021-04_10m.tif").stat().st_size
    assert f"{size} of {size} bytes" in lines
    # the demo's photograph, the file that was uploaded, and the clip of it
    assert len(lines[lines.index("completed") + 1 :]) == 3
