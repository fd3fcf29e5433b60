"""What the guides print of the fluent tree is there, under the package's printed name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ROWS = [
    line.split(" ", 1)
    for line in (ROOT / "tests/data/guides/processing.txt").read_text().splitlines()
]
PREPARED = """
import { Geopera } from "@geopera/sdk";
const called = [];
const client = new Geopera({
  baseUrl: "http://127.0.0.1:9",
  fetch: async (address) => {
    called.push(new URL(String(address)).pathname);
    return Response.json({});
  },
});
"""
IN_PYTHON = """
import json, httpx
from geopera import Geopera
called = []
def answer(request):
    called.append(request.url.path)
    return httpx.Response(200, json={})
client = Geopera(token="gpra_x", transport=httpx.MockTransport(answer))
"""


def test_the_tree_of_the_guide_in_python():
    calls = "".join(f"{printed.replace('…', '{}')}\n" for _, printed in ROWS)
    # the published package of that name is installed too: ours goes before it here alone
    path = f"{ROOT}/clients/shim/python:{ROOT}/src:{ROOT}"
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"{IN_PYTHON}{calls}print(json.dumps(called))"],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [f"/v1/op/{op_id}" for op_id, _ in ROWS]


def test_the_tree_of_the_guide_in_typescript(typescript: Any, tmp_path: Path):
    packages = tmp_path / "node_modules"
    shutil.copytree(ROOT / "clients/shim/npm", packages / "@geopera" / "sdk")
    (packages / "opstac").symlink_to(typescript.FOLDER)
    calls = "".join(f"await {printed.replace('…', '{}')};\n" for _, printed in ROWS)
    (tmp_path / "tree.mjs").write_text(f"{PREPARED}{calls}console.log(JSON.stringify(called));\n")
    called = json.loads(typescript.node("tree.mjs", cwd=tmp_path))
    assert called == [f"/v1/op/{op_id}" for op_id, _ in ROWS]
    assert len(ROWS) == 16
