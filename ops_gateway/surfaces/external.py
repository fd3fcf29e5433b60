"""Sign-in by another identity provider, which the operator names: /sign-in/external, …/callback

Who comes is known by the provider's `sub`. The first time they are linked to the account of their
e-mail address, where the provider says that it is theirs and it was confirmed here too; else one is
made. What a sign-in began with is kept by the browser that began it, sealed, for ten minutes.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import orjson
from cryptography.fernet import InvalidToken
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from ops_gateway.identity import forms
from ops_gateway.identity.store import Store
from ops_gateway.kernel.errors import RateLimited
from ops_gateway.kernel.secrets import Keys
from ops_gateway.providers.openid import Begun, OpenIdProvider, ProviderError, Somebody
from ops_gateway.surfaces.browser import Browser, cookie_name, go_to, set_cookie
from ops_gateway.surfaces.limits import RateLimiter, client_address

KEPT_SECONDS = 600
CALLBACK = "/sign-in/external/callback"
UNCONFIRMED = (
    "The provider does not say that your e-mail address is yours, so no account here can be given "
    "to you. Confirm it there first."
)
NOT_CONFIRMED_HERE = (
    "There is an account with your e-mail address here that nobody has confirmed. Take it over by "
    "a new password first, then sign in with the provider."
)
CLOSED = "Your account here is closed."


class External:
    """The two pages."""

    def __init__(
        self, browser: Browser, keys: Keys, limiter: RateLimiter, provider: OpenIdProvider
    ) -> None:
        self._browser = browser
        self._store: Store = browser.store
        self._keys = keys
        self._limiter = limiter
        self._provider = provider

    def routes(self) -> list[BaseRoute]:
        """The pages."""
        return [
            Route("/sign-in/external", self.begin, methods=["GET"]),
            Route(CALLBACK, self.back, methods=["GET"]),
        ]

    async def begin(self, request: Request) -> Response:
        """Send the browser to the provider."""
        onward = forms.local_path(request.query_params.get("next"), "/account")
        try:
            self._limiter.count_public(client_address(request.scope))
            begun = await self._provider.begin(request.scope["base_url"] + CALLBACK)
        except (ProviderError, RateLimited) as error:
            return await self._refused(request, str(error))
        response = RedirectResponse(begun.url, 303, {"Cache-Control": "no-store"})
        until = time.time() + KEPT_SECONDS
        kept = {"begun": dataclasses.asdict(begun), "next": onward, "until": until}
        response.set_cookie(
            _cookie(request),
            self._keys.seal(orjson.dumps({"for": "external", **kept})).decode(),
            max_age=KEPT_SECONDS,
            path="/",
            secure=request.scope["base_url"].startswith("https:"),
            httponly=True,
            samesite="lax",
        )
        return response

    async def back(self, request: Request) -> Response:
        """Let in whom the provider has sent back."""
        kept = self._kept(request)
        try:
            self._limiter.count_public(client_address(request.scope))
            if kept is None:
                raise ProviderError("This sign-in was begun elsewhere or is too old; try again.")
            query = forms.parse_query(request.scope.get("query_string", b""))
            begun = Begun(**kept["begun"])
            who = await self._provider.finish(request.scope["base_url"] + CALLBACK, begun, query)
            user_id = await self._person(who)
        except (ProviderError, RateLimited, forms.BadForm) as error:
            return _forgotten(request, await self._refused(request, str(error)))
        visitor = await self._browser.visitor(request)
        if visitor.person is not None:
            await self._store.close_session(visitor.cookie)
        response = go_to(kept["next"])
        set_cookie(request, response, await self._store.open_session(user_id))
        return _forgotten(request, response)

    async def _person(self, who: Somebody) -> str:
        """Who it is here. Raises ProviderError."""
        user_id = await self._store.person_elsewhere(who.issuer, who.subject)
        if user_id is None:
            if not who.verified or not who.email or "\0" in who.email + (who.name or ""):
                raise ProviderError(UNCONFIRMED)
            email = who.email.strip().casefold()
            account = await self._store.account(email)
            if account is None:
                made = await self._store.add_person(email, who.name, None, verified=True)
                account = await self._store.account(email) if made is None else {"id": made}
            if account is None or account.get("verified") is False:
                raise ProviderError(NOT_CONFIRMED_HERE)
            user_id = await self._store.add_identity(who.issuer, who.subject, account["id"])
        person = await self._store.person(user_id)
        if person is None or person["disabled"]:
            raise ProviderError(CLOSED)
        return user_id

    def _kept(self, request: Request) -> dict[str, Any] | None:
        try:
            text = request.cookies.get(_cookie(request), "")
            kept = orjson.loads(self._keys.unseal(text.encode()))
        except (InvalidToken, ValueError):
            return None
        fits = kept.get("for") == "external" and kept["until"] > time.time()
        return kept if fits else None

    async def _refused(self, request: Request, words: str) -> Response:
        visitor = await self._browser.visitor(request)
        return self._browser.page(
            request,
            visitor,
            "message.html",
            "Sign in",
            status=403,
            error=words,
            link="/sign-in",
            link_text="Back to sign-in",
        )


def _cookie(request: Request) -> str:
    return f"{cookie_name(request)}-external"


def _forgotten(request: Request, response: Response) -> Response:
    """What was kept is for one way back."""
    response.delete_cookie(
        _cookie(request), path="/", secure=request.scope["base_url"].startswith("https:")
    )
    return response
