"""Sign-in by another provider: one of our own making that tells the truth, and lies, on demand."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from ops_gateway.providers import openid
from ops_gateway.providers.openid_settings import ProviderSettings
from opstac.server import MetricsServer, listen
from opstac.settings import read_provider
from opstac.variables import BadVariable
from tests.conftest import Api, on_database
from tests.identity.test_pages import Browser, address, signed_up

CALLBACK = "/sign-in/external/callback"


class Provider:
    """An OpenID Connect provider for tests; `lies` change what it says."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.key = rsa.generate_private_key(65537, 2048)
        self.foreign = ec.generate_private_key(ec.SECP256R1())
        self.person: dict[str, Any] = {}
        self.lies: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.discovery: dict[str, Any] = {}
        self.signs_by: Any = None
        self.token_answer: Any = None
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[dict[str, str]] = []
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self.configuration),
                Route("/authorize", self.authorize),
                Route("/token", self.token, methods=["POST"]),
                Route("/jwks", self.jwks),
            ]
        )

    async def configuration(self, request: Request) -> Response:
        found = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize?tenant=t",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            **self.discovery,
        }
        return JSONResponse(found)

    async def jwks(self, request: Request) -> Response:
        key = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        encryption = {**key, "kid": "enc", "use": "enc"}
        return JSONResponse({"keys": [{**key, "kid": "k1", "use": "sig"}, encryption]})

    async def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        self.asked.append(asked)
        code = secrets.token_urlsafe(8)
        self.codes[code] = asked
        back = httpx.URL(asked["redirect_uri"]).copy_merge_params(
            {"code": code, "state": asked["state"], "iss": self.url}
        )
        return RedirectResponse(str(back), 302)

    async def token(self, request: Request) -> Response:
        if self.token_answer is not None:
            return await self.token_answer(request)
        form = {k: str(v) for k, v in (await request.form()).items()}
        asked = self.codes.pop(form["code"], None)
        basic = base64.b64encode(b"opstac:the+secret").decode()
        challenge = hashlib.sha256(form["code_verifier"].encode()).digest()
        proved = base64.urlsafe_b64encode(challenge).rstrip(b"=").decode()
        if asked is None or asked["code_challenge"] != proved:
            return JSONResponse({"error": "invalid_grant"}, 400)
        if request.headers.get("authorization") != f"Basic {basic}":
            return JSONResponse({"error": "invalid_client"}, 401)
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": "opstac",
            "iat": now,
            "exp": now + 60,
            "nonce": asked["nonce"],
            **self.person,
            **self.lies,
        }
        claims = {k: v for k, v in claims.items() if v is not None}
        header = {"kid": "k1", **self.header}
        algorithm = header.pop("alg", "RS256")
        key = self.signs_by or self.key
        token = jwt.encode(claims, key, algorithm, headers=header)
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": token})


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    with listen("127.0.0.1", 0) as listener:
        made = Provider(f"http://127.0.0.1:{listener.getsockname()[1]}")
        config = uvicorn.Config(
            made.app, log_config=None, access_log=False, lifespan="off", ws="none"
        )
        server = MetricsServer(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        yield made
        server.should_exit = True
        await serving


@pytest.fixture
async def linked(dsn: str, tmp_path: Path, provider: Provider) -> AsyncIterator[Api]:
    oidc = ProviderSettings(provider.url, "opstac", "the secret", "Acme")
    async with on_database(dsn, tmp_path, sign_up="open", oidc=oidc) as api:
        yield api


async def goes(browser: Browser, path: str = "/sign-in/external") -> httpx.Response:
    """Through the provider and back, as a browser does."""
    begun = await browser.http.get(path, follow_redirects=False)
    assert begun.status_code == 303, begun.text
    async with httpx.AsyncClient() as outside:
        back = (await outside.get(begun.headers["location"])).headers["location"]
    assert back.startswith(f"http://testserver{CALLBACK}?")
    browser.page = await browser.http.get(back)
    return browser.page


def somebody(**changes: Any) -> dict[str, Any]:
    subject = secrets.token_hex(6)
    return {
        "sub": subject,
        "email": f"{subject}@example.org",
        "email_verified": True,
        "name": "Mo",
        **changes,
    }


async def test_a_person_comes_by_the_provider_and_comes_again(
    linked: Api, provider: Provider
) -> None:
    provider.person = somebody()
    browser = Browser(linked)
    page = await browser.open("/sign-in?next=/device")
    assert "Sign in with Acme" in page.text and "/sign-in/external?next=" in page.text
    page = await goes(browser, "/sign-in/external?next=/account")
    assert page.url.path == "/account", page.text
    assert provider.person["email"] in page.text
    [asked] = provider.asked
    assert asked["code_challenge_method"] == "S256" and asked["scope"] == "openid email profile"
    assert asked["tenant"] == "t" and len(asked["state"]) >= 40 and len(asked["nonce"]) >= 40
    rows = linked.sql(
        "select id::text, email_verified_at is not null as verified from app_user where email = %s",
        provider.person["email"],
    )
    assert len(rows) == 1 and rows[0]["verified"]
    # by the subject from then on, whatever the address is
    provider.person |= {"email": address(), "email_verified": False}
    again = Browser(linked)
    page = await goes(again)
    assert page.url.path == "/account" and rows[0]["id"]
    count = linked.sql(
        "select count(*) as n from user_identity where subject = %s",
        provider.person["sub"],
        role="opstac_identity",
    )
    assert count[0]["n"] == 1
    # no password came with it
    page = await Browser(linked).http.get("/sign-in")
    assert page.status_code == 200


async def test_an_account_of_a_confirmed_address_is_linked(linked: Api, provider: Provider) -> None:
    email = address()
    await signed_up(linked, email)
    linked.sql("update app_user set email_verified_at = now() where email = %s", email)
    provider.person = somebody(email=email.upper())
    page = await goes(Browser(linked))
    assert page.url.path == "/account" and email in page.text


async def test_nobody_is_linked_by_an_address_that_was_not_confirmed(
    linked: Api, provider: Provider
) -> None:
    """Neither there, as anybody could claim it, nor here, as anybody could have waited with it."""
    email = address()
    await signed_up(linked, email)
    provider.person = somebody(email=email)
    page = await goes(Browser(linked))
    assert page.status_code == 403 and "nobody has confirmed" in page.text
    linked.sql("update app_user set email_verified_at = now() where email = %s", email)
    for verified in (False, None, "true", 1):
        provider.person["email_verified"] = verified
        page = await goes(Browser(linked))
        assert page.status_code == 403 and "does not say" in page.text, verified
    for none in (None, "", 5, "a\0@example.org"):
        provider.person |= {"email_verified": True, "email": none}
        assert (await goes(Browser(linked))).status_code == 403


async def test_a_closed_account_stays_closed(linked: Api, provider: Provider) -> None:
    provider.person = somebody()
    await goes(Browser(linked))
    linked.sql("update app_user set disabled_at = now() where email = %s", provider.person["email"])
    page = await goes(Browser(linked))
    assert page.status_code == 403 and "closed" in page.text


@pytest.mark.parametrize(
    "lies",
    [
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"aud": ["opstac", "another"]},
        {"aud": ["opstac", "another"], "azp": "another"},
        {"azp": "another"},
        {"exp": 1},
        {"exp": None},
        {"iat": 2**40},
        {"nonce": None},
        {"nonce": "x"},
        {"nonce": 5},
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 300},
        {"sub": 5},
        {"iss": None},
        {"aud": None},
    ],
)
async def test_an_id_token_that_says_something_else_lets_nobody_in(
    linked: Api, provider: Provider, lies: dict[str, Any]
) -> None:
    provider.person, provider.lies = somebody(), lies
    browser = Browser(linked)
    assert (await goes(browser)).status_code == 403
    assert (await browser.open("/account")).url.path == "/sign-in"
    rows = linked.sql("select 1 from app_user where email = %s", provider.person["email"])
    assert rows == []


async def test_an_id_token_that_somebody_else_signed_lets_nobody_in(
    linked: Api, provider: Provider
) -> None:
    provider.person = somebody()
    public = jwt.algorithms.RSAAlgorithm.to_jwk(provider.key.public_key())
    other = rsa.generate_private_key(65537, 2048)
    for header, key in (
        ({"alg": "HS256"}, "the secret, long enough for SHA-256"),
        ({"alg": "HS256"}, public),
        ({"alg": "none"}, ""),
        ({}, other),
        ({"kid": "unknown"}, provider.key),
        ({"kid": "enc"}, provider.key),
        ({"alg": "ES256"}, provider.foreign),
        ({"crit": ["exp"]}, provider.key),
        ({"jku": "https://evil.example/jwks", "kid": "evil"}, other),
    ):
        provider.header, provider.signs_by = header, key
        page = await goes(Browser(linked))
        assert page.status_code == 403, header
    provider.header, provider.signs_by = {}, None
    assert (await goes(Browser(linked))).url.path == "/account"


@pytest.mark.parametrize("odd", ["\ud800", "a\0b"])
async def test_claims_that_cannot_be_kept_are_no_fault(
    linked: Api, provider: Provider, odd: str
) -> None:
    for claim, status in (("sub", 403), ("email", 403), ("name", 200)):
        value = f"{secrets.token_hex(4)}{odd}@example.org"
        provider.person = somebody(**{claim: value})
        assert (await goes(Browser(linked))).status_code == status, claim


async def test_an_answer_belongs_to_the_browser_that_asked(linked: Api, provider: Provider) -> None:
    """Login CSRF: an attacker's own answer, sent to a victim; and one that comes twice."""
    provider.person = somebody()
    thief, victim = Browser(linked), Browser(linked)
    begun = await thief.http.get("/sign-in/external", follow_redirects=False)
    async with httpx.AsyncClient() as outside:
        back = (await outside.get(begun.headers["location"])).headers["location"]
    assert (await victim.http.get(back)).status_code == 403
    await victim.http.get("/sign-in/external", follow_redirects=False)
    assert (await victim.http.get(back)).status_code == 403
    query = parse_qs(urlsplit(back).query)
    for wrong in (
        {},
        {"state": "x"},
        {"code": query["code"][0]},
        {"state": query["state"][0]},
        {"state": query["state"][0], "error": "access_denied"},
        {"state": "é", "code": "x"},
        {"state": query["state"][0], "code": query["code"][0], "iss": "https://evil.example"},
    ):
        begun = await thief.http.get("/sign-in/external", follow_redirects=False)
        state = parse_qs(urlsplit(begun.headers["location"]).query)["state"][0]
        given = {k: state if k == "state" and v not in ("x", "é") else v for k, v in wrong.items()}
        answer = await thief.http.get(CALLBACK, params=given)
        assert answer.status_code == 403, wrong
    # what was kept is gone after one way back, whatever came of it
    assert (await thief.http.get(back)).status_code == 403
    forged = Browser(linked)
    for cookie in ("x", "gAAAAA", linked.platform.keys.seal(b'{"for":"other"}').decode()):
        forged.http.cookies.set("opstac-external", cookie)
        assert (await forged.http.get(back)).status_code == 403


async def test_a_planted_cookie_is_worth_nothing_after_it(linked: Api, provider: Provider) -> None:
    provider.person = somebody()
    browser = Browser(linked)
    await browser.open("/sign-in")
    planted = browser.http.cookies["opstac"]
    await goes(browser)
    assert browser.http.cookies["opstac"] != planted
    thief = Browser(linked)
    thief.http.cookies.set("opstac", planted)
    assert (await thief.open("/account")).url.path == "/sign-in"


async def test_going_on_afterwards_stays_here(linked: Api, provider: Provider) -> None:
    provider.person = somebody()
    for onward in ("https://evil.example", "//evil.example", "/\\evil.example"):
        browser = Browser(linked)
        page = await goes(browser, f"/sign-in/external?next={onward}")
        assert page.url.host == "testserver" and page.url.path == "/account"


async def test_what_the_provider_sends_is_bounded(
    linked: Api, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openid, "SECONDS", 0.5)
    provider.person = somebody()

    async def huge(request: Request) -> Response:
        async def without_end() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b" " * 65536
                await asyncio.sleep(0)

        return StreamingResponse(without_end(), media_type="application/json")

    async def slow(request: Request) -> Response:
        await asyncio.sleep(5)
        return JSONResponse({})

    async def compressed(request: Request) -> Response:
        return Response(b"x", headers={"Content-Encoding": "gzip"})

    async def elsewhere(request: Request) -> Response:
        return RedirectResponse("http://127.0.0.1:1/")

    async def nonsense(request: Request) -> Response:
        return Response(b"<html>", media_type="text/html")

    async def a_list(request: Request) -> Response:
        return JSONResponse([])

    async def no_token(request: Request) -> Response:
        return JSONResponse({"access_token": "x", "token_type": "Bearer"})

    async def a_fault(request: Request) -> Response:
        return Response(status_code=500)

    for answer in (huge, slow, compressed, elsewhere, nonsense, a_list, no_token, a_fault):
        provider.token_answer = answer
        page = await goes(Browser(linked))
        assert page.status_code == 403 and "Acme cannot be reached" in page.text, answer
    provider.token_answer = None
    assert (await goes(Browser(linked))).url.path == "/account"


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": None},
        {"token_endpoint": "file:///etc/passwd"},
        {"jwks_uri": "http://evil.example/jwks"},
        {"authorization_endpoint": "javascript:alert(1)"},
    ],
)
async def test_discovery_that_is_not_the_providers_is_not_followed(
    linked: Api, provider: Provider, discovery: dict[str, Any]
) -> None:
    provider.discovery = discovery
    answer = await linked.client.get("/sign-in/external")
    assert answer.status_code == 403 and "Acme cannot be reached" in answer.text


async def test_without_a_provider_there_is_no_such_page(api: Api) -> None:
    assert "external" not in (await api.client.get("/sign-in")).text
    assert (await api.client.get("/sign-in/external")).status_code == 404


def test_what_the_operator_sets_is_looked_at() -> None:
    good = {
        "OPSTAC_OIDC_ISSUER": "https://id.example.org/realms/a",
        "OPSTAC_OIDC_CLIENT_ID": "maps",
    }
    found = read_provider(good)
    assert found is not None and found.shown == "id.example.org" and found.client_secret is None
    assert read_provider({}) is None
    for wrong in (
        {"OPSTAC_OIDC_ISSUER": "http://id.example.org"},
        {"OPSTAC_OIDC_ISSUER": "id.example.org"},
        {"OPSTAC_OIDC_ISSUER": "https://id.example.org?x"},
        {"OPSTAC_OIDC_CLIENT_ID": ""},
    ):
        with pytest.raises(BadVariable):
            read_provider(good | wrong)
    secret = read_provider(good | {"OPSTAC_OIDC_CLIENT_SECRET": "hidden away"})
    assert "hidden away" not in repr(secret)
