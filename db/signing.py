"""URLs that carry their own right: one method, one object, until a time, up to a size.

The query holds only characters that no client, proxy or browser encodes differently.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Action = Literal["get", "put"]

_VERSION = "opstac-storage-1"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_LABEL = re.compile(r"[A-Za-z0-9_-]{0,2048}")


class BadSignature(Exception):
    """The URL was not signed by us, was signed for something else, or was altered."""


class Expired(BadSignature):
    """The URL was right and its time is over."""


@dataclass(frozen=True)
class Grant:
    """What a signed URL allows.

    Attributes:
        action: `get` allows GET and HEAD, `put` allows PUT and HEAD (which tells the offset).
        path: the object.
        expires_at: seconds since 1970; the URL holds before it.
        max_bytes: with `put`, how large the object may become.
        file_name: with `get`, the name a browser saves it under; a label, never a path.
        media_type: with `get`, what it is served as.
        payer: with `get`, who the bytes are counted for as they are sent.
        holder: who it was given to, in words of whoever signs; it ends with them.
    """

    action: Action
    path: str
    expires_at: int
    max_bytes: int | None = None
    file_name: str | None = None
    media_type: str | None = None
    payer: str | None = None
    holder: str | None = None


def sign(grant: Grant, key: bytes) -> str:
    """The query string, without `?`, that proves `grant`."""
    parts = [f"exp={grant.expires_at}"]
    if grant.max_bytes is not None:
        parts.append(f"max={grant.max_bytes}")
    if grant.file_name is not None:
        parts.append(f"name={_encode(grant.file_name)}")
    if grant.media_type is not None:
        parts.append(f"type={_encode(grant.media_type)}")
    if grant.payer is not None:
        parts.append(f"payer={_encode(grant.payer)}")
    if grant.holder is not None:
        parts.append(f"for={_encode(grant.holder)}")
    parts.append(f"sig={_signature(grant, key)}")
    return "&".join(parts)


def verify(
    path: str,
    query: Sequence[tuple[str, str]],
    keys: Sequence[bytes],
    *,
    now: float | None = None,
) -> Grant:
    """The grant that `query` proves for the object `path`.

    Args:
        query: names and values as the client sent them, decoded; names we do not know are let be.
        keys: any of them may have signed, so that a key can be replaced.
        now: seconds since 1970; else the clock.

    Raises:
        BadSignature: nothing is proved; `Expired` where it was until a moment ago.
    """
    grant, signature = _read(path, query)
    # every key is tried, so that the time taken does not tell which one was right
    matches = [hmac.compare_digest(_signature(grant, key), signature) for key in keys]
    if not any(matches):
        raise BadSignature("the signature of this URL does not match")
    if grant.expires_at <= (time.time() if now is None else now):
        raise Expired("this URL has expired; ask for a new one")
    return grant


def _read(path: str, query: Sequence[tuple[str, str]]) -> tuple[Grant, str]:
    given: dict[str, str] = {}
    for name, value in query:
        if name in given:
            raise BadSignature(f"the parameter {name} stands twice")
        given[name] = value
    signature = given.get("sig", "")
    if not _SIGNATURE.fullmatch(signature):
        raise BadSignature("this URL is not signed")
    expires_at = _number(given, "exp")
    if expires_at is None:
        raise BadSignature("this URL has no expiry")
    max_bytes = _number(given, "max")
    return (
        Grant(
            "get" if max_bytes is None else "put",
            path,
            expires_at,
            max_bytes,
            _decode(given.get("name")),
            _decode(given.get("type")),
            _decode(given.get("payer")),
            _decode(given.get("for")),
        ),
        signature,
    )


def _number(given: Mapping[str, str], name: str) -> int | None:
    value = given.get(name)
    if value is None:
        return None
    if not _NUMBER.fullmatch(value):
        raise BadSignature(f"the parameter {name} is not a number")
    return int(value)


def _signature(grant: Grant, key: bytes) -> str:
    # one key an action: who may only sign downloads cannot sign an upload
    own = hmac.digest(key, f"{_VERSION} {grant.action}".encode(), hashlib.sha256)
    message = "\n".join(
        [
            _VERSION,
            grant.action,
            grant.path,
            str(grant.expires_at),
            "-" if grant.max_bytes is None else str(grant.max_bytes),
            "-" if grant.file_name is None else "=" + _encode(grant.file_name),
            "-" if grant.media_type is None else "=" + _encode(grant.media_type),
            *(() if grant.payer is None else ("=" + _encode(grant.payer),)),
            # named, so that none can be taken for the payer
            *(() if grant.holder is None else ("for=" + _encode(grant.holder),)),
        ]
    )
    return hmac.new(own, message.encode(), hashlib.sha256).hexdigest()


def _encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).rstrip(b"=").decode()


def _decode(text: str | None) -> str | None:
    if text is None:
        return None
    if not _LABEL.fullmatch(text):
        raise BadSignature("a label of this URL is not readable")
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise BadSignature("a label of this URL is not readable") from None
