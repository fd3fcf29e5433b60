"""`/mcp` by plain HTTP: what is offered, what a tool answers, what is refused."""

from __future__ import annotations

import itertools
from typing import Any

from ops_gateway.kernel.operation import REGISTRY
from ops_gateway.surfaces.mcp import tools as mcp_tools

_numbers = itertools.count(1)
HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}


async def send(api: Any, message: Any, *, as_: Any = None, query: str = "", **headers: str) -> Any:
    """POST a message; the response."""
    given = {**HEADERS, **headers}
    if as_ is not None:
        given["Authorization"] = f"Bearer {as_.token}"
    return await api.client.post(f"/mcp{query}", json=message, headers=given)


async def ask(api: Any, method: str, params: Any = None, **more: Any) -> Any:
    """A request that is answered; its result."""
    message = {"jsonrpc": "2.0", "id": next(_numbers), "method": method, "params": params or {}}
    response = await send(api, message, **more)
    assert response.status_code == 200, (response.status_code, response.text)
    answer = response.json()
    assert answer["id"] == message["id"]
    return answer.get("result", answer)


async def tool(api: Any, name: str, arguments: Any = None, **more: Any) -> Any:
    """The result of a tool."""
    return await ask(api, "tools/call", {"name": name, "arguments": arguments or {}}, **more)


async def names(api: Any, **more: Any) -> list[str]:
    return [one["name"] for one in (await ask(api, "tools/list", **more))["tools"]]


async def test_a_host_is_told_what_this_is(api):
    owner = await api.organization()
    hello = await ask(
        api,
        "initialize",
        {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
        as_=owner,
    )
    assert hello["serverInfo"]["name"] == "opstac" and hello["protocolVersion"] == "2025-06-18"
    assert "call_operation" in hello["instructions"] and "tools" in hello["capabilities"]
    done = await send(api, {"jsonrpc": "2.0", "method": "notifications/initialized"}, as_=owner)
    assert done.status_code == 202 and not done.content
    assert await ask(api, "ping", as_=owner) == {}


async def test_a_few_tools_are_listed_and_all_where_asked_for(api):
    owner = await api.organization()
    few = await names(api, as_=owner)
    assert len(few) < 25 and len(few) == len(set(few))
    assert {"items-get", "call_operation", "search_operations", "wait_for_job"} <= set(few)
    every = set(await names(api, as_=owner, query="?tools=all"))
    admin = {op.id for op in REGISTRY.values() if op.scope.startswith("admin:")}
    offered = {mcp_tools.op_id(name) for name in every}
    assert REGISTRY.keys() - offered == admin
    ours = set(await names(api, as_=owner, query="?domains=alerts,cog"))
    assert {mcp_tools.op_id(name).split(".")[0] for name in ours if "-" in name} == {
        "alerts",
        "cog",
    }
    two = await names(api, as_=owner, query="?tools=items.get,items-list")
    assert two[4:] == ["items-get", "items-list"]


async def test_names_lead_back_to_ids_and_suit_every_host():
    for op in REGISTRY.values():
        name = mcp_tools.tool_name(op)
        assert mcp_tools.op_id(name) == op.id
        assert len(name) <= 64 and name.replace("-", "").replace("_", "").isalnum()
    assert not set(mcp_tools.DEFAULT) - REGISTRY.keys()
