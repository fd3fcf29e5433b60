"""`opstac op`: operations from the command line, over the wire."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from ops_gateway import domains
from ops_gateway.kernel.operation import REGISTRY
from ops_gateway.surfaces.openapi import document
from opstac.cli import main
from opstac.shell import flags, known


@pytest.fixture
def service() -> str:
    return "gateway"


async def test_an_operation_by_its_id_by_words_and_from_json(live, op):
    owner = await live.organization()
    status, out, err = await op("projects.create", "--name", "Harbour", as_=owner)
    assert (status, err) == (0, "")
    project = json.loads(out)
    for words in (
        ["projects.get", "--project-id", project["id"]],
        ["projects", "get", f"--project_id={project['id']}"],
        ["projects", "get", "--json", json.dumps({"project_id": project["id"]})],
        ["projects.get", "--json", '{"project_id": "prj_no"}', "--project-id", project["id"]],
    ):
        status, out, _ = await op(*words, as_=owner)
        assert status == 0 and json.loads(out)["project"]["name"] == "Harbour"


async def test_lists_repeat_and_objects_are_json_or_files(live, op, tmp_path: Path):
    owner = await live.organization()
    status, out, _ = await op(
        "api-keys", "create", "--name", "k", "--permissions", "items:read",
        "--permissions", '["projects:read", "billing:read"]', "--expires-in-days", "3", as_=owner,
    )  # fmt: skip
    assert status == 0
    made = json.loads(out)
    assert made["permissions"] == ["items:read", "projects:read", "billing:read"]
    assert made["expires_at"] is not None

    project = await live.project(owner)
    place = tmp_path / "place.geojson"
    place.write_text('{"type": "Point", "coordinates": [4, 51]}')
    words = ["items.create", "--project-id", project, "--name", "n", "--geometry", f"@{place}"]
    status, out, err = await op(*words, "--type", "user_raster", as_=owner)
    assert status == 0, err
    assert json.loads(out)["geometry"]["coordinates"] == [4, 51]


async def test_a_key_makes_a_call_repeatable(live, op):
    owner = await live.organization()
    words = ["projects.create", "--name", "Twice", "--idempotency-key", "once"]
    first = await op(*words, as_=owner)
    assert first[0] == 0 and first == await op(*words, as_=owner)


async def test_a_refusal_is_status_2_with_its_reason(live, op):
    owner = await live.organization()
    status, out, err = await op("items.get", "--item-id", "it_nowhere", as_=owner)
    assert (status, out, err) == (2, "", "Error: [404] item not found\n")
    status, _, err = await op("projects.list")
    assert status == 2 and err.startswith("Error: [401] ") and "opstac login" in err
    status, _, err = await op("projects.create", "--name", "", as_=owner)
    assert status == 2
    assert err.splitlines()[0] == "Error: [422] Unprocessable Content"
    assert re.match(r"  body\.name: \w", err.splitlines()[1])


async def test_mistakes_in_the_command_line_are_told_before_anything_is_called(live, op):
    owner = await live.organization()
    status, _, err = await op("projects.gett", as_=owner)
    assert status == 2 and "projects.get" in err
    status, _, err = await op("projects", as_=owner)
    assert status == 2 and "projects create" in err
    for words in (["--nonsense", "1"], ["--json", "{"], ["--json", "[]"], ["--json", "@/nowhere"]):
        status, _, err = await op("projects.list", *words, as_=owner)
        assert status == 2 and "usage: opstac projects list" in err
    assert (await op(as_=owner))[0] == 1


async def test_operations_are_listed_with_their_flags(op):
    status, out, _ = await op("--list")
    listed = {line.split()[0] for line in out.splitlines()}
    assert status == 0 and {"projects.create", "items.get"} <= listed
    status, out, _ = await op("--list", "uploads")
    assert {line.split(".")[0] for line in out.splitlines()} == {"uploads"}
    assert (await op("--list", "nothing"))[0] == 2
    status, out, _ = await op("items.get", "--help")
    assert status == 0 and "--item-id TEXT" in out and "scope items:read" in out
    status, out, _ = await op("items.search", "--help")
    said = " ".join(out.split())
    assert "one of satellite_capture, derived_raster" in said and "1 to 1000" in said


async def test_an_answer_goes_to_a_file(live, op, tmp_path: Path):
    target = tmp_path / "groups.json"
    owner = await live.organization()
    status, out, err = await op("cog.colormaps", "--out", str(target), as_=owner)
    assert (status, out) == (0, "") and str(target) in err
    assert json.loads(target.read_text())
    status, _, err = await op("cog.colormaps", "--out", str(tmp_path / "no" / "f"), as_=owner)
    assert status == 1 and "No such file" in err


def test_nobody_there_is_said_in_a_line(monkeypatch, capfd):
    monkeypatch.setenv("OPSTAC_URL", "http://127.0.0.1:9")
    assert main(["op", "projects.list"]) == 1
    assert capfd.readouterr().err.startswith("opstac: http://127.0.0.1:9 does not answer")


async def test_what_is_no_token_and_no_address_is_said_in_a_line(shell, monkeypatch):
    for name, value in (
        ("OPSTAC_TOKEN", "two words"),
        ("OPSTAC_TOKEN", "naïve"),
        ("OPSTAC_URL", "http://a\u200bb.example"),
        ("OPSTAC_URL", "http://xn--.example"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv("OPSTAC_URL", "http://127.0.0.1:9")
            given = type("Caller", (), {"token": value}) if name == "OPSTAC_TOKEN" else None
            if given is None:  # else `shell` sets it, and takes it back
                patch.setenv(name, value)
            status, out, err = await shell("projects", "list", as_=given)
        assert (status, out, err.count("\n")) == (1, "", 1) and err.startswith("opstac: "), err
        assert "words" not in err and "naïve" not in err


def test_every_operation_has_a_flag_for_every_field():
    domains.load()
    of_server = known.published(document())
    assert set(of_server) == set(REGISTRY)
    for name, there in of_server.items():
        op = known.find(name)
        assert op is not None
        assert (op.summary, op.scope, op.effect, op.required) == (
            there.summary, there.scope, there.effect, there.required,
        )  # fmt: skip
        parser = flags.make_parser(op)
        said = " ".join(parser.format_help().split())
        assert " ".join(op.summary.split()) in said
        assert {flags.flag(field)[2:] for field in op.fields}.isdisjoint(flags.OWN)
        actions = {action.dest: action for action in parser._actions}
        for field, schema in op.fields.items():
            told = actions[field].help or ""
            assert ("required" in told) or field not in op.required
            for value in flags.choices(schema) + flags.choices(schema.get("items") or {}):
                assert value in told


def test_the_help_of_the_command_needs_no_package():
    # as `./opstac op --help` runs it: without the environment's packages
    import subprocess

    src = str(Path(__file__).resolve().parents[2] / "src")
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-m", "opstac", "op", "--help"],
        env={"PYTHONPATH": src}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "opstac op items.get" in done.stdout
