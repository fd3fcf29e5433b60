"""Tile tokens: a signed grant to read the tiles of one item for a while, put in tile URLs.

Ed25519, so that the process which only checks tokens cannot make any. The text is base64url
without padding and a prefix: nothing in it is re-encoded in a URL.
"""

import base64
import binascii
import time
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PREFIX = "tt_"
LIFETIME_SECONDS = 3600
# tokens made within this time are the same: so are the tile URLs, and what caches hold of them
_STEP_SECONDS = 300
_CONTEXT = b"opstac tile token 1\0"  # the key signs nothing that could be read as another thing
_SIGNATURE_BYTES = 64
_EXPIRY_BYTES = 5
_MAX_CHARACTERS = 1600


class TokenError(ValueError):
    """A tile token that does not open what was asked for; the message says why."""


@dataclass(frozen=True)
class TileGrant:
    """What a valid token grants: reading tiles of `item_id` until `expires_at` (Unix seconds).

    Whoever opens what it grants asks whether `holder` may read still; empty for nobody's.
    """

    item_id: str
    organization_id: str
    expires_at: int
    holder: str = ""


def new_signing_key() -> bytes:
    """A fresh private key, 32 bytes; keep it where only the gateway reads it."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def public_key(signing_key: bytes) -> bytes:
    """The key, 32 bytes, that verifies what `signing_key` signed; all a tiler needs."""
    return Ed25519PrivateKey.from_private_bytes(signing_key).public_key().public_bytes_raw()


def expiry(now: float) -> int:
    """When a token made now for a document's tile URLs ends, Unix seconds: in 55 to 60 minutes."""
    return int(now + LIFETIME_SECONDS) // _STEP_SECONDS * _STEP_SECONDS


def sign_tile_token(
    signing_key: bytes,
    item_id: str,
    *,
    organization_id: str = "",
    expires_at: int | None = None,
    holder: str = "",
) -> str:
    """A token for the tiles of one item.

    Args:
        signing_key: 32 bytes from `new_signing_key`.
        item_id: the item it opens.
        organization_id: the tenant whose item it is, for the look-up behind row-level security.
        expires_at: Unix seconds; an hour from now if not given.
        holder: who it is given to, and ends with.
    """
    if "\0" in item_id + organization_id + holder:
        raise TokenError("an id holds no zero byte")
    if expires_at is None:
        expires_at = int(time.time()) + LIFETIME_SECONDS
    said = "\0".join((item_id, organization_id, *([holder] if holder else [])))
    payload = expires_at.to_bytes(_EXPIRY_BYTES, "big") + said.encode()
    key = Ed25519PrivateKey.from_private_bytes(signing_key)
    signature = key.sign(_CONTEXT + payload)
    return PREFIX + base64.urlsafe_b64encode(payload + signature).rstrip(b"=").decode()


def verify_tile_token(
    verify_key: bytes, token: str, *, item_id: str | None = None, now: float | None = None
) -> TileGrant:
    """What the token grants. Raises: TokenError: forged, expired, or for another item.

    Args:
        verify_key: 32 bytes from `public_key`.
        token: as made by `sign_tile_token`.
        item_id: if given, the item the token must be for.
        now: Unix seconds, for tests.
    """
    payload = _open(verify_key, token)
    expires_at = int.from_bytes(payload[:_EXPIRY_BYTES], "big")
    granted, _, rest = payload[_EXPIRY_BYTES:].decode().partition("\0")
    organization_id, _, holder = rest.partition("\0")
    if expires_at <= (time.time() if now is None else now):
        raise TokenError("the tile token has expired")
    if item_id is not None and granted != item_id:
        raise TokenError("the tile token is for another item")
    return TileGrant(granted, organization_id, expires_at, holder)


def _open(verify_key: bytes, token: str) -> bytes:
    """The signed payload; TokenError unless the signature holds."""
    text = token.removeprefix(PREFIX)
    if text == token or len(token) > _MAX_CHARACTERS:
        raise TokenError("not a tile token")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise TokenError("not a tile token") from None
    # base64 has several spellings of some byte strings; one token has one text
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        raise TokenError("not a tile token")
    payload, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
    if len(payload) <= _EXPIRY_BYTES:
        raise TokenError("not a tile token")
    try:
        Ed25519PublicKey.from_public_bytes(verify_key).verify(signature, _CONTEXT + payload)
    except InvalidSignature:
        raise TokenError("the tile token's signature does not hold") from None
    return payload
