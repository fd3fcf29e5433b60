"""Mailed links by a real SMTP server: lost passwords, whose an address is, invitations."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.controller import Controller

from ops_gateway.domains import organizations_invitations
from ops_gateway.kernel.passwords import hash_password
from ops_gateway.providers.mail import MailServer
from opstac.deliveries import drain
from tests.conftest import Api, Person, on_database
from tests.identity.test_pages import Browser, address
from tests.identity.test_pages import signed_up as signed_up_without_mail

PASSWORD = "a long enough secret"
ANOTHER = "quite another secret"
AT = "/realms/public/protocol/openid-connect"


class Inbox:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.mails: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(envelope)
        return "250 OK"

    def of(self, address: str) -> list[str]:
        """The texts that were sent to an address."""
        return [
            message_from_bytes(mail.content, policy=policy.default).get_content()
            for mail in self.mails
            if mail.rcpt_tos == [address]
        ]


class Port0(Controller):
    """A controller on a port that the system chooses."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    controller = Port0(inbox, hostname="127.0.0.1", port=0)
    controller.start()
    inbox.server = MailServer(  # type: ignore[attr-defined]
        "127.0.0.1", "Maps <maps@example.org>", port=controller.port, tls="none"
    )
    yield inbox
    controller.stop()


@pytest.fixture
async def mailing(dsn: str, tmp_path: Path, inbox: Any) -> AsyncIterator[Api]:
    async with on_database(dsn, tmp_path, sign_up="open", smtp=inbox.server) as api:
        api.inbox = inbox  # type: ignore[attr-defined]
        yield api


async def sent(api: Any, to: str, count: int = 1) -> list[str]:
    """The mails of an address, once there are so many."""
    for _ in range(100):
        await drain(api.platform.pipeline, api.platform.settings, 100)
        if len(found := api.inbox.of(to)) >= count:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{len(api.inbox.of(to))} mails and not {count}")


async def settled(api: Any) -> None:
    """What is written after an answer is written; and sent."""
    await asyncio.sleep(0.3)
    await drain(api.platform.pipeline, api.platform.settings, 100)


def paths_in(texts: list[str], kind: str) -> list[str]:
    return re.findall(rf"http://testserver(/{kind}/[^\s]+)", "\n".join(texts))


async def enter(api: Api, email: str, password: str) -> int:
    browser = Browser(api)
    await browser.open("/sign-in")
    return (await browser.send("/sign-in", email=email, password=password)).status_code


async def signs_up(
    api: Api, email: str, path: str = "/sign-up", **more: str
) -> tuple[Browser, httpx.Response]:
    browser = Browser(api)
    page = await browser.open(path)
    assert 'name="password"' not in page.text  # it is chosen by who reads the mail
    return browser, await browser.send("/sign-up", name="Mo", email=email, **more)


async def makes(api: Api, path: str, password: str) -> httpx.Response:
    """Somebody opens a link of sign-up that was mailed, and chooses a password."""
    browser = Browser(api)
    await browser.open(path)
    return await browser.send(path, name="Jo", password=password)


async def from_before(api: Any, email: str, password: str = PASSWORD) -> str:
    """An account that somebody made while the platform sent no mail; nobody confirmed it."""
    kept = await hash_password(password)
    made = await api.platform.identity.store.add_person(email, "Mo", kept, verified=False)
    assert made is not None
    return made


async def signed_up(api: Any, email: str) -> Browser:
    """Somebody who has confirmed their address and signed in."""
    browser, page = await signs_up(api, email)
    assert page.status_code == 200, page.text
    path = paths_in(await sent(api, email), "sign-up")[0]
    assert (await makes(api, path, PASSWORD)).status_code == 200
    await browser.open("/sign-in")
    await browser.send("/sign-in", email=email, password=PASSWORD)
    return browser


async def asks(api: Api, email: str) -> httpx.Response:
    browser = Browser(api)
    await browser.open("/lost-password")
    return await browser.send("/lost-password", email=email)


async def test_a_lost_password_is_replaced_once_and_ends_every_sign_in(mailing: Api) -> None:
    email = address()
    browser = await signed_up(mailing, email)
    form = {"grant_type": "password", "username": email, "password": PASSWORD}
    tokens = (await mailing.client.post(f"{AT}/token", data=form)).json()
    await asks(mailing, email.upper())
    await asks(mailing, email)
    texts = await sent(mailing, email, 3)
    assert sum("/sign-up/" in text for text in texts) == 1
    first, second = paths_in(texts, "reset-password")
    assert first != second
    # what looks through mails opens the link, and uses nothing up
    visitor = Browser(mailing)
    for _ in range(2):
        page = await visitor.open(first)
        assert page.status_code == 200 and email in page.text
        assert page.headers["referrer-policy"] == "no-referrer"
    short = await visitor.send(first, password="short")
    assert short.status_code == 422 and "at least 10" in short.text
    await visitor.open(first)
    page = await visitor.send(first, password=ANOTHER)
    assert page.status_code == 200 and "signed out everywhere" in page.text
    # used, and with it the other one
    for path in (first, second):
        assert (await visitor.open(path)).status_code == 410
    assert (await browser.open("/account")).url.path == "/sign-in"
    info = await mailing.client.get(
        f"{AT}/userinfo", headers={"Authorization": f"Bearer {tokens['access_token']}"}
    )
    assert info.status_code == 401
    again = {"grant_type": "refresh_token", "client_id": "opstac-script"}
    again["refresh_token"] = tokens["refresh_token"]
    assert (await mailing.client.post(f"{AT}/token", data=again)).status_code == 400
    assert await enter(mailing, email, PASSWORD) == 403
    assert await enter(mailing, email, ANOTHER) == 200


async def test_of_many_who_use_one_link_at_once_one_sets_the_password(mailing: Api) -> None:
    email = address()
    await signed_up(mailing, email)
    await asks(mailing, email)
    path = paths_in(await sent(mailing, email, 2), "reset-password")[0]
    browsers = [Browser(mailing) for _ in range(5)]
    for browser in browsers:
        await browser.open(path)
    pages = await asyncio.gather(
        *(b.send(path, password=f"the secret of {n}") for n, b in enumerate(browsers))
    )
    statuses = [page.status_code for page in pages]
    # some may find the machine busy with other hashes, and could try again
    assert statuses.count(200) == 1 and set(statuses) <= {200, 410, 503}
    assert await enter(mailing, email, f"the secret of {statuses.index(200)}") == 200


async def test_nobody_learns_which_addresses_are_known(mailing: Api) -> None:
    known, unknown, closed = address(), address(), address()
    for email in (known, closed):
        await signed_up(mailing, email)
    mailing.sql("update app_user set disabled_at = now() where email = %s", closed)
    answers = [await asks(mailing, email) for email in (known, unknown, closed, "nonsense", "")]
    pages = {re.sub(r'value="[^"]*"', "", answer.text) for answer in answers}
    assert len(pages) == 1 and {a.status_code for a in answers} == {200}
    # nothing of it happens before the answer: there is no time to be measured
    await sent(mailing, known, 2)
    await settled(mailing)
    to = [mail.rcpt_tos[0] for mail in mailing.inbox.mails]  # type: ignore[attr-defined]
    assert unknown not in to and to.count(closed) == 1  # the one of its sign-up


async def test_sign_up_tells_nobody_but_the_address_that_it_is_taken(mailing: Api) -> None:
    taken, free = address(), address()
    await signed_up(mailing, taken)
    pages = set()
    for email in (taken, taken.upper(), free):
        _, page = await signs_up(mailing, email, password=ANOTHER)
        assert page.status_code == 200 and "set-cookie" not in page.headers
        pages.add(re.sub(r'value="[^"]*"', "", page.text.replace(email.lower(), "ADDRESS")))
        # nor does signing in tell: no account is made yet
        assert await enter(mailing, email, ANOTHER) == 403
        form = {"grant_type": "password", "username": email, "password": ANOTHER}
        assert (await mailing.client.post(f"{AT}/token", data=form)).status_code == 400
    assert len(pages) == 1
    texts = await sent(mailing, taken, 3)
    assert sum("there is one already" in text for text in texts) == 2
    assert await enter(mailing, taken, PASSWORD) == 200
    [text] = await sent(mailing, free)
    [path] = paths_in([text], "sign-up")
    assert (await makes(mailing, path, "short")).status_code == 422
    assert (await makes(mailing, path, ANOTHER)).status_code == 200
    assert await enter(mailing, free, ANOTHER) == 200
    assert (await Browser(mailing).open(path)).status_code == 410


async def test_an_account_that_was_never_confirmed_is_its_addresss_by_a_new_password(
    mailing: Api,
) -> None:
    """Somebody signed up with a stranger's address; the stranger comes later."""
    email = address()
    await from_before(mailing, email, ANOTHER)
    await asks(mailing, email)
    path = paths_in(await sent(mailing, email), "reset-password")[0]
    visitor = Browser(mailing)
    await visitor.open(path)
    await visitor.send(path, password=PASSWORD)
    assert await enter(mailing, email, PASSWORD) == 200
    assert await enter(mailing, email, ANOTHER) == 403


async def test_mails_of_sign_up_are_three_an_hour(mailing: Api) -> None:
    email = address()
    for _ in range(5):
        assert (await signs_up(mailing, email))[1].status_code == 200
    await sent(mailing, email, 3)
    await settled(mailing)
    assert len(mailing.inbox.of(email)) == 3  # type: ignore[attr-defined]


async def test_an_inviter_does_not_learn_whether_there_is_an_account(mailing: Api) -> None:
    owner, taken, free = await owner_of(mailing), address(), address()
    await signed_up(mailing, taken)
    pages = set()
    for email in (taken, free):
        made = await mailing.ok("organizations.invitations.create", {"email": email}, as_=owner)
        path = made["url"].removeprefix("http://testserver")
        _, page = await signs_up(mailing, email, f"/sign-up?next={path}")
        text = page.text.replace(email, "ADDRESS").replace(path.rpartition("/")[2], "TOKEN")
        pages.add((page.status_code, re.sub(r'value="[^"]*"', "", text)))
    assert len(pages) == 1


async def test_three_mails_an_hour_go_to_an_address(mailing: Api) -> None:
    email = address()
    await signed_up(mailing, email)
    for _ in range(5):
        assert (await asks(mailing, email)).status_code == 200
    await sent(mailing, email, 4)
    await settled(mailing)
    assert len(mailing.inbox.of(email)) == 4  # type: ignore[attr-defined]


async def test_a_link_that_is_old_or_for_another_address_opens_nothing(mailing: Api) -> None:
    email = address()
    await signed_up(mailing, email)
    await asks(mailing, email)
    path = paths_in(await sent(mailing, email, 2), "reset-password")[0]
    token = path.rpartition("/")[2]
    kept = mailing.sql(
        "select t::text as row from mail_token t", role="opstac_identity"
    ) + mailing.sql("select m::text as row from mail m")
    assert kept and not any(token in row["row"] for row in kept)
    visitor = Browser(mailing)
    for wrong in (f"/confirm-address/{token}", f"{path}x", "/reset-password/" + "x" * 300):
        assert (await visitor.open(wrong)).status_code == 410
    for change in ("expires_at = now()", "email = 'other@example.org', expires_at = now() + '1 h'"):
        mailing.sql(f"update mail_token set {change}", role="opstac_identity")
        assert (await visitor.open(path)).status_code == 410


async def test_a_mails_link_never_leads_to_a_host_that_a_request_names(mailing: Api) -> None:
    email = address()
    await signed_up(mailing, email)
    browser = Browser(mailing)
    page = await browser.open("/lost-password")
    csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert csrf is not None
    await browser.http.post(
        "/lost-password",
        data={"csrf": csrf[1], "email": email},
        headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"},
    )
    assert not any("evil" in text for text in await sent(mailing, email, 2))


async def test_without_a_mail_server_the_pages_say_so(dsn: str, tmp_path: Path) -> None:
    async with on_database(dsn, tmp_path, sign_up="open") as api:
        page = await api.client.get("/lost-password")
        assert "sends no mail" in page.text and "<form" not in page.text
        browser = await signed_up_without_mail(api, address())
        assert "not confirmed" not in (await browser.open("/account")).text


async def owner_of(api: Api) -> Person:
    return await api.organization("Harbour works")


async def signed_in_anyway(api: Any, browser: Browser, email: str) -> Browser:
    """With a session although nobody confirmed the address."""
    [row] = api.sql("select id::text from app_user where email = %s", email)
    server = api.platform.identity
    browser.http.cookies.set("opstac", await server.store.open_session(row["id"], None))
    return browser


async def joins(browser: Browser, path: str) -> httpx.Response:
    await browser.open(path)
    return await browser.send(path.partition("?")[0])


async def test_who_typed_somebody_elses_address_joins_nothing_by_it(mailing: Api) -> None:
    """An account with the address of somebody who is invited, before they come."""
    victim = address()
    thief, page = await signs_up(mailing, victim)
    assert "on its way" in page.text
    await sent(mailing, victim)
    await from_before(mailing, victim)
    thief = await signed_in_anyway(mailing, thief, victim)
    owner = await owner_of(mailing)
    body = {"email": victim, "role": "admin"}
    made = await mailing.ok("organizations.invitations.create", body, as_=owner)
    # even with the URL that the inviter has, who may have told it
    page = await joins(thief, made["url"].removeprefix("http://testserver"))
    assert page.status_code == 403 and "confirm your e-mail address" in page.text
    for proof in ("", "0" * 64, "é"):
        path = f"{made['url'].removeprefix('http://testserver')}?mailed={proof}"
        assert (await joins(thief, path)).status_code == 403
    found = mailing.sql(
        "select count(*) as n from organization_member where organization_id = %s",
        owner.organization_id,
    )
    assert found[0]["n"] == 1
    # the one who reads the mails has what it takes
    texts = await sent(mailing, victim, 2)
    [path] = paths_in(texts, "invitations")
    assert "?mailed=" in path and len(paths_in(texts, "sign-up")) == 1


async def test_a_confirmed_address_joins(mailing: Api) -> None:
    email = address()
    await from_before(mailing, email)
    browser = await signed_in_anyway(mailing, Browser(mailing), email)
    assert "not confirmed" in (await browser.open("/account")).text
    again = await browser.send("/account/confirm")
    assert "on its way" in again.text
    path = paths_in(await sent(mailing, email), "confirm-address")[0]
    # another browser than the one that signed up, and nobody signed in there
    other = Browser(mailing)
    await other.open(path)
    assert (await other.send(path)).status_code == 200
    assert (await other.open(path)).status_code == 410
    assert "not confirmed" not in (await browser.open("/account")).text
    owner = await owner_of(mailing)
    made = await mailing.ok("organizations.invitations.create", {"email": email}, as_=owner)
    page = await joins(browser, made["url"].removeprefix("http://testserver"))
    assert page.status_code == 200 and "Harbour works" in page.text


async def test_an_invitation_is_mailed_and_its_url_shows_whose_the_address_is(
    mailing: Api,
) -> None:
    owner, email = await owner_of(mailing), address()
    body = {"email": email, "role": "billing"}
    made = await mailing.ok("organizations.invitations.create", body, as_=owner)
    [text] = await sent(mailing, email)
    assert "Harbour works" in text and "billing" in text
    [path] = paths_in([text], "invitations")
    assert path.partition("?")[0] == made["url"].removeprefix("http://testserver")
    browser = Browser(mailing)
    page = await browser.open(path)
    link = re.search(r'href="(/sign-up\?next=[^"]+)"', page.text)
    assert link is not None
    await browser.open(link[1].replace("&amp;", "&"))
    page = await browser.send("/sign-up", name="Mo", email=email, password=PASSWORD)
    assert page.status_code == 200, page.text
    page = await browser.send(path.partition("?")[0])
    assert page.url.path == "/account" and "Harbour works" in page.text
    await settled(mailing)
    assert len(mailing.inbox.of(email)) == 1  # type: ignore[attr-defined]


async def test_the_inviters_url_confirms_nobodys_address(mailing: Api) -> None:
    """Else an admin could make an account with anybody's address, confirmed."""
    owner, email = await owner_of(mailing), address()
    made = await mailing.ok("organizations.invitations.create", {"email": email}, as_=owner)
    path = made["url"].removeprefix("http://testserver")
    browser, page = await signs_up(mailing, email, f"/sign-up?next={path}")
    assert page.status_code == 200 and "on its way" in page.text
    await sent(mailing, email, 2)
    assert mailing.sql("select id from app_user where email = %s", email) == []
    await from_before(mailing, email)
    browser = await signed_in_anyway(mailing, browser, email)
    [row] = mailing.sql("select email_verified_at from app_user where email = %s", email)
    assert row["email_verified_at"] is None
    assert (await joins(browser, path)).status_code == 403


async def test_no_alert_is_mailed_to_an_address_that_nobody_confirmed(mailing: Api) -> None:
    owner = await owner_of(mailing)
    mailing.sql("update app_user set email_verified_at = null where id = %s", owner.user_id)
    with_members = await mailing.member(owner, "member")
    found = mailing.sql(
        "select email from (select set_config('opstac.org', %s, false)) s, member_addresses()",
        owner.organization_id,
    )
    assert [row["email"] for row in found] == [f"{with_members.user_id}@example.org"]


async def test_without_a_public_url_no_invitation_is_mailed(
    dsn: str, tmp_path: Path, inbox: Any
) -> None:
    """Its link would begin with the host that the inviter's request names, and tell whoever is
    there what shows that the mailbox was read.
    """
    async with on_database(
        dsn, tmp_path, sign_up="open", smtp=inbox.server, public_url=None
    ) as api:
        api.inbox = inbox  # type: ignore[attr-defined]
        owner, email = await owner_of(api), address()
        made = await api.client.post(
            "/v1/op/organizations.invitations.create",
            json={"email": email},
            headers={"Authorization": f"Bearer {owner.token}", "Host": "evil.example"},
        )
        assert made.status_code == 200, made.text
        await settled(api)
        assert not inbox.of(email)
        # nobody can confirm an address here, so the inviter's URL is enough
        browser = await signed_up_without_mail(api, email)
        path = "/invitations/" + made.json()["url"].rpartition("/")[2]
        page = await joins(browser, path)
        assert page.status_code == 200 and "Harbour works" in page.text


async def test_invitations_that_are_mailed_are_few(
    mailing: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(organizations_invitations, "MOST_A_DAY", 5)
    owner, other, email = await owner_of(mailing), await owner_of(mailing), address()
    invite = "organizations.invitations.create"
    answers = await asyncio.gather(
        *(mailing.call(invite, {"email": email.upper()}, as_=owner) for _ in range(6))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 3
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert int(refused.headers["retry-after"]) > 0
    await mailing.ok(invite, {"email": email}, as_=other)
    for _ in range(2):
        await mailing.ok(invite, {"email": address()}, as_=owner)
    await mailing.refused(429, invite, {"email": address()}, as_=owner)
    mailing.sql(
        "update invitation set created_at = created_at - interval '1 day'"
        " where organization_id = %s",
        owner.organization_id,
    )
    await mailing.ok(invite, {"email": email}, as_=owner)
