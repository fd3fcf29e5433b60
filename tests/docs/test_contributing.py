"""The operation that CONTRIBUTING adds works as it stands there."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops_gateway.kernel.operation import REGISTRY
from ops_gateway.surfaces.openapi import document
from opstac.shell import known

PAGE = Path(__file__).resolve().parents[2] / "CONTRIBUTING.md"


@pytest.fixture
def added(tmp_path: Path, blocks: Any) -> Iterator[str]:
    """The page's two files as a domain; the new operation's id."""
    texts = {block.language: block.text for block in blocks(PAGE)}
    module = tmp_path / "figures.py"
    module.write_text(texts["python"])
    module.with_suffix(".sql").write_text(texts["sql"])
    before = set(REGISTRY)
    spec = importlib.util.spec_from_file_location("figures_of_the_page", module)
    assert spec is not None and spec.loader is not None
    sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[spec.name])
    (new,) = set(REGISTRY) - before
    yield new
    del REGISTRY[new], sys.modules[spec.name]


@pytest.fixture
def service() -> str:
    return "gateway"


async def test_the_operation_of_the_page_answers_everywhere(added: str, api: Any):
    assert added == "figures.projects"
    owner = await api.organization()
    await api.project(owner)
    assert await api.ok(added, as_=owner) == {"count": 1}
    headers = {"Authorization": f"Bearer {owner.token}"}
    by_path = await api.client.get("/v1/figures/projects", headers=headers)
    assert by_path.json() == {"count": 1}
    other = await api.organization()
    assert await api.ok(added, as_=other) == {"count": 0}
    await api.refused(403, added, as_=await api.key(owner, "items:read"))
    described = known.published(document())[added]
    assert (described.scope, described.effect) == ("projects:read", "read")
    assert described.summary == "Count the projects of the caller's organization."


def test_the_page_is_short():
    assert len(PAGE.read_text().splitlines()) < 100
