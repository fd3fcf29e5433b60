"""`POST /v1/payments/stripe/webhook`: the card provider says that something is new about a charge.

Nobody signs in here; the message's own signature is checked. The answer is 200 also for what
concerns no charge of ours, so that the provider does not send it again.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from ops_gateway.domains import payments_pursuit
from ops_gateway.kernel.cards import CardsUnreachable, SignatureRefused
from ops_gateway.kernel.errors import BadRequest, NotFound, Unavailable
from ops_gateway.kernel.pipeline import Pipeline
from ops_gateway.surfaces.json_body import read_body

PATH = "/v1/payments/stripe/webhook"
LARGEST = 1 << 20


def routes(pipeline: Pipeline) -> list[BaseRoute]:
    """The route."""

    async def receive(request: Request) -> Response:
        cards = pipeline.services.cards
        if cards is None:
            raise NotFound("card payments are not set up on this platform")
        body = await read_body(request, LARGEST)
        try:
            about = cards.read_event(body, request.headers.get("stripe-signature"))
        except SignatureRefused as refusal:
            raise BadRequest(str(refusal)) from None
        try:
            ours = about is not None and await payments_pursuit.hear(pipeline, about)
        except CardsUnreachable as error:
            raise Unavailable(f"{error}; send this again", 30) from None
        return JSONResponse({"received": True, "ours": ours})

    return [Route(PATH, receive, methods=["POST"])]
