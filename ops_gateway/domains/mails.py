"""Mails to people, queued in the transaction of what they tell of and sent by a worker."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from db.queries import queries
from ops_gateway.kernel.context import Context
from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.secrets import Keys
from ops_gateway.providers.mail import is_address, one_line, plain_text

logger = logging.getLogger(__name__)
sql = queries(__file__)

SEALED = "\x7fsealed:"  # no plain text holds this control character


async def send_mail(
    ctx: Context,
    to: str,
    subject: str,
    text: str,
    dedupe_key: str | None = None,
    *,
    secret: bool = False,
) -> bool:
    """Send a plain text mail once the transaction commits: at least once, with retries.

    Args:
        to: one address; another one than a plain mailbox is left out, as is everybody where
            `ctx.services.options.mail` is off.
        subject: of one line; line ends in it become spaces.
        secret: the text opens something; it is kept encrypted until it is sent.
        dedupe_key: what this mail is about. A second one with it to the same address is not sent.

    Returns: whether one was queued.
    """
    if not ctx.services.options.mail:
        return False
    if not is_address(to):
        logger.warning("a mail has no address to go to", extra={"op": ctx.operation})
        return False
    row = await ctx.row(
        None,
        sql.queue_mail,
        id=new_id("mail"),
        to=to,
        subject=one_line(subject),
        text=sealed(plain_text(text), ctx.services.keys) if secret else plain_text(text),
        dedupe_key=dedupe_key,
    )
    return row is not None and row["queued"]


def sealed(text: str, keys: Keys) -> str:
    """A text as it is kept where nobody may read it."""
    return SEALED + keys.seal(text.encode()).decode()


def opened(text: str, keys: Keys) -> str:
    """A kept text as it is sent."""
    if not text.startswith(SEALED):
        return text
    return keys.unseal(text.removeprefix(SEALED).encode()).decode()


async def member_addresses(ctx: Context, users: Sequence[str]) -> list[str]:
    """The mail addresses of those of `users` who are the organization's and may sign in."""
    return [row["email"] for row in await ctx.rows(None, sql.addresses, users=list(users))]
