"""Idempotency keys: what a key may look like, and what makes two calls the same call."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from ops_gateway.kernel.errors import BadRequest, KeyReused, OpError
from ops_gateway.kernel.operation import Operation


def check_key(key: str) -> None:
    """Raise BadRequest unless `key` is 1 to 255 visible ASCII characters."""
    if not 1 <= len(key) <= 255 or any(not 0x21 <= ord(c) <= 0x7E for c in key):
        raise BadRequest("Idempotency-Key must be 1 to 255 visible ASCII characters")


def fingerprint_of(op: Operation, raw: Any) -> bytes:
    """SHA-256 over the operation's id and the canonical JSON of the body as it was parsed."""
    canonical = orjson.dumps(raw if raw is not None else {}, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256((op.alias_of or op.id).encode() + b"\n" + canonical).digest()


def key_reused() -> OpError:
    """The 409 of a key that came again with another body."""
    return KeyReused("this Idempotency-Key was used with another body; use a new key")
