"""Every operation is a command: `opstac items get`, beside our own commands."""

from __future__ import annotations

import json

import pytest

from opstac.cli import COMMANDS
from opstac.client import table
from opstac.shell import tree

BOTH = [name for name in COMMANDS if name in tree.domains()]


@pytest.fixture
def service() -> str:
    return "gateway"


def test_every_operation_is_found_by_its_words():
    for op_id in table.entries():
        for words in (tree.spelled(op_id).split(), op_id.split("."), [op_id]):
            found = tree.follow([*words, "--limit", "3"])
            assert found is not None
            assert (found.name, found.is_operation, found.rest) == (op_id, True, ["--limit", "3"])
    assert tree.follow(["nothing", "of", "the", "kind"]) is None
    assert tree.follow([]) is None and tree.follow(["--list"]) is None and tree.follow([""]) is None
    # a group that is an operation as well
    found = tree.follow(["astra", "process"])
    assert found is not None and found.is_operation
    found = tree.follow(["astra", "process", "get"])
    assert found is not None and found.name == "astra.process.get"


async def test_an_operation_is_called_by_its_words(live, of_live):
    owner = await live.organization()
    status, out, err = await of_live("projects", "create", "--name", "Harbour", as_=owner)
    assert (status, err) == (0, "")
    made = json.loads(out)
    status, out, _ = await of_live("projects", "get", "--project-id", made["id"], as_=owner)
    assert status == 0 and json.loads(out)["project"]["name"] == "Harbour"
    for words in (["api-keys", "list"], ["api_keys.list"], ["op", "api-keys", "list"]):
        status, out, _ = await of_live(*words, as_=owner)
        assert (status, json.loads(out)) == (0, {"api_keys": [], "count": 0})
    status, out, _ = await of_live("processing", "job-types", "list", "--category", "index")
    whole = await live.ok("processing.job_types.list", {"category": "index"}, as_=owner)
    assert status == 2  # nobody is signed in
    status, out, _ = await of_live(
        "processing", "job-types", "list", "--category", "index", as_=owner
    )
    assert (status, json.loads(out)) == (0, whole)


async def test_a_name_of_both_is_the_operation_where_it_names_one(live, of_live):
    assert BOTH == ["share", "alerts"]
    owner = await live.organization()
    project = await live.project(owner)
    made = await live.ok("collections.create", {"project_id": project, "name": "c"}, as_=owner)
    status, out, _ = await of_live("share", "link", "list", as_=owner)
    assert status == 0 and json.loads(out)["count"] == 0
    words = ["--target-type", "collection", "--target-id", made["id"], "--password", "seven seas"]
    words += ["--expires-at", "2099-01-01T00:00:00Z"]
    status, out, err = await of_live("share", "link", "create", *words, as_=owner)
    assert status == 0, err
    status, out, _ = await of_live("alerts", "rules", "list", as_=owner)
    assert status == 0 and json.loads(out)["count"] == 0
    # the operation by its flags, the command by the rule behind it; both ask the same platform
    status, out, err = await of_live("alerts", "backtest", "--rule-id", "ar_no", as_=owner)
    assert (status, err) == (2, "Error: [404] alert rule not found\n")
    status, out, err = await of_live("alerts", "backtest", "ar_no", "--items", "3", as_=owner)
    assert (status, err) == (2, "Error: [404] alert rule not found\n")
    status, out, err = await of_live("alerts", "backtest", "--items", "3", "ar_no", as_=owner)
    assert (status, err) == (2, "Error: [404] alert rule not found\n")


async def test_the_help_tells_what_is_both(shell):
    status, out, _ = await shell("--help")
    assert status == 0
    assert "Of `share` and `alerts`, which are commands as well" in out
    for domain in tree.domains():
        assert domain in out
    status, out, _ = await shell("share", "--help")
    assert "usage: opstac share" in out and "opstac share link create\n" in out
    status, out, _ = await shell("alerts", "--help")
    assert "backtest" in out and "opstac alerts rules list\n" in out
    status, out, _ = await shell("alerts", "backtest", "--help")
    assert "--rule-id" in out
    _, out, _ = await shell("alerts", "rules", "--help")
    assert "alerts rules list" in out


async def test_a_group_is_told_and_not_called(shell):
    status, out, _ = await shell("processing", "--help")
    assert status == 0 and "  processing job-types list  " in out
    status, _, err = await shell("processing", "job-types")
    assert status == 2 and "processing job-types list" in err


async def test_what_is_near_is_named(shell, monkeypatch):
    monkeypatch.setenv("OPSTAC_URL", "http://127.0.0.1:9")
    for words, near in (
        (["items", "gte"], "items.get"),
        (["processing", "jobs", "lst"], "processing.jobs.list"),
        (["prosessing"], "processing"),
        (["serv"], "serve"),
    ):
        status, _, err = await shell(*words)
        assert status == 2 and near in err, (words, err)


async def test_an_operation_of_a_newer_server_is_called_by_what_that_publishes(
    live, of_live, monkeypatch
):
    without = {name: entry for name, entry in table.entries().items() if name != "projects.list"}
    monkeypatch.setattr(table, "entries", lambda: without)
    owner = await live.organization()
    project = await live.project(owner)
    status, out, _ = await of_live("projects", "list", "--limit", "1", as_=owner)
    assert status == 0 and [one["id"] for one in json.loads(out)["projects"]] == [project]
    status, out, _ = await of_live("op", "projects.list", "--help")
    assert status == 0 and "--limit N" in out
    # it is asked of the platform that is named
    url = str(live.client.base_url).rstrip("/")
    monkeypatch.setenv("OPSTAC_URL", "http://127.0.0.1:9")
    for named in (["--server", url], [f"--server={url}"]):
        status, out, _ = await of_live("projects", "list", *named, "--help")
        assert status == 0 and "--limit N" in out
