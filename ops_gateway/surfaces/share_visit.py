"""One request of a share link: what opens it, and what its addresses go on with.

The password comes as `X-Share-Password`, as that of HTTP Basic (with any user name), or as
`?password=`; addresses that we give hold `?key=` instead, for an hour: those of tiles and TileJSON
one that opens nothing else. In those of the STAC documents it stands behind the token,
`/share/{token}.{key}/stac/…`: a GIS puts its own query there.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from ops_gateway.domains import share_access
from ops_gateway.domains.share_access import Link
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.errors import Forbidden
from ops_gateway.kernel.pipeline import Pipeline

JSON = "application/json"
MADE_BY_US = ("password", "key")  # query names that are no parameters of what is asked for

Show = Callable[["Visit"], Awaitable[Response]]


class Visit:
    """One request of who opened a link."""

    def __init__(self, request: Request, pipeline: Pipeline, link: Link) -> None:
        self.request = request
        self.pipeline = pipeline
        self.link = link

    async def look(self, work: Callable[[Context], Awaitable[Any]]) -> Any:
        """Read as the link's viewer."""
        return await self.pipeline.look(
            "share.read", self.link.principal, work, base_url=self.request.scope["base_url"]
        )

    def path(self, name: str) -> str:
        """A part of the path."""
        return self.request.path_params[name]

    @property
    def root(self) -> str:
        """The link's STAC landing page."""
        return f"{self.request.scope['base_url']}/share/{self.link.token}/stac"

    def address(self, href: str) -> str:
        """An address of the link's that goes on with what this one was opened by, if that was in
        its address.
        """
        query = self.request.query_params
        if "key" not in query and "password" not in query and not named(self.request)[1]:
            return href
        key = share_access.key_of(self.link, self.pipeline.services.keys.share)
        here = f"/share/{self.link.token}"
        return href.replace(here, f"{here}.{key}", 1)


async def opened(pipeline: Pipeline, request: Request, *, counts: bool, tiles: bool) -> Link:
    """The link, by the key or the password that came; `tiles`: one of tiles will do. Raises
    OpError.
    """
    token, key = named(request)
    password = password_of(request)
    if key := request.query_params.get("key") or key:
        try:
            found = await share_access.open_by_key(pipeline, token, key)
            if found.tiles_only and not tiles:
                raise Forbidden("the key in this address opens tiles alone")
            return found
        except Forbidden:
            # an address of an hour ago, sent with the password
            if not password:
                raise
    return await share_access.redeem(pipeline, token, password, counts=counts)


def named(request: Request) -> tuple[str, str]:
    """(the token of the path, the key behind it or nothing)."""
    token, _, key = request.path_params["token"].partition(".")
    return token, key


def password_of(request: Request) -> str:
    """The password that came with a request; empty for none."""
    header = request.headers.get("x-share-password")
    if header is not None:
        return as_utf8(header)
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "basic":
        try:
            return base64.b64decode(text, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return request.query_params.get("password", "")


def as_utf8(header: str) -> str:
    """A header that a client wrote in UTF-8; one of single bytes stays as it is."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return header


def document(value: Any, media_type: str = JSON) -> Response:
    """An answer that holds addresses for an hour and is nobody else's."""
    return Response(
        orjson.dumps(value), media_type=media_type, headers={"Cache-Control": "private, no-store"}
    )
