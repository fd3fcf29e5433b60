"""The OAuth 2.0 authorization server: Authlib's, over our store.

It takes a form and answers with status, JSON and headers; HTTP itself is `surfaces/oidc.py`.
"""

# Authlib's hooks are typed for what its own frameworks give them
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

import base64
import functools
import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidClientError, InvalidRequestError
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7636 import CodeChallenge

from ops_gateway.identity import grants
from ops_gateway.identity.clients import (
    CREDENTIALS,
    DEFAULT_CLIENT,
    DEVICE,
    KEY_CLIENT,
    PASSWORD,
    REFRESH,
    Client,
    KeyClient,
    known,
)
from ops_gateway.identity.later import Later
from ops_gateway.identity.store import DEVICE_SECONDS, INTERVAL_SECONDS, Store
from ops_gateway.identity.tokens import Person, Tokens
from ops_gateway.kernel.passwords import Busy

# Authlib tells its log of tokens and user names at DEBUG
logging.getLogger("authlib").setLevel(logging.INFO)

# what RFC 6749 lets stand in an error's text, and so in what is repeated there
_PLAIN = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
_FREE = ("username", "password", "client_secret")
_CHALLENGE = re.compile(r"[A-Za-z0-9\-._~]{43}")
LONGEST_VALUE = 4096
THREADS = 8
WAIT_SECONDS = 2.0


@dataclass(frozen=True)
class Reply:
    """What an endpoint answers."""

    status: int
    body: Any
    headers: dict[str, str]


BUSY = Reply(
    503,
    {"error": "temporarily_unavailable", "error_description": "try again shortly"},
    {"Retry-After": "2"},
)


class FormRequest(OAuth2Request):
    """A form as Authlib reads it; `address` and `realm` are ours."""

    def __init__(
        self, form: Mapping[str, str], headers: Mapping[str, str], *, address: str, realm: str
    ) -> None:
        # Authlib wants https of each URL; who is in front of us is the operator's business
        super().__init__("POST", "https://realm.invalid/", headers=dict(headers))
        self._form = dict(form)
        self.payload: Any = BasicOAuth2Payload(self._form)
        self.address = address
        self.realm = realm

    @property
    def form(self) -> dict[str, str]:
        """The fields."""
        return self._form

    @property
    def args(self) -> dict[str, str]:
        """The fields again: a query is read as a form is."""
        return self._form


class Server(AuthorizationServer):
    """One for a process; each request goes through it in a thread of its own."""

    def __init__(
        self,
        store: Store,
        tokens: Tokens,
        later: Later,
        *,
        registered: Mapping[str, Client] | None = None,
    ) -> None:
        """`registered`: the clients of the operator, beside the known ones."""
        super().__init__()
        self.store = store
        self.tokens = tokens
        self.later = later
        self.registered = dict(registered or {})
        # those who wait for a password's turn hold none of the others' threads
        self._turns = anyio.CapacityLimiter(THREADS)
        self._password_turns = anyio.CapacityLimiter(THREADS)
        self._threads = anyio.CapacityLimiter(math.inf)
        for grant in (grants.RefreshGrant, grants.PasswordGrant, grants.KeyGrant):
            self.register_grant(grant)
        self.register_grant(grants.DeviceGrant)
        self.register_grant(grants.CodeGrant, [CodeChallenge(required=True)])

    # ---------------------------------------------------------------- endpoints

    async def token(self, request: FormRequest) -> Reply:
        """RFC 6749 section 3.2."""
        self._default_client(request)
        return await self._in_thread(self.create_token_response, request)

    async def revoke(self, request: FormRequest) -> Reply:
        """RFC 7009: end the sign-in a token belongs to. An unknown token is no error."""
        return await self._in_thread(self._revoke, request)

    async def end(self, request: FormRequest) -> Reply:
        """End the sign-in of a refresh token, as geopera-cli logs out."""
        row = await self.store.refresh_token(request.form.get("refresh_token", ""))
        if row is not None:
            await self.store.end_sign_in(row["sign_in_id"])
        return Reply(204, None, {})

    async def device(self, request: FormRequest, verification_uri: str) -> Reply:
        """RFC 8628 section 3.1; the proof of RFC 7636 is not optional here."""
        fields = request.form
        try:
            self._check(request)
            client = self.query_client(fields.get("client_id", ""))
            if client is None or not client.check_grant_type(DEVICE):
                raise InvalidClientError(description="no client of this id may ask for a device")
            challenge = fields.get("code_challenge", "")
            if fields.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(challenge):
                raise InvalidRequestError("a code_challenge of method S256 is needed (RFC 7636)")
        except OAuth2Error as error:
            return self.handle_error_response(request, error)
        scope = client.get_allowed_scope(fields.get("scope"))
        code, user_code = await self.store.add_device(
            client.client_id, scope, challenge, request.address
        )
        return Reply(
            200,
            {
                "device_code": code,
                "user_code": user_code,
                "verification_uri": verification_uri,
                "verification_uri_complete": f"{verification_uri}?user_code={user_code}",
                "expires_in": DEVICE_SECONDS,
                "interval": INTERVAL_SECONDS,
            },
            {},
        )

    async def authorization(self, request: FormRequest) -> Client | Reply:
        """Look at an authorization request; the client that asks, or the refusal."""

        def look() -> Client:
            grant = self.get_consent_grant(request)
            data = request.payload.data
            if data.get("code_challenge_method") != "S256" or not data.get("code_challenge"):
                raise InvalidRequestError(
                    "a code_challenge of method S256 is needed",
                    redirect_uri=grant.redirect_uri or request.payload.redirect_uri,
                    state=request.payload.state,
                )
            return grant.client

        try:
            self._check(request)
            found: Client = await self._in_turn(look, self._turns)
            return found
        except OAuth2Error as error:
            return self.handle_error_response(request, error)
        except Busy:
            return BUSY

    async def authorize(self, request: FormRequest, person: Person | None) -> Reply:
        """Send the browser back with a code, or with `access_denied` where `person` is None."""

        def answer(asked: FormRequest) -> Any:
            grant = self.get_consent_grant(asked)
            return self.create_authorization_response(asked, person, grant=grant)

        return await self._in_thread(answer, request)

    # ---------------------------------------------------------------- what Authlib asks for

    def query_client(self, client_id: str) -> Any:
        """The client of an id."""
        if client_id != KEY_CLIENT:
            return known(self.registered, client_id)

        return KeyClient(KEY_CLIENT, functools.partial(grants.wait, self.store.key_of))

    def save_token(self, token: Any, request: Any) -> None:
        """They were kept when they were made."""

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: FormRequest) -> FormRequest:
        """It is one already."""
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> Any:
        """As it is."""
        return Reply(status, body, dict(headers))

    def handle_error_response(self, request: Any, error: Any) -> Any:
        """A refusal of RFC 6749 section 5.2, or a redirect that says it."""
        return super().handle_error_response(request, error)

    # ---------------------------------------------------------------- inside

    async def _in_thread(self, run: Callable[[Any], Any], request: FormRequest) -> Reply:
        try:
            self._check(request)
            by_password = request.form.get("grant_type") == PASSWORD
            reply: Any = await self._in_turn(
                functools.partial(run, request),
                self._password_turns if by_password else self._turns,
            )
            return reply
        except OAuth2Error as error:
            return self.handle_error_response(request, error)
        except Busy:
            return BUSY

    async def _in_turn(self, run: Callable[[], Any], turns: anyio.CapacityLimiter) -> Any:
        """Run in a thread; who waits too long for one is refused. Raises Busy."""
        turn = object()
        try:
            with anyio.fail_after(WAIT_SECONDS):
                await turns.acquire_on_behalf_of(turn)
        except TimeoutError:
            raise Busy from None
        try:
            return await anyio.to_thread.run_sync(run, limiter=self._threads)
        finally:
            turns.release_on_behalf_of(turn)

    @staticmethod
    def _check(request: FormRequest) -> None:
        """Raise InvalidRequestError for what no field may hold, InvalidClientError for a header."""
        for name, value in request.form.items():
            if len(value) > LONGEST_VALUE or "\0" in value:
                raise InvalidRequestError("a field is too long or holds a NUL character")
            if name not in _FREE and not _PLAIN.fullmatch(value):
                raise InvalidRequestError("a field holds characters that are not allowed")
        basic = _basic(request)
        if basic is not None and not _is_basic(basic):
            words = "the Authorization header is no credentials of RFC 7617"
            raise InvalidClientError(status_code=401, description=words)

    @staticmethod
    def _default_client(request: FormRequest) -> None:
        """A password grant needs no client id; nor does the key of a client that names none."""
        form = request.form
        if "client_id" not in form and _basic(request) is None:
            grant = form.get("grant_type")
            if grant == PASSWORD or (grant == REFRESH and "client_secret" not in form):
                form["client_id"] = DEFAULT_CLIENT
            elif grant == CREDENTIALS:
                form["client_id"] = KEY_CLIENT

    def _revoke(self, request: FormRequest) -> Reply:
        client: Any = self.authenticate_client(request, grants.WITHOUT_OR_WITH_KEY, "revocation")
        token = request.form.get("token")
        if not token:
            raise InvalidRequestError("the token to revoke is missing")
        row = grants.wait(self.store.refresh_token, token)
        if row is not None and row["client_id"] == client.client_id:
            grants.wait(self.store.end_sign_in, row["sign_in_id"])
        elif row is None and (claims := self.tokens.claims_of(token, client.client_id)):
            if "key" in claims:  # it holds for minutes, or until its key is revoked
                words = "a token of an API key ends with its key: api_keys.revoke"
                raise OAuth2Error(words, error="unsupported_token_type")
            grants.wait(self.store.end_sign_in, claims["sid"])
        return Reply(200, {}, {})


def _basic(request: FormRequest) -> str | None:
    """The credentials of HTTP Basic that came, unread."""
    headers: Any = request.headers
    scheme, _, text = headers.get("Authorization", "").partition(" ")
    return text if scheme.lower() == "basic" else None


def _is_basic(text: str) -> bool:
    """Whether it is base64 of UTF-8 with a colon."""
    try:
        return ":" in base64.b64decode(text.strip(), validate=True).decode()
    except ValueError:
        return False
