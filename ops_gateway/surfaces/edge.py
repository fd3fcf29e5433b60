"""The outermost layer of every app: request id, caller, one access line, nothing unhandled."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ops_gateway.kernel.authenticate import Authenticator
from ops_gateway.kernel.context import ANONYMOUS
from ops_gateway.kernel.errors import Internal, OpError, problem
from ops_gateway.kernel.failures import translate
from ops_gateway.kernel.ids import new_id
from ops_gateway.surfaces.forwarded import forwarded_address, forwarded_url
from ops_gateway.surfaces.load import Incoming, Load

logger = logging.getLogger("opstac.access")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
# paths that hold what opens them; queries, where keys stand, are not logged at all
_TOKEN = re.compile(r"(/api/v1/renders|/share|/invitations|/reset-password|/confirm-address)/[^/]+")
CLIENT_GONE = 499  # for the log and the figures: there was nobody to answer
EXPOSED = "Retry-After, WWW-Authenticate, X-Request-Id"
_REALM = "/realms/public/protocol/openid-connect/"
# nothing is asked of a credential here: who holds one that has expired comes for another
OPEN_PATHS = (
    "/livez", "/readyz", "/healthz", "/storage/", "/static/", "/problems/",
    f"{_REALM}token", f"{_REALM}auth", f"{_REALM}certs", f"{_REALM}revoke", f"{_REALM}logout",
    "/realms/public/.well-known/",
)  # fmt: skip


def problem_response(
    error: OpError, *, base_url: str = "", instance: str | None = None
) -> Response:
    """`error` as application/problem+json."""
    return Response(
        orjson.dumps(problem(error, base_url=base_url, instance=instance), default=str),
        error.status,
        dict(error.headers),
        "application/problem+json",
    )


def base_url(scope: Scope, public_url: str | None, *, trusted_proxy: bool = False) -> str:
    """The URL clients reach us at: the configured one, else what the request or its proxy says."""
    if public_url:
        return public_url
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    if not re.fullmatch(r"[A-Za-z0-9.\-\[\]:_]{1,255}", host):
        host = "localhost"
    scheme = scope.get("scheme", "http")
    return forwarded_url(headers, scheme, host) if trusted_proxy else f"{scheme}://{host}"


def credential(headers: Mapping[str, str]) -> str | None:
    """Bearer wins; `X-API-Key` is read only where Bearer is absent."""
    authorization = headers.get("authorization", "")
    kind, _, token = authorization.partition(" ")
    if kind.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key") or None


class _Told:
    """What is answered to one request, by its app or in its place."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self._request_id = send, request_id
        self.incoming: Incoming | None = None
        self.status = 500
        self.begun = self.ended = False

    @property
    def refusal(self) -> OpError | None:
        """Why the body was not read to its end."""
        return self.incoming.refusal if self.incoming else None

    async def by_app(self, message: Message) -> None:
        """ASGI; what an app says to a client that it takes for gone is dropped."""
        if self.begun or self.refusal is None:
            await self.send(message)

    async def send(self, message: Message) -> None:
        """ASGI."""
        if message["type"] == "http.response.start":
            self.begun = True
            self.status = message["status"]
            MutableHeaders(scope=message)["X-Request-Id"] = self._request_id
        elif message["type"] == "http.response.body":
            self.ended = not message.get("more_body", False)
        await self._send(message)


class Edge:
    """Wraps an ASGI app; puts `principal`, `request_id` and `base_url` into the scope."""

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        *,
        public_url: str | None = None,
        trusted_proxy: bool = False,
        observe: Callable[[str, int, float], None] = lambda method, status, seconds: None,
        any_origin: Sequence[str] = (),
        challenges: Mapping[str, Callable[[str], str]] | None = None,
        load: Load | None = None,
    ) -> None:
        """`public_url`: the base of every link, where a proxy stands in front; `trusted_proxy`:
        else that proxy's headers say it; `observe` is told of each request: method, status and
        seconds. Pages of any origin may read what is refused here below the paths of
        `any_origin`; what is answered there says so itself. `challenges`: the `WWW-Authenticate`
        of paths that have one of their own, from the base URL. `load`: what requests may hold.
        """
        self._load = load or Load()
        self._challenges = dict(challenges or {})
        self._any_origin = tuple(any_origin)
        self._observe = observe
        self._trusted_proxy = trusted_proxy
        self.app = app
        self.authenticator = authenticator
        self.public_url = public_url.rstrip("/") if public_url else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else new_id("req")
        scope["request_id"] = request_id
        self._believe_proxy(scope, headers)
        scope["base_url"] = base_url(scope, self.public_url, trusted_proxy=self._trusted_proxy)
        told = _Told(send, request_id)

        async def refuse(error: OpError) -> None:
            response = problem_response(error, base_url=scope["base_url"], instance=request_id)
            response.headers.update(self._shared(scope["path"]))
            response.headers.update(self._challenge(error, scope))
            await response(scope, receive, told.send)

        try:
            scope["principal"] = ANONYMOUS
            await self._run(scope, receive, told)
        except OpError as error:
            if told.begun:
                raise
            await refuse(told.refusal or error)
        except Exception as error:
            refusal = told.refusal or translate(error)
            if isinstance(refusal, Internal):
                logger.exception("unhandled", extra={"request_id": request_id})
            if not told.begun:
                await refuse(refusal)
            elif not told.ended:  # the connection must break, or half an answer would look whole
                raise
        finally:
            principal: Any = scope.get("principal", ANONYMOUS)
            seconds = time.perf_counter() - started
            self._observe(scope["method"], told.status, seconds)
            logger.info(
                "request",
                extra={
                    "request_id": request_id,
                    "method": scope["method"],
                    "path": _TOKEN.sub(r"\1/…", scope["path"]),
                    "status": told.status,
                    "duration_ms": round(seconds * 1000, 2),
                    "organization": principal.organization_id,
                    "principal": principal.kind,
                },
            )

    async def _run(self, scope: Scope, receive: Receive, told: _Told) -> None:
        with self._load.request(scope, receive) as told.incoming:
            token = credential(Headers(scope=scope))
            if token is not None and not scope["path"].startswith(OPEN_PATHS):
                scope["principal"] = await self.authenticator.authenticate(token)
            await self.app(scope, told.incoming.receive, told.by_app)
        if not told.begun:
            if told.refusal:
                raise told.refusal
            told.status = CLIENT_GONE

    def _believe_proxy(self, scope: Scope, headers: Headers) -> None:
        """Put the address of the client, which the proxy tells, where that of the proxy is."""
        if self._trusted_proxy and (address := forwarded_address(headers)):
            scope["client"] = (address, 0)

    def _challenge(self, error: OpError, scope: Scope) -> dict[str, str]:
        """How to be let in, where the path has its own way to say so."""
        challenge = self._challenges.get(scope["path"]) if error.status == 401 else None
        return {"WWW-Authenticate": challenge(scope["base_url"])} if challenge else {}

    def _shared(self, path: str) -> dict[str, str]:
        """CORS headers of a refusal at this path."""
        if any(path == one or path.startswith(f"{one}/") for one in self._any_origin):
            return {
                "Access-Control-Allow-Origin": "*",
                "Access-Control-Expose-Headers": EXPOSED,
            }
        return {}
