"""The table of operations that clients read without a server says what the server does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from ops_gateway import domains
from ops_gateway.kernel.operation import REGISTRY, Blob
from ops_gateway.surfaces.http import ResourcePaths, by_id
from ops_gateway.surfaces.openapi import document
from opstac.client import table
from opstac.shell import known

SRC = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    domains.load()


def found(method: str, path: str, find: Any) -> Any:
    return find(Request({"type": "http", "method": method, "path": path, "headers": []}))


def test_every_operation_stands_in_it_as_it_is_declared():
    assert list(table.entries()) == sorted(REGISTRY)
    for name, entry in table.entries().items():
        op = REGISTRY[name]
        assert (entry.summary, entry.scope, entry.effect) == (op.summary, op.scope, op.effect)
        assert (entry.status, entry.alias_of, entry.public) == (op.status, op.alias_of, op.public)
        assert (entry.human_only, entry.secret) == (op.human_only, op.secret)
        assert entry.is_read == op.is_read
        # the server keeps no answer of bytes for a replay
        assert entry.takes_key == (not op.is_read and op.output is not Blob)


def test_its_paths_lead_to_the_operation():
    resources = ResourcePaths()
    for name, entry in table.entries().items():
        op = REGISTRY[name]
        assert found("POST", entry.path, by_id)[0] is op
        assert found("POST", entry.resource, resources)[0] is op
        assert (entry.get is not None) == op.is_read
        if entry.get is not None:
            path, holes = re.subn(r"\{(\w+)\}", "it_1", entry.get)
            at, fields = found("GET", path, resources)
            assert at is op and len(fields) == holes
            assert set(re.findall(r"\{(\w+)\}", entry.get)) == set(fields)


def test_its_fields_are_those_of_the_published_input():
    published = known.published(document())
    for name, entry in table.entries().items():
        schemas = table.schemas(name)
        assert list(entry.fields) == list(schemas.fields) == list(published[name].fields)
        assert entry.required == schemas.required == published[name].required
        assert entry.media_types == published[name].media_types
        assert entry.description.split() == published[name].description.split()
    assert table.entries()["items.list"].fields["limit"] == "integer"
    assert table.entries()["items.search"].fields["collections"] == "string[]"
    with pytest.raises(KeyError):
        table.schemas("items.nothing")


def test_it_needs_no_other_package():
    # as a command's help reads it: without the environment's packages
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", "from opstac.client import table\n"
         "print(table.entries()['items.get'].get, list(table.schemas('items.get').fields))"],
        env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "/v1/items/{item_id} ['item_id']\n"
