"""Access, refresh and id tokens: what the token endpoint answers with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt

from ops_gateway.identity.store import REFRESH_SECONDS, Row, Store
from ops_gateway.kernel.authenticate import (
    AUDIENCE,
    SESSION_SECONDS,
    issue_session,
    sign_claims,
)
from ops_gateway.kernel.secrets import Keys


@dataclass(frozen=True)
class Person:
    """Who is signing in, and since when they have been known to be there.

    Attributes:
        sign_in: the family that goes on; a new one is begun where there is none.
        nonce: what a client binds an id token to its request by.
        code: the authorization code that is being exchanged.
    """

    user: Row
    authenticated_at: datetime
    sign_in: str | None = None
    nonce: str | None = None
    code: str | None = None


class Tokens:
    """Makes tokens with the key generation that signs now."""

    def __init__(self, store: Store, keys: Keys, issuer: str) -> None:
        """`issuer`: the `iss` of access tokens."""
        self._store = store
        self._keys = keys
        self._issuer = issuer

    async def of_person(
        self, person: Person, client_id: str, scope: str, refreshes: bool, realm: str
    ) -> dict[str, Any]:
        """The answer of RFC 6749 section 5.1, with an id token where `openid` was asked for.

        Args:
            refreshes: whether the client may refresh; else no refresh token is given.
            realm: the issuer as discovery names it, for the id token.
        """
        store = self._store
        sign_in = person.sign_in or await store.begin_sign_in(
            person.user["id"], client_id, scope, person.authenticated_at
        )
        if person.code is not None:
            await store.note_code_sign_in(person.code, sign_in)
        generation = await store.generation()
        answer = {
            "access_token": issue_session(
                self._keys,
                self._issuer,
                person.user["id"],
                generation=generation,
                sign_in=sign_in,
                azp=client_id,
                scope=scope,
            ),
            "token_type": "Bearer",
            "expires_in": SESSION_SECONDS,
            "scope": scope,
        }
        if refreshes:
            answer["refresh_token"] = await store.add_refresh_token(sign_in)
            answer["refresh_expires_in"] = REFRESH_SECONDS
        if "openid" in scope.split():
            answer["id_token"] = self._id_token(person, client_id, scope, realm, generation)
        return answer

    async def of_key(self, key: Row, client_id: str, scope: str) -> dict[str, Any]:
        """A token that acts as an API key until it expires or the key is revoked."""
        generation = await self._store.generation()
        return {
            "access_token": issue_session(
                self._keys,
                self._issuer,
                key["id"],
                generation=generation,
                azp=client_id,
                key=key["lookup"],
            ),
            "token_type": "Bearer",
            "expires_in": SESSION_SECONDS,
            "scope": scope,
        }

    def claims_of(self, token: str, client_id: str) -> dict[str, Any] | None:
        """What an access token says that was given to a client; None for anything else."""
        try:
            key = self._keys.session_of(str(jwt.get_unverified_header(token).get("kid")))
            if key is None:
                return None
            claims = jwt.decode(
                token,
                key.public,
                algorithms=["EdDSA"],
                audience=AUDIENCE,
                issuer=self._issuer,
                options={"verify_exp": False},
            )
        except jwt.InvalidTokenError:
            return None
        return claims if claims.get("azp") == client_id and "sid" in claims else None

    def _id_token(
        self, person: Person, client_id: str, scope: str, realm: str, generation: int
    ) -> str:
        """OpenID Connect Core 1.0 section 2."""
        claims: dict[str, Any] = {
            "iss": realm,
            "sub": person.user["id"],
            "aud": client_id,
            "auth_time": int(person.authenticated_at.timestamp()),
        }
        if person.nonce is not None:
            claims["nonce"] = person.nonce
        wanted = scope.split()
        if "profile" in wanted and person.user["name"]:
            claims["name"] = person.user["name"]
        if "email" in wanted and person.user["email"]:
            claims["email"] = person.user["email"]
            claims["email_verified"] = bool(person.user.get("verified"))
        return sign_claims(self._keys.session(generation), claims, seconds=SESSION_SECONDS)
