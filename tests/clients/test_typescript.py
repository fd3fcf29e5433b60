"""The TypeScript client: built from this registry, type-checked, and run by node."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import typing
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from ops_gateway import domains
from ops_gateway.kernel.operation import REGISTRY, Input
from opstac import journey

ROOT = Path(__file__).resolve().parents[2]
# what @types/node would say of what the page uses of node
NODE = """
declare const process: { env: Record<string, string> };
declare module "node:fs" { export function openAsBlob(path: string): Promise<Blob>; }
declare module "node:fs/promises" {
  export function writeFile(path: string, bytes: AsyncIterable<Uint8Array>): Promise<void>;
}
"""


def test_types(typescript: Any, tmp_path: Path):
    """In one run of the compiler, as it reads the platform's types anew each time: what the types
    refuse, the guide's example as printed, and our page.
    """
    packages = tmp_path / "node_modules"
    shutil.copytree(ROOT / "clients/shim/npm", packages / "@geopera" / "sdk")
    (packages / "opstac").symlink_to(typescript.FOLDER)
    files = {
        "types.ts": (typescript.FOLDER / "test" / "types.ts").read_text(),
        "guide.ts": (ROOT / "tests/data/guides/alerts.ts.txt").read_text(),
        "page.ts": typescript.program(ROOT / "docs/how-to/typescript.md"),
        "node.d.ts": NODE,
        "package.json": '{"type": "module"}',
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    config = json.loads((typescript.FOLDER / "tsconfig.json").read_text())
    for name in ("rootDir", "noUnusedLocals", "noUnusedParameters"):
        del config["compilerOptions"][name]
    del config["include"]
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    typescript.tsc("-p", tmp_path, "--noEmit")


def test_calls_retries_and_hostile_servers(typescript: Any):
    tests = sorted((typescript.FOLDER / "test").glob("*.test.mjs"))
    assert tests
    typescript.node("--test", *tests)


async def test_against_the_platform(typescript: Any, live: Any):
    owner = await live.organization()
    await asyncio.to_thread(
        typescript.node,
        "--test",
        "test/platform.mjs",
        GEOPERA_API_URL=str(live.client.base_url),
        GEOPERA_API_TOKEN=owner.token,
        OPSTAC_TEST_FILE=str(journey.SAMPLES / "s2-flanders_2021-04_10m.tif"),
    )


async def test_many_calls_in_one_process(typescript: Any, live: Any, tmp_path: Any):
    owner = await live.organization()
    project = await live.project(owner)
    package = tmp_path / "node_modules" / "opstac"
    package.parent.mkdir()
    package.symlink_to(typescript.FOLDER)
    example = tmp_path / "example.mjs"
    example.write_text(
        'import { Geopera } from "opstac";\n'
        "const client = new Geopera({ token: process.env.GEOPERA_API_TOKEN });\n"
        f'console.log((await client.projects.get({{ projectId: "{project}" }})).project.name);\n'
    )
    cases = [
        {"id": "projects.get", "body": {"projectId": project}},
        {"tree": "projects.get", "body": {"project_id": project}},
        {"id": "projects.get", "body": {"projectId": project}, "token": None},
        {"module": str(example)},
    ]
    url = str(live.client.base_url)
    answers = await asyncio.to_thread(typescript.run_cases, cases, url, owner.token)
    wanted = await live.ok("projects.get", {"project_id": project}, as_=owner)
    assert answers[0] == answers[1] == {"answer": wanted}
    assert answers[2]["problem"]["status"] == 401
    assert answers[3] == {"printed": wanted["project"]["name"]}


def models(annotation: Any, found: set[type[BaseModel]]) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation not in found:
            found.add(annotation)
            for field in annotation.model_fields.values():
                models(field.annotation, found)
    else:
        for part in typing.get_args(annotation):
            models(part, found)
    return found


def test_the_gateway_takes_the_names_that_the_types_allow():
    """The types have each field in camelCase too, at every depth: so must whatever reads them."""
    domains.load()
    found: set[type[BaseModel]] = set()
    for op in REGISTRY.values():
        models(op.input, found)
    assert len(found) > 150
    assert [model for model in found if not issubclass(model, Input)] == []
    for model in found:
        for name, field in model.model_fields.items():
            wire = field.alias or name
            if "_" in wire:
                camel = re.sub(r"_(.)", lambda match: match[1].upper(), wire)
                assert to_camel(wire) == camel, (model, wire)
