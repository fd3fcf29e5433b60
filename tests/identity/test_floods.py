"""What a crowd of strangers at the doors cannot do: keep others out, lock an account, guess on."""

from __future__ import annotations

import asyncio
import re
import secrets
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from ops_gateway.identity import server
from ops_gateway.kernel import passwords
from ops_gateway.kernel.services import Limits
from tests.conftest import Api, Person, on_database

AT = "/realms/public/protocol/openid-connect"
PASSWORD, WRONG = "a long enough secret", "a wrong password"
HASH = passwords.hashed(PASSWORD)
MANY = 10**6


class Somebody:
    """A person with a password, in an organization of their own."""

    def __init__(self, api: Api, owner: Person) -> None:
        self.api, self.owner = api, owner
        self.email = f"{owner.user_id}@example.org"

    def at(self, address: str) -> httpx.AsyncClient:
        """A client somewhere on the net."""
        transport = httpx.ASGITransport(
            self.api.platform.app, raise_app_exceptions=False, client=(address, 1)
        )
        return httpx.AsyncClient(transport=transport, base_url="http://testserver")

    async def tries(self, password: str, address: str = "192.0.2.1") -> httpx.Response:
        """A password grant from an address."""
        form = {"grant_type": "password", "username": self.email, "password": password}
        async with self.at(address) as client:
            return await client.post(f"{AT}/token", data=form)

    def failures(self, kind: str) -> int:
        rows = self.api.sql(
            "select count from sign_in_attempt where kind = %s and starts_with(who, %s)",
            kind,
            self.email,
            role="opstac_identity",
        )
        return sum(row["count"] for row in rows)

    def note(self, kind: str, who: str, count: int) -> None:
        self.api.sql(
            "insert into sign_in_attempt (kind, who, begun_at, count) values (%s, %s, now(), %s)",
            kind,
            who,
            count,
            role="opstac_identity",
        )


async def somebody_of(api: Api) -> Somebody:
    owner = await api.organization()
    api.sql(
        "insert into user_password (user_id, hash) values (%s, %s)",
        owner.user_id,
        HASH,
        role="opstac_identity",
    )
    return Somebody(api, owner)


@pytest.fixture
async def somebody(api: Api) -> Somebody:
    return await somebody_of(api)


@pytest.fixture
async def limited(dsn: str, tmp_path: Path) -> AsyncIterator[Somebody]:
    limits = Limits(MANY, MANY, MANY, public=6, public_reads=0)
    async with on_database(dsn, tmp_path, limits=limits) as api:
        yield await somebody_of(api)


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every password takes until the end of this, as if there were many more of them."""
    let_go = threading.Event()
    look = passwords._matches

    def slowly(kept: str | None, password: str) -> bool:
        assert let_go.wait(60)
        return look(kept, password)

    with monkeypatch.context() as patch:
        patch.setattr(passwords, "_matches", slowly)
        patch.setattr(passwords, "WAIT_SECONDS", 0.5)
        patch.setattr(server, "WAIT_SECONDS", 0.5)
        try:
            yield
        finally:
            let_go.set()


def unknown(api: Api) -> Any:
    form = {"grant_type": "password", "password": WRONG}
    form["username"] = f"{secrets.token_hex(6)}@example.org"
    return api.client.post(f"{AT}/token", data=form)


async def left(
    tasks: Sequence[asyncio.Task[Any]], count: int
) -> tuple[set[asyncio.Task[Any]], set[asyncio.Task[Any]]]:
    """Those that are done and those that wait, when no more than `count` wait."""
    async with asyncio.timeout(60):
        waiting = set(tasks)
        while len(waiting) > count:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    assert len(waiting) == count
    return set(tasks) - waiting, waiting


async def test_a_flood_of_passwords_keeps_nobody_from_refreshing_or_revoking(
    somebody: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = somebody.api
    tokens = (await somebody.tries(PASSWORD)).json()
    key = await api.key(somebody.owner, "*:read")
    with held(monkeypatch):
        flood = [asyncio.create_task(unknown(api)) for _ in range(60)]
        await asyncio.sleep(0.3)
        for path, asked, status in (
            ("token", {"grant_type": "client_credentials", "client_id": "geopera",
                       "client_secret": key.token}, 200),
            ("token", {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]},
             200),
            ("revoke", {"client_id": "geopera-cli", "token": "unknown"}, 200),
        ):  # fmt: skip
            answer = await asyncio.wait_for(api.client.post(f"{AT}/{path}", data=asked), 20)
            assert answer.status_code == status, answer.text
        # while the two that are looked at take for ever, everybody else is told to come back
        done, waiting = await left(flood, passwords.AT_ONCE)
        for task in done:
            assert task.result().status_code == 503
            assert task.result().headers["retry-after"] == "2"
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {400}


async def test_no_more_than_a_line_of_passwords_waits(
    somebody: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with somebody.at("192.0.2.1") as client:
        page = await client.get("/sign-in")
        csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert csrf

        async def signs_in(email: str) -> int:
            form = {"csrf": csrf[1], "email": email, "password": WRONG}
            return (await client.post("/sign-in", data=form)).status_code

        with held(monkeypatch):
            monkeypatch.setattr(passwords, "MOST_WAITING", 3)
            monkeypatch.setattr(passwords, "WAIT_SECONDS", 60)
            flood = [
                asyncio.create_task(signs_in(f"{secrets.token_hex(6)}@example.org"))
                for _ in range(12)
            ]
            done, waiting = await left(flood, 3 + passwords.AT_ONCE)
            assert {task.result() for task in done} == {503}
    assert {await task for task in waiting} == {403}


async def test_a_password_that_nobody_could_look_at_is_no_failure(
    somebody: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held(monkeypatch):
        flood = [asyncio.create_task(unknown(somebody.api)) for _ in range(2)]
        await asyncio.sleep(0.3)
        tried = await asyncio.gather(*(somebody.tries(PASSWORD) for _ in range(5)))
        assert [answer.status_code for answer in tried] == [503] * 5
    await asyncio.gather(*flood)
    assert (somebody.failures("password"), somebody.failures("account")) == (0, 0)
    assert (await somebody.tries(PASSWORD)).status_code == 200


async def test_a_shared_links_password_that_nobody_could_look_at_is_no_try(
    somebody: Somebody, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, owner = somebody.api, somebody.owner
    project = await api.project(owner)
    body: dict[str, Any] = {"name": "shared", "type": "user_raster", "project_id": project}
    item = (await api.ok("items.create", body, as_=owner))["id"]
    body = {"target_type": "item", "target_id": item, "password": PASSWORD}
    body["expires_at"] = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    token = (await api.ok("share.link.create", body, as_=owner))["token"]
    right = {"token": token, "password": PASSWORD}
    with held(monkeypatch):
        flood = [asyncio.create_task(unknown(api)) for _ in range(2)]
        await asyncio.sleep(0.3)
        monkeypatch.setattr(passwords, "WAIT_SECONDS", 0.01)
        for _ in range(10):
            await api.refused(503, "share.link.validate", right)
    await asyncio.gather(*flood)
    assert (await api.ok("share.link.validate", right))["target_type"] == "item"


async def test_passwords_are_counted_by_address(limited: Somebody) -> None:
    tokens = (await limited.tries(PASSWORD)).json()
    spread = Somebody(limited.api, limited.owner)
    seen: list[httpx.Response] = []
    for _ in range(12):
        spread.email = f"{secrets.token_hex(6)}@example.org"
        seen.append(await spread.tries(WRONG, f"2001:db8:0:1::{secrets.token_hex(2)}"))
        if seen[-1].status_code == 429:
            break
    slowed = seen[-1]
    assert slowed.status_code == 429 and slowed.json()["error"] == "temporarily_unavailable"
    assert 0 < int(slowed.headers["retry-after"]) <= 60
    async with limited.at("2001:db8:0:1::9") as client:
        page = await client.get("/sign-in")
        csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert csrf
        form = {"csrf": csrf[1], "email": limited.email, "password": PASSWORD}
        page = await client.post("/sign-in", data=form)
        assert page.status_code == 429 and "try again" in page.text
        form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        assert (await client.post(f"{AT}/token", data=form)).status_code == 200
    assert (await limited.tries(PASSWORD, "2001:db8:0:2::9")).status_code == 200


async def test_a_form_that_is_sent_too_often_is_answered_by_a_page(limited: Somebody) -> None:
    async with limited.at("192.0.2.50") as client:
        page = await client.get("/sign-in")
        csrf = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert csrf
        form = {"csrf": csrf[1], "email": f"{secrets.token_hex(6)}@example.org"}
        for _ in range(7):
            page = await client.post("/sign-up", data=form)
    assert page.status_code == 429 and "try again in" in page.text
    assert page.headers["content-type"].startswith("text/html")
    assert 0 < int(page.headers["retry-after"]) <= 60


# ---------------------------------------------------------------- whose failures are counted


async def test_a_network_counts_as_one_address(somebody: Somebody) -> None:
    for n in range(5):
        answer = await somebody.tries(WRONG, f"2001:db8:0:1::{n + 1}")
        assert "wrong" in answer.json()["error_description"]
    answer = await somebody.tries(PASSWORD, "2001:db8:0:1:ffff::1")
    assert "too many" in answer.json()["error_description"]
    assert (await somebody.tries(PASSWORD, "2001:db8:0:2::1")).status_code == 200


async def test_who_has_signed_in_from_somewhere_is_not_kept_out_from_there(
    somebody: Somebody,
) -> None:
    assert (await somebody.tries(PASSWORD, "192.0.2.7")).status_code == 200
    somebody.note("account", somebody.email, 50)
    answer = await somebody.tries(PASSWORD, "192.0.2.8")
    assert "too many" in answer.json()["error_description"]
    assert (await somebody.tries(PASSWORD, "192.0.2.7")).status_code == 200


async def test_guesses_from_many_places_at_once_are_no_more_than_fifty(somebody: Somebody) -> None:
    somebody.note("account", somebody.email, 49)
    answers = await asyncio.gather(*(somebody.tries(WRONG, f"192.0.2.{n}") for n in range(1, 7)))
    words = [answer.json()["error_description"] for answer in answers]
    assert sum("too many" in text for text in words) == 5, words


async def test_user_codes_asked_for_at_once_are_no_more_than_five(somebody: Somebody) -> None:
    async def guess() -> int:
        async with somebody.at("192.0.2.99") as client:
            answer = await client.post(
                "/device/approve",
                data={"user_code": "BBBB-BBBB", "action": "approve"},
                headers={"Authorization": f"Bearer {somebody.owner.token}"},
            )
            return answer.status_code

    somebody.api.sql("delete from sign_in_attempt", role="opstac_identity")
    seen = await asyncio.gather(*(guess() for _ in range(20)))
    assert sorted(seen) == [404] * 5 + [429] * 15


# ---------------------------------------------------------------- what is not understood


@pytest.mark.parametrize("path", ["token", "revoke", "auth/device"])
async def test_a_header_that_is_no_basic_is_an_unknown_client(api: Api, path: str) -> None:
    for text in (b"/w==", b"", b"!!", b"bm9jb2xvbg==", b"\xff\xfe", b"OgA", b"Og== Og=="):
        answer = await api.client.post(
            f"{AT}/{path}",
            data={"grant_type": "client_credentials", "token": "x"},
            headers={"Authorization": b"Basic " + text},
        )
        assert answer.status_code == 401, (text, answer.text)
        assert answer.json()["error"] == "invalid_client"
        assert answer.headers["www-authenticate"].startswith("Basic")


async def test_a_token_of_a_key_is_not_said_to_be_revoked(somebody: Somebody) -> None:
    key = await somebody.api.key(somebody.owner, "*:read")
    form = {"client_id": "geopera", "client_secret": key.token}
    post = somebody.api.client.post
    made = await post(f"{AT}/token", data={"grant_type": "client_credentials", **form})
    token = made.json()["access_token"]
    answer = await post(f"{AT}/revoke", data={**form, "token": token})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == "unsupported_token_type"
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await somebody.api.client.get(f"{AT}/userinfo", headers=bearer)).status_code == 200
