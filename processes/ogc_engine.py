"""pygeoapi's API class, built in code: no configuration file, no environment, no global state."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import anyio.to_thread
import orjson
from pygeoapi.api import API, APIRequest
from starlette.requests import Request

from processes.manager import EXCHANGE, Exchange, Manager, Platform
from processes.process import Process

LARGEST_PAGE = 1000

# pygeoapi logs a traceback at ERROR for every 404
for _name in ("pygeoapi.api", "pygeoapi.api.processes"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


class RequestAPI(API):
    """pygeoapi's API whose base URL is that of the request under way."""

    @property
    def base_url(self) -> str:
        """Scheme, host and mount path."""
        exchange = EXCHANGE.get(None)
        return exchange.base if exchange else ""

    @base_url.setter
    def base_url(self, value: str) -> None:
        """pygeoapi sets it once, at construction; it changes with every request."""


def make_api(catalogue: Mapping[str, Process], platform: Platform) -> API:
    """The engine for a catalogue of processes."""
    config = {
        "server": {
            "url": "http://localhost",
            "mimetype": "application/json; charset=UTF-8",
            "encoding": "utf-8",
            "languages": ["en-US"],
            "limits": {"default_items": 100, "max_items": LARGEST_PAGE, "on_exceed": "throttle"},
            "map": {"url": "", "attribution": ""},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {
                "title": "opstac processes",
                "description": "",
                "keywords": [],
                "keywords_type": "theme",
                "terms_of_service": "",
                "url": "",
            },
            "license": {"name": "", "url": ""},
            "provider": {"name": "opstac", "url": ""},
            "contact": {"name": "", "email": ""},
        },
        "resources": {},
    }
    # pygeoapi sets up the root logger where it has no handler; ours is the server's to set up
    root, placeholder = logging.getLogger(), logging.NullHandler()
    root.addHandler(placeholder)
    try:
        api = RequestAPI(config, {})
    finally:
        root.removeHandler(placeholder)
    api.manager = Manager(catalogue, platform)
    return api


async def ask(
    api: API,
    function: Callable[..., tuple[Any, Any, Any]],
    exchange: Exchange,
    *arguments: str,
    query: bytes = b"",
    body: Mapping[str, Any] | None = None,
) -> tuple[int, Any]:
    """Run one of pygeoapi's core functions; returns the status and the parsed document.

    pygeoapi sees a request of our making: JSON, no preferences, a checked body. It runs in a
    thread; its context, with the exchange, goes along.

    Raises: Problem, or what a handed-in function raised.
    """
    scope = {
        "type": "http",
        "method": exchange.request.method,
        "path": exchange.request.url.path,
        "query_string": query,
        "headers": [(b"accept", b"application/json")],
    }
    asked = APIRequest(Request(scope), api.locales)
    asked._data = b"" if body is None else orjson.dumps(body)
    token = EXCHANGE.set(exchange)
    try:
        _, status, content = await anyio.to_thread.run_sync(
            lambda: function(api, asked, *arguments)
        )
    finally:
        EXCHANGE.reset(token)
    if exchange.error is not None:
        raise exchange.error
    return int(status), orjson.loads(content) if content else None
