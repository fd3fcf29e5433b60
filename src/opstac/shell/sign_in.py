"""Signing in as a device (RFC 8628 with the proof key of RFC 7636), renewing and signing out."""

from __future__ import annotations

import base64
import hashlib
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from opstac.shell.credentials import Credential
from opstac.shell.server import answered, no_answer
from opstac.shell.status import REFUSED, TIMEOUT, CommandError
from opstac.shell.tables import clean

CLIENT = "opstac-cli"
REALM = "/realms/public/protocol/openid-connect"
SCOPE = "openid profile email"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
LONGEST_SECONDS = 3600


@dataclass(frozen=True)
class Device:
    """A sign-in that has begun.

    Attributes:
        page: where a person says yes, with the code in it.
        ends: when it is too late, on the monotonic clock.
    """

    code: str
    user_code: str
    page: str
    verifier: str
    interval: float
    ends: float


def begin(server: str) -> Device:
    """Ask for a code that a person can approve."""
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    status, said = form(
        server,
        "auth/device",
        {
            "client_id": CLIENT,
            "scope": SCOPE,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        },
    )
    if status != 200:
        raise refused(server, status, said)
    try:
        return Device(
            str(said["device_code"]),
            clean(str(said["user_code"])),
            clean(str(said.get("verification_uri_complete") or said["verification_uri"])),
            verifier,
            min(60.0, max(1.0, float(said.get("interval", 5)))),
            time.monotonic() + min(LONGEST_SECONDS, float(said.get("expires_in", 600))),
        )
    except (KeyError, TypeError, ValueError):
        raise CommandError(f"{server} does not speak the device flow; see OPSTAC_URL") from None


def wait(server: str, device: Device, sleep: Callable[[float], None] = time.sleep) -> Credential:
    """Ask until somebody has approved.

    Raises CommandError: refused, or too late.
    """
    interval = device.interval
    body = {
        "grant_type": DEVICE_GRANT,
        "device_code": device.code,
        "client_id": CLIENT,
        "code_verifier": device.verifier,
    }
    while time.monotonic() < device.ends:
        sleep(interval)
        status, said = form(server, "token", body)
        if status == 200:
            return credential(server, said)
        error = said.get("error")
        if error == "slow_down":
            interval += 5
        elif error == "access_denied":
            raise CommandError("the sign-in was refused on the page", REFUSED)
        elif error == "expired_token":
            break
        elif error != "authorization_pending":
            raise refused(server, status, said)
    raise CommandError("nobody approved the sign-in in time: `opstac login` again", TIMEOUT)


def renewed(server: str, old: Credential) -> Credential | None:
    """A new token for a session that goes on; None where it has ended."""
    if old.refresh is None:
        return None
    body = {"grant_type": "refresh_token", "refresh_token": old.refresh, "client_id": CLIENT}
    status, said = form(server, "token", body)
    if status == 200:
        return credential(server, said, old)
    if 400 <= status < 500 and status != 429:
        return None
    raise refused(server, status, said)


def end(server: str, old: Credential) -> None:
    """End the session, so that no token of it holds any more."""
    if old.refresh is not None:
        form(server, "logout", {"client_id": CLIENT, "refresh_token": old.refresh})


def who(server: str, token: str) -> tuple[int, dict[str, Any]]:
    """Status and answer of `userinfo`: whose token it is, and its scopes."""
    import httpx

    try:
        with httpx.Client(timeout=30) as http:
            answer = http.get(
                f"{server}{REALM}/userinfo", headers={"Authorization": f"Bearer {token}"}
            )
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise no_answer(server, error) from None
    return answer.status_code, answered(server, answer)


def form(server: str, name: str, body: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """POST a form to an endpoint of the realm: status and answer."""
    import httpx

    try:
        # redirects are not followed: what is sent here is for this host alone
        with httpx.Client(timeout=30) as http:
            answer = http.post(f"{server}{REALM}/{name}", data=dict(body))
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        raise no_answer(server, error) from None
    if answer.status_code == 204:
        return 204, {}
    return answer.status_code, answered(server, answer)


def credential(server: str, said: Mapping[str, Any], old: Credential | None = None) -> Credential:
    """The tokens of an answer of the token endpoint."""
    try:
        seconds = said.get("expires_in")
        return Credential(
            str(said["access_token"]),
            said.get("refresh_token") or (old.refresh if old else None),
            time.time() + float(seconds) if seconds is not None else None,
            old.name if old else "",
        )
    except (KeyError, TypeError, ValueError):
        raise CommandError(f"{server} gave no token; see OPSTAC_URL") from None


def refused(server: str, status: int, said: Mapping[str, Any]) -> CommandError:
    """What the platform said instead of a token."""
    words = said.get("error_description") or said.get("detail") or said.get("error") or "no reason"
    return CommandError(f"{server} refused the sign-in: [{status}] {clean(str(words))}", REFUSED)


def open_page(page: str) -> bool:
    """Show a page in the user's browser, where there is one."""
    import os
    import webbrowser

    has_display = (
        sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
    if not has_display or not page.startswith(("http://", "https://")):
        return False
    try:
        return webbrowser.open(page)
    except (webbrowser.Error, OSError):
        return False
