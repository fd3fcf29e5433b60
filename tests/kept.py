"""Database sessions that outlive the pool that made them, for the pools of later tests.

Each test has a platform of its own, and each platform its pools. A new session costs more than most
tests do in it: a process of the server, a password, and all of the catalogue that a first statement
reads. A session is taken over as a pool takes one over from a request: idle, in no transaction, and
with nothing left of whoever had it before.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import AsyncConnection, pq
from psycopg.rows import Row, tuple_row

MOST = 8
# not DISCARD ALL: the plans of functions may stay
FORGET = (
    "reset role; reset all; unlisten *; close all; deallocate all; discard temp;"
    " select pg_advisory_unlock_all()"
)
Key = tuple[str, str]

_SESSIONS: dict[Key, list[pq.abc.PGconn]] = {}


class KeptConnection(AsyncConnection[Row]):
    """A connection of a pool; `close` lays its session aside for the next `connect`."""

    _key: Key | None = None

    @classmethod
    async def connect(cls, conninfo: str = "", **options: Any) -> KeptConnection[Any]:
        """Take over a session with the same options, or begin one."""
        key = conninfo, str(options.get("options"))
        kept = _SESSIONS.setdefault(key, [])
        while kept:
            if taken := await cls._take_over(kept.pop(), options):
                break
        else:
            taken = await super().connect(conninfo, **options)
        taken._key = key
        return taken

    @classmethod
    async def _take_over(cls, session: Any, options: dict[str, Any]) -> KeptConnection[Any] | None:
        taken = cls(session, options.get("row_factory", tuple_row))
        taken._autocommit = options.get("autocommit", False)
        try:
            await taken.execute(FORGET)
        except psycopg.Error:  # its server has gone
            session.finish()
            return None
        return taken

    async def close(self) -> None:
        """Lay the session aside where it is idle."""
        session, key = self.pgconn, self._key
        idle = session.transaction_status == pq.TransactionStatus.IDLE
        if key is None or not idle or len(_SESSIONS[key]) >= MOST:
            await super().close()
        elif not self._closed:
            self._closed = True
            _SESSIONS[key].append(session)


def close_all() -> None:
    """End the sessions that are laid aside."""
    for kept in _SESSIONS.values():
        while kept:
            kept.pop().finish()
