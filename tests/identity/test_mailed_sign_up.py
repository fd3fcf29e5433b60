"""A new account by a mailed link: it is of who reads the mails, whoever else typed the address."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psycopg
import pytest

from db.pool import session_options
from opstac import people
from tests.conftest import Api, on_database
from tests.identity import test_mailed
from tests.identity.test_mailed import (
    ANOTHER,
    AT,
    PASSWORD,
    enter,
    from_before,
    makes,
    paths_in,
    sent,
    signed_in_anyway,
    signs_up,
)
from tests.identity.test_pages import Browser, address

inbox, mailing = test_mailed.inbox, test_mailed.mailing


@pytest.mark.parametrize("opened", [0, 1], ids=["the first link", "the second link"])
async def test_an_account_is_of_who_reads_its_mails_whoever_else_signed_up(
    mailing: Api, opened: int
) -> None:
    """A stranger types the address too, before its person or after: the links look the same."""
    email = address()
    for n in range(2):
        _, page = await signs_up(mailing, email, password=ANOTHER)
        assert "on its way" in page.text
        await sent(mailing, email, n + 1)
    links = paths_in(await sent(mailing, email, 2), "sign-up")
    assert len(set(links)) == 2
    assert mailing.sql("select id from app_user where email = %s", email) == []
    kept = mailing.sql("select s::text as row from sign_up s", role="opstac_identity")
    assert kept and not any(link.rpartition("/")[2] in row["row"] for link in links for row in kept)
    assert (await makes(mailing, links[opened], PASSWORD)).status_code == 200
    assert await enter(mailing, email, ANOTHER) == 403
    assert await enter(mailing, email, PASSWORD) == 200
    # the other one opens nothing any more, in whosever hands it is
    assert (await Browser(mailing).open(links[1 - opened])).status_code == 410


async def test_two_links_at_once_make_one_account(mailing: Api) -> None:
    email = address()
    for n in range(2):
        await signs_up(mailing, email)
        await sent(mailing, email, n + 1)
    links = paths_in(await sent(mailing, email, 2), "sign-up")
    words = [PASSWORD, ANOTHER]
    pages = await asyncio.gather(
        *(makes(mailing, link, word) for link, word in zip(links, words, strict=True))
    )
    assert sorted(page.status_code for page in pages) == [200, 410]
    for page, word in zip(pages, words, strict=True):
        assert await enter(mailing, email, word) == (200 if page.status_code == 200 else 403)


async def test_an_account_that_a_stranger_made_before_becomes_its_addresss(mailing: Api) -> None:
    email = address()
    stranger = await from_before(mailing, email, ANOTHER)
    assert await enter(mailing, email, ANOTHER) == 200
    there = await signed_in_anyway(mailing, Browser(mailing), email)
    form = {"grant_type": "password", "username": email, "password": ANOTHER}
    tokens = (await mailing.client.post(f"{AT}/token", data=form)).json()
    await signs_up(mailing, email)
    [path] = paths_in(await sent(mailing, email), "sign-up")
    assert (await makes(mailing, path, PASSWORD)).status_code == 200
    assert await enter(mailing, email, ANOTHER) == 403
    assert await enter(mailing, email, PASSWORD) == 200
    assert (await there.open("/account")).url.path == "/sign-in"
    again = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert (await mailing.client.post(f"{AT}/token", data=again)).status_code == 400
    query = "select id::text, email_verified_at as at from app_user where email = %s"
    [row] = mailing.sql(query, email)
    assert row["id"] == stranger and row["at"] is not None


async def test_accounts_from_before_mails_were_sent_go_on(mailing: Api) -> None:
    email = address()
    user_id = await from_before(mailing, email)
    browser = Browser(mailing)
    await browser.open("/sign-in")
    page = await browser.send("/sign-in", email=email, password=PASSWORD)
    assert page.status_code == 200 and "not confirmed" in page.text
    page = await browser.send("/account/password", current=PASSWORD, password=ANOTHER)
    assert page.status_code == 200, page.text
    assert await enter(mailing, email, ANOTHER) == 200
    # who gives a new password vouches for the address
    settings = mailing.platform.settings
    await asyncio.to_thread(people.set_password, settings, user_id, PASSWORD)
    assert await enter(mailing, email, PASSWORD) == 200
    [row] = mailing.sql("select email_verified_at as at from app_user where email = %s", email)
    assert row["at"] is not None


async def test_a_mail_that_is_promised_is_written_before_a_stop(
    dsn: str, tmp_path: Path, inbox: Any
) -> None:
    email = address()
    async with on_database(dsn, tmp_path, sign_up="open", smtp=inbox.server) as api:
        busy = psycopg.connect(dsn, options=session_options(role="opstac_identity"))
        busy.execute(
            "insert into sign_in_attempt (kind, who, begun_at, count)"
            " values ('confirm mail', %s, now(), 0)",
            (email,),
        )
        _, page = await signs_up(api, email)
        assert "on its way" in page.text
        asyncio.get_running_loop().call_later(0.5, busy.close)  # until then the mail waits
    async with on_database(dsn, tmp_path, sign_up="open", smtp=inbox.server) as api:
        api.inbox = inbox  # type: ignore[attr-defined]
        assert "/sign-up/" in (await sent(api, email))[0]
