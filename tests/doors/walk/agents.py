"""An operation by `/mcp`, as an agent's host calls it."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx

from ops_gateway.kernel.operation import Operation
from ops_gateway.surfaces.mcp import tools

HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}


def call_tool(
    http: httpx.Client, op: Operation, body: dict[str, Any], token: str | None
) -> tuple[int, Any]:
    """What an operation answers by its tool: the status that the other doors give, and JSON's value
    or bytes. Where it spends, what is asked to be confirmed is confirmed.
    """
    result = _call(http, op, body, token)
    if "opstac/status" not in result.get("_meta", {}) and not result["isError"]:
        confirmation = result["structuredContent"][tools.TOKEN]
        result = _call(http, op, {**body, tools.TOKEN: confirmation}, token)
    return int(result["_meta"]["opstac/status"]), _content(op, result)


def _call(
    http: httpx.Client, op: Operation, body: dict[str, Any], token: str | None
) -> dict[str, Any]:
    headers = {**HEADERS, **({"Authorization": f"Bearer {token}"} if token else {})}
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tools.tool_name(op), "arguments": body},
    }
    answer = http.post("/mcp", json=message, headers=headers)
    if answer.status_code != 200:  # nobody was let in
        meta = {"opstac/status": answer.status_code}
        return {"isError": True, "structuredContent": answer.json(), "_meta": meta}
    return answer.json()["result"]


def _content(op: Operation, result: dict[str, Any]) -> Any:
    if "structuredContent" in result:
        value = result["structuredContent"]
        return value[tools.WRAPPED] if tools.is_wrapped(op) and not result["isError"] else value
    block = result["content"][0]
    match block["type"]:
        case "image":
            return base64.b64decode(block["data"])
        case "resource":
            return base64.b64decode(block["resource"]["blob"])
        case _:
            kind = op.media_type or ""
            return json.loads(block["text"]) if kind.endswith("json") else block["text"].encode()
