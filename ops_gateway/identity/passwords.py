"""Passwords: Argon2id with the parameters of RFC 9106's second recommendation, a few at a time.

A hash takes 64 MiB and a tenth of a second: a lever for whoever wants a server down. So two are
worked on at once, others wait a little and are then refused.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 10
LONGEST = 256
AT_ONCE = 2
WAIT_SECONDS = 5.0

_HASHER = PasswordHasher()
_TURNS = threading.BoundedSemaphore(AT_ONCE)
# of a password nobody has: an unknown account takes as long as a known one
_NOBODY = (
    "$argon2id$v=19$m=65536,t=3,p=4$SqGno2FI6H7sWmD6pqAGSw$"
    "K55LpbMHkidqbuTrFtWMlX3KdHCrx7hUF4vDLEj4Ils"
)


class Busy(Exception):
    """Too many passwords are being looked at; try again shortly."""


@contextmanager
def _turn() -> Iterator[None]:
    if not _TURNS.acquire(timeout=WAIT_SECONDS):
        raise Busy
    try:
        yield
    finally:
        _TURNS.release()


def fault(password: str, *, email: str | None = None) -> str | None:
    """What is wrong with a new password, in words; None for a good one (NIST SP 800-63B)."""
    if len(password) < SHORTEST:
        return f"the password must have at least {SHORTEST} characters"
    if len(password) > LONGEST:
        return f"the password must have at most {LONGEST} characters"
    plain = password.casefold()
    if len(set(plain)) < 4 or plain in ("1234567890", "0123456789", "passwordpassword"):
        return "the password is too easy to guess"
    if email and plain in (email.casefold(), email.casefold().partition("@")[0]):
        return "the password must not be the e-mail address"
    return None


def hashed(password: str) -> str:
    """The encoded hash to keep; blocks for a tenth of a second. Raises Busy."""
    with _turn():
        return _HASHER.hash(password)


def matches(kept: str | None, password: str) -> bool:
    """Whether a password is the kept one; as slow where none is kept. Raises Busy."""
    if len(password) > LONGEST:
        return False
    with _turn():
        try:
            return _HASHER.verify(kept or _NOBODY, password) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


def outdated(kept: str) -> bool:
    """Whether a hash was made with weaker parameters than today's."""
    return _HASHER.check_needs_rehash(kept)
