"""The pages of links that are mailed. No JavaScript.

/sign-up/{token}                             a new account, whose address is confirmed by that
/lost-password  /reset-password/{token}      a new password
/confirm-address/{token}  /account/confirm   whose the address of an account is that was made
                                             where no mails were sent

A link is for one use and ends by its time; of its token a hash is kept. Opening it does nothing,
as what looks through mails opens links too: the form on its page does.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ops_gateway.domains.mails import send_mail
from ops_gateway.identity import passwords
from ops_gateway.identity.later import Later
from ops_gateway.identity.store import Row, Store
from ops_gateway.kernel.context import Context, Principal
from ops_gateway.kernel.errors import RateLimited
from ops_gateway.kernel.passwords import Busy, hash_password
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.surfaces.browser import Browser, Visitor, go_to, sign_in_first
from ops_gateway.surfaces.limits import RateLimiter, client_address

ACCOUNTS = Principal(kind="service", id="accounts")
RESET_SECONDS = 3600
CONFIRM_SECONDS = 24 * 3600
MAILS = 3  # of one kind to one address in an hour
HOUR = 3600
MAKE = "Make your account"
NO_MAIL = "This platform sends no mail. Ask its operator, who can give you a new password."
SENT = (
    "If there is an account with this address, a mail is on its way to it. Its link holds for an "
    "hour."
)
NO_MORE = "No more mails for now; try again in an hour."
STALE = "This link was used already or has expired. Ask for a new one."
BUSY = "Many people are here just now; try again in a few seconds."

RESET_TEXT = """Somebody, probably you, asked for a new password for the account {email} at {site}.
This address opens the page where you choose it, once and within an hour:

{site}/reset-password/{token}

If it was not you, nothing has changed and there is nothing to do.
"""
SIGN_UP_TEXT = """Somebody, probably you, wants to make an account with the address {email} at
{site}. This address opens the page where you choose its password, once and within a day:

{site}/sign-up/{token}

If it was not you, leave this mail alone.
"""
CONFIRM_TEXT = """Somebody, probably you, has an account with the address {email} at {site}.
Confirm within a day that the address is yours:

{site}/confirm-address/{token}

If it was not you, do not confirm it: they would keep the account and its password. This page
mails you a link to a password of your own:

{site}/lost-password
"""
TAKEN_TEXT = """Somebody, probably you, wanted to make an account with the address {email} at
{site}, and there is one already. Sign in with it:

{site}/sign-in

If you have lost its password, this page mails you a link to a new one:

{site}/lost-password

If it was not you, nothing has changed and there is nothing to do.
"""


class Mailed:
    """The pages, and the mails that lead to them."""

    def __init__(
        self,
        browser: Browser,
        pipeline: Pipeline,
        limiter: RateLimiter,
        later: Later,
        *,
        public_url: str | None,
    ) -> None:
        """`public_url`: links begin with it, never with what a request says of its host; without
        it no mail is sent.
        """
        self._browser = browser
        self._store: Store = browser.store
        self._pipeline = pipeline
        self._limiter = limiter
        self._site = (public_url or "").rstrip("/")
        self._later = later

    @property
    def sends(self) -> bool:
        """Whether mails with links can be sent."""
        return bool(self._site) and self._pipeline.services.options.mail

    def routes(self) -> list[BaseRoute]:
        """The pages."""
        form = self._browser.form
        return [
            Route("/sign-up/{token}", self.make, methods=["GET"]),
            Route("/sign-up/{token}", form(self.made), methods=["POST"]),
            Route("/lost-password", self.lost, methods=["GET"]),
            Route("/lost-password", form(self.asked), methods=["POST"]),
            Route("/reset-password/{token}", self.reset, methods=["GET"]),
            Route("/reset-password/{token}", form(self.was_reset), methods=["POST"]),
            Route("/confirm-address/{token}", self.confirm, methods=["GET"]),
            Route("/confirm-address/{token}", form(self.confirmed), methods=["POST"]),
            Route("/account/confirm", form(self.ask_again), methods=["POST"]),
        ]

    # ---------------------------------------------------------------- mails

    async def send_confirmation(self, user_id: str, email: str) -> bool:
        """Ask whoever reads the address whether it is theirs; false after three in an hour."""
        if not self.sends or await self._store.failed("confirm mail", email, HOUR) > MAILS:
            return False
        token = await self._store.add_mail_token("confirm", user_id, email, CONFIRM_SECONDS)
        text = CONFIRM_TEXT.format(email=email, site=self._site, token=token)
        await self._send("accounts.confirm", email, "Confirm your address", text)
        return True

    def sign_up(self, email: str, name: str | None) -> bool:
        """Mail a link by which an account is made, or that the address has one, when the answer is
        sent: nobody else learns which. False where too many wait for that.

        No password goes with it: of several who typed an address, the one who reads its mails
        chooses, whichever of the links they open.
        """
        return self._later.begin(self._sign_up(email, name))

    async def _sign_up(self, email: str, name: str | None) -> None:
        if await self._store.failed("confirm mail", email, HOUR) > MAILS:
            return
        account = await self._store.account(email)
        if account is not None and account["disabled"]:
            return
        if account is not None and account["verified"]:
            text = TAKEN_TEXT.format(email=email, site=self._site)
            await self._send("accounts.taken", email, "You have an account already", text)
            return
        token = await self._store.add_sign_up(email, name, CONFIRM_SECONDS)
        text = SIGN_UP_TEXT.format(email=email, site=self._site, token=token)
        await self._send("accounts.sign_up", email, MAKE, text)

    async def _send_reset(self, email: str) -> None:
        """A link to a new password, where the account is there."""
        if await self._store.failed("reset mail", email, HOUR) > MAILS:
            return
        account = await self._store.account(email)
        if account is None or account["disabled"] or account["email"] is None:
            return
        token = await self._store.add_mail_token(
            "reset", account["id"], account["email"], RESET_SECONDS
        )
        text = RESET_TEXT.format(email=account["email"], site=self._site, token=token)
        await self._send("accounts.lost_password", account["email"], "A new password", text)

    async def _send(self, name: str, to: str, subject: str, text: str) -> None:
        async def work(ctx: Context) -> None:
            await send_mail(ctx, to, subject, text, secret=True)

        await self._pipeline.act(name, ACCOUNTS, work)

    # ---------------------------------------------------------------- a lost password

    async def lost(self, request: Request) -> Response:
        """The form."""
        return self._lost(request, await self._browser.visitor(request))

    def _lost(
        self, request: Request, visitor: Visitor, status: int = 200, **values: str
    ) -> Response:
        if not self.sends:
            values = {"error": NO_MAIL}
        return self._browser.page(
            request,
            visitor,
            "lost_password.html",
            "Lost password",
            status=status,
            sends=self.sends,
            **values,
        )

    async def asked(self, request: Request, visitor: Visitor, fields: dict[str, str]) -> Response:
        """The same answer for every address, and before anybody looks whose it is."""
        try:
            self._limiter.count_public(client_address(request.scope))
        except RateLimited as error:
            return self._lost(request, visitor, 429, error=str(error))
        if not self.sends:
            return self._lost(request, visitor)
        email = fields.get("email", "").strip().casefold()[:320]
        if not self._later.begin(self._send_reset(email)):
            return self._lost(request, visitor, 503, error=BUSY)
        return self._lost(request, visitor, notice=SENT)

    async def reset(self, request: Request) -> Response:
        """The form for a new password, while the link holds."""
        return await self._reset(request, await self._browser.visitor(request))

    async def _reset(
        self, request: Request, visitor: Visitor, status: int = 200, **values: str
    ) -> Response:
        row = await self._found(request, "reset")
        if row is None:
            return self._stale(request, visitor, "A new password")
        return self._browser.page(
            request,
            visitor,
            "reset_password.html",
            "A new password",
            status=status,
            email=row["email"],
            path=request.url.path,
            **values,
        )

    async def was_reset(
        self, request: Request, visitor: Visitor, fields: dict[str, str]
    ) -> Response:
        """Set it, which ends every sign-in; nobody is signed in by it."""
        row = await self._found(request, "reset")
        if row is None:
            return self._stale(request, visitor, "A new password")
        password = fields.get("password", "")
        if (wrong := passwords.fault(password, email=row["email"])) is not None:
            words = wrong[0].upper() + wrong[1:] + "."
            return await self._reset(request, visitor, 422, error=words)
        try:
            hashed = await hash_password(password)
        except Busy:
            return await self._reset(request, visitor, 503, error=BUSY)
        if not await self._store.reset_password(request.path_params["token"], hashed):
            return self._stale(request, visitor, "A new password")
        return self._browser.page(
            request,
            visitor,
            "message.html",
            "A new password",
            notice="The password is the new one, and you are signed out everywhere.",
            link="/sign-in",
            link_text="Sign in",
        )

    # ---------------------------------------------------------------- a new account

    async def make(self, request: Request) -> Response:
        """The form for name and password, while the link holds."""
        row = await self._signing_up(request)
        name = (row["name"] or "") if row is not None else ""
        return self._make(request, await self._browser.visitor(request), row, name=name)

    def _make(
        self,
        request: Request,
        visitor: Visitor,
        row: Row | None,
        status: int = 200,
        **values: str,
    ) -> Response:
        if row is None:
            return self._stale(request, visitor, MAKE)
        return self._browser.page(
            request,
            visitor,
            "make_account.html",
            MAKE,
            status=status,
            email=row["email"],
            path=request.url.path,
            **values,
        )

    async def made(self, request: Request, visitor: Visitor, fields: dict[str, str]) -> Response:
        """Make it, with an address that is confirmed by that; nobody is signed in by it."""
        row = await self._signing_up(request)
        if row is None:
            return self._stale(request, visitor, MAKE)
        name, password = fields.get("name", "").strip()[:200], fields.get("password", "")
        if (wrong := passwords.fault(password, email=row["email"])) is not None:
            words = wrong[0].upper() + wrong[1:] + "."
            return self._make(request, visitor, row, 422, name=name, error=words)
        try:
            hashed = await hash_password(password)
        except Busy:
            return self._make(request, visitor, row, 503, name=name, error=BUSY)
        if not await self._store.make_account(request.path_params["token"], name or None, hashed):
            return self._stale(request, visitor, MAKE)
        return self._browser.page(
            request,
            visitor,
            "message.html",
            MAKE,
            notice="Thank you: the account is made.",
            link="/sign-in",
            link_text="Sign in",
        )

    async def _signing_up(self, request: Request) -> Row | None:
        token = request.path_params["token"]
        return await self._store.sign_up(token) if len(token) <= 100 else None

    # ---------------------------------------------------------------- whose an address is

    async def confirm(self, request: Request) -> Response:
        """The button, while the link holds."""
        visitor = await self._browser.visitor(request)
        row = await self._found(request, "confirm")
        if row is None:
            return self._stale(request, visitor, "Confirm your address")
        return self._browser.page(
            request,
            visitor,
            "confirm_address.html",
            "Confirm your address",
            email=row["email"],
            path=request.url.path,
        )

    async def confirmed(
        self, request: Request, visitor: Visitor, fields: dict[str, str]
    ) -> Response:
        """Whoever reads the mails has said so."""
        if not await self._store.confirm_address(request.path_params["token"]):
            return self._stale(request, visitor, "Confirm your address")
        return self._browser.page(
            request,
            visitor,
            "message.html",
            "Confirm your address",
            notice="Thank you: the address is confirmed.",
            link="/account",
            link_text="Your account",
        )

    async def ask_again(
        self, request: Request, visitor: Visitor, fields: dict[str, str]
    ) -> Response:
        """Another mail, for who is signed in."""
        if visitor.person is None:
            return sign_in_first(request)
        if visitor.person["verified"]:
            return go_to("/account")
        sent = await self.send_confirmation(visitor.person["user_id"], visitor.person["email"])
        if sent:
            words = {"notice": f"A mail is on its way to {visitor.person['email']}."}
        else:
            words = {"error": NO_MORE if self.sends else NO_MAIL}
        return self._browser.page(
            request,
            visitor,
            "message.html",
            "Confirm your address",
            status=200 if sent else 429,
            link="/account",
            link_text="Your account",
            **words,
        )

    async def _found(self, request: Request, kind: str) -> Row | None:
        token = request.path_params["token"]
        return await self._store.mail_token(kind, token) if len(token) <= 100 else None

    def _stale(self, request: Request, visitor: Visitor, title: str) -> Response:
        return self._browser.page(request, visitor, "message.html", title, status=410, error=STALE)
