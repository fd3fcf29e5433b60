"""Logs and figures say what an operator needs and nothing that opens a door."""

from __future__ import annotations

import io
import json
import logging

import httpx
import pytest

from ops_gateway.kernel.ids import new_id
from ops_gateway.kernel.logs import QUIET, JsonFormatter, configure_logging, redact

CANARY = "Kanarienvogel9f3a7c51"
JWT = f"eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.{CANARY}"


@pytest.fixture
def logged():
    """Everything that any logger says, as it would be written."""
    stream = io.StringIO()
    root = logging.getLogger()
    level, levels = root.level, {name: logging.getLogger(name).level for name in QUIET}
    handler = configure_logging("DEBUG", stream)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(False)
    logging.getLogger("uvicorn.access").disabled = False
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}",
        f"authorization=Basic {CANARY}",
        f"'x-api-key': '{CANARY}'",
        f"(b'authorization', b'Bearer {CANARY}')",
        f'{{"password": "{CANARY}"}}',
        f"password={CANARY}&x=1",
        f"client_secret={CANARY}",
        f'"refresh_token":"{CANARY}"',
        f"https://h/storage/x?exp=1&sig={CANARY}",
        f"https://h/x?X-Amz-Signature={CANARY}&a=b",
        f"postgresql://opstac:{CANARY}@localhost/db",
        f"gpra_{CANARY}",
        f"whsec_{CANARY}",
        f"astra_sk_live_{CANARY}",
        f"key gpra_{CANARY} was refused",
        JWT,
        f"token {JWT}.",
        f"Set-Cookie: session={CANARY}; HttpOnly",
        f"API-Key: {CANARY}",
        f'secret = "a \\" {CANARY}"',
        f'{{\\"password\\": \\"{CANARY}\\"}}',
        f"PASSWORD: {CANARY}",
        f"BILLING_CRON_TOKEN={CANARY}",
    ],
)
def test_secrets_are_taken_out_of_any_text(text):
    assert CANARY not in redact(text)
    assert "[redacted]" in redact(text)


@pytest.mark.parametrize(
    "text",
    ["operation", "12 items of org_1 in 3 ms", "the author is known", "POST /v1/op/api_keys.list"],
)
def test_other_text_is_left_alone(text):
    assert redact(text) == text


def test_a_record_is_one_line_of_known_fields():
    record = logging.makeLogRecord(
        {
            "name": "x",
            "levelname": "INFO",
            "msg": "two\nlines %s",
            "args": (5,),
            "op": "items.get",
            "duration_ms": 1.5,
            "body": CANARY,
            "headers": {"authorization": CANARY},
            "status": 200,
        }
    )
    text = JsonFormatter().format(record)
    assert "\n" not in text and CANARY not in text
    line = json.loads(text)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "INFO",
        "logger": "x",
        "message": "two\nlines 5",
        "op": "items.get",
        "duration_ms": 1.5,
        "status": 200,
    }


def test_an_exception_is_logged_without_its_secrets():
    try:
        raise ValueError(f"cannot use password={CANARY}")
    except ValueError:
        import sys

        record = logging.makeLogRecord({"msg": "failed", "exc_info": sys.exc_info()})
    line = json.loads(JsonFormatter().format(record))
    assert "ValueError" in line["exception"] and CANARY not in line["exception"]


async def test_no_canary_reaches_logs_records_problems_or_figures(trial, logged, monkeypatch):
    """Secrets in every place a caller can put one, through answers of every kind."""
    token, _ = trial.api_key("trial:*")
    secret = {
        "password": CANARY,
        "token": CANARY,
        "client_secret": CANARY,
        "authorization": CANARY,
        "headers": {"Authorization": f"Bearer {CANARY}", "X-API-Key": f"gpra_{CANARY}"},
    }
    headers = {
        "Cookie": f"session={CANARY}",
        "X-Secret": CANARY,
        "Referer": f"https://u:{CANARY}@h/?sig={CANARY}",
    }
    credentials = [
        {"Authorization": f"Bearer {trial.owner.token}"},
        {"X-API-Key": token},
        {"X-API-Key": f"gpra_{CANARY}"},
        {"Authorization": f"Bearer {JWT}"},
        {"Authorization": f"Bearer {CANARY}"},
        {"Authorization": f"Basic {CANARY}"},
        {"Authorization": f"Bearer gpra_{CANARY}{CANARY}{CANARY}"},
    ]
    answers: list[httpx.Response] = []
    client = trial.api.client
    for credential in credentials:
        given = {**headers, **credential}
        for op_id, body in [
            ("spend", {**secret, "amount": 1}),
            ("spend", {**secret, "amount": 10**6}),
            ("spend", {**secret, "amount": CANARY}),
            ("things.get", {**secret, "thing_id": "missing"}),
            ("orphan", secret),
            ("misfit", secret),
            ("secret", secret),
            ("nope", secret),
        ]:
            answers.append(await client.post(f"/v1/op/trial.{op_id}", json=body, headers=given))
        answers.append(
            await client.get(
                f"/v1/trial/things?sig={CANARY}&token={CANARY}&amount=x", headers=given
            )
        )
        answers.append(
            await client.get(
                f"/realms/public/protocol/openid-connect/userinfo?access_token={CANARY}",
                headers=given,
            )
        )
        answers.append(
            await client.post(
                "/v1/op/trial.spend", content=f'{{"password":"{CANARY}"', headers=given
            )
        )
    monkeypatch.setenv("OPSTAC_FAULT", "execute:raise")
    answers.append(await trial.call("spend", secret))
    monkeypatch.delenv("OPSTAC_FAULT")
    minted = (await trial.ok("secret", key=CANARY[:8]))["token"]

    statuses = {answer.status_code for answer in answers}
    assert {200, 401, 402, 404, 422, 500} <= statuses
    for answer in answers:
        if answer.status_code >= 400:
            assert CANARY not in answer.text, answer.text
    written = logged.getvalue()
    assert "operation failed" in written and "Fault" in written, "the failure itself is logged"
    audit = json.dumps(
        trial.api.sql("select * from audit where organization_id = %s", trial.organization_id),
        default=str,
    )
    assert '"trial.spend"' in audit
    figures = trial.api.platform.metrics.text().decode()
    for place in (written, audit, figures):
        for private in (CANARY, minted, token, trial.owner.token, token[13:56]):
            assert private not in place
    for line in written.splitlines():
        json.loads(line)


async def test_a_call_leaves_one_line_of_the_operation_and_one_of_the_request(trial, logged):
    request_id = new_id("req")
    headers = {"Authorization": f"Bearer {trial.owner.token}", "X-Request-Id": request_id}
    await trial.api.client.post("/v1/op/trial.spend", json={"amount": 1}, headers=headers)
    lines = [
        line
        for line in map(json.loads, logged.getvalue().splitlines())
        if line.get("request_id") == request_id
    ]
    operation, request = lines
    assert (
        operation["message"] == "operation"
        and operation["op"] == "trial.spend"
        and operation["outcome"] == 200
    )
    assert (
        request["message"] == "request"
        and request["status"] == 200
        and request["path"] == "/v1/op/trial.spend"
    )
    assert {operation["organization"], request["organization"]} == {trial.organization_id}
    assert 0 < operation["duration_ms"] <= request["duration_ms"]


async def test_figures_count_operations_requests_and_connections(trial):
    await trial.ok("spend", {"amount": 1})
    await trial.refused(402, "spend", {"amount": 5000})
    metrics = trial.api.platform.metrics
    assert await metrics.look_at_ledger(trial.api.platform.pool) == 0
    transport = httpx.ASGITransport(metrics.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://m") as client:
        answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert 'opstac_operations_total{operation="trial.spend",outcome="200"} 1.0' in lines
    assert 'opstac_operations_total{operation="trial.spend",outcome="402"} 1.0' in lines
    assert any(
        line.startswith('opstac_requests_total{method="POST",status="402"}') for line in lines
    )
    assert 'opstac_pool_connections{pool="opstac_app",state="max"} 12.0' in lines
    faults = [line for line in lines if line.startswith("opstac_ledger_faults{")]
    assert len(faults) == 8 and all(line.endswith(" 0.0") for line in faults)
    assert trial.organization_id not in answer.text


async def test_a_broken_ledger_shows(trial):
    hold = (await trial.ok("spend", {"amount": 5}))["hold_id"]
    change = (
        "update account set balance = balance + {} where organization_id = %s and kind = 'held'"
    )
    trial.api.sql(change.format(1), trial.organization_id)
    try:
        metrics = trial.api.platform.metrics
        assert await metrics.look_at_ledger(trial.api.platform.pool) == 2
        assert 'sum of its entries"} 1.0' in metrics.text().decode()
    finally:
        trial.api.sql(change.format(-1), trial.organization_id)
    await trial.ok("void", {"hold_id": hold})
