"""What the access log tells of a request, and what it must not."""

import logging

import pytest


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/api/v1/renders/tt_secret/tilejson.json", "/api/v1/renders/…/tilejson.json"),
        ("/api/v1/renders/tt_secret/1/0/0.png?key=tt_secret", "/api/v1/renders/…/1/0/0.png"),
        ("/share/secret/tiles/0/0/0.png?password=secret", "/share/…/tiles/0/0/0.png"),
        ("/api/v1/items/it_x/viewer?key=gpra_secret", "/api/v1/items/it_x/viewer"),
    ],
)
async def test_keys_and_tokens_of_addresses_are_not_logged(api, caplog, path, logged):
    with caplog.at_level(logging.DEBUG):
        await api.client.get(path)
    (record,) = [r for r in caplog.records if r.name == "opstac.access"]
    assert record.path == logged
    assert "secret" not in str([vars(r) for r in caplog.records if not r.name.startswith("httpx")])
