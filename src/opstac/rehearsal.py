"""A card provider to rehearse with: the program localstripe, and in front of it what it lacks.

For the tests and the testbed; no command that serves a platform starts it. localstripe keeps
customers, cards, charges and refunds like Stripe. Added here: idempotency keys (it charges again),
charges of one customer in a list, refunds of a charge made off-session that wants 3-D Secure the
way Stripe words them, disputes, two test cards by name, `amount_received`, and failures on demand.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

KEY = "sk_test_rehearsal"
NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody, and costs nothing to make
WEBHOOK_SECRET = "whsec_rehearsal"
START_SECONDS = 20
CHARGES = "/v1/payment_intents"
METHODS = "/v1/payment_methods/"
NAMES = {"pm_card_chargeDeclined": "pm_card_chargeCustomerFail"}
AUTHENTICATED = {
    "type": "card",
    "card[number]": "4000002500003155",
    "card[exp_month]": "12",
    "card[exp_year]": "2030",
    "card[cvc]": "123",
}


def installed() -> bool:
    """Whether localstripe is there; it is among the developers' packages."""
    return importlib.util.find_spec("localstripe") is not None


class Rehearsal:
    """The endpoint, as an ASGI application; its attributes steer and count.

    Attributes:
        lose_answers: so many of the next charges are made, and the answer is lost.
        down: everything is answered 503.
        strict: a charge off-session that wants 3-D Secure is refused, as Stripe does it.
        charges: how many charges were really asked for.
    """

    def __init__(self, upstream: str) -> None:
        """In front of a localstripe."""
        self.upstream = upstream
        self.lose_answers = 0
        self.down = False
        self.strict = False
        self.charges = 0
        self.disputes: dict[str, list[dict[str, Any]]] = {}
        # plain http to this machine: no certificates to load
        self._client = httpx.AsyncClient(trust_env=False, verify=NO_AUTHORITIES, timeout=30)
        self._person = httpx.Client(
            base_url=upstream,
            trust_env=False,
            verify=NO_AUTHORITIES,
            timeout=30,
            headers={"Authorization": f"Bearer {KEY}"},
        )
        self._kept: dict[str, tuple[str, asyncio.Future[tuple[int, Any]]]] = {}
        self._refused: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        response = await self.answer(Request(scope, receive))
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """One request."""
        if self.down:
            return JSONResponse({"error": {"type": "api_error", "message": "down"}}, 503)
        body = await request.body()
        key = request.headers.get("idempotency-key")
        if request.method != "POST" or key is None:
            status, found = await self.carry_out(request, body)
            return JSONResponse(found, status)
        same = hashlib.sha256(request.url.path.encode() + b"\0" + body).hexdigest()
        if key in self._kept:
            first, waiting = self._kept[key]
            if first != same or not waiting.done():
                message = "another request with this key" if first != same else "still under way"
                error = {"type": "idempotency_error", "message": message}
                return JSONResponse({"error": error}, 400 if first != same else 409)
            status, found = waiting.result()
            return JSONResponse(found, status, headers={"Idempotent-Replayed": "true"})
        kept = asyncio.get_running_loop().create_future()
        self._kept[key] = (same, kept)
        try:
            status, found = await self.carry_out(request, body)
        except BaseException:
            del self._kept[key]
            raise
        kept.set_result((status, found))
        if request.url.path == CHARGES and self.lose_answers > 0:
            self.lose_answers -= 1
            raise ConnectionAbortedError("the answer is lost on purpose")
        return JSONResponse(found, status)

    async def carry_out(self, request: Request, body: bytes) -> tuple[int, Any]:
        """(status, document) of what localstripe makes of it, with what it lacks."""
        path, query = request.url.path, dict(request.query_params)
        if path == "/v1/disputes":
            return 200, _list(self.disputes.get(query["payment_intent"], []))
        if request.method == "GET" and path.startswith(METHODS):
            return await self.method(path.removeprefix(METHODS))
        if request.method == "GET" and path == CHARGES:
            status, found = await self.ask("GET", f"{CHARGES}?limit=10000")
            since = int(query.get("created[gte]", 0))
            rows = [
                self.dressed(row, expanded=False)
                for row in found["data"]
                if row["customer"] == query["customer"] and row["created"] >= since
            ]
            return status, _list(rows)
        if request.method == "POST" and path == CHARGES:
            self.charges += 1
        status, found = await self.ask(
            request.method, str(request.url.replace(scheme="", netloc="")), body
        )
        if status == 402:
            found["error"]["type"] = "card_error"
        if path.startswith(CHARGES) and status == 200 and found.get("object") == "payment_intent":
            made = request.method == "POST" and path == CHARGES
            off_session = ("off_session", "true") in parse_qsl(body.decode())
            if made and self.strict and off_session and found["status"] == "requires_action":
                self._refused.add(found["id"])
            expanded = request.query_params.get("expand[0]") == "latest_charge"
            found = self.dressed(found, expanded=expanded)
            if made and found["id"] in self._refused:
                error = {**found["last_payment_error"], "payment_intent": found}
                return 402, {"error": {"type": "card_error", **error}}
        return status, found

    async def method(self, card_id: str) -> tuple[int, Any]:
        """A card; some ids are names of test cards, which stand for a new one each time."""
        if card_id == "pm_card_authenticationRequired":
            return await self.ask("POST", METHODS.rstrip("/"), httpx.QueryParams(AUTHENTICATED))
        return await self.ask("GET", METHODS + NAMES.get(card_id, card_id))

    def dressed(self, intent: dict[str, Any], *, expanded: bool) -> dict[str, Any]:
        """A charge with the members that Stripe has and localstripe has not."""
        paid = intent["status"] == "succeeded"
        intent = {**intent, "amount_received": intent["amount"] if paid else 0}
        charge = intent.get("latest_charge")
        if isinstance(charge, dict):
            intent["latest_charge"] = (
                {**charge, "disputed": intent["id"] in self.disputes} if expanded else charge["id"]
            )
        if intent["id"] in self._refused and intent["status"] == "requires_action":
            error = {
                "code": "authentication_required",
                "message": "This payment requires authentication.",
            }
            intent |= {"status": "requires_payment_method", "last_payment_error": error}
        return intent

    async def ask(
        self, method: str, path: str, body: bytes | httpx.QueryParams = b""
    ) -> tuple[int, Any]:
        """What localstripe says."""
        content = body if isinstance(body, bytes) else str(body).encode()
        response = await self._client.request(
            method,
            self.upstream + path,
            content=content,
            headers={
                "Authorization": f"Bearer {KEY}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        return response.status_code, response.json() if response.content else {}

    async def close_upstream(self) -> None:
        """Close the connections to localstripe, in the loop that made them."""
        await self._client.aclose()

    def close(self) -> None:
        """Close a person's connections."""
        self._person.close()

    # ------------------------------------------------------------ what a person would do

    def post(self, path: str, **form: str) -> Any:
        """Ask localstripe as the provider's dashboard or a browser would."""
        response = self._person.post(path, data=form)
        response.raise_for_status()
        return response.json() if response.content else None

    def get(self, path: str) -> Any:
        """Look at localstripe as the provider's dashboard would."""
        response = self._person.get(path)
        response.raise_for_status()
        return response.json()

    def forget_keys(self) -> None:
        """As a day later."""
        self._kept.clear()

    def authenticate(self, intent: str, client_secret: str, *, success: bool = True) -> None:
        """The card's holder answers 3-D Secure; a refusal is an answer too."""
        form = {"client_secret": client_secret, "success": str(success).lower(), "key": "pk_test"}
        self.post(f"{CHARGES}/{intent}/_authenticate", **form)

    def refund(self, intent: str, amount: int) -> None:
        """Give money back."""
        self.post("/v1/refunds", payment_intent=intent, amount=str(amount))

    def dispute(self, intent: str, amount: int, status: str) -> None:
        """The holder disputes the charge, or the dispute moves on."""
        row = {"object": "dispute", "amount": amount, "status": status, "payment_intent": intent}
        self.disputes[intent] = [row]

    def send_events_to(self, url: str) -> None:
        """Have localstripe send its events there, signed."""
        body = {"url": url, "secret": WEBHOOK_SECRET}
        response = self._person.post("/_config/webhooks/opstac", json=body)
        response.raise_for_status()


def _list(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "data": rows, "has_more": False}


def _free_port() -> int:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as free:
        free.bind(("::", 0))
        return free.getsockname()[1]


@contextmanager
def localstripe() -> Iterator[str]:
    """A localstripe on a port of its own, with nothing in it; its URL."""
    port = _free_port()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "localstripe", "--from-scratch", "--port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("localstripe does not start") from None
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def rehearsing() -> Iterator[tuple[str, Rehearsal]]:
    """(URL, what steers it) of a rehearsal's endpoint, served by a thread of this process."""
    with localstripe() as upstream, socket.create_server(("127.0.0.1", 0)) as listener:
        rehearsal = Rehearsal(upstream)
        config = uvicorn.Config(
            rehearsal, log_config=None, access_log=False, lifespan="off", ws="none"
        )
        server = uvicorn.Server(config)
        server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]

        async def serve() -> None:
            await server.serve(sockets=[listener])
            await rehearsal.close_upstream()

        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", rehearsal
        finally:
            rehearsal.close()
            server.should_exit = True
            thread.join(10)


def signed(event_type: str, about: dict[str, Any], *, at: int | None = None) -> tuple[bytes, str]:
    """(body, signature) of an event as the provider sends it."""
    import hmac

    at = int(time.time()) if at is None else at
    event = {"id": "evt_1", "object": "event", "type": event_type, "data": {"object": about}}
    body = json.dumps(event).encode()
    mac = hmac.new(WEBHOOK_SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256)
    return body, f"t={at},v1={mac.hexdigest()}"
