"""Every operation has a case, and every case an operation."""

from __future__ import annotations

from pathlib import Path

from walk import clients
from walk.case import CASES
from walk.walks import DOMAINS

from ops_gateway.kernel.operation import REGISTRY


def test_every_operation_has_a_body_that_succeeds():
    missing = sorted(REGISTRY.keys() - CASES.keys())
    assert not missing, f"give these a case in tests/doors/walk/cases: {', '.join(missing)}"
    assert CASES.keys() - REGISTRY.keys() == set()


def test_every_operation_is_walked_once():
    walked = [domain for domains in DOMAINS.values() for domain in domains]
    assert sorted(walked) == sorted({op.domain for op in REGISTRY.values()})
    for name in DOMAINS:
        assert (Path(__file__).parent / f"test_{name}.py").exists()


def test_the_sdk_is_walked_where_it_has_the_operation():
    ours = {op_id.replace(".", "_") for op_id in REGISTRY}
    both = ours & clients.published()
    assert both == {op.id.replace(".", "_") for op in REGISTRY.values() if clients.in_sdk(op)}
    assert len(both) > 160
