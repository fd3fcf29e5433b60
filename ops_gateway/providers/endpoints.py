"""Destinations that a customer chose: checked once, and connected to as they were checked.

The name is resolved once; every address must be public; the connection goes to a checked address
and to no other, with the name kept for TLS and Host. So a name that resolves to something else a
moment later leads nowhere.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpcore
import httpx

from ops_gateway.providers.addresses import (
    Address,
    Allowance,
    is_allowed,
    is_public,
    parse_address,
)

PORTS = (443, 8443)
CONNECT_SECONDS = 5.0
MAX_URL = 2048

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""`await resolve(host, port)` gives every address of the name."""


class EndpointRefused(ValueError):
    """The platform does not send there; the message says why, without naming addresses."""


@dataclass(frozen=True)
class Endpoint:
    """A checked destination: the URL, and the addresses that were found good."""

    url: httpx.URL
    port: int
    addresses: tuple[Address, ...]


async def resolve(host: str, port: int) -> list[str]:
    """The system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Guard:
    """Says whether the platform would talk to a URL, and at which addresses."""

    def __init__(
        self,
        *,
        allow: Sequence[Allowance] = (),
        resolver: Resolver = resolve,
        connect_seconds: float = CONNECT_SECONDS,
    ) -> None:
        """`allow`: networks and ports the operator trusts; plain http may go there."""
        self._allow = tuple(allow)
        self._resolver = resolver
        self._connect_seconds = connect_seconds

    async def check(self, url: str) -> Endpoint:
        """The endpoint, if the platform would talk to it now; asked before each connection.

        Raises: EndpointRefused.
        """
        parsed, port = self.parse(url)
        addresses = await self._resolve(parsed.host, port)
        trusted = [is_allowed(address, port, self._allow) for address in addresses]
        if not all(
            ok or is_public(address) for ok, address in zip(trusted, addresses, strict=True)
        ):
            raise EndpointRefused("the address is not on the public internet")
        if not all(trusted):
            if parsed.scheme != "https":
                raise EndpointRefused("the address must begin with https://")
            if port not in PORTS:
                raise EndpointRefused(f"the port must be one of {', '.join(map(str, PORTS))}")
        return Endpoint(parsed, port, tuple(addresses))

    def parse(self, url: str) -> tuple[httpx.URL, int]:
        """(the URL, its port), before any name is resolved. Raises: EndpointRefused."""
        if len(url) > MAX_URL:
            raise EndpointRefused(f"the address is longer than {MAX_URL} characters")
        if re.search(r"[\x00-\x20\x7f\\]", url):
            raise EndpointRefused("the address holds spaces, control characters or backslashes")
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, UnicodeError, ValueError):
            raise EndpointRefused("the address is not a URL") from None
        if parsed.scheme not in ("https", "http") or not parsed.host:
            raise EndpointRefused("the address must begin with https://")
        if parsed.userinfo:
            raise EndpointRefused("the address must not hold a user name or password")
        return parsed, parsed.port or (443 if parsed.scheme == "https" else 80)

    async def _resolve(self, host: str, port: int) -> list[Address]:
        try:
            async with asyncio.timeout(self._connect_seconds):
                found = await self._resolver(host, port)
            addresses = [parse_address(text) for text in dict.fromkeys(found)]
        except (OSError, UnicodeError, ValueError):
            raise EndpointRefused("the host name cannot be resolved") from None
        if not addresses:
            raise EndpointRefused("the host name has no address")
        return addresses


class Pinned(httpcore.AsyncNetworkBackend):
    """A network that leads to the given addresses, whatever name is asked for."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses
        # httpcore types it as absent where anyio is; here it is installed
        self._network: Any = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first of the addresses that answers."""
        failure: Exception = httpcore.ConnectError("no address")
        for address in self._addresses:
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Never."""
        raise httpcore.ConnectError("no sockets of this machine")

    async def sleep(self, seconds: float) -> None:
        """As any network does."""
        await self._network.sleep(seconds)


class PinnedThread(httpcore.NetworkBackend):
    """The same for a thread that waits."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._addresses = addresses
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of the addresses that answers."""
        failure: Exception = httpcore.ConnectError("no address")
        for address in self._addresses:
            try:
                return self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Never."""
        raise httpcore.ConnectError("no sockets of this machine")


@cache
def public_authorities() -> ssl.SSLContext:
    """The usual certificate authorities, whatever SSL_CERT_FILE and its like say."""
    return httpx.create_ssl_context(trust_env=False)
