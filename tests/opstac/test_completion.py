"""What shells complete: asked of the completer, and in real shells."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from opstac.client import table
from opstac.shell import completion, tree

ROOT = Path(__file__).resolve().parents[2]
# fish and zsh where they are installed; bash is everywhere that tests run
THERE = [shell for shell in completion.SHELLS if shutil.which(shell)]


def values(*words: str) -> list[str]:
    return [line.partition("\t")[0] for line in completion.lines(words)]


def test_commands_operations_flags_and_values():
    assert {"serve", "items", "api-keys", "--help"} <= set(values(""))
    assert values("ite") == ["items"]
    assert values("items", "search-") == ["search-org"]
    assert values("processing", "job-types", "") == ["list"]
    assert "processing.job_types.list" in values("processing.job_")
    assert values("op", "items.get_") == ["items.get_stac"]
    assert values("items", "search", "--ty") == ["--type"]
    assert "clip" in values("items", "search", "--type", "")
    assert values("items", "search", "--type", "cl") == ["clip"]
    assert values("items", "search", "--type=cl") == ["--type=clip"]
    assert values("items", "search", "--type", "=", "cl") == ["clip"]  # as bash takes it apart
    assert values("db", "st") == ["start", "stop", "status"]
    assert values("price", "") == ["set", "list"]
    assert values("completion", "z") == ["zsh"]
    assert values("ingest", "") == [":files"] and values("upload", "") == [":files"]
    assert "--all" in values("items", "search", "--a")
    assert "--project-id" not in values("items", "search", "--project-id", "p", "--pro")
    assert "--bbox" in values("items", "search", "--bbox", "1", "--bb")
    assert set(values("alerts", "")) >= {"backtest", "rules", "create-rule"}
    assert set(values("share", "")) >= {"link"} and "--weight" in values("share", "org_1", "--w")


def test_every_operation_is_reached_word_by_word_with_all_its_flags():
    for op_id, entry in table.entries().items():
        words = tree.spelled(op_id).split()
        for count in range(len(words)):
            assert words[count] in values(*words[:count], ""), (op_id, count)
        offered = set(values(*words, "--"))
        for field in entry.fields:
            from opstac.shell.flags import flag

            assert flag(field) in offered


@pytest.mark.parametrize(
    "words", [["\x00"], ["\udcff", ""], ["items", "get", "--body", "@/no/"], ["=", "="], ["", ""],
              ["op"], ["op", "--list", ""], ["x" * 100_000], ["--type=" * 500], ["share", "--"]]
)  # fmt: skip
def test_nothing_typed_is_a_failure(words: list[str]):
    assert isinstance(values(*words), list)


def run(shell: str, script: str, tmp_path: Path) -> list[str]:
    """What a script prints in a shell in which `opstac` is a command and its completion is on."""
    tools = tmp_path / "bin"
    tools.mkdir()
    program = tools / "opstac"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}/src" exec {sys.executable} -S -P -m opstac "$@"\n'
    )
    program.chmod(0o755)
    quiet = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    done = subprocess.run(
        [shutil.which(shell) or shell, *quiet, "-c", script],
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path)},
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert not done.stderr
    return done.stdout.split("\n")


ASK = {
    "bash": """
source <(opstac completion bash)
ask() { COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=(); compopt() { echo "files"; }
        _opstac; echo "${COMPREPLY[*]}"; }
""",
    "zsh": """
autoload -Uz compinit; compinit -u -D
source <(opstac completion zsh)
[[ ${_comps[opstac]} == _opstac ]] || exit 3
_describe() { local -a found; found=("${(@P)4}"); print -r -- ${found%%:*}; }
_files() { print files; }
ask() { words=("$@"); CURRENT=$#; _opstac; }
""",
    "fish": """
opstac completion fish | source
function ask; complete -C (string join ' ' -- $argv) | string split -f1 \\t | string join ' '; end
""",
}


@pytest.mark.parametrize("shell", THERE)
def test_in_a_real_shell(shell: str, tmp_path: Path):
    (tmp_path / "scene.tif").touch()
    script = ASK[shell] + (
        "ask opstac processing job-\nask opstac items search --type cl\n"
        "ask opstac items search --ty\nask opstac ingest sc\n"
    )
    lines = [line for line in run(shell, script, tmp_path) if line]
    assert lines[:3] == ["job-types", "clip", "--type"]
    assert any(line in ("files", "scene.tif") for line in lines[3:])
