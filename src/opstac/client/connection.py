"""Where the platform is, what goes with a request, and how an answer is read."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from opstac import __version__
from opstac.client.bounded import ACCEPTED
from opstac.client.errors import OperationError
from opstac.client.retry import Policy, retry_after
from opstac.client.values import decode, is_token

LOCAL = "http://127.0.0.1:8080"
PORTS = {"http": 80, "https": 443}
CONNECT_SECONDS = 15
# a server that takes the last byte of a large file writes for a while before it answers
SENDING = httpx.Timeout(60, read=600, connect=CONNECT_SECONDS)
Source = Callable[[str | None], str | None]
"""Gives the token to send with a request, and another one where it is told of one that was
refused; None where there is none (any more)."""
CREDENTIAL = "Authorization"
ASKED_FOR = "Bearer"
"""In a request's headers: the source is asked for the credential when it is sent."""
SECRETS = frozenset({"sig", "key", "token", "access_token"})
"""Names of query parameters that are credentials."""


class Unreachable(httpx.TransportError):
    """The server does not answer, or the connection was cut. Holds nothing of the request."""


@dataclass(frozen=True)
class Connection:
    """Where and as whom.

    Attributes:
        base_url: of the platform, without a slash at its end.
        token: the credential, or what gives it; sent to that origin and to no other.
        policy: of repeating calls.
    """

    base_url: str
    token: str | Source | None = field(repr=False)
    policy: Policy = field(default_factory=Policy)

    @classmethod
    def to(cls, base_url: str | None, token: str | Source | None, retries: int) -> Connection:
        """A checked one.

        Raises:
            ValueError: the address or the token cannot be one; says so without showing it.
        """
        address = base_url or os.environ.get("GEOPERA_API_URL") or LOCAL
        hide_queries_in_logs()
        known = token if callable(token) else checked_token(token)
        return cls(checked_url(address), known, Policy(retries))

    @property
    def origin(self) -> tuple[str, str, int | None]:
        """(scheme, host, port) of the platform."""
        return origin_of(httpx.URL(self.base_url))

    def url(self, path: str) -> str:
        """The address of a path of the platform; what is an address already is only checked."""
        if path.startswith("/"):
            return self.base_url + path
        there = parsed(path)
        if there.scheme not in PORTS or not there.host:
            raise ValueError("give a path that begins with '/', or an http(s) address")
        return path

    def headers(self, url: str, **more: str) -> dict[str, str]:
        """Headers for a request; the credential is among them at the platform's own origin only."""
        made = self.headers_without_credential(**more)
        if self.token and origin_of(httpx.URL(url)) == self.origin:
            made[CREDENTIAL] = ASKED_FOR if callable(self.token) else f"Bearer {self.token}"
        return made

    def source(self, headers: Mapping[str, str]) -> Source | None:
        """What gives the credential of a request with these headers, where it is not in them."""
        return self.token if callable(self.token) and CREDENTIAL in headers else None

    def headers_without_credential(self, **more: str) -> dict[str, str]:
        """Headers for an address that carries its own right."""
        return {"User-Agent": f"opstac-python/{__version__}", **more}

    def check_signed(self, url: str) -> str:
        """A signed URL that the server gave, which bytes will be sent to.

        Raises:
            OperationError: it is no http(s) address, or is not encrypted where the platform is.
        """
        there = parsed(url)
        wanted = ("https",) if self.base_url.startswith("https:") else ("http", "https")
        if there.scheme not in wanted or not there.host or there.userinfo:
            detail = f"the server names no {' or '.join(wanted)} address to send the file to"
            raise OperationError("upload", {"title": "Bad Answer", "status": 502, "detail": detail})
        return url


def settings(timeout_seconds: float) -> dict[str, Any]:
    """How httpx is to behave: it follows no redirect, and keeps no cookie, which would be sent to
    other ports of the same host.
    """
    return {
        "timeout": httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
        "verify": certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")),
        "headers": {"Accept-Encoding": ACCEPTED},
        "follow_redirects": False,
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    }


@cache
def certificates(file: str | None, folder: str | None) -> ssl.SSLContext:
    """Whose certificates hold, by what the environment says; reading them takes as long as some
    calls, so that all clients of a process share them.
    """
    return httpx.create_ssl_context()


def patience(seconds: float | None) -> Any:
    """The timeout of a request; None is the client's own."""
    if seconds is None:
        return httpx.USE_CLIENT_DEFAULT
    return httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))


def checked_url(address: str) -> str:
    """The platform's address without its last slash."""
    url = parsed(address.strip())
    if url.scheme not in PORTS or not url.host:
        raise ValueError("base_url must be an http or https address, as http://127.0.0.1:8080")
    if url.userinfo or url.query or url.fragment:
        raise ValueError("base_url has no user, query or fragment; the credential is the token")
    return str(url).rstrip("/")


def signed(headers: Mapping[str, str], token: str | None) -> dict[str, str]:
    """The headers with the credential that a source gave, or without one."""
    made = {name: value for name, value in headers.items() if name != CREDENTIAL}
    if token := checked_token(token):
        made[CREDENTIAL] = f"Bearer {token}"
    return made


def checked_token(token: str | None) -> str | None:
    """The token without the blanks around it, such as the line's end of the file it was in."""
    token = token.strip() if token else None
    if token and not is_token(token):
        raise ValueError("the token holds characters that no token has")
    return token or None


def parsed(address: Any) -> httpx.URL:
    """An address; an empty one where it is none."""
    try:
        return httpx.URL(address)
    except (httpx.InvalidURL, ValueError, TypeError):
        return httpx.URL()


def origin_of(url: httpx.URL) -> tuple[str, str, int | None]:
    """What a credential is bound to."""
    return url.scheme, url.host, url.port or PORTS.get(url.scheme)


def read(name: str, response: httpx.Response) -> Any:
    """The answer: JSON as Python values, anything else as bytes.

    Raises:
        OperationError: the server refused, or sent something else than it said.
    """
    if response.is_success:
        if not is_json(response) or not response.content:
            return response.content
        try:
            return decode(response.content)
        except ValueError as error:
            detail = f"the answer is not the {media_type(response)} that it is said to be: {error}"
            problem = {"title": "Bad Answer", "status": response.status_code, "detail": detail}
            raise OperationError(name, problem) from None
    raise refusal(name, response)


def is_json(response: httpx.Response) -> bool:
    """Whether it is one JSON document, as application/geo+json is, and no lines of JSON."""
    kind = media_type(response)
    return kind == "application/json" or kind.endswith("+json")


def refusal(name: str, response: httpx.Response) -> OperationError:
    """What the server said against it."""
    status = response.status_code
    problem: dict[str, Any] = {"title": response.reason_phrase or "Error", "status": status}
    if response.has_redirect_location:
        # followed nowhere: the credential is for the address that was given
        place = _place(response.headers.get("location", ""))
        problem["detail"] = f"the server redirects to {place}; is that the base_url?"
    else:
        problem["detail"] = response.text[:200]
    try:
        told = decode(response.content) if is_json(response) else None
    except ValueError:
        told = None
    if isinstance(told, dict):
        problem = {**problem, **told}
    wait = retry_after(response.headers)
    return OperationError(name, problem, status=status, retry_after=wait)


def media_type(response: httpx.Response) -> str:
    """The answer's media type without its parameters."""
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _place(location: str) -> str:
    """Scheme and host of a redirect; its path and query may hold secrets."""
    url = parsed(location)
    if not url.host:
        return "another path of its own"
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"[:200]


class _HideQueries(logging.Filter):
    """httpx logs whole addresses, and a signed one is a credential."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                part.copy_with(query=b"hidden")
                if isinstance(part, httpx.URL) and SECRETS & set(part.params.keys())
                else part
                for part in record.args
            )
        return True


def hide_queries_in_logs() -> None:
    """Make httpx's log show no signed URL as a whole."""
    logger = logging.getLogger("httpx")
    if not any(isinstance(one, _HideQueries) for one in logger.filters):
        logger.addFilter(_HideQueries())


def told(error: httpx.RequestError) -> Unreachable:
    """The error without the request, which holds the credential."""
    words = "no answer in time" if isinstance(error, httpx.TimeoutException) else ""
    return Unreachable(str(error) or words or type(error).__name__)


def log_retry(name: str, why: str, wait: float, tries: int, policy: Policy) -> None:
    """A line for who listens to the logger `opstac.client`."""
    logging.getLogger("opstac.client").info(
        "%s: %s; again in %.1f s (%d of %d)", name, why, wait, tries, policy.retries
    )


def is_lost(error: httpx.TransportError) -> bool:
    """True where the connection failed, and not our patience or the request itself."""
    return isinstance(
        error,
        httpx.NetworkError | httpx.RemoteProtocolError | httpx.ConnectTimeout | httpx.ProxyError,
    )
