"""What is too much, too deep, too fast or not for this server, and a database that goes away."""

from __future__ import annotations

import asyncio
import json
import time

import httpx
import pytest

from db.disposable import migrated_cluster
from ops_gateway.kernel.services import Limits
from opstac import compose


def auth(trial, **headers):
    return {"Authorization": f"Bearer {trial.owner.token}", **headers}


async def post(trial, content, path="/v1/op/trial.spend", **headers):
    given = auth(trial, **{"Content-Type": "application/json", **headers})
    return await trial.api.client.post(path, content=content, headers=given)


def is_problem(response, *statuses):
    assert response.status_code in statuses, (response.status_code, response.text[:500])
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code and problem["title"] and problem["detail"]
    assert problem["instance"] == response.headers["x-request-id"]
    if response.status_code == 422:
        assert all(
            {"loc", "msg", "type"} <= set(e) and isinstance(e["loc"], list)
            for e in problem["detail"]
        )
    return problem


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"[", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'"x"', 400),
        (b"5", 400),
        (b"{}{}", 400),
        (b"{'a':1}", 400),
        (b'{"a":NaN}', 400),
        (b'{"a":Infinity}', 400),
        (b'{"amount":1e999}', 400),
        (b'{"amount":-1e999}', 400),
        (b'{"a":"\\ud800"}', 400),
        (b'{"a":"\xed\xa0\x80"}', 400),
        (b'{"a":"\xff"}', 400),
        (b"\xef\xbb\xbf{}", 400),
        (b'{"note":"a\\u0000b"}', 422),
        (b'{"a\\u0000":1}', 422),
        (b'{"amount":9007199254740993}', 422),
        (b'{"amount":-9007199254740993}', 422),
        (b'{"amount":"ten"}', 422),
        (b'{"note":5}', 422),
        (b'{"amount":12345678901234567890123456789012345678901234567890}', 400),
        (b'{"amount":123456789012345678901234567890}', 400),
        (b'{"x":' + b"9" * 5000 + b"}", 400),
    ],
)
async def test_bad_json_is_the_callers_fault(trial, content, status):
    is_problem(await post(trial, content), status)
    assert trial.effects() == 0


@pytest.mark.parametrize("depth", [65, 1000, 20_000, 200_000])
@pytest.mark.parametrize("bracket", [b"[]", b'{"":}'])
async def test_depth_is_bounded_and_cheap(trial, depth, bracket):
    opening, closing = bracket[:-1], bracket[-1:]
    for content in (opening * depth + b"1" + closing * depth, opening * depth):
        is_problem(await post(trial, b'{"x":' + content + b"}"), 400)


async def test_sixty_four_levels_and_brackets_in_strings_are_fine(trial):
    inner = b"[" * 63 + b"1" + b"]" * 63
    assert (await post(trial, b'{"x":' + inner + b"}")).status_code == 200
    assert (await post(trial, json.dumps({"note": "[{" * 5000}).encode())).status_code == 200


async def test_strings_and_arrays_are_bounded(trial):
    assert (await post(trial, json.dumps({"note": "x" * 65536}).encode())).status_code == 200
    is_problem(await post(trial, json.dumps({"note": "x" * 65537}).encode()), 422)
    is_problem(await post(trial, json.dumps({"x": [1] * 10_001}).encode()), 422)
    assert (await post(trial, json.dumps({"x": [1] * 10_000}).encode())).status_code == 200


async def test_a_body_over_two_mebibytes_is_refused_before_it_is_read(trial):
    filler = b'{"x":["' + b'","'.join([b"a" * 1000] * 2200) + b'"]}'
    assert len(filler) > 2 << 20
    is_problem(await post(trial, filler), 413)
    is_problem(await post(trial, b"{}", **{"Content-Length": str(3 << 20)}), 413)

    async def endless():
        for _ in range(100_000):
            yield b" " * 65536

    is_problem(await post(trial, endless()), 413)
    just_right = b'{"x":["' + b'","'.join([b"a" * 1000] * 2000) + b'"]}'
    assert (await post(trial, just_right)).status_code == 200


@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        ("application/x-www-form-urlencoded", b"amount=5"),
        ("multipart/form-data; boundary=x", b"--x--"),
        ("text/plain", b"{}"),
        ("application/xml", b"<a/>"),
        ("application/json-seq", b"{}"),
    ],
)
async def test_other_media_types_are_refused(trial, media_type, content):
    is_problem(await post(trial, content, **{"Content-Type": media_type}), 400, 415, 422)


async def test_json_by_other_names_and_empty_bodies_are_taken(trial):
    for media_type in (
        "application/json; charset=utf-8",
        "application/vnd.api+json",
        "APPLICATION/JSON",
    ):
        assert (await post(trial, b"{}", **{"Content-Type": media_type})).status_code == 200
    for media_type in ("application/json", "application/x-www-form-urlencoded"):
        assert (await post(trial, b"", **{"Content-Type": media_type})).status_code == 200
    response = await trial.api.client.post("/v1/op/trial.spend", headers=auth(trial))
    assert response.status_code == 200


# ---------------------------------------------------------------- paths


@pytest.mark.parametrize(
    "path",
    [
        "/v1/op/nope",
        "/v1/op/",
        "/v1/op/nope.nope",
        "/v1/op/..%2f..%2fetc%2fpasswd",
        "/v1/op/%00",
        "/v1/op/%ff",
        "/v1/op/trial.spend/",
        "/v1/op/trial.spend%20",
        "/v1/op/__class__",
        "/v1/op/" + "x" * 5000,
        "/v1/",
        "/v1",
        "/nope",
        "/v1/op/trial.spend%0a",
        "/v1/nope/nope",
        "/v1/op/TRIAL.SPEND",
        "/v1/op/trial/spend",
        "/v1/op/%F0%9F%92%A9",
    ],
)
async def test_an_unknown_operation_is_not_found(trial, path):
    problem = is_problem(await post(trial, b"{}", path), 404)
    assert "passwd" not in problem["detail"]
    is_problem(await trial.api.client.get(path, headers=auth(trial)), 404)


async def test_a_literal_path_wins_over_an_id(trial):
    async def text(path):
        response = await trial.api.client.get(f"/v1/trial/{path}", headers=auth(trial))
        assert response.status_code == 200, response.text
        return response.json()["text"]

    assert await text("things/special") == "special"
    assert await text("things/it_1") == "it_1"
    assert await text("things") == "list effect"
    assert await text("things?note=a%20b") == "list a b"
    assert await text("things/list") == "list effect"
    assert await text("things/get?thing_id=x") == "x"
    assert await text("things/it_1?thing_id=other") == "it_1"
    assert await text("things/100%25") == "100%"
    assert await text("things/%2525") == "%25"


@pytest.mark.parametrize("thing", ["%00", "a%00b", "%ff%fe", "%ED%A0%80", "x" * 3000])
async def test_any_id_in_a_path_is_looked_up_or_refused(trial, thing):
    response = await trial.api.client.get(f"/v1/trial/things/{thing}", headers=auth(trial))
    assert response.status_code in (200, 400, 404, 422), response.text


@pytest.mark.parametrize(
    "query",
    [
        "note=%00",
        "note=%ff",
        "amount=ten",
        "amount=[",
        "amount={",
        "x=" + "%5B" * 20_000,
        "amount=1e999",
        "amount=99999999999999999999",
        "x=[" + "[" * 70 + "]" * 70 + "]",
        "note=[1]",
        "note=a&note=b",
        "=x",
        "&&&",
    ],
)
async def test_any_query_string_is_taken_or_refused(trial, query):
    response = await trial.api.client.get(f"/v1/trial/things?{query}", headers=auth(trial))
    assert response.status_code in (200, 400, 422), response.text


async def test_only_reads_answer_on_get(trial):
    for path in ("/v1/op/trial.spend", "/v1/trial/spend"):
        response = await trial.api.client.get(path, headers=auth(trial))
        is_problem(response, 405)
        assert response.headers["allow"] == "POST"
    for method in ("PUT", "DELETE", "PATCH", "TRACE"):
        is_problem(
            await trial.api.client.request(method, "/v1/op/trial.spend", headers=auth(trial)), 405
        )
    assert trial.effects() == 0


async def test_a_request_id_is_taken_over_if_it_is_one(trial):
    for given, taken in [
        ("my-request.1", True),
        ("x" * 65, False),
        ("a b c d e f", False),
        ("äöüäöüäöü", False),
    ]:
        headers = [
            (b"authorization", f"Bearer {trial.owner.token}".encode()),
            (b"x-request-id", given.encode("latin-1")),
        ]
        response = await trial.api.client.get("/v1/trial/things", headers=headers)
        assert (response.headers["x-request-id"] == given) is taken


async def test_a_forged_host_never_reaches_a_link(trial):
    response = await trial.api.client.get(
        "/v1/nope", headers=auth(trial, Host="evil.example/<script>")
    )
    assert "evil" not in response.text


# ---------------------------------------------------------------- rates


async def limited(trial, **limits):
    """A client of the same platform with these limits."""
    values = {"organization": 10**6, "placement": 10**6, "spend": 10**6, "public": 10**6, **limits}
    settings = trial.api.platform.settings
    changed = {**settings.__dict__, "limits": Limits(**values)}
    return compose.embedded(type(settings)(**changed), service="gateway")


async def rates(trial, calls, **limits):
    # within one window: begin where some of the minute is left
    while time.time() % 60 > 55:
        await asyncio.sleep(0.5)
    async with await limited(trial, **limits) as platform:
        transport = httpx.ASGITransport(platform.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return [await client.post(path, json={}, headers=headers) for path, headers in calls]


async def test_an_organizations_calls_are_counted_together(trial):
    token, _ = trial.api_key("trial:*")
    other = await trial.api.organization()
    read = "/v1/op/trial.things.list"
    mine, key, theirs = (
        auth(trial),
        {"X-API-Key": token},
        {"Authorization": f"Bearer {other.token}"},
    )
    responses = await rates(
        trial,
        [(read, mine), (read, key), (read, mine), (read, key), (read, theirs)],
        organization=3,
    )
    assert [r.status_code for r in responses] == [200, 200, 200, 429, 200]
    assert [r.headers["x-ratelimit-limit"] for r in responses[:4]] == ["3"] * 4
    assert [r.headers["x-ratelimit-remaining"] for r in responses[:4]] == ["2", "1", "0", "0"]
    assert all(1 <= int(r.headers["x-ratelimit-reset"]) <= 60 for r in responses)
    refusal = responses[3]
    is_problem(refusal, 429)
    assert refusal.headers["retry-after"] == refusal.headers["x-ratelimit-reset"]


async def test_spending_has_a_limit_of_its_own(trial):
    mine = auth(trial)
    calls = [("/v1/op/trial.spend", mine)] * 3 + [("/v1/op/trial.late", mine)]
    responses = await rates(trial, calls, spend=2)
    assert [r.status_code for r in responses] == [200, 200, 429, 200]
    assert trial.effects() == 3


async def test_a_key_has_its_own_limit_on_top(trial):
    token, _ = trial.api_key("trial:*", rate_limit="2")
    read = "/v1/op/trial.things.list"
    calls = [(read, {"X-API-Key": token})] * 3 + [(read, auth(trial))]
    assert [r.status_code for r in await rates(trial, calls)] == [200, 200, 429, 200]


async def test_anonymous_calls_are_counted_by_address(trial):
    calls = [("/v1/op/trial.open", {})] * 3 + [("/v1/op/trial.open", auth(trial))]
    assert [r.status_code for r in await rates(trial, calls, public=2)] == [200, 200, 429, 200]


async def test_who_may_not_call_uses_up_nothing(trial):
    poor, _ = trial.api_key("items:read")
    read = "/v1/op/trial.things.list"
    calls = [(read, {"X-API-Key": poor})] * 5 + [(read, auth(trial))]
    assert [r.status_code for r in await rates(trial, calls, organization=1)] == [403] * 5 + [200]


# ---------------------------------------------------------------- a database that goes away


@pytest.mark.slow  # stops and starts a database server
async def test_without_its_database_it_says_so_and_comes_back_with_it(provider, tmp_path):
    import sys

    conftest = sys.modules["tests.conftest"]
    kernel_conftest = sys.modules["tests.kernel.conftest"]
    with migrated_cluster() as cluster:
        settings = conftest.test_settings(cluster.dsn(), tmp_path)
        async with compose.embedded(settings, service="gateway") as platform:
            transport = httpx.ASGITransport(platform.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://testserver"
            ) as client:
                api = conftest.Api(platform, client)
                trial = kernel_conftest.Trial(api, await api.organization(), provider)
                await trial.ok("spend", {"amount": 1}, key="before")
                slow = asyncio.create_task(
                    trial.call("spend", {"amount": 1, "seconds": 5}, key="during")
                )
                await asyncio.sleep(0.5)
                cluster.stop(at_once=True)

                lost = await asyncio.wait_for(slow, 10)
                calls = [
                    trial.call("spend", {"amount": 1}, key="during"),
                    trial.call("things.list"),
                    client.get("/v1/organizations/get", headers=auth(trial)),
                ]
                started = time.monotonic()
                for response in [lost, *await asyncio.gather(*calls)]:
                    problem = is_problem(response, 503)
                    assert problem["type"].endswith("/problems/database-unavailable")
                    assert int(response.headers["retry-after"]) >= 1
                    assert (
                        str(cluster.folder) not in response.text and "postgres" not in response.text
                    )
                assert (await client.get("/livez")).status_code == 200
                ready = await client.get("/readyz")
                assert ready.status_code == 503 and ready.json()["failed"] == ["database"]
                await asyncio.sleep(3)  # long enough for the pool to have given up

                cluster.start()
                started = time.monotonic()
                while (
                    again := await trial.call("spend", {"amount": 1}, key="during")
                ).status_code == 503:
                    assert time.monotonic() - started < 60
                assert again.status_code == 200, again.text
                assert (await trial.ok("spend", {"amount": 1}, key="during")) == again.json()
                assert trial.effects() == 2
                assert (await client.get("/readyz")).status_code == 200


async def terminate_all(trial):
    """End every session of the platform and wait until they are gone."""
    others = (
        "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
        " and backend_type = 'client backend'"
    )
    ended = {
        row["pid"]
        for row in trial.api.sql(f"select pid, pg_terminate_backend(pid) {others}", role="none")
    }
    while ended & {row["pid"] for row in trial.api.sql(f"select pid {others}", role="none")}:
        await asyncio.sleep(0.01)


async def test_sessions_ended_by_the_server_are_replaced_unnoticed(trial):
    await asyncio.gather(*(trial.call("things.list") for _ in range(8)))
    for _ in range(3):
        await terminate_all(trial)
        responses = await asyncio.gather(
            *(trial.call("things.list") for _ in range(6)), *(trial.call("spend") for _ in range(6))
        )
        assert {r.status_code for r in responses} == {200}
