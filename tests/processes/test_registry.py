"""Every process has a test of its values and one of nodata and masks, or a reason to have none."""

from __future__ import annotations

import ast
from pathlib import Path

from processes.process import discover

KINDS = ("values", "nodata")
HERE = Path(__file__).parent
WITHOUT = {
    "echo": "gives back what it was given, and reads no pixel",
    "external": "is run by somebody else's worker",
}


def proofs(*folders: Path) -> set[tuple[str, str]]:
    """(process, kind) of every test in folders that has `@pytest.mark.proves(process, kind)`."""
    found: set[tuple[str, str]] = set()
    for path in (path for folder in folders for path in sorted(folder.glob("test_*.py"))):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.proves":
                    name, kind = (ast.literal_eval(argument) for argument in mark.args)
                    assert kind in KINDS, f"{path.name}: {name} proves {kind!r}, not one of {KINDS}"
                    assert node.name.startswith("test_"), f"{path.name}: {node.name} is no test"
                    found.add((name, kind))
    return found


def unproved(names: set[str], found: set[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted((name, kind) for name in names for kind in KINDS if (name, kind) not in found)


def test_every_process_of_ours_is_proved():
    ours = {p.id for p in discover().values() if p.module.startswith("processes.jobs.")}
    found = proofs(HERE, HERE / "jobs")
    assert len(ours) >= 12
    assert unproved(ours - set(WITHOUT), found) == []
    assert {name for name, _ in found} <= ours, "a test names a process that is not there"
    assert set(WITHOUT) <= ours - {name for name, _ in found}, "a reason that is none any more"


def test_a_process_without_a_test_would_be_noticed(tmp_path):
    (tmp_path / "test_x.py").write_text(
        "import pytest\n@pytest.mark.proves('new', 'values')\ndef test_new(): ...\n"
        'def helper():\n    \'pytest.mark.proves("new", "nodata")\'\n'
    )
    assert unproved({"new"}, proofs(tmp_path)) == [("new", "nodata")]
    assert len(unproved({"other"}, proofs(tmp_path))) == 2
