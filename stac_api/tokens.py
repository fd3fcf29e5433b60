"""Paging tokens: opaque, signed, good only for the organization and the query they came from."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any

import orjson

from stac_api.errors import BadRequest

_MAC_BYTES = 16


def seal(key: bytes, binding: bytes, content: dict[str, Any]) -> str:
    """`content` as a URL-safe token, valid only together with `binding`."""
    payload = orjson.dumps(content)
    return base64.urlsafe_b64encode(_mac(key, binding, payload) + payload).decode().rstrip("=")


def open_token(key: bytes, binding: bytes, token: str) -> dict[str, Any]:
    """The content of a token this server gave out for the same `binding`.

    Raises:
        BadRequest: anything else.
    """
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    mac, payload = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not payload or not hmac.compare_digest(mac, _mac(key, binding, payload)):
        raise BadRequest("token is not one that this server gave out for this query")
    return orjson.loads(payload)


def _mac(key: bytes, binding: bytes, payload: bytes) -> bytes:
    message = len(binding).to_bytes(4, "big") + binding + payload
    return hmac.new(key, b"stac-token" + message, hashlib.sha256).digest()[:_MAC_BYTES]
