"""Passwords of people and of share links: Argon2id, with what RFC 9106 recommends second.

A hash takes 64 MiB and a tenth of a second: a lever for whoever wants a server down. So two are
worked on at once, some others wait a little, holding no thread, and the rest is refused at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio.lowlevel import RunVar
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ops_gateway.kernel.errors import Unavailable

T = TypeVar("T")
AT_ONCE = 2
WAIT_SECONDS = 5.0
MOST_WAITING = 50

_HASHER = PasswordHasher()
_TURNS: RunVar[anyio.CapacityLimiter] = RunVar("password_turns")
# of a password nobody has: where none is kept, it takes as long
_NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$SqGno2FI6H7sWmD6pqAGSw$"
    "K55LpbMHkidqbuTrFtWMlX3KdHCrx7hUF4vDLEj4Ils"
)


class Busy(Unavailable):
    """Too many passwords are being looked at."""

    def __init__(self) -> None:
        """Try again shortly."""
        super().__init__("many passwords are being checked just now; try again in a few seconds")


def hashed(password: str) -> str:
    """What to keep of a password, with its parameters and salt; blocks."""
    return _HASHER.hash(_bytes(password))


async def hash_password(password: str) -> str:
    """What to keep of a password, with its parameters and salt. Raises Busy."""
    return await _in_turn(lambda: hashed(password))


async def is_password(kept: str | None, password: str) -> bool:
    """Whether `password` is the kept one; as slow where none is kept. Raises Busy."""
    return await _in_turn(lambda: _matches(kept, password))


def outdated(kept: str) -> bool:
    """Whether a hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(kept)


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


def _matches(kept: str | None, password: str) -> bool:
    try:
        return _HASHER.verify(kept or _NOBODY, _bytes(password)) and kept is not None
    except (VerificationError, InvalidHashError):
        return False


async def _in_turn(work: Callable[[], T]) -> T:
    try:
        turns = _TURNS.get()
    except LookupError:
        turns = anyio.CapacityLimiter(AT_ONCE)
        _TURNS.set(turns)
    if turns.statistics().tasks_waiting >= MOST_WAITING:
        raise Busy
    try:
        with anyio.fail_after(WAIT_SECONDS):
            await turns.acquire()
    except TimeoutError:
        raise Busy from None
    try:
        return await anyio.to_thread.run_sync(work)
    finally:
        turns.release()
