"""What the tools do: an operation each, by the pipeline; and four that find, run and wait."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ops_gateway.kernel.answers import Call
from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import Forbidden, Invalid, NotFound, OpError
from ops_gateway.kernel.idempotency import fingerprint_of
from ops_gateway.kernel.operation import REGISTRY, Effect, Operation
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.surfaces.json_body import check
from ops_gateway.surfaces.limits import RateLimiter
from ops_gateway.surfaces.mcp import confirm, content, files, search, tools
from ops_gateway.surfaces.mcp.content import Result
from ops_gateway.surfaces.mcp.tools import TOKEN, View
from ops_gateway.surfaces.mcp.waiting import Report, Waiting

MOST_FOUND = 50
MOST_WORDS = 500

Arguments = dict[str, Any]


class UnknownTool(LookupError):
    """There is no tool of that name."""


@dataclass(frozen=True)
class Asked:
    """Who asks, and from where.

    Attributes:
        report: is told how far a job is that is waited for, where the caller wants to know.
    """

    principal: Principal
    view: View
    request_id: str
    base_url: str
    address: str
    key: str | None = None
    report: Report | None = None


class Tools:
    """The tools over one pipeline."""

    def __init__(
        self,
        pipeline: Pipeline,
        limiter: RateLimiter,
        may_spend: Callable[[Principal], Awaitable[bool]],
        draining: Callable[[], bool] = lambda: False,
    ) -> None:
        """`may_spend` tells whether a caller spends without being asked to confirm; nobody is kept
        waiting when `draining` says so.
        """
        self._pipeline = pipeline
        self._limiter = limiter
        self._may_spend = may_spend
        self._waiting = Waiting(pipeline, draining)
        self._own: dict[str, Callable[[Arguments, Asked], Awaitable[Result]]] = {
            "search_operations": self._search,
            "describe_operation": self._describe,
            "call_operation": self._call_operation,
            "wait_for_job": self._wait,
        }

    def count(self, principal: Principal, address: str) -> None:
        """Count what no operation stands for. Raises RateLimited."""
        self._limiter.count_read(principal, address)

    # ------------------------------------------------------------ list

    def listed(self, asked: Asked) -> list[dict[str, Any]]:
        """The tools a session is shown: ours, then those of operations, by name."""
        shown = [tools.described(op) for op in self._callable(asked) if asked.view.shows(op)]
        return [*OWN_TOOLS, *sorted(shown, key=lambda tool: tool["name"])]

    def _callable(self, asked: Asked) -> Iterator[Operation]:
        """The operations that the caller may call in this session at all."""
        for op in REGISTRY.values():
            if asked.view.read_only and not op.is_read:
                continue
            with suppress(OpError):
                self._pipeline.admit(op, asked.principal)
                yield op

    # ------------------------------------------------------------ call

    async def call(self, name: str, arguments: Arguments, asked: Asked) -> Result:
        """The result of a tool; raises UnknownTool. A refusal is a result."""
        own = self._own.get(name)
        op = REGISTRY.get(tools.op_id(name))
        try:
            if own is not None:
                if (fault := check(arguments)) is not None:
                    self.count(asked.principal, asked.address)
                    raise fault
                return await own(arguments, asked)
            if op is not None:
                return await self._run(op, arguments, asked)
            self.count(asked.principal, asked.address)
            raise UnknownTool(name)
        except OpError as error:
            return content.of_refusal(error, base_url=asked.base_url, instance=asked.request_id)

    async def _run(self, op: Operation, arguments: Arguments, asked: Asked) -> Result:
        """Run an operation; a spending one in two calls."""
        if asked.view.read_only and not op.is_read:
            raise Forbidden(f"this session is read-only, and '{op.id}' is not a read")
        key, at_most = asked.key, None
        body = {name: value for name, value in arguments.items() if name != TOKEN}
        confirmed = arguments.get(TOKEN) if op.effect is Effect.SPEND else None
        if confirmed is not None:
            if (fault := check(body, loose=op.bulk)) is not None:
                raise fault
            found = confirm.check(
                self._secret, asked.principal, fingerprint_of(op, body), confirmed
            )
            key, at_most = found.key, found.credits

        async def read() -> Arguments:
            # as at the other doors: who may not call learns nothing else, and is not counted
            self._limiter.count(op, asked.principal, asked.address)
            if (fault := check(body, loose=op.bulk)) is not None:
                raise fault
            return body

        call = Call(
            asked.principal,
            key=key if op.takes_key else None,
            request_id=asked.request_id,
            base_url=asked.base_url,
            at_most=at_most,
        )
        if (
            op.effect is Effect.SPEND
            and confirmed is None
            and not await self._may_spend(asked.principal)
        ):
            return self._ask(op, body, await self._pipeline.quote(op.id, read, call), asked)
        answer = await self._pipeline.run(op.id, read, call)
        return content.of_answer(op, answer, base_url=asked.base_url)

    def _ask(self, op: Operation, body: Arguments, credits: int | None, asked: Asked) -> Result:
        token = confirm.issue(self._secret, asked.principal, fingerprint_of(op, body), credits)
        price = "spend credits or money" if credits is None else f"take {credits} credits"
        return content.of_value(
            {
                "confirmation_required": True,
                "operation": op.id,
                "credits": credits,
                TOKEN: token,
                "expires_in": confirm.LIFETIME,
                "next": f"Nothing has happened yet. '{op.id}' would {price}. If the person "
                f"you work for agrees, call it again with {TOKEN} and the same arguments.",
            }
        )

    @property
    def _secret(self) -> bytes:
        return self._pipeline.services.keys.confirmations

    # ------------------------------------------------------------ find, describe, wait

    async def _search(self, arguments: Arguments, asked: Asked) -> Result:
        self.count(asked.principal, asked.address)
        query = _text(arguments, "query", MOST_WORDS)
        limit = arguments.get("limit", 10)
        if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MOST_FOUND:
            raise Invalid.at("limit", f"must be a whole number from 1 to {MOST_FOUND}")
        found = search.ranked(query, self._callable(asked))
        return content.of_value(
            {
                "operations": [
                    {
                        "operation": op.id,
                        "tool": tools.tool_name(op),
                        "summary": op.summary,
                        "effect": op.effect.value,
                        "required": [
                            info.alias or name
                            for name, info in op.input.model_fields.items()
                            if info.is_required()
                        ],
                    }
                    for op in found[:limit]
                ],
                "total": len(found),
            }
        )

    async def _describe(self, arguments: Arguments, asked: Asked) -> Result:
        self.count(asked.principal, asked.address)
        op = _operation(arguments)
        self._pipeline.admit(op, asked.principal)
        return content.of_value(
            {"operation": op.id, "effect": op.effect.value, **tools.described(op)}
        )

    async def _call_operation(self, arguments: Arguments, asked: Asked) -> Result:
        given = arguments.get("arguments")
        if given is None:
            given = {}
        try:
            op = _operation(arguments)
            if not isinstance(given, dict):
                raise Invalid.at("arguments", "must be an object")
        except OpError:
            self.count(asked.principal, asked.address)  # else what is run counts
            raise
        token = arguments.get(TOKEN)
        return await self._run(op, given if token is None else {**given, TOKEN: token}, asked)

    async def _wait(self, arguments: Arguments, asked: Asked) -> Result:
        self._limiter.count(self._waiting.operation, asked.principal, asked.address)
        job = _text(arguments, "job_id", 100)
        seconds = arguments.get("seconds", 30)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise Invalid.at("seconds", "must be a number")
        call = Call(asked.principal, request_id=asked.request_id, base_url=asked.base_url)
        told = await self._waiting.wait(job, seconds, call, asked.report)
        result = content.of_value(told)
        # in a read-only session nothing is handed out, as items.asset.download is not
        if told["status"] == "completed" and not asked.view.read_only:
            result["content"] += await files.outputs(self._pipeline, told["job"], call)
        return result


def _text(arguments: Arguments, name: str, most: int) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= most:
        raise Invalid.at(name, f"must be a text of 1 to {most} characters")
    return value


def _operation(arguments: Arguments) -> Operation:
    """The operation that is named, by its id or the name of its tool."""
    name = _text(arguments, "operation", 200)
    op = REGISTRY.get(tools.op_id(name))
    if op is None:
        raise NotFound(f"operation '{name[:100]}' not found; search_operations finds them")
    return op


_NAMED = {"type": "string", "description": "An id as search_operations gives it: items.get"}
_READS = {
    "readOnlyHint": True,
    "destructiveHint": False,
    "idempotentHint": True,
    "openWorldHint": False,
}
OWN_TOOLS: list[dict[str, Any]] = [
    {
        "name": "search_operations",
        "title": "Search operations",
        "description": "Find operations of the platform by words, the best first. There are many "
        "more than the tools listed here; run one with call_operation.",
        "inputSchema": {
            "type": "object",
            "required": ["query"],
            "properties": {
                "query": {"type": "string", "maxLength": MOST_WORDS},
                "limit": {"type": "integer", "minimum": 1, "maximum": MOST_FOUND, "default": 10},
            },
        },
        "annotations": _READS,
    },
    {
        "name": "describe_operation",
        "title": "Describe operation",
        "description": "What an operation does, and the JSON Schemas of its arguments and answer.",
        "inputSchema": {
            "type": "object",
            "required": ["operation"],
            "properties": {"operation": _NAMED},
        },
        "annotations": _READS,
    },
    {
        "name": "call_operation",
        "title": "Call operation",
        "description": "Run any operation: the answer is its own. See describe_operation for its "
        "arguments. One that spends credits answers the price and a confirmation_token at first.",
        "inputSchema": {
            "type": "object",
            "required": ["operation"],
            "properties": {
                "operation": _NAMED,
                "arguments": {"type": "object", "default": {}},
                TOKEN: tools.TOKEN_SCHEMA,
            },
        },
        "annotations": {
            "readOnlyHint": False,
            "destructiveHint": True,
            "idempotentHint": False,
            "openWorldHint": True,
        },
    },
    Waiting.TOOL | {"annotations": _READS},
]
