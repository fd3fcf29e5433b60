"""Messages that are owed: never lost, never in a job's way, sent again while it makes sense."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from db.pool import make_pool
from ops_gateway.domains import signing_secrets
from ops_gateway.providers.delivery import Sender
from ops_gateway.worker.deliveries import PER_RECEIVER, Deliveries
from opstac.deliveries import deliveries
from opstac.server import worker_environment
from tests.journeys.conftest import LOOPBACK


@pytest.fixture
def api(webhook_api):
    return webhook_api


@pytest.fixture
async def system(dsn):
    async with make_pool(dsn, "opstac_system", min_size=1, max_size=12) as pool:
        yield pool


@pytest.fixture
def sending(api, system):
    """The sending end of this platform, with no pause between attempts unless one is asked for."""

    def make(pauses=(0.0,) * 7, **sender) -> Deliveries:
        made = deliveries(api.platform.pipeline, system, api.platform.settings)
        made._pauses = tuple(pauses)
        if sender:
            made._sender = Sender(**sender)
        return made

    return make


async def submit(scene, url, token=None):
    """An NDVI job that wants its end told to `url`."""
    answer = await scene.api.client.post(
        "/api/v1/process",
        json={"operation": "ndvi", "scene_ids": [scene.item["id"]], "webhook_url": url},
        headers={"Authorization": f"Bearer {token or scene.owner.token}"},
    )
    assert answer.status_code == 202, answer.text
    return answer.json()["job_id"]


async def cancelled(scene, url):
    """The same, ended by its owner: a delivery is due."""
    job_id = await submit(scene, url)
    await scene.ok("processing.job.delete", {"job_id": job_id})
    return job_id


def rows(api, job_id):
    return api.sql("select * from delivery where subject = %s", job_id)


async def one_round(sender):
    """Claim what is due and attempt it; the states."""
    return [await sender.attempt(due) for due in await sender.claim()]


async def test_the_row_is_made_by_whatever_ends_the_job_and_told_once(scene, sending, receiving):
    async with receiving() as receiver:
        job_id = await submit(scene, receiver.url)
        assert rows(scene.api, job_id) == []
        assert await one_round(sending()) == []
        await scene.ok("processing.job.delete", {"job_id": job_id})
        assert [row["state"] for row in rows(scene.api, job_id)] == ["due"]
        assert await one_round(sending()) == ["delivered"]
        assert await one_round(sending()) == []
    (request,) = receiver.got
    assert request.path == "/hook" and request.headers["content-type"] == "application/json"
    assert request.json["job_id"] == job_id and request.json["status"] == "failed"
    assert request.json["error"]["code"] == "cancelled"
    assert "authorization" not in request.headers


async def test_a_message_is_signed_by_the_organizations_secret(scene, sending, receiving):
    owner = scene.owner.organization_id
    async with receiving("500 No", "200 OK") as receiver:
        await cancelled(scene, receiver.url)
        sender = sending()
        assert await one_round(sender) == ["due"]
        assert await one_round(sender) == ["delivered"]
    secret = await signing_secrets.show(scene.api.platform.pipeline, owner)
    first, second = receiver.got
    for request in receiver.got:
        Webhook(secret).verify(request.body, request.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(request.body + b" ", request.headers)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.headers["x-geopera-delivery-id"] != second.headers["x-geopera-delivery-id"]
    assert first.headers["x-geopera-event"] == "processing.failed"
    # sealed at rest
    (kept,) = scene.api.sql("select secret from signing_secret where organization_id = %s", owner)
    assert secret.encode() not in bytes(kept["secret"])


async def test_the_command_shows_the_secret_once_and_rotates_it(scene, sending, receiving):
    settings = scene.api.platform.settings
    owner = scene.owner.organization_id
    env = {**os.environ, **worker_environment(settings, settings.home)}

    async def run(*arguments):
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-P", "-m", "opstac", "webhook-secret", *arguments],
            env=env, capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout.strip(), done.stderr.strip()

    status, old, _ = await run(owner)
    assert status == 0 and old.startswith("whsec_")
    status, shown, error = await run(owner)
    assert (status, shown) == (1, "") and "--rotate" in error
    status, new, _ = await run(owner, "--rotate")
    assert status == 0 and new.startswith("whsec_") and new != old
    async with receiving() as receiver:
        await cancelled(scene, receiver.url)
        assert await one_round(sending()) == ["delivered"]
    (request,) = receiver.got
    for secret in (old, new):
        Webhook(secret).verify(request.body, request.headers)
    assert (await run("org_missing"))[0] == 1


@pytest.mark.parametrize(
    "answer",
    ["500 No", "404 Not Found", "drop", "302 Found|Location: http://127.0.0.1:1/\r\n", "hang"],
)
async def test_what_is_not_taken_is_tried_again_then_given_up(scene, sending, answer, receiving):
    async with receiving(answer) as receiver:
        job_id = await cancelled(scene, receiver.url)
        quick = {"allow": scene_allowance(), "total_seconds": 0.2}
        sender = sending(pauses=(0.0, 0.0), **quick)
        states = [state for _ in range(5) for state in await one_round(sender)]
    assert states == ["due", "due", "dead"]
    (row,) = rows(scene.api, job_id)
    assert row["attempts"] == 3 and row["error"] and len(receiver.got) == 3


def scene_allowance():
    from ops_gateway.providers.addresses import parse_allowances

    return parse_allowances(LOOPBACK)


async def test_a_receiver_that_is_down_is_waited_for(scene, sending, receiving):
    async with receiving() as receiver:
        url = receiver.url
    job_id = await cancelled(scene, url)
    sender = sending(pauses=(300.0,))
    assert await one_round(sender) == ["due"]
    (row,) = rows(scene.api, job_id)
    wait = row["next_at"] - row["created_at"]
    assert 200 < wait.total_seconds() < 400
    assert await one_round(sender) == []


async def test_a_pause_that_the_receiver_asks_for_is_kept(scene, sending, receiving):
    async with receiving("503 Busy|Retry-After: 900\r\n") as receiver:
        job_id = await cancelled(scene, receiver.url)
        assert await one_round(sending(pauses=(1.0,))) == ["due"]
    (row,) = rows(scene.api, job_id)
    assert (row["next_at"] - row["created_at"]).total_seconds() > 800


async def test_an_address_that_is_gone_is_not_asked_again(scene, sending, receiving):
    async with receiving("410 Gone") as receiver:
        await cancelled(scene, receiver.url)
        assert await one_round(sending()) == ["dead"]
    assert len(receiver.got) == 1


async def test_an_address_that_became_private_is_refused_when_sending(scene, sending, receiving):
    async with receiving() as receiver:
        job_id = await cancelled(scene, receiver.url)
        assert await one_round(sending(allow=())) == ["due"]
    assert receiver.got == []
    assert "refused" in rows(scene.api, job_id)[0]["error"]


async def test_one_receiver_has_a_few_at_once_and_keeps_no_other_waiting(scene, sending, receiving):
    async with receiving("hang") as slow, receiving() as quick:
        for _ in range(PER_RECEIVER + 3):
            await cancelled(scene, slow.url)
        await cancelled(scene, quick.url)
        running = asyncio.create_task(sending().run(every_seconds=0.05))
        for _ in range(200):
            if len(quick.got) == 1 and len(slow.got) == PER_RECEIVER:
                break
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        assert (len(quick.got), slow.most) == (1, PER_RECEIVER)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_attempt_of_a_dead_process_is_made_again(scene, sending, receiving):
    async with receiving() as receiver:
        job_id = await cancelled(scene, receiver.url)
        (lost,) = await sending().claim()  # and the process dies
        assert await one_round(sending()) == []
        scene.api.sql(
            "update delivery set claimed_until = now() - interval '1 s' where subject = %s", job_id
        )
        assert await one_round(sending()) == ["delivered"]
        await sending().attempt(lost)  # it was only slow: what it does now changes nothing
    assert {request.headers["webhook-id"] for request in receiver.got} == {lost.id}
    assert [row["state"] for row in rows(scene.api, job_id)] == ["delivered"]


@pytest.mark.parametrize("point", ["delivery.before_send", "delivery.after_send"])
async def test_a_worker_killed_while_sending_loses_nothing(scene, workers, until, point, receiving):
    async with receiving() as receiver:
        job_id = await cancelled(scene, receiver.url)
        killed = await workers.start(fault=f"{point}:kill", name="killed")
        await asyncio.wait_for(killed.wait(), 180)
        assert killed.returncode == -signal.SIGKILL
        assert rows(scene.api, job_id)[0]["state"] == "due"
        scene.api.sql("update delivery set claimed_until = now() where subject = %s", job_id)
        await workers.start(name="next")
        await until(lambda: rows(scene.api, job_id)[0]["state"] == "delivered", 60)
    assert len({request.headers["webhook-id"] for request in receiver.got}) == 1


async def test_a_bad_address_is_refused_before_there_is_a_job(platform_on, dsn, tmp_path, scene):
    del scene
    async with platform_on(dsn, tmp_path / "strict") as strict:
        owner = await strict.organization()
        await strict.project(owner)
        for url in (
            "http://example.org/hook",
            "https://127.0.0.1/hook",
            "https://[::1]/",
            "https://169.254.169.254/latest",
            "https://2130706433/",
            "https://user:pass@example.org/",
            "https://localhost/",
            "file:///etc/passwd",
            "gopher://x/",
            "not a url",
            "https://",
            "https://exa mple.org/",
            "https://" + "a" * 3000 + ".org/",
            "",
        ):
            body = {"operation": "ndvi", "scene_ids": ["it_missing"], "webhook_url": url}
            problem = await strict.refused(422, "astra.process", body, as_=owner)
            assert problem["detail"][0]["loc"] == ["body", "webhook_url"], url


@pytest.mark.parametrize("lost", ["key", "project"])
async def test_who_may_not_see_a_job_any_more_is_not_told_of_it(
    api, scene, sending, receiving, lost
):
    """The messages hold links to what it made, which open without a credential."""
    made = await scene.ok(
        "api_keys.create", {"name": "ci", "permissions": ["processing:process", "items:read"]}
    )
    editor = await api.member(scene.owner, "member")
    member = {"project_id": scene.project, "user_id": editor.user_id}
    await scene.ok("projects.add_member", {**member, "role": "editor"})
    by = made["key"] if lost == "key" else editor.token
    async with receiving() as receiver:
        job_id, earlier = [await submit(scene, receiver.url, token=by) for _ in range(2)]
        await scene.ok("processing.job.delete", {"job_id": earlier})
        assert await one_round(sending()) == ["delivered"]
        if lost == "key":
            await scene.ok("api_keys.revoke", {"key_id": made["id"]})
        else:
            await scene.ok("projects.remove_member", member)
        await scene.ok("processing.job.delete", {"job_id": job_id})
        assert await one_round(sending()) == ["dead"]
        assert len(receiver.got) == 1
        (row,) = rows(api, job_id)
        assert "may not see" in row["error"]


async def test_a_key_that_is_replaced_leaves_its_jobs_their_receivers(
    api, scene, sending, receiving
):
    body = {"name": "ci", "permissions": ["processing:process", "items:read"]}
    made = await scene.ok("api_keys.create", body)
    async with receiving() as receiver:
        job_id = await submit(scene, receiver.url, token=made["key"])
        await scene.ok("api_keys.revoke", {"key_id": made["id"], "keep_set_up": True})
        (kept,) = api.sql("select holder from job_callback where job_id = %s", job_id)
        assert kept["holder"] == str(scene.owner.user_id)  # who made the key, and is asked for now
        await scene.ok("processing.job.delete", {"job_id": job_id})
        assert await one_round(sending()) == ["delivered"]
