"""Tokens over HTTP: every grant, what ends them, and what is tried against them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import jwt
import pytest

from ops_gateway.identity.store import Superseded
from ops_gateway.kernel import passwords
from tests.conftest import Api, Person

AT = "/realms/public/protocol/openid-connect"
PASSWORD = "a long enough secret"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass
class Somebody:
    """A person with a password, in an organization."""

    api: Api
    email: str
    user_id: str
    owner: Person

    async def post(self, path: str, status: int = 200, **form: str) -> dict:
        answer = await self.api.client.post(f"{AT}/{path}", data=form)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else {}

    async def signed_in(self, **form: str) -> dict:
        return await self.post(
            "token", grant_type="password", username=self.email, password=PASSWORD, **form
        )

    async def userinfo(self, token: str) -> httpx.Response:
        return await self.api.client.get(
            f"{AT}/userinfo", headers={"Authorization": f"Bearer {token}"}
        )


HASH = passwords.hashed(PASSWORD)


@pytest.fixture
async def somebody(api: Api) -> Somebody:
    owner = await api.organization()
    email = f"{owner.user_id}@example.org"
    api.sql(
        "insert into user_password (user_id, hash) values (%s, %s)",
        owner.user_id,
        HASH,
        role="opstac_identity",
    )
    assert owner.user_id is not None
    return Somebody(api, email, owner.user_id, owner)


def proof() -> tuple[str, str]:
    verifier = secrets.token_urlsafe(48)
    challenge = hashlib.sha256(verifier.encode()).digest()
    return verifier, base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()


async def begun(somebody: Somebody, challenge: str) -> dict:
    return await somebody.post(
        "auth/device",
        client_id="geopera-cli",
        scope="openid profile",
        code_challenge=challenge,
        code_challenge_method="S256",
    )


async def approve(somebody: Somebody, user_code: str, action: str = "approve") -> httpx.Response:
    return await somebody.api.client.post(
        "/device/approve",
        data={"user_code": user_code, "action": action},
        headers={"Authorization": f"Bearer {somebody.owner.token}"},
    )


def test_a_password_is_kept_as_argon2id_with_the_parameters_of_rfc_9106():
    kept = passwords.hashed("correct horse")
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert not passwords.outdated(kept)


async def test_a_password_gives_tokens_that_work(somebody: Somebody) -> None:
    got = await somebody.signed_in(client_id="up42-sdk", scope="openid email")
    assert set(got) == {
        "access_token", "refresh_token", "expires_in", "refresh_expires_in", "token_type",
        "scope", "id_token",
    }  # fmt: skip
    assert got["token_type"] == "Bearer" and got["expires_in"] == 300
    info = (await somebody.userinfo(got["access_token"])).json()
    assert info["sub"] == info["geopera_principal_id"] == somebody.user_id
    assert info["geopera_principal_type"] == "user"
    assert info["geopera_org_id"] == somebody.owner.organization_id
    assert "items:*" in info["scope"].split()
    balance = await somebody.api.ok("billing.credits.balance", as_=Person(got["access_token"]))
    assert balance["organization_id"] == somebody.owner.organization_id


async def test_an_id_token_holds_by_the_published_keys_and_opens_nothing(
    somebody: Somebody,
) -> None:
    got = await somebody.signed_in(client_id="up42-sdk", scope="openid email")
    discovery = await somebody.api.client.get("/realms/public/.well-known/openid-configuration")
    found = discovery.json()
    keys = (await somebody.api.client.get(found["jwks_uri"])).json()
    by_id = {key.key_id: key for key in jwt.PyJWKSet.from_dict(keys).keys}
    kid = jwt.get_unverified_header(got["id_token"])["kid"]
    claims = jwt.decode(
        got["id_token"], by_id[kid].key, ["EdDSA"], audience="up42-sdk", issuer=found["issuer"]
    )
    assert claims["sub"] == somebody.user_id and claims["email"] == somebody.email
    assert (await somebody.userinfo(got["id_token"])).status_code == 401


@pytest.mark.parametrize("username", ["known", "unknown"])
async def test_wrong_passwords_say_the_same_and_are_counted(
    somebody: Somebody, username: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 60)  # also where the machine is slow
    name = somebody.email if username == "known" else f"{secrets.token_hex(6)}@example.org"
    form = {"grant_type": "password", "username": name}
    tries = [somebody.post("token", 400, **form, password=f"wrong {n} enough") for n in range(8)]
    answers = await asyncio.gather(*tries)
    words = [answer["error_description"] for answer in answers]
    assert {answer["error"] for answer in answers} == {"invalid_grant"}
    assert sum("too many" in word for word in words) == 3
    # the right one does not help from here any more either
    got = await somebody.post("token", 400, **form, password=PASSWORD)
    assert "too many" in got["error_description"]


async def test_a_refresh_token_is_for_one_use_and_a_second_use_ends_the_family(
    somebody: Somebody,
) -> None:
    first = await somebody.signed_in(client_id="geopera-cli")
    form = {"grant_type": "refresh_token", "client_id": "geopera-cli"}
    second = await somebody.post("token", **form, refresh_token=first["refresh_token"])
    assert second["refresh_token"] != first["refresh_token"]
    assert (await somebody.userinfo(second["access_token"])).status_code == 200
    got = await somebody.post("token", 400, **form, refresh_token=first["refresh_token"])
    assert got["error"] == "invalid_grant"
    for tokens in (first, second):
        assert (await somebody.userinfo(tokens["access_token"])).status_code == 401
    got = await somebody.post("token", 400, **form, refresh_token=second["refresh_token"])
    assert got["error"] == "invalid_grant"


async def test_of_many_refreshes_at_once_at_most_one_succeeds(somebody: Somebody) -> None:
    first = await somebody.signed_in(client_id="geopera-cli")
    form = {
        "grant_type": "refresh_token",
        "client_id": "geopera-cli",
        "refresh_token": first["refresh_token"],
    }
    answers = await asyncio.gather(
        *(somebody.api.client.post(f"{AT}/token", data=form) for _ in range(8))
    )
    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(good) <= 1
    for tokens in good:  # it was replayed, so the family has ended
        assert (await somebody.userinfo(tokens["access_token"])).status_code == 401


async def test_another_client_cannot_use_a_refresh_token_nor_use_it_up(
    somebody: Somebody,
) -> None:
    first = await somebody.signed_in(client_id="geopera-cli")
    form = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    await somebody.post("token", 400, **form, client_id="up42-sdk")
    await somebody.post("token", 400, **form, client_id="nobody")
    await somebody.post("token", **form, client_id="geopera-cli")


async def test_a_key_is_exchanged_for_a_token_that_acts_as_it_and_ends_with_it(
    somebody: Somebody,
) -> None:
    made = await somebody.api.ok(
        "api_keys.create", {"name": "k", "permissions": ["items:read"]}, as_=somebody.owner
    )
    form = {"grant_type": "client_credentials", "client_id": "geopera"}
    got = await somebody.post("token", **form, client_secret=made["key"])
    assert "refresh_token" not in got and got["expires_in"] == 300
    info = (await somebody.userinfo(got["access_token"])).json()
    assert info["geopera_principal_type"] == "api_key" and info["scope"] == "items:read"
    assert info["geopera_principal_id"] == made["id"]
    await somebody.post("token", 401, **form, client_secret=made["key"][:-1] + "x")
    await somebody.post("token", 401, **{**form, "client_id": "geopera"})
    await somebody.api.ok("api_keys.revoke", {"key_id": made["id"]}, as_=somebody.owner)
    assert (await somebody.userinfo(got["access_token"])).status_code == 401
    await somebody.post("token", 401, **form, client_secret=made["key"])


async def test_a_device_is_approved_and_gets_tokens_once(somebody: Somebody) -> None:
    verifier, challenge = proof()
    device = await begun(somebody, challenge)
    assert device["interval"] == 5 and device["expires_in"] == 600
    assert device["verification_uri_complete"].endswith(device["user_code"])
    form = {
        "grant_type": DEVICE, "client_id": "geopera-cli", "device_code": device["device_code"],
    }  # fmt: skip
    got = await somebody.post("token", 400, **form, code_verifier=verifier)
    assert got["error"] == "authorization_pending"
    got = await somebody.post("token", 400, **form, code_verifier=verifier)
    assert got["error"] == "slow_down"
    assert (await approve(somebody, device["user_code"])).json() == {"status": "approved"}
    for wrong in ({}, {"code_verifier": proof()[0]}):
        assert (await somebody.post("token", 400, **form, **wrong))["error"] == "invalid_grant"
    answers = await asyncio.gather(
        *(
            somebody.api.client.post(f"{AT}/token", data={**form, "code_verifier": verifier})
            for _ in range(6)
        )
    )
    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(good) == 1
    assert (await somebody.userinfo(good[0]["access_token"])).json()["sub"] == somebody.user_id
    assert (await approve(somebody, device["user_code"])).status_code == 410


async def test_what_was_approved_before_a_new_password_gives_no_tokens(somebody: Somebody) -> None:
    """Who was signed in with the old one keeps no way in for after it."""
    verifier, challenge = proof()
    device = await begun(somebody, challenge)
    form = {
        "grant_type": DEVICE, "client_id": "geopera-cli", "code_verifier": verifier,
        "device_code": device["device_code"],
    }  # fmt: skip
    assert (await approve(somebody, device["user_code"])).status_code == 200
    identity = somebody.api.platform.identity
    assert identity is not None
    code = await identity.store.add_code(
        client="opstac-cli", redirect_uri="http://127.0.0.1:1/", scope="openid", nonce=None,
        challenge=challenge, user=somebody.user_id, authenticated_at=datetime.now(UTC),
    )  # fmt: skip
    await identity.store.set_password(somebody.user_id, HASH)
    got = await somebody.post("token", 400, **form)
    assert got["error"] == "invalid_grant"
    by_code = {
        "grant_type": "authorization_code", "client_id": "opstac-cli", "code": code,
        "code_verifier": verifier, "redirect_uri": "http://127.0.0.1:1/",
    }  # fmt: skip
    assert (await somebody.post("token", 400, **by_code))["error"] == "invalid_grant"
    with pytest.raises(Superseded):
        await identity.store.open_session(somebody.user_id, datetime.now(UTC) - timedelta(hours=1))
    # a stronger hash of the same password ends nothing
    device = await begun(somebody, challenge)
    assert (await approve(somebody, device["user_code"])).status_code == 200
    await identity.store.rehash(somebody.user_id, HASH)
    await somebody.post("token", **{**form, "device_code": device["device_code"]})
    assert (await somebody.signed_in())["access_token"]


async def test_a_denied_device_and_an_expired_one_are_told_so(somebody: Somebody) -> None:
    verifier, challenge = proof()
    form = {"grant_type": DEVICE, "client_id": "geopera-cli", "code_verifier": verifier}
    device = await begun(somebody, challenge)
    await approve(somebody, device["user_code"], "deny")
    got = await somebody.post("token", 400, **form, device_code=device["device_code"])
    assert got["error"] == "access_denied"
    device = await begun(somebody, challenge)
    somebody.api.sql(
        "update device_grant set expires_at = now() where user_code = %s",
        device["user_code"].replace("-", ""),
        role="opstac_identity",
    )
    got = await somebody.post("token", 400, **form, device_code=device["device_code"])
    assert got["error"] == "expired_token"
    assert (await approve(somebody, device["user_code"])).status_code == 410


async def test_a_device_needs_proof_and_a_person(somebody: Somebody) -> None:
    form = {"client_id": "geopera-cli", "scope": "openid"}
    for wrong in (
        {},
        {"code_challenge": proof()[1]},
        {"code_challenge": proof()[1], "code_challenge_method": "plain"},
        {"code_challenge": "short", "code_challenge_method": "S256"},
    ):
        await somebody.post("auth/device", 400, **form, **wrong)
    device = await begun(somebody, proof()[1])
    key = await somebody.api.key(somebody.owner, "*:read")
    by_key = await somebody.api.client.post(
        "/device/approve",
        data={"user_code": device["user_code"], "action": "approve"},
        headers={"Authorization": f"Bearer {key.token}"},
    )
    assert by_key.status_code == 403
    nobody = await somebody.api.client.post(
        "/device/approve", data={"user_code": device["user_code"], "action": "approve"}
    )
    assert nobody.status_code == 400  # a form that no page of ours sent


async def test_guessing_user_codes_is_stopped(somebody: Somebody) -> None:
    device = await begun(somebody, proof()[1])
    somebody.api.sql("delete from sign_in_attempt", role="opstac_identity")
    statuses = [(await approve(somebody, "BBBB-BBBB")).status_code for _ in range(6)]
    assert statuses == [404] * 5 + [429]
    assert (await approve(somebody, device["user_code"])).status_code == 429
    somebody.api.sql("delete from sign_in_attempt", role="opstac_identity")
    assert (await approve(somebody, device["user_code"])).status_code == 200


@pytest.mark.parametrize("way", ["revoke", "revoke access", "logout"])
async def test_a_sign_in_ends_at_once(somebody: Somebody, way: str) -> None:
    got = await somebody.signed_in(client_id="geopera-cli")
    if way == "logout":
        await somebody.post(
            "logout", 204, client_id="geopera-cli", refresh_token=got["refresh_token"]
        )
    else:
        token = got["access_token" if "access" in way else "refresh_token"]
        await somebody.post("revoke", client_id="up42-sdk", token=token)  # not its own: no effect
        assert (await somebody.userinfo(got["access_token"])).status_code == 200
        await somebody.post("revoke", client_id="geopera-cli", token=token)
    assert (await somebody.userinfo(got["access_token"])).status_code == 401
    form = {"grant_type": "refresh_token", "client_id": "geopera-cli"}
    await somebody.post("token", 400, **form, refresh_token=got["refresh_token"])


async def test_introspection_is_for_whom_a_token_concerns(api: Api, somebody: Somebody) -> None:
    got = await somebody.signed_in(client_id="geopera-cli")
    stranger = await api.organization("Other")

    async def ask(token: str, by: str | None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {by}"} if by else {}
        return await api.client.post(f"{AT}/introspect", data={"token": token}, headers=headers)

    assert (await ask(got["access_token"], None)).status_code == 401
    mine = (await ask(got["access_token"], somebody.owner.token)).json()
    assert mine["active"] and mine["sub"] == somebody.user_id
    assert mine["client_id"] == "geopera-cli" and mine["exp"] > mine["iat"]
    assert (await ask(got["refresh_token"], somebody.owner.token)).json()["active"]
    for token in (got["access_token"], got["refresh_token"], "nonsense", ""):
        assert (await ask(token, stranger.token)).json() == {"active": False}


async def test_a_disabled_person_and_a_removed_member_are_out_at_once(
    api: Api, somebody: Somebody
) -> None:
    got = await somebody.signed_in(client_id="geopera-cli")
    member = Person(got["access_token"])
    await api.ok("projects.list", as_=member)
    other = await api.member(somebody.owner, "owner")
    await api.ok("organizations.members.remove", {"user_id": somebody.user_id}, as_=other)
    await api.refused(403, "projects.list", as_=member)
    api.sql("update app_user set disabled_at = now() where id = %s", somebody.user_id)
    assert (await somebody.userinfo(got["access_token"])).status_code == 401
    form = {"grant_type": "refresh_token", "client_id": "geopera-cli"}
    await somebody.post("token", 400, **form, refresh_token=got["refresh_token"])
    got = await somebody.post(
        "token", 400, grant_type="password", username=somebody.email, password=PASSWORD
    )
    assert got["error"] == "invalid_grant"


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"grant_type": "nonsense"},
        {"grant_type": 'a"b\\c'},
        {"grant_type": "pässwörd"},
        {"grant_type": "password"},
        {"grant_type": "password", "username": "\0", "password": "x"},
        {"grant_type": "password", "username": "x", "password": "y" * 5000},
        {"grant_type": "refresh_token", "client_id": "geopera-cli"},
        {"grant_type": "refresh_token", "client_id": "geopera-cli", "refresh_token": "x"},
        {"grant_type": DEVICE, "client_id": "geopera-cli", "device_code": "x"},
        {"grant_type": DEVICE, "client_id": "geopera-cli", "device_code": "x",
         "code_verifier": "é"},
        {"grant_type": "authorization_code", "client_id": "geopera-cli", "code": "x"},
        {"grant_type": "client_credentials", "client_id": "geopera", "client_secret": "é\0"},
        {"grant_type": "client_credentials", "client_id": "geopera-cli", "client_secret": "x"},
    ],
)  # fmt: skip
async def test_whatever_comes_is_refused_as_oauth_has_it(api: Api, form: dict[str, str]) -> None:
    answer = await api.client.post(f"{AT}/token", data=form)
    assert answer.status_code in (400, 401), answer.text
    assert answer.json()["error"]
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"grant_type=a&grant_type=b", b"%ff=1", b"a=1&" * 100, b"{}"]
)
async def test_what_is_no_form_is_refused(api: Api, body: bytes) -> None:
    for kind in ("application/x-www-form-urlencoded", "application/json", ""):
        answer = await api.client.post(f"{AT}/token", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 400
        assert answer.json()["error"] in ("invalid_request", "unsupported_grant_type")


async def test_keys_rotate_without_breaking_live_tokens(api: Api) -> None:
    owner = await api.organization()
    api.sql(
        "update session_key set generation = generation + 1, rotated_at = now(), floor = generation"
    )
    try:
        await api.ok("projects.list", as_=owner)  # signed by the one before
        api.sql("update session_key set rotated_at = now() - interval '11 minutes'")
        await api.refused(401, "projects.list", as_=owner)
    finally:
        api.sql("update session_key set generation = 1, floor = 1")
    await api.ok("projects.list", as_=owner)


async def test_too_many_passwords_at_once_wait_and_are_then_told_to_come_back(
    somebody: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.02)
    form = {"grant_type": "password", "password": "a wrong password"}
    answers = await asyncio.gather(
        *(
            somebody.api.client.post(
                f"{AT}/token", data={**form, "username": f"{secrets.token_hex(6)}@example.org"}
            )
            for _ in range(8)
        )
    )
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {400, 503}
    busy = answers[statuses.index(503)]
    assert busy.json()["error"] == "temporarily_unavailable" and busy.headers["retry-after"]
