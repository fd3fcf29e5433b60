"""Identifiers: a prefix that names the kind, then 22 characters that sort by time."""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]  # two characters a step


def new_id(prefix: str) -> str:
    """`prefix_` + 22 base-32 characters: 48 bits of milliseconds, then 62 random bits.

    The layout is that of a UUIDv7 (RFC 9562) without its fixed version and variant bits.
    """
    number = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 62 | secrets.randbits(62)
    return f"{prefix}_" + "".join([_PAIRS[number >> shift & 1023] for shift in range(100, -1, -10)])
