"""Confirmations of spending: a signed token that says who may run what once, at which price.

Nothing is kept: the token is an HMAC over caller, operation, arguments, price and expiry. What
makes it count once is the idempotency key derived from it, which the ledger's transaction claims.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import struct
import time
from dataclasses import dataclass

from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import BadRequest

LIFETIME = 600
"""Seconds for which a token holds."""

_HEAD = struct.Struct(">16sQq")  # nonce, expiry in Unix time, credits or -1
_SIZE = _HEAD.size + hashlib.sha256().digest_size


@dataclass(frozen=True)
class Confirmed:
    """What a token allows.

    Attributes:
        key: the idempotency key of the one run it stands for.
        credits: the most that run may take; None where no price was named.
    """

    key: str
    credits: int | None


def issue(key: bytes, principal: Principal, fingerprint: bytes, credits: int | None) -> str:
    """A token for one run of the operation and body of `fingerprint` by `principal`."""
    head = _HEAD.pack(
        secrets.token_bytes(16), int(time.time()) + LIFETIME, -1 if credits is None else credits
    )
    return base64.urlsafe_b64encode(head + _sign(key, principal, fingerprint, head)).decode()


def check(key: bytes, principal: Principal, fingerprint: bytes, token: object) -> Confirmed:
    """What the token allows; raises BadRequest unless it was issued for just this and holds."""
    again = "call without confirmation_token for the price and a new one"
    try:
        if not isinstance(token, str):
            raise ValueError
        raw = base64.b64decode(token, altchars=b"-_", validate=True)
        if len(raw) != _SIZE:
            raise ValueError
    except (ValueError, binascii.Error):
        raise BadRequest(f"this is no confirmation_token; {again}") from None
    head, mac = raw[: _HEAD.size], raw[_HEAD.size :]
    if not hmac.compare_digest(mac, _sign(key, principal, fingerprint, head)):
        raise BadRequest(
            f"the confirmation_token was not given to you for this with these arguments; {again}"
        )
    _, expiry, credits = _HEAD.unpack(head)
    if time.time() > expiry:
        raise BadRequest(f"the confirmation_token has expired; {again}")
    return Confirmed(
        "mcp-" + hashlib.sha256(raw).hexdigest(), None if credits < 0 else int(credits)
    )


def _sign(key: bytes, principal: Principal, fingerprint: bytes, head: bytes) -> bytes:
    caller = f"{principal.kind}\n{principal.id}\n{principal.organization_id}\n".encode()
    return hmac.digest(key, head + fingerprint + caller, "sha256")
