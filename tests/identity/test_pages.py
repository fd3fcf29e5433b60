"""The account pages as a browser without JavaScript uses them."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from ops_gateway.identity.forms import local_path
from tests.conftest import Api, Person, on_database

AT = "/realms/public/protocol/openid-connect"
PASSWORD = "a long enough secret"


class Browser:
    """Follows links, keeps cookies and sends the form of the page it is on."""

    def __init__(self, api: Api) -> None:
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(api.platform.app, raise_app_exceptions=False),
            base_url="http://testserver",
            follow_redirects=True,
        )
        self.page: httpx.Response | None = None

    async def open(self, path: str) -> httpx.Response:
        self.page = await self.http.get(path)
        return self.page

    async def send(self, action: str, /, *, follow: bool = True, **fields: str) -> httpx.Response:
        assert self.page is not None
        form = re.search(
            rf'<form method="post" action="{re.escape(action)}[^"]*">(.*?)</form>',
            self.page.text,
            re.DOTALL,
        )
        assert form, self.page.text
        hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[1])
        target = re.search(rf'action="({re.escape(action)}[^"]*)"', self.page.text)
        assert target
        self.page = await self.http.post(
            target[1].replace("&amp;", "&"),
            data={**dict(hidden), **fields},
            follow_redirects=follow,
        )
        return self.page


@pytest.fixture
async def open_api(dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with on_database(dsn, tmp_path, sign_up="open") as api:
        yield api


def address() -> str:
    return f"{secrets.token_hex(6)}@example.org"


async def signed_up(
    api: Api, email: str, path: str = "/sign-up", *, account: str | None = None
) -> Browser:
    """`account`: the address of the account, where it is not the one that is typed."""
    browser = Browser(api)
    await browser.open(path)
    page = await browser.send("/sign-up", name="Mo", email=email, password=PASSWORD)
    assert page.status_code == 200, page.text
    link = re.search(r'href="(/sign-in\?next=[^"]+)"', page.text)
    assert link is not None
    await browser.open(link[1].replace("&amp;", "&"))
    page = await browser.send("/sign-in", email=account or email, password=PASSWORD)
    assert page.status_code == 200, page.text
    return browser


async def test_sign_up_make_an_organization_and_connect_a_device(open_api: Api) -> None:
    email = address()
    browser = await signed_up(open_api, email)
    assert browser.page is not None and email in browser.page.text
    assert "none yet" in browser.page.text
    open_api.keep_slot_free()
    page = await browser.send("/account/organization", name="Harbour & Sons")
    assert "Harbour &amp; Sons" in page.text

    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    form = {"client_id": "geopera-cli", "scope": "openid profile",
            "code_challenge": challenge, "code_challenge_method": "S256"}  # fmt: skip
    device = (await open_api.client.post(f"{AT}/auth/device", data=form)).json()
    page = await browser.open(device["verification_uri_complete"])
    assert device["user_code"] in page.text and "geopera-cli" in page.text
    page = await browser.send("/device/approve", action="approve")
    assert "is connected" in page.text
    got = await open_api.client.post(
        f"{AT}/token",
        data={
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "client_id": "geopera-cli",
            "device_code": device["device_code"],
            "code_verifier": verifier,
        },
    )
    owner = Person(got.json()["access_token"])
    found = await open_api.ok("organizations.get", as_=owner)
    assert found["organization"]["name"] == "Harbour & Sons"


async def test_signing_out_and_a_new_password_end_sessions(open_api: Api) -> None:
    email = address()
    here = await signed_up(open_api, email)
    there = Browser(open_api)
    await there.open("/sign-in?next=/account")
    page = await there.send("/sign-in", email=email, password="not the password")
    assert page.status_code == 403 and "wrong" in page.text
    page = await there.send("/sign-in", email=email.upper(), password=PASSWORD)
    assert page.status_code == 200 and email in page.text
    page = await here.send("/account/password", current="not this one", password="x" * 12)
    assert page.status_code == 403
    page = await here.send("/account/password", current=PASSWORD, password="short")
    assert page.status_code == 422
    page = await here.send("/account/password", current=PASSWORD, password="quite another one")
    assert page.status_code == 200 and email in page.text
    assert (await there.open("/account")).url.path == "/sign-in"
    page = await there.send("/sign-in", email=email, password=PASSWORD)
    assert page.status_code == 403
    await here.open("/account")
    await here.send("/sign-out")
    assert (await here.open("/account")).url.path == "/sign-in"


async def test_sign_up_answers_the_same_for_an_address_that_is_taken(open_api: Api) -> None:
    """Here nothing is mailed; who then tries the password learns whether it is their account."""
    taken, free = address(), address()
    await signed_up(open_api, taken)
    pages = set()
    for email in (taken, free):
        browser = Browser(open_api)
        await browser.open("/sign-up")
        page = await browser.send("/sign-up", email=email, password="another long secret")
        text = page.text.replace(email, "ADDRESS")
        pages.add((page.status_code, re.sub(r'value="[^"]*"', "", text)))
    [(status, _)] = pages
    assert status == 200
    browser = Browser(open_api)
    await browser.open("/sign-in")
    page = await browser.send("/sign-in", email=taken, password=PASSWORD)
    assert page.status_code == 200 and taken in page.text


async def test_accounts_are_made_by_invitation_where_nothing_else_is_said(api: Api) -> None:
    browser = Browser(api)
    assert (await browser.open("/sign-up")).status_code == 403
    owner = await api.organization("Harbour")
    email = address()
    made = await api.ok(
        "organizations.invitations.create", {"email": email, "role": "viewer"}, as_=owner
    )
    path = urlsplit(made["url"]).path
    page = await browser.open(path)
    assert "Harbour" in page.text and "viewer" in page.text
    browser = await signed_up(
        api, "somebody.else@example.org", f"/sign-up?next={path}", account=email
    )
    page = await browser.send(path)
    assert "Harbour" in page.text and email in page.text  # the address of the invitation
    people = await api.ok("organizations.members.list", as_=owner)
    assert {(one["email"], one["role"]) for one in people["members"]} >= {(email, "viewer")}
    assert (await browser.open(path)).status_code == 410
    assert (await browser.open("/invitations/" + "x" * 43)).status_code == 404


async def test_a_form_from_elsewhere_does_nothing(open_api: Api) -> None:
    browser = await signed_up(open_api, address())
    for headers, fields in (
        ({}, {"name": "Stolen"}),
        ({}, {"name": "Stolen", "csrf": "x"}),
        ({}, {"name": "Stolen", "csrf": "é"}),
    ):
        answer = await browser.http.post("/account/organization", data=fields, headers=headers)
        assert answer.status_code == 400
    page = await browser.open("/account")
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert csrf
    for header in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await browser.http.post(
            "/account/organization", data={"name": "Stolen", "csrf": csrf[1]}, headers=header
        )
        assert answer.status_code == 400
    other = await signed_up(open_api, address())
    answer = await other.http.post(
        "/account/organization", data={"name": "Stolen", "csrf": csrf[1]}
    )
    assert answer.status_code == 400
    assert "none yet" in (await browser.open("/account")).text


async def test_a_cookie_from_before_signing_in_is_worth_nothing(open_api: Api) -> None:
    email = address()
    await signed_up(open_api, email)
    browser = Browser(open_api)
    await browser.open("/sign-in")
    planted = browser.http.cookies["opstac"]
    await browser.send("/sign-in", email=email, password=PASSWORD)
    assert browser.http.cookies["opstac"] != planted
    thief = Browser(open_api)
    thief.http.cookies.set("opstac", planted)
    assert (await thief.open("/account")).url.path == "/sign-in"


async def test_an_application_gets_a_code_and_tokens(open_api: Api) -> None:
    browser = await signed_up(open_api, address())
    verifier = secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    ask = {
        "response_type": "code",
        "client_id": "opstac-cli",
        "redirect_uri": "http://127.0.0.1:7777/done",
        "scope": "openid",
        "state": "s&t",
        "nonce": "n1",
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    for wrong in (
        {"redirect_uri": "https://evil.example/x"},
        {"client_id": "nobody"},
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
        {"response_type": "token"},
        {"response_type": 'c"ö'},
    ):
        answer = await browser.http.get(
            f"{AT}/auth", params={**ask, **wrong}, follow_redirects=False
        )
        assert answer.status_code in (303, 400), answer.text
        assert "evil.example" not in answer.headers.get("location", "")
        assert "code=" not in answer.headers.get("location", "")
    page = await browser.open(f"{AT}/auth?" + str(httpx.QueryParams(ask)))
    assert "127.0.0.1:7777" in page.text
    assert "form-action 'self' http://127.0.0.1:7777" in page.headers["content-security-policy"]
    denied = await browser.send(f"{AT}/auth", follow=False, action="deny")
    assert "error=access_denied" in denied.headers["location"]
    await browser.open(f"{AT}/auth?" + str(httpx.QueryParams(ask)))
    answer = await browser.send(f"{AT}/auth", follow=False, action="approve")
    back = parse_qs(urlsplit(answer.headers["location"]).query)
    assert back["state"] == ["s&t"]
    form = {
        "grant_type": "authorization_code",
        "client_id": "opstac-cli",
        "redirect_uri": ask["redirect_uri"],
        "code": back["code"][0],
    }

    async def token(**changes: str) -> httpx.Response:
        return await open_api.client.post(f"{AT}/token", data={**form, **changes})

    for wrong in (
        {},
        {"code_verifier": secrets.token_urlsafe(48)},
        {"code_verifier": verifier, "client_id": "geopera-cli"},
        {"code_verifier": verifier, "redirect_uri": "http://127.0.0.1:1/"},
    ):
        assert (await token(**wrong)).status_code == 400
    got = (await token(code_verifier=verifier)).json()
    info = {"headers": {"Authorization": f"Bearer {got['access_token']}"}}
    assert (await open_api.client.get(f"{AT}/userinfo", **info)).status_code == 200
    # a code that comes twice was stolen: what it gave ends
    assert (await token(code_verifier=verifier)).status_code == 400
    assert (await open_api.client.get(f"{AT}/userinfo", **info)).status_code == 401


@pytest.mark.parametrize(
    "path",
    ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x", "", "/a\nb", "x"],
)
def test_going_on_never_leads_elsewhere(path: str) -> None:
    assert local_path(path, "/account") == "/account"


async def test_pages_hold_no_script_and_cannot_be_framed(api: Api) -> None:
    for path in ("/sign-in", "/sign-up", "/invitations/abc"):
        page = await api.client.get(path)
        assert "<script" not in page.text
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    page = await api.client.get("/sign-in", params={"next": '/"><script>alert(1)</script>'})
    assert "<script" not in page.text
