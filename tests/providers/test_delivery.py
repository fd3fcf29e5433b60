"""The guarded sender: where it refuses to go, and what it does with a bad receiver."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks import Webhook

from ops_gateway.providers.addresses import is_public, parse_address, parse_allowances
from ops_gateway.providers.delivery import (
    EndpointRefused,
    Sender,
    check_headers,
    read_retry_after,
    sign,
)

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OLD_SECRET = "whsec_" + base64.b64encode(bytes(range(1, 33))).decode()
EVENT = {"event_type": "item.created", "event_id": "ev_1", "delivery_id": "de_1"}
PUBLIC = "93.184.216.34"

Handler = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answering(*addresses: str):
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


@asynccontextmanager
async def receiver(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on the loopback address that hands the request's head to `handler`; its port."""

    tasks = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                head = await reader.readuntil(b"\r\n\r\n")
                await handler(head, reader, writer)
        finally:
            writer.close()
            with suppress(Exception):
                await writer.wait_closed()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def local(port: int, **options) -> Sender:
    return Sender(allow=parse_allowances(f"127.0.0.1/32:{port}"), **options)


def replying(text: bytes) -> Handler:
    async def handler(head, reader, writer) -> None:
        writer.write(text)
        await writer.drain()

    return handler


# ------------------------------------------------------------ where it does not go


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "127.1",
        "0177.0.0.1",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.1.1",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "localhost",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a00:1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::127.0.0.1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2002:a00:1::1]",
        "[fe80::1]",
        "[fc00::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[2001:0:7f00:1::1]",
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
    ],
)
async def test_no_form_of_a_private_address_is_taken(host) -> None:
    with pytest.raises(EndpointRefused):
        await Sender().check_endpoint(f"https://{host}/hook")


@pytest.mark.parametrize(
    "addresses",
    [
        [PUBLIC, "127.0.0.1"],
        ["127.0.0.1", PUBLIC],
        [PUBLIC, "::ffff:10.0.0.1"],
        ["2606:2800:220:1::1", "fe80::1%eth0"],
        ["224.1.2.3"],
        [],
    ],
)
async def test_every_address_of_a_name_must_be_public(addresses) -> None:
    sender = Sender(resolver=answering(*addresses))
    with pytest.raises(EndpointRefused):
        await sender.check_endpoint("https://receiver.example/hook")
    result = await sender.send("https://receiver.example/", b"{}", secrets=[SECRET], **EVENT)
    assert result.status is None
    assert result.error is not None and result.error.startswith("refused")


@pytest.mark.parametrize(
    "url",
    [
        "http://receiver.example/hook",
        "https://receiver.example:22/hook",
        "https://receiver.example:80/hook",
        "ftp://receiver.example/hook",
        "file:///etc/passwd",
        "gopher://receiver.example/",
        "https://user@receiver.example/",
        "https://user:pw@receiver.example/",
        "https://receiver.example\\@127.0.0.1/",
        "https://receiver.example/a b",
        "https://receiver.example/\r\nX: y",
        "https:///hook",
        "//receiver.example",
        "receiver.example",
        "",
        "https://[::1",
        "https://receiver.example:99999/",
        "https://" + "a" * 64 + ".example/\x00",
        "https://receiver.example/" + "a" * 2048,
    ],
)
async def test_other_schemes_ports_and_shapes_are_refused(url) -> None:
    with pytest.raises(EndpointRefused):
        await Sender(resolver=answering(PUBLIC)).check_endpoint(url)


@pytest.mark.parametrize(
    "url", ["https://r.example", "https://r.example:8443/a?b=c", "https://é.example/"]
)
async def test_public_https_is_taken(url) -> None:
    endpoint = await Sender(resolver=answering(PUBLIC, "2606:2800:220:1::1")).check_endpoint(url)
    assert len(endpoint.addresses) == 2


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("2002:808:808::1", True),
        ("::ffff:8.8.8.8", True),
        ("2606:4700::1111", True),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("240.0.0.1", False),
    ],
)
def test_an_address_is_judged_by_where_it_leads(address, public) -> None:
    assert is_public(parse_address(address)) is public


async def test_the_resolver_is_asked_once_and_may_fail() -> None:
    asked = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        raise OSError("no such name")

    sender = Sender(resolver=resolve)
    result = await sender.send("https://gone.example/", b"{}", secrets=[SECRET], **EVENT)
    assert result.error == "refused: the host name cannot be resolved"
    assert asked == [("gone.example", 443)]


async def test_a_name_that_changes_its_address_is_not_followed() -> None:
    answers = iter([["127.0.0.1"], ["10.9.9.9"]])

    async def resolve(host: str, port: int) -> list[str]:
        return next(answers)

    heads = []

    async def handler(head, reader, writer) -> None:
        heads.append(head)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with receiver(handler) as port:
        sender = local(port, resolver=resolve)
        url = f"http://rebind.example:{port}/hook?a=1"
        result = await sender.send(url, b"{}", secrets=[SECRET], **EVENT)
        assert result.delivered
        # the connection went to the checked address, under the name
        assert heads[0].startswith(b"POST /hook?a=1 HTTP/1.1\r\n")
        assert f"\r\nhost: rebind.example:{port}\r\n".encode() in heads[0].lower()
        again = await sender.send(url, b"{}", secrets=[SECRET], **EVENT)
        assert again.error is not None and again.error.startswith("refused")


def test_allowances_are_read_strictly() -> None:
    (one,) = parse_allowances("127.0.0.1/32:9100-9199")
    assert one.covers(parse_address("127.0.0.1"), 9150)
    assert not one.covers(parse_address("127.0.0.1"), 9200)
    assert not one.covers(parse_address("127.0.0.2"), 9150)
    assert len(parse_allowances("10.0.0.0/8:80, [fd00::]/8:443")) == 2
    assert parse_allowances("") == ()
    for wrong in ("127.0.0.1", "all:80", "10.0.0.0/8:0", "10.0.0.0/8:9-8", "10.0.0.0/8:70000"):
        with pytest.raises(ValueError, match=r"."):
            parse_allowances(wrong)


# ------------------------------------------------------------ what it sends


async def test_a_delivery_is_signed_both_ways_over_the_exact_bytes() -> None:
    seen = {}

    async def handler(head, reader, writer) -> None:
        lines = head.decode().split("\r\n")[1:]
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        raw = dict(line.split(": ", 1) for line in lines if line)
        seen["headers"] = {name.lower(): value for name, value in raw.items()}
        seen["body"] = await reader.readexactly(int(headers["content-length"]))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine")

    body = '{"event_id": "ev_1",  "name": "Zürich"}'.encode()
    async with receiver(handler) as port:
        result = await local(port).send(
            f"http://127.0.0.1:{port}/hook",
            body,
            secrets=[SECRET, OLD_SECRET],
            headers={"X-Team": "maps", "webhook-id": "forged"},
            **EVENT,
        )
    assert (result.status, result.error, result.body_excerpt) == (200, None, "fine")
    headers = seen["headers"]
    assert seen["body"] == body
    assert headers["content-type"] == "application/json"
    assert headers["x-team"] == "maps"
    assert headers["x-geopera-event"] == "item.created"
    assert headers["x-geopera-event-id"] == headers["webhook-id"] == "ev_1"
    assert headers["x-geopera-delivery-id"] == "de_1"
    expected = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["x-geopera-signature"] == f"sha256={expected}"
    for secret in (SECRET, OLD_SECRET):
        Webhook(secret).verify(body, headers)
    with pytest.raises(Exception, match="signature"):
        Webhook(SECRET).verify(body + b" ", headers)


def test_signing_is_repeatable() -> None:
    one = sign(b"{}", [SECRET], at=1, **EVENT)
    assert one == sign(b"{}", [SECRET], at=1, **EVENT)
    assert one["webhook-signature"] != sign(b"{}", [SECRET], at=2, **EVENT)["webhook-signature"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "x"},
        {"content-type": "text/plain"},
        {"Content-Length": "0"},
        {"X-Geopera-Signature": "x"},
        {"Webhook-Id": "x"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "close"},
        {"X-A": "a\r\nX-B: b"},
        {"X-A\r\nX-B": "b"},
        {"X A": "b"},
        {"": "b"},
        {"X-A": "日本"},
        {"X-A": "a" * 1001},
        {f"X-{n}": "" for n in range(21)},
    ],
)
def test_headers_that_are_not_the_customers_are_refused(headers) -> None:
    with pytest.raises(EndpointRefused):
        check_headers(headers)


def test_a_customers_own_headers_are_taken() -> None:
    check_headers({"Authorization": "Bearer theirs", "X-Team": "maps", "X-Empty": ""})


# ------------------------------------------------------------ bad receivers


async def test_a_redirect_is_a_failure_and_not_followed() -> None:
    hits = []

    async def handler(head, reader, writer) -> None:
        hits.append(head)
        place = f"Location: http://127.0.0.1:{writer.get_extra_info('sockname')[1]}/b\r\n"
        writer.write(b"HTTP/1.1 307 x\r\n" + place.encode() + b"Content-Length: 0\r\n\r\n")

    async with receiver(handler) as port:
        result = await local(port).send(
            f"http://127.0.0.1:{port}/a", b"{}", secrets=[SECRET], **EVENT
        )
    assert (result.status, result.delivered) == (307, False)
    assert result.error == "redirects are not followed"
    assert len(hits) == 1


async def test_a_slow_receiver_is_cut_off() -> None:
    async def drip(head, reader, writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:  # each byte would renew a read timeout
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def silent(head, reader, writer) -> None:
        await asyncio.sleep(30)

    for handler in (drip, silent):
        async with receiver(handler) as port:
            began = asyncio.get_running_loop().time()
            result = await local(port, total_seconds=0.5).send(
                f"http://127.0.0.1:{port}/", b"{}", secrets=[SECRET], **EVENT
            )
            assert asyncio.get_running_loop().time() - began < 10
            assert (result.status, result.error) == (None, "the receiver took too long")


async def test_a_big_answer_is_cut_off() -> None:
    sent = 0

    async def handler(head, reader, writer) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            while sent < 100 << 20:
                writer.write(b"10000\r\n" + b"\x07" * 65536 + b"\r\n")
                sent += 65536
                await writer.drain()

    async with receiver(handler) as port:
        result = await local(port).send(
            f"http://127.0.0.1:{port}/", b"{}", secrets=[SECRET], **EVENT
        )
    assert result.delivered
    assert result.body_excerpt == " " * 200
    assert sent < 50 << 20


@pytest.mark.parametrize(
    ("reply", "status", "error", "retry_after"),
    [
        (
            b"HTTP/1.1 500 x\r\nContent-Length: 4\r\n\r\noops",
            500,
            "answered 500",
            None,
        ),
        (b"HTTP/1.1 429 x\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 429, "429", 7),
        (b"HTTP/1.1 503 x\r\nRetry-After: 99999\r\nContent-Length: 0\r\n\r\n", 503, "503", 3600),
        (b"HTTP/1.1 410 x\r\nContent-Length: 0\r\n\r\n", 410, "410", None),
        (b"this is not http\r\n\r\n", None, "not HTTP", None),
        (b"", None, "not HTTP", None),
    ],
)
async def test_other_answers_are_failures(reply, status, error, retry_after) -> None:
    async with receiver(replying(reply)) as port:
        result = await local(port).send(
            f"http://127.0.0.1:{port}/", b"{}", secrets=[SECRET], **EVENT
        )
    assert (result.status, result.retry_after) == (status, retry_after)
    assert result.error is not None and result.error.endswith(error)


async def test_nobody_there_is_a_failure() -> None:
    async with receiver(replying(b"")) as port:
        pass
    result = await local(port).send(f"http://127.0.0.1:{port}/", b"{}", secrets=[SECRET], **EVENT)
    assert result.error == "the connection failed"


def test_retry_after_may_be_a_date() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert read_retry_after("Thu, 01 Jan 2026 00:01:00 GMT", now) == 60
    assert read_retry_after("Wed, 31 Dec 2025 00:00:00 GMT", now) == 0
    assert read_retry_after("soon") is None


async def test_the_environments_proxy_is_not_used(monkeypatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:1")
    async with receiver(replying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")) as port:
        result = await local(port).send(
            f"http://127.0.0.1:{port}/", b"{}", secrets=[SECRET], **EVENT
        )
    assert result.delivered


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server's context, client's context) for the name receiver.example."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "receiver.example")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("receiver.example")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "both.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + cert.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=str(path))


async def test_tls_is_checked_against_the_name_not_the_address(certificate) -> None:
    server, client = certificate
    names = []
    server.sni_callback = lambda sock, name, context: names.append(name)
    assert ipaddress.ip_address("127.0.0.1").is_loopback
    async with receiver(replying(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), server) as port:
        options = {"resolver": answering("127.0.0.1"), "ssl_context": client}
        sender = local(port, **options)
        good = await sender.send(
            f"https://receiver.example:{port}/", b"{}", secrets=[SECRET], **EVENT
        )
        assert good.delivered
        assert names == ["receiver.example"]
        bad = await sender.send(f"https://other.example:{port}/", b"{}", secrets=[SECRET], **EVENT)
        assert bad.error == "the TLS connection failed"
        unknown = local(port, resolver=answering("127.0.0.1"))
        refused = await unknown.send(
            f"https://receiver.example:{port}/", b"{}", secrets=[SECRET], **EVENT
        )
        assert refused.error == "the TLS connection failed"
