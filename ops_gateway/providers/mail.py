"""The one way the platform sends mail: plain text, one recipient, by the operator's SMTP server."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr

import aiosmtplib

from ops_gateway.providers.delivery import DeliveryResult

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
TOTAL_SECONDS = 20.0  # less than a delivery may take
TLS_MODES = ("starttls", "tls", "none")
MAX_SUBJECT = 200
MAX_TEXT = 100_000

# what mailboxes look like in practice: no quoted local part, no comment, no address literal
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*"
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
# control characters, and the separators that count as line ends somewhere
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


@dataclass(frozen=True)
class MailServer:
    """The operator's SMTP server.

    Attributes:
        tls: `starttls`, `tls` from the first byte on, or `none`.
        sender: what mails are from, as `Name <name@host>` or an address alone.
    """

    host: str
    sender: str
    port: int = 587
    tls: str = "starttls"
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def check(self) -> None:
        """Raise ValueError, whose text is for the operator, where nothing could be sent."""
        if self.tls not in TLS_MODES:
            raise ValueError(f"OPSTAC_SMTP_TLS is one of {', '.join(TLS_MODES)}")
        if not 0 < self.port < 65536:
            raise ValueError("OPSTAC_SMTP_PORT must be 1 to 65535")
        if not self.sender:
            raise ValueError("OPSTAC_SMTP_SENDER is missing: what mails are from")
        if not is_address(parseaddr(self.sender)[1]) or _CONTROL.search(self.sender):
            raise ValueError("OPSTAC_SMTP_SENDER must be an address, as Maps <maps@example.org>")
        if (self.user is None) != (self.password is None):
            raise ValueError("OPSTAC_SMTP_USER and OPSTAC_SMTP_PASSWORD go together")
        if self.password is not None and self.tls == "none" and not _is_here(self.host):
            raise ValueError(
                "a password is not sent in the clear: set OPSTAC_SMTP_TLS to starttls or tls"
            )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_address(text: str) -> bool:
    """Whether mail may be sent there: one plain ASCII mailbox, at most 254 characters."""
    return len(text) <= 254 and _ADDRESS.fullmatch(text) is not None


def one_line(text: str) -> str:
    """A subject: one line of at most 200 characters."""
    return _CONTROL.sub(" ", _encodable(text)).strip()[:MAX_SUBJECT]


def plain_text(text: str) -> str:
    """A body: line ends and tabs stay, other control characters go."""
    lines = _encodable(text).replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", lines)[:MAX_TEXT]


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates


def write(
    server: MailServer, *, mail_id: str, to: str, subject: str, text: str, at: datetime
) -> EmailMessage:
    """The message. Raises ValueError for a recipient that is no address."""
    if not is_address(to):
        raise ValueError("the recipient is not an address")
    domain = parseaddr(server.sender)[1].rpartition("@")[2]
    message = EmailMessage(policy=SMTP_POLICY)
    message["From"] = server.sender
    message["To"] = to
    message["Subject"] = one_line(subject)
    message["Date"] = format_datetime(at.astimezone(UTC))
    message["Message-ID"] = f"<{mail_id}@{domain}>"  # the same when it is sent twice
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(plain_text(text))
    return message


class Mailer:
    """Sends by one server. Holds no connection between two mails."""

    def __init__(self, server: MailServer, *, ssl_context: ssl.SSLContext | None = None) -> None:
        """`ssl_context`: for tests; else the usual public authorities. Raises ValueError."""
        server.check()
        self._server = server
        if ssl_context is None and server.tls != "none":
            ssl_context = ssl.create_default_context()
        self._ssl_context = ssl_context

    async def send(
        self, *, mail_id: str, to: str, subject: str, text: str, at: datetime
    ) -> DeliveryResult:
        """Hand one mail to the server. Never raises for what server or network do."""
        server = self._server
        try:
            message = write(server, mail_id=mail_id, to=to, subject=subject, text=text, at=at)
        except ValueError as error:
            return DeliveryResult(error=str(error), final=True)
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "tls",
            start_tls=server.tls == "starttls",
            username=server.user,
            password=server.password,
            tls_context=self._ssl_context,
            timeout=CONNECT_SECONDS,
        )
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                await client.connect()
                # 250 to it says that the server has the mail, however the connection ends
                await client.send_message(message)
        except aiosmtplib.SMTPRecipientsRefused as error:
            first = error.recipients[0]
            return _refused(first.code, first.message)
        except aiosmtplib.SMTPDataError as error:
            return _refused(error.code, error.message)
        except aiosmtplib.SMTPResponseException as error:
            # greeting, sign-in, sender: what the operator has to see to
            logger.warning("the mail server refuses: %s %s", error.code, error.message)
            return DeliveryResult(error=f"the mail server answered {error.code}")
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            logger.warning("the mail server cannot be used: %r", error)
            return DeliveryResult(error="the mail server cannot be reached")
        finally:
            client.close()
        return DeliveryResult(status=250)


def _refused(code: int, said: str) -> DeliveryResult:
    """5xx is the server's last word on this mail, 4xx is not."""
    return DeliveryResult(error=f"{code} {one_line(said)}", final=500 <= code < 600)
