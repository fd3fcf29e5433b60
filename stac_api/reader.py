"""Reading from the database for searches: one read-only statement at a time, as role `opstac_stac`.

Few slow statements run at once, so that there is always a connection for the quick ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from db.pool import Pool, make_pool
from db.queries import queries
from stac_api.errors import BadRequest, Unavailable

sql = queries(__file__)

ROLE = "opstac_stac"
SETTINGS = {
    # without these each new search would write a row, which a replica refuses
    "pgstac.readonly": "true",
    "pgstac.context": "off",
    "default_transaction_read_only": "on",
}
# a statement that takes longer than the first is slow, and is given up after the second
QUICK_SECONDS = 3
SLOW_SECONDS = 30
WAIT_SECONDS = 5
TOO_MUCH = "OP006"  # what our own functions raise for a search that would take too long


def reader_pool(dsn: str, *, min_size: int = 1, max_size: int = 10) -> Pool:
    """A closed pool for `Searcher`: role `opstac_stac`, read-only."""
    settings = SETTINGS | {"statement_timeout": str(int(QUICK_SECONDS * 1000))}
    return make_pool(dsn, ROLE, min_size=min_size, max_size=max_size, **settings)


class Reader:
    """Runs statements from one pool."""

    def __init__(self, pool: Pool) -> None:
        """`pool` is a `reader_pool`."""
        self.pool = pool
        self._slow = asyncio.Semaphore(max(1, pool.max_size // 4))

    async def fetch(
        self, query: Any, seconds: float | None = None, /, **parameters: Any
    ) -> list[dict[str, Any]]:
        """All rows of one read-only statement; the database's complaints as refusals.

        What does not end soon begins again among the slow ones, of which few run at once: so
        there is always a connection for the quick ones.

        `seconds`: how long it may take, where that is less than others may.
        """
        limit = SLOW_SECONDS if seconds is None else seconds
        try:
            try:
                # the connections' own limit, unless this one's is lower
                return await self._rows(query, parameters, limit if limit < QUICK_SECONDS else None)
            except psycopg.errors.QueryCanceled:
                if limit <= QUICK_SECONDS:
                    raise
            async with self._a_slow_one():
                return await self._rows(query, parameters, limit)
        except psycopg.errors.QueryCanceled:
            raise BadRequest("the search takes too long; narrow it") from None
        except MEANINGLESS as error:
            raise BadRequest(_reason(error)) from None
        except psycopg.OperationalError as error:
            raise Unavailable("the database does not answer") from error
        except psycopg.DatabaseError as error:
            if error.sqlstate != TOO_MUCH:
                raise
            raise BadRequest(str(error.diag.message_primary)) from None

    async def _rows(
        self, query: Any, parameters: Mapping[str, Any], seconds: float | None
    ) -> list[dict[str, Any]]:
        async with self.pool.connection() as conn:
            if seconds is None:
                return await (await conn.execute(query, parameters)).fetchall()
            # sent at once, so that the limit costs no wait of its own
            async with conn.pipeline(), conn.transaction():
                milliseconds = str(int(seconds * 1000))
                await conn.execute(sql.no_longer_than, {"milliseconds": milliseconds})
                cursor = await conn.execute(query, parameters)
                return await cursor.fetchall()

    @asynccontextmanager
    async def _a_slow_one(self) -> AsyncIterator[None]:
        """A place among the slow searches; raises Unavailable where none becomes free."""
        try:
            await asyncio.wait_for(self._slow.acquire(), WAIT_SECONDS)
        except TimeoutError:
            raise Unavailable("too many searches that take long; narrow this one") from None
        try:
            yield
        finally:
            self._slow.release()


# a filter can ask for what types or values do not allow; the request is at fault, not the server
MEANINGLESS = (
    psycopg.DataError,
    psycopg.errors.RaiseException,
    psycopg.errors.InternalError_,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.DatatypeMismatch,
    psycopg.errors.CannotCoerce,
    psycopg.errors.SyntaxError,
    psycopg.errors.ProgramLimitExceeded,
)


def _reason(error: psycopg.Error) -> str:
    if isinstance(error, psycopg.errors.RaiseException):
        # pgstac's own words about the filter; they name what the client sent, nothing of ours
        return f"the search has no meaning: {(error.diag.message_primary or '')[:200]}"
    return "the search has no meaning: an operator does not fit the values it is given"
