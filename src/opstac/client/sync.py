"""A small Python client: every operation by its id, plain dicts in and out.

client = Geopera("gpra_…", base_url="http://127.0.0.1:8080")
item = client.op("items.get", {"item_id": "it_…"})["item"]
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

__all__ = ["Geopera", "OperationError"]

LOCAL = "http://127.0.0.1:8080"


class OperationError(Exception):
    """The server refused; `problem` is its RFC 9457 document."""

    def __init__(self, operation: str, problem: Mapping[str, Any]) -> None:
        """`problem`: at least `title`, `status` and `detail`."""
        super().__init__(f"{operation}: {problem.get('status')} {problem.get('detail')}")
        self.operation = operation
        self.problem = dict(problem)
        self.status = int(problem.get("status", 0))


class Geopera:
    """Calls operations with one credential. Usable as a context manager."""

    def __init__(
        self,
        token: str | None,
        base_url: str | None = None,
        *,
        timeout_seconds: float = 60,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            token: an API key or a session token; None calls what is public.
            base_url: of the platform; default GEOPERA_API_URL, else this machine's.
        """
        self._http = httpx.Client(
            base_url=base_url or os.environ.get("GEOPERA_API_URL") or LOCAL,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=timeout_seconds,
            transport=transport,
        )

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def op(
        self,
        operation: str,
        body: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> Any:
        """Run an operation: its JSON answer, or bytes where it answers no JSON.

        Raises:
            OperationError: the server refused.
        """
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        response = self._http.post(f"/v1/op/{operation}", json=dict(body or {}), headers=headers)
        return self._answer(operation, response)

    def get(self, path: str, **params: Any) -> Any:
        """GET any path of the server."""
        return self._answer(path, self._http.get(path, params=params))

    def put_file(self, url: str, path: Path, media_type: str = "image/tiff") -> None:
        """PUT a file to a signed URL, which needs no credential of ours."""
        with path.open("rb") as file:
            response = httpx.put(
                url,
                content=file,
                headers={"Content-Type": media_type, "Content-Length": str(path.stat().st_size)},
                timeout=600,
            )
        self._answer("PUT", response)

    @staticmethod
    def _answer(name: str, response: httpx.Response) -> Any:
        kind = response.headers.get("content-type", "").partition(";")[0].strip()
        # application/geo+json too, but not the lines of application/x-ndjson
        is_json = kind == "application/json" or kind.endswith("+json")
        if response.is_success:
            return response.json() if is_json and response.content else response.content
        if is_json:
            raise OperationError(name, response.json())
        raise OperationError(
            name, {"status": response.status_code, "title": "Error", "detail": response.text[:200]}
        )
