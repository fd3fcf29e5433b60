"""One reader of bodies, and what each app makes of what is wrong with one."""

import pytest
from starlette.requests import Request

from ops_gateway.kernel.errors import OpError
from ops_gateway.surfaces import job_outputs, json_body
from processes import ogc_request
from processes.ogc_problem import Problem
from stac_api import client as stac
from stac_api.errors import StacError
from tiler.errors import TileError
from tiler.routes import body as tiles
from wire.body import BodyCutShort, BodyTooLarge, read_body

MIB = 1 << 20


class Sent:
    """A request whose body comes in pieces; None is a client that went away."""

    def __init__(self, *pieces: bytes | None, announced: str | None = None) -> None:
        self.left = list(pieces)
        headers = [] if announced is None else [(b"content-length", announced.encode("latin-1"))]
        scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
        self.request = Request(scope, self.receive)

    async def receive(self):
        piece = self.left.pop(0)
        if piece is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": piece, "more_body": bool(self.left)}


async def _whole_file(request: Request) -> bytes:
    return b"".join([piece async for piece in job_outputs.limited(request, 2 * MIB)])


DOORS = {
    "operations": (json_body.read_json, OpError),
    "outputs": (_whole_file, OpError),
    "stac": (stac.read_body, StacError),
    "tiles": (tiles.read_json, TileError),
    "ogc": (ogc_request.read_json, Problem),
}


async def test_what_fits_is_whole():
    assert await read_body(Sent(b"ab", b"", b"cd").request, 4) == b"abcd"
    assert await read_body(Sent(b"").request, 0) == b""


async def test_what_is_too_large_is_read_no_further_than_it_must_be():
    sent = Sent(b"abc", b"de", b"f")
    with pytest.raises(BodyTooLarge, match="at most 4 bytes"):
        await read_body(sent.request, 4)
    assert sent.left == [b"f"]


@pytest.mark.parametrize("announced", ["5", "9" * 5000])
async def test_what_is_announced_as_too_large_is_not_read(announced: str):
    sent = Sent(b"abc", announced=announced)
    with pytest.raises(BodyTooLarge):
        await read_body(sent.request, 4)
    assert sent.left == [b"abc"]


@pytest.mark.parametrize("announced", ["", "-1", "1e9", "²", "0"])
async def test_a_length_that_is_none_does_not_count(announced: str):
    assert await read_body(Sent(b"abc", announced=announced).request, 4) == b"abc"


async def test_one_that_ends_early_is_none():
    with pytest.raises(BodyCutShort):
        await read_body(Sent(b"{", None).request, 4)


@pytest.mark.parametrize("door", DOORS)
async def test_each_door_refuses_with_its_own_error(door: str):
    read, refusal = DOORS[door]
    with pytest.raises(refusal) as large:
        await read(Sent(*[b" " * MIB] * 5).request)
    assert large.value.status == 413
    with pytest.raises(refusal) as cut:
        await read(Sent(b"{", None).request)
    assert cut.value.status == 400
