"""Worker processes that are killed, hung, stopped and cancelled: one set of outputs, one ending."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

# each starts real worker processes and waits for leases to run out
pytestmark = pytest.mark.slow

ENDED = ("completed", "failed", "cancelled")


def wait_until(condition: Callable[[], Any], seconds: float = 90) -> Any:
    """The first true value of `condition`; fails after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"still not true after {seconds} s")


def ended(platform, job_id: str) -> dict:
    return wait_until(lambda: (s := platform.state(job_id))["status"] in ENDED and s)


def test_a_job_runs_and_its_progress_is_written(platform, start) -> None:
    start()
    job = platform.job(platform.organization(), input_params={"seconds": 2})
    wait_until(lambda: platform.state(job)["progress"] > 0)
    state = ended(platform, job)
    assert state["status"] == "completed"
    assert state["output_item_ids"] == [f"jobs/{job}/1/{key}.bin" for key in ("data", "thumbnail")]
    assert state["worker"] == "w1"
    registered = platform.sql("select active from registered_worker where name = 'w1'")
    assert {row["active"] for row in registered} == {True}


def test_a_process_of_the_catalogue_runs_in_its_child(platform, start) -> None:
    start()
    org = platform.organization()
    fine = platform.job(org, job_type_id="echo", input_params={"message": "hi", "pause": 1})
    wrong = platform.job(org, job_type_id="echo", input_params={"pause": "soon"})
    wait_until(lambda: 0 < platform.state(fine)["progress"] < 100)
    assert ended(platform, fine)["output_item_ids"] == ["hi"]
    state = ended(platform, wrong)
    assert (state["status"], state["error_code"]) == ("failed", "invalid_inputs")


def test_cancelling_kills_the_child(platform, start) -> None:
    start()
    job = platform.job(
        platform.organization(), job_type_id="echo", input_params={"message": 1, "pause": 600}
    )
    wait_until(lambda: platform.state(job)["progress"] > 0)
    platform.sql("update job set cancel_requested = true where id = %s", job)
    assert ended(platform, job)["status"] == "cancelled"


@pytest.mark.parametrize(
    "point",
    [
        "worker.before_start",
        "worker.after_epoch",
        "worker.mid_compute",
        "worker.mid_upload",
        "register.inside",
        "worker.after_commit",
    ],
)
def test_a_worker_killed_anywhere_leaves_one_set_of_outputs(platform, start, point) -> None:
    job = platform.job(platform.organization())
    doomed = start("w1", fault=f"{point}:kill")
    assert doomed.ended() == -signal.SIGKILL
    start("w2")
    state = ended(platform, job)
    assert state["status"] == "completed"
    (settlement,) = platform.settlements(job)
    assert len(settlement["outputs"]) == 2
    assert settlement["epoch"] == state["epoch"]
    wait_until(lambda: not platform.sql("select 1 from procrastinate_jobs where status = 'todo'"))


def test_a_restarted_worker_takes_up_its_own_jobs_without_waiting_for_the_lease(
    platform, start
) -> None:
    job = platform.job(platform.organization())
    doomed = start("w1", fault="worker.mid_compute:kill")
    doomed.ended()
    platform.sql("update job set lease_until = now() + interval '1 hour' where id = %s", job)
    start("w1")
    assert ended(platform, job)["status"] == "completed"


def test_a_worker_that_hung_past_its_lease_stops_itself(platform, start) -> None:
    job = platform.job(platform.organization(), input_params={"seconds": 4})
    paused = start("w1")
    wait_until(lambda: platform.state(job)["status"] == "running")
    paused.signal(signal.SIGSTOP)
    start("w2")
    wait_until(lambda: platform.state(job)["epoch"] == 2)
    paused.signal(signal.SIGCONT)
    assert paused.ended() == 75
    state = ended(platform, job)
    (settlement,) = platform.settlements(job)
    assert (settlement["ending"], settlement["epoch"], state["epoch"]) == ("completed", 2, 2)


def test_a_job_that_kills_its_worker_three_times_is_given_up(platform, start) -> None:
    job = platform.job(platform.organization())
    for _ in range(3):
        assert start("w1", fault="worker.mid_compute:kill").ended() == -signal.SIGKILL
        # no waiting for the lease, and none for the pause that grows with the attempts
        platform.sql("update job set lease_until = now(), attempts = 1 where id = %s", job)
    start("w2")
    state = ended(platform, job)
    assert (state["status"], state["error_code"]) == ("failed", "attempts_exhausted")
    assert len(platform.settlements(job)) == 1


@pytest.mark.parametrize(
    ("wish", "code"),
    [({"fails": "domain"}, "no_overlap"), ({"fails": "bug"}, "internal_error")],
)
def test_a_job_that_cannot_succeed_fails_once_with_its_reason(platform, start, wish, code) -> None:
    start()
    job = platform.job(platform.organization(), input_params=wish)
    state = ended(platform, job)
    assert (state["status"], state["error_code"], state["attempts"]) == ("failed", code, 1)


def test_an_error_that_passes_is_tried_again(platform, start) -> None:
    start()
    job = platform.job(platform.organization(), input_params={"fails": "once"})
    state = ended(platform, job)
    assert (state["status"], state["attempts"]) == ("completed", 2)


def test_after_five_attempts_a_full_disk_fails_the_job(platform, start) -> None:
    job = platform.job(platform.organization(), input_params={"fails": "disk"}, attempts=4)
    start()
    state = ended(platform, job)
    assert (state["status"], state["error_code"]) == ("failed", "attempts_exhausted")


def test_cancelling_a_running_job_stops_its_work(platform, start) -> None:
    start()
    job = platform.job(platform.organization(), input_params={"fails": "hang"})
    wait_until(lambda: platform.state(job)["status"] == "running")
    platform.sql("update job set cancel_requested = true where id = %s", job)
    assert ended(platform, job)["status"] == "cancelled"
    after = platform.job(platform.organization())
    assert ended(platform, after)["status"] == "completed"


def test_a_job_ended_from_outside_is_left_alone(platform, start) -> None:
    process = start()
    job = platform.job(platform.organization(), input_params={"fails": "hang"})
    wait_until(lambda: platform.state(job)["status"] == "running")
    platform.sql("update job set status = 'cancelled', completed_at = now() where id = %s", job)
    after = platform.job(platform.organization())
    assert ended(platform, after)["status"] == "completed"
    assert process.popen.poll() is None
    assert platform.settlements(job) == []


def test_a_job_cancelled_before_its_upload_does_not_stop_the_worker(platform, start) -> None:
    process = start()
    # shorter than a heartbeat, so that the upload is what finds out
    job = platform.job(platform.organization(), input_params={"seconds": 0.2})
    wait_until(lambda: platform.state(job)["status"] == "running")
    platform.sql("update job set status = 'cancelled', completed_at = now() where id = %s", job)
    after = platform.job(platform.organization())
    assert ended(platform, after)["status"] == "completed"
    assert process.popen.poll() is None
    assert platform.settlements(job) == []


def test_sigterm_finishes_short_jobs_and_puts_long_ones_back(platform, start) -> None:
    short = platform.job(platform.organization(), input_params={"seconds": 1})
    long = platform.job(platform.organization(), input_params={"fails": "hang"})
    process = start()
    wait_until(lambda: platform.state(long)["status"] == "running")
    wait_until(lambda: platform.state(short)["status"] in ("running", "completed"))
    process.signal(signal.SIGTERM)
    assert process.ended() == 0
    assert platform.state(short)["status"] == "completed"
    state = platform.state(long)
    assert (state["status"], state["attempts"], state["kills"]) == ("dispatched", 0, 0)
    assert platform.sql("select 1 from procrastinate_jobs where task_name = 'wake'")
    assert not platform.sql("select 1 from registered_worker where name = 'w1'")


def test_a_lost_database_connection_stops_no_job(platform, start) -> None:
    process = start()
    job = platform.job(platform.organization(), input_params={"seconds": 3})
    wait_until(lambda: platform.state(job)["status"] == "running")
    platform.cut_connections()
    state = ended(platform, job)
    assert (state["status"], state["epoch"]) == ("completed", 1)
    assert process.popen.poll() is None
    after = platform.job(platform.organization())
    assert ended(platform, after)["status"] == "completed"


def test_forty_jobs_of_four_organizations_by_two_workers_with_kills(platform, start) -> None:
    orgs = [platform.organization() for _ in range(4)]
    jobs = [platform.job(org, input_params={"seconds": 0.3}) for org in orgs for _ in range(10)]
    victims = [start("w1"), start("w2")]
    for turn in range(4):
        done = 8 * (turn + 1)
        wait_until(
            lambda done=done: (
                platform.sql(
                    "select count(*) as n from job where status = 'completed' and id = any(%s)",
                    jobs,
                )[0]["n"]
                >= done
            ),
            60,
        )
        victims[turn % 2].signal(signal.SIGKILL)
        victims[turn % 2].ended()
        victims[turn % 2] = start(f"w{turn % 2 + 1}")
    for job in jobs:
        state = ended(platform, job)
        assert state["status"] == "completed"
        assert len(platform.settlements(job)) == 1
