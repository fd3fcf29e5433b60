"""Who has a share link and its password: found, counted and let in, for every door there is.

A link is asked for in the database each time, so that one that is revoked opens nothing any more.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from weakref import WeakValueDictionary

import anyio

from db.queries import queries
from ops_gateway.kernel import passwords
from ops_gateway.kernel.context import Principal
from ops_gateway.kernel.errors import Forbidden, Gone, NotFound, RateLimited
from ops_gateway.kernel.pipeline import Pipeline
from tiler.tokens import expiry

sql = queries(__file__)

MOST_TRIES = 10
TRY_SECONDS = 15 * 60
MAX_PASSWORD = 1024
MAX_TOKEN = 200
ALL, TILES = "st_", "sx_"
"""What a key in an address begins with: one that opens all of the link, or its tiles alone."""
REMEMBERED = 10_000

# right passwords of links, as digests under a key of this process: argon2 is for guesses
_SECRET = secrets.token_bytes(32)
_known: OrderedDict[bytes, None] = OrderedDict()
_turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


@dataclass(frozen=True)
class Link:
    """A live share link and the token that led to it.

    Attributes:
        key_ends: of one that was opened by a key, when that ends; addresses go on until then.
        tiles_only: of one that was opened by a key of tiles.
    """

    token: str
    id: str
    organization_id: str
    slot: str | None
    project_id: str
    target_type: str
    target_id: str
    permission: str
    password_hash: str
    expires_at: datetime
    locked_seconds: int | None
    key_ends: int | None = None
    tiles_only: bool = False

    @property
    def principal(self) -> Principal:
        """Who reads by it: a viewer of the project. What of it is shared the queries say."""
        return Principal(
            kind="share",
            id=self.id,
            organization_id=self.organization_id,
            scopes=frozenset(["items:read"]),
            projects={self.project_id: "viewer"},
            slot=self.slot,
        )

    @property
    def expired(self) -> bool:
        """Whether its time is over."""
        return self.expires_at <= datetime.now(UTC)


def digest(token: str) -> bytes:
    """What is kept of a token: a fast hash is right for a 256-bit random one."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


async def find(pipeline: Pipeline, token: str) -> Link:
    """The link of a token. Raises NotFound: there is none, or it is revoked."""
    if len(token) > MAX_TOKEN:
        raise NotFound.of("share link")
    row = await _row(pipeline, sql.find, sha256=digest(token), most=MOST_TRIES, seconds=TRY_SECONDS)
    if row is None:
        raise NotFound.of("share link")
    return Link(token, **row)


async def redeem(pipeline: Pipeline, token: str, password: str, *, counts: bool) -> Link:
    """The link, for who knows its password.

    A try is written down before the password is looked at and taken back where it was right, so
    that guesses in parallel, and in several processes, are no more than `MOST_TRIES`.

    Args:
        counts: this is an access, and not one of many that follow from one.

    Raises:
        NotFound: there is no such link, or it is revoked.
        RateLimited: too many wrong passwords; also for the right one.
        Forbidden: the password is wrong, or there is none.
        Gone: it is right, and the link has expired.
    """
    link = await find(pipeline, token)
    if link.locked_seconds is not None:
        raise locked(link.locked_seconds)
    # none is no guess: programs ask so before they know that they need one
    if not password:
        raise Forbidden("a password is needed: as X-Share-Password, or of HTTP Basic")
    tried: datetime | None = None
    proof = _proof(link, password)
    if proof not in _known:
        # one at a time, so that many viewers at once do not use up the tries
        async with _turns.setdefault(link.id, asyncio.Lock()):
            if proof not in _known:
                tried = await _try(pipeline, link)
                if not await _is_password(pipeline, link, password, tried):
                    raise Forbidden("the password is wrong")
                _remember(proof)
    if tried is not None or (counts and not link.expired):
        await _row(
            pipeline, sql.opened, id=link.id, tried=tried, counts=counts and not link.expired
        )
    if link.expired:
        raise expired(link)
    return link


async def _is_password(pipeline: Pipeline, link: Link, password: str, tried: datetime) -> bool:
    """Whether it is the link's; where nobody could look at it, it was no try. Raises Busy."""
    if len(password) > MAX_PASSWORD:
        return False
    try:
        return await passwords.is_password(link.password_hash, password)
    except BaseException:
        with anyio.CancelScope(shield=True):
            await _row(pipeline, sql.opened, id=link.id, tried=tried, counts=False)
        raise


async def _try(pipeline: Pipeline, link: Link) -> datetime:
    row = await _row(pipeline, sql.tried, id=link.id, most=MOST_TRIES, seconds=TRY_SECONDS)
    if row is None or row["tried"] is None:
        raise locked((await find(pipeline, link.token)).locked_seconds or 1)
    return row["tried"]


def locked(seconds: int) -> RateLimited:
    """The refusal after too many wrong passwords."""
    return RateLimited(
        f"{MOST_TRIES} wrong passwords for this link; try again in {seconds} s",
        headers={"Retry-After": str(max(1, seconds))},
    )


def expired(link: Link) -> Gone:
    """The refusal of a link that is past its time."""
    return Gone(f"the share link expired on {link.expires_at:%Y-%m-%d %H:%M} UTC; ask for another")


def key_of(link: Link, secret: bytes, kind: str = ALL) -> str:
    """A key for addresses without a password: for an hour at most, and no longer than the key that
    the link was opened by, which would never end otherwise.

    Args:
        kind: `TILES` for addresses that are handed on to maps.
    """
    ends = link.key_ends or min(expiry(time.time()), int(link.expires_at.timestamp()))
    kind = TILES if link.tiles_only else kind
    return f"{kind}{ends}_{_mac(link, kind, ends, secret)}"


async def open_by_key(pipeline: Pipeline, token: str, key: str) -> Link:
    """The link, for who has a key made for it.

    Raises: NotFound, Gone, and Forbidden: the key is another link's, altered or too old.
    """
    link = await find(pipeline, token)
    if link.expired:
        raise expired(link)
    kind = key[: len(ALL)]
    ends, _, mac = key[len(ALL) :].partition("_")
    sound = kind in (ALL, TILES) and ends.isascii() and ends.isdigit() and len(ends) < 12
    known = _mac(link, kind, int(ends) if sound else 0, pipeline.services.keys.share)
    if not (hmac.compare_digest(mac.encode("utf-8", "replace"), known.encode()) and sound):
        raise Forbidden("the key in this address is not valid")
    if int(ends) <= time.time():
        raise Forbidden("the key in this address has expired; open the link by its password again")
    return replace(link, key_ends=int(ends), tiles_only=kind == TILES)


def _mac(link: Link, kind: str, ends: int, secret: bytes) -> str:
    text = f"share key 2 {kind} {link.id} {ends}".encode("utf-8", "replace")
    return hmac.new(secret, text, hashlib.sha256).hexdigest()


def _proof(link: Link, password: str) -> bytes:
    text = f"{link.id} {link.password_hash} {password}".encode("utf-8", "surrogatepass")
    return hmac.new(_SECRET, text, hashlib.sha256).digest()


def _remember(proof: bytes) -> None:
    _known[proof] = None
    while len(_known) > REMEMBERED:
        _known.popitem(last=False)


async def _row(pipeline: Pipeline, query: Any, **params: Any) -> dict[str, Any] | None:
    """In a transaction of its own: a try counts whatever becomes of the request."""
    async with pipeline.pool.connection() as connection:
        return await (await connection.execute(query, params)).fetchone()
