"""OAuth 2.0 and OpenID Connect over HTTP, below /realms/public.

Errors of its endpoints are those of RFC 6749 section 5.2, as every OAuth client reads them, and not
problem+json; `userinfo` alone refuses as operations do.
"""

from __future__ import annotations

import base64
from typing import Any

import jwt
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ops_gateway.identity import forms
from ops_gateway.identity.clients import CODE, CREDENTIALS, DEVICE, PASSWORD, REFRESH, SCOPES
from ops_gateway.identity.server import FormRequest, Reply, Server
from ops_gateway.kernel.authenticate import Authenticator
from ops_gateway.kernel.context import ANONYMOUS, Principal
from ops_gateway.kernel.errors import OpError, RateLimited, Unauthenticated
from ops_gateway.kernel.secrets import Keys
from ops_gateway.surfaces.json_body import read_body
from ops_gateway.surfaces.limits import RateLimiter, client_address

REALM = "/realms/public"
AT = f"{REALM}/protocol/openid-connect"
CLAIMS = (
    "sub",
    "iss",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "name",
    "email",
    "email_verified",
)
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def routes(
    server: Server, authenticator: Authenticator, keys: Keys, limiter: RateLimiter
) -> list[BaseRoute]:
    """The realm's endpoints but the authorization page."""
    realm = Realm(server, authenticator, keys, limiter)
    return [
        Route(f"{REALM}/.well-known/openid-configuration", realm.discovery, methods=["GET"]),
        Route(f"{AT}/certs", realm.certs, methods=["GET"]),
        Route(f"{AT}/token", realm.token, methods=["POST"]),
        Route(f"{AT}/auth/device", realm.device, methods=["POST"]),
        Route(f"{AT}/revoke", realm.revoke, methods=["POST"]),
        Route(f"{AT}/logout", realm.logout, methods=["POST"]),
        Route(f"{AT}/introspect", realm.introspect, methods=["POST"]),
        Route(f"{AT}/userinfo", realm.userinfo, methods=["GET", "POST"]),
    ]


class Realm:
    """The endpoints."""

    def __init__(
        self, server: Server, authenticator: Authenticator, keys: Keys, limiter: RateLimiter
    ) -> None:
        self._server = server
        self._authenticator = authenticator
        self._keys = keys
        self._limiter = limiter

    async def discovery(self, request: Request) -> Response:
        """OpenID Connect Discovery 1.0."""
        self._count(request)
        base = request.scope["base_url"]
        at = base + AT
        return _json(
            200,
            {
                "issuer": base + REALM,
                "authorization_endpoint": f"{at}/auth",
                "token_endpoint": f"{at}/token",
                "device_authorization_endpoint": f"{at}/auth/device",
                "userinfo_endpoint": f"{at}/userinfo",
                "introspection_endpoint": f"{at}/introspect",
                "revocation_endpoint": f"{at}/revoke",
                "end_session_endpoint": f"{at}/logout",
                "jwks_uri": f"{at}/certs",
                "scopes_supported": list(SCOPES),
                "response_types_supported": ["code"],
                "response_modes_supported": ["query"],
                "grant_types_supported": [CODE, DEVICE, REFRESH, PASSWORD, CREDENTIALS],
                "code_challenge_methods_supported": ["S256"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["EdDSA"],
                "token_endpoint_auth_methods_supported": [
                    "none",
                    "client_secret_basic",
                    "client_secret_post",
                ],
                "claims_supported": list(CLAIMS),
            },
            {"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"},
        )

    async def certs(self, request: Request) -> Response:
        """RFC 7517: the keys that tokens are signed with, and the next one."""
        self._count(request)
        keys = self._keys.public(await self._server.store.generation()).sessions
        found = [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "use": "sig",
                "alg": "EdDSA",
                "kid": key.kid,
                "x": base64.urlsafe_b64encode(key.public_bytes()).rstrip(b"=").decode(),
            }
            for key in keys
        ]
        headers = {"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}
        return _json(200, {"keys": found}, headers)

    async def token(self, request: Request) -> Response:
        """RFC 6749 section 3.2. Passwords are counted by address."""

        async def give(form: FormRequest) -> Reply:
            if form.form.get("grant_type") == PASSWORD:
                self._limiter.count_password(form.address)
            return await self._server.token(form)

        return await self._form(request, give)

    async def device(self, request: Request) -> Response:
        """RFC 8628 section 3.1. Counted by address: each call keeps something for ten minutes."""

        async def begin(form: FormRequest) -> Reply:
            self._limiter.count_public(form.address)
            return await self._server.device(form, request.scope["base_url"] + "/device")

        return await self._form(request, begin)

    async def revoke(self, request: Request) -> Response:
        """RFC 7009."""
        return await self._form(request, self._server.revoke)

    async def logout(self, request: Request) -> Response:
        """End a sign-in by its refresh token."""
        return await self._form(request, self._server.end)

    async def introspect(self, request: Request) -> Response:
        """RFC 7662: what a token is, for whoever it concerns: its own user or organization."""

        async def look(form: FormRequest) -> Reply:
            caller = request.scope["principal"]
            if caller is ANONYMOUS and (secret := form.form.get("client_secret")):
                caller = await self._known(secret) or ANONYMOUS
            if caller is ANONYMOUS:
                return Reply(401, {"error": "invalid_client"}, {"WWW-Authenticate": "Bearer"})
            return Reply(200, await self._introspected(form.form.get("token", ""), caller), {})

        return await self._form(request, look)

    async def userinfo(self, request: Request) -> Response:
        """OpenID Connect Core 1.0 section 5.3, for keys too."""
        principal: Principal = request.scope["principal"]
        self._count(request)
        if principal.kind == "anonymous":
            raise Unauthenticated
        found: dict[str, Any] = {
            "sub": principal.user_id or principal.id,
            "geopera_principal_type": principal.kind,
            "geopera_principal_id": principal.id,
            "geopera_org_id": principal.organization_id,
            "scope": " ".join(sorted(principal.scopes)),
        }
        if principal.email:
            found |= {"email": principal.email, "preferred_username": principal.email}
        if principal.name:
            found["name"] = principal.name
        return _json(200, found, NO_STORE)

    def _count(self, request: Request) -> None:
        """What is not answered as OAuth has it; raises RateLimited."""
        scope = request.scope
        self._limiter.count_read(scope["principal"], client_address(scope))

    async def _known(self, token: str) -> Principal | None:
        try:
            return await self._authenticator.authenticate(token)
        except OpError:
            return None

    async def _introspected(self, token: str, caller: Principal) -> dict[str, Any]:
        found = await self._known(token)
        if found is None:
            return await self._refreshing(token, caller)
        mine = caller.kind == "service" or (
            found.organization_id == caller.organization_id
            if caller.organization_id is not None
            else found.id == caller.id
        )
        if not mine:
            return {"active": False}
        answer: dict[str, Any] = {
            "active": True,
            "sub": found.user_id or found.id,
            "scope": " ".join(sorted(found.scopes)),
            "token_type": "Bearer",
            "geopera_principal_type": found.kind,
            "geopera_org_id": found.organization_id,
        }
        if found.email:
            answer["username"] = found.email
        if token.count(".") == 2:
            claims = jwt.decode(token, options={"verify_signature": False})  # it was, just now
            answer |= {n: claims[n] for n in ("iss", "aud", "exp", "iat", "nbf") if n in claims}
            if "azp" in claims:
                answer["client_id"] = claims["azp"]
        return answer

    async def _refreshing(self, token: str, caller: Principal) -> dict[str, Any]:
        row = await self._server.store.refresh_token(token)
        if row is None or row["used"] or row["expired"] or row["ended"]:
            return {"active": False}
        if row["user_id"] != caller.user_id:
            return {"active": False}
        return {
            "active": True,
            "sub": row["user_id"],
            "scope": row["scope"],
            "client_id": row["client_id"],
            "token_type": "refresh_token",
        }

    async def _form(self, request: Request, answer: Any) -> Response:
        """Read a form and answer it; counted by address."""
        address = client_address(request.scope)
        try:
            self._limiter.count_token(address)
        except RateLimited as error:
            return _slowed(error)
        body = await read_body(request, forms.LARGEST)
        try:
            fields = forms.parse(body, request.headers.get("content-type", ""))
        except forms.BadForm as error:
            words = {"error": "invalid_request", "error_description": str(error)}
            return _json(400, words, NO_STORE)
        form = FormRequest(
            fields,
            # Authlib looks for this name only
            {"Authorization": request.headers.get("authorization", "")},
            address=address,
            realm=request.scope["base_url"] + REALM,
        )
        try:
            return oauth_response(await answer(form))
        except RateLimited as error:
            return _slowed(error)


def _slowed(error: RateLimited) -> Response:
    words = {"error": "temporarily_unavailable", "error_description": error.detail}
    return _json(429, words, {**NO_STORE, **error.headers})


def oauth_response(reply: Reply) -> Response:
    """A reply of the server as a response; tokens are never stored by what is on the way."""
    if reply.status == 204:
        return Response(status_code=204, headers=NO_STORE)
    body = dict(reply.body) if isinstance(reply.body, list) else reply.body
    return _json(reply.status, body or {}, {**NO_STORE, **reply.headers})


def _json(status: int, body: Any, headers: dict[str, str]) -> Response:
    kept = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    return Response(orjson.dumps(body), status, kept, "application/json")
