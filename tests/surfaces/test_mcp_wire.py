"""`/mcp` under attack: who may come in, what is no message, what breaks others."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.surfaces.agents import HEADERS, ask, send, tool


async def test_nobody_comes_in_without_a_credential_and_is_told_where_to_get_one(api):
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    for headers in ({}, {"Authorization": "Bearer gpra_wrong"}, {"Authorization": "Bearer a.b.c"}):
        for path in ("", "/"):
            refused = await send(api, message, query=path, **headers)
            assert refused.status_code == 401
            assert refused.headers["content-type"] == "application/problem+json"
            challenge = refused.headers["www-authenticate"]
            where = challenge.partition('resource_metadata="')[2].rstrip('"')
            assert where == "http://testserver/.well-known/oauth-protected-resource/mcp"
            told = (await api.client.get(where)).json()
            assert told["resource"] == "http://testserver/mcp"
            server = told["authorization_servers"][0]
            found = (await api.client.get(f"{server}/.well-known/openid-configuration")).json()
            assert found["issuer"] == server and "S256" in found["code_challenge_methods_supported"]


async def test_pages_of_other_sites_may_not_call(api):
    owner = await api.organization()
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for origin, status in (
        ("http://testserver", 200),
        ("https://testserver", 403),
        ("http://testserver:81", 403),
        ("http://evil.example", 403),
        ("http://localhost", 403),
        ("null", 403),
        ("http://[", 403),
        ("", 403),
    ):
        assert (await send(api, message, as_=owner, Origin=origin)).status_code == status, origin


async def test_what_is_no_message_is_refused_and_nothing_breaks(api):
    owner = await api.organization()
    headers = {**HEADERS, "Authorization": f"Bearer {owner.token}"}
    json_headers = {**headers, "Content-Type": "application/json"}

    async def post(content: bytes, given: dict[str, str] = json_headers) -> Any:
        return await api.client.post("/mcp", content=content, headers=given)

    def call(arguments: str) -> str:
        params = f'{{"name":"projects-list","arguments":{arguments}}}'
        return f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}'

    deep, deeper = (f'{{"a":{"[" * depth}{"]" * depth}}}' for depth in (300, 2000))
    for content, status in (
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"NaN", 400),
        (b"\xff", 400),
        (b'"\\ud800"', 400),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', 400),
        (b'{"id":1,"method":"ping"}', 400),
        (b'{"jsonrpc":"2.0","id":1}', 400),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', 400),
        (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', 400),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', 400),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', 400),
        (b'{"jsonrpc":"2.0","id":1,"method":7}', 400),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', 400),
        (call(deep).encode(), 400),
        (call(deeper).encode(), 400),
        (b"x" * (11 << 20), 413),
    ):
        answer = await post(content)
        assert answer.status_code == status, (content[:80], answer.status_code, answer.text[:200])
        assert answer.headers["content-type"].startswith("application/")
    for content in (
        '{"jsonrpc":"2.0","id":1,"method":"ghosts/list"}',
        '{"jsonrpc":"2.0","id":1,"method":"resources/list"}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call"}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":5}}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ghosts-get"}}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\\u0000"}}',
        '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":5}}',
        call("[]"),
        call("7"),
    ):
        answer = await post(content.encode())
        assert answer.status_code == 200 and answer.json()["error"]["code"] in (-32601, -32602)
    plain = await post(b"{}", {**headers, "Content-Type": "text/plain"})
    assert plain.status_code == 400
    for method in ("GET", "DELETE", "PUT", "OPTIONS", "HEAD"):
        refused = await api.client.request(method, "/mcp", headers=headers)
        assert refused.status_code == 405 and refused.headers["allow"] == "POST"
    for query in ("?read_only=yes", "?tools=ghosts.get", "?tools=%00", "?domains=ghosts"):
        strange = await api.client.post(f"/mcp{query}", content=b"{}", headers=json_headers)
        assert strange.status_code == 400
    for version in ("2024-11-05", "1999-01-01", "x" * 5000, "2026-07-28"):
        given = {**json_headers, "MCP-Protocol-Version": version}
        answer = await post(b'{"jsonrpc":"2.0","id":1,"method":"ping"}', given)
        assert answer.status_code < 500, (version, answer.text)


async def test_arguments_that_break_things_are_refused_as_elsewhere(api):
    owner = await api.organization()
    for body in (
        {"limit": 2**63},
        {"limit": 1e308},
        {"name\x00": 1},
        {"x" * 2000: 1},
        {"limit": "x" * (70 << 10)},
        {"limit": [0] * 10_001},
        {"limit": json.loads("[" * 66 + "]" * 66)},
    ):
        content = json.dumps(body)
        headers = {"Authorization": f"Bearer {owner.token}", "Content-Type": "application/json"}
        posted = await api.client.post(
            "/v1/op/alerts.events.list", content=content, headers=headers
        )
        got = await tool(api, "alerts-events-list", body, as_=owner)
        assert got["_meta"]["opstac/status"] == posted.status_code, content[:60]
        if got["isError"]:
            assert got["structuredContent"]["detail"] == posted.json()["detail"]


async def test_nothing_is_kept_of_what_was_asked(api):
    owner = await api.organization()
    before = len(asyncio.all_tasks())
    for _ in range(20):
        await ask(api, "ping", as_=owner)
        await ask(api, "tools/list", as_=owner)
    await asyncio.sleep(0.05)
    # the task of the SDK's manager, and those of the last requests that wind down
    assert len(asyncio.all_tasks()) <= before + 3
