"""The ways to a token. Authlib checks the requests; what is kept and who is who is filled in here.

Authlib calls these in a thread; what they ask of the store runs in the event loop (`wait`).
"""

# Authlib's hooks are typed for what its own frameworks give them
# pyright: reportIncompatibleMethodOverride=false, reportAttributeAccessIssue=false
# pyright: reportOptionalMemberAccess=false

from __future__ import annotations

import math
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import anyio
import anyio.from_thread
from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc6749.errors import InvalidGrantError, InvalidRequestError
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oauth2.rfc8628 import DeviceCodeGrant as AuthlibDeviceCodeGrant

from ops_gateway.identity.clients import REFRESH, Client, KeyClient
from ops_gateway.identity.store import Row, Store, Superseded
from ops_gateway.identity.tokens import Person
from ops_gateway.kernel import passwords
from ops_gateway.kernel.networks import network

T = TypeVar("T")
WITHOUT, WITH_KEY = ["none"], ["client_secret_basic", "client_secret_post"]
WITHOUT_OR_WITH_KEY = [*WITH_KEY, *WITHOUT]

FAILURES = 5  # by account and address
FAILURES_OF_ACCOUNT = 50  # from anywhere: a slow crowd guesses too
WINDOW_SECONDS = 15 * 60
KNOWN_SECONDS = 90 * 86400  # so long an address is known from where somebody signed in
LOCKED = "too many wrong passwords for this account; try again in 15 minutes"


def wait(ask: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
    """Run a coroutine of the store from Authlib's thread."""
    return anyio.from_thread.run(ask, *args)


async def person_by_password(store: Store, email: str, password: str, address: str) -> Row | None:
    """The person of an address and password, or None; counts failures. Raises Locked, Busy.

    An unknown address, a wrong password and a closed account take as long and say the same.
    """
    account = email.strip().casefold()[:320]
    pair = f"{account} {network(address)}"
    # guesses from elsewhere do not keep somebody out from where they have signed in before
    known = await store.failures("known", pair, KNOWN_SECONDS) > 0
    most = None if known else FAILURES_OF_ACCOUNT
    if await store.failures("password", pair, WINDOW_SECONDS) >= FAILURES or (
        most is not None and await store.failures("account", account, WINDOW_SECONDS) >= most
    ):
        raise Locked(LOCKED)
    # counted before it is tried, so that many at once do not all pass
    counted = [("password", pair, FAILURES), ("account", account, most)]
    for kind, who, highest in counted:
        if await store.failed(kind, who, WINDOW_SECONDS) > (highest or math.inf):
            raise Locked(LOCKED)
    try:
        row = await store.account(account)
        right = await passwords.is_password(row["hash"] if row else None, password)
    except BaseException:  # nobody has looked at it
        with anyio.CancelScope(shield=True):
            for kind, who, _ in counted:
                await store.take_back(kind, who)
        raise
    if not right or row is None or row["disabled"]:
        return None
    await store.forgive("password", pair)
    await store.forgive("account", account)
    await store.forgive("known", pair)
    await store.failed("known", pair, KNOWN_SECONDS)
    if passwords.outdated(row["hash"]):
        await store.rehash(row["id"], await passwords.hash_password(password))
    return row


class Locked(Exception):
    """Too many wrong passwords; the message says what to do."""


@dataclass(frozen=True)
class RefreshToken:
    """A refresh token that has just been used up."""

    client_id: str
    scope: str
    row: Row

    def check_client(self, client: Client) -> bool:
        """Whether it was given to this client."""
        return self.client_id == client.client_id

    def get_scope(self) -> str:
        """The scope of its family."""
        return self.row["scope"]


class Tokened:
    """What all grants answer with."""

    def generate_token(
        self,
        user: Person | None = None,
        scope: str | None = None,
        grant_type: str | None = None,
        expires_in: int | None = None,
        include_refresh_token: bool = True,
    ) -> dict[str, Any]:
        """The tokens of a person; of a key where there is no person."""
        request: Any = self.request  # type: ignore[attr-defined]
        tokens = self.server.tokens  # type: ignore[attr-defined]
        client: Client = request.client
        granted = client.get_allowed_scope(scope)
        if user is None:
            assert isinstance(client, KeyClient)
            return wait(tokens.of_key, client.keys[-1], client.client_id, granted)
        try:
            return wait(
                tokens.of_person,
                user,
                client.client_id,
                granted,
                client.check_grant_type(REFRESH),
                request.realm,
            )
        except Superseded:
            raise InvalidGrantError("the password has changed since; sign in again") from None


class RefreshGrant(Tokened, grants.RefreshTokenGrant):
    """RFC 6749 section 6, each token for one use; a second use ends the whole family."""

    TOKEN_ENDPOINT_AUTH_METHODS = WITHOUT_OR_WITH_KEY
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> RefreshToken | None:
        """Use the token up, and give what it stands for."""
        store: Store = self.server.store
        row = wait(store.refresh_token, refresh_token)
        if row is None or row["client_id"] != self.request.client.client_id:
            return None
        if row["used"]:  # two hold it: which of them is the thief cannot be told
            wait(store.end_sign_in, row["sign_in_id"])
            return None
        token = RefreshToken(row["client_id"], row["scope"], row)
        self._validate_token_scope(token)  # before it is used up
        if row["expired"] or row["ended"]:
            return None
        if not wait(store.use_refresh_token, refresh_token):
            wait(store.end_sign_in, row["sign_in_id"])
            return None
        return token

    def authenticate_user(self, refresh_token: RefreshToken) -> Person:
        """Whose it is."""
        row = refresh_token.row
        user = wait(self.server.store.person, row["user_id"])
        if user is None or user["disabled"]:
            raise InvalidGrantError("the account is closed")
        return Person(user, row["authenticated_at"], sign_in=row["sign_in_id"])

    def revoke_old_credential(self, refresh_token: RefreshToken) -> None:
        """It is used up already."""


class PasswordGrant(Tokened, grants.ResourceOwnerPasswordCredentialsGrant):
    """RFC 6749 section 4.3, for scripts that exist."""

    TOKEN_ENDPOINT_AUTH_METHODS = WITHOUT_OR_WITH_KEY

    def authenticate_user(self, username: str, password: str) -> Person:
        """The person; a wrong password is `invalid_grant` (RFC 6749 section 5.2)."""
        try:
            row = wait(
                person_by_password, self.server.store, username, password, self.request.address
            )
        except Locked as error:
            raise InvalidGrantError(str(error)) from None
        if row is None:
            raise InvalidGrantError("the user name or the password is wrong")
        return Person(row, row["asked_at"])


class KeyGrant(Tokened, grants.ClientCredentialsGrant):
    """RFC 6749 section 4.4: the client's secret is an API key, and the token acts as that key."""

    TOKEN_ENDPOINT_AUTH_METHODS = WITH_KEY


@dataclass(frozen=True)
class Device:
    """A device that waits, as Authlib asks about it."""

    row: Row

    def get_client_id(self) -> str:
        """Who asked."""
        return self.row["client_id"]

    def get_scope(self) -> str:
        """For what."""
        return self.row["scope"]

    def get_user_code(self) -> str:
        """What its person reads."""
        return self.row["user_code"]

    def is_expired(self) -> bool:
        """Whether it waited too long, or has its tokens already."""
        return self.row["expired"] or self.row["state"] == "exchanged"


class DeviceGrant(Tokened, AuthlibDeviceCodeGrant):
    """RFC 8628 section 3.4, with the proof of RFC 7636 that geopera-cli gives."""

    TOKEN_ENDPOINT_AUTH_METHODS = WITHOUT_OR_WITH_KEY

    def query_device_credential(self, device_code: str) -> Device | None:
        """The device; only who began may go on."""
        self._code = device_code
        row = wait(self.server.store.device, device_code)
        if row is None:
            raise InvalidGrantError("the device code is not known")
        verifier = self.request.form.get("code_verifier", "")
        if create_s256_code_challenge(verifier) != row["code_challenge"]:
            raise InvalidGrantError("the code verifier is not that of the device code")
        self._row = row
        return Device(row)

    def query_user_grant(self, user_code: str) -> tuple[Person, bool] | None:
        """Who decided what; None while nobody has. An approval is used up by this."""
        row, store = self._row, self.server.store
        if row["state"] == "denied":
            return Person({}, datetime.now(UTC)), False
        if row["state"] != "approved":
            return None
        user = wait(store.person, row["user_id"])
        if user is None or user["disabled"]:
            return Person({}, datetime.now(UTC)), False
        if not wait(store.exchange_device, self._code):
            raise InvalidGrantError("the device code was used already")
        return Person(user, row["authenticated_at"]), True

    def should_slow_down(self, credential: Device) -> bool:
        """Whether this poll came too soon."""
        return wait(self.server.store.poll_device, self._code)


@dataclass(frozen=True)
class Code:
    """What an authorization code stands for."""

    row: Row
    code: str

    @property
    def code_challenge(self) -> str:
        """The challenge its client must answer."""
        return self.row["code_challenge"]

    code_challenge_method = "S256"

    def get_redirect_uri(self) -> str | None:
        """Where it was sent."""
        return self.row["redirect_uri"]

    def get_scope(self) -> str:
        """For what."""
        return self.row["scope"]


class CodeGrant(Tokened, grants.AuthorizationCodeGrant):
    """RFC 6749 section 4.1; every client proves itself by RFC 7636."""

    TOKEN_ENDPOINT_AUTH_METHODS = WITHOUT

    def save_authorization_code(self, code: str, request: Any) -> None:
        """Nothing: `generate_authorization_code` has kept it."""

    def generate_authorization_code(self) -> str:
        """A new code for the request."""
        request, data = self.request, self.request.payload.data
        if data.get("code_challenge_method") != "S256" or not data.get("code_challenge"):
            raise InvalidRequestError("a code_challenge of method S256 is needed")
        person: Any = request.user
        return wait(
            _add_code,
            self.server.store,
            {
                "client": request.client.client_id,
                "redirect_uri": request.payload.redirect_uri,
                "scope": request.client.get_allowed_scope(request.payload.scope),
                "nonce": (data.get("nonce") or "")[:255] or None,
                "challenge": data["code_challenge"],
                "user": person.user["id"],
                "authenticated_at": person.authenticated_at,
            },
        )

    def query_authorization_code(self, code: str, client: Client) -> Code | None:
        """The code, where it is this client's; a second use ends what the first began."""
        store: Store = self.server.store
        row = wait(store.code, code)
        if row is None or row["client_id"] != client.client_id:
            return None
        if row["used"]:
            if row["sign_in_id"] is not None:
                wait(store.end_sign_in, row["sign_in_id"])
            return None
        return None if row["expired"] else Code(row, code)

    def authenticate_user(self, authorization_code: Code) -> Person | None:
        """Whose it is; the code is used up by this, after the proof was looked at."""
        store: Store = self.server.store
        row = authorization_code.row
        if not wait(store.use_code, authorization_code.code):
            return None
        user = wait(store.person, row["user_id"])
        if user is None or user["disabled"]:
            return None
        return Person(
            user, row["authenticated_at"], nonce=row["nonce"], code=authorization_code.code
        )

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """It is used up already."""


async def _add_code(store: Store, fields: dict[str, Any]) -> str:
    return await store.add_code(**fields)
