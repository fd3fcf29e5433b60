"""Bytes that no client library sends, by a socket: refused or answered, never a fault of ours."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

PATHS = [
    "/",
    "/v1/items/list",
    "/v1/op/processing.catalog.list",
    "/assets/stac",
    "/assets/stac/search",
    "/assets/stac/collections",
    "/assets/stac/aggregate",
    "/assets/stac/queryables",
    "/api/v1/items/it_x/tilejson.json",
    "/api/v1/renders/tt_x/tilejson.json",
    "/api/v1/mosaics/x/tilejson.json",
    "/ogc/processes",
    "/ogc/jobs",
    "/v2/processing/jobs",
    "/account",
    "/device",
    "/sign-in",
    "/invitations/x",
    "/lost-password",
    "/realms/public/protocol/openid-connect/auth",
    "/realms/public/.well-known/openid-configuration",
    "/share/x/stac/search",
    "/storage/org/x",
    "/problems/x",
    "/mcp",
]
QUERIES = [b"?\xff", b"?a=\xff\xfe", b"?x=\xc3\xa4", b"?%ff=%fe", b"?a=%00", b"?&&=&", b"?[]{}|^`"]
HEADS = [
    b"Host: [\r\n",
    b"Host: \xff\r\n",
    b"Host: a b\r\n",
    b"Host: evil.example:99999999\r\n",
    b"Host:\r\n",
    b"Host: h\r\nAuthorization: Bearer \xff.\xfe.\xfd\r\n",
    b"Host: h\r\nAuthorization: Basic \xff\r\n",
    b"Host: h\r\nCookie: opstac=\xff; opstac-external=\xfe; =; ;;\r\n",
    b"Host: h\r\nAccept: \xff\r\nRange: bytes=\xff\r\nIf-None-Match: \xff\r\nPrefer: \xff\r\n",
    b"Host: h\r\nForwarded: \xff\r\nX-Forwarded-For: \xff\r\nX-Request-Id: \xff\r\n",
    b"Host: h\r\nOrigin: \xff\r\nX-Project-Id: \xff\r\nX-Share-Password: \xff\r\n",
]


async def status_of(live: Any, raw: bytes) -> int:
    """The status of the answer to bytes."""
    url = live.client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(raw)
        line = await asyncio.wait_for(reader.readline(), 20)
        return int(line.split(b" ")[1])
    finally:
        writer.close()


async def test_no_bytes_of_a_head_are_a_fault(live: Any) -> None:
    owner = await live.organization()
    bearer = f"Authorization: Bearer {owner.token}\r\n".encode()
    some = PATHS[1::5]
    asked = [
        *((path, query, b"Host: h\r\n") for path in some for query in QUERIES),
        *((path, b"?a=%00&b=%ff&[]{}|^`", b"Host: h\r\n" + bearer) for path in PATHS),
        *((path, b"", head) for path in some for head in HEADS),
    ]
    wrong = []
    for path, query, head in asked:
        raw = (
            b"GET " + path.encode() + query + b" HTTP/1.1\r\n" + head + b"Connection: close\r\n\r\n"
        )
        if (status := await status_of(live, raw)) >= 500:
            wrong.append((path, query, head, status))
    assert not wrong


@pytest.mark.parametrize("method", ["OPTIONS", "PROPFIND", "TRACE", "CONNECT", "QUERY"])
async def test_no_method_is_a_fault(live: Any, method: str) -> None:
    for target in ("*", "/", "//", "/v1/items/list", "/assets/stac/search", "http://[/x", "h:443"):
        raw = f"{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode()
        assert await status_of(live, raw) < 500, target
