"""Messages to `/mcp` as a host sends them."""

from __future__ import annotations

import itertools
from typing import Any

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
