"""What the account pages share: templates, the browser's cookie and the forms' tokens."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ops_gateway.identity import forms
from ops_gateway.identity.store import SESSION_SECONDS, Row, Store
from ops_gateway.kernel.errors import BadRequest, OpError
from ops_gateway.surfaces.json_body import read_body

FRESH = timedelta(hours=1)  # how long ago somebody signed in who may approve for others
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=jinja2.ChainableUndefined,
)


@dataclass(frozen=True)
class Visitor:
    """A browser: its cookie, and who has signed in with it."""

    cookie: str
    person: Row | None

    @property
    def is_fresh(self) -> bool:
        """Whether its person signed in a short while ago."""
        return self.person is not None and (datetime.now(UTC) - self.person["signed_in_at"] < FRESH)


FormHandler = Callable[[Request, Visitor, dict[str, str]], Awaitable[Response]]


class Browser:
    """Knows browsers by their cookie."""

    def __init__(self, store: Store, keys: forms.Forms) -> None:
        self.store = store
        self.forms = keys

    async def visitor(self, request: Request) -> Visitor:
        """Who asks; a browser without a cookie gets one with the answer."""
        cookie = request.cookies.get(cookie_name(request), "")
        if not cookie or len(cookie) > 100:
            return Visitor(secrets.token_urlsafe(32), None)
        return Visitor(cookie, await self.store.session(cookie))

    def form(self, answer: FormHandler) -> Callable[[Request], Awaitable[Response]]:
        """An endpoint that answers a form of our own with `answer(request, visitor, fields)`, and
        any other with a refusal. Whoever sees a form sees a refusal as a page.
        """

        async def endpoint(request: Request) -> Response:
            visitor = await self.visitor(request)
            try:
                fields = await self._fields(request, visitor)
                return await answer(request, visitor, fields)
            except forms.BadForm as error:
                refusal: OpError = BadRequest(str(error))
            except OpError as error:
                refusal = error
            response = self.page(
                request,
                visitor,
                "message.html",
                "That did not work",
                status=refusal.status,
                error=refusal.detail,
            )
            response.headers.update(refusal.headers)
            return response

        return endpoint

    async def _fields(self, request: Request, visitor: Visitor) -> dict[str, str]:
        body = await read_body(request, forms.LARGEST)
        fields = forms.parse(body, request.headers.get("content-type", ""))
        if any("\0" in value for value in fields.values()):
            raise forms.BadForm("a field holds a NUL character")
        own = forms.own_page(request.headers, request.scope["base_url"])
        if not own or not self.forms.holds(visitor.cookie, fields.get("csrf", "")):
            raise forms.BadForm("this page is too old or the form came from elsewhere; try again")
        return fields

    def page(
        self,
        request: Request,
        visitor: Visitor,
        template: str,
        title: str,
        *,
        status: int = 200,
        goes_to: str = "",
        **values: Any,
    ) -> Response:
        """A page; `goes_to` is the origin that its form may lead to besides ourselves."""
        csrf = self.forms.token(visitor.cookie)
        text = _TEMPLATES.get_template(template).render(
            title=title, csrf=csrf, person=visitor.person, goes_to=goes_to, **values
        )
        policy = (
            f"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' {goes_to};"
            " base-uri 'none'; frame-ancestors 'none'"
        )
        response = Response(
            text,
            status,
            {
                "Content-Security-Policy": policy,
                "X-Frame-Options": "DENY",
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
                "Cache-Control": "no-store",
            },
            "text/html; charset=utf-8",
        )
        if request.cookies.get(cookie_name(request)) != visitor.cookie:
            set_cookie(request, response, visitor.cookie)
        return response


def cookie_name(request: Request) -> str:
    """`__Host-` binds a cookie to this host and to https; a browser keeps it nowhere else."""
    return "__Host-opstac" if request.scope["base_url"].startswith("https:") else "opstac"


def set_cookie(request: Request, response: Response, value: str) -> None:
    """Give the browser its cookie."""
    response.set_cookie(
        cookie_name(request),
        value,
        max_age=SESSION_SECONDS,
        path="/",
        secure=request.scope["base_url"].startswith("https:"),
        httponly=True,
        samesite="lax",
    )


def go_to(path: str) -> Response:
    """Go on with GET to a path of this server."""
    return RedirectResponse(path, 303, {"Cache-Control": "no-store"})


def sign_in_first(request: Request) -> Response:
    """Sign in, and then come back here."""
    query = request.url.query
    back = request.url.path + (f"?{query}" if query else "")
    return go_to(f"/sign-in?next={quote(back, safe='')}")
