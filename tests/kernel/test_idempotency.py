"""A key runs its operation once, whoever asks, however often, whatever dies in between."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest

from opstac import compose


@asynccontextmanager
async def second_process(trial):
    """The same platform composed again: nothing is shared but the database."""
    async with compose.embedded(trial.api.platform.settings, service="gateway") as platform:
        transport = httpx.ASGITransport(platform.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            yield client


def post(client, trial, op_id, body=None, *, key="k", token=None, **kwargs):
    headers = {"Authorization": f"Bearer {token or trial.owner.token}", "Idempotency-Key": key}
    return client.post(f"/v1/op/trial.{op_id}", json=body or {}, headers=headers, **kwargs)


def replayed(responses):
    return [r for r in responses if r.headers.get("Idempotent-Replayed") == "true"]


async def test_fifty_duplicates_have_one_effect_and_one_answer(trial):
    body = {"amount": 10, "ending": "settle", "seconds": 0.1}
    responses = await asyncio.gather(*(trial.call("spend", body, key="k") for _ in range(50)))
    assert {r.status_code for r in responses} == {200}
    assert len({r.content for r in responses}) == 1
    assert len({r.headers["content-type"] for r in responses}) == 1
    assert len(replayed(responses)) == 49
    assert (trial.effects(), trial.wallet()) == (1, (990, 0))


async def test_fifty_duplicates_over_two_processes_have_one_effect(trial):
    body = {"amount": 10, "ending": "settle", "seconds": 0.3}
    async with second_process(trial) as other:
        clients = [trial.api.client, other] * 25
        responses = await asyncio.gather(*(post(c, trial, "spend", body) for c in clients))
    assert {r.status_code for r in responses} == {200}
    assert len({r.content for r in responses}) == 1
    assert len(replayed(responses)) == 49
    assert (trial.effects(), trial.wallet()) == (1, (990, 0))


async def test_many_different_keys_at_once_do_not_hinder_each_other(trial):
    calls = [trial.call("spend", {"amount": 1}, key=f"k{n}") for n in range(60)]
    assert {r.status_code for r in await asyncio.gather(*calls)} == {200}
    assert trial.effects() == 60


async def test_a_replay_is_the_same_to_the_byte_and_repeats_nothing(trial):
    first = await trial.call("spend", {"amount": 10, "note": "ü"}, key="k")
    before = trial.rows()
    again = await trial.call("spend", {"amount": 10, "note": "ü"}, key="k")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    assert trial.rows() == before


async def test_another_body_is_a_conflict(trial):
    await trial.ok("spend", {"amount": 10}, key="k")
    problem = await trial.refused(409, "spend", {"amount": 11}, key="k")
    assert problem["type"].endswith("/problems/idempotency-key-reused")
    assert trial.wallet() == (990, 10)


async def test_another_body_while_the_first_runs_is_a_conflict(trial):
    slow = asyncio.create_task(trial.call("spend", {"amount": 10, "seconds": 0.4}, key="k"))
    await asyncio.sleep(0.1)
    await trial.refused(409, "spend", {"amount": 11}, key="k")
    assert (await slow).status_code == 200


async def raw(trial, content, key="k"):
    headers = {
        "Authorization": f"Bearer {trial.owner.token}",
        "Idempotency-Key": key,
        "Content-Type": "application/json",
    }
    return await trial.api.client.post("/v1/op/trial.spend", content=content, headers=headers)


async def test_the_order_and_spelling_of_json_do_not_matter(trial):
    first = await raw(trial, b'{"amount":1,"note":"a\\u0062","x":{"p":1,"q":[1.50]}}')
    again = await raw(trial, b' { "x":{"q":[1.5], "p":1}, "note":"ab",\n"amount":1}')
    assert again.headers["Idempotent-Replayed"] == "true" and again.content == first.content


async def test_numbers_and_booleans_that_are_equal_in_python_are_different_bodies(trial):
    bodies = [b'{"amount":1}', b'{"amount":1.0}', b'{"amount":true}', b'{"amount":"1"}']
    for index, body in enumerate(bodies):
        assert (await raw(trial, body, key=f"k{index}")).status_code == 200
        for other in bodies:
            if other is not body:
                response = await raw(trial, other, key=f"k{index}")
                assert response.status_code == 409, (body, other)


async def test_unknown_fields_count(trial):
    await raw(trial, b'{"amount":1,"unknown":1}')
    assert (await raw(trial, b'{"amount":1,"unknown":2}')).status_code == 409
    assert (await raw(trial, b'{"amount":1}')).status_code == 409


async def test_no_body_and_an_empty_object_are_the_same(trial):
    first = await raw(trial, b"")
    for content in (b"{}", b"null", b"  "):
        assert (await raw(trial, content)).content == first.content


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "tab\tin", "é", "\x7f", "a,b\x01"])
async def test_what_cannot_be_a_key(trial, key):
    headers = [
        (b"Authorization", f"Bearer {trial.owner.token}".encode()),
        (b"Idempotency-Key", key.encode("latin-1")),
    ]
    response = await trial.api.client.post("/v1/op/trial.spend", json={}, headers=headers)
    assert response.status_code == 400, response.text
    assert (trial.effects(), trial.keys()) == (0, 0)


@pytest.mark.parametrize("key", ["x", "x" * 255, "!~\"'%{}", "a,b;c=d"])
async def test_what_can_be_a_key(trial, key):
    first = await trial.ok("spend", {}, key=key)
    assert await trial.ok("spend", {}, key=key) == first
    assert trial.effects() == 1


async def test_a_key_belongs_to_its_organization_and_operation(trial):
    mine = await trial.ok("spend", {"amount": 1}, key="k")
    other = await trial.api.organization()
    theirs = await trial.ok("spend", {"amount": 1}, key="k", as_=other)
    assert mine != theirs
    assert await trial.ok("late", {"amount": 1}, key="k") not in (mine, theirs)


async def test_any_member_may_repeat_the_call(trial):
    first = await trial.ok("spend", {"amount": 1}, key="k")
    colleague = await trial.api.member(trial.owner, "member")
    token, _ = trial.api_key("trial:*")
    for headers in ({"Authorization": f"Bearer {colleague.token}"}, {"X-API-Key": token}):
        response = await trial.api.client.post(
            "/v1/op/trial.spend", json={"amount": 1}, headers={**headers, "Idempotency-Key": "k"}
        )
        assert response.json() == first
    assert trial.effects() == 1


async def test_an_alias_and_the_resource_path_share_the_key(trial):
    first = await trial.call("spend", {"amount": 1}, key="k")
    headers = {"Authorization": f"Bearer {trial.owner.token}", "Idempotency-Key": "k"}
    for path in ("/v1/op/trial.pay", "/v1/trial/spend", "/v1/trial/pay"):
        response = await trial.api.client.post(path, json={"amount": 1}, headers=headers)
        assert response.content == first.content, path
    assert trial.effects() == 1


async def test_reads_ignore_the_key(trial):
    for thing in ("a", "b"):
        found = await trial.ok("things.get", {"thing_id": thing}, key="k")
        assert found["text"] == thing
    assert trial.keys() == 0


async def test_a_refused_call_leaves_its_key_free(trial):
    before = trial.rows()
    await trial.refused(402, "spend", {"amount": 1500}, key="k")
    await trial.refused(402, "late", {"amount": 1500}, key="k")
    assert trial.rows() == before
    await trial.ok("grant", {"amount": 1000})
    first = await trial.ok("spend", {"amount": 1500}, key="k")
    assert await trial.ok("spend", {"amount": 1500}, key="k") == first
    assert trial.wallet() == (500, 1500)


async def test_duplicates_of_a_call_that_fails_each_get_their_own_refusal(trial):
    responses = await asyncio.gather(
        *(trial.call("late", {"amount": 1500, "seconds": 0.02}, key="k") for _ in range(12))
    )
    assert {r.status_code for r in responses} == {402}
    assert (trial.effects(), trial.keys()) == (0, 0)


def terminate(trial):
    """Kill the database session that sleeps inside the operation."""
    return trial.api.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and state = 'active' and query like '%%pg_sleep%%'"
        " and pid <> pg_backend_pid()",
        role="none",
    )


async def sleeping(trial):
    """Wait until the operation sleeps in the database."""
    for _ in range(200):
        found = trial.api.sql(
            "select count(*) as n from pg_stat_activity where datname = current_database()"
            " and wait_event = 'PgSleep'",
            role="none",
        )
        if found[0]["n"]:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("nothing sleeps")


async def test_when_the_first_dies_another_takes_over(trial):
    body = {"amount": 10, "ending": "settle", "seconds": 1.2}
    async with second_process(trial) as other:
        first = asyncio.create_task(post(trial.api.client, trial, "spend", body))
        await sleeping(trial)
        waiting = [asyncio.create_task(post(other, trial, "spend", body)) for _ in range(10)]
        await asyncio.sleep(0.2)
        terminate(trial)
        lost = await first
        assert lost.status_code == 503 and "retry-after" in lost.headers
        responses = await asyncio.gather(*waiting)
    assert {r.status_code for r in responses} == {200}
    assert len(replayed(responses)) == 9
    assert (trial.effects(), trial.wallet()) == (1, (990, 0))
    assert (await post(trial.api.client, trial, "spend", body)).content == responses[0].content


async def test_waiting_is_bounded(trial, monkeypatch):
    monkeypatch.setattr("ops_gateway.kernel.transaction.WAIT_SECONDS", 0.3)
    body = {"seconds": 4}
    async with second_process(trial) as other:
        first = asyncio.create_task(post(trial.api.client, trial, "spend", body))
        await sleeping(trial)
        for client in (trial.api.client, other):
            response = await post(client, trial, "spend", body)
            assert not first.done()
            assert response.status_code == 409
            assert response.headers["retry-after"] == "1"
            assert response.json()["type"].endswith("/problems/idempotency-in-progress")
        assert (await first).status_code == 200
        assert (await post(other, trial, "spend", body)).content == first.result().content


async def test_waiting_duplicates_hold_no_connection(trial):
    body = {"seconds": 2.5}
    async with second_process(trial) as other:
        first = asyncio.create_task(post(trial.api.client, trial, "spend", body))
        await sleeping(trial)
        waiting = [asyncio.create_task(post(other, trial, "spend", body)) for _ in range(40)]
        await asyncio.sleep(0.1)
        read = await post(other, trial, "things.get", {"thing_id": "x"})
        assert read.status_code == 200 and not first.done()
        assert {r.status_code for r in await asyncio.gather(first, *waiting)} == {200}
    assert trial.effects() == 1


async def test_an_expired_key_runs_again(trial):
    first = await trial.ok("spend", {"amount": 1}, key="k")
    trial.api.sql(
        "update idempotency_key set expires_at = now() - interval '1 s' where organization_id = %s",
        trial.organization_id,
    )
    async with second_process(trial) as other:
        clients = [trial.api.client, other] * 10
        responses = await asyncio.gather(
            *(post(c, trial, "spend", {"amount": 2, "seconds": 0.05}) for c in clients)
        )
    assert {r.status_code for r in responses} == {200}
    assert len({r.content for r in responses}) == 1 and responses[0].json() != first
    assert trial.effects() == 2


async def test_a_key_is_kept_for_a_day(trial):
    await trial.ok("spend", {}, key="k")
    row = trial.api.sql(
        "select expires_at - created_at = interval '24 hours' as day, state, intent_id"
        " from idempotency_key where organization_id = %s",
        trial.organization_id,
    )
    assert row == [{"day": True, "state": "done", "intent_id": None}]


async def test_a_secret_is_not_stored_in_clear_and_still_replayed(trial):
    first = await trial.call("secret", key="k")
    secret = first.json()["token"]
    stored = trial.api.sql(
        "select body, encrypted from idempotency_key where organization_id = %s",
        trial.organization_id,
    )[0]
    assert stored["encrypted"] and secret.encode() not in bytes(stored["body"])
    assert (await trial.call("secret", key="k")).content == first.content


async def test_a_replay_needs_the_scope(trial):
    await trial.ok("spend", {"amount": 1}, key="k")
    token, _ = trial.api_key("trial:read")
    response = await post(trial.api.client, trial, "spend", {"amount": 1}, token=token)
    assert response.status_code == 403


async def test_a_replay_needs_the_project(trial):
    project = trial.api.sql(
        "insert into project (id, organization_id, name)"
        " values ('proj_' || %s, %s, 'p') returning id",
        trial.organization_id,
        trial.organization_id,
    )[0]["id"]
    colleague = await trial.api.member(trial.owner, "member")
    trial.api.sql(
        "insert into project_member (organization_id, project_id, user_id, role)"
        " values (%s, %s, %s, 'viewer')",
        trial.organization_id,
        project,
        colleague.user_id,
    )
    body = {"project_id": project}
    first = await trial.ok("spend", body, key="k", as_=colleague)
    assert await trial.ok("spend", body, key="k", as_=colleague) == first
    trial.api.sql("delete from project_member where project_id = %s", project)
    await trial.refused(403, "spend", body, key="k", as_=colleague)
    assert await trial.ok("spend", body, key="k") == first


async def test_making_an_organization_can_be_repeated(api):
    api.keep_slot_free()
    person = api.user()
    calls = [
        api.call("organizations.create", {"name": "Once"}, as_=person, key="k") for _ in range(8)
    ]
    responses = await asyncio.gather(*calls)
    assert {r.status_code for r in responses} == {200}, [r.text for r in responses]
    assert len({r.content for r in responses}) == 1
    again = await api.call("organizations.create", {"name": "Once"}, as_=person, key="k")
    assert again.content == responses[0].content
    await api.refused(409, "organizations.create", {"name": "Twice"}, as_=person, key="k2")


# ---------------------------------------------------------------- phased operations


async def test_a_phased_operation_acts_once_for_many_duplicates(trial):
    responses = await asyncio.gather(*(trial.call("charge", key="k") for _ in range(20)))
    assert {r.status_code for r in responses} == {200}
    assert len({r.content for r in responses}) == 1
    assert list(trial.provider.asked.values()) == [1]
    assert (trial.effects("charged"), trial.effects("claimed")) == (1, 0)


async def test_a_duplicate_of_a_running_phased_operation_is_told_so(trial, monkeypatch):
    monkeypatch.setattr("ops_gateway.kernel.transaction.WAIT_SECONDS", 0.2)
    provider = trial.provider
    async with second_process(trial) as other:
        first = asyncio.create_task(trial.call("charge", {"behaviour": "wait"}, key="k"))
        await asyncio.wait_for(provider.reached.wait(), 5)
        for client in (trial.api.client, other):
            response = await post(client, trial, "charge", {"behaviour": "wait"})
            assert response.status_code == 409 and response.headers["retry-after"] == "1"
        # the id a client gives its request is no part of what makes it the same intent
        held = {"X-Request-Id": "chosen-by-client", "Idempotency-Key": "k"}
        response = await other.post(
            "/v1/op/trial.charge",
            json={"behaviour": "wait"},
            headers={**held, "Authorization": f"Bearer {trial.owner.token}"},
        )
        assert response.status_code == 409
        provider.go.set()
        assert (await first).status_code == 200
        assert (
            await post(other, trial, "charge", {"behaviour": "wait"})
        ).content == first.result().content
    assert list(provider.asked.values()) == [1]


async def crash(trial, fault, monkeypatch):
    monkeypatch.setenv("OPSTAC_FAULT", f"{fault}:raise")
    await trial.refused(500, "charge", key="k")
    monkeypatch.delenv("OPSTAC_FAULT")


def lapse(trial):
    trial.api.sql(
        "update idempotency_key set lease_until = now() - interval '1 s'"
        " where organization_id = %s",
        trial.organization_id,
    )


@pytest.mark.parametrize("fault", ["claimed", "acted"])
async def test_a_crash_between_the_phases_is_resumed_with_the_same_intent(
    trial, fault, monkeypatch
):
    await crash(trial, fault, monkeypatch)
    await trial.refused(409, "charge", key="k")
    lapse(trial)
    async with second_process(trial) as other:
        clients = [trial.api.client, other] * 5
        responses = await asyncio.gather(*(post(c, trial, "charge") for c in clients))
    assert {r.status_code for r in responses} <= {200, 409}
    ((intent, times),) = trial.provider.asked.items()
    assert times == (1 if fault == "claimed" else 2)
    assert (await trial.ok("charge", key="k"))["text"] == f"charge of {intent}"
    assert (trial.effects("charged"), trial.effects("claimed")) == (1, 0)


async def test_a_claim_that_outlived_its_lease_finishes_once(trial):
    provider = trial.provider
    first = asyncio.create_task(trial.call("charge", {"behaviour": "wait"}, key="k"))
    await asyncio.wait_for(provider.reached.wait(), 5)
    lapse(trial)
    async with second_process(trial) as other:
        second = asyncio.create_task(post(other, trial, "charge", {"behaviour": "wait"}))
        while sum(provider.asked.values()) < 2:
            await asyncio.sleep(0.01)
        provider.go.set()
        responses = await asyncio.gather(first, second)
    assert {r.status_code for r in responses} == {200}
    assert responses[0].content == responses[1].content
    assert len(provider.asked) == 1, "both carried out the same intent"
    assert trial.effects("charged") == 1


async def test_a_refused_act_is_undone_and_the_key_is_free(trial):
    await trial.refused(402, "charge", {"behaviour": "refuse"}, key="k")
    assert len(trial.provider.undone) == 1
    assert (trial.keys(), trial.effects("claimed")) == (0, 0)
    await trial.ok("charge", key="k")
    assert len(trial.provider.asked) == 2
    assert trial.effects("charged") == 1


async def test_an_act_of_unknown_outcome_stays_claimed(trial):
    await trial.refused(500, "charge", {"behaviour": "break"}, key="k")
    assert trial.provider.undone == [] and trial.effects("claimed") == 1
    await trial.refused(409, "charge", {"behaviour": "break"}, key="k")
    lapse(trial)
    trial.provider.behaviour = "ok"
    await trial.ok("charge", {"behaviour": "break"}, key="k")
    assert list(trial.provider.asked.values()) == [2]
