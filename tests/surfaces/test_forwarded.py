"""Links behind a proxy: its headers say where clients reach us, only where it is trusted."""

from __future__ import annotations

import re

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops_gateway.surfaces.edge import Edge
from ops_gateway.surfaces.forwarded import forwarded_url

SAID = [
    ({}, "http://in:80"),
    ({"forwarded": "proto=https;host=test:1234"}, "https://test:1234"),
    ({"forwarded": "host=test, host=inner;proto=http"}, "http://test"),
    (
        {"forwarded": 'for="[::1]:1, 2";Host="[2001:db8::1]:81" ; PROTO=HTTPS'},
        "https://[2001:db8::1]:81",
    ),
    ({"forwarded": "for=1.2.3.4", "x-forwarded-host": "geo.example"}, "http://geo.example"),
    ({"x-forwarded-proto": "https", "x-forwarded-port": "1234"}, "https://in:1234"),
    ({"x-forwarded-proto": "https", "x-forwarded-port": "443"}, "https://in"),
    (
        {"x-forwarded-proto": "http", "x-forwarded-host": "a, b", "x-forwarded-port": "443"},
        "http://a:443",
    ),
    ({"x-forwarded-host": "geo.example:81", "x-forwarded-port": "82"}, "http://geo.example:81"),
    ({"x-forwarded-host": "g.example", "x-forwarded-prefix": "/eo/v1/"}, "http://g.example/eo/v1"),
    ({"forwarded": "host=g.example", "x-forwarded-prefix": "/eo, /b"}, "http://g.example/eo"),
    # the standard header counts alone
    (
        {
            "forwarded": "proto=https;host=test:1234",
            "x-forwarded-proto": "http",
            "x-forwarded-port": "4321",
        },
        "https://test:1234",
    ),
    # what is malformed is not there
    ({"forwarded": "host"}, "http://in:80"),
    ({"forwarded": 'proto=https;host="a'}, "http://in:80"),
    ({"forwarded": "proto=https;host=test/../"}, "https://in:80"),
    ({"x-forwarded-host": "evil/#", "x-forwarded-proto": "javascript"}, "http://in:80"),
    ({"x-forwarded-port": "99999"}, "http://in:80"),
    ({"x-forwarded-port": "²"}, "http://in:80"),
    ({"x-forwarded-prefix": "//evil.example"}, "http://in:80"),
    ({"x-forwarded-prefix": "/a/../b"}, "http://in:80"),
    ({"x-forwarded-prefix": "/a?b"}, "http://in:80"),
]


@pytest.mark.parametrize(("headers", "url"), SAID)
def test_what_a_proxy_says_is_read(headers: dict[str, str], url: str) -> None:
    assert forwarded_url(headers, "http", "in:80") == url


@settings(suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure
@given(
    st.dictionaries(
        st.sampled_from(
            ["forwarded", *(f"x-forwarded-{name}" for name in ("proto", "host", "port", "prefix"))]
        ),
        st.text(max_size=60) | st.text('proto=https;host"\\, []:/.12', max_size=60),
    )
)
def test_anything_gives_a_plain_url(headers: dict[str, str]) -> None:
    url = forwarded_url(headers, "http", "in")
    assert re.fullmatch(r"https?://[A-Za-z0-9._\-\[\]:]+(/[A-Za-z0-9._~-]+)*", url)


@pytest.mark.parametrize("path", ["/assets/stac/", "/assets/stac/collections", "/ogc/"])
async def test_links_follow_the_proxy_only_where_it_is_trusted(api, path):
    headers = {
        "Forwarded": "proto=https;host=geo.example",
        "X-Forwarded-Prefix": "/eo",
        "Authorization": f"Bearer {(await api.organization()).token}",
    }
    inner = api.platform.app
    for said, base in (
        ({}, "http://in"),
        ({"trusted_proxy": True}, "https://geo.example/eo"),
        ({"trusted_proxy": True, "public_url": "https://set.example"}, "https://set.example"),
    ):
        app = Edge(inner.app, api.platform.authenticator, **said)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://in") as client:
            answer = await client.get(path, headers=headers)
        assert answer.status_code == 200, answer.text
        links = [link["href"] for link in answer.json()["links"]]
        assert links and all(href.startswith(f"{base}/") for href in links), links
