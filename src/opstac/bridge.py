"""MCP over standard input and output, carried to `/mcp` of a platform.

The SDK speaks with the host; each request of it is one POST, as the platform keeps no sessions.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from opstac import __version__
from opstac.cli import CommandError

HEADERS = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
SECONDS = 600
"""How long a tool may take."""
REFUSED = -32000
# what results of the protocol of 2026-07-28 say besides; those of earlier ones are sent without
WHOLE = {"resultType": "complete"}
LISTED = {**WHOLE, "ttlMs": 60_000, "cacheScope": "private"}


Heard = Callable[[Mapping[str, Any]], Awaitable[None]]
"""Is told the `params` of each `notifications/progress` before the result."""


class Refused(Exception):
    """The platform took no message; `problem` is its RFC 9457 document."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        """`problem`: at least `title`, `status` and `detail`."""
        super().__init__(f"[{problem.get('status')}] {problem.get('detail')}")
        self.problem = dict(problem)


class Failed(Exception):
    """A JSON-RPC error; `error` has `code` and `message`."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        """As the answer has it."""
        super().__init__(str(error.get("message")))
        self.error = dict(error)


class Platform:
    """`/mcp` of a platform."""

    def __init__(
        self, url: str, token: Callable[[str | None], str | None], query: Mapping[str, str]
    ) -> None:
        """`token` gives the credential for each request, and another where it is told of one that
        was refused; it may block.
        """
        self.url = url.rstrip("/")
        self._token = token
        self._query = dict(query)
        self._numbers = itertools.count(1)
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(SECONDS, connect=10), limits=httpx.Limits(max_connections=20)
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(
        self, method: str, params: Mapping[str, Any], heard: Heard | None = None
    ) -> dict[str, Any]:
        """The result of a request; raises Refused, Failed or httpx.HTTPError."""
        token = await asyncio.to_thread(self._token, None)
        status, answer = await self._post(method, params, token, heard)
        if status == 401 and token is not None:
            other = await asyncio.to_thread(self._token, token)
            if other is not None and other != token:
                status, answer = await self._post(method, params, other, heard)
        if not isinstance(answer, dict):
            said = {"status": status, "title": "Error"}
            raise Refused({**said, "detail": f"{self.url} answers, but not by MCP"})
        if "result" in answer:
            return answer["result"]
        if isinstance(answer.get("error"), dict):
            raise Failed(answer["error"])
        raise Refused(answer)

    async def _post(
        self, method: str, params: Mapping[str, Any], token: str | None, heard: Heard | None
    ) -> tuple[int, Any]:
        """(status, the answer's JSON; None where it is none)."""
        number = next(self._numbers)
        given = dict(params) | ({"_meta": {"progressToken": number}} if heard else {})
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": given}
        headers = HEADERS | ({"Authorization": f"Bearer {token}"} if token else {})
        async with self._http.stream(
            "POST", f"{self.url}/mcp", params=self._query, json=message, headers=headers
        ) as response:
            kind = response.headers.get("content-type", "")
            try:
                if heard is None or not kind.startswith("text/event-stream"):
                    return response.status_code, json.loads(await response.aread())
                async for line in response.aiter_lines():
                    if not line.startswith("data:"):
                        continue
                    event = json.loads(line.removeprefix("data:"))
                    if event.get("method") != "notifications/progress":
                        return response.status_code, event
                    await heard(event["params"])
            except (ValueError, AttributeError, KeyError, RecursionError):
                pass
            return response.status_code, None


async def serve(platform: Platform) -> None:
    """Serve the host on standard input and output until it ends; raises CommandError."""
    from mcp.server.stdio import stdio_server

    try:
        hello = await greeted(platform)
        server = make_server(platform, hello)
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())
    finally:
        await platform.close()


async def greeted(platform: Platform) -> dict[str, Any]:
    """What the platform says of itself: whoever may not come in is told now."""
    client = {"name": "opstac", "version": __version__}
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    try:
        return await platform.ask("initialize", hello)
    except Refused as error:
        raise CommandError(f"{error}; see OPSTAC_TOKEN, OPSTAC_URL and the flags") from None
    except Failed as error:
        raise CommandError(f"{platform.url} does not take us: {error}") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise CommandError(f"{platform.url} does not answer: {error}; see OPSTAC_URL") from None


def make_server(platform: Platform, hello: Mapping[str, Any]) -> Any:
    """The SDK's server, whose handlers ask the platform."""
    from mcp.server.lowlevel.server import Server
    from mcp.shared.exceptions import MCPError

    async def list_tools(context: Any, params: Any) -> Any:
        try:
            return {**await platform.ask("tools/list", {}), **LISTED}
        except Failed as error:
            raise MCPError(code=error.error["code"], message=str(error)) from None
        except Refused as error:
            raise MCPError(code=REFUSED, message=str(error), data=error.problem) from None
        except httpx.HTTPError as error:
            raise MCPError(code=REFUSED, message=_no_answer(platform, error)) from None

    async def call_tool(context: Any, params: Any) -> Any:
        given = {"name": params.name, "arguments": params.arguments or {}}

        async def heard(told: Mapping[str, Any]) -> None:
            # to who gave no progressToken the SDK sends nothing
            await context.session.report_progress(
                told["progress"], told.get("total"), told.get("message")
            )

        try:
            waits = heard if params.name == "wait_for_job" else None
            return {**await platform.ask("tools/call", given, waits), **WHOLE}
        except Failed as error:
            raise MCPError(code=error.error["code"], message=str(error)) from None
        except Refused as error:
            return {
                "content": [{"type": "text", "text": str(error)}],
                "structuredContent": error.problem,
                "isError": True,
                **WHOLE,
            }
        except httpx.HTTPError as error:
            said = _no_answer(platform, error)
            return {"content": [{"type": "text", "text": said}], "isError": True, **WHOLE}

    return Server(
        "opstac",
        version=__version__,
        title="opstac",
        instructions=hello.get("instructions"),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _no_answer(platform: Platform, error: Exception) -> str:
    return f"{platform.url} does not answer: {error or type(error).__name__}"
