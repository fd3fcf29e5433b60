"""The ways in: each sends one body to one operation and gives what came back."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import geopera
import httpx

from ops_gateway.kernel.operation import REGISTRY, Operation
from ops_gateway.surfaces.http import ResourcePaths
from opstac.client import Geopera, OperationError
from walk.case import Body, Sent
from walk.world import World

OP = "/v1/op/"


@dataclass(frozen=True)
class Seen:
    """What a door gave: JSON or bytes; `status` is None where it does not tell."""

    status: int | None
    content: Any

    @property
    def refused(self) -> bool:
        """A problem came back."""
        return isinstance(self.content, dict) and {"type", "title", "status"} <= self.content.keys()


def seen(answer: httpx.Response) -> Seen:
    """A response, parsed where it is JSON."""
    return Seen(answer.status_code, parsed(answer.headers.get("content-type", ""), answer.content))


def parsed(kind: str, content: bytes) -> Any:
    """JSON's value, else the bytes."""
    media_type = kind.partition(";")[0].strip()
    is_json = media_type == "application/json" or media_type.endswith("+json")
    return json.loads(content) if is_json and content else content


def bearer(sent: Sent) -> dict[str, str]:
    """The header of the credential."""
    return {"Authorization": f"Bearer {sent.by.token}"} if sent.by and sent.by.token else {}


# ---------------------------------------------------------------- HTTP


def by_id(world: World, op: Operation, sent: Sent) -> Seen:
    """`POST /v1/op/{id}`."""
    return seen(world.http.post(OP + op.id, json=sent.body, headers=bearer(sent)))


def by_path(world: World, op: Operation, sent: Sent) -> Seen:
    """`POST /v1/{resource}/{action}`, underscores as hyphens."""
    path = "/v1/" + op.id.replace(".", "/").replace("_", "-")
    return seen(world.http.post(path, json=sent.body, headers=bearer(sent)))


def get_by_id(world: World, op: Operation, sent: Sent) -> Seen:
    """`GET /v1/op/{id}` with the body in the query."""
    return seen(world.http.get(OP + op.id, params=query(sent.body), headers=bearer(sent)))


def get_by_path(world: World, op: Operation, sent: Sent) -> Seen:
    """`GET /v1/{resource}`, with the one required field of a `get` in the path."""
    path, rest = resource(op, sent.body)
    return seen(world.http.get(path, params=query(rest), headers=bearer(sent)))


def resource(op: Operation, body: Body) -> tuple[str, Body]:
    """The shortest path of a read, and what of the body it does not hold."""
    paths = ResourcePaths()
    paths._build()
    parent, _, action = op.id.rpartition(".")
    where = parent.replace(".", "/")
    if action == "list" and paths._literal.get(where) is op:
        return f"/v1/{where.replace('_', '-')}", body
    found = paths._by_parent.get(where) if action == "get" else None
    if found is not None and found[0] is op and isinstance(body.get(found[1]), str):
        rest = {name: value for name, value in body.items() if name != found[1]}
        return f"/v1/{where.replace('_', '-')}/{body[found[1]]}", rest
    return "/v1/" + op.id.replace(".", "/").replace("_", "-"), body


def query(body: Body) -> dict[str, str]:
    """A body as a query: objects and lists as JSON."""
    return {name: as_text(value) for name, value in body.items() if value is not None}


def as_text(value: Any) -> str:
    """A value of a query."""
    return value if isinstance(value, str) else json.dumps(value)


# ---------------------------------------------------------------- Python


def by_sdk(world: World, op: Operation, sent: Sent) -> Seen:
    """The published package `geopera`, of which the base URL alone is changed."""
    client = sdk_client(world, sent.by.token if sent.by else "")
    node: Any = client
    for part in op.id.split("."):
        node = getattr(node, part)
    try:
        answer = node(typed(op.id, sent.body), detailed=True)
    except ValueError:
        # it takes every answer for JSON; a picture came all the same
        answered = seen(world.of("sdk responses", list)[-1])
        assert isinstance(answered.content, bytes)
        return answered
    found = parsed(answer.headers.get("content-type", ""), answer.content)
    if hasattr(answer.parsed, "to_dict"):
        # what the package makes of the answer says the same as the answer
        assert holds(found, answer.parsed.to_dict()), f"{op.id}: the SDK reads another answer"
    return Seen(int(answer.status_code), found)


def holds(whole: Any, part: Any) -> bool:
    """Whether each member the typed answer has is the wire's; a time may be written otherwise."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(name in whole and holds(whole[name], value) for name, value in part.items())
    if isinstance(whole, list) and isinstance(part, list):
        return len(whole) == len(part) and all(map(holds, whole, part))
    if isinstance(whole, str) and isinstance(part, str) and whole != part:
        return whole[:19] == part[:19]
    return whole == part


def sdk_client(world: World, token: str) -> geopera.Geopera:
    """A client for a credential, kept for the next call."""

    def keep(response: httpx.Response) -> None:
        response.read()
        world.of("sdk responses", list)[:] = [response]

    def make() -> geopera.Geopera:
        made = geopera.Geopera(
            token or None,
            base_url=world.url,
            timeout=httpx.Timeout(60),
            verify_ssl=False,  # no certificates to load: it is http
            httpx_args={"event_hooks": {"response": [keep]}},
        )
        world.closes(made.client.get_httpx_client())
        return made

    return world.of(f"sdk {token}", make)


def typed(op_id: str, body: Body) -> Any:
    """The body as the package's own type where its fluent client does not make that by itself."""
    import inspect
    import typing

    module = importlib.import_module(f"geopera.api.operations.{op_id.replace('.', '_')}")
    annotation = inspect.signature(module.sync).parameters["body"].annotation
    if hasattr(annotation, "from_dict"):
        return body
    kinds = [kind for kind in typing.get_args(annotation) if hasattr(kind, "from_dict")]
    return kinds[0].from_dict(body) if kinds else body


def in_sdk(op: Operation) -> bool:
    """Whether the package has the operation."""
    name = f"geopera.api.operations.{op.id.replace('.', '_')}"
    return importlib.util.find_spec(name) is not None


def by_client(world: World, op: Operation, sent: Sent) -> Seen:
    """Our Python client."""
    token = sent.by.token if sent.by else ""
    client = world.of(f"client {token}", lambda: world.closes(Geopera(token or None, world.url)))
    try:
        return Seen(None, client.op(op.id, sent.body))
    except OperationError as error:
        return Seen(error.status, error.problem)


# ---------------------------------------------------------------- all of them

Door = Callable[[World, Operation, Sent], Seen]
ALWAYS: dict[str, Door] = {
    "POST by id": by_id,
    "POST by path": by_path,
    "Python": by_client,
}
READS: dict[str, Door] = {"GET by id": get_by_id, "GET by path": get_by_path}


def of(op: Operation) -> dict[str, Door]:
    """The doors of an operation, the first of which the others are compared with."""
    found = dict(ALWAYS)
    if op.is_read:
        found |= READS
    if in_sdk(op):
        found["SDK"] = by_sdk
    return found


def published() -> set[str]:
    """The operations of the package `geopera`."""
    import pkgutil

    from geopera.api import operations

    return {found.name for found in pkgutil.iter_modules(operations.__path__)}


__all__ = ["REGISTRY", "Door", "Seen", "of"]
