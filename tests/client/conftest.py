"""A client, sync or not, before a server that a test plays."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from opstac import AsyncClient, Client

TOKEN = "gpra_the-secret-of-the-tests"
URL = "https://platform.example.org"


def problem(status: int, **more: Any) -> dict[str, Any]:
    return {"type": "about:blank", "title": "No", "status": status, "detail": "because", **more}


class Played:
    """Runs code against a client whose server is a function.

    Attributes:
        requests: what came to the server.
        slept: how long the client waited, each time.
    """

    token, url = TOKEN, URL

    def __init__(self, asynchronous: bool) -> None:
        self.asynchronous = asynchronous
        self.requests: list[httpx.Request] = []
        self.slept: list[float] = []

    def run(
        self,
        server: Callable[[httpx.Request], httpx.Response] | list[Any],
        code: Callable[[Any], Any],
        **options: Any,
    ) -> Any:
        """What `code(client)` gives; of an iterator the list of it.

        `server` is a function, or a list of statuses, responses and exceptions, the last of which
        is repeated.
        """
        answers = list(server) if isinstance(server, list) else None

        def handler(request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            if answers is None:
                return server(request)  # type: ignore[operator]
            one = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(one, Exception):
                raise one
            if isinstance(one, int):
                return httpx.Response(one, json={"done": True} if one < 300 else problem(one))
            return one

        options = {"token": TOKEN, "base_url": URL, **options}
        transport = httpx.MockTransport(handler)
        if self.asynchronous:
            return asyncio.run(self._run(AsyncClient(transport=transport, **options), code))
        with Client(transport=transport, **options) as client:
            client._sleep = self.slept.append  # type: ignore[method-assign]
            result = code(client)
            return list(result) if inspect.isgenerator(result) else result

    async def _run(self, client: Any, code: Callable[[Any], Any]) -> Any:
        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        async with client:
            client._sleep = sleep
            result = code(client)
            if inspect.isasyncgen(result):
                return [one async for one in result]
            return await result

    @property
    def keys(self) -> list[str | None]:
        """The idempotency key of each request."""
        return [request.headers.get("idempotency-key") for request in self.requests]


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def played(request: pytest.FixtureRequest) -> Played:
    return Played(request.param)
