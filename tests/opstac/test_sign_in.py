"""`opstac login`, `whoami` and `logout`, against the platform's own sign-in."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from opstac.shell import credentials, sign_in
from opstac.shell.credentials import Credential, Store
from opstac.shell.status import CommandError


@pytest.fixture
def service() -> str:
    return "gateway"


@pytest.fixture
def login(live, of_live, monkeypatch):
    """Signs a person in through the device's page: what the command said."""

    async def run(person, action: str = "approve") -> tuple[int, str, str]:
        begun: asyncio.Future[sign_in.Device] = asyncio.get_running_loop().create_future()
        loop, begin = asyncio.get_running_loop(), sign_in.begin

        def noticed(server: str) -> sign_in.Device:
            device = begin(server)
            loop.call_soon_threadsafe(begun.set_result, device)
            return replace(device, interval=0.05)

        monkeypatch.setattr(sign_in, "begin", noticed)
        command = asyncio.create_task(of_live("login", "--no-browser"))
        device = await asyncio.wait_for(begun, 30)
        await live.client.post(
            "/device/approve",
            data={"user_code": device.user_code, "action": action},
            headers={"Authorization": f"Bearer {person.token}"},
        )
        monkeypatch.setattr(sign_in, "begin", begin)
        # the server asks for five seconds between two questions
        return await asyncio.wait_for(command, 60)

    return run


async def test_a_person_signs_in_works_and_signs_out(live, of_live, login, monkeypatch):
    owner = await live.organization()
    url = str(live.client.base_url).rstrip("/")
    status, out, err = await login(owner)
    assert (status, out) == (0, "") and f"signed in to {url} as " in err
    assert re.search(r"Approve the sign-in on http\S+user_code=[A-Z-]+\n", err)
    file = credentials.path()
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700

    status, out, _ = await of_live("whoami")
    who = json.loads(out)
    assert (status, who["sub"], who["server"]) == (0, owner.user_id, url)
    status, out, _ = await of_live("billing", "credits", "balance")
    assert status == 0 and json.loads(out)["organization_id"] == owner.organization_id

    # an access token that has ended is renewed, once for commands that run at the same time
    store = Store()
    kept = store.get(url)
    assert kept is not None and kept.refresh
    store.put(url, replace(kept, ends=time.time() - 1))
    status, _, err = await of_live("billing", "credits", "balance")
    assert (status, err) == (0, "")
    newer = store.get(url)
    assert newer is not None and newer.refresh != kept.refresh
    # and one that the platform does not take any more, though it should not have ended
    store.put(url, replace(newer, token="eyJ.no.token"))
    status, _, err = await of_live("projects", "list")
    assert (status, err) == (0, "")
    # nor does a list end with the token: here each page finds one that has ended
    names = sorted([await live.project(owner, name) for name in ("a", "b", "c")])
    renewals: list[str | None] = []
    with monkeypatch.context() as patch:
        renewed = sign_in.renewed
        patch.setattr(Credential, "is_stale", lambda *_: True)
        patch.setattr(
            sign_in, "renewed", lambda *given: renewals.append(given[1].refresh) or renewed(*given)
        )
        status, out, err = await of_live("projects", "list", "--all", "--limit", "1")
    assert (status, err) == (0, "")
    assert sorted(json.loads(line)["id"] for line in out.splitlines()) == names
    assert len(renewals) == len(set(renewals)) >= 3

    status, _, err = await of_live("logout")
    assert status == 0 and f"signed out of {url}" in err
    ended = live.sql("select 1 from sign_in where user_id = %s and ended_at is not null",
                     owner.user_id)  # fmt: skip
    assert ended
    status, _, err = await of_live("whoami")
    assert status == 2 and "opstac login" in err
    assert (await of_live("logout"))[0] == 0


async def test_a_session_that_has_ended_is_said_with_what_to_do(live, of_live, capfd):
    url = str(live.client.base_url)
    Store().put(url, Credential("eyJ.no.token", "no refresh token", time.time() - 10))
    for words in (["projects", "list"], ["whoami"], ["watch", "job_x"]):
        status, out, err = await of_live(*words)
        assert (status, out) == (2, "") and "opstac login" in err, err
        assert "no refresh token" not in err and "eyJ" not in err


async def test_a_refused_sign_in_keeps_nothing(live, of_live, login):
    owner = await live.organization()
    status, _, err = await login(owner, "deny")
    assert status == 2 and "refused on the page" in err
    assert not credentials.path().exists()


async def test_a_key_is_kept_from_standard_input(live, of_live, monkeypatch):
    import io

    owner = await live.organization()
    key = await live.key(owner, "projects:read")
    monkeypatch.setattr("sys.stdin", io.StringIO(key.token + "\n"))
    assert (await of_live("login", "--with-token"))[0] == 0
    assert (await of_live("projects", "list"))[0] == 0
    status, out, _ = await of_live("whoami", "--json")
    assert json.loads(out)["geopera_principal_type"] == "api_key"
    for text in ("", "gpra_wrong", "two words", "naïve"):
        monkeypatch.setattr("sys.stdin", io.StringIO(text + "\n"))
        status, _, err = await of_live("login", "--with-token")
        assert status == 2 and "Traceback" not in err
    # what was there is there still
    assert (await of_live("projects", "list"))[0] == 0


async def test_a_token_goes_to_its_own_platform_alone(shell, monkeypatch):
    """Another port of the same host, and a proxy's redirect, get no token."""
    heard: list[bytes] = []

    async def answer(reader, writer):
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\n"
                     b"Content-Length: 0\r\n\r\n")  # fmt: skip
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        Store().put("http://127.0.0.1:1", Credential("made-for-port-1"), current=True)
        await shell("projects", "list", "--server", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OPSTAC_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("GEOPERA_API_TOKEN", "of-the-environment")
        await shell("projects", "list", "--server", f"http://127.0.0.1:{port}")
        assert len(heard) == 2 and not any(b"authorization" in one.lower() for one in heard)
        monkeypatch.setenv("OPSTAC_URL", f"http://127.0.0.1:{port}/")
        await shell("projects", "list")
        assert b"of-the-environment" in heard[2] and len(heard) == 3


def test_one_platform_has_one_name():
    same = (
        "https://Maps.example.org",
        "https://maps.example.org:443/",
        " https://maps.example.org",
    )
    assert {credentials.platform(url) for url in same} == {"https://maps.example.org"}
    others = {"http://maps.example.org", "https://maps.example.org:8443",
              "https://maps.example.org/a", "https://example.org", "http://[::1]:8080"}  # fmt: skip
    assert len({credentials.platform(url) for url in others}) == len(others)
    for wrong in (
        "", "maps.example.org", "ftp://a", "https://u:p@a", "https://a?x=1", "http://a:b",
        "http://", "https://a b", "http://\udcff", "http://[::1", "javascript:alert(1)",
    ):  # fmt: skip
        with pytest.raises(CommandError):
            credentials.platform(wrong)


async def test_a_damaged_file_is_said(shell, tmp_path: Path):
    file = credentials.path()
    file.parent.mkdir(parents=True)
    for content in (b"", b"{", b"[]", b'{"servers": 3}', b"\xff", b"[" * 100000,
                    b'{"servers": {"http://127.0.0.1:9": {"a": 1}}}'):  # fmt: skip
        file.write_bytes(content)
        status, out, err = await shell("projects", "list", "--server", "http://127.0.0.1:9")
        assert (status, out) == (1, "") and "is damaged" in err, content
