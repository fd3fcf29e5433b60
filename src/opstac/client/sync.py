"""The client that blocks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

import httpx

from opstac.client import calls, downloads, tree, uploads
from opstac.client.bounded import MAX_BYTES, Whole, check_packing
from opstac.client.connection import SENDING, Connection, Source, patience, settings, signed, told
from opstac.client.errors import UploadFailed
from opstac.client.steps import Emit, Flow, Progress, Save, Send, SendFile, Sleep, Step, T
from opstac.client.uploads import Options, Paths
from opstac.client.values import Lines

if TYPE_CHECKING:
    from opstac.client.generated.tree import Tree
else:
    Tree = object

PIECE_BYTES = 1024 * 1024


class Client(Tree):
    """Calls operations with one credential; safe to use in several threads.

    with Client(token, "https://…") as client:
        client.op("items.get", {"item_id": "it_…"})["item"]
        client.items.get(item_id="it_…")["item"]            # the same, typed
    """

    def __init__(
        self,
        token: str | Source | None = None,
        base_url: str | None = None,
        *,
        timeout_seconds: float = 60,
        retries: int = 4,
        max_bytes: int = MAX_BYTES,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            token: an API key or a session token; None calls what is public. A function gives it
                for each request: it is called with None, and after a 401 once more with the token
                that was refused.
            base_url: of the platform; default GEOPERA_API_URL, else this machine's.
            timeout_seconds: without a byte of the answer, until a call is given up.
            retries: after 429, 503 and lost connections, of calls that can be repeated.
            max_bytes: of an answer that is read whole; `pieces`, `stream` and `download` take more.
            transport: instead of the network.

        Raises:
            ValueError: the address or the token cannot be one.
        """
        self._at = Connection.to(base_url, token, retries)
        self._max_bytes = max_bytes
        self._http = httpx.Client(transport=transport, **settings(timeout_seconds))

    def __repr__(self) -> str:
        """Where it is connected to, and nothing of the credential."""
        return f"<Client {self._at.base_url}>"

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

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """A domain of the tree of operations."""
            return tree.below(self, "", name)

        def __dir__(self) -> list[str]:
            """For completion."""
            return sorted({*super().__dir__(), *tree.children()[""]})

    def op(
        self,
        operation: str,
        body: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        """Run an operation: its JSON answer, or bytes where it answers no JSON.

        Args:
            operation: its id.
            body: its input.
            idempotency_key: the same call again with the same key gives the first answer; one is
                made where none is given.
            timeout_seconds: for this call.

        Raises:
            OperationError: the server refused.
            httpx.TransportError: it does not answer.
        """
        return self._run(
            calls.operation(self._at, operation, body, key=idempotency_key, timeout=timeout_seconds)
        )

    def get(self, path: str, **params: Any) -> Any:
        """GET any path of the server; or an address, which at another origin gets no credential."""
        return self._run(calls.path(self._at, path, params))

    def stream(self, operation: str, body: Mapping[str, Any] | None = None) -> Iterator[Any]:
        """The lines of an answer in JSON lines, each as it comes.

        Args:
            operation: its id, or a path that is POSTed to, as `/assets/stac/search`.
            body: its input.

        Raises:
            OperationError: it was refused, answers no JSON lines, or one is none.
            httpx.TransportError: the connection broke before the end.
        """
        response: httpx.Response = self._run(calls.lines(self._at, operation, body))
        with closing(response):
            calls.check_lines(operation, response)
            lines, failure = Lines(), None
            try:
                for piece in response.iter_bytes():
                    yield from lines.feed(piece)
                yield from lines.end()
                return
            except httpx.RequestError as error:
                failure = told(error)
            except ValueError as error:
                failure = calls.bad_line(operation, error)
            raise failure

    def open(
        self,
        what: str,
        body: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> httpx.Response:
        """An answer whose body is not read yet: for its headers. Close it.

        Args:
            what: an operation's id; or a path or an address, which is asked with GET.
            body: the operation's input.
            idempotency_key: as for `op`.

        Raises:
            OperationError: it was refused.
        """
        return self._run(calls.opened(self._at, what, body, key=idempotency_key))

    def pieces(self, what: str, body: Mapping[str, Any] | None = None) -> Iterator[bytes]:
        """The bytes of an answer as they come, so that it may be of any size; see `open`.

        Raises:
            httpx.TransportError: the connection broke before the end.
        """
        with closing(self.open(what, body)) as response:
            failure = None
            try:
                yield from response.iter_bytes()
            except httpx.RequestError as error:
                failure = told(error)
            if failure is not None:
                raise failure

    def download(
        self,
        what: str,
        path: str | Path,
        body: Mapping[str, Any] | None = None,
        *,
        progress: Progress | bool | None = None,
    ) -> int:
        """Write a file of any size as it comes; how many bytes it has.

        It is there whole under its name, or not at all. Of a path or an address, a broken
        connection is taken up where it broke; an operation that reads is asked anew.

        Args:
            what: an operation's id; or a path, or an address such as a signed link.
            path: the file.
            body: the operation's input.
            progress: told (bytes so far, bytes in all); by default a bar where standard error is a
                terminal; False is nothing.

        Raises:
            OperationError: it was refused.
            OSError: the file cannot be written.
            httpx.TransportError: the server is gone for long.
        """
        with downloads.begun(path, what, progress) as (file, tell):
            return self._run(downloads.saved(self._at, what, body, file, tell))

    def entries(self, operation: str, body: Mapping[str, Any] | None = None) -> Iterator[Any]:
        """Every entry of a list that pages with `limit` and `offset`, page after page.

        Raises:
            ValueError: the operation does not page that way.
        """
        flow = calls.entries_of(self._at, operation, body)
        with closing(flow):
            yield from self._steps(flow)

    def wait(self, job_id: str, timeout: float | None = None) -> dict[str, Any]:
        """A job's record, once it is completed.

        Raises:
            JobFailed: it failed or was cancelled; its `code` says why.
            WaitTimeout: it has not ended after `timeout` seconds. It goes on.
        """
        return self._run(calls.ended_job(self._at, job_id, timeout))

    def upload(self, path: Paths, project_id: str, **options: Unpack[Options]) -> dict[str, Any]:
        """Bring GeoTIFFs in as one item; `{"upload": …, "items": […], "assets": […]}`.

        A broken connection is taken up where it broke. So is, by the same call within a day, the
        upload of a process that was killed.

        Args:
            path: of a file, or of several for one item.
            project_id: where to.
            **options: `name`, `datetime`, `properties` … of the item, `progress`, `resume` and
                `timeout`; see `opstac.client.uploads.Options`.

        Raises:
            OperationError: the server refused.
            UploadFailed: the session ended without an item, or a file changed meanwhile.
            WaitTimeout: the conversion has not ended; it goes on.
            httpx.TransportError: the server is gone for long. The same call goes on.
        """
        plan = uploads.planned(path, project_id, options)
        try:
            return self._run(uploads.uploaded(self._at, plan))
        finally:
            plan.close()

    def put_file(self, url: str, path: Path, media_type: str = "image/tiff") -> None:
        """PUT a file to a signed URL, which needs no credential of ours."""
        self._run(uploads.put(self._at, url, path, media_type))

    # -- the steps ------------------------------------------------------------------------------

    def _run(self, flow: Flow[T]) -> T:
        """Do the steps of a flow; its answer."""
        step: Step | None = None
        result: Any = None
        failure: Exception | None = None
        while True:
            try:
                step = flow.throw(failure) if failure is not None else flow.send(result)
            except StopIteration as end:
                return end.value
            result, failure = self._done(step)

    def _steps(self, flow: Flow[None]) -> Iterator[Any]:
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
                result, failure = self._done(step)

    def _done(self, step: Step) -> tuple[Any, Exception | None]:
        """(what came of a step, how it failed); what is no flow's business passes by."""
        try:
            return self._do(step), None
        except (httpx.TransportError, UploadFailed) as error:
            return None, error
        except httpx.DecodingError as error:
            return None, httpx.RemoteProtocolError(str(error))

    def _do(self, step: Step) -> Any:
        if isinstance(step, Sleep):
            self._sleep(step.seconds)
            return None
        if isinstance(step, Send):
            return self._send(step)
        if isinstance(step, Save):
            with closing(step.response):
                for piece in step.response.iter_bytes():
                    step.file.write(piece)
                    step.told(len(piece))
            return None
        assert isinstance(step, SendFile)
        headers = {**step.headers, "Content-Length": str(step.size - step.offset)}
        put = self._http.build_request(
            "PUT", step.url, headers=headers, content=_pieces(step), timeout=SENDING
        )
        return self._answer(put, stream=False)

    def _send(self, step: Send) -> httpx.Response:
        source = self._at.source(step.headers)
        if source is None:
            return self._sent(step, step.headers)
        token = source(None)
        response = self._sent(step, signed(step.headers, token))
        if response.status_code == 401 and token:
            other = source(token)
            if other and other != token:
                return self._sent(step, signed(step.headers, other))
        return response

    def _sent(self, step: Send, headers: Mapping[str, str]) -> httpx.Response:
        request = self._http.build_request(
            step.method,
            step.url,
            headers=headers,
            content=step.content,
            timeout=patience(step.timeout),
        )
        return self._answer(request, step.stream)

    def _answer(self, request: httpx.Request, stream: bool) -> httpx.Response:
        response = self._http.send(request, stream=True)
        with ExitStack() as unless_streamed:
            unless_streamed.callback(response.close)
            check_packing(response)
            if stream and response.is_success:
                unless_streamed.pop_all()
                return response
            body = Whole(response, self._max_bytes)
            for piece in response.iter_bytes():
                if not body.add(piece):
                    break
            return body.response()

    _sleep = staticmethod(time.sleep)


def _pieces(step: SendFile) -> Iterator[bytes]:
    """A file's bytes from an offset on; tells how many went."""
    with step.path.open("rb") as file:
        at = file.seek(step.offset)
        while at < step.size:
            piece = file.read(min(PIECE_BYTES, step.size - at))
            if not piece:
                raise UploadFailed(f"{step.path} became shorter while it was sent")
            yield piece
            at += len(piece)
            step.told(at)


Geopera = Client
