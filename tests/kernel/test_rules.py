"""Habits that a promise rests on, kept by looking at the source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# what may open a connection or end a transaction; everything else is given its connection
OPENS = re.compile(
    r"\.(?:commit|rollback)\(\)|\bpsycopg\.(?:Async)?(?:C|c)onn|AsyncConnection\.connect|make_pool\("
    r"|[\"'\s](?:begin|commit|rollback)[\"';]",
)
FOLDERS = ("ops_gateway/domains", "ops_gateway/catalogue")


@pytest.mark.parametrize("folder", FOLDERS)
def test_below_the_kernel_nobody_opens_a_connection_or_ends_a_transaction(folder):
    for path in [*ROOT.joinpath(folder).rglob("*.py"), *ROOT.joinpath(folder).rglob("*.sql")]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            code = line.split("#")[0] if path.suffix == ".py" else line.split("--")[0]
            assert not OPENS.search(code), f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
