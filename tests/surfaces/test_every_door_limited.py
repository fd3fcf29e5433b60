"""The rate limits bind at every door there is, and say when to come back."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.routing import Route

from db import signing
from ops_gateway.kernel import holders
from ops_gateway.kernel.services import Limits
from ops_gateway.surfaces import limits
from opstac import compose
from tests.conftest import Person, on_database

REALM = "/realms/public"
AT = f"{REALM}/protocol/openid-connect"
MOST = 2
MCP = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def message(method: str, params: Any = None, **more: Any) -> Any:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}} | more


@dataclass(frozen=True)
class Door:
    """A request; `known` callers have a credential. `route` is the gateway's own that it enters."""

    method: str
    path: str
    body: Any = None
    known: bool = True
    headers: dict[str, str] = field(default_factory=dict)
    route: str = ""


def own(method: str, path: str, route: str = "", **more: Any) -> Door:
    """A door of somebody who is known."""
    return Door(method, path, route=route or path, **more)


def open_to_all(method: str, path: str, route: str = "", **more: Any) -> Door:
    """A door of anybody."""
    return Door(method, path, known=False, route=route or path, **more)


def tool(name: str, **arguments: Any) -> Door:
    body = message("tools/call", {"name": name, "arguments": arguments})
    return own("POST", "/mcp", body=body, headers=MCP)


SPENDS = {"process_id": "ndvi", "workspaceId": "none", "inputs": {}}
DOORS = [
    own("POST", "/v1/op/items.list", "/v1/op/{op_id:path}"),
    own("POST", "/v1/op/processing.execute", "/v1/op/{op_id:path}", body=SPENDS),
    own("POST", "/v1/op/no.such", "/v1/op/{op_id:path}"),
    open_to_all("POST", "/v1/op/no.such", "/v1/op/{op_id:path}"),
    open_to_all("POST", "/v1/op/processing.catalog.list", "/v1/op/{op_id:path}"),
    open_to_all("POST", "/v1/op/share.link.validate", "/v1/op/{op_id:path}", body={"token": "x"}),
    own("GET", "/v1/op/items.list", "/v1/op/{op_id:path}"),
    own("GET", "/v1/items/list", "/v1/{path:path}"),
    own("POST", "/v1/items/list", "/v1/{path:path}"),
    own("GET", "/v1/items/it_x", "/v1/{path:path}"),
    open_to_all("GET", "/v1/no/such", "/v1/{path:path}"),
    own("HEAD", "/v1/notifications/stream"),
    own("PUT", "/v1/jobs/job_x/outputs/a.tif", "/v1/jobs/{job_id}/outputs/{file_name}"),
    own("GET", "/v2/assets/as_x", "/v2/assets/{asset_id}"),
    open_to_all("GET", "/v2/assets/as_x", "/v2/assets/{asset_id}"),
    own("POST", "/v2/assets/as_x/download-url", "/v2/assets/{asset_id}/download-url"),
    own("POST", "/api/v1/process", body={"operation": "ndvi", "scene_ids": ["x"]}),
    own("GET", "/api/v1/process/job_x", "/api/v1/process/{job_id}"),
    *(
        own(method, root + path.format("ndvi"), root + path.format("{process_id}"), body=body)
        for root in ("/v2/processing", "/processing")
        for method, path, body in (
            ("GET", "/processes", None),
            ("GET", "/processes/{}", None),
            ("POST", "/processes/{}/validation", {}),
            ("POST", "/processes/{}/cost", {}),
            ("POST", "/processes/{}/execution", {}),
            ("GET", "/jobs", None),
        )
    ),
    own("GET", "/v2/processing/jobs/job_x", "/v2/processing/jobs/{job_id}"),
    own("GET", "/processing/jobs/job_x", "/processing/jobs/{job_id}"),
    # the other apps, which are counted as a whole
    open_to_all("GET", "/assets/stac/search", "stac"),
    own("POST", "/v2/assets/stac/search", "stac", body={"limit": 1}),
    own("POST", "/assets/stac/collections/col_x/items", "stac", body={"type": "Feature"}),
    own("DELETE", "/assets/stac/collections/col_x/items/x", "stac"),
    open_to_all("GET", "/api/v1/items/it_x/tilejson.json", "tiles"),
    own("GET", "/api/v1/items/it_x/tiles/0/0/0.png", "tiles"),
    open_to_all("GET", "/ogc/processes", "ogc"),
    open_to_all("GET", "/ogc", "ogc"),
    own("GET", "/ogc/jobs", "ogc"),
    own("GET", "/ogc/jobs/job_x", "ogc"),
    own("DELETE", "/ogc/jobs/job_x", "ogc"),
    own("GET", "/ogc/jobs/job_x/results", "ogc"),
    own("POST", "/ogc/processes/ndvi/execution", "ogc", body={"inputs": {}}),
    # agents
    own("POST", "/mcp", body=message("tools/list"), headers=MCP),
    own("POST", "/mcp/", body=message("ping"), headers=MCP),
    own("POST", "/mcp", body=message("no/such"), headers=MCP),
    own("POST", "/mcp", body={"jsonrpc": "2.0", "method": "tools/call"}, headers=MCP),
    tool("items-list"),
    tool("no-such"),
    tool("call_operation", operation="items.list"),
    tool("call_operation", operation="no.such"),
    tool("call_operation", operation="items.list", arguments=5),
    tool("search_operations", query="items"),
    tool("search_operations", query="\0"),
    tool("describe_operation", operation="items.list"),
    tool("wait_for_job", job_id="job_x", seconds=0),
    tool("wait_for_job"),
    # people and programs
    open_to_all("GET", f"{REALM}/.well-known/openid-configuration"),
    open_to_all("GET", f"{AT}/certs"),
    open_to_all("GET", f"{AT}/userinfo"),
    own("GET", f"{AT}/userinfo"),
    own("POST", f"{AT}/userinfo"),
    *(
        open_to_all("POST", f"{AT}/{name}", body=body, headers=FORM)
        for name, body in (
            ("token", "grant_type=password&username=x&password=y"),
            ("token", "grant_type=refresh_token&refresh_token=x&client_id=opstac-cli"),
            ("token", ""),
            ("auth/device", "client_id=opstac-cli"),
            ("revoke", "token=x"),
            ("logout", "refresh_token=x"),
            ("introspect", "token=x&client_secret=y"),
        )
    ),
    open_to_all("GET", f"{AT}/auth"),
    open_to_all("POST", f"{AT}/auth"),
    *(open_to_all("GET", path) for path in ("/sign-in", "/sign-up", "/device", "/account")),
    *(
        open_to_all("POST", path)
        for path in (
            "/sign-in", "/sign-up", "/sign-out", "/account/password", "/account/organization",
            "/account/confirm", "/device/approve", "/lost-password",
        )
    ),
    open_to_all("GET", "/lost-password"),
    *(
        open_to_all(method, f"/{name}/{'x' * 40}", f"/{name}/{{token}}")
        for name in ("invitations", "reset-password", "confirm-address", "sign-up")
        for method in ("GET", "POST")
    ),
    # who has a link
    *(
        open_to_all("GET", f"/share/x{path}", f"/share/{{token}}{route or path}")
        for path, route in (
            ("", ""),
            ("/tilejson.json", ""),
            ("/items/i/tilejson.json", "/items/{item}/tilejson.json"),
            ("/tiles/0/0/0.png", "/tiles/{z}/{x}/{y}.{format}"),
            ("/items/i/tiles/0/0/0.png", "/items/{item}/tiles/{z}/{x}/{y}.{format}"),
            *(
                (f"{path}/wmts{rest}", f"{route}/wmts{shape or rest}")
                for path, route in (("", ""), ("/items/i", "/items/{item}"))
                for rest, shape in (
                    ("", ""),
                    ("/1.0.0/WMTSCapabilities.xml", ""),
                    (
                        "/default/WebMercatorQuad/0/0/0.png",
                        "/{style}/{tms}/{z}/{row}/{col}.{format}",
                    ),
                )
            ),
            ("/assets/as_x", "/assets/{asset}"),
            ("/stac", ""),
            ("/stac/conformance", ""),
            ("/stac/collections", ""),
            ("/stac/collections/c", "/stac/collections/{collection}"),
            ("/stac/collections/c/items", "/stac/collections/{collection}/items"),
            ("/stac/collections/c/items/i", "/stac/collections/{collection}/items/{item:path}"),
            ("/stac/search", ""),
        )
    ),
    open_to_all("POST", "/share/x/stac/search", "/share/{token}/stac/search"),
    # SIGNED stands for an address that was signed for the caller, or for nobody
    own("GET", "SIGNED get", "/storage/{object:path}"),
    own("HEAD", "SIGNED get", "/storage/{object:path}"),
    own("PUT", "SIGNED put", "/storage/{object:path}", body="x"),
    open_to_all("GET", "SIGNED get", "/storage/{object:path}"),
]  # fmt: skip
FREE = {
    "/livez", "/readyz", "/healthz",  # whether the process lives must always be told
    "/", "/static/{path:path}", "/problems/{slug}", "/openapi.json", "/v2/eulas/none",  # texts
    "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp",
    "/v1/payments/stripe/webhook",  # one sender, whose signature is looked at, and nothing else
}  # fmt: skip


class Clock:
    """Stands, and goes on a minute when it is told to."""

    def __init__(self) -> None:
        self.now = float(int(time.time()) // 60 * 60 + 10)

    def time(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(
    dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[compose.Platform, httpx.AsyncClient, Person]]:
    tight = Limits(MOST, MOST, MOST, MOST, reads=MOST, public_reads=MOST)
    async with on_database(dsn, tmp_path_factory.mktemp("tight"), limits=tight) as api:
        yield api.platform, api.client, await api.organization()


def signed(action: str, platform: compose.Platform, holder: str | None, organization: str) -> str:
    until = int(time.time()) + 600
    path = f"{organization}/up_x/f_x.tif"
    most = 10 if action == "put" else None
    grant = signing.Grant(action, path, until, max_bytes=most, holder=holder)  # type: ignore[arg-type]
    return f"/storage/{path}?{signing.sign(grant, platform.keys.storage)}"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "door", DOORS, ids=lambda d: f"{d.method} {d.path} {d.known} {d.body}"[:90]
)
async def test_a_door_counts(
    door: Door, place: Any, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, client, owner = place
    clock.now += 60
    monkeypatch.setattr(limits, "time", SimpleNamespace(time=clock.time))
    headers = dict(door.headers)
    path = door.path
    if path.startswith("SIGNED"):
        org = owner.organization_id
        holder = holders.labelled(owner.user_id, org, None) if door.known else None
        path = signed(path.split()[1], platform, holder, org)
    elif door.known:
        headers["Authorization"] = f"Bearer {owner.token}"
    content = door.body if isinstance(door.body, str | None) else json.dumps(door.body)
    if content is not None and "Content-Type" not in headers:
        headers["Content-Type"] = "application/json"

    async def ask() -> tuple[int, dict[str, Any]]:
        request = client.build_request(door.method, path, headers=headers, content=content)
        answer = await client.send(request, stream=True)
        try:
            status, told = answer.status_code, dict(answer.headers)
            kind = told.get("content-type", "")
            if path.startswith("/mcp") and status == 200:
                result = json.loads(await answer.aread()).get("result", {})
                meta = result.get("_meta", {})
                return meta.get("opstac/status", 200), meta.get("opstac/headers", {})
            if status == 429 and door.method != "HEAD" and "html" not in kind:
                assert await answer.aread()
            return status, told
        finally:
            await answer.aclose()

    for _ in range(MOST):
        status, _told = await ask()
        assert status != 429 and status < 500, status
    status, told = await ask()
    assert status == 429
    lower = {name.lower(): value for name, value in told.items()}
    assert 1 <= int(lower["retry-after"]) <= 60


@pytest.mark.asyncio(loop_scope="module")
async def test_there_is_no_other_door(place: Any) -> None:
    platform, *_ = place
    gateway = platform.app.app._rest
    assert all(isinstance(route, Route) for route in gateway.routes)
    there = {route.path for route in gateway.routes}
    known = {door.route for door in DOORS} | FREE
    assert there - known == set()
    assert there >= FREE
    assert {prefix for prefix, _ in platform.app.app._mounted} == {
        "/assets/stac", "/v2/assets/stac", "/ogc", *compose.TILE_PREFIXES
    }  # fmt: skip
