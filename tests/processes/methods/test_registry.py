"""Every method has a value test on a real file and one on nodata and masks; how one registers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from pydantic import BaseModel

from processes import method as methods

KINDS = ("value", "validity")


def proofs(folder: Path) -> set[tuple[str, str]]:
    """(method, kind) of every test in a folder that has `@pytest.mark.proves(method, kind)`."""
    found: set[tuple[str, str]] = set()
    for path in folder.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.proves":
                    name, kind = (ast.literal_eval(argument) for argument in mark.args)
                    assert kind in KINDS and node.name.startswith("test_")
                    found.add((name, kind))
    return found


def unproved(names: set[str], found: set[tuple[str, str]]) -> list[tuple[str, str]]:
    return sorted((name, kind) for name in names for kind in KINDS if (name, kind) not in found)


def test_every_method_of_ours_is_proved():
    ours = {n for n, m in methods.discover().items() if m.module.startswith("processes.methods.")}
    assert len(ours) >= 10
    found = proofs(Path(__file__).parent)
    assert unproved(ours, found) == []
    assert {name for name, _ in found} <= ours, "a test names a method that is not there"


def test_a_method_without_a_test_would_be_noticed(tmp_path):
    (tmp_path / "test_x.py").write_text(
        "import pytest\n@pytest.mark.proves('new', 'value')\ndef test_new(): ...\n"
    )
    assert unproved({"new"}, proofs(tmp_path)) == [("new", "validity")]
    assert len(unproved({"other"}, proofs(tmp_path))) == 2


class Nothing(BaseModel):
    """No parameters."""


@pytest.fixture
def registry(monkeypatch):
    kept = dict(methods.discover())
    monkeypatch.setattr(methods, "METHODS", kept)
    return kept


def test_a_class_is_registered_with_what_it_says(registry):
    @methods.method
    class Answer:
        """The answer
        to everything."""

        name = "answer"
        title = "Answer"
        input_model = Nothing

        def execute(self, params, ctx):
            return {"answer": 42}

    made = registry["answer"]
    assert made.description == "The answer to everything."
    assert made.made.execute(made.check({}), None) == {"answer": 42}


@pytest.mark.parametrize(
    "attributes",
    [
        {"name": "zonal_stats", "input_model": Nothing, "execute": lambda *a: {}},
        {"name": "Bad Name", "input_model": Nothing, "execute": lambda *a: {}},
        {"input_model": Nothing, "execute": lambda *a: {}},
        {"name": "fine", "execute": lambda *a: {}},
        {"name": "fine", "input_model": Nothing},
    ],
)
def test_a_wrong_declaration_is_refused_at_import(registry, attributes):
    with pytest.raises((ValueError, TypeError)):
        methods.method(type("Made", (), attributes))
