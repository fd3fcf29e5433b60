"""The alert guide's worked example as it is printed, over HTTP and in Python.

What a reader has to put in is in `PUT_IN`; nothing else of it is changed.
"""

from __future__ import annotations

import asyncio
import json

import pytest

CREATE = """\
POST /v1/op/alerts.create_rule HTTP/1.1
Host: api.geopera.com
Authorization: Bearer gpra_your_api_key
Content-Type: application/json
{
"name": "Burn-scar NBR alert",
"expression": "(b4 - b6) / (b4 + b6)",
"comparison": "lt",
"threshold": -0.1,
"collection_id": "col_a1b2c3",
"notification_channels": ["webhook", "in_app"]
}"""
EVENTS = """\
POST /v1/op/alerts.events.list HTTP/1.1
Host: api.geopera.com
Authorization: Bearer gpra_your_api_key
Content-Type: application/json
{ "acknowledged": false, "limit": 50 }"""
PYTHON = """\
from geopera import Geopera
client = Geopera(token="gpra_your_api_key")
# 1. Create the rule.
created = client.op(
    "alerts.create_rule",
    {
        "name": "Burn-scar NBR alert",
        "expression": "(b4 - b6) / (b4 + b6)",
        "comparison": "lt",
        "threshold": -0.1,
        "collection_id": "col_a1b2c3",
        "notification_channels": ["webhook", "in_app"],
    },
)
rule_id = created["alert_rule"]["id"]
# 2. Dry-run it against a known item before trusting it.
dry = client.op("alerts.test_rule", {"rule_id": rule_id, "item_id": "item_abc123"})
print(dry["computed_value"], "would_trigger:", dry["would_trigger"])
# 3. Drain the unacknowledged event queue.
events = client.op(
    "alerts.events.list",
    {"rule_id": rule_id, "acknowledged": False, "limit": 50},
)
for event in events["alert_events"]:
    client.op("alerts.acknowledge_event", {"event_id": event["id"]})
"""
PUT_IN = {
    "from geopera import": "from opstac import",  # the package, which is this one here
    "api.geopera.com": "{host}",
    "gpra_your_api_key": "{key}",
    "col_a1b2c3": "{collection}",
    "item_abc123": "{item}",
}


@pytest.fixture
def service() -> str:
    return "gateway"


@pytest.fixture
async def guided(live, tmp_path, system, watching):
    """(watch, the function that puts a reader's own things in, a burnt scene in the collection)."""
    watch = await watching(live, tmp_path, system)
    body = {"name": "watched", "project_id": watch.project}
    collection = (await live.ok("collections.create", body, as_=watch.owner))["id"]
    burnt = watch.noise()
    burnt[5] = burnt[3] * 2 + 1

    async def scene() -> str:
        return await watch.item(watch.raster(burnt, nodata=0), collection_id=collection)

    known = await scene()
    own = {
        "host": live.client.base_url.netloc.decode(),
        "key": (await live.key(watch.owner, "alerts:*")).token,
        "collection": collection,
        "item": known,
    }

    def put_in(text: str) -> str:
        for printed, ours in PUT_IN.items():
            text = text.replace(printed, ours.format(**own))
        return text

    return watch, put_in, scene


async def send(live, text: str):
    """Send a request as it is printed."""
    head, _, body = text.partition("\n{")
    first, *lines = head.splitlines()
    method, path, _ = first.split()
    headers = dict(line.split(": ", 1) for line in lines)
    answer = await live.client.request(method, path, headers=headers, content="{" + body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_worked_example_over_http(live, guided):
    watch, put_in, scene = guided
    created = (await send(live, put_in(CREATE)))["alert_rule"]
    printed = json.loads(put_in(CREATE).split("\n", 4)[4])
    assert {name: created[name] for name in printed} == printed
    assert created["created_by"] is None and created["active"] is True
    assert await send(live, put_in(EVENTS)) == {"alert_events": [], "count": 0}
    item = await scene()
    await watch.run()
    listed = await send(live, put_in(EVENTS))
    [event] = listed["alert_events"]
    assert listed["count"] == 1
    assert (event["rule_id"], event["item_id"]) == (created["id"], item)
    assert event["computed_value"] < -0.1 and event["acknowledged"] is False
    [note] = await live.ok("notifications.list", as_=watch.owner)
    assert note["title"] == "Alert: Burn-scar NBR alert"
    value = f"{event['computed_value']:.3f}"
    assert note["body"] == f"Mean value {value} fell below -0.1 on {item}"


async def test_the_worked_example_in_python(live, guided, monkeypatch):
    watch, put_in, scene = guided
    monkeypatch.setenv("GEOPERA_API_URL", str(live.client.base_url))
    loop = asyncio.get_running_loop()
    said = []

    async def later() -> None:
        await scene()
        await watch.run()

    def printed(*words) -> None:
        """What the example prints; then a scene comes in, before the queue is drained."""
        said.append(words)
        asyncio.run_coroutine_threadsafe(later(), loop).result(60)

    names = {"print": printed}
    await asyncio.to_thread(exec, compile(put_in(PYTHON), "guide", "exec"), names)
    names["client"].close()
    [(value, words, would)] = said
    assert value < -0.1 and (words, would) == ("would_trigger:", True)
    [event] = await watch.events(rule_id=names["rule_id"])
    assert event["acknowledged"] is True and event["acknowledged_at"].endswith("Z")
    assert [e["id"] for e in names["events"]["alert_events"]] == [event["id"]]


async def test_the_client_raises_what_the_platform_refuses(live, monkeypatch):
    import opstac

    monkeypatch.setenv("GEOPERA_API_URL", str(live.client.base_url))
    owner = await live.organization()

    def ask() -> opstac.OperationError:
        with (
            opstac.Client(token=owner.token) as client,
            pytest.raises(opstac.OperationError) as caught,
        ):
            client.op("alerts.rule.get", {"rule_id": "ar_missing"})
        return caught.value

    error = await asyncio.to_thread(ask)
    assert error.status == 404 and error.problem["detail"] == "alert rule not found"
    with pytest.raises(AttributeError, match="Nothing"):
        _ = opstac.Nothing
