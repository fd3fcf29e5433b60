"""The alert guide's worked example as it is printed, over HTTP, in Python and in TypeScript.

What a reader has to put in is in `PUT_IN`; nothing else of it is changed.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRINTED = ROOT / "tests" / "data" / "guides"
SHIM = ROOT / "clients" / "shim"
# the examples go on after a print when the test says so: by then what they wait for has happened
WAITING_PYTHON = """
import builtins, runpy, sys
said = builtins.print
def wait(*words):
    said(*words, flush=True)
    sys.stdin.readline()
builtins.print = wait
runpy.run_path(sys.argv[1])
"""
WAITING_NODE = """
import { readSync, writeSync } from "node:fs";
console.log = (...words) => {
  writeSync(1, words.join(" ") + "\\n");
  readSync(0, Buffer.alloc(1));
};
"""
COMPILER = [
    "--strict",
    "--module",
    "nodenext",
    "--target",
    "es2022",
    "--skipLibCheck",
    "--noEmitOnError",
]

CREATE = """\
POST /v1/op/alerts.create_rule HTTP/1.1
Host: api.geopera.com
Authorization: Bearer gpra_your_api_key
Content-Type: application/json
{
"name": "Burn-scar NBR alert",
"expression": "(b4 - b6) / (b4 + b6)",
"comparison": "lt",
"threshold": -0.1,
"collection_id": "col_a1b2c3",
"notification_channels": ["webhook", "in_app"]
}"""
EVENTS = """\
POST /v1/op/alerts.events.list HTTP/1.1
Host: api.geopera.com
Authorization: Bearer gpra_your_api_key
Content-Type: application/json
{ "acknowledged": false, "limit": 50 }"""
PUT_IN = {
    "api.geopera.com": "{host}",
    "gpra_your_api_key": "{key}",
    "col_a1b2c3": "{collection}",
    "item_abc123": "{item}",
}


@pytest.fixture
def service() -> str:
    return "gateway"


@pytest.fixture
async def guided(live, tmp_path, system, watching):
    """(watch, the function that puts a reader's own things in, a burnt scene in the collection)."""
    watch = await watching(live, tmp_path, system)
    body = {"name": "watched", "project_id": watch.project}
    collection = (await live.ok("collections.create", body, as_=watch.owner))["id"]
    burnt = watch.noise()
    burnt[5] = burnt[3] * 2 + 1

    async def scene() -> str:
        return await watch.item(watch.raster(burnt, nodata=0), collection_id=collection)

    known = await scene()
    own = {
        "host": live.client.base_url.netloc.decode(),
        "key": (await live.key(watch.owner, "alerts:*")).token,
        "collection": collection,
        "item": known,
    }

    def put_in(text: str) -> str:
        for printed, ours in PUT_IN.items():
            text = text.replace(printed, ours.format(**own))
        return text

    return watch, put_in, scene


async def send(live, text: str):
    """Send a request as it is printed."""
    head, _, body = text.partition("\n{")
    first, *lines = head.splitlines()
    method, path, _ = first.split()
    headers = dict(line.split(": ", 1) for line in lines)
    answer = await live.client.request(method, path, headers=headers, content="{" + body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_worked_example_over_http(live, guided):
    watch, put_in, scene = guided
    created = (await send(live, put_in(CREATE)))["alert_rule"]
    printed = json.loads(put_in(CREATE).split("\n", 4)[4])
    assert {name: created[name] for name in printed} == printed
    assert created["created_by"] is None and created["active"] is True
    assert await send(live, put_in(EVENTS)) == {"alert_events": [], "count": 0}
    item = await scene()
    await watch.run()
    listed = await send(live, put_in(EVENTS))
    [event] = listed["alert_events"]
    assert listed["count"] == 1
    assert (event["rule_id"], event["item_id"]) == (created["id"], item)
    assert event["computed_value"] < -0.1 and event["acknowledged"] is False
    [note] = await live.ok("notifications.list", as_=watch.owner)
    assert note["title"] == "Alert: Burn-scar NBR alert"
    value = f"{event['computed_value']:.3f}"
    assert note["body"] == f"Mean value {value} fell below -0.1 on {item}"


async def carry_out(command, live, folder, watch, scene, **env) -> list[str]:
    """Run an example whose prints wait until a scene has come in; the lines that it printed."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdin=PIPE, stdout=PIPE, stderr=PIPE,
        env={**os.environ, "GEOPERA_API_URL": str(live.client.base_url), **env},
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 120)
    if line:
        await scene()
        await watch.run()
    rest, errors = await asyncio.wait_for(process.communicate(b"\n"), 120)
    assert process.returncode == 0, errors.decode()
    return (line + rest).decode().splitlines()


async def found_what_fired(watch, said: list[str]) -> None:
    """The example told of the dry run, and acknowledged what fired after it."""
    [line] = said
    value, words, would = line.split()
    assert float(value) < -0.1 and (words, would.lower()) == ("would_trigger:", "true")
    [event] = await watch.events()
    assert event["acknowledged"] is True and event["acknowledged_at"].endswith("Z")


async def test_the_worked_example_in_python(live, guided, tmp_path):
    watch, put_in, scene = guided
    example = tmp_path / "example.py"
    example.write_text(put_in((PRINTED / "alerts.py.txt").read_text()))
    # the guide's package is ours for this process alone, before the published one
    path = f"{SHIM}/python:{ROOT}/src:{ROOT}"
    command = [sys.executable, "-P", "-c", WAITING_PYTHON, str(example)]
    said = await carry_out(command, live, tmp_path, watch, scene, PYTHONPATH=path)
    await found_what_fired(watch, said)


async def test_the_worked_example_in_typescript(live, guided, tmp_path, typescript):
    watch, put_in, scene = guided
    packages = tmp_path / "node_modules"
    shutil.copytree(SHIM / "npm", packages / "@geopera" / "sdk")
    (packages / "opstac").symlink_to(typescript.FOLDER)
    example = tmp_path / "example.ts"
    example.write_text(put_in((PRINTED / "alerts.ts.txt").read_text()))
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "waiting.mjs").write_text(WAITING_NODE)
    command = [typescript.NODE, "--import", "./waiting.mjs", "example.ts"]
    said = await carry_out(command, live, tmp_path, watch, scene)
    await found_what_fired(watch, said)


async def test_the_client_raises_what_the_platform_refuses(live, monkeypatch):
    import opstac

    monkeypatch.setenv("GEOPERA_API_URL", str(live.client.base_url))
    owner = await live.organization()

    def ask() -> opstac.OperationError:
        with (
            opstac.Client(token=owner.token) as client,
            pytest.raises(opstac.OperationError) as caught,
        ):
            client.op("alerts.rule.get", {"rule_id": "ar_missing"})
        return caught.value

    error = await asyncio.to_thread(ask)
    assert error.status == 404 and error.problem["detail"] == "alert rule not found"
    with pytest.raises(AttributeError, match="Nothing"):
        _ = opstac.Nothing
