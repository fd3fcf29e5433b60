"""Answers as results of tools: the same as at the other doors, bounded, and saying so."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops_gateway import domains
from ops_gateway.kernel.answers import Answer
from ops_gateway.kernel.errors import TooLarge
from ops_gateway.kernel.operation import REGISTRY, Blob, Effect
from ops_gateway.surfaces.mcp import content, tools
from tests.conftest import Person
from tests.surfaces.agents import send, tool

domains.load()

# what two calls, one after the other, tell differently
MOMENTS = ("expires", "updated_at", "generated_at", "last_used_at", "timestamp")
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.sampled_from(["proj_x", "it_x", "2026-01-01T00:00:00Z", "POINT(0 0)"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def calls(draw: Any) -> tuple[str, dict[str, Any]]:
    """Any operation, and values for some of its fields."""
    op = REGISTRY[draw(st.sampled_from(sorted(REGISTRY)))]
    names = [info.alias or name for name, info in op.input.model_fields.items()]
    chosen = draw(st.lists(st.sampled_from(names), unique=True)) if names else []
    return op.id, {name: draw(VALUES) for name in chosen}


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(call=calls())
async def test_any_operation_answers_any_body_as_post_does(api, call):
    owner = api.__dict__.get("agents_owner") or await api.organization()
    api.agents_owner = owner
    op, body = REGISTRY[call[0]], call[1]
    got = await tool(api, tools.tool_name(op), body, as_=owner)
    status = got["_meta"].get("opstac/status") if "_meta" in got else None
    if status is None:
        # it asks first; what only its transaction refuses is refused when that is confirmed
        assert op.effect is Effect.SPEND and got["structuredContent"]["confirmation_required"]
        return
    posted = await api.call(op.id, body, as_=owner)
    if not op.is_read and not got["isError"]:
        assert posted.is_success or posted.status_code in (404, 409)  # the first one did it
        return
    assert status == posted.status_code < 500, (op.id, body, got, posted.text)
    if got["isError"]:
        problems = [dict(got["structuredContent"]), posted.json()]
        for problem in problems:
            problem.pop("instance")
        assert problems[0] == problems[1]
    elif op.output is not Blob and not any(word in posted.text for word in MOMENTS):
        value = got["structuredContent"]
        assert posted.json() == (value["result"] if tools.is_wrapped(op) else value)


# ---------------------------------------------------------------- bounds


def result(op_id: str, body: bytes, kind: str = "application/json") -> dict[str, Any]:
    return content.of_answer(REGISTRY[op_id], Answer(200, body, kind), base_url="http://here")


def test_a_long_text_is_cut_and_says_so():
    whole = json.dumps({"items": ["x" * 50] * 1000}).encode()
    made = result("items.list", whole)
    shown = made["content"][0]["text"]
    assert len(shown) < content.TEXT_LIMIT + 200 and f"of {len(whole)} characters" in shown
    assert made["structuredContent"] == json.loads(whole)


def test_what_is_too_large_for_a_tool_is_refused_unless_it_was_done():
    whole = json.dumps({"items": ["x" * 50] * 6000}).encode()
    with pytest.raises(TooLarge, match="ask for less"):
        result("items.list", whole)
    assert result("items.import", whole)["structuredContent"] == json.loads(whole)


def test_lines_are_cut_between_two():
    line = json.dumps({"id": "x" * 100}).encode() + b"\n"
    shown = result("items.list", line * 1000, "application/x-ndjson")["content"][0]["text"]
    *kept, note = shown.splitlines()
    assert all(json.loads(one) for one in kept) and f"{len(kept)} of 1000 lines" in note
    assert result("items.list", line, "application/x-ndjson")["content"][0]["text"] == line.decode()


def test_pictures_are_pictures_and_files_are_files():
    picture = b"\x89PNG" * 10
    block = result("items.tile.render", picture, "image/png")["content"][0]
    assert (block["type"], block["mimeType"]) == ("image", "image/png")
    assert base64.b64decode(block["data"]) == picture
    block = result("clip.job.download", picture, "image/tiff")["content"][0]
    assert block["type"] == "resource" and block["resource"]["mimeType"] == "image/tiff"
    with pytest.raises(TooLarge, match="POST the same arguments"):
        result("clip.job.download", b"x" * (content.BINARY_LIMIT + 1), "image/tiff")


def test_a_signed_link_is_one_that_a_host_fetches():
    answer = {
        "url": "http://x/f",
        "file_name": "f.tif",
        "media_type": "image/tiff",
        "size_bytes": 9,
    }
    made = result("items.asset.download", json.dumps(answer).encode())
    assert made["content"][1] == {
        "type": "resource_link",
        "uri": "http://x/f",
        "name": "f.tif",
        "mimeType": "image/tiff",
        "size": 9,
    }
    assert len(result("items.get", json.dumps(answer).encode())["content"]) == 1
    several = {"downloads": [answer, {**answer, "url": "http://x/g", "media_type": None}]}
    made = result("clip.job.downloads", json.dumps(several).encode())
    assert [link["uri"] for link in made["content"][1:]] == ["http://x/f", "http://x/g"]
    assert made["structuredContent"] == several
    # what a user wrote into an answer is no file of ours
    written = {"item": {"properties": answer, "assets": [answer]}, **answer}
    assert len(result("items.get", json.dumps(written).encode())["content"]) == 1


# ---------------------------------------------------------------- limits and waiting


async def test_limits_of_a_key_hold_for_tools_and_lists(api):
    owner = await api.organization()
    made = await api.ok("api_keys.create", {"name": "slow", "rate_limit": 3}, as_=owner)
    agent = Person(made["key"], None, owner.organization_id)
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    statuses = [(await send(api, message, as_=agent)).status_code for _ in range(8)]
    assert statuses.count(429) >= 2  # a minute may end in between
    results = [await tool(api, "projects-list", as_=agent) for _ in range(8)]
    refused = [one for one in results if one["isError"]]
    assert len(refused) >= 2
    assert refused[0]["structuredContent"]["status"] == 429
    assert int(refused[0]["_meta"]["opstac/headers"]["Retry-After"]) <= 60


async def test_waiting_tells_how_far_a_job_is_and_whose_it_is_not(api):
    owner, other = await api.organization(), await api.organization("Other")
    body = {"project_id": await api.project(owner), "job_type_id": "echo"}
    job = (await api.ok("processing.create", body, as_=owner))["job"]["id"]
    waited = await tool(api, "wait_for_job", {"job_id": job, "seconds": 0.2}, as_=owner)
    told = waited["structuredContent"]
    assert told["done"] is False and told["status"] == "pending" and told["job"]["id"] == job
    strange = await tool(api, "wait_for_job", {"job_id": job}, as_=other)
    assert strange["structuredContent"]["status"] == 404
    api.sql("update job set status = 'cancelled' where id = %s", job)
    waited = await tool(api, "wait_for_job", {"job_id": job, "seconds": 50}, as_=owner)
    assert waited["structuredContent"]["done"] is True


async def test_only_some_of_an_organization_wait_at_once(api):
    owner = await api.organization()
    body = {"project_id": await api.project(owner), "job_type_id": "echo"}
    job = (await api.ok("processing.create", body, as_=owner))["job"]["id"]
    wait = {"job_id": job, "seconds": 1}
    many = await asyncio.gather(*(tool(api, "wait_for_job", wait, as_=owner) for _ in range(12)))
    refused = [one["structuredContent"] for one in many if one["isError"]]
    assert refused and {one["status"] for one in refused} == {429}
    again = await tool(api, "wait_for_job", {"job_id": job, "seconds": 0}, as_=owner)
    assert not again["isError"]
