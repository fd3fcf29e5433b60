"""A route that says what it takes and gives, so that it can be described in OpenAPI."""

from collections.abc import Callable, Iterable
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

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
