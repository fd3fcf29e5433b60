"""A route that says what it takes and gives, so that it can be described in OpenAPI."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tiler.routes.answers import Handler, guarded, problem


class Endpoint(Route):
    """One path of the tile server."""

    def __init__(
        self,
        path: str,
        handler: Handler,
        *,
        summary: str,
        takes: Iterable[str] = (),
        gives: Iterable[str] = ("application/json",),
        method: str = "GET",
        body: dict[str, Any] | None = None,
        public: bool = False,
        refuse: Callable[..., Response] = problem,
        kvp: Iterable[str] = (),
    ) -> None:
        """A handler at a path.

        Args:
            summary: one sentence.
            takes: names of `tiler.routes.parameters.PARAMETERS`.
            gives: media types.
            body: JSON Schema of a request's body.
            public: no credential is asked for.
            refuse: as `guarded`.
            kvp: further parameters, texts that the handler checks itself.
        """
        super().__init__(path, guarded(handler, refuse=refuse), methods=[method])
        self.summary = summary
        self.takes = tuple(takes)
        self.gives = tuple(gives)
        self.method = method
        self.body = body
        self.public = public
        self.kvp = tuple(sorted(kvp))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the pluses of a formula restored."""
        scope["query_string"] = with_pluses(scope["query_string"])
        await super().handle(scope, receive, send)


_EXPRESSION = re.compile(rb"(?<![^&])(?:expression|EXPRESSION)=[^&]*")
_BETWEEN_OPERANDS = re.compile(rb"(?<=[A-Za-z0-9_)])\+(?=[A-Za-z0-9_(.])")


def with_pluses(query: bytes) -> bytes:
    """A query string in which a `+` between two operands of a formula is escaped.

    In a query a bare `+` is a space, and two operands with a space between them are no formula.
    Programs that decode an address once too often, as QGIS does, send `(nir-red)/(nir+red)` so. In
    an address that a form made, where `+` is a space, what follows an operator may take a sign.
    """
    return _EXPRESSION.sub(lambda found: _BETWEEN_OPERANDS.sub(b"%2B", found[0]), query)
