"""HTTP connections with bounds: what a client that nobody knows yet can hold of a process.

The parser keeps a request's head until it is whole, and uvicorn waits for one as long as it takes:
without these bounds anybody fills memory with a header that never ends, or keeps every descriptor
with connections that never ask. An answer that is not taken is memory, too.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 << 10
HEAD_SECONDS = 20.0
STUCK_SECONDS = 30.0
LEAST_BYTES = 30 << 10  # that a client takes of an answer within STUCK_SECONDS
TOO_LARGE = b"the request's head is larger than %d bytes" % HEAD_BYTES


class Bounded(HttpToolsProtocol):
    """uvicorn's protocol on one connection, given up where its client overdoes it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; it has some seconds to ask."""
        self._late: asyncio.TimerHandle | None = None
        self._stuck: asyncio.TimerHandle | None = None
        self._advanced = False
        self._kept = 0  # bytes that led no further: what the parser may keep
        super().connection_made(transport)
        self._expect_head(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    # ---------------------------------------------------------------- what comes

    def data_received(self, data: bytes) -> None:
        """Parse it; what is a part of a head alone counts."""
        self._advanced = False
        super().data_received(data)
        self._kept = 0 if self._advanced else self._kept + len(data)
        if self._kept > HEAD_BYTES and not self.transport.is_closing():
            if self.cycle is None or self.cycle.response_complete:
                self.transport.write(
                    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
                    b"content-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
                    b"content-length: %d\r\n\r\n%b" % (len(TOO_LARGE), TOO_LARGE)
                )
            self.transport.close()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._advanced = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """It is whole; its body is the edge's to wait for."""
        self._advanced = True
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._advanced = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here."""
        self._advanced = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Another request may come on this connection: its first byte within the time of an idle
        connection, its head some seconds later.
        """
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            self._expect_head(self.timeout_keep_alive + HEAD_SECONDS)

    def _expect_head(self, seconds: float) -> None:
        self._stop_waiting()
        self._late = self.loop.call_later(seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    # ---------------------------------------------------------------- what goes

    def pause_writing(self) -> None:
        """The client takes less than is sent."""
        super().pause_writing()
        self._watch(self._unsent())

    def resume_writing(self) -> None:
        """It has caught up."""
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        super().resume_writing()

    def _watch(self, unsent: int) -> None:
        def look() -> None:
            left = self._unsent()
            if unsent - left < LEAST_BYTES:
                self.transport.abort()
            else:
                self._watch(left)

        self._stuck = self.loop.call_later(STUCK_SECONDS, look)

    def _unsent(self) -> int:
        transport: Any = self.transport
        return transport.get_write_buffer_size()
