"""`/mcp` by plain HTTP: what is offered, what a tool answers and refuses."""

from __future__ import annotations

import json
from typing import Any

from ops_gateway import domains
from ops_gateway.kernel.operation import REGISTRY
from ops_gateway.surfaces.mcp import tools as mcp_tools
from tests.surfaces.agents import ask, names, send, tool

domains.load()


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


# ---------------------------------------------------------------- calls


def op_text(result: dict[str, Any]) -> Any:
    return json.loads(result["content"][0]["text"])


async def test_a_tool_answers_and_refuses_as_the_operation_does(api):
    owner, other = await api.organization(), await api.organization("Other")
    made = await tool(api, "projects-create", {"name": "Harbour"}, as_=owner)
    assert made["isError"] is False and made["_meta"]["opstac/status"] == 200
    project = made["structuredContent"]["id"]
    by_post = await api.ok("projects.get", {"project_id": project}, as_=owner)
    got = await tool(api, "projects-get", {"project_id": project}, as_=owner)
    assert got["structuredContent"] == by_post == op_text(got)
    # a list is no object, so it is wrapped
    listed = await tool(api, "notifications-list", {}, as_=owner)
    posted = await api.ok("notifications.list", as_=owner)
    assert listed["structuredContent"] == {"result": posted} and op_text(listed) == posted
    # what belongs to others is not there
    for status, person, body in (
        (404, other, {"project_id": project}),
        (422, owner, {}),
        (422, owner, {"project_id": 7}),
        (400, owner, {"project_id": {"a": json.loads("[" * 70 + "]" * 70)}}),
        (422, owner, {"project_id": "a\x00b"}),
    ):
        expected = await api.refused(status, "projects.get", body, as_=person)
        refused = await tool(api, "projects-get", body, as_=person)
        assert refused["isError"] is True
        problem = refused["structuredContent"]
        assert op_text(refused) == problem and problem.pop("instance")
        expected.pop("instance")
        assert problem == expected


async def test_what_the_credential_may_not_call_is_not_offered_and_refused(api):
    owner = await api.organization()
    reader = await api.key(owner, "projects:read")
    offered = await names(api, as_=reader, query="?tools=all")
    scopes = {REGISTRY[mcp_tools.op_id(name)].scope for name in offered if "-" in name}
    assert scopes == {"projects:read"}
    expected = await api.refused(403, "projects.create", {"name": "x"}, as_=reader)
    for name, arguments in (
        ("projects-create", {"name": "x"}),
        ("projects.create", {"name": "x"}),
        ("call_operation", {"operation": "projects.create", "arguments": {"name": "x"}}),
    ):
        refused = await tool(api, name, arguments, as_=reader)
        assert refused["isError"] and refused["structuredContent"]["detail"] == expected["detail"]
    refused = await tool(api, "describe_operation", {"operation": "projects.create"}, as_=reader)
    assert refused["structuredContent"]["status"] == 403
    found = await tool(api, "search_operations", {"query": "create project"}, as_=reader)
    ids = [one["operation"] for one in found["structuredContent"]["operations"]]
    assert "projects.create" not in ids and "projects.list" in ids


async def test_read_only_holds_for_every_way_to_call(api):
    owner = await api.organization()
    query = "?read_only=true&tools=all"
    offered = await names(api, as_=owner, query=query)
    assert "projects-get" in offered and "projects-create" not in offered
    for name, arguments in (
        ("projects-create", {"name": "x"}),
        ("call_operation", {"operation": "projects.create", "arguments": {"name": "x"}}),
        ("call_operation", {"operation": "projects-create", "arguments": {"name": "x"}}),
        ("processing-execute", {"confirmation_token": "x"}),
    ):
        refused = await tool(api, name, arguments, as_=owner, query=query)
        assert refused["structuredContent"]["status"] == 403
        assert "read-only" in refused["structuredContent"]["detail"]
    assert (await api.ok("projects.list", as_=owner))["projects"] == []
    found = await tool(api, "search_operations", {"query": "create"}, as_=owner, query=query)
    for one in found["structuredContent"]["operations"]:
        assert one["effect"] == "read"


async def test_operations_are_found_described_and_called(api):
    owner = await api.organization()
    for words, expected in (
        ("clip an item to an area", "clip.create_from_item"),
        ("how many credits do I have", "billing.credits.balance"),
        ("revoke api key", "api_keys.revoke"),
        ("estimating the cost of processes", "processing.catalog.estimate"),
        ("items.get", "items.get"),
    ):
        found = await tool(api, "search_operations", {"query": words, "limit": 5}, as_=owner)
        ids = [one["operation"] for one in found["structuredContent"]["operations"]]
        assert expected in ids and len(ids) <= 5, (words, ids)
    nothing = await tool(api, "search_operations", {"query": "xylophone"}, as_=owner)
    assert nothing["structuredContent"] == {"operations": [], "total": 0}
    told = await tool(api, "describe_operation", {"operation": "projects.create"}, as_=owner)
    described = told["structuredContent"]
    assert described["name"] == "projects-create" and described["effect"] == "compute"
    assert "name" in described["inputSchema"]["properties"] and described["outputSchema"]
    call = {"operation": "projects.create", "arguments": {"name": "Called"}}
    made = await tool(api, "call_operation", call, as_=owner)
    assert made["structuredContent"]["name"] == "Called"
    for name, arguments, status in (
        ("search_operations", {}, 422),
        ("search_operations", {"query": "x" * 501}, 422),
        ("search_operations", {"query": "x", "limit": 0}, 422),
        ("search_operations", {"query": "x", "limit": 10**30}, 422),
        ("describe_operation", {"operation": "ghosts.get"}, 404),
        ("describe_operation", {"operation": ["items.get"]}, 422),
        ("call_operation", {"operation": "ghosts.get"}, 404),
        ("call_operation", {"operation": "items.get", "arguments": []}, 422),
        ("wait_for_job", {"job_id": "job_none"}, 404),
        ("wait_for_job", {"job_id": "job_none", "seconds": 51}, 422),
        ("wait_for_job", {"job_id": 5}, 422),
    ):
        refused = await tool(api, name, arguments, as_=owner)
        assert refused["isError"] and refused["structuredContent"]["status"] == status, refused
