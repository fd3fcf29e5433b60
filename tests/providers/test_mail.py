"""Mail, through a real SMTP server: what arrives, what cannot be said, what is tried again."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from ops_gateway.providers.mail import Mailer, MailServer, is_address, write

AT = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MAIL = {"mail_id": "mail_1", "to": "ann@example.org", "subject": "Fields", "text": "dry", "at": AT}


class Inbox:
    """Keeps what arrives; answers by the recipient's name."""

    def __init__(self):
        self.mails = []

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 no such user"
        if address.startswith("later"):
            return "450 4.2.0 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if "spam" in envelope.rcpt_tos[0]:
            return "554 5.7.1 looks like spam"
        self.mails.append(envelope)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, data):
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"maps", b"pw")
    return AuthResult(success=right, handled=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(days=1))
        .not_valid_after(datetime.now(UTC) + timedelta(days=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "cert.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


class Port0(Controller):
    """A controller that says which port it was given."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture(scope="module")
def plain():
    inbox = Inbox()
    controller = Port0(inbox, hostname="127.0.0.1", port=0)
    controller.start()
    yield inbox, controller.port
    controller.stop()


@pytest.fixture(scope="module")
def secured(certificate):
    """A server that takes mail over TLS from those who signed in."""
    inbox = Inbox()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    class Secured(Port0):
        def factory(self):
            return SMTP(
                inbox, tls_context=context, require_starttls=True, auth_required=True,
                authenticator=authenticate,
            )  # fmt: skip

    controller = Secured(inbox, hostname="127.0.0.1", port=0)
    controller.start()
    yield inbox, controller.port
    controller.stop()


def over_plain(port, **more):
    server = {"host": "127.0.0.1", "port": port, "tls": "none", "sender": "Maps <maps@example.org>"}
    return Mailer(MailServer(**{**server, **more}))


async def test_a_mail_arrives_as_it_was_written(plain):
    inbox, port = plain
    inbox.mails.clear()
    mail = {**MAIL, "subject": "Ernte: grün", "text": "Größe\n.\nend"}
    result = await over_plain(port).send(**mail)
    assert result.delivered and result.error is None
    [mail] = inbox.mails
    assert (mail.mail_from, mail.rcpt_tos) == ("maps@example.org", ["ann@example.org"])
    read = message_from_bytes(mail.content, policy=policy.default)
    assert read["Subject"] == "Ernte: grün" and read["From"] == "Maps <maps@example.org>"
    assert read["To"] == "ann@example.org" and read["Message-ID"] == "<mail_1@example.org>"
    assert read.get_content().replace("\r\n", "\n") == "Größe\n.\nend\n"


async def test_over_tls_with_a_password(secured, certificate):
    inbox, port = secured
    server = MailServer("127.0.0.1", "maps@example.org", port=port, user="maps", password="pw")
    trusting = ssl.create_default_context(cafile=certificate)
    assert (await Mailer(server, ssl_context=trusting).send(**MAIL)).delivered
    assert len(inbox.mails) == 1
    # whoever cannot prove to be the server is told nothing
    result = await Mailer(server).send(**MAIL)
    assert not result.delivered and not result.final
    wrong = MailServer("127.0.0.1", "maps@example.org", port=port, user="maps", password="x")
    result = await Mailer(wrong, ssl_context=trusting).send(**MAIL)
    assert not result.delivered and not result.final and "535" in (result.error or "")
    assert len(inbox.mails) == 1


async def test_starttls_is_never_left_out(plain):
    inbox, port = plain
    inbox.mails.clear()
    result = await over_plain(port, tls="starttls").send(**MAIL)
    assert not result.delivered and inbox.mails == []


@pytest.mark.parametrize(
    ("to", "final"),
    [("nobody@example.org", True), ("spam@example.org", True), ("later@example.org", False),
     ("not an address", True)],
)  # fmt: skip
async def test_what_the_server_says_for_good_is_not_tried_again(plain, to, final):
    result = await over_plain(plain[1]).send(**{**MAIL, "to": to})
    assert not result.delivered and result.final is final and result.error


async def test_a_server_that_is_away_is_tried_again():
    result = await over_plain(1).send(**MAIL)
    assert not result.delivered and not result.final


@pytest.mark.parametrize(
    "text",
    ["", "ann", "ann@", "@example.org", "a b@example.org", "ann@example.org\nBcc: b@c.d",
     "ann@example.org, b@c.d", "ann@exa mple.org", "<ann@example.org>", "ann@example..org",
     "ann@[127.0.0.1]", "ann\x00@example.org", "änn@example.org", "a" * 250 + "@b.cd",
     "ann@-example.org", '"ann"@example.org', "ann@example.org\n"],
)  # fmt: skip
def test_what_is_no_address(text):
    assert not is_address(text)


@settings(max_examples=40, deadline=None)
@given(subject=st.text(), text=st.text())
def test_nothing_in_a_mail_becomes_a_header(subject, text):
    server = MailServer("h", "Maps <maps@example.org>")
    message = write(server, mail_id="m", to="ann@example.org", subject=subject, text=text, at=AT)
    written = message.as_bytes()
    head, _, _ = written.partition(b"\r\n\r\n")
    names = [line.split(b":")[0] for line in head.split(b"\r\n") if line[:1] not in b" \t"]
    assert set(names) == {
        b"From", b"To", b"Subject", b"Date", b"Message-ID", b"Auto-Submitted", b"Content-Type",
        b"Content-Transfer-Encoding", b"MIME-Version",
    }  # fmt: skip
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "wrong",
    [{"tls": "ssl"}, {"port": 0}, {"sender": ""}, {"sender": "Maps"}, {"user": "u"},
     {"sender": "a@b.cd\nBcc: x@y.z"}, {"password": "p"},
     {"tls": "none", "user": "u", "password": "p", "host": "mail.example.org"}],
)  # fmt: skip
def test_settings_that_cannot_be_right(wrong):
    with pytest.raises(ValueError, match=r"OPSTAC_SMTP|password"):
        Mailer(MailServer(**{"host": "h", "sender": "maps@example.org", **wrong}))
