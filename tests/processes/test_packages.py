"""Packages of other people that are broken: left out whole, named once in the log."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from processes import engine
from processes import process as processes
from processes.process import OutputSpec, Price, process

START = """
from decimal import Decimal
from pydantic import BaseModel
from processes.process import OutputSpec, Price, process

class Inputs(BaseModel):
    pass

class Unpublishable(BaseModel):
    model_config = {"arbitrary_types_allowed": True}
    way: type(open)

def declare(id, **more):
    more = {"title": "T", "inputs": Inputs, "outputs": {"a": OutputSpec("A", "a", {})}, **more}
    process(id=id, **more)(lambda ctx: [])

declare("of_theirs")
"""


@pytest.fixture
def discovered_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packages: Any
) -> Iterator[Callable[..., set[str]]]:
    """Discover again with packages (module → code) installed; the ids that are new."""
    kept = dict(processes.discover())

    def discover(**modules: str) -> set[str]:
        for name, code in modules.items():
            packages.put(tmp_path, processes.GROUP, name, code)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setattr(processes, "_seen", set())
        importlib.invalidate_caches()
        found = processes.discover()
        assert {name: found[name] for name in kept} == kept
        return set(found) - set(kept)

    yield discover
    for name in set(processes.PROCESSES) - set(kept):
        del processes.PROCESSES[name]
    for name in [n for n in sys.modules if n.startswith("theirs")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    "end",
    [
        "raise RuntimeError('broken')",
        "import a_package_that_is_not_there",
        "import sys; sys.exit(3)",
        "this is no Python",
        "declare('clip')",
        "declare('of_theirs')",
        "declare('No Id')",
        "declare('x' * 65)",
        "declare(7)",
        "declare('x', title=None)",
        "declare('x', inputs=dict)",
        "declare('x', inputs=Unpublishable)",
        "declare('x', outputs={'a': 'text'})",
        "declare('x', outputs={'a': OutputSpec('A', 'a', {'enum': {1}})})",
        "declare('x', outputs=7)",
        "declare('x', unit='SECOND')",
        "declare('x', unit='JOB', price=3)",
        "declare('x', unit='JOB', price=Price(-1))",
        "declare('x', price=Price(1))",
        "declare('x', quantity=3)",
        "declare('x', keywords=7)",
        "declare('x', max_seconds='long')",
        "process(id='x', title='T', inputs=Inputs, outputs={})('no function')",
        "declare('x', nonsense=True)",
    ],
)
def test_what_is_broken_is_left_out_whole_and_said_once(
    end: str, discovered_with: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert discovered_with(theirs=START + end) == set()
    assert set(processes.discover()) >= {"clip", "ndvi"}
    said = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(said) == 1
    assert "left out" in said[0].message
    assert "theirs" in vars(said[0])["entry_point"]


def test_the_packages_beside_a_broken_one_are_found(discovered_with: Any) -> None:
    fine = START.replace("of_theirs", "of_others")
    assert discovered_with(theirs_a=START + "1 / 0", theirs_b=fine) == {"of_others"}
    assert processes.PROCESSES["of_others"].module == "theirs_b"


def test_of_two_that_claim_an_id_the_first_has_it(discovered_with: Any, caplog: Any) -> None:
    assert discovered_with(theirs_b=START, theirs_a=START) == {"of_theirs"}
    assert processes.PROCESSES["of_theirs"].module == "theirs_a"
    assert len([r for r in caplog.records if "left out" in r.message]) == 1


def test_a_package_that_declares_nothing_is_said(discovered_with: Any, caplog: Any) -> None:
    assert discovered_with(theirs="process = 7") == set()
    assert "declares nothing" in caplog.text


async def test_a_child_imports_nothing_but_its_process(discovered_with: Any, tmp_path: Path):
    from raster import child

    site, marks, out = tmp_path, tmp_path / "marks", tmp_path / "out"
    marks.mkdir()
    out.mkdir()
    mark = f"import os\nopen({str(marks)!r} + f'/{{__name__}}.{{os.getpid()}}', 'w').close()\n"
    answer = mark + START.replace('(lambda ctx: [])', "(run)").replace(
        "def declare", "from processes.process import Output\n\n"
        "def run(ctx):\n    return [Output(asset_key='a', value=[42])]\n\ndef declare"
    )  # fmt: skip
    found = discovered_with(theirs_a=mark + "raise RuntimeError('broken')", theirs_b=answer)
    assert found == {"of_theirs"}
    assert site in map(Path, sys.path)
    child.shut_down()  # the next one starts with the new path
    try:
        (output,) = await engine.run("of_theirs", {}, [], out)
    finally:
        child.shut_down()
    assert output.value == [42]
    imported = sorted(mark.name.split(".")[0] for mark in marks.iterdir())
    assert imported == ["theirs_a", "theirs_b", "theirs_b"]  # here both, in the child its own


def test_a_declaration_says_what_is_wrong_with_it() -> None:
    outputs: Any = {"a": OutputSpec("A", "a", {})}
    wrong: Any = 3
    with pytest.raises(TypeError, match="wrong unit, price"):
        process(
            id="x", title="T", inputs=BaseModel, outputs=outputs, unit=wrong, price=wrong
        )(lambda ctx: [])  # fmt: skip
    assert Price(1).minimum_credits == 0
    assert "x" not in processes.PROCESSES
