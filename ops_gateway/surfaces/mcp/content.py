"""Answers and refusals as results of tools: bounded, and saying so."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import orjson

from ops_gateway.kernel.answers import Answer
from ops_gateway.kernel.errors import OpError, TooLarge, problem
from ops_gateway.kernel.operation import Operation
from ops_gateway.surfaces.mcp import files, tools

TEXT_LIMIT = 32 << 10
"""Characters of one text."""
ANSWER_LIMIT = 256 << 10
"""Bytes of the JSON that a read answers."""
BINARY_LIMIT = 1 << 20
"""Bytes of a picture or file inside a result."""

PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif")
NDJSON = (
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/geo+json-seq",
)

Result = dict[str, Any]


def of_answer(op: Operation, answer: Answer, *, base_url: str) -> Result:
    """The result of a run; raises TooLarge for what a tool cannot carry."""
    kind = answer.media_type.partition(";")[0].strip()
    meta = {"opstac/status": answer.status}
    if headers := dict(answer.headers):
        meta["opstac/headers"] = headers  # type: ignore[assignment]
    if kind == "application/json" or kind.endswith("+json"):
        return _json(op, answer.body, meta)
    if kind in NDJSON:
        return {"content": [lines(answer.body)], "isError": False, "_meta": meta}
    if kind.startswith("text/") or kind.endswith("xml"):
        return {"content": [text(answer.body.decode())], "isError": False, "_meta": meta}
    return {"content": [_file(op, answer.body, kind, base_url)], "isError": False, "_meta": meta}


def of_value(value: Mapping[str, Any]) -> Result:
    """The result of a tool of our own."""
    return {
        "content": [text(orjson.dumps(value).decode())],
        "structuredContent": dict(value),
        "isError": False,
    }


def of_refusal(error: OpError, *, base_url: str, instance: str) -> Result:
    """A refusal: the problem document that the other doors send."""
    document = problem(error, base_url=base_url, instance=instance)
    content = orjson.dumps(document, default=str)
    meta: dict[str, Any] = {"opstac/status": error.status}
    if error.headers:
        meta["opstac/headers"] = error.headers
    return {
        "content": [text(content.decode())],
        "structuredContent": orjson.loads(content),
        "isError": True,
        "_meta": meta,
    }


def text(whole: str) -> dict[str, Any]:
    """A text, cut at the limit with a word about it."""
    if len(whole) > TEXT_LIMIT:
        whole = (
            f"{whole[:TEXT_LIMIT]}\n[cut here: {TEXT_LIMIT} of {len(whole)} characters; ask for "
            "less, as with a smaller `limit` or a narrower search]"
        )
    return {"type": "text", "text": whole}


def lines(content: bytes) -> dict[str, Any]:
    """Lines of JSON, whole ones up to the limit."""
    whole = content.decode()
    if len(whole) <= TEXT_LIMIT:
        return {"type": "text", "text": whole}
    kept = whole[: whole.rfind("\n", 0, TEXT_LIMIT) + 1]
    shown, there = kept.count("\n"), len(whole.splitlines())
    note = f"[cut here: {shown} of {there} lines; ask for the next page, from where these end]"
    return {"type": "text", "text": kept + note}


def _json(op: Operation, content: bytes, meta: dict[str, Any]) -> Result:
    if op.is_read and len(content) > ANSWER_LIMIT:
        # nothing was done, so that it can be asked again; what a write answers is told in any case
        raise TooLarge(
            f"the answer has {len(content)} bytes, more than the {ANSWER_LIMIT} a tool answers; "
            "ask for less, as with a smaller `limit`, fewer fields or a narrower search"
        )
    value = orjson.loads(content)
    result: Result = {"content": [text(content.decode())], "isError": False, "_meta": meta}
    if tools.is_wrapped(op):
        result["structuredContent"] = {tools.WRAPPED: value}
    elif isinstance(value, dict):
        result["structuredContent"] = value
        result["content"] += files.links_in(op, value)
    return result


def _file(op: Operation, content: bytes, kind: str, base_url: str) -> dict[str, Any]:
    if len(content) > BINARY_LIMIT:
        raise TooLarge(
            f"the answer has {len(content)} bytes, more than the {BINARY_LIMIT} a tool carries; "
            f"ask for less, or let a program POST the same arguments to {base_url}/v1/op/{op.id}"
        )
    data = base64.b64encode(content).decode()
    if kind in PICTURES:
        return {"type": "image", "data": data, "mimeType": kind}
    uri = f"{base_url}/v1/op/{op.id}"
    return {"type": "resource", "resource": {"uri": uri, "blob": data, "mimeType": kind}}
