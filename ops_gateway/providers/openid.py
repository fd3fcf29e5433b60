"""Another OpenID Connect provider, which says who somebody is: the relying party's half.

Authorization code with PKCE, state and nonce (OpenID Connect Core 1.0 section 3.1), by discovery.
The operator names the provider, so it may lie anywhere; what it sends is bounded in time and size,
and no redirect is followed.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import httpx
import jwt
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from ops_gateway.providers.openid_settings import ProviderSettings, check_url

logger = logging.getLogger(__name__)

SECONDS = 10.0
LARGEST = 256 << 10
REMEMBERED_SECONDS = 3600.0
AGAIN_SECONDS = 60.0  # between two looks for a key that is not known
LEEWAY = 60
SCOPE = "openid email profile"
# signatures of a key pair alone: a text that both know proves nothing of who signed
ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip


EXPECTED = (
    httpx.HTTPError, httpx.InvalidURL, jwt.PyJWTError, ValueError, KeyError, TypeError,
)  # fmt: skip


class ProviderError(Exception):
    """The provider did not say who it is; the message is for the person, the cause for the log."""


@dataclass(frozen=True)
class Begun:
    """A sign-in that has begun; all but `url` stays with the browser that began it."""

    url: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True)
class Somebody:
    """Who came back. The address is theirs only where `verified`."""

    issuer: str
    subject: str
    email: str | None
    verified: bool
    name: str | None


class Capped(httpx.AsyncHTTPTransport):
    """Reads answers whole, up to a size, and none that is compressed."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx has it."""
        request.headers["Accept-Encoding"] = "identity"
        response = await super().handle_async_request(request)
        try:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise httpx.ReadError("the answer is compressed, which was not asked for")
            body = bytearray()
            async for piece in response.stream:  # type: ignore[union-attr]
                body += piece
                if len(body) > LARGEST:
                    raise httpx.ReadError(f"the answer is larger than {LARGEST} bytes")
        finally:
            await response.aclose()
        return httpx.Response(response.status_code, headers=response.headers, content=bytes(body))


class OpenIdProvider:
    """One provider; what discovery says is remembered for an hour."""

    def __init__(self, settings: ProviderSettings) -> None:
        """Nothing is asked before somebody comes. Raises ValueError."""
        settings.check()
        self.settings = settings
        self._known: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, list[dict[str, Any]]] | None = None

    async def begin(self, redirect_uri: str) -> Begun:
        """Where to send the browser. Raises ProviderError."""
        async with self._bounded():
            found = await self._discovery()
        nonce, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        state = secrets.token_urlsafe(32)
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": SCOPE,
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        url = add_params_to_uri(found["authorization_endpoint"], list(asked.items()))
        return Begun(url, state, nonce, verifier)

    async def finish(self, redirect_uri: str, begun: Begun, query: Mapping[str, str]) -> Somebody:
        """Who the provider says that came back with `query`. Raises ProviderError."""
        if not hmac.compare_digest(query.get("state", "").encode(), begun.state.encode()):
            raise ProviderError("This sign-in was begun elsewhere or is too old; try again.")
        if query.get("iss") not in (None, self.settings.issuer):  # RFC 9207
            raise ProviderError("The answer comes from another provider; try again.")
        if query.get("error") == "access_denied":
            raise ProviderError("You did not approve the sign-in.")
        if not (code := query.get("code")):
            raise ProviderError(f"{self.settings.shown} did not sign you in.")
        async with self._bounded():
            found = await self._discovery()
            answer = await self._token(found, redirect_uri, code, begun.verifier)
            claims = await self._claims(found, str(answer.get("id_token", "")))
        if not hmac.compare_digest(str(claims.get("nonce")).encode(), begun.nonce.encode()):
            raise ProviderError("This sign-in was begun elsewhere or is too old; try again.")
        email, name = _text(claims.get("email")), _text(claims.get("name"))
        return Somebody(
            self.settings.issuer,
            claims["sub"],
            email if email is not None and len(email) <= 320 else None,
            claims.get("email_verified") is True,
            name[:200] if name is not None else None,
        )

    # ---------------------------------------------------------------- inside

    def _bounded(self) -> _Bounded:
        return _Bounded(self.settings.shown)

    async def _token(
        self, found: Mapping[str, Any], redirect_uri: str, code: str, verifier: str
    ) -> dict[str, Any]:
        """The token endpoint's answer (RFC 6749 section 4.1.3)."""
        ours, secret = self.settings.client_id, self.settings.client_secret
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
            "client_id": ours,
        }
        auth = httpx.Auth()  # none
        if secret is not None:
            offered = found.get("token_endpoint_auth_methods_supported")
            if not isinstance(offered, list) or "client_secret_basic" in offered:
                auth = httpx.BasicAuth(quote_plus(ours), quote_plus(secret))
            else:
                form["client_secret"] = secret
        async with self._http() as client:
            answer = await client.post(found["token_endpoint"], data=form, auth=auth)
        return _object(answer)

    def _http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=Capped(), timeout=SECONDS, follow_redirects=False, trust_env=False
        )

    async def _get(self, url: str) -> dict[str, Any]:
        async with self._http() as client:
            return _object(await client.get(url))

    async def _discovery(self) -> dict[str, Any]:
        now = time.monotonic()
        if self._known is None or now - self._known[0] > REMEMBERED_SECONDS:
            issuer = self.settings.issuer
            found = await self._get(issuer.rstrip("/") + "/.well-known/openid-configuration")
            if found.get("issuer") != issuer:
                raise ValueError(f"discovery is of the issuer {str(found.get('issuer'))[:200]!r}")
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                check_url(str(found.get(name, "")), name)
            self._known = now, found
        return self._known[1]

    async def _claims(self, found: Mapping[str, Any], token: str) -> dict[str, Any]:
        """The claims of an id token, after all that Core 1.0 section 3.1.3.7 asks but the nonce."""
        header = jwt.get_unverified_header(token)
        algorithm = header.get("alg")
        if algorithm not in ALGORITHMS or "crit" in header:
            raise ValueError(f"the id token is signed by {str(algorithm)[:50]!r}")
        key = await self._key(found, header.get("kid"))
        claims: dict[str, Any] = jwt.decode(
            token,
            jwt.PyJWK(key, algorithm).key,
            algorithms=[algorithm],
            audience=self.settings.client_id,
            issuer=self.settings.issuer,
            leeway=LEEWAY,
            options={"require": ["iss", "aud", "exp", "iat", "sub"]},
        )
        audience = claims["aud"]
        several = isinstance(audience, list) and len(audience) > 1
        if claims.get("azp", None if several else self.settings.client_id) != (
            self.settings.client_id
        ):
            raise ValueError("the id token was given to another client")
        if not _text(claims["sub"]) or len(claims["sub"]) > 255:
            raise ValueError("the id token names nobody")
        return claims

    async def _key(self, found: Mapping[str, Any], kid: Any) -> dict[str, Any]:
        for again in (False, True):
            now = time.monotonic()
            age = REMEMBERED_SECONDS if self._keys is None else now - self._keys[0]
            if age >= (AGAIN_SECONDS if again else REMEMBERED_SECONDS):
                self._keys = now, (await self._get(found["jwks_uri"])).get("keys", [])
            assert self._keys is not None
            keys = [
                key
                for key in self._keys[1]
                if isinstance(key, dict) and key.get("use", "sig") == "sig"
            ]
            fitting = [key for key in keys if kid is None or key.get("kid") == kid]
            if len(fitting) == 1:
                return fitting[0]
        raise ValueError("the id token is signed by a key that the provider does not publish")


def _text(value: Any) -> str | None:
    """A claim that can be kept: JSON may hold half a character, and NUL."""
    if not isinstance(value, str) or "\0" in value:
        return None
    return value if value == value.encode("utf-8", "replace").decode() else None


def _object(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of a 200. Raises ValueError, httpx.HTTPError."""
    found = answer.raise_for_status().json()
    if not isinstance(found, dict):
        raise ValueError("the answer is no JSON object")
    return found


class _Bounded:
    """Bounds the time of an exchange, and says its failures to people in one way."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._timeout = asyncio.timeout(SECONDS)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        words = f"{self._name} cannot be reached or did not sign you in; try again."
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError as late:
            logger.warning("the identity provider takes too long")
            raise ProviderError(words) from late
        if isinstance(error, EXPECTED):
            logger.warning("the identity provider: %s", str(error)[:300])
            raise ProviderError(words) from error
