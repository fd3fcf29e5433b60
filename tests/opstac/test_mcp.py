"""The official client against `/mcp` and `opstac mcp`, both with a server that runs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from jsonschema_rs import Draft202012Validator
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from ops_gateway.kernel.operation import REGISTRY, Effect
from ops_gateway.surfaces.mcp import waiting
from opstac import bridge


@asynccontextmanager
async def by_http(api: Any, person: Any, query: str = "", **more: Any) -> AsyncIterator[Client]:
    """The client over HTTP."""
    headers = {"Authorization": f"Bearer {person.token}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        url = f"{api.client.base_url}".rstrip("/") + f"/mcp{query}"
        async with Client(streamable_http_client(url, http_client=http), **more) as client:
            yield client


@asynccontextmanager
async def by_stdio(api: Any, person: Any, *flags: str, **more: Any) -> AsyncIterator[Client]:
    """The client over the standard input and output of our program."""
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-P", "-m", "opstac", "mcp", *flags],
        env={
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "OPSTAC_URL": str(api.client.base_url),
            "OPSTAC_TOKEN": person.token,
        },
    )
    async with Client(stdio_client(parameters), **more) as client:
        yield client


async def test_the_official_client_by_http_and_stdio(live):
    """Both speak all that a session needs, and see the same."""
    owner = await live.organization()
    seen = []
    for way in (by_http, by_stdio):
        async with way(live, owner) as client:
            listed = (await client.list_tools()).tools
            made = await client.call_tool("projects-create", {"name": way.__name__})
            assert not made.is_error
            got = await client.call_tool(
                "call_operation",
                {
                    "operation": "projects.get",
                    "arguments": {"project_id": made.structured_content["id"]},
                },
            )
            assert got.structured_content["project"]["name"] == way.__name__
            missing = await client.call_tool("projects-get", {"project_id": "proj_none"})
            assert missing.is_error and missing.structured_content["status"] == 404
            with pytest.raises(Exception, match="Unknown tool"):
                await client.call_tool("ghosts-get", {})
            assert "call_operation" in (client.instructions or "")
            seen.append([tool.model_dump(exclude={"meta"}) for tool in listed])
    assert seen[0] == seen[1]


async def test_every_tool_is_one_that_hosts_take(live):
    owner = await live.organization()
    async with by_http(live, owner, "?tools=all") as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    for op in REGISTRY.values():
        if op.scope.startswith("admin:"):
            continue
        tool = tools[op.id.replace(".", "-")]
        Draft202012Validator(tool.input_schema)
        assert tool.input_schema["type"] == "object" and tool.description.startswith(op.summary)
        assert set(op.input.model_json_schema().get("required", ())) == set(
            tool.input_schema.get("required", ())
        )
        assert ("confirmation_token" in tool.input_schema.get("properties", {})) == (
            op.effect is Effect.SPEND
        )
        if tool.output_schema is not None:
            Draft202012Validator(tool.output_schema)
            assert tool.output_schema["type"] == "object"
        hints = tool.annotations
        assert hints.read_only_hint == op.is_read
        assert hints.destructive_hint == (op.effect is Effect.DESTRUCTIVE)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_both_eras_of_the_protocol(live, mode):
    owner = await live.organization()
    async with by_http(live, owner, "?read_only=true", mode=mode) as client:
        tools = (await client.list_tools()).tools
        assert all(tool.annotations.read_only_hint for tool in tools if "-" in tool.name)
        balance = await client.call_tool("billing-credits-balance", {})
        assert balance.structured_content == await live.ok("billing.credits.balance", as_=owner)


@pytest.mark.parametrize("way", [by_http, by_stdio])
async def test_a_host_hears_how_far_a_job_is(live, way, monkeypatch):
    """By the protocol's own notifications, of which each tells more than the one before."""
    monkeypatch.setattr(waiting, "FIRST_SECONDS", 0.02)
    monkeypatch.setattr(waiting, "LONGEST_SECONDS", 0.02)
    owner = await live.organization()
    body = {"project_id": await live.project(owner), "job_type_id": "external", "input_params": {}}
    job = (await live.ok("processing.create", body, as_=owner))["job"]["id"]
    told: list[tuple[float, float | None, str | None]] = []

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))
        # the next step is made when this one has been heard of
        status = {0.0: "pending", 30.0: "running"}.get(progress, "cancelled")
        after = {0.0: 30, 30.0: 80}.get(progress, progress)
        live.sql(
            "update job set progress = %s, status = %s where id = %s",
            after, "running" if status == "pending" else status, job,
        )  # fmt: skip

    async with way(live, owner) as client:
        waited = await client.call_tool(
            "wait_for_job", {"job_id": job, "seconds": 30}, progress_callback=heard
        )
        assert waited.structured_content["done"] is True
        assert [one[:2] for one in told] == [(0, 100), (30, 100), (80, 100)]
        assert told[1][2] == "running"
        # a refusal comes as it does without
        missing = await client.call_tool("wait_for_job", {"job_id": "x"}, progress_callback=heard)
        assert missing.is_error and missing.structured_content["status"] == 404
        # and who does not ask hears nothing
        await client.call_tool("wait_for_job", {"job_id": job})
        assert len(told) == 3


async def test_the_files_of_a_job_are_links_that_open_until_the_key_is_revoked(live, live_scenes):
    owner = live_scenes.owner
    item = await live_scenes.add([1, 2, 3])
    assets = (await live.ok("items.list_assets", {"item_id": item}, as_=owner))["assets"]
    body = {"project_id": live_scenes.project, "job_type_id": "external", "input_params": {}}
    job = (await live.ok("processing.create", body, as_=owner))["job"]["id"]
    live.sql(
        "update job set status = 'completed', progress = 100, output_item_ids = %s where id = %s",
        [item, "it_deleted"], job,
    )  # fmt: skip
    key = await live.key(owner, "items:read", "processing:read")
    blind = await live.key(owner, "processing:read")
    fetched = {"item_id": item, "asset_id": assets[0]["id"]}
    links = []
    for way, person, flags in (
        (by_http, key, ()),
        (by_stdio, key, ()),
        (by_http, blind, ()),
        (by_stdio, key, ("--read-only",)),
    ):
        async with way(live, person, *flags) as client:
            waited = await client.call_tool("wait_for_job", {"job_id": job})
            found = [block for block in waited.content if block.type == "resource_link"]
            assert len(found) == (0 if person is blind or flags else 1)
            links += found
            if way is by_http and person is key:
                got = await client.call_tool("items-asset-download", fetched)
                links += [block for block in got.content if block.type == "resource_link"]
    async with httpx2.AsyncClient() as http:  # as a host fetches them: without a credential
        for link in links:
            content = await http.get(str(link.uri))
            assert content.status_code == 200 and content.content[:2] == b"II"
            assert (link.size, link.mime_type) == (len(content.content), assets[0]["media_type"])
        [row] = [
            one
            for one in (await live.ok("api_keys.list", as_=owner))["api_keys"]
            if "items:read" in one["permissions"]
        ]
        await live.ok("api_keys.revoke", {"key_id": row["id"]}, as_=owner)
        assert {(await http.get(str(link.uri))).status_code for link in links} == {403}


async def test_a_host_is_told_before_it_starts_where_it_may_not_come_in(live):
    said = await asyncio.gather(
        started(live, "gpra_wrong"), started(live, "", "--server", "http://127.0.0.1:9")
    )
    assert b"[401] the credential is not valid" in said[0] and b"does not answer" in said[1]


async def test_a_session_that_ended_is_renewed(live):
    """As with what `opstac login` keeps: the first token has ended, the next one holds."""
    owner = await live.organization()
    told: list[str | None] = []

    def token(refused: str | None) -> str:
        told.append(refused)
        return owner.token if refused else "gpra_ended"

    platform = bridge.Platform(str(live.client.base_url), token, {"read_only": "true"})
    try:
        result = await platform.ask("tools/call", {"name": "projects-list", "arguments": {}})
    finally:
        await platform.close()
    assert result["structuredContent"]["projects"] == [] and told == [None, "gpra_ended"]


async def started(api: Any, token: str, *flags: str) -> bytes:
    """The one line of a program that does not start."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "opstac", "mcp", *flags,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "OPSTAC_URL": str(api.client.base_url), "OPSTAC_TOKEN": token},
    )  # fmt: skip
    out, error = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 1 and out == b"" and error.count(b"\n") == 1, error
    return error
