"""Searches that take long: they end, they are told apart, and others are answered meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from stac_api import reader
from stac_api.document import Mount
from stac_api.errors import BadRequest, Unavailable
from stac_api.request import SearchRequest
from stac_api.search import Searcher

SLEEP = "select pg_sleep(60), 'slow one'"
ASLEEP = (
    "select count(*) as n from pg_stat_activity where query like '%slow one%'"
    " and state = 'active' and pid <> pg_backend_pid()"
)


@pytest.fixture
async def four(dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Searcher]:
    """A searcher with four connections, to which everything over a tenth of a second is slow."""
    monkeypatch.setattr(reader, "QUICK_SECONDS", 0.1)
    async with reader.reader_pool(dsn, max_size=4) as pool:
        yield Searcher(pool, b"a key")


async def test_what_takes_too_long_is_told_so(
    four: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "SLOW_SECONDS", 0.3)
    with pytest.raises(BadRequest, match="takes too long"):
        await four.fetch(SLEEP)
    # and its connection is as good as before
    assert await four.fetch("select 1 as one") == [{"one": 1}]
    found = await four.fetch("select current_setting('statement_timeout') as limit")
    assert found == [{"limit": "100ms"}]


async def test_what_is_slow_is_still_answered(four: Searcher) -> None:
    assert await four.fetch("select 1 as one from pg_sleep(0.4)") == [{"one": 1}]


@pytest.mark.slow  # what is quick must be quick on a busy machine too
async def test_slow_searches_leave_connections_to_the_others(
    dsn: str, organization: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "WAIT_SECONDS", 60)
    monkeypatch.setattr(reader, "QUICK_SECONDS", 3)
    async with reader.reader_pool(dsn, max_size=4) as pool:
        await others_are_answered(Searcher(pool, b"a key"), organization())


async def others_are_answered(four: Searcher, mine: Any) -> None:
    await mine.put(mine.row())
    slow = [asyncio.create_task(four.fetch(SLEEP)) for _ in range(4)]
    try:
        # each was given up by its quick connection; one of them has begun again
        async with asyncio.timeout(60):
            while not four._slow.locked() or len(four._slow._waiters or ()) < 3:  # pyright: ignore
                await asyncio.sleep(0.05)
        for _ in range(5):
            page = await four.search(mine.visibility, SearchRequest(), Mount("http://test"))
            assert page.matched == 1
        with psycopg.connect(mine.dsn) as conn:
            assert conn.execute(ASLEEP).fetchone() == (1,)
    finally:
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)


async def test_a_slow_search_that_finds_no_place_is_503(
    four: Searcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "WAIT_SECONDS", 0.2)
    first = asyncio.create_task(four.fetch(SLEEP))
    try:
        async with asyncio.timeout(60):
            while not four._slow.locked():  # pyright: ignore
                await asyncio.sleep(0.05)
        with pytest.raises(Unavailable, match="take long"):
            await four.fetch(SLEEP)
    finally:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
