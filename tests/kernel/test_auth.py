"""Who gets in, as whom, and who does not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ops_gateway.kernel.authenticate import (
    Authenticator,
    issue_job_token,
    issue_session,
    mint_key,
)

READ = "/v1/op/trial.things.get?thing_id=x"


async def get(trial, *headers, path=READ):
    return await trial.api.client.get(path, headers=list(headers))


async def refused(trial, *headers):
    response = await get(trial, *headers)
    assert response.status_code == 401, response.text
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == 401 and problem["title"] and problem["detail"]
    return problem


def bearer(token):
    return ("Authorization", f"Bearer {token}")


def claims(trial, **changes):
    now = int(time.time())
    made = {
        "iss": trial.api.platform.settings.issuer,
        "aud": "opstac",
        "sub": trial.owner.user_id,
        "iat": now,
        "nbf": now,
        "exp": now + 60,
    }
    return {name: value for name, value in {**made, **changes}.items() if value is not None}


def signed(trial, *, key=None, headers=None, **changes):
    session = trial.api.platform.keys.session()
    headers = {"kid": session.kid, **(headers or {})}
    return jwt.encode(claims(trial, **changes), key or session.private, "EdDSA", headers=headers)


def part(value) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def test_a_session_gets_in(trial):
    assert (await get(trial, bearer(signed(trial)))).status_code == 200


async def test_nobody_gets_in_without_a_credential(trial):
    for headers in (
        [],
        [("Authorization", "Basic dTpw")],
        [("Authorization", "Bearer ")],
        [("X-API-Key", "")],
    ):
        await refused(trial, *headers)


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "nOnE", "HS256", "HS512", "ES256", "RS256", "", None, 5]
)
async def test_another_algorithm_never_holds(trial, algorithm):
    keys = trial.api.platform.keys
    content = (
        part({"alg": algorithm, "typ": "JWT", "kid": keys.session().kid})
        + "."
        + part(claims(trial))
    )
    # an HMAC keyed by the public key is the classic confusion
    forged = hmac.new(keys.session().public_bytes(), content.encode(), hashlib.sha256).digest()
    for signature in ("", base64.urlsafe_b64encode(forged).rstrip(b"=").decode()):
        await refused(trial, bearer(f"{content}.{signature}"))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": 2**40},
        {"nbf": None},
        {"aud": "worker"},
        {"aud": None},
        {"aud": ["x"]},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"sub": None},
        {"sub": 5},
        {"sub": "x"},
        {"sub": str(uuid.UUID(int=1))},
        {"sub": {"a": 1}},
        {"exp": -(2**70)},
    ],
)
async def test_wrong_claims_do_not_hold(trial, changes):
    await refused(trial, bearer(signed(trial, **changes)))


async def test_a_minute_of_clock_skew_is_too_much_and_ten_seconds_are_not(trial):
    now = int(time.time())
    assert (await get(trial, bearer(signed(trial, exp=now - 10)))).status_code == 200
    await refused(trial, bearer(signed(trial, exp=now - 60)))


@pytest.mark.parametrize(
    "headers",
    [
        {"kid": "session-2"},
        {"kid": "worker-1"},
        {"kid": "../../etc/passwd"},
        {"crit": ["exp"]},
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/c"},
        {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AA"}},
        {"x5c": ["AA"]},
    ],
)
async def test_a_header_that_names_a_key_or_an_extension_does_not_hold(trial, headers):
    await refused(trial, bearer(signed(trial, headers=headers)))
    await refused(trial, bearer(signed(trial, headers=headers, key=Ed25519PrivateKey.generate())))


async def test_a_foreign_signature_does_not_hold(trial):
    await refused(trial, bearer(signed(trial, key=Ed25519PrivateKey.generate())))
    head, content, signature = signed(trial).split(".")
    other = part(claims(trial, sub=trial.api.user().user_id))
    await refused(trial, bearer(f"{head}.{other}.{signature}"))
    await refused(trial, bearer(f"{head}.{content}."))


@pytest.mark.parametrize(
    "token",
    [
        "..",
        "a.b.c",
        "eyJ.eyJ.x",
        "....",
        "x" * 5000,
        "gpra_",
        "gpra_" + "x" * 57,
        "astra_sk_live_",
        "é.é.é",
        "null.null.null",
        part([]) + "." + part([]) + ".x",
        part({"alg": "EdDSA"}) + ".e30.",
        "\x01",
        "Bearer x",
    ],
)
async def test_garbage_does_not_hold(trial, token):
    raw = [(b"Authorization", b"Bearer " + token.encode("latin-1"))]
    response = await trial.api.client.get(READ, headers=raw)
    assert response.status_code == 401, response.text
    response = await trial.api.client.get(READ, headers=[(b"X-API-Key", token.encode("latin-1"))])
    assert response.status_code == 401, response.text


async def test_a_disabled_person_is_out_at_once(trial):
    assert (await get(trial, bearer(trial.owner.token))).status_code == 200
    trial.api.sql("update app_user set disabled_at = now() where id = %s", trial.owner.user_id)
    await refused(trial, bearer(trial.owner.token))


# ---------------------------------------------------------------- keys


async def test_a_key_gets_in_by_either_header_and_any_prefix(trial):
    token, _ = trial.api_key("trial:read")
    body = token.removeprefix("gpra_")
    for prefix in ("gpra_", "astra_sk_live_", "astra_sk_test_"):
        for header in (
            bearer(prefix + body),
            ("X-API-Key", prefix + body),
            ("authorization", f"bearer {prefix}{body}"),
        ):
            assert (await get(trial, header)).status_code == 200, header
    await refused(trial, bearer(body))
    await refused(trial, bearer("gprb_" + body))


async def test_a_mistyped_key_is_told_so_without_asking_the_database(trial):
    token, _ = trial.api_key("trial:read")
    for place in (5, 20, len(token) - 1):
        other = "0" if token[place] != "0" else "1"
        problem = await refused(trial, bearer(token[:place] + other + token[place + 1 :]))
        assert "checksum" in problem["detail"]


async def test_a_well_formed_key_that_was_never_made_does_not_hold(trial):
    await refused(trial, bearer(mint_key().token))


async def test_the_lookup_part_alone_opens_nothing(trial):
    token, _ = trial.api_key("trial:read")
    stranger = mint_key()
    import zlib

    from ops_gateway.kernel.authenticate import _base62

    mixed = token[5:13] + stranger.token[13:56]
    forged = "gpra_" + mixed + _base62(zlib.crc32(mixed.encode()), 6)
    await refused(trial, bearer(forged))


@pytest.mark.parametrize(
    "columns",
    [{"revoked_at": "now()"}, {"expires_at": "now()"}, {"expires_at": "now() - interval '1 year'"}],
)
async def test_a_revoked_or_expired_key_does_not_hold(trial, columns):
    token, _ = trial.api_key("trial:read", **columns)
    await refused(trial, bearer(token))
    await refused(trial, ("X-API-Key", token))


async def test_a_key_is_out_the_moment_it_is_revoked(trial):
    token, key_id = trial.api_key("trial:read", expires_at="now() + interval '1 hour'")
    assert (await get(trial, bearer(token))).status_code == 200
    trial.api.sql("update api_key set revoked_at = now() where id = %s", key_id)
    await refused(trial, bearer(token))


async def test_a_key_of_a_deleted_organization_does_not_hold(trial):
    token, _ = trial.api_key("trial:read")
    trial.api.sql(
        "update organization set deleted_at = now() where organization_id = %s",
        trial.organization_id,
    )
    await refused(trial, bearer(token))


async def test_only_a_hash_of_a_key_is_stored(trial):
    token, key_id = trial.api_key("trial:read")
    row = trial.api.sql(
        "select row_to_json(api_key)::text as row from api_key where id = %s", key_id
    )[0]["row"]
    assert token[13:56] not in row


async def test_a_keys_use_is_noted(trial):
    token, key_id = trial.api_key("trial:read")
    for _ in range(3):
        await get(trial, bearer(token))
    assert trial.api.sql("select last_used_at from api_key where id = %s", key_id)[0][
        "last_used_at"
    ]


async def test_a_key_does_what_its_scopes_say(trial):
    for scopes, read, write in [
        (["trial:read"], 200, 403),
        (["*:read"], 200, 403),
        (["trial:*"], 200, 200),
        (["*"], 200, 200),
        (["items:*"], 403, 403),
        ([], 403, 403),
    ]:
        token, _ = trial.api_key(*scopes)
        assert (await get(trial, bearer(token))).status_code == read, scopes
        response = await trial.api.client.post("/v1/op/trial.spend", headers=[bearer(token)])
        assert response.status_code == write, scopes
        if write == 403:
            assert response.json()["detail"] == "missing scope 'trial:write' for 'trial.spend'"


async def test_no_scope_of_an_organization_reaches_the_operators_operations(trial):
    for scopes in (["*"], ["*:read", "*:write"], ["trial:*"]):
        token, _ = trial.api_key(*scopes)
        response = await trial.api.client.post("/v1/op/trial.root", headers=[bearer(token)])
        assert response.status_code == 403, scopes
    assert (await trial.call("root")).status_code == 403


async def test_a_key_is_no_person(trial):
    token, _ = trial.api_key("*")
    response = await trial.api.client.post("/v1/op/trial.human", headers=[bearer(token)])
    assert response.status_code == 403
    await trial.ok("human")


# ---------------------------------------------------------------- two headers, other callers


async def test_bearer_wins_over_the_key_header(trial):
    good, _ = trial.api_key("trial:read")
    poor, _ = trial.api_key("items:read")
    assert (await get(trial, bearer(good), ("X-API-Key", "gpra_wrong"))).status_code == 200
    assert (await get(trial, bearer(poor), ("X-API-Key", good))).status_code == 403
    await refused(trial, bearer("gpra_wrong"), ("X-API-Key", good))
    assert (
        await get(trial, ("Authorization", "Basic dTpw"), ("X-API-Key", good))
    ).status_code == 200


async def test_the_cron_token_is_a_service_for_the_operators_operations_only(trial):
    platform = trial.api.platform
    with_cron = Authenticator(
        platform.pool, platform.keys, issuer="opstac", cron_token="cron-secret-0123456789"
    )
    principal = await with_cron.authenticate("cron-secret-0123456789")
    assert (principal.kind, principal.organization_id) == ("service", None)
    assert principal.allows("admin:write")
    assert not principal.allows("trial:write") and not principal.allows("items:read")
    await refused(trial, bearer("cron-secret-0123456789"))


async def test_a_person_without_an_organization_is_told_so(trial):
    nobody = trial.api.user()
    problem = await trial.refused(403, "spend", as_=nobody)
    assert problem["detail"] == "User not in an organization"
    # before the body is looked at
    problem = await trial.refused(403, "things.get", {"thing_id": 5}, as_=nobody)
    assert problem["detail"] == "User not in an organization"


async def test_what_is_done_without_an_organization_is_recorded(trial, monkeypatch):
    from ops_gateway.kernel import authenticate

    monkeypatch.setattr(
        authenticate, "NO_ORGANIZATION_SCOPES", authenticate.NO_ORGANIZATION_SCOPES | {"trial:*"}
    )
    nobody = trial.api.user()
    assert await trial.ok("alone", as_=nobody, key="k") == {"text": "user"}
    rows = trial.api.sql(
        "select organization_id, operation from audit where principal_id = %s", nobody.user_id
    )
    assert rows == [{"organization_id": "platform", "operation": "trial.alone"}]
    assert trial.api.sql("select * from verify_chains('platform')", role="opstac_app") == []


# ---------------------------------------------------------------- workers


def job(trial, status="running", epoch=2) -> str:
    project = trial.api.sql(
        "insert into project (id, organization_id, name)"
        " values ('proj_' || gen_random_uuid(), %s, 'p') returning id",
        trial.organization_id,
    )[0]["id"]
    return trial.api.sql(
        "insert into job (id, organization_id, project_id, job_type_id, status, epoch)"
        " values ('job_' || gen_random_uuid(), %s, %s, 'clip', %s, %s) returning id",
        trial.organization_id,
        project,
        status,
        epoch,
    )[0]["id"]


def job_token(trial, job_id, *, epoch=2, org=None, seconds=60):
    platform = trial.api.platform
    return issue_job_token(
        platform.keys,
        platform.settings.issuer,
        job_id=job_id,
        organization_id=org or trial.organization_id,
        epoch=epoch,
        seconds=seconds,
    )


async def test_a_workers_token_does_its_own_job_and_nothing_else(trial):
    job_id = job(trial)
    token = job_token(trial, job_id)
    post = trial.api.client.post
    response = await post("/v1/op/trial.job", headers=[bearer(token)])
    assert response.json() == {"text": f"{job_id} 2"}
    assert (await post("/v1/op/trial.spend", headers=[bearer(token)])).status_code == 403
    assert (await get(trial, bearer(token))).status_code == 403
    for op_id in ("processing.create", "items.list", "organizations.get", "trial.root"):
        assert (await post(f"/v1/op/{op_id}", headers=[bearer(token)])).status_code in (403, 404), (
            op_id
        )


async def test_a_workers_token_that_does_not_fit_its_job(trial):
    job_id = job(trial)
    other = await trial.api.organization()
    await refused(trial, bearer(job_token(trial, job_id, org=other.organization_id)))
    await refused(trial, bearer(job_token(trial, "job_gone")))
    await refused(trial, bearer(job_token(trial, job_id, seconds=-60)))
    ended = job(trial, "completed", epoch=3)
    await refused(trial, bearer(job_token(trial, ended, epoch=2)))


async def test_people_and_keys_are_no_workers(trial):
    await trial.refused(403, "job")
    token, _ = trial.api_key("*")
    assert (
        await trial.api.client.post("/v1/op/trial.job", headers=[bearer(token)])
    ).status_code == 403


async def test_a_session_key_signs_no_worker_and_a_worker_key_no_session(trial):
    keys, issuer = trial.api.platform.keys, trial.api.platform.settings.issuer
    as_worker = jwt.encode(
        claims(
            trial,
            aud="worker",
            sub="worker:x",
            job_id=job(trial),
            org=trial.organization_id,
            epoch=2,
        ),
        keys.session().private,
        "EdDSA",
        headers={"kid": keys.session().kid},
    )
    await refused(trial, bearer(as_worker))
    as_session = jwt.encode(
        claims(trial), keys.worker.private, "EdDSA", headers={"kid": keys.worker.kid}
    )
    await refused(trial, bearer(as_session))
    assert (
        await get(trial, bearer(issue_session(keys, issuer, trial.owner.user_id)))
    ).status_code == 200
