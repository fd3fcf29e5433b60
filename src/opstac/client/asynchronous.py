"""The client for asyncio, or trio with anyio."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, closing
from inspect import isawaitable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack, cast

import anyio
import anyio.to_thread
import httpx

from opstac.client import calls, downloads, tree, uploads
from opstac.client.bounded import MAX_BYTES, Whole, check_packing
from opstac.client.connection import SENDING, Connection, Source, patience, settings, signed, told
from opstac.client.errors import UploadFailed
from opstac.client.steps import Emit, Flow, Progress, Save, Send, SendFile, Sleep, Step, T
from opstac.client.uploads import Options, Paths
from opstac.client.values import Lines

if TYPE_CHECKING:
    from opstac.client.generated.tree import AsyncTree as Tree
else:
    Tree = object

PIECE_BYTES = 1024 * 1024


class AsyncClient(Tree):
    """As `opstac.Client`, with `await`; its methods are described there.

    async with AsyncClient(token, "https://…") as client:
        (await client.op("items.get", {"item_id": "it_…"}))["item"]
        (await client.items.get(item_id="it_…"))["item"]
        async for item in client.entries("items.list", {"project_id": "prj_…"}): …
    """

    def __init__(
        self,
        token: str | Source | Callable[[str | None], Awaitable[str | None]] | None = None,
        base_url: str | None = None,
        *,
        timeout_seconds: float = 60,
        retries: int = 4,
        max_bytes: int = MAX_BYTES,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Connect to nothing yet; raises ValueError where address or token cannot be one.

        A function that gives the token may be a coroutine's.
        """
        self._at = Connection.to(base_url, cast("str | Source | None", token), retries)
        self._max_bytes = max_bytes
        self._http = httpx.AsyncClient(transport=transport, **settings(timeout_seconds))

    def __repr__(self) -> str:
        """Where it is connected to, and nothing of the credential."""
        return f"<AsyncClient {self._at.base_url}>"

    async def __aenter__(self) -> Self:
        """The client itself."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its connections."""
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """A domain of the tree of operations."""
            return tree.below(self, "", name)

        def __dir__(self) -> list[str]:
            """For completion."""
            return sorted({*super().__dir__(), *tree.children()[""]})

    async def op(
        self,
        operation: str,
        body: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """Run an operation: its JSON answer, or bytes where it answers no JSON."""
        return await self._run(
            calls.operation(self._at, operation, body, key=idempotency_key, timeout=timeout_seconds)
        )

    async def get(self, path: str, **params: Any) -> Any:
        """GET any path of the server; or an address, which at another origin gets no credential."""
        return await self._run(calls.path(self._at, path, params))

    async def stream(
        self, operation: str, body: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Any]:
        """The lines of an answer in JSON lines, each as it comes."""
        response: httpx.Response = await self._run(calls.lines(self._at, operation, body))
        try:
            calls.check_lines(operation, response)
            lines, failure = Lines(), None
            try:
                async for piece in response.aiter_bytes():
                    for line in lines.feed(piece):
                        yield line
                for line in lines.end():
                    yield line
                return
            except httpx.RequestError as error:
                failure = told(error)
            except ValueError as error:
                failure = calls.bad_line(operation, error)
            raise failure
        finally:
            await response.aclose()

    async def open(
        self,
        what: str,
        body: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> httpx.Response:
        """An answer whose body is not read yet: for its headers. Close it."""
        return await self._run(calls.opened(self._at, what, body, key=idempotency_key))

    async def pieces(
        self, what: str, body: Mapping[str, Any] | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes of an answer as they come, so that it may be of any size."""
        async with aclosing(await self.open(what, body)) as response:
            failure = None
            try:
                async for piece in response.aiter_bytes():
                    yield piece
            except httpx.RequestError as error:
                failure = told(error)
            if failure is not None:
                raise failure

    async def download(
        self,
        what: str,
        path: str | Path,
        body: Mapping[str, Any] | None = None,
        *,
        progress: Progress | bool | None = None,
    ) -> int:
        """Write a file of any size as it comes; how many bytes it has."""
        with downloads.begun(path, what, progress) as (file, tell):
            return await self._run(downloads.saved(self._at, what, body, file, tell))

    async def entries(
        self, operation: str, body: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Any]:
        """Every entry of a list that pages with `limit` and `offset`, page after page."""
        flow = calls.entries_of(self._at, operation, body)
        with closing(flow):
            async with aclosing(self._steps(flow)) as found:
                async for entry in found:
                    yield entry

    async def wait(self, job_id: str, timeout: float | None = None) -> dict[str, Any]:
        """A job's record, once it is completed; raises JobFailed, WaitTimeout."""
        return await self._run(calls.ended_job(self._at, job_id, timeout))

    async def upload(
        self, path: Paths, project_id: str, **options: Unpack[Options]
    ) -> dict[str, Any]:
        """Bring GeoTIFFs in as one item; `{"upload": …, "items": […], "assets": […]}`."""
        plan = uploads.planned(path, project_id, options)
        try:
            return await self._run(uploads.uploaded(self._at, plan))
        finally:
            plan.close()

    async def put_file(self, url: str, path: Path, media_type: str = "image/tiff") -> None:
        """PUT a file to a signed URL, which needs no credential of ours."""
        await self._run(uploads.put(self._at, url, path, media_type))

    # -- the steps ------------------------------------------------------------------------------

    async def _run(self, flow: Flow[T]) -> T:
        """Do the steps of a flow; its answer."""
        result: Any = None
        failure: Exception | None = None
        while True:
            try:
                step = flow.throw(failure) if failure is not None else flow.send(result)
            except StopIteration as end:
                return end.value
            result, failure = await self._done(step)

    async def _steps(self, flow: Flow[None]) -> AsyncGenerator[Any]:
        """Do the steps of a flow; what it emits."""
        result: Any = None
        failure: Exception | None = None
        while True:
            try:
                step = flow.throw(failure) if failure is not None else flow.send(result)
            except StopIteration:
                return
            result = failure = None
            if isinstance(step, Emit):
                yield step.value
            else:
                result, failure = await self._done(step)

    async def _done(self, step: Step) -> tuple[Any, Exception | None]:
        """(what came of a step, how it failed); what is no flow's business passes by."""
        try:
            return await self._do(step), None
        except (httpx.TransportError, UploadFailed) as error:
            return None, error
        except httpx.DecodingError as error:
            return None, httpx.RemoteProtocolError(str(error))

    async def _do(self, step: Step) -> Any:
        if isinstance(step, Sleep):
            await self._sleep(step.seconds)
            return None
        if isinstance(step, Send):
            return await self._send(step)
        if isinstance(step, Save):
            async with aclosing(step.response):
                await _save(step)
            return None
        assert isinstance(step, SendFile)
        headers = {**step.headers, "Content-Length": str(step.size - step.offset)}
        put = self._http.build_request(
            "PUT", step.url, headers=headers, content=_pieces(step), timeout=SENDING
        )
        return await self._answer(put, stream=False)

    async def _send(self, step: Send) -> httpx.Response:
        source = self._at.source(step.headers)
        if source is None:
            return await self._sent(step, step.headers)
        token = await _given(source(None))
        response = await self._sent(step, signed(step.headers, token))
        if response.status_code == 401 and token:
            other = await _given(source(token))
            if other and other != token:
                return await self._sent(step, signed(step.headers, other))
        return response

    async def _sent(self, step: Send, headers: Mapping[str, str]) -> httpx.Response:
        request = self._http.build_request(
            step.method,
            step.url,
            headers=headers,
            content=step.content,
            timeout=patience(step.timeout),
        )
        return await self._answer(request, step.stream)

    async def _answer(self, request: httpx.Request, stream: bool) -> httpx.Response:
        response = await self._http.send(request, stream=True)
        async with AsyncExitStack() as unless_streamed:
            unless_streamed.push_async_callback(response.aclose)
            check_packing(response)
            if stream and response.is_success:
                unless_streamed.pop_all()
                return response
            body = Whole(response, self._max_bytes)
            async for piece in response.aiter_bytes():
                if not body.add(piece):
                    break
            return body.response()

    _sleep = staticmethod(anyio.sleep)


async def _save(step: Save) -> None:
    """Write in a thread, some pieces at a time; what came before a break is written too."""
    held: list[bytes] = []

    async def write() -> None:
        size = await anyio.to_thread.run_sync(step.file.write, b"".join(held))
        held.clear()
        step.told(size)

    try:
        async for piece in step.response.aiter_bytes():
            held.append(piece)
            if sum(map(len, held)) >= PIECE_BYTES:
                await write()
    except httpx.TransportError:
        await write()
        raise
    await write()


async def _given(token: Any) -> str | None:
    """What a source gave, which may have to be waited for."""
    return await token if isawaitable(token) else token


async def _pieces(step: SendFile) -> AsyncGenerator[bytes]:
    """A file's bytes from an offset on, read in a thread; tells how many went."""
    with await anyio.to_thread.run_sync(step.path.open, "rb") as file:
        at = file.seek(step.offset)
        while at < step.size:
            piece = await anyio.to_thread.run_sync(file.read, min(PIECE_BYTES, step.size - at))
            if not piece:
                raise UploadFailed(f"{step.path} became shorter while it was sent")
            yield piece
            at += len(piece)
            step.told(at)
