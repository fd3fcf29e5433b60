"""`opstac doctor`, on machines that are well and machines that are not."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from db.migrate import files


@dataclass(frozen=True)
class Person:
    """Whoever has a token."""

    token: str


@pytest.fixture
def service() -> str:
    return "gateway"


@pytest.fixture
def doctor(shell, monkeypatch, tmp_path: Path):
    """Runs it with variables: its status, and level and words by what was looked at."""
    home = tmp_path / "data"
    home.mkdir()

    async def run(*words: str, **variables: str) -> tuple[int, dict[str, tuple[str, str]]]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            free = str(probe.getsockname()[1])
        with monkeypatch.context() as patch:
            for name, value in {
                "OPSTAC_HOME": str(home), "OPSTAC_PORT": free, "OPSTAC_URL": "", **variables,
            }.items():  # fmt: skip
                patch.setenv(name, value)
            token = variables.get("OPSTAC_TOKEN")
            status, out, err = await shell(
                "doctor",
                "--json",
                *words,
                as_=type("Caller", (), {"token": token}) if token else None,
            )
        assert err == ""
        found = json.loads(out)
        assert all(one["advice"] for one in found if one["level"] in ("warn", "bad"))
        return status, {one["what"]: (one["level"], one["said"]) for one in found}

    return run


async def test_a_machine_that_is_well(live, dsn, doctor):
    owner = await live.organization()
    url = str(live.client.base_url)
    status, found = await doctor(OPSTAC_URL=url, OPSTAC_TOKEN=owner.token, DATABASE_URL=dsn)
    wrong = {what: said for what, (level, said) in found.items() if level == "bad"}
    assert (status, wrong) == (0, {})
    assert found["migrations"] == ("ok", f"all {len(files())} are applied")
    assert found["postgis"][0] == found["pgstac"][0] == found["platform"][0] == "ok"
    assert str(owner.organization_id) in found["credential"][1]
    assert "projects:read" in found["scopes"][1] or "*" in found["scopes"][1]


async def test_each_thing_that_is_wrong_is_named(doctor, own_cluster, tmp_path: Path):
    own_cluster.create_database("empty_for_doctor")
    empty = own_cluster.dsn("empty_for_doctor")
    status, found = await doctor(DATABASE_URL=empty)
    assert status == 1
    assert found["migrations"][0] == "bad" and files()[0].name in found["migrations"][1]
    assert found["pgstac"] == ("bad", "not in this database")
    secret = "hunter-two-is-secret"
    status, found = await doctor(DATABASE_URL=f"postgresql://u:{secret}@127.0.0.1:1/x")
    assert status == 1 and found["database"][0] == "bad" and secret not in str(found)

    status, found = await doctor(OPSTAC_POOL_SIZE="many", OPSTAC_PROT="1", OPSTAC_SECRET_KEY="abcd")
    assert status == 1
    assert found["OPSTAC_POOL_SIZE"] == ("bad", "must be a whole number, not 'many'")
    assert found["OPSTAC_PROT"][0] == "warn" and found["OPSTAC_SECRET_KEY"][0] == "bad"

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        taken.settimeout(0)
        status, found = await doctor(OPSTAC_PORT=str(taken.getsockname()[1]))
        assert status == 1 and found["port"][0] == "bad"

    place = tmp_path / "a file"
    place.write_text("")
    status, found = await doctor(OPSTAC_STORAGE=str(place))
    assert status == 1 and found["store"][0] == "bad"
    secret_key = tmp_path / "data" / "secret.key"
    secret_key.write_text("x" * 40)
    secret_key.chmod(0o644)
    status, found = await doctor()
    assert status == 1 and found["master secret"][0] == "bad"


async def test_the_platform_and_the_credential(live, doctor):
    url = str(live.client.base_url)
    status, found = await doctor(OPSTAC_URL="http://127.0.0.1:1")
    assert status == 1 and found["platform"][0] == "bad"
    status, found = await doctor()
    assert status == 0 and found["platform"][0] in ("note", "ok")
    token = "gpra_of_nobody_at_all"
    status, found = await doctor(OPSTAC_URL=url, OPSTAC_TOKEN=token)
    assert status == 1 and found["credential"][0] == "bad" and token not in str(found)
    status, found = await doctor(OPSTAC_URL="not an address")
    assert status == 1 and found["platform"][0] == "bad" and found["OPSTAC_URL"][0] == "bad"


def test_a_database_without_a_migration_is_behind(dsn):
    from opstac.doctor import database

    with psycopg.connect(dsn) as connection:
        last = files()[-1].name
        connection.execute("delete from opstac.migration where name = %s", (last,))
        connection.commit()
        try:
            found = {one.what: one for one in database.database({"DATABASE_URL": dsn})}
        finally:
            import hashlib

            digest = hashlib.sha256(files()[-1].read_bytes()).hexdigest()
            connection.execute(
                "insert into opstac.migration (name, checksum) values (%s, %s)", (last, digest)
            )
            connection.commit()
    assert found["migrations"].level == "bad" and last in found["migrations"].said
