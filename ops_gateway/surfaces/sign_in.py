"""The pages where people sign in, sign up and see to their account. They need no JavaScript.

/sign-in  /sign-up  /sign-out  /account  /account/password  /account/organization
Those of mailed links are in `mailed.py`, another provider's in `external.py`.
"""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ops_gateway.domains.organizations_invitations import invitation_of, is_mailed_proof
from ops_gateway.identity import forms, passwords
from ops_gateway.identity.grants import Locked, person_by_password
from ops_gateway.identity.server import Server
from ops_gateway.identity.store import Superseded
from ops_gateway.kernel.answers import Call
from ops_gateway.kernel.authenticate import Authenticator
from ops_gateway.kernel.errors import OpError, RateLimited
from ops_gateway.kernel.passwords import Busy, hash_password
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.providers.openid import OpenIdProvider
from ops_gateway.surfaces import approvals
from ops_gateway.surfaces.browser import Browser, Visitor, go_to, set_cookie, sign_in_first
from ops_gateway.surfaces.external import External
from ops_gateway.surfaces.limits import RateLimiter, client_address
from ops_gateway.surfaces.mailed import Mailed

HOME = "/account"
BUSY = "Many people are signing in just now; try again in a few seconds."
ASKED = (
    "A mail is on its way to {email}: open its link to choose a password, then sign in. If there "
    "was an account with this address, the mail says so."
)
MADE = (
    "Sign in with {email} and the password. If there was an account with this address, it is as it "
    "was, with the password that it had."
)
_EMAIL = re.compile(r"[^@\s\"'<>(),:;\[\]\\]{1,64}@[A-Za-z0-9.-]{1,255}")
_INVITATION = re.compile(r"/invitations/([A-Za-z0-9_-]{20,100})(?:\?mailed=([0-9a-f]{64}))?")


def routes(
    server: Server,
    authenticator: Authenticator,
    pipeline: Pipeline,
    limiter: RateLimiter,
    keys: forms.Forms,
    *,
    open_to_all: bool,
    public_url: str | None = None,
    provider: OpenIdProvider | None = None,
) -> list[BaseRoute]:
    """The account pages and those where something is approved.

    Args:
        open_to_all: anybody may make an account; else who has an invitation.
        public_url: what mailed links begin with; without it none are mailed.
        provider: another identity provider that people may sign in with.
    """
    browser = Browser(server.store, keys)
    mailed = Mailed(browser, pipeline, limiter, server.later, public_url=public_url)
    elsewhere = provider.settings.shown if provider is not None else ""
    pages = Pages(
        browser,
        authenticator,
        pipeline,
        limiter,
        mailed,
        open_to_all=open_to_all,
        elsewhere=elsewhere,
    )
    by_provider = (
        External(browser, pipeline.services.keys, limiter, provider).routes() if provider else []
    )
    return [
        *mailed.routes(),
        *by_provider,
        Route("/sign-in", pages.sign_in, methods=["GET"]),
        Route("/sign-in", browser.form(pages.signed_in), methods=["POST"]),
        Route("/sign-up", pages.sign_up, methods=["GET"]),
        Route("/sign-up", browser.form(pages.signed_up), methods=["POST"]),
        Route("/sign-out", browser.form(pages.sign_out), methods=["POST"]),
        Route("/account", pages.account, methods=["GET"]),
        Route("/account/password", browser.form(pages.password), methods=["POST"]),
        Route("/account/organization", browser.form(pages.organization), methods=["POST"]),
        *approvals.routes(server, browser, authenticator, pipeline),
    ]


class Pages:
    """The account pages."""

    def __init__(
        self,
        browser: Browser,
        authenticator: Authenticator,
        pipeline: Pipeline,
        limiter: RateLimiter,
        mailed: Mailed,
        *,
        open_to_all: bool,
        elsewhere: str,
    ) -> None:
        self._browser = browser
        self._store = browser.store
        self._authenticator = authenticator
        self._pipeline = pipeline
        self._limiter = limiter
        self._mailed = mailed
        self._open = open_to_all
        self._elsewhere = elsewhere

    async def sign_in(self, request: Request) -> Response:
        """The form."""
        visitor = await self._browser.visitor(request)
        return self._sign_in(request, visitor, next_of(request.query_params.get("next")))

    def _sign_in(
        self, request: Request, visitor: Visitor, onward: str, status: int = 200, **values: str
    ) -> Response:
        return self._browser.page(
            request,
            visitor,
            "sign_in.html",
            "Sign in",
            status=status,
            next=onward,
            external=self._elsewhere,
            can_sign_up=self._open or bool(_INVITATION.fullmatch(onward)),
            **values,
        )

    async def signed_in(
        self, request: Request, visitor: Visitor, fields: dict[str, str]
    ) -> Response:
        """Look at the password; a new cookie for who has it."""
        onward, email = next_of(fields.get("next")), fields.get("email", "")
        address = client_address(request.scope)
        try:
            self._limiter.count_password(address)
            found = await person_by_password(
                self._store, email, fields.get("password", ""), address
            )
        except (Locked, RateLimited) as error:
            return self._sign_in(request, visitor, onward, 429, error=str(error), email=email)
        except Busy:
            return self._sign_in(request, visitor, onward, 503, error=BUSY, email=email)
        if found is None:
            wrong = "The e-mail address or the password is wrong."
            return self._sign_in(request, visitor, onward, 403, error=wrong, email=email)
        try:
            return await self._enter(request, visitor, found["id"], onward, found["asked_at"])
        except Superseded:
            changed = "The password has changed just now; sign in with the new one."
            return self._sign_in(request, visitor, onward, 403, error=changed, email=email)

    async def _enter(
        self,
        request: Request,
        visitor: Visitor,
        user_id: str,
        onward: str,
        since: datetime | None = None,
    ) -> Response:
        """A new session with a new cookie: one that somebody planted before is worth nothing."""
        token = await self._store.open_session(user_id, since)
        if visitor.person is not None:
            await self._store.close_session(visitor.cookie)
        response = go_to(onward)
        set_cookie(request, response, token)
        return response

    async def sign_up(self, request: Request) -> Response:
        """The form, for everybody or for whoever comes from an invitation."""
        visitor = await self._browser.visitor(request)
        onward = next_of(request.query_params.get("next"))
        invited = await self._invited(onward)
        return self._sign_up(request, visitor, onward, email=invited or "", invited=bool(invited))

    def _sign_up(
        self,
        request: Request,
        visitor: Visitor,
        onward: str,
        status: int = 200,
        *,
        email: str = "",
        invited: bool = False,
        error: str = "",
        name: str = "",
    ) -> Response:
        if not self._open and not invited:
            closed = "Accounts are made by invitation here. Ask somebody of your organisation."
            return self._browser.page(
                request, visitor, "message.html", "Make an account", status=403, error=closed
            )
        return self._browser.page(
            request,
            visitor,
            "sign_up.html",
            "Make an account",
            status=status,
            next=onward,
            email=email,
            name=name,
            invited=invited,
            mails=self._by_mail(onward, invited=invited),
            error=error,
        )

    async def _invited(self, onward: str) -> str | None:
        """The address that an invitation was sent to, where the way on leads to one that holds."""
        match = _INVITATION.fullmatch(onward)
        found = await invitation_of(self._pipeline, match[1]) if match else None
        return found.email if found is not None and found.state == "pending" else None

    def _by_mailed_invitation(self, onward: str) -> bool:
        """Whether somebody comes by the URL that only the invited mailbox was sent."""
        match, key = _INVITATION.fullmatch(onward), self._pipeline.services.keys.forms
        return match is not None and is_mailed_proof(key, match[1], match[2] or "")

    def _by_mail(self, onward: str, *, invited: bool) -> bool:
        """Whether the password is chosen by a link that is mailed: by who reads the mails."""
        return self._mailed.sends and not (invited and self._by_mailed_invitation(onward))

    async def signed_up(
        self, request: Request, visitor: Visitor, fields: dict[str, str]
    ) -> Response:
        """Make the account, or mail a link by which it is made. The answer is the same for an
        address that has one, except to who comes by an invitation that was mailed to it, and is
        signed in at once.
        """
        self._limiter.count_public(client_address(request.scope))
        onward = next_of(fields.get("next"))
        invited = await self._invited(onward)
        email = (invited or fields.get("email", "")).strip().casefold()
        name, password = fields.get("name", "").strip()[:200], fields.get("password", "")
        again = {"email": email, "name": name, "invited": bool(invited)}
        if not self._open and invited is None:
            return self._sign_up(request, visitor, onward)
        if not _EMAIL.fullmatch(email):
            return self._sign_up(
                request, visitor, onward, 422, **again, error="That is no e-mail address."
            )
        if self._by_mail(onward, invited=invited is not None):
            if not self._mailed.sign_up(email, name or None):
                return self._sign_up(request, visitor, onward, 503, **again, error=BUSY)
            return self._told(request, visitor, onward, ASKED.format(email=email))
        if (wrong := passwords.fault(password, email=email)) is not None:
            words = wrong[0].upper() + wrong[1:] + "."
            return self._sign_up(request, visitor, onward, 422, **again, error=words)
        try:
            hashed = await hash_password(password)
        except Busy:
            return self._sign_up(request, visitor, onward, 503, **again, error=BUSY)
        if invited is not None and self._by_mailed_invitation(onward):
            # whoever reads this mailbox may know that it has an account
            user_id = await self._store.add_person(email, name or None, hashed, verified=True)
            if user_id is None:
                taken = "There is an account with this address; sign in with it."
                return self._sign_up(request, visitor, onward, 409, **again, error=taken)
            return await self._enter(request, visitor, user_id, onward)
        await self._store.add_person(email, name or None, hashed, verified=False)
        return self._told(request, visitor, onward, MADE.format(email=email))

    def _told(self, request: Request, visitor: Visitor, onward: str, notice: str) -> Response:
        return self._browser.page(
            request,
            visitor,
            "message.html",
            "Make an account",
            notice=notice,
            link=f"/sign-in?next={quote(onward, safe='')}",
            link_text="Sign in",
        )

    async def sign_out(
        self, request: Request, visitor: Visitor, fields: dict[str, str]
    ) -> Response:
        """End the browser's session."""
        await self._store.close_session(visitor.cookie)
        return go_to("/sign-in")

    async def account(self, request: Request) -> Response:
        """Who is signed in."""
        visitor = await self._browser.visitor(request)
        return await self._account(request, visitor)

    async def _account(
        self, request: Request, visitor: Visitor, status: int = 200, **values: str
    ) -> Response:
        if visitor.person is None:
            return sign_in_first(request)
        principal = await self._authenticator.user(visitor.person["user_id"])
        organization = None
        if principal.organization_id is not None:
            call = Call(principal, base_url=request.scope["base_url"])
            answer = await self._pipeline.run("organizations.get", approvals.read_as({}), call)
            organization = approvals.read_answer(answer)["organization"]["name"]
        return self._browser.page(
            request,
            visitor,
            "account.html",
            "Your account",
            status=status,
            organization=organization,
            confirms=self._mailed.sends and not visitor.person["verified"],
            **values,
        )

    async def password(
        self, request: Request, visitor: Visitor, fields: dict[str, str]
    ) -> Response:
        """Change the password, which ends every sign-in; the browser's goes on anew."""
        if visitor.person is None:
            return go_to("/sign-in")
        email = visitor.person["email"] or ""
        address = client_address(request.scope)
        try:
            self._limiter.count_password(address)
            known = await person_by_password(self._store, email, fields.get("current", ""), address)
            if known is None:
                return await self._account(
                    request, visitor, 403, error="The password you have now is another one."
                )
            if wrong := passwords.fault(fields.get("password", ""), email=email):
                words = wrong[0].upper() + wrong[1:] + "."
                return await self._account(request, visitor, 422, error=words)
            hashed = await hash_password(fields["password"])
        except (Locked, RateLimited) as error:
            return await self._account(request, visitor, 429, error=str(error))
        except Busy:
            return await self._account(request, visitor, 503, error=BUSY)
        await self._store.set_password(known["id"], hashed)
        return await self._enter(request, Visitor("", None), known["id"], HOME)

    async def organization(
        self, request: Request, visitor: Visitor, fields: dict[str, str]
    ) -> Response:
        """Make an organisation, as the operation does."""
        if visitor.person is None:
            return go_to("/sign-in")
        principal = await self._authenticator.user(visitor.person["user_id"])
        call = Call(principal, base_url=request.scope["base_url"])
        try:
            body = {"name": fields.get("name", "").strip()}
            await self._pipeline.run("organizations.create", approvals.read_as(body), call)
        except OpError as error:
            return await self._account(request, visitor, error.status, error=error.detail)
        return go_to(HOME)


def next_of(text: str | None) -> str:
    """Where to go on to."""
    return forms.local_path(text, HOME)
