"""What is tried against the doors: forged tokens and forms, guesses, races, bent addresses."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import secrets
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from db import signing
from ops_gateway.identity.clients import is_loopback, parse_clients
from ops_gateway.identity.forms import local_path
from ops_gateway.kernel.services import Limits
from tests.conftest import Api, Person, on_database

AT = "/realms/public/protocol/openid-connect"
PASSWORD = "a long enough secret"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def test_no_form_of_the_public_key_is_a_secret(api: Api) -> None:
    """Algorithm confusion: HMAC keyed by the public key as raw bytes, PEM, DER or JWK."""
    owner = await api.organization()
    key = api.platform.keys.session()
    found = (await api.client.get(f"{AT}/certs")).json()
    jwk = next(k for k in found["keys"] if k["kid"] == key.kid)
    forms = [
        key.public_bytes(),
        key.public_bytes().hex().encode(),
        jwk["x"].encode(),
        json.dumps(jwk).encode(),
        *(
            key.public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
            for encoding in (serialization.Encoding.PEM, serialization.Encoding.DER)
        ),
    ]
    now = int(time.time())
    claims = {
        "iss": api.platform.settings.issuer,
        "aud": "opstac",
        "sub": owner.user_id,
        "sid": "x",
        "iat": now,
        "nbf": now,
        "exp": now + 60,
    }
    for name, digest in (("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")):
        content = f"{part({'alg': name, 'kid': key.kid})}.{part(claims)}"
        for form in forms:
            token = f"{content}.{part(hmac.digest(form, content.encode(), digest))}"
            for path in ("/v1/op/organizations.get", f"{AT}/userinfo", "/assets/stac/search"):
                answer = await api.client.get(path, headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == 401, (name, path)


async def test_a_refresh_token_a_code_and_a_share_token_are_no_credentials(api: Api) -> None:
    owner = await api.organization()
    made = await signed_in(api, owner)
    for token in (made["refresh_token"], secrets.token_urlsafe(32), "sh_x", "tt_x"):
        for headers in ({"Authorization": f"Bearer {token}"}, {"X-API-Key": token}):
            answer = await api.client.get("/v1/op/organizations.get", headers=headers)
            assert answer.status_code == 401


async def signed_in(api: Api, owner: Person, **form: str) -> dict:
    from ops_gateway.kernel.passwords import hashed

    api.sql(
        "insert into user_password (user_id, hash) values (%s, %s) on conflict do nothing",
        owner.user_id,
        hashed(PASSWORD),
        role="opstac_identity",
    )
    answer = await api.client.post(
        f"{AT}/token",
        data={
            "grant_type": "password",
            "client_id": "geopera-cli",
            "password": PASSWORD,
            "username": f"{owner.user_id}@example.org",
            **form,
        },
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_of_two_polls_at_once_one_gets_the_tokens(api: Api) -> None:
    """Many times over, as a race is won now and then only."""
    owner = await api.organization()
    headers = {"Authorization": f"Bearer {owner.token}"}
    verifier = secrets.token_urlsafe(48)
    challenge = part(hashlib.sha256(verifier.encode()).digest())
    for _ in range(5):
        began = await api.client.post(
            f"{AT}/auth/device",
            data={
                "client_id": "geopera-cli",
                "scope": "openid",
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            },
        )
        device = began.json()
        form = {
            "grant_type": DEVICE,
            "client_id": "geopera-cli",
            "code_verifier": verifier,
            "device_code": device["device_code"],
        }
        decide = {"user_code": device["user_code"], "action": "approve"}
        answers = await asyncio.gather(
            api.client.post("/device/approve", data=decide, headers=headers),
            *(api.client.post(f"{AT}/token", data=form) for _ in range(2)),
        )
        last = await asyncio.gather(*(api.client.post(f"{AT}/token", data=form) for _ in range(2)))
        given = [a for a in (*answers[1:], *last) if a.status_code == 200]
        assert len(given) <= 1
        rows = api.sql(
            "select count(*) as n from sign_in where user_id = %s",
            owner.user_id,
            role="opstac_identity",
        )
        assert rows[0]["n"] <= _ + 1


async def test_guesses_at_client_secrets_passwords_and_codes_are_counted(
    dsn: str, tmp_path: Path
) -> None:
    limits = Limits(10**6, 10**6, 10**6, public=10**6, reads=10**6, public_reads=12)
    async with on_database(dsn, tmp_path, limits=limits) as api:
        form = {"grant_type": "client_credentials", "client_id": "geopera"}
        while time.time() % 60 > 50:  # within one window
            await asyncio.sleep(0.5)
        guesses = [
            await api.client.post(f"{AT}/token", data={**form, "client_secret": f"gpra_{'x' * 57}"})
            for _ in range(20)
        ]
        statuses = [guess.status_code for guess in guesses]
        assert set(statuses[:12]) <= {401} and set(statuses[12:]) == {429}, statuses
        assert int(guesses[-1].headers["retry-after"]) > 0
        # the same count for every way to a token, from one address
        refresh = {"grant_type": "refresh_token", "client_id": "geopera-cli", "refresh_token": "x"}
        assert (await api.client.post(f"{AT}/token", data=refresh)).status_code == 429


FORMS = [
    "/sign-in",
    "/sign-up",
    "/sign-out",
    "/account/password",
    "/account/organization",
    "/device/approve",
    "/invitations/abcdefghijklmnopqrstuvwxyz",
    f"{AT}/auth",
    "/lost-password",
    "/reset-password/abcdefghijklmnop",
    "/confirm-address/abcdefghijklmnop",
    "/account/confirm",
]


async def test_every_form_is_tried(api: Api) -> None:
    """Each page's form, so that a new one is not forgotten."""
    templates = Path(__file__).parents[2] / "ops_gateway" / "surfaces" / "templates"
    found: set[str] = set()
    for template in templates.glob("*.html"):
        found |= set(re.findall(r'<form method="post" action="([^"]+)"', template.read_text()))
    written = {path for path in found if "{" not in path}
    assert written <= set(FORMS) and len(found - written) == 2, found


@pytest.mark.parametrize("path", FORMS)
async def test_no_form_is_taken_from_elsewhere(api: Api, path: str) -> None:
    """Without the token of the very browser, from another site, or with another browser's."""
    mine = httpx.AsyncClient(
        transport=httpx.ASGITransport(api.platform.app), base_url="http://testserver"
    )
    theirs = httpx.AsyncClient(
        transport=httpx.ASGITransport(api.platform.app), base_url="http://testserver"
    )

    async def token_of(browser: httpx.AsyncClient) -> str:
        page = await browser.get("/sign-in")
        found = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert found is not None
        return found[1]

    good, other = await token_of(mine), await token_of(theirs)
    fields = {"email": "a@example.org", "password": PASSWORD, "action": "approve"}
    tries: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {}),
        ({"csrf": ""}, {}),
        ({"csrf": other}, {}),
        ({"csrf": good[:-1]}, {}),
        ({"csrf": good}, {"Origin": "https://evil.example"}),
        ({"csrf": good}, {"Origin": "http://testserver.evil.example"}),
        ({"csrf": good}, {"Sec-Fetch-Site": "cross-site"}),
        ({"csrf": good}, {"Sec-Fetch-Site": "same-site"}),
    ]
    for extra, headers in tries:
        answer = await mine.post(path, data=fields | extra, headers=headers)
        assert answer.status_code == 400, (path, extra, headers, answer.status_code)
        assert "set-cookie" not in answer.headers or "opstac=" in answer.headers["set-cookie"]
    answer = await mine.post(
        path, content=json.dumps(fields | {"csrf": good}), headers={"Content-Type": "text/plain"}
    )
    assert answer.status_code == 400
    for browser in (mine, theirs):
        await browser.aclose()


ELSEWHERE = [
    "http://127.0.0.1:7777@evil.example/",
    "http://127.0.0.1.evil.example/",
    "http://localhost\\@evil.example/",
    "http://evil.example#@localhost/",
    "http://localhost.evil.example/",
    "http://user@localhost/",
    "https://localhost/",
    "http://0.0.0.0.evil.example/",
    "javascript:alert(1)",
    "http://[::1].evil.example/",
    "data:text/html,x",
    "//localhost/",
    "http://2130706433.evil.example/",
    "http://localhost:99999999/",
    "http://127.0.0.1#x",
    "",
]


@pytest.mark.parametrize("uri", ELSEWHERE)
async def test_a_code_is_sent_nowhere_else(api: Api, uri: str) -> None:
    assert not is_loopback(uri)
    ask = {
        "response_type": "code",
        "client_id": "opstac-cli",
        "redirect_uri": uri,
        "state": "s",
        "code_challenge": "x" * 43,
        "code_challenge_method": "S256",
    }
    answer = await api.client.get(f"{AT}/auth", params=ask)
    assert answer.status_code in (400, 303), answer.text
    to = answer.headers.get("location", "/")
    assert urlsplit(to).netloc in ("", "testserver")


def test_a_registered_address_is_whole() -> None:
    client = parse_clients("atlas=https://atlas.example/callback")["atlas"]
    assert client.check_redirect_uri("https://atlas.example/callback")
    for near in (
        "https://atlas.example/callback/",
        "https://atlas.example/callback?x",
        "http://atlas.example/callback",
        "https://atlas.example/callback#x",
        "https://atlas.example/callback/../evil",
        "https://ATLAS.example/callback",
        "https://atlas.example:443/callback",
        "http://localhost/callback",
        "https://atlas.example/",
    ):
        assert not client.check_redirect_uri(near), near


@pytest.mark.parametrize("name", ["opstac", "worker", "geopera", "opstac-cli"])
def test_no_client_has_the_name_of_an_audience_of_ours(name: str) -> None:
    """Its id tokens would be taken for access tokens."""
    with pytest.raises(ValueError, match="is not a client"):
        parse_clients(f"{name}=https://atlas.example/callback")


@pytest.mark.parametrize(
    "path",
    [
        "///evil.example",
        "/\t/evil.example",
        "/\r\nLocation: https://evil.example",
        "\\\\evil.example",
        "/é",
        " /account",
        "http:/evil.example",
        "https:evil.example",
        "/" + "x" * 2001,
        "/a b",
        "?x",
        "#x",
        ".",
    ],
)
async def test_going_on_stays_here(api: Api, path: str) -> None:
    assert local_path(path, "/account") == "/account"
    page = await api.client.get("/sign-in", params={"next": path})
    assert 'name="next" value="/account"' in page.text


async def test_a_signed_address_opens_its_object_alone(api: Api) -> None:
    objects, keys = api.platform.services.objects, api.platform.keys
    await objects.put("org_a/mine.tif", b"mine")
    await objects.put("org_b/theirs.tif", b"theirs")
    grant = signing.Grant("get", "org_a/mine.tif", int(time.time()) + 60)
    query = signing.sign(grant, keys.storage)
    get = api.client.get
    assert (await get(f"/storage/org_a/mine.tif?{query}")).content == b"mine"
    dots = ["..", "%2e%2e", "%2E.", "%252e%252e", "..;", ".%00.", "%c0%ae%c0%ae", "%uff0e%uff0e"]
    slashes = ["/", "%2f", "%252f", "\\", "%5c", "//"]
    for dot in dots:
        for slash in slashes:
            for path in (
                f"org_a{slash}{dot}{slash}org_b/theirs.tif",
                f"org_a/mine.tif{slash}{dot}{slash}{dot}{slash}org_b/theirs.tif",
                f"{dot}{slash}storage/org_b/theirs.tif",
            ):
                url = httpx.URL("http://testserver", raw_path=f"/storage/{path}?{query}".encode())
                answer = await get(url)
                assert answer.status_code in (400, 403, 404), (path, answer.status_code)
                assert answer.content != b"theirs"
    for path in (
        "org_b/theirs.tif",
        "org_a/mine.tif/",
        "/org_a/mine.tif",
        "ORG_A/mine.tif",
        "org_a//mine.tif",
    ):
        answer = await get(f"/storage/{quote(path)}?{query}")
        assert answer.status_code in (403, 404), path
    pairs = query.split("&")
    turned = "&".join(reversed(pairs))
    assert (await get(f"/storage/org_a/mine.tif?{turned}")).content == b"mine"
    # what we do not know is let be, as trackers add to addresses; what we know stands once
    assert (await get(f"/storage/org_a/mine.tif?{query}&utm_source=x")).content == b"mine"
    for changed in (
        f"{query}&exp=9999999999",
        f"exp=9999999999&{query}",
        query.replace("exp=", "exp=0"),
        query.replace("exp=", "exp=%2B"),
        f"{query}&max=5",
        f"{query}&payer=eA",
        f"{query}&name=eA",
        f"{query}&for=eA",
        f"{query}&sig={'0' * 64}",
        query.replace("sig=", "sig=%20"),
        query.upper(),
        query.replace("&", ";"),
        "",
        pairs[0],
        pairs[1],
    ):
        assert (await get(f"/storage/org_a/mine.tif?{changed}")).status_code == 403, changed
    put = await api.client.put(f"/storage/org_a/mine.tif?{query}", content=b"new")
    assert put.status_code == 403
    assert (await get(f"/storage/org_a/mine.tif?{query}")).content == b"mine"


async def test_tokens_of_the_key_before_hold_through_every_door_after_a_rotation(api: Api) -> None:
    owner = await api.organization()
    made = await signed_in(api, owner)
    api.sql(
        "update session_key set generation = generation + 1, rotated_at = now(), floor = generation"
    )
    try:
        headers = {"Authorization": f"Bearer {made['access_token']}"}
        for path in ("/v1/op/organizations.get", f"{AT}/userinfo", "/assets/stac/search"):
            assert (await api.client.get(path, headers=headers)).status_code == 200
        form = {"grant_type": "refresh_token", "client_id": "geopera-cli"}
        again = await api.client.post(
            f"{AT}/token", data={**form, "refresh_token": made["refresh_token"]}
        )
        token = again.json()["access_token"]
        head = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
        assert head["kid"] == "session-2"
        kids = [k["kid"] for k in (await api.client.get(f"{AT}/certs")).json()["keys"]]
        assert {"session-1", "session-2"} <= set(kids)
    finally:
        api.sql("update session_key set generation = 1, floor = 1")
