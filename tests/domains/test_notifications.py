"""Inboxes: each person's own, told once about each thing; and the queue of mails."""

from __future__ import annotations

import asyncio
import re

import pytest
from aiosmtpd.controller import Controller

from db.pool import make_pool
from ops_gateway.domains.mails import member_addresses, send_mail
from ops_gateway.domains.notifications import notify
from ops_gateway.kernel.context import Principal
from ops_gateway.providers.mail import MailServer
from opstac.deliveries import deliveries


@pytest.fixture
def service():
    return "gateway"


async def tell(api, owner, *, title="Alert: dry", key=None, users=None, personal=False, body="b"):
    """What a reaction does; how many were told."""

    async def work(ctx):
        return await notify(
            ctx, title=title, body=body, type="alert.triggered", entity_type="alert_event",
            entity_id="ae_1", users=users, dedupe_key=key, personal=personal,
        )  # fmt: skip

    platform = Principal(kind="service", id="test", organization_id=owner.organization_id)
    return await api.platform.pipeline.act("test.notify", platform, work)


async def inbox(api, person, **body):
    return await api.ok("notifications.list", body, as_=person)


async def unread(api, person):
    return (await api.ok("notifications.unread_count", as_=person))["count"]


async def test_every_member_is_told_once_and_nobody_else(api):
    owner, stranger, lonely = await api.organization(), await api.organization(), api.user()
    viewer = await api.member(owner, "viewer")
    gone = await api.member(owner, "member")
    api.sql("update app_user set disabled_at = now() where id = %s", gone.user_id)
    assert await tell(api, owner, key="evt_1") == 2
    assert await tell(api, owner, key="evt_1") == 0  # a reaction that is run again
    assert await tell(api, stranger, key="evt_1") == 1
    for person in (owner, viewer):
        [row] = await inbox(api, person)
        assert row.pop("id").startswith("nt_") and row.pop("created_at").endswith("Z")
        assert row == {
            "title": "Alert: dry", "body": "b", "read": False, "dismissed": False,
            "type": "alert.triggered", "entity_type": "alert_event", "entity_id": "ae_1",
        }  # fmt: skip
        assert await unread(api, person) == 1
    assert len(await inbox(api, stranger)) == 1
    assert await inbox(api, lonely) == [] and await unread(api, lonely) == 0


async def test_one_key_under_concurrency_is_one_row(api):
    owner = await api.organization()
    told = await asyncio.gather(*(tell(api, owner, key="evt_2") for _ in range(8)))
    assert sorted(told) == [0] * 7 + [1] and await unread(api, owner) == 1


async def test_those_named_are_told_where_they_are_members(api):
    owner, stranger = await api.organization(), await api.organization()
    member, lonely = await api.member(owner, "member"), api.user()
    named = [member.user_id, stranger.user_id, lonely.user_id]
    assert await tell(api, owner, users=named) == 1
    assert [await unread(api, p) for p in (owner, member, stranger, lonely)] == [0, 1, 0, 0]
    # a personal one needs no membership, and stays with the person
    assert await tell(api, owner, users=[lonely.user_id], personal=True, title="Hello") == 1
    [row] = await inbox(api, lonely)
    assert row["title"] == "Hello"
    api.keep_slot_free()
    await api.ok("organizations.create", {"name": "Own"}, as_=lonely)
    assert [r["title"] for r in await inbox(api, lonely)] == ["Hello"]
    read = await api.ok("notifications.mark_read", {"notification_id": row["id"]}, as_=lonely)
    assert read["read"] is True


async def test_whoever_has_left_an_organization_reads_no_more_of_it(api):
    owner = await api.organization()
    member = await api.member(owner, "member")
    await tell(api, owner)
    [row] = await inbox(api, member)
    api.sql("delete from organization_member where user_id = %s", member.user_id)
    assert await inbox(api, member) == [] and await unread(api, member) == 0
    body = {"notification_id": row["id"]}
    await api.refused(404, "notifications.mark_read", body, as_=member)
    await api.refused(404, "notifications.dismiss", body, as_=member)
    assert await api.ok("notifications.mark_all_read", as_=member) == {"marked_count": 0}
    assert await unread(api, owner) == 1


async def test_a_person_without_an_organization_marks_their_own(api):
    owner, lonely = await api.organization(), api.user()
    for _ in range(3):
        await tell(api, owner, users=[lonely.user_id], personal=True)
    first, second, _ = await inbox(api, lonely)
    await api.ok("notifications.mark_read", {"notification_id": first["id"]}, as_=lonely)
    await api.ok("notifications.dismiss", {"notification_id": second["id"]}, as_=lonely)
    assert await unread(api, lonely) == 1
    assert await api.ok("notifications.mark_all_read", as_=lonely) == {"marked_count": 1}
    assert await unread(api, lonely) == 0


async def test_reading_dismissing_and_counting(api):
    owner = await api.organization()
    other = await api.member(owner, "member")
    for n in range(5):
        await tell(api, owner, title=f"t{n}")
    rows = await inbox(api, owner)
    assert [r["title"] for r in rows] == ["t4", "t3", "t2", "t1", "t0"]
    assert [r["title"] for r in await inbox(api, owner, limit=2, offset=1)] == ["t3", "t2"]
    assert len(await inbox(api, owner, limit=0)) == 1  # brought inside, as is a negative offset
    assert len(await inbox(api, owner, limit=10**9, offset=-5)) == 5

    body = {"notification_id": rows[0]["id"]}
    assert (await api.ok("notifications.mark_read", body, as_=owner))["read"] is True
    await api.refused(404, "notifications.mark_read", body, as_=owner)
    await api.refused(404, "notifications.mark_read", {"notification_id": "nt_no"}, as_=owner)
    await api.refused(422, "notifications.mark_read", {}, as_=owner)
    left = await inbox(api, owner, unread_only=True)
    assert [r["title"] for r in left] == ["t3", "t2", "t1", "t0"]

    hidden = await api.ok("notifications.dismiss", {"notification_id": rows[1]["id"]}, as_=owner)
    assert hidden["dismissed"] is True and hidden["read"] is False
    await api.refused(404, "notifications.dismiss", {"notification_id": rows[1]["id"]}, as_=owner)
    await api.refused(404, "notifications.mark_read", {"notification_id": rows[1]["id"]}, as_=owner)
    assert [r["title"] for r in await inbox(api, owner)] == ["t4", "t2", "t1", "t0"]

    before = await unread(api, owner)
    assert before == 3
    assert await api.ok("notifications.mark_all_read", as_=owner) == {"marked_count": before}
    assert await api.ok("notifications.mark_all_read", as_=owner) == {"marked_count": 0}
    # the other member's inbox is another one
    assert await unread(api, other) == 5
    await api.refused(404, "notifications.dismiss", {"notification_id": rows[3]["id"]}, as_=other)


async def test_a_key_has_no_inbox(api):
    owner = await api.organization()
    key = await api.key(owner, "notifications:*")
    await tell(api, owner)
    [row] = await inbox(api, owner)
    assert await inbox(api, key) == [] and await unread(api, key) == 0
    body = {"notification_id": row["id"]}
    await api.refused(404, "notifications.mark_read", body, as_=key)
    await api.refused(404, "notifications.dismiss", body, as_=key)
    assert await api.ok("notifications.mark_all_read", as_=key) == {"marked_count": 0}
    assert await unread(api, owner) == 1
    await api.refused(401, "notifications.list")
    reader = await api.key(owner, "notifications:read")
    await api.refused(403, "notifications.mark_all_read", as_=reader)


async def test_text_that_no_database_holds_is_cut_to_fit(api):
    owner = await api.organization()
    await tell(api, owner, title="a\x00b\ud800" + "x" * 1000, body="y" * 10_000)
    [row] = await inbox(api, owner)
    assert row["title"].startswith("ab?xx") and len(row["title"]) == 300
    assert len(row["body"]) == 2000 and row["body"].endswith("…")


def test_no_inbox_is_seen_past_its_owner_by_sql(dsn):
    """Row-level security alone keeps inboxes apart."""
    import psycopg

    from db.pool import session_options

    with psycopg.connect(dsn, options=session_options(role="opstac_app")) as connection:
        for org in ("", "org_x"):
            connection.execute("select set_config('opstac.org', %s, false)", (org,))
            assert connection.execute("select count(*) from notification").fetchone() == (0,)
            with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
                connection.execute("delete from notification")


# ---------------------------------------------------------------- mails


class Inbox:
    def __init__(self):
        self.mails, self.answers = [], []

    async def handle_DATA(self, server, session, envelope):
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer.startswith("250"):
            self.mails.append((envelope.rcpt_tos[0], envelope.content.decode()))
        return answer


class Port0(Controller):
    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture(scope="module")
def post():
    """A mail server, and what came in."""
    inbox = Inbox()
    controller = Port0(inbox, hostname="127.0.0.1", port=0)
    controller.start()
    server = MailServer("127.0.0.1", "maps@example.org", port=controller.port, tls="none")
    yield inbox, server
    controller.stop()


@pytest.fixture
async def postal(dsn, tmp_path, platform_on, post):
    """A platform that sends mail, what arrived, and one round of sending."""
    inbox, server = post
    inbox.mails.clear()
    async with platform_on(dsn, tmp_path, "gateway", smtp=server) as api:
        api.sql("update delivery set state = 'dropped' where kind = 'mail' and state = 'due'")
        async with make_pool(dsn, "opstac_system", max_size=2) as system:
            sending = deliveries(api.platform.pipeline, system, api.platform.settings)

            async def round_() -> list[str]:
                return [await sending.attempt(due) for due in await sending.claim()]

            yield api, inbox, round_


async def mail(api, owner, to, subject="Fields", text="dry", key=None, fail=False):
    async def work(ctx):
        queued = await send_mail(ctx, to, subject, text, key)
        if fail:
            raise RuntimeError("rolled back")
        return queued

    platform = Principal(kind="service", id="test", organization_id=owner.organization_id)
    return await api.platform.pipeline.act("test.mail", platform, work)


async def test_a_mail_is_sent_once_it_is_committed(postal):
    api, inbox, round_ = postal
    owner = await api.organization()
    with pytest.raises(RuntimeError):
        await mail(api, owner, "ann@example.org", fail=True)
    assert await mail(api, owner, "ann@example.org", "Your\nfields", "They are dry.", key="evt_1")
    assert not await mail(api, owner, "ann@example.org", "Your fields", "again", key="evt_1")
    assert await mail(api, owner, "bob@example.org", key="evt_1")
    assert not await mail(api, owner, "ann@example.org\r\nBcc: eve@example.org")
    assert await round_() == ["delivered"] * 2 and await round_() == []
    assert sorted(to for to, _ in inbox.mails) == ["ann@example.org", "bob@example.org"]
    [text] = [text for to, text in inbox.mails if to == "ann@example.org"]
    assert "Subject: Your fields\r\n" in text and text.endswith("They are dry.\r\n")
    assert "eve" not in str(inbox.mails)


async def test_a_mail_that_fails_is_tried_again_and_one_refused_for_good_is_not(postal):
    api, inbox, round_ = postal
    owner = await api.organization()
    inbox.answers = ["451 4.3.0 come again", "250 OK", "554 5.7.1 spam"]
    await mail(api, owner, "ann@example.org")
    assert await round_() == ["due"] and inbox.mails == []
    api.sql("update delivery set next_at = now() where kind = 'mail' and state = 'due'")
    assert await round_() == ["delivered"] and len(inbox.mails) == 1
    await mail(api, owner, "ann@example.org")
    assert await round_() == ["dead"]
    [row] = api.sql(
        "select error, attempts from delivery where kind = 'mail' and organization_id = %s"
        " and state = 'dead'", owner.organization_id,
    )  # fmt: skip
    assert row["attempts"] == 1 and "554" in row["error"]


async def test_a_worker_that_dies_after_sending_sends_the_same_mail_again(postal):
    api, inbox, round_ = postal
    owner = await api.organization()
    await mail(api, owner, "ann@example.org")
    expired = "update delivery set claimed_until = now() - interval '1 s' where kind = 'mail'"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ops_gateway.worker.deliveries.Deliveries._note", gone)
        with pytest.raises(asyncio.CancelledError):
            await round_()
    assert len(inbox.mails) == 1 and await round_() == []  # it is another's for a while
    api.sql(expired)
    assert await round_() == ["delivered"] and await round_() == []
    first, second = (re.search("Message-ID: (.*)", text)[1] for _, text in inbox.mails)
    assert first == second


async def gone(*_):
    """What becomes of a worker that is killed here."""
    raise asyncio.CancelledError


async def test_nobody_is_written_to_without_a_mail_server(api):
    owner = await api.organization()
    assert await mail(api, owner, "ann@example.org") is False
    assert api.sql("select id from mail where organization_id = %s", owner.organization_id) == []


async def test_word_to_people_without_an_organization(postal):
    api, inbox, round_ = postal
    principal = Principal(kind="service", id="test")

    async def work(ctx):
        return await send_mail(ctx, "new@example.org", "Welcome", "Hello")

    assert await api.platform.pipeline.act("test.mail", principal, work)
    assert await round_() == ["delivered"] and inbox.mails[0][0] == "new@example.org"


async def test_the_addresses_of_members(api):
    owner = await api.organization()
    member = await api.member(owner, "viewer")
    silent, gone = await api.member(owner, "viewer"), await api.member(owner, "viewer")
    api.sql("update app_user set email = null where id = %s", silent.user_id)
    api.sql("update app_user set disabled_at = now() where id = %s", gone.user_id)
    await api.organization()
    platform = Principal(kind="service", id="test", organization_id=owner.organization_id)
    stranger = await api.organization()
    people = [p.user_id for p in (owner, member, silent, gone, stranger)]

    async def everybody(ctx):
        return await member_addresses(ctx, people)

    found = await api.platform.pipeline.look("test", platform, everybody)
    assert sorted(found) == sorted(f"{p.user_id}@example.org" for p in (owner, member))


def test_settings_reach_the_worker(tmp_path, monkeypatch):
    from opstac.server import worker_environment
    from opstac.settings import read
    from opstac.variables import BadVariable

    given = {
        "OPSTAC_SMTP_HOST": "mail.example.org", "OPSTAC_SMTP_PORT": "465", "OPSTAC_SMTP_TLS": "tls",
        "OPSTAC_SMTP_USER": "u", "OPSTAC_SMTP_PASSWORD": "p", "OPSTAC_SMTP_SENDER": "M <m@n.org>",
    }  # fmt: skip
    settings = read({**given, "OPSTAC_SECRET_KEY": "s"}, dsn="d", home=tmp_path)
    assert settings.smtp == MailServer("mail.example.org", "M <m@n.org>", 465, "tls", "u", "p")
    assert "'p'" not in repr(settings)
    handed = worker_environment(settings, tmp_path)
    assert {name: handed[name] for name in given} == given
    assert read({"OPSTAC_SECRET_KEY": "s"}, dsn="d", home=tmp_path).smtp is None
    with pytest.raises(BadVariable, match="SENDER"):
        read({"OPSTAC_SMTP_HOST": "h", "OPSTAC_SECRET_KEY": "s"}, dsn="d", home=tmp_path)
