"""`POST /v1/op/{id}`, its resource paths, and GET for reads: the registry over HTTP."""

from __future__ import annotations

import types
import typing
from typing import Any, Union, get_args, get_origin

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ops_gateway.kernel.answers import Answer, Call
from ops_gateway.kernel.errors import BadRequest, Invalid, MethodNotAllowed, NotFound
from ops_gateway.kernel.json_limits import find_fault
from ops_gateway.kernel.operation import REGISTRY, Operation
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.surfaces.json_body import BODY_LIMIT, BULK_LIMIT, read_json
from ops_gateway.surfaces.limits import RateLimiter, client_address


def routes(pipeline: Pipeline, limiter: RateLimiter) -> list[Route]:
    """The routes of every operation in the registry."""
    return [
        Route("/v1/op/{op_id:path}", Endpoint(pipeline, limiter, by_id), methods=["GET", "POST"]),
        Route(
            "/v1/{path:path}", Endpoint(pipeline, limiter, ResourcePaths()), methods=["GET", "POST"]
        ),
    ]


def by_id(request: Request) -> tuple[Operation | None, dict[str, Any]]:
    """The operation an id names."""
    return REGISTRY.get(path_after(request, "/v1/op/")), {}


def path_after(request: Request, prefix: str) -> str:
    """The decoded path behind `prefix`. The router's own pattern lets a last line feed slip."""
    return request.scope["path"].partition(prefix)[2]


class ResourcePaths:
    """`/v1/items/tile/get` → `items.tile.get`; for GET also `/v1/items/{id}` → `items.get`."""

    def __init__(self) -> None:
        """Tables are made at the first request, when every domain is loaded."""
        self._literal: dict[str, Operation] = {}
        self._by_parent: dict[str, tuple[Operation, str]] = {}

    def __call__(self, request: Request) -> tuple[Operation | None, dict[str, Any]]:
        """The operation a path names, and the body fields taken from the path."""
        if not self._literal:
            self._build()
        path = path_after(request, "/v1/").strip("/")
        if request.method == "POST":
            return REGISTRY.get(path.replace("/", ".").replace("-", "_")), {}
        name = path.replace("-", "_")
        if (op := self._literal.get(name)) is not None:
            return op, {}
        parent, _, last = path.rpartition("/")
        if (found := self._by_parent.get(parent.replace("-", "_"))) is not None and last:
            return found[0], {found[1]: last}
        return REGISTRY.get(name.replace("/", ".")), {}

    def _build(self) -> None:
        for op in REGISTRY.values():
            parent, _, action = op.id.rpartition(".")
            path = parent.replace(".", "/")
            self._literal.setdefault(op.id.replace(".", "/"), op)
            if action == "list":
                self._literal.setdefault(path, op)
            required = [n for n, f in op.input.model_fields.items() if f.is_required()]
            if action == "get" and len(required) == 1:
                self._by_parent[path] = (op, required[0])


class Endpoint:
    """One ASGI-callable endpoint: finds the operation, reads the input, runs the pipeline."""

    def __init__(self, pipeline: Pipeline, limiter: RateLimiter, find: Any) -> None:
        """`find(request)` gives the operation and path fields."""
        self.pipeline = pipeline
        self.limiter = limiter
        self.find = find

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        response = await self.respond(Request(scope, receive))
        await response(scope, receive, send)

    async def respond(self, request: Request) -> Response:
        """The operation's answer; raises OpError."""
        op, fields = self.find(request)
        principal = request.scope["principal"]
        if op is None:
            self.limiter.count_read(principal, client_address(request.scope))
            raise NotFound("operation not found")
        limits: dict[str, str] = {}

        async def read() -> Any:
            # whoever may not call is told so before this: nothing is counted or looked at for them
            address = client_address(request.scope)
            limits.update(self.limiter.count(op, principal, address))
            if request.method not in ("GET", "HEAD"):
                limit = BULK_LIMIT if op.bulk else BODY_LIMIT
                raw = await read_json(request, limit, loose=op.bulk)
                return {**raw, **fields} if fields and isinstance(raw, dict) else raw
            if not op.is_read:
                raise MethodNotAllowed(
                    f"'{op.id}' is not a read; use POST", headers={"Allow": "POST"}
                )
            raw = {**from_query(op, request), **fields}
            if (fault := find_fault(raw)) is not None:
                raise fault
            return raw

        call = Call(
            principal,
            key=request.headers.get("idempotency-key") if op.takes_key else None,
            request_id=request.scope["request_id"],
            base_url=request.scope["base_url"],
        )
        try:
            return render(await self.pipeline.run(op.id, read, call), limits)
        except Invalid as error:
            if request.method not in ("GET", "HEAD"):
                raise
            faults = [_in_query(part) for part in error.errors]
            raise Invalid(faults, extra=error.extra) from None


def _in_query(part: dict[str, Any]) -> dict[str, Any]:
    """A fault of a field, where a GET has it."""
    first, *rest = part["loc"]
    return {**part, "loc": ["query" if first == "body" else first, *rest]}


def render(answer: Answer, headers: dict[str, str] | None = None) -> Response:
    """An answer as a response."""
    return Response(
        answer.body, answer.status, {**(headers or {}), **answer.headers}, answer.media_type
    )


def from_query(op: Operation, request: Request) -> dict[str, Any]:
    """The query string as a body: repeated names are arrays, `{…` and `[…` are JSON."""
    body: dict[str, Any] = {}
    lists = {
        key
        for name, info in op.input.model_fields.items()
        if takes_list(info.annotation)
        for key in (name, info.alias or name)
    }
    for name in request.query_params:
        if name == "key" and "key" not in op.input.model_fields:
            continue  # a credential, not a field
        values = [from_text(v) for v in request.query_params.getlist(name)]
        if len(values) > 1:
            body[name] = values
        elif name in lists and not isinstance(values[0], list):
            body[name] = values[0].split(",") if isinstance(values[0], str) else values
        else:
            body[name] = values[0]
    return body


def from_text(value: str) -> Any:
    """A query value: JSON where it looks like an object or array, else the text."""
    if value[:1] in ("{", "["):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise BadRequest(f"a query value begins like JSON but is not: {error.msg}") from None
    return value


def takes_list(annotation: Any) -> bool:
    """Whether a field's type is a list, or a list or null."""
    if get_origin(annotation) in (Union, types.UnionType):
        return any(takes_list(member) for member in get_args(annotation))
    return get_origin(annotation) in (list, typing.List) or annotation is list  # noqa: UP006
