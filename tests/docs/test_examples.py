"""What the pages tell a reader to type works, against the running platform."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    "README.md",
    "docs/tutorial/first-clip.md",
    "docs/how-to/command-line.md",
    "docs/how-to/upload.md",
    "docs/how-to/python.md",
    "docs/how-to/profiles.md",
    "docs/how-to/search.md",
    "docs/how-to/alerts.md",
    "docs/how-to/show-on-a-map.md",
    "docs/how-to/ingest.md",
    "docs/how-to/use-stac-clients.md",
    "docs/how-to/worker-outside.md",
    "docs/how-to/verify-the-chain.md",
]


@pytest.mark.slow  # a worker process, and each line of a page is a process too
@pytest.mark.parametrize("page", PAGES)
async def test_the_examples_of_a_page_run(reader: Any, page: str):
    status, said = await reader.types_page(ROOT / page)
    assert status == 0, said[-4000:]
