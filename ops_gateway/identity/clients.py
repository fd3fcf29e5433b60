"""The programs that may ask for tokens. All are public: none of them can keep a secret of ours."""

# what has no redirect has none to give
# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import ClientMixin
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE

from ops_gateway.kernel.authenticate import AUDIENCE

PASSWORD, REFRESH, CODE, CREDENTIALS = (
    "password",
    "refresh_token",
    "authorization_code",
    "client_credentials",
)
DEVICE = DEVICE_CODE_GRANT_TYPE
SCOPES = ("openid", "profile", "email", "offline_access")
DEFAULT_CLIENT = "opstac-script"
_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.[0-9]{1,3}|\[::1\])(:[0-9]{1,5})?")


@dataclass(frozen=True)
class Client(ClientMixin):
    """A client without a secret.

    Attributes:
        name: what the approval page calls it.
        redirects: where it may be sent back to, whole; programs of this machine (RFC 8252) may
            be sent to any port of the loopback address besides.
    """

    client_id: str
    name: str
    grants: frozenset[str]
    redirects: tuple[str, ...] = ()
    native: bool = False

    def get_client_id(self) -> str:
        """Its id."""
        return self.client_id

    def get_default_redirect_uri(self) -> str | None:
        """The only address it has, if any."""
        return self.redirects[0] if len(self.redirects) == 1 else None

    def get_allowed_scope(self, scope: str | None) -> str:
        """Those of the asked scopes that mean something here (RFC 6749 section 3.3)."""
        return " ".join(word for word in (scope or "").split() if word in SCOPES)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether it may be sent back there."""
        return redirect_uri in self.redirects or (self.native and is_loopback(redirect_uri))

    def check_client_secret(self, client_secret: str) -> bool:
        """It has none."""
        return False

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """Public clients do not authenticate."""
        return method == "none"

    def check_response_type(self, response_type: str) -> bool:
        """Only codes are given in a redirect, never tokens."""
        return response_type == "code" and CODE in self.grants

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether this way to a token is open to it."""
        return grant_type in self.grants


class KeyClient(Client):
    """A client whose secret is an API key: it may act as that key. Made anew for each request."""

    def __init__(self, client_id: str, find: Callable[[str], dict[str, Any] | None]) -> None:
        """`find(secret)`: `id` and `lookup` of a live key, or None."""
        ways = frozenset([CREDENTIALS, PASSWORD, REFRESH, DEVICE])
        super().__init__(client_id, "a program with an API key", ways)
        object.__setattr__(self, "find", find)
        object.__setattr__(self, "keys", [])

    find: Callable[[str], dict[str, Any] | None]
    keys: list[dict[str, Any]]  # the one it proved to have

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether it is a live API key."""
        if (key := self.find(client_secret)) is not None:
            self.keys.append(key)
        return key is not None

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        """With a key or, for people, without."""
        return method in ("none", "client_secret_post", "client_secret_basic")


def is_loopback(redirect_uri: str) -> bool:
    """Whether it is `http://` at this machine's own address (RFC 8252 section 7.3)."""
    try:
        parts = urlsplit(redirect_uri)
        _ = parts.port  # raises for one that is none
    except ValueError:
        return False
    # the whole of what stands between the slashes: parsers differ on all that is left over
    return parts.scheme == "http" and not parts.fragment and bool(_LOOPBACK.fullmatch(parts.netloc))


BUILT_IN = {
    client.client_id: client
    for client in (
        Client(
            "geopera-cli", "geopera-cli", frozenset([DEVICE, REFRESH, PASSWORD, CODE]), native=True
        ),
        Client("opstac-cli", "opstac", frozenset([DEVICE, REFRESH, PASSWORD, CODE]), native=True),
        Client("up42-sdk", "up42-py", frozenset([PASSWORD, REFRESH])),
        Client(DEFAULT_CLIENT, "a script", frozenset([PASSWORD, REFRESH])),
    )
}
KEY_CLIENT = "geopera"
# an id token is for its client: one of such a name would be taken for an access token
TAKEN = {*BUILT_IN, KEY_CLIENT, AUDIENCE, "worker"}


def parse_clients(text: str) -> dict[str, Client]:
    """The clients of OPSTAC_OAUTH_CLIENTS: `id=redirect redirect;id=…`.

    Raises:
        ValueError: a part is no client, or a redirect is neither https nor of this machine.
    """
    found: dict[str, Client] = {}
    for part in filter(None, (one.strip() for one in text.split(";"))):
        client_id, _, addresses = part.partition("=")
        redirects = tuple(addresses.split())
        if not client_id.strip() or not redirects or client_id.strip() in TAKEN:
            raise ValueError(f"'{part}' is not a client: write id=https://app.example/callback")
        for address in redirects:
            if urlsplit(address).scheme != "https" and not is_loopback(address):
                raise ValueError(f"'{address}' is neither https nor of this machine")
        found[client_id.strip()] = Client(
            client_id.strip(), client_id.strip(), frozenset([CODE, REFRESH]), redirects
        )
    return found


def known(registered: Mapping[str, Client], client_id: str) -> Client | None:
    """The client of an id; the one of API keys is made where they can be looked up."""
    return BUILT_IN.get(client_id) or registered.get(client_id)
