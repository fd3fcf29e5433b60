"""Results of a job as OGC API - Processes 1.0 gives them: one document, or raw.

An output is a JSON value or a file. A document has each by its id: JSON values as they are, files
as links; a file asked for with transmission mode `value` stands in it as base64, up to
INLINE_BYTES. Raw is the output itself (Part 1, tables 11 to 13): one value is the body, several
are the parts of a `multipart/related`, references are `Link` headers.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson
from starlette.responses import Response, StreamingResponse

from processes.ogc_request import Execution
from processes.process import Process

INLINE_BYTES = 16 << 20

Read = Callable[[], AsyncIterator[bytes]]


@dataclass(frozen=True)
class Result:
    """One output of a job: a value, or a file behind a (signed) link.

    Attributes:
        size, read: of a file that can be sent as it is; without them only its link can.
    """

    value: Any = None
    href: str | None = None
    media_type: str = "application/json"
    title: str | None = None
    file_name: str | None = None
    size: int | None = None
    read: Read | None = None


def select(
    results: Mapping[str, Result], wanted: Execution, process: Process | None
) -> dict[str, Result]:
    """The outputs asked for. A file that the process does not list by name (one for each asset of
    its input) belongs to the first output that it lists.
    """
    if wanted.outputs is None:
        return dict(results)
    declared = tuple(process.outputs) if process else ()
    first = bool(declared) and declared[0] in wanted.outputs
    return {
        name: result
        for name, result in results.items()
        if name in wanted.outputs or (first and name not in declared)
    }


async def respond(
    results: Mapping[str, Result],
    wanted: Execution,
    process: Process | None,
    headers: Mapping[str, str],
) -> Response:
    """The response to whoever asked for results as `wanted`."""
    shown = select(results, wanted, process)
    if wanted.response == "document":
        body = {
            name: await _inline(result) if wanted.mode(name, process) == "value" else _entry(result)
            for name, result in shown.items()
        }
        return json_response(body, headers=headers)
    linked = {
        name: result
        for name, result in shown.items()
        if result.href is not None
        and (result.read is None or wanted.mode(name, process) == "reference")
    }
    if len(linked) == len(shown):
        link = ", ".join(_link(name, result) for name, result in linked.items())
        return Response(status_code=204, headers={**headers, **({"Link": link} if link else {})})
    if len(shown) > 1:
        boundary = secrets.token_hex(16)
        return StreamingResponse(
            _parts(shown, linked, boundary),
            headers={**headers, "Content-Type": f'multipart/related; boundary="{boundary}"'},
        )
    (result,) = shown.values()
    if result.read is None:
        return json_response(result.value, headers=headers)
    sent = {**headers, "Content-Type": result.media_type, "X-Content-Type-Options": "nosniff"}
    if result.size is not None:
        sent["Content-Length"] = str(result.size)
    if result.file_name:
        sent["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(result.file_name)}"
    return StreamingResponse(result.read(), headers=sent)


def document(results: Mapping[str, Result]) -> dict[str, Any]:
    """The document of results, files as links."""
    return {name: _entry(result) for name, result in results.items()}


def json_response(
    document: Any, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A JSON response; what JSON has no word for is written as text."""
    return Response(
        orjson.dumps(document, default=str), status, headers, media_type="application/json"
    )


def _entry(result: Result) -> Any:
    if result.href is None:
        # an object value must be qualified, or it could be taken for a link or a qualified value
        return {"value": result.value} if isinstance(result.value, dict) else result.value
    found = {"href": result.href, "type": result.media_type, "title": result.title}
    return {name: value for name, value in found.items() if value is not None}


async def _inline(result: Result) -> Any:
    """A file within the document: a qualified value; its link where it is too large for that."""
    if result.read is None or result.size is None or result.size > INLINE_BYTES:
        return _entry(result)
    content = b"".join([chunk async for chunk in result.read()])
    return {
        "value": base64.b64encode(content).decode(),
        "encoding": "base64",
        "mediaType": result.media_type,
    }


def _link(name: str, result: Result) -> str:
    return f'<{result.href}>; rel="{quote(name)}"; type="{_media_type(result)}"'


def _media_type(result: Result) -> str:
    return result.media_type.replace('"', "'")


async def _parts(
    shown: Mapping[str, Result], linked: Mapping[str, Result], boundary: str
) -> AsyncIterator[bytes]:
    for name, result in shown.items():
        head = f"--{boundary}\r\nContent-ID: <{quote(name)}>\r\n"
        if name in linked:
            head += f"Content-Location: {result.href}\r\n"
        yield f"{head}Content-Type: {result.media_type}\r\n\r\n".encode()
        if name not in linked and result.read is not None:
            async for chunk in result.read():
                yield chunk
        elif name not in linked:
            yield orjson.dumps(result.value, default=str)
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()
