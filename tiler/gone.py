"""Stops a request's work when its client goes away: a map that is panned asks for much in vain."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class StopWhenGone:
    """ASGI middleware: the handler is cancelled when the client disconnects.

    What it awaits is cancelled with it: a tile that waits in the pool is dropped, one that is being
    drawn ends at its next checkpoint. For apps whose requests change nothing.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        task = asyncio.current_task()
        assert task is not None
        # one ahead of the handler at most: a body that nobody reads must not pile up here
        messages: asyncio.Queue[Message] = asyncio.Queue(1)
        gone = False

        async def listen() -> None:
            nonlocal gone
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    gone = True
                    task.cancel()
                    return
                await messages.put(message)

        listener = asyncio.create_task(listen())
        try:
            await self.app(scope, messages.get, send)
        except asyncio.CancelledError:
            if not gone or task.uncancel() > 0:
                raise
        finally:
            listener.cancel()
