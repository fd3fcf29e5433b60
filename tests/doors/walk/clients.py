"""The clients as doors: the published SDK, our Python client, our TypeScript client."""

from __future__ import annotations

import base64
import importlib
import importlib.util
import inspect
import json
import os
import pkgutil
import subprocess
import typing
from datetime import datetime
from pathlib import Path
from typing import Any

import geopera
import httpx
from geopera.api import operations

from ops_gateway.kernel.operation import Operation
from opstac.client import Geopera, OperationError
from walk.case import Body, Sent
from walk.seen import Seen, parsed, seen
from walk.world import World

# ---------------------------------------------------------------- the SDK


def by_sdk(world: World, op: Operation, sent: Sent) -> Seen:
    """The published package `geopera`, of which the base URL alone is changed."""
    client = sdk_client(world, sent.by.token if sent.by else "")
    node: Any = client
    for part in op.id.split("."):
        node = getattr(node, part)
    try:
        answer = node(typed(op.id, sent.body), detailed=True)
    except ValueError:
        # it takes every answer for JSON; a picture came all the same
        answered = seen(world.of("sdk responses", list)[-1])
        assert isinstance(answered.content, bytes)
        return answered
    found = parsed(answer.headers.get("content-type", ""), answer.content)
    if hasattr(answer.parsed, "to_dict"):
        # what the package makes of the answer says the same as the answer
        assert holds(found, answer.parsed.to_dict()), f"{op.id}: the SDK reads another answer"
    return Seen(int(answer.status_code), found)


def holds(whole: Any, part: Any) -> bool:
    """Whether each member the typed answer has is the wire's; a time may be written otherwise."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(name in whole and holds(whole[name], value) for name, value in part.items())
    if isinstance(whole, list) and isinstance(part, list):
        return len(whole) == len(part) and all(map(holds, whole, part))
    if isinstance(whole, str) and isinstance(part, str) and whole != part:
        try:
            return datetime.fromisoformat(whole) == datetime.fromisoformat(part)
        except ValueError:
            return False
    return whole == part


def sdk_client(world: World, token: str) -> geopera.Geopera:
    """A client for a credential, kept for the next call."""

    def keep(response: httpx.Response) -> None:
        response.read()
        world.of("sdk responses", list)[:] = [response]

    def make() -> geopera.Geopera:
        made = geopera.Geopera(
            token or None,
            base_url=world.url,
            timeout=httpx.Timeout(60),
            verify_ssl=False,  # no certificates to load: it is http
            httpx_args={"event_hooks": {"response": [keep]}},
        )
        world.closes(made.client.get_httpx_client())
        return made

    return world.of(f"sdk {token}", make)


def typed(op_id: str, body: Body) -> Any:
    """The body as the package's own type where its fluent client does not make that by itself."""
    module = importlib.import_module(f"geopera.api.operations.{op_id.replace('.', '_')}")
    annotation = inspect.signature(module.sync).parameters["body"].annotation
    if hasattr(annotation, "from_dict"):
        return body
    kinds = [kind for kind in typing.get_args(annotation) if hasattr(kind, "from_dict")]
    return kinds[0].from_dict(body) if kinds else body


def in_sdk(op: Operation) -> bool:
    """Whether the package has the operation."""
    name = f"geopera.api.operations.{op.id.replace('.', '_')}"
    return importlib.util.find_spec(name) is not None


def published() -> set[str]:
    """The operations of the package `geopera`."""
    return {found.name for found in pkgutil.iter_modules(operations.__path__)}


# ---------------------------------------------------------------- our clients


def by_client(world: World, op: Operation, sent: Sent) -> Seen:
    """Our Python client."""
    token = sent.by.token if sent.by else ""
    client = world.of(f"client {token}", lambda: world.closes(Geopera(token or None, world.url)))
    try:
        return Seen(None, client.op(op.id, sent.body))
    except OperationError as error:
        return Seen(error.status, error.problem)


class Node:
    """One node process with our TypeScript client; a line in, a line out."""

    def __init__(self, url: str) -> None:
        """Build the client where it is not, and start."""
        path = Path(__file__).parents[2] / "typescript.py"
        spec = importlib.util.spec_from_file_location("typescript", path)
        assert spec is not None and spec.loader is not None
        typescript = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(typescript)
        self._package = typescript.build()
        self._process = subprocess.Popen(
            [typescript.NODE, "test/run-cases.mjs"],
            cwd=self._package,
            env={**os.environ, "GEOPERA_API_URL": url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, line: Body) -> Body:
        """Carry out a case."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def folder(self, folder: Path) -> Path:
        """The folder, made so that modules in it find the client by its name."""
        packages = folder / "node_modules"
        packages.mkdir(parents=True)
        (packages / "opstac").symlink_to(self._package)
        return folder

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def by_typescript(world: World, op: Operation, sent: Sent) -> Seen:
    """Our TypeScript client."""
    node = world.of("node", lambda: world.closes(Node(world.url)))
    token = sent.by.token if sent.by else ""
    told = node.ask({"id": op.id, "body": sent.body, "token": token or None, "whole": True})
    if "bytes" in told:
        return Seen(None, base64.b64decode(told["bytes"]["base64"]))
    if "problem" in told:
        problem = told["problem"]
        assert problem["document"], problem
        return Seen(problem["status"], problem["document"])
    return Seen(None, told["answer"])
