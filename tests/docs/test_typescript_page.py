"""The page on TypeScript, typed and run as one program against the running platform."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "typescript.md"
# what @types/node would say of the page's two uses of node
NODE = """
declare const process: { env: Record<string, string> };
declare module "node:fs" { export function openAsBlob(path: string): Promise<Blob>; }
"""


@pytest.mark.slow  # an upload and a clip by a worker process
async def test_the_page_runs(reader: Any, blocks: Any, typescript: Any):
    folder = reader.folder
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "opstac").symlink_to(typescript.FOLDER)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "node.d.ts").write_text(NODE)
    program = "\n".join(block.text for block in blocks(PAGE) if block.language == "ts")
    (folder / "page.ts").write_text(program)
    options = ["--strict", "--module", "nodenext", "--target", "es2022", "--skipLibCheck"]
    await asyncio.to_thread(typescript.tsc, *options, "node.d.ts", "page.ts", cwd=folder)
    status, said = await reader.types(f"{typescript.NODE} page.js")
    assert status == 0, said
    lines = said.splitlines()
    assert lines[0] == "404 item not found"
    size = (folder / "src/opstac/sampledata/s2-flanders_2021-04_10m.tif").stat().st_size
    assert f"{size} of {size} bytes" in lines
    # the demo's photograph, the file that was uploaded, and the clip of it
    assert len(lines[lines.index("completed") + 1 :]) == 3
