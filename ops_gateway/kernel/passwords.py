"""Passwords of share links: argon2id (RFC 9106), computed in a thread, few at a time."""

from __future__ import annotations

import asyncio
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# 19 MiB and two passes: what OWASP's password storage cheat sheet asks for at least
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 << 10, parallelism=1)
# each takes a core and its memory for as long as it lasts
_TURNS = threading.BoundedSemaphore(4)


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


def _hash(password: str) -> str:
    with _TURNS:
        return _HASHER.hash(_bytes(password))


def _verify(kept: str, password: str) -> bool:
    with _TURNS:
        try:
            return _HASHER.verify(kept, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False


async def hash_password(password: str) -> str:
    """What to keep of a password, with its parameters and salt."""
    return await asyncio.to_thread(_hash, password)


async def is_password(kept: str, password: str) -> bool:
    """Whether `password` is the one that `hash_password` gave `kept` for."""
    return await asyncio.to_thread(_verify, kept, password)
