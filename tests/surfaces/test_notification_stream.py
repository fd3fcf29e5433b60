"""The live count of notifications, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import psycopg
import pytest

from db.listen import Listener
from ops_gateway.domains.notifications import notify
from ops_gateway.kernel.authenticate import issue_session
from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import RateLimited, Unavailable
from ops_gateway.surfaces.notifications import MOST_OF_ONE, PATH, Places


@pytest.fixture
def service():
    return "gateway"


class Stream:
    """The events of a stream as a browser reads them."""

    def __init__(self, response):
        self.response = response
        self._lines = response.aiter_lines()
        self.ids = []

    async def event(self):
        """Name and data of the next event; None at the end of the stream."""
        name, data = None, None
        async with asyncio.timeout(30):
            async for line in self._lines:
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    data = json.loads(line.removeprefix("data: "))
                elif line.startswith("id: "):
                    self.ids.append(line.removeprefix("id: "))
                elif not line and name:
                    return name, data
        return None


@asynccontextmanager
async def streaming(api, token, **headers):
    headers = {"Authorization": f"Bearer {token}", **headers}
    async with api.client.stream("GET", PATH, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Stream(response)


async def tell(api, owner, **more):
    async def work(ctx):
        return await notify(
            ctx, title="t", body="b", type="test.ping", entity_type=None, entity_id=None, **more
        )

    platform = Principal(kind="service", id="test", organization_id=owner.organization_id)
    return await api.platform.pipeline.act("test.notify", platform, work)


def count(n):
    return "unread_count", {"count": n}


async def test_the_count_is_told_at_once_and_when_it_changes(live):
    owner = await live.organization()
    other = await live.member(owner, "viewer")
    lonely = live.user()
    await tell(live, owner)
    async with (
        streaming(live, owner.token) as mine,
        streaming(live, other.token) as theirs,
        streaming(live, lonely.token) as alone,
    ):
        assert await mine.event() == await theirs.event() == count(1)
        assert await alone.event() == count(0)
        await tell(live, owner)
        assert await mine.event() == await theirs.event() == count(2)
        [first, _] = await live.ok("notifications.list", as_=owner)
        await live.ok("notifications.mark_read", {"notification_id": first["id"]}, as_=owner)
        assert await mine.event() == count(1)
        await live.ok("notifications.mark_all_read", as_=owner)
        assert await mine.event() == count(0)
        # the others were told of nothing of it: what comes next is their own
        await tell(live, owner, users=[other.user_id])
        assert await theirs.event() == count(3)
        await tell(live, owner, users=[lonely.user_id], personal=True)
        assert await alone.event() == count(1)
        # forty at once are told together, and not one is missing at the end
        await asyncio.gather(*(tell(live, owner, users=[other.user_id]) for _ in range(40)))
        seen = [3]
        while seen[-1] != 43:
            name, data = await theirs.event()
            assert name == "unread_count" and data["count"] > seen[-1]
            seen.append(data["count"])
    # who comes again is told the number as it is
    async with streaming(live, owner.token, **{"Last-Event-ID": mine.ids[-1]}) as again:
        assert await again.event() == count(0)


async def test_a_stream_ends_with_the_standing_that_began_it(live):
    owner = await live.organization()
    member, disabled = await live.member(owner, "member"), await live.member(owner, "member")
    short = issue_session(live.platform.keys, "opstac", owner.user_id, seconds=2)
    live.sql(
        "insert into sign_in (id, user_id, client_id, scope, expires_at)"
        " values ('si_' || %s, %s, 'test', '', now() + interval '1 hour')",
        owner.user_id, owner.user_id, role="opstac_owner",
    )  # fmt: skip
    signed_in = issue_session(
        live.platform.keys, "opstac", owner.user_id, seconds=600, sign_in=f"si_{owner.user_id}"
    )
    key = (await live.ok("api_keys.create", {"name": "k"}, as_=owner))["key"]
    async with (
        streaming(live, member.token) as removed,
        streaming(live, disabled.token) as barred,
        streaming(live, short) as session,
        streaming(live, owner.token) as longer,
        streaming(live, key) as machine,
        streaming(live, signed_in) as ended,
    ):
        for stream in (removed, barred, session, longer, machine, ended):
            assert await stream.event() == count(0)
        live.sql("delete from organization_member where user_id = %s", member.user_id)
        live.sql("update app_user set disabled_at = now() where id = %s", disabled.user_id)
        ending = "update sign_in set ended_at = now() where user_id = %s"
        live.sql(ending, owner.user_id, role="opstac_owner")
        for stream in (removed, barred, session, ended):
            assert (await stream.event(), await stream.event()) == (("end", {}), None)
        await tell(live, owner)
        assert await longer.event() == count(1)


async def test_who_gets_no_stream(live):
    assert (await live.client.get(PATH)).status_code == 401
    bad = await live.client.get(PATH, headers={"Authorization": "Bearer eyJ.a.b"})
    assert bad.status_code == 401
    owner = await live.organization()
    key = await live.key(owner, "items:read")
    refused = await live.client.get(PATH, headers={"Authorization": f"Bearer {key.token}"})
    assert refused.status_code == 403
    head = await live.client.head(PATH, headers={"Authorization": f"Bearer {owner.token}"})
    assert head.status_code == 200 and head.content == b""


def listening(dsn, channel):
    """Process ids of the connections that listen."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            "select pid from pg_stat_activity where query like %s and pid <> pg_backend_pid()"
            " and datname = current_database()", (f'listen %{channel}%',),
        ).fetchall()  # fmt: skip
    return [pid for (pid,) in found]


async def test_streams_hold_no_connection_and_are_bounded(live, dsn):
    owner = await live.organization()
    people = [owner] + [await live.member(owner, "viewer") for _ in range(3)]
    async with asyncio.TaskGroup() as group, asyncio.timeout(60):
        ready, done = asyncio.Semaphore(0), asyncio.Event()

        async def hold(person):
            async with streaming(live, person.token) as stream:
                assert await stream.event() == count(0)
                ready.release()
                await done.wait()

        for person in people:
            for _ in range(MOST_OF_ONE):
                group.create_task(hold(person))
        for _ in range(MOST_OF_ONE * len(people)):
            await ready.acquire()
        # more streams than the pool has connections, and one that listens
        while (pool := live.platform.pool.get_stats())["pool_available"] != pool["pool_size"]:
            await asyncio.sleep(0.05)  # some are looking for the first time
        assert MOST_OF_ONE * len(people) > pool["pool_max"]
        assert len(listening(dsn, "person")) == 1
        refused = await live.client.get(PATH, headers={"Authorization": f"Bearer {owner.token}"})
        assert refused.status_code == 429 and refused.headers["retry-after"]
        done.set()
    async with streaming(live, owner.token) as stream:  # the places are free again
        assert await stream.event() == count(0)


def test_places_are_given_back():
    places = Places(of_one=1, of_all=2)
    for _ in range(3):
        with places.taken("a"):
            with pytest.raises(RateLimited), places.taken("a"):
                pass
            with places.taken("b"), pytest.raises(Unavailable), places.taken("c"):
                pass


async def test_one_connection_listens_and_a_broken_one_is_made_again(api, dsn):
    listener = Listener(dsn, "test_words")
    try:
        with listener.waiting("a") as one, listener.waiting("a") as two, listener.waiting("b") as b:
            async with asyncio.timeout(30):
                await one.wait()  # all are woken once it listens: what was said before is lost
                for event in (one, two, b):
                    event.clear()
                api.sql("select pg_notify('test_words', 'a')")
                await one.wait()
                await two.wait()
                assert not b.is_set() and listener.connections == 1
                one.clear()
                [pid] = listening(dsn, "test_words")
                with psycopg.connect(dsn, autocommit=True) as connection:
                    connection.execute("select pg_terminate_backend(%s)", (pid,))
                await one.wait()
                one.clear()
                api.sql("select pg_notify('test_words', 'a')")
                await one.wait()
                assert listener.connections == 2
    finally:
        await listener.close()


async def test_the_stream_stands_in_the_description(api):
    described = (await api.client.get("/openapi.json")).json()
    stream = described["paths"]["/v1/op/notifications.unread_count"]["post"]["x-event-stream"]
    assert stream["path"] == PATH
    name = stream["events"]["unread_count"]["$ref"].rpartition("/")[2]
    assert described["components"]["schemas"][name]["properties"]["count"]
