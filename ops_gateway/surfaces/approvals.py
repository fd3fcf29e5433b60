"""The pages where a person approves something for somebody else: a device, an application, joining.

/device  /device/approve  /realms/public/protocol/openid-connect/auth  /invitations/{token}
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from ops_gateway.domains.organizations_invitations import invitation_of, is_mailed_proof
from ops_gateway.identity import forms
from ops_gateway.identity.clients import Client
from ops_gateway.identity.server import FormRequest, Reply, Server
from ops_gateway.identity.store import Row, plain_code
from ops_gateway.identity.tokens import Person
from ops_gateway.kernel.answers import Answer, Call
from ops_gateway.kernel.authenticate import Authenticator
from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import BadRequest, Forbidden, Gone, NotFound, OpError, RateLimited
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.surfaces.browser import Browser, Visitor, go_to, sign_in_first
from ops_gateway.surfaces.edge import credential
from ops_gateway.surfaces.json_body import read_body
from ops_gateway.surfaces.limits import client_address, network
from ops_gateway.surfaces.oidc import AT, REALM, oauth_response

WRONG_CODES = 5
WRONG_SECONDS = 60


def routes(
    server: Server, browser: Browser, authenticator: Authenticator, pipeline: Pipeline
) -> list[BaseRoute]:
    """The pages."""
    pages = Approvals(server, browser, authenticator, pipeline)
    by_page = browser.form(pages.device_decided)

    async def device_decided(request: Request) -> Response:
        by_script = credential(request.headers) is not None
        return await (pages.device_by_script if by_script else by_page)(request)

    return [
        Route("/device", pages.device, methods=["GET"]),
        Route("/device/approve", device_decided, methods=["POST"]),
        Route(f"{AT}/auth", pages.consent, methods=["GET"]),
        Route(f"{AT}/auth", browser.form(pages.consented), methods=["POST"]),
        Route("/invitations/{token}", pages.invitation, methods=["GET"]),
        Route("/invitations/{token}", browser.form(pages.joined), methods=["POST"]),
    ]


def read_as(body: dict[str, Any]) -> Callable[[], Awaitable[Any]]:
    """A body for the pipeline that was not read from a request."""

    async def read() -> Any:
        return body

    return read


def read_answer(answer: Answer) -> Any:
    """The JSON of an operation's answer."""
    return orjson.loads(answer.body)


class Approvals:
    """The pages."""

    def __init__(
        self, server: Server, browser: Browser, authenticator: Authenticator, pipeline: Pipeline
    ) -> None:
        self._server = server
        self._store = server.store
        self._browser = browser
        self._authenticator = authenticator
        self._pipeline = pipeline

    # ---------------------------------------------------------------- devices

    async def device(self, request: Request) -> Response:
        """Who asks, from where and for what; or the form for a code."""
        visitor = await self._browser.visitor(request)
        if not visitor.is_fresh:
            return sign_in_first(request)
        typed = request.query_params.get("user_code", "")
        if not typed:
            return self._browser.page(request, visitor, "device.html", "Connect a device")
        try:
            row = await self._waiting(request, typed)
        except OpError as error:
            return self._browser.page(
                request,
                visitor,
                "device.html",
                "Connect a device",
                status=error.status,
                error=error.detail,
            )
        client = self._server.query_client(row["client_id"])
        return self._browser.page(
            request,
            visitor,
            "device.html",
            "Connect a device",
            device=row,
            user_code=f"{row['user_code'][:4]}-{row['user_code'][4:]}",
            client=client.name if client else row["client_id"],
        )

    async def _waiting(self, request: Request, typed: str) -> Row:
        """The device of a typed code; wrong codes are counted by address."""
        who = network(client_address(request.scope))
        # counted before it is looked at, so that many at once do not all pass
        if await self._store.failed("user_code", who, WRONG_SECONDS) > WRONG_CODES:
            raise RateLimited(
                "too many wrong codes; try again in a minute",
                headers={"Retry-After": str(WRONG_SECONDS)},
            )
        row = await self._store.device_by_code(typed) if len(plain_code(typed)) == 8 else None
        if row is None:
            raise NotFound("no device waits with this code")
        await self._store.take_back("user_code", who)
        if row["expired"] or row["state"] != "pending":
            raise Gone("this code was used or has expired; start again on the device")
        return row

    async def device_decided(
        self, request: Request, visitor: Visitor, fields: dict[str, str]
    ) -> Response:
        """Approve or deny, from our page."""
        if not visitor.is_fresh or visitor.person is None:
            return go_to("/sign-in?next=/device")
        try:
            done = await self._decide(request, fields, visitor.person["user_id"])
        except OpError as error:
            return self._browser.page(
                request,
                visitor,
                "device.html",
                "Connect a device",
                status=error.status,
                error=error.detail,
            )
        words = "The device is connected; go back to it." if done else "The device was refused."
        return self._browser.page(
            request, visitor, "message.html", "Connect a device", notice=words
        )

    async def device_by_script(self, request: Request) -> Response:
        """Approve or deny, with a person's session token."""
        principal: Principal = request.scope["principal"]
        if principal.kind != "user" or principal.user_id is None:
            raise Forbidden("a device is approved by a person, not by a key")
        body = await read_body(request, forms.LARGEST)
        try:
            fields = forms.parse(body, request.headers.get("content-type", ""))
        except forms.BadForm as error:
            raise BadRequest(str(error)) from None
        done = await self._decide(request, fields, principal.user_id)
        return JSONResponse({"status": "approved" if done else "denied"})

    async def _decide(self, request: Request, fields: dict[str, str], user_id: str) -> bool:
        """True where it was approved. Raises BadRequest, NotFound, Gone or RateLimited."""
        action = fields.get("action")
        if action not in ("approve", "deny"):
            raise BadRequest("action must be approve or deny")
        row = await self._waiting(request, fields.get("user_code", ""))
        approve = action == "approve"
        if not await self._store.decide_device(row["user_code"], user_id, approve=approve):
            raise Gone("this code was used or has expired; start again on the device")
        return approve

    # ---------------------------------------------------------------- applications

    async def consent(self, request: Request) -> Response:
        """RFC 6749 section 4.1.1: the page where a person approves an application."""
        visitor = await self._browser.visitor(request)
        found = await self._asked(request)
        if isinstance(found, Response):
            return found
        form, client = found
        if visitor.person is None:
            return sign_in_first(request)
        goes_to = urlsplit(form.payload.redirect_uri or client.get_default_redirect_uri() or "")
        origin = f"{goes_to.scheme}://{goes_to.netloc}"
        return self._browser.page(
            request,
            visitor,
            "consent.html",
            "Approve an application",
            client=client.name,
            goes_to=origin,
            action=f"{AT}/auth?{request.url.query}",
        )

    async def consented(
        self, request: Request, visitor: Visitor, fields: dict[str, str]
    ) -> Response:
        """Send the browser back with a code, or with the refusal."""
        found = await self._asked(request)
        if isinstance(found, Response):
            return found
        if visitor.person is None:
            return sign_in_first(request)
        person = None
        if fields.get("action") == "approve":
            user = await self._store.person(visitor.person["user_id"])
            assert user is not None
            person = Person(user, visitor.person["signed_in_at"])
        return self._reply(await self._server.authorize(found[0], person))

    async def _asked(self, request: Request) -> tuple[FormRequest, Client] | Response:
        try:
            fields = forms.parse_query(request.scope.get("query_string", b""))
        except forms.BadForm as error:
            raise BadRequest(str(error)) from None
        form = FormRequest(
            fields,
            {},
            address=client_address(request.scope),
            realm=request.scope["base_url"] + REALM,
        )
        found = await self._server.authorization(form)
        return self._reply(found) if isinstance(found, Reply) else (form, found)

    def _reply(self, reply: Reply) -> Response:
        if reply.status == 302:
            return RedirectResponse(reply.headers["Location"], 303, {"Cache-Control": "no-store"})
        return oauth_response(reply)

    # ---------------------------------------------------------------- invitations

    async def invitation(self, request: Request) -> Response:
        """Who invites, and the ways to join."""
        visitor = await self._browser.visitor(request)
        return await self._invitation(request, visitor)

    async def _invitation(
        self, request: Request, visitor: Visitor, status: int = 200, error: str = ""
    ) -> Response:
        token, proof = request.path_params["token"], request.query_params.get("mailed", "")
        found = await invitation_of(self._pipeline, token)
        if found is None or found.state != "pending":
            words = "This invitation was used, withdrawn or has expired. Ask for another one."
            code = 404 if found is None else 410
            return self._browser.page(
                request, visitor, "message.html", "Invitation", status=code, error=words
            )
        return self._browser.page(
            request,
            visitor,
            "invitation.html",
            "Invitation",
            status=status,
            invitation=found,
            path=f"/invitations/{token}" + (f"?mailed={proof}" if self._mailed(request) else ""),
            error=error,
        )

    def _mailed(self, request: Request) -> bool:
        """Whether somebody comes by the URL that only the invited mailbox was sent."""
        proof, token = request.query_params.get("mailed", ""), request.path_params["token"]
        return is_mailed_proof(self._pipeline.services.keys.forms, token, proof)

    async def joined(self, request: Request, visitor: Visitor, fields: dict[str, str]) -> Response:
        """Join, as the operation does."""
        if visitor.person is None:
            return sign_in_first(request)
        token = request.path_params["token"]
        if self._mailed(request):
            found = await invitation_of(self._pipeline, token)
            if found is not None and found.email == (visitor.person["email"] or "").casefold():
                await self._store.verify_address(visitor.person["user_id"])
        principal = await self._authenticator.user(visitor.person["user_id"])
        call = Call(principal, base_url=request.scope["base_url"])
        body = {"token": token}
        try:
            await self._pipeline.run("organizations.invitations.accept", read_as(body), call)
        except OpError as error:
            return await self._invitation(request, visitor, error.status, error.detail)
        return go_to("/account")
