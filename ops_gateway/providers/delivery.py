"""The one way the platform sends HTTP to an address that a customer chose.

The name is resolved once; every address must be public; the connection goes to a checked address
and to no other, with the name kept for TLS and Host. No redirects, no proxies, no credentials of
ours, a bounded time and a bounded answer.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpcore

from ops_gateway.providers.addresses import Allowance
from ops_gateway.providers.endpoints import (
    CONNECT_SECONDS,
    Endpoint,
    EndpointRefused,
    Guard,
    Pinned,
    Resolver,
    public_authorities,
    resolve,
)

logger = logging.getLogger(__name__)

TOTAL_SECONDS = 15.0
MAX_RESPONSE = 64 << 10
EXCERPT = 200
MAX_RETRY_AFTER = 3600

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]{0,1000}")
_OURS = re.compile(
    r"host|content-.*|x-geopera-.*|webhook-.*|connection|keep-alive|proxy-.*|te|trailer"
    r"|transfer-encoding|upgrade|expect|accept-encoding|user-agent"
)


@dataclass(frozen=True)
class DeliveryResult:
    """What became of one attempt.

    Attributes:
        status: of the response; None where there was none.
        error: why there was none, or why it does not count; for the endpoint's owner to read.
        body_excerpt: the beginning of the response.
        retry_after: seconds that a 429 or 503 asked to wait, at most an hour.
        final: no other attempt would do better.
    """

    status: int | None = None
    error: str | None = None
    body_excerpt: str = ""
    retry_after: int | None = None
    final: bool = False

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it."""
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """The guarded sender. Holds no connection between two calls."""

    def __init__(
        self,
        *,
        allow: Sequence[Allowance] = (),
        resolver: Resolver = resolve,
        ssl_context: ssl.SSLContext | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        """A sender.

        Args:
            allow: networks and ports the operator trusts; plain http may go there.
            resolver: for tests.
            ssl_context: for tests; else the usual public authorities, never from the environment.
        """
        self._guard = Guard(allow=allow, resolver=resolver, connect_seconds=connect_seconds)
        self._ssl_context = ssl_context
        self._connect_seconds = connect_seconds
        self._total_seconds = total_seconds
        if allow:
            logger.warning("webhooks may go to private addresses", extra={"allowances": len(allow)})

    async def check_endpoint(self, url: str) -> Endpoint:
        """The endpoint, if the platform would send there now; called at creation and at each send.

        Raises: EndpointRefused.
        """
        return await self._guard.check(url)

    async def send(
        self,
        url: str,
        body: bytes,
        *,
        event_type: str,
        event_id: str,
        delivery_id: str,
        secrets: Sequence[str],
        headers: Mapping[str, str] | None = None,
    ) -> DeliveryResult:
        """POST a signed event once. Never raises for what the receiver or the network does.

        Args:
            body: JSON, sent and signed byte for byte.
            event_id: the same at every attempt; the receiver's key against duplicates.
            delivery_id: of this attempt.
            secrets: `whsec_…`, newest first; two during a rotation.
            headers: the customer's own; see `check_headers`.
        """
        own = sign(body, secrets, event_type=event_type, event_id=event_id, delivery_id=delivery_id)
        return await self.post(url, body, headers={**(headers or {}), **own})

    async def post(
        self, url: str, body: bytes, *, headers: Mapping[str, str] | None = None
    ) -> DeliveryResult:
        """POST `body` once, unsigned, with the same guard."""
        try:
            async with asyncio.timeout(self._total_seconds):
                endpoint = await self.check_endpoint(url)
                return await self._post(endpoint, body, headers or {})
        except EndpointRefused as error:
            return DeliveryResult(error=f"refused: {error}")
        except (TimeoutError, httpcore.TimeoutException):
            return DeliveryResult(error="the receiver took too long")
        except ssl.SSLError:
            return DeliveryResult(error="the TLS connection failed")
        except httpcore.ConnectError as error:
            tls = isinstance(error.__cause__, ssl.SSLError) or "SSL" in str(error)
            return DeliveryResult(error=f"the {'TLS ' if tls else ''}connection failed")
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError):
            return DeliveryResult(error="the connection broke, or the answer was not HTTP")

    async def _post(
        self, endpoint: Endpoint, body: bytes, headers: Mapping[str, str]
    ) -> DeliveryResult:
        url = endpoint.url
        sent = [
            (b"Host", url.netloc),
            (b"User-Agent", b"opstac-webhook/1"),
            (b"Accept-Encoding", b"identity"),
            (b"Content-Type", b"application/json"),
            (b"Content-Length", str(len(body)).encode()),
            *((name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()),
        ]
        timeout = {"connect": self._connect_seconds, "read": None, "write": None, "pool": None}
        async with httpcore.AsyncConnectionPool(
            ssl_context=self._ssl_context or public_authorities(),
            network_backend=Pinned(endpoint.addresses),
            max_connections=1,
            http1=True,
            http2=False,
        ) as pool:
            target = httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=endpoint.port, target=url.raw_path
            )
            async with pool.stream(
                "POST", target, headers=sent, content=body, extensions={"timeout": timeout}
            ) as response:
                answer = await _beginning(response)
        return _result(response, answer)


async def _beginning(response: httpcore.Response) -> bytes:
    """At most `MAX_RESPONSE` bytes of the answer; the rest is never read."""
    answer = bytearray()
    assert not isinstance(response.stream, bytes)
    async for chunk in response.aiter_stream():
        answer += chunk
        if len(answer) >= MAX_RESPONSE:
            break
    return bytes(answer[:MAX_RESPONSE])


def _result(response: httpcore.Response, answer: bytes) -> DeliveryResult:
    text = answer[: 4 * EXCERPT].decode("utf-8", "replace")
    excerpt = "".join(c if c.isprintable() else " " for c in text)[:EXCERPT]
    status = response.status
    error = None
    if 300 <= status < 400:
        error = "redirects are not followed"
    elif not 200 <= status < 300:
        error = f"the receiver answered {status}"
    retry_after = None
    if status in (429, 503):
        for name, value in response.headers:
            if name.lower() == b"retry-after":
                retry_after = read_retry_after(value.decode("latin-1"))
    return DeliveryResult(status, error, excerpt, retry_after)


def read_retry_after(value: str, now: datetime | None = None) -> int | None:
    """Seconds to wait, from either form of Retry-After, at most an hour; None where unreadable."""
    value = value.strip()
    if re.fullmatch(r"[0-9]{1,9}", value):
        return min(int(value), MAX_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    seconds = (at - (now or datetime.now(UTC))).total_seconds()
    return min(max(0, int(seconds)), MAX_RETRY_AFTER)


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise EndpointRefused unless a customer may have these sent along.

    Not what is ours to say (host, content, signature), nor what steers the connection.
    """
    if len(headers) > 20:
        raise EndpointRefused("at most 20 headers")
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise EndpointRefused(f"{name[:50]!r} is no header name")
        if _OURS.fullmatch(name.lower()):
            raise EndpointRefused(f"header {name} is not yours to set")
        if not _VALUE.fullmatch(value):
            raise EndpointRefused(f"header {name} holds control characters or is too long")


def sign(
    body: bytes,
    secrets: Sequence[str],
    *,
    event_type: str,
    event_id: str,
    delivery_id: str,
    at: int | None = None,
) -> dict[str, str]:
    """Both sets of signature headers.

    `X-Geopera-Signature` is keyed with the whole text of the newest secret. The Standard Webhooks
    set is keyed with the bytes behind `whsec_`, once for each secret, and covers id and time: a
    receiver that wants protection against replays checks that one.
    """
    at = int(time.time()) if at is None else at
    stamped = f"{event_id}.{at}.".encode() + body
    signatures = [
        "v1," + base64.b64encode(hmac.digest(_key(secret), stamped, hashlib.sha256)).decode()
        for secret in secrets
    ]
    whole = hmac.new(secrets[0].encode(), body, hashlib.sha256).hexdigest()
    return {
        "X-Geopera-Signature": f"sha256={whole}",
        "X-Geopera-Event": event_type,
        "X-Geopera-Event-ID": event_id,
        "X-Geopera-Delivery-ID": delivery_id,
        "webhook-id": event_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(signatures),
    }


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix("whsec_"))
