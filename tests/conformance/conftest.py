"""A file brought in the way every client does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Ingest = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def ingest() -> Ingest:
    """`ingest(api, owner, project, path, **more)`: the answer of `uploads.complete`."""

    async def ingest(api: Any, owner: Any, project: str, path: Path, **more: Any) -> dict[str, Any]:
        size = path.stat().st_size
        body = {"project_id": project, "file_count": 1, "total_bytes": size}
        upload = (await api.ok("uploads.initiate", body, as_=owner))["id"]
        named = {"upload_id": upload, "file_name": path.name, "content_type": "image/tiff"}
        link = await api.ok("uploads.signed_url", named, as_=owner)
        sent = await api.client.put(
            link["upload_url"], content=path.read_bytes(), headers={"Content-Type": "image/tiff"}
        )
        assert sent.status_code in (200, 201), sent.text
        return await api.ok("uploads.complete", {"upload_id": upload, **more}, as_=owner)

    return ingest
