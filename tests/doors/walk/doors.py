"""The ways in: each sends one body to one operation and gives what came back."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from functools import cache
from typing import Any

from ops_gateway.kernel.operation import Operation
from ops_gateway.surfaces.http import ResourcePaths
from ops_gateway.surfaces.mcp import tools
from walk.case import Body, Sent
from walk.clients import by_client, by_sdk, by_typescript, in_sdk
from walk.seen import Seen, bearer, seen
from walk.world import World

OP = "/v1/op/"

# ---------------------------------------------------------------- HTTP


def by_id(world: World, op: Operation, sent: Sent) -> Seen:
    """`POST /v1/op/{id}`."""
    return seen(world.http.post(OP + op.id, json=sent.body, headers=bearer(sent)))


def by_path(world: World, op: Operation, sent: Sent) -> Seen:
    """`POST /v1/{resource}/{action}`, underscores as hyphens."""
    path = "/v1/" + op.id.replace(".", "/").replace("_", "-")
    return seen(world.http.post(path, json=sent.body, headers=bearer(sent)))


def get_by_id(world: World, op: Operation, sent: Sent) -> Seen:
    """`GET /v1/op/{id}` with the body in the query."""
    return seen(world.http.get(OP + op.id, params=query(sent.body), headers=bearer(sent)))


def get_by_path(world: World, op: Operation, sent: Sent) -> Seen:
    """`GET /v1/{resource}`, with the one required field of a `get` in the path."""
    path, rest = resource(op, sent.body)
    return seen(world.http.get(path, params=query(rest), headers=bearer(sent)))


@cache
def resource_paths() -> ResourcePaths:
    """Of the whole registry, as the gateway has them."""
    paths = ResourcePaths()
    paths._build()
    return paths


def resource(op: Operation, body: Body) -> tuple[str, Body]:
    """The shortest path of a read, and what of the body it does not hold."""
    paths = resource_paths()
    parent, _, action = op.id.rpartition(".")
    where = parent.replace(".", "/")
    if action == "list" and paths._literal.get(where) is op:
        return f"/v1/{where.replace('_', '-')}", body
    found = paths._by_parent.get(where) if action == "get" else None
    if found is not None and found[0] is op and isinstance(body.get(found[1]), str):
        rest = {name: value for name, value in body.items() if name != found[1]}
        return f"/v1/{where.replace('_', '-')}/{body[found[1]]}", rest
    return "/v1/" + op.id.replace(".", "/").replace("_", "-"), body


def query(body: Body) -> dict[str, str]:
    """A body as a query: objects and lists as JSON."""
    return {name: as_text(value) for name, value in body.items() if value is not None}


def as_text(value: Any) -> str:
    """A value of a query."""
    return value if isinstance(value, str) else json.dumps(value)


# ---------------------------------------------------------------- tools


def by_tool(world: World, op: Operation, sent: Sent) -> Seen:
    """The operation as a tool of `/mcp`; what it asks to be confirmed is confirmed."""
    found = tool(world, op, sent.body, sent)
    told = found.content.get("structuredContent", {}) if found.status == 200 else {}
    if told.get("confirmation_required"):
        token = told["confirmation_token"]
        found = tool(world, op, {**sent.body, "confirmation_token": token}, sent)
    if found.status != 200:
        return found
    result = found.content
    status = result["_meta"]["opstac/status"]
    if "structuredContent" in result:
        content = result["structuredContent"]
        wrapped = not result["isError"] and tools.is_wrapped(op)
        return Seen(status, content[tools.WRAPPED] if wrapped else content)
    (first,) = result["content"]
    if first["type"] == "text":
        return Seen(status, first["text"].encode())
    data = first["data"] if first["type"] == "image" else first["resource"]["blob"]
    return Seen(status, base64.b64decode(data))


def tool(world: World, op: Operation, arguments: Body, sent: Sent) -> Seen:
    """The result of `tools/call`, or the refusal of the door itself."""
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tools.tool_name(op), "arguments": arguments},
    }
    headers = {**bearer(sent), "Accept": "application/json, text/event-stream"}
    answer = seen(world.http.post("/mcp", json=message, headers=headers))
    return answer if answer.status != 200 else Seen(200, answer.content["result"])


# ---------------------------------------------------------------- all of them

Door = Callable[[World, Operation, Sent], Seen]
ALWAYS: dict[str, Door] = {
    "POST by id": by_id,
    "POST by path": by_path,
    "MCP": by_tool,
    "Python": by_client,
    "TypeScript": by_typescript,
}
READS: dict[str, Door] = {"GET by id": get_by_id, "GET by path": get_by_path}


def of(op: Operation) -> dict[str, Door]:
    """The doors of an operation, the first of which the others are compared with."""
    found = dict(ALWAYS)
    if op.is_read:
        found |= READS
    if in_sdk(op):
        found["SDK"] = by_sdk
    return found
