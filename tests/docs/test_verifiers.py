"""The verifiers of the page on webhooks take what is signed here, and nothing else."""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from pathlib import Path

import pytest
from standardwebhooks import WebhookVerificationError

from ops_gateway.providers.delivery import sign

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "webhooks.md"
BODY = '{"event_type": "item.created", "data": {"name": "Über é"}}'.encode()
NODE = """
import { receive } from "./verifier.mjs";
import { readFileSync } from "node:fs";
for (const { secret, body, headers } of JSON.parse(readFileSync(0))) {
  try { console.log(receive(secret, Buffer.from(body, "base64"), headers).event_type); }
  catch (error) { console.log("refused"); }
}
"""
LIBRARY = """
import { Webhook } from "standardwebhooks";
import { readFileSync } from "node:fs";
for (const { secret, body, headers } of JSON.parse(readFileSync(0))) {
  try {
    const text = Buffer.from(body, "base64").toString();
    console.log(new Webhook(secret).verify(text, headers).event_type);
  } catch (error) { console.log("refused"); }
}
"""


def example(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found.group(1)


def secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


@pytest.fixture(scope="module")
def cases():
    """(secret, body, headers, whether it is right) of messages."""
    new, old = secret(), secret()
    names = {"event_type": "item.created", "event_id": "evt_1", "delivery_id": "dlv_1"}
    right = sign(BODY, [new, old], **names)
    late = sign(BODY, [new], **names, at=int(time.time()) - 3600)
    other_id = {**right, "webhook-id": "evt_2"}
    return [
        (new, BODY, right, True),
        (old, BODY, right, True),
        (secret(), BODY, right, False),
        (new, BODY + b" ", right, False),
        (new, BODY, late, False),
        (new, BODY, other_id, False),
        (new, BODY, {**right, "webhook-signature": "v1,"}, False),
        (new, BODY, {**right, "webhook-signature": "v2," + "A" * 44}, False),
    ]


def test_in_python(cases):
    names: dict = {}
    exec(example("python"), names)  # noqa: S102
    for key, body, headers, right in cases:
        if right:
            assert names["receive"](key, body, headers)["event_type"] == "item.created"
        else:
            with pytest.raises(WebhookVerificationError):
                names["receive"](key, body, headers)


def given(cases) -> str:
    return json.dumps(
        [
            {"secret": key, "body": base64.b64encode(body).decode(), "headers": headers}
            for key, body, headers, _ in cases
        ]
    )


def wanted(cases) -> list[str]:
    return ["item.created" if right else "refused" for *_, right in cases]


def test_by_the_published_javascript_library(cases, node):
    said = node.node("--input-type=module", "--eval", LIBRARY, stdin=given(cases))
    assert said.splitlines() == wanted(cases)


def test_in_javascript(cases, node, tmp_path):
    (tmp_path / "verifier.mjs").write_text(example("js"))
    (tmp_path / "main.mjs").write_text(NODE)
    said = node.node("main.mjs", cwd=tmp_path, stdin=given(cases))
    assert said.splitlines() == wanted(cases)
