"""The outside parties a handler may reach, built once by `opstac.compose` and handed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from db.pool import Connection
from ops_gateway.kernel.cards import Cards
from ops_gateway.kernel.secrets import Keys

if TYPE_CHECKING:
    from db.objects import Objects
    from stac_api.search import Searcher


class Compute(Protocol):
    """Runs a blocking raster function in the bounded pool of compute threads."""

    async def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """The function's result; raises Unavailable where the queue is full."""
        ...


class ChildRefused(Exception):
    """A bounded child refused or failed; `passing` where another try may help."""

    def __init__(self, code: str, message: str, *, passing: bool = False) -> None:
        """`code` is a word for machines, `message` says what was wrong with the input."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.passing = passing


class Child(Protocol):
    """Runs a named raster function in a bounded child process."""

    async def __call__(self, function: str, /, **kwargs: Any) -> Any:
        """The function's result; raises ChildRefused."""
        ...


class OpenedFile(Protocol):
    """A file of another host, opened."""

    @property
    def path(self) -> str:
        """What GDAL opens it by."""
        ...

    @property
    def version(self) -> str:
        """Changes with its bytes."""
        ...


class Remote(Protocol):
    """Opens rasters of the hosts that the operator allows."""

    def covers(self, url: str) -> bool:
        """Whether the URL's host is one of them."""
        ...

    async def open(self, url: str) -> OpenedFile:
        """The file at `url`; raises Forbidden, Invalid, Unavailable."""
        ...


class Sent(Protocol):
    """What became of a message."""

    @property
    def delivered(self) -> bool:
        """Whether the receiver took it."""
        ...

    @property
    def status(self) -> int | None:
        """The HTTP status, where there was an answer."""
        ...

    @property
    def error(self) -> str | None:
        """Why it was not taken, for the receiver's owner."""
        ...


class Receivers(Protocol):
    """Judges addresses that a customer wants messages sent to, and sends one."""

    async def check_endpoint(self, url: str) -> object:
        """Raises ValueError, whose text is for the customer, where nothing would be sent."""
        ...

    async def send(
        self,
        url: str,
        body: bytes,
        *,
        event_type: str,
        event_id: str,
        delivery_id: str,
        secrets: Sequence[str],
        headers: Mapping[str, str] | None = None,
    ) -> Sent:
        """Send a signed event once; never raises for what the receiver or the network does."""
        ...


@dataclass(frozen=True)
class Limits:
    """Rate limits, calls a minute; of `reads` and `public_reads` 0 is none."""

    organization: int = 600
    placement: int = 60
    spend: int = 30
    public: int = 60
    reads: int = 0
    public_reads: int = 6000


@dataclass(frozen=True)
class Options:
    """What operations need to know of the settings."""

    signup_credits: int = 1000
    storage_quota_bytes: int = 1 << 40
    upload_max_bytes: int = 10 << 30
    convert_inline_bytes: int = 256 << 20
    job_timeout_seconds: int = 3600
    invoice_seller: str = "opstac"
    # whether mail can be sent at all
    mail: bool = False
    # what links in mails begin with: never the host that a request names
    public_url: str | None = None
    limits: Limits = field(default_factory=Limits)

    @property
    def mails_links(self) -> bool:
        """Whether a mail can lead back here."""
        return self.mail and bool(self.public_url)


@dataclass(frozen=True)
class Services:
    """What `ctx.services` holds."""

    objects: Objects
    keys: Keys
    compute: Compute
    child: Child
    # defers one wake-up of the job queue on the caller's own connection; the queue row's id
    wake: Callable[[Connection], Awaitable[int | None]]
    # defers a reaction by name to a subject's id on the caller's own connection
    defer: Callable[[Connection, str, str], Awaitable[int | None]]
    options: Options = field(default_factory=Options)
    # answers searches; None in a process that has no connection for them
    searcher: Searcher | None = None
    # None where no file of another host is opened
    remote: Remote | None = None
    # None in a process that takes no addresses for messages
    receivers: Receivers | None = None
    # charges cards; None where the operator has set no provider up
    cards: Cards | None = None
    # attempts at most so many due deliveries now; how many ended in which state
    drain: Callable[[int], Awaitable[Mapping[str, int]]] | None = None
    # counts a tile served from an organization's data, for the bill
    count_tile: Callable[[str], None] = lambda organization: None
    # counts a file of an organization that somebody without a credential was led to
    count_file: Callable[[str], None] = lambda organization: None
    # counts bytes of an organization's files that were sent
    count_egress: Callable[[str, int], None] = lambda organization, size: None
