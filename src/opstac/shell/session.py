"""The credential at each request: renewed where it has ended, and for its platform alone."""

from __future__ import annotations

import threading
from collections.abc import Generator
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from opstac.shell.server import Server


class Session(httpx.Auth):
    """Signs the requests of a client that lives longer than a token does."""

    def __init__(self, server: Server) -> None:
        """`server`: the only place that the credential is sent to."""
        self._server = server
        self._one = threading.Lock()

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """The request with the token; once more with a new one where it did not hold."""
        if not self._server.owns(str(request.url)):
            yield request
            return
        with self._one:
            token = self._server.token
        if token is None:
            yield request
            return
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401 and not self._server.from_environment:
            with self._one:
                kept = self._server.store.get(self._server.url)
                if kept is not None and kept.token == token:
                    kept = self._server.renew(kept)
            if kept is not None:
                request.headers["Authorization"] = f"Bearer {kept.token}"
                yield request
