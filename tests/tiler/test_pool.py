"""The pool under overload, with callers that go away and work that takes too long."""

import asyncio
import threading
import time

import pytest

from tiler import work
from tiler.errors import Busy
from tiler.gone import StopWhenGone
from tiler.pool import TilePool
from tiler.source import FAR, AssetSource


@pytest.fixture
def pool():
    pool = TilePool(1, queued=100)
    yield pool
    pool.close()


async def settled(pool):
    """Waits until nothing runs or waits in the pool."""
    while pool.pending:
        await asyncio.sleep(0.001)


async def test_what_waits_is_dropped_when_its_caller_goes(pool):
    gate, drawn = threading.Event(), []
    running = asyncio.create_task(pool.run(gate.wait, 30))
    waiting = [asyncio.create_task(pool.run(drawn.append, number)) for number in range(20)]
    await asyncio.sleep(0)
    for task in waiting[:19]:
        task.cancel()
    await asyncio.gather(*waiting[:19], return_exceptions=True)
    assert pool.pending == 2  # at once, although nothing has run
    gate.set()
    await asyncio.gather(running, waiting[19])
    assert drawn == [19]


async def test_what_runs_ends_at_its_next_read_when_its_caller_goes(pool):
    begun, reads = threading.Event(), []

    def many_reads():
        begun.set()
        while True:
            work.checkpoint()
            reads.append(1)
            time.sleep(0.001)

    task = asyncio.create_task(pool.run(many_reads))
    await asyncio.to_thread(begun.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(30):
        await settled(pool)
        assert await pool.run(lambda: 3) == 3


async def test_a_deadline_ends_the_work_and_not_only_the_waiting():
    pool = TilePool(1, timeout_seconds=0.05)

    def endless():
        while True:
            work.checkpoint()
            time.sleep(0.001)

    with pytest.raises(Busy):
        await pool.run(endless)
    async with asyncio.timeout(30):
        await settled(pool)
        assert await pool.run(lambda: 3) == 3
    pool.close()


async def test_a_queue_that_would_take_too_long_is_not_joined():
    pool = TilePool(1, queued=1000, max_wait_seconds=0.2)
    for _ in range(20):  # it learns that a call takes about 20 ms
        await pool.run(time.sleep, 0.02)
    gate = threading.Event()
    running = asyncio.create_task(pool.run(gate.wait, 30))
    await asyncio.sleep(0)
    joined = [asyncio.create_task(pool.run(lambda: None)) for _ in range(200)]
    await asyncio.sleep(0)
    refused = [task for task in joined if task.done()]
    assert 0 < len(refused) < 200
    error = refused[0].exception()
    assert isinstance(error, Busy) and int(error.headers["Retry-After"]) >= 1
    gate.set()
    await asyncio.gather(running, *joined, return_exceptions=True)
    pool.close()


async def test_slow_hosts_do_not_keep_local_files_from_being_drawn():
    pool = TilePool(1, queued=0, far_workers=2)
    far = AssetSource(path=FAR + "a/b", version="1")
    gate = threading.Event()
    held = [asyncio.create_task(pool.run(lambda source: gate.wait(30), far)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await pool.run(lambda source: None, far)
    assert await pool.run(lambda: 3) == 3
    gate.set()
    await asyncio.gather(*held)
    pool.close()


async def test_a_disconnect_cancels_the_handler():
    begun, ended, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(scope, receive, send):
        assert (await receive())["type"] == "http.request"
        begun.set()
        try:
            await asyncio.sleep(600)
        finally:
            ended.set()

    coming = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive():
        if not coming:
            await gone.wait()
            return {"type": "http.disconnect"}
        return coming.pop()

    async def send(message):
        raise AssertionError("there is nobody to answer")

    async with asyncio.timeout(30):
        request = asyncio.create_task(StopWhenGone(slow)({"type": "http"}, receive, send))
        await begun.wait()
        gone.set()
        await request  # ends without an error of its own
        assert ended.is_set()


async def test_a_cancellation_from_elsewhere_is_not_swallowed():
    async def slow(scope, receive, send):
        await asyncio.sleep(600)

    async def receive():
        await asyncio.sleep(600)

    request = asyncio.create_task(StopWhenGone(slow)({"type": "http"}, receive, None))
    await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_neither_a_tile_nor_a_description_waits_for_what_takes_long():
    """Whatever fills one lane, the others go on."""
    pool = TilePool(2, queued=100)
    gate = threading.Event()

    def held():
        gate.wait(30)

    quick, slow = work.lane("quick"), work.lane("slow")
    tiles = [asyncio.create_task(pool.run(held)) for _ in range(20)]
    heavy = [asyncio.create_task(pool.run(slow(lambda: gate.wait(30)))) for _ in range(20)]
    async with asyncio.timeout(20):
        assert await pool.run(quick(lambda: "described")) == "described"
        for task in tiles:
            task.cancel()
        gate.set()
        await asyncio.gather(*tiles, *heavy, return_exceptions=True)
        gate.clear()
        heavy = [asyncio.create_task(pool.run(slow(lambda: gate.wait(30)))) for _ in range(20)]
        await asyncio.sleep(0)
        assert await pool.run(lambda: "drawn") == "drawn"
        # and what is handed a function goes where that one does
        assert work.lane_of(lambda f: f, (slow(lambda: 0),)) == "slow"
    gate.set()
    await asyncio.gather(*heavy)
    pool.close()
