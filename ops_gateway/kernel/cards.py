"""What the platform asks of a card provider. The adapter is `ops_gateway/providers/payments.py`.

Amounts are credits. One credit is one cent of an Australian dollar, so a credit is also the minor
unit that a provider counts in, and nothing is ever rounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

CREDITS_PER_AUD = 100
LEAST_CREDITS = 50  # the provider takes no card payment under A$0.50
MOST_CREDITS = 99_999_999  # nor one of more than eight digits

Standing = Literal["succeeded", "requires_action", "processing", "declined", "canceled"]


@dataclass(frozen=True)
class Card:
    """A card that the provider keeps."""

    provider_id: str
    brand: str | None = None
    last4: str | None = None
    exp_month: int | None = None
    exp_year: int | None = None


@dataclass(frozen=True)
class SetupIntent:
    """The beginning of saving a card; the client confirms it with `client_secret`."""

    provider_id: str
    client_secret: str


@dataclass(frozen=True)
class Charge:
    """What is to be charged.

    Attributes:
        payment_id: ours; the provider is asked once for each, however often we ask.
        again: an earlier attempt may have reached the provider, so look before charging.
        since: when the payment was made, for that look.
    """

    organization_id: str
    payment_id: str
    credits: int
    customer_id: str
    card_id: str
    again: bool = False
    since: datetime | None = None


@dataclass(frozen=True)
class Charged:
    """How a charge stands at the provider.

    Attributes:
        standing: `declined` also means that it was never confirmed; no money moved.
        received: credits paid, once succeeded.
        returned: credits that refunds and disputes have taken back until now.
        client_secret: what the client needs for 3-D Secure, where that is wanted.
        metadata: the organization and payment that the charge was made for.
    """

    provider_id: str
    standing: Standing
    received: int = 0
    currency: str = "aud"
    returned: int = 0
    client_secret: str | None = None
    code: str | None = None
    message: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


class CardRefused(Exception):
    """The provider said no, for certain: nothing was charged and nothing kept."""

    def __init__(self, message: str, *, code: str | None = None, missing: bool = False) -> None:
        """`message` is for the card's holder; `missing`: there is no such card or charge."""
        super().__init__(message)
        self.message = message
        self.code = code
        self.missing = missing


class CardsUnreachable(Exception):
    """The provider gave no answer that settles anything; it may have acted or not."""


class SignatureRefused(Exception):
    """A message says it is the provider's and is not, or is too old."""


class Cards(Protocol):
    """A card provider. Every call raises CardRefused or CardsUnreachable."""

    @property
    def env(self) -> str:
        """`live`, `test`, or `demo` where the endpoint is not the provider's own."""
        ...

    async def create_customer(self, organization_id: str) -> str:
        """A customer for the organization; its id."""
        ...

    async def begin_setup(self, customer_id: str) -> SetupIntent:
        """Begin to save a card for charges without the holder."""
        ...

    async def attach(self, customer_id: str, card_id: str) -> Card:
        """Keep a card for the customer; safe to repeat."""
        ...

    async def detach(self, card_id: str) -> None:
        """Forget a card; safe to repeat."""
        ...

    async def charge(self, charge: Charge) -> Charged:
        """Charge a card once for `payment_id`; raises CardRefused where it was declined."""
        ...

    async def find(self, charge: Charge) -> Charged | None:
        """How the charge for `payment_id` stands, or None where there never was one."""
        ...

    async def look(self, provider_id: str) -> Charged:
        """How a charge stands."""
        ...

    async def cancel(self, provider_id: str) -> None:
        """Give up a charge that has not succeeded; CardRefused where it cannot be."""
        ...

    async def invoices(self, customer_id: str, limit: int) -> Sequence[Mapping[str, Any]]:
        """The provider's own invoices, newest first."""
        ...

    def read_event(self, body: bytes, signature: str | None) -> str | None:
        """The charge that a signed message is about; None where it is about none.

        Raises SignatureRefused.
        """
        ...
