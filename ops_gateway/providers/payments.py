"""Card payments through Stripe's own library, at Stripe or at whatever speaks its API.

The library is imported with the first adapter: a platform without a key never loads it.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import urlsplit

from ops_gateway.kernel.cards import (
    Card,
    CardRefused,
    CardsUnreachable,
    Charge,
    Charged,
    SetupIntent,
    SignatureRefused,
    Standing,
)

if TYPE_CHECKING:
    import stripe

logger = logging.getLogger(__name__)

T = TypeVar("T")

STRIPE = "api.stripe.com"
CURRENCY = "aud"
VERSION = "2024-06-20"  # of the API that the parameters and answers below are of
TIMEOUT_SECONDS = 15.0
RETRIES = 1  # of the library: only where no answer came, with the same idempotency key
REPLAY_SECONDS = 300  # how old a signed message may be
LISTED = 100  # charges of a customer that are looked through at a time
PAGES = 20
_INTENT = re.compile(r"pi_[A-Za-z0-9_]{1,100}")

STANDINGS: dict[str, Standing] = {
    "succeeded": "succeeded",
    "requires_action": "requires_action",
    "processing": "processing",
    "requires_capture": "processing",
    "requires_confirmation": "processing",
    "requires_payment_method": "declined",
    "canceled": "canceled",
}
WANTED = "authentication_required"
# a dispute takes the money away while it is open and when it is lost; an inquiry does not
TAKEN_BY_DISPUTE = {"needs_response", "under_review", "lost"}


class StripeCards:
    """The adapter."""

    def __init__(self, key: str, *, webhook_secret: str | None, api_base: str | None) -> None:
        """A client of one account.

        Args:
            key: the secret key; never logged, never in an error.
            webhook_secret: what Stripe signs its messages with; without it none is believed.
            api_base: another endpoint that speaks the API; None is Stripe's own.
        """
        import stripe

        # its debug records hold whole answers, with client secrets in them
        logging.getLogger("stripe").setLevel(logging.WARNING)
        self._stripe = stripe
        self._http = stripe.HTTPXClient(timeout=TIMEOUT_SECONDS)
        self._client = stripe.StripeClient(
            key,
            stripe_version=VERSION,
            base_addresses={"api": api_base.rstrip("/")} if api_base else {},
            http_client=self._http,
            max_network_retries=RETRIES,
        )
        self._api = self._client.v1
        self._webhook_secret = webhook_secret
        if api_base and urlsplit(api_base).hostname != STRIPE:
            self._env = "demo"
        else:
            self._env = "test" if key.startswith(("sk_test_", "rk_test_")) else "live"

    @property
    def env(self) -> str:
        """`live`, `test` or `demo`."""
        return self._env

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close_async()

    async def create_customer(self, organization_id: str) -> str:
        """A customer named after the organization; the same again within a day."""
        made = await self._ask(
            self._api.customers.create_async(
                {"metadata": {"organization_id": organization_id}},
                {"idempotency_key": name(f"customer:{organization_id}")},
            )
        )
        return made["id"]

    async def begin_setup(self, customer_id: str) -> SetupIntent:
        """A SetupIntent for charges without the holder."""
        made = await self._ask(
            self._api.setup_intents.create_async(
                _params(customer=customer_id, usage="off_session", payment_method_types=["card"])
            )
        )
        return SetupIntent(made["id"], made["client_secret"])

    async def attach(self, customer_id: str, card_id: str) -> Card:
        """Keep a PaymentMethod of type card. One of another customer counts as missing."""
        found = await self._ask(self._api.payment_methods.retrieve_async(card_id))
        owner = found.get("customer")
        if found.get("type") != "card" or owner not in (None, customer_id):
            raise CardRefused("there is no such card", missing=True)
        if owner is None:
            # a test card's name stands for a new card each time, so go on with the id it was given
            found = await self._ask(
                self._api.payment_methods.attach_async(found["id"], {"customer": customer_id})
            )
        card = found["card"]
        return Card(
            found["id"], card.get("brand"), card.get("last4"), card.get("exp_month"),
            card.get("exp_year"),
        )  # fmt: skip

    async def detach(self, card_id: str) -> None:
        """Forget a PaymentMethod; one that is gone already is no error."""
        try:
            await self._ask(self._api.payment_methods.detach_async(card_id))
        except CardRefused as refusal:
            if refusal.missing:
                return
            found = await self._ask(self._api.payment_methods.retrieve_async(card_id))
            if found.get("customer") is not None:
                raise

    async def charge(self, charge: Charge) -> Charged:
        """A PaymentIntent, confirmed without the holder; one for each payment of ours.

        The key makes Stripe answer a repetition with the first result for a day. Beyond that, and
        beside an endpoint that keeps no keys, a repetition looks for the first one itself.
        """
        if charge.again and (found := await self.find(charge)) is not None:
            if found.standing in ("declined", "canceled"):
                raise CardRefused(found.message or "the card was declined", code=found.code)
            return found
        request = self._api.payment_intents.create_async(
            _params(
                amount=charge.credits,
                currency=CURRENCY,
                customer=charge.customer_id,
                payment_method=charge.card_id,
                payment_method_types=["card"],
                confirm=True,
                off_session=True,
                metadata={
                    "organization_id": charge.organization_id,
                    "payment_id": charge.payment_id,
                },
            ),
            {"idempotency_key": name(f"charge:{charge.payment_id}")},
        )
        try:
            made = await self._ask(request)
        except _AuthenticationWanted as wanted:
            made = wanted.intent
        charged = self._charged(made)
        if charged.standing in ("declined", "canceled"):
            raise CardRefused(charged.message or "the card was declined", code=charged.code)
        return charged

    async def find(self, charge: Charge) -> Charged | None:
        """The customer's PaymentIntent that was made for the payment."""
        params = _params(customer=charge.customer_id, limit=LISTED)
        if charge.since is not None:
            params["created"] = {"gte": int(charge.since.timestamp()) - 600}
        for _ in range(PAGES):
            page = await self._ask(self._api.payment_intents.list_async(params))
            for intent in page["data"]:
                if (intent.get("metadata") or {}).get("payment_id") == charge.payment_id:
                    return await self.look(intent["id"])
            if not page.get("has_more") or not page["data"]:
                return None
            params["starting_after"] = page["data"][-1]["id"]
        raise CardsUnreachable("too many charges to look through")

    async def look(self, provider_id: str) -> Charged:
        """A PaymentIntent with what was taken back from its charge."""
        found = await self._ask(
            self._api.payment_intents.retrieve_async(provider_id, {"expand": ["latest_charge"]})
        )
        charged = self._charged(found)
        charge = found.get("latest_charge") or {}
        if charged.standing != "succeeded" or not isinstance(charge, dict):
            return charged
        returned = int(charge.get("amount_refunded") or 0)
        if charge.get("disputed"):
            returned += await self._disputed(provider_id)
        return replace(charged, returned=min(returned, charged.received))

    async def _disputed(self, provider_id: str) -> int:
        page = await self._ask(
            self._api.disputes.list_async({"payment_intent": provider_id, "limit": LISTED})
        )
        return sum(d["amount"] for d in page["data"] if d["status"] in TAKEN_BY_DISPUTE)

    async def cancel(self, provider_id: str) -> None:
        """Cancel a PaymentIntent."""
        await self._ask(self._api.payment_intents.cancel_async(provider_id))

    async def invoices(self, customer_id: str, limit: int) -> Sequence[Mapping[str, Any]]:
        """Stripe's invoices of the customer."""
        page = await self._ask(
            self._api.invoices.list_async({"customer": customer_id, "limit": limit})
        )
        return page["data"]

    def read_event(self, body: bytes, signature: str | None) -> str | None:
        """The PaymentIntent that a signed event is about."""
        if self._webhook_secret is None:
            raise SignatureRefused("no webhook secret is set")
        try:
            event = self._stripe.Webhook.construct_event(
                body, signature, self._webhook_secret, tolerance=REPLAY_SECONDS
            ).to_dict()
            about = event["data"]["object"]
            found = about["id"] if about.get("object") == "payment_intent" else None
            found = found or about.get("payment_intent")
        except self._stripe.SignatureVerificationError:
            raise SignatureRefused("the signature does not hold, or is too old") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise SignatureRefused("this is no event") from None
        found = found.get("id") if isinstance(found, dict) else found
        return found if isinstance(found, str) and _INTENT.fullmatch(found) else None

    def _charged(self, intent: Mapping[str, Any]) -> Charged:
        standing = STANDINGS.get(intent["status"], "processing")
        error = intent.get("last_payment_error") or {}
        if standing == "declined" and error.get("code") == WANTED:
            # Stripe's own endpoint refuses a charge without the holder that wants 3-D Secure; the
            # holder can confirm the same intent
            standing = "requires_action"
        paid = intent.get("amount_received") or intent["amount"]
        return Charged(
            provider_id=intent["id"],
            standing=standing,
            received=paid if standing == "succeeded" else 0,
            currency=intent.get("currency") or CURRENCY,
            client_secret=intent.get("client_secret") if standing == "requires_action" else None,
            code=error.get("decline_code") or error.get("code"),
            message=error.get("message"),
            metadata={k: str(v) for k, v in (intent.get("metadata") or {}).items()},
        )

    async def _ask(self, request: Awaitable[stripe.StripeObject]) -> dict[str, Any]:
        """The answer as plain values; what the provider says against it as one of ours."""
        errors = self._stripe
        try:
            return (await request).to_dict()
        except errors.CardError as error:
            body: Any = error.json_body or {}
            intent = body.get("error", {}).get("payment_intent") if isinstance(body, dict) else None
            if error.code == WANTED and isinstance(intent, dict):
                raise _AuthenticationWanted(cast("dict[str, Any]", intent)) from None
            code = getattr(error, "decline_code", None) or error.code
            raise CardRefused(error.user_message or "the card was declined", code=code) from None
        except errors.IdempotencyError as error:
            raise CardsUnreachable("the first attempt is still under way") from error
        except errors.RateLimitError as error:
            raise CardsUnreachable("the card provider is busy") from error
        except (errors.AuthenticationError, errors.PermissionError) as error:
            # for the operator; the library's message shows the end of the key, so it is left out
            logger.error("the card provider refuses the configured key")
            raise CardsUnreachable("the card provider refuses this platform's key") from error
        except errors.InvalidRequestError as error:
            if error.http_status in (409, 429):
                raise CardsUnreachable("the first attempt is still under way") from error
            raise CardRefused(
                error.user_message or "the card provider refuses this",
                code=error.code,
                missing=error.http_status == 404 or error.code == "resource_missing",
            ) from None
        except errors.StripeError as error:
            logger.warning("the card provider failed: %s", type(error).__name__)
            raise CardsUnreachable("the card provider does not answer") from error


class _AuthenticationWanted(Exception):
    """The charge wants 3-D Secure; the refusal holds the intent."""

    def __init__(self, intent: dict[str, Any]) -> None:
        super().__init__("authentication_required")
        self.intent = intent


def _params(**given: Any) -> Any:
    """Parameters of the API's version that is asked for; the library's types are of the newest."""
    return given


def name(what: str) -> str:
    """An idempotency key at the provider: short, and it tells nobody anything."""
    return "opstac-" + hashlib.sha256(what.encode()).hexdigest()[:40]
