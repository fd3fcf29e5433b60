"""`opstac grant`, `opstac export` and `opstac verify` as an operator uses them."""

from __future__ import annotations

import asyncio
import json

import pytest

from opstac.cli import main


@pytest.fixture
def cli(api, monkeypatch, capsys):
    """Runs the command line on the test's platform: status, output, errors."""
    settings = api.platform.settings
    monkeypatch.setenv("DATABASE_URL", settings.dsn)
    monkeypatch.setenv("OPSTAC_HOME", str(settings.home))
    monkeypatch.setenv("OPSTAC_STORAGE", settings.storage)
    monkeypatch.setenv("OPSTAC_SECRET_KEY", settings.master_secret.decode())

    async def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = await asyncio.to_thread(main, list(arguments))
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


async def test_credits_are_granted_from_the_command_line(api, cli):
    owner = await api.organization()
    status, out, _ = await cli("grant", owner.organization_id, "250", "--reason", "pilot")
    assert status == 0 and "250 credits" in out
    newest = (await api.ok("billing.credits.transactions", {"limit": 1}, as_=owner))[
        "transactions"
    ][0]
    assert newest["id"] in out and newest["description"] == "pilot"
    for arguments in (("org_missing", "5"), (owner.organization_id, "0")):
        status, _, err = await cli("grant", *arguments)
        assert status == 1 and err.startswith("opstac: ")


async def test_an_operator_says_how_much_of_the_workers_an_organization_gets(api, cli):
    org = (await api.organization()).organization_id
    assert (await cli("share", org))[1] == f"{org}: weight 1, running default\n"
    for arguments, said in [
        (("--weight", "3", "--running", "5"), "weight 3, running 5"),
        (("--running", "0"), "weight 3, running 0"),
        (("--weight", "1", "--running", "default"), "weight 1, running default"),
        ((), "weight 1, running default"),
    ]:
        assert await cli("share", org, *arguments) == (0, f"{org}: {said}\n", "")
    audited = api.sql(
        "select count(*) as n from audit where organization_id = %s and operation = %s",
        org,
        "jobs.set_share",
    )
    assert audited[0]["n"] == 3
    for arguments in (
        (org, "--weight", "0"),
        (org, "--running", "1001"),
        ("org_missing", "--weight", "2"),
        ("org_missing",),
    ):
        status, _, err = await cli("share", *arguments)
        assert status == 1 and err.startswith("opstac: ")
    with pytest.raises(SystemExit):
        await cli("share", org, "--running", "many")


async def test_an_export_is_checked_offline_and_shows_what_was_done_to_it(
    api, cli, tmp_path, monkeypatch
):
    owner = await api.organization()
    await api.project(owner)
    file = tmp_path / "record.ndjson"
    status, out, _ = await cli("export", owner.organization_id, "--out", str(file))
    assert status == 0
    key = out.split("public key: ")[1].strip()
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    status, out, _ = await cli("verify", "--export", str(file), "--public-key", key)
    assert status == 0 and "whole and signed" in out
    pem = tmp_path / "key.txt"
    pem.write_text(key + "\n")
    assert (await cli("verify", "--export", str(file), "--public-key", str(pem)))[0] == 0
    status, _, err = await cli("verify", "--export", str(file))
    assert status == 1 and "--public-key" in err
    lines = file.read_text().splitlines()
    row = json.loads(lines[0])
    lines[0] = json.dumps(
        row | {"text": row["text"].replace("organizations.create", "organizations.steal")}
    )
    file.write_text("\n".join(lines))
    status, out, _ = await cli("verify", "--export", str(file), "--public-key", key)
    assert status == 1 and "altered" in out
    file.write_text("nonsense\n")
    status, _, err = await cli("verify", "--export", str(file), "--public-key", key)
    assert status == 1 and "line 1: not JSON" in err


async def test_an_export_of_nobody_leaves_no_file(cli, tmp_path):
    file = tmp_path / "record.ndjson"
    status, _, err = await cli("export", "org_missing", "--out", str(file))
    assert status == 1 and "no organization" in err
    assert list(tmp_path.glob("record*")) == []
    status, _, err = await cli("export", "org_missing", "--out", str(tmp_path / "no" / "file"))
    assert status == 1 and "no such folder" in err


async def test_a_database_nobody_touched_verifies_also_against_an_export(api, cli, tmp_path):
    owner = await api.organization()
    file = tmp_path / "record.ndjson"
    assert (await cli("export", owner.organization_id, "--out", str(file)))[0] == 0
    await api.project(owner)
    status, out, _ = await cli("verify", "--since", str(file))
    # other tests of this process may have left rows made by hand in other organizations
    assert owner.organization_id not in out
    assert " files were read" in (await cli("verify", "--files"))[1]
    head = json.loads(file.read_text().splitlines()[-1])
    head["chains"]["audit"]["seq"] += 1
    file.write_text(json.dumps(head))
    status, out, _ = await cli("verify", "--since", str(file))
    assert status == 1 and "signature" in out


async def test_prices_plans_and_operators_are_set_from_the_command_line(api, cli):
    assert (await cli("price", "set", "weighing", "2.5"))[0] == 1  # which unit is not known
    status, out, err = await cli("price", "set", "weighing", "2.5", "--unit", "flat")
    assert (status, err) == (0, "") and "weighing: 2.5 credits from" in out
    later = ("--from", "2090-01-01", "--until", "2090-02-01")
    assert (await cli("price", "set", "weighing", "3", "--minimum", "4", *later))[0] == 0
    listed = [line for line in (await cli("price", "list"))[1].splitlines() if "weighing" in line]
    assert [line.split(" credits")[0] for line in listed] == ["weighing: 2.5"[:13], "weighing: 3",
                                                              "weighing: 2.5"]  # fmt: skip
    assert "at least 4, from 2090-01-01 00:00Z until 2090-02-01 00:00Z" in listed[1]

    owner = await api.organization()
    plan = ("plan", "set", "club", "--fee", "500", "--credits", "70", "--credit-months", "2")
    assert (await cli(*plan))[0] == 0
    assert (await cli("plan", "set", "club", "--credits", "90", "--from", "2090-01-01"))[0] == 0
    status, out, _ = await cli("plan", "assign", owner.organization_id, "club")
    assert status == 0 and out == f"{owner.organization_id} is on club: 70 credits\n"
    listed = [line for line in (await cli("plan", "list"))[1].splitlines() if "club" in line]
    assert ["500 cents and 70 " in listed[0], "500 cents and 90 " in listed[1]] == [True, True]

    assert (await cli("threshold", "set", "tax_basis_points", "1500", "--from", "2090-01-01"))[
        0
    ] == 0
    assert "1500 basis points, from 2090" in (await cli("threshold", "list"))[1]

    status, token, _ = await cli("operator", "add", "boss@example.org", "--token")
    boss = type(owner)(token.strip())
    assert status == 0 and await api.ok("billing.free_tier.list_pending", as_=boss)
    assert "boss@example.org" in (await cli("operator", "list"))[1]
    assert (await cli("operator", "remove", "boss@example.org"))[0] == 0
    await api.refused(403, "billing.free_tier.list_pending", as_=boss)
    for wrong in [
        ("price", "set", "weighing", "many"),
        ("price", "set", "weighing", "-1"),
        ("price", "set", "weighing", "1", "--from", "2020-01-01"),
        ("price", "set", "weighing", "1", "--from", "soon"),
        ("plan", "set", "No Plan"),
        ("plan", "assign", owner.organization_id, "none"),
        ("threshold", "set", "none", "1"),
        ("operator", "remove", "nobody@example.org"),
    ]:
        status, _, err = await cli(*wrong)
        assert status == 1 and err.startswith("opstac: "), wrong
