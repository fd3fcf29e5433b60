"""Executions, jobs and results over the OGC surface."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from email import message_from_bytes

import httpx
import pytest

from processes import ogc_results

STATUS_MEMBERS = {"type", "processID", "jobID", "status", "progress", "created", "updated", "links"}
TIFF = "image/tiff; application=geotiff"
SHAPE = {"source_item_id": "it_1", "aoi_geometry": {"type": "Point", "coordinates": [0, 0]}}


def execute(client, process_id="echo", inputs=None, prefer=None, **members):
    headers = {"Prefer": prefer} if prefer else {}
    body = {"inputs": inputs or {}, **members}
    return client.post(f"/ogc/processes/{process_id}/execution", json=body, headers=headers)


async def start(client, process_id="echo", **inputs) -> dict:
    response = await execute(client, process_id, inputs, "respond-async")
    assert response.status_code == 201, response.text
    return response.json()


def exception(response, status: int, name: str) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"].endswith(name)
    assert problem["status"] == status
    return problem


async def test_an_asynchronous_execution_answers_with_the_job(ogc, platform) -> None:
    response = await execute(ogc, inputs={"pause": 5}, prefer="respond-async")
    assert response.status_code == 201
    info = response.json()
    assert set(info) >= STATUS_MEMBERS
    assert (info["type"], info["processID"], info["status"]) == ("process", "echo", "accepted")
    assert response.headers["location"] == f"http://test/ogc/jobs/{info['jobID']}"
    assert response.headers["preference-applied"] == "respond-async"
    assert platform.submitted[0].mode == "async"
    again = (await ogc.get(response.headers["location"])).json()
    assert again["jobID"] == info["jobID"]
    assert again["status"] == "running"
    assert "started" in again and "finished" not in again
    assert not [link for link in again["links"] if "results" in link["rel"]]


async def test_a_finished_job_links_to_its_results(ogc) -> None:
    job = await start(ogc, message="hi")
    info = (await ogc.get(f"/ogc/jobs/{job['jobID']}")).json()
    assert (info["status"], info["progress"]) == ("successful", 100)
    assert info["finished"].endswith("Z")
    (results,) = [link for link in info["links"] if link["rel"].endswith("/results")]
    assert (await ogc.get(results["href"])).json() == "hi"  # raw, as nothing else was asked for


@pytest.mark.parametrize(
    ("prefer", "status", "applied"),
    [
        (None, 200, None),
        ("respond-sync", 200, None),
        ("wait=5", 200, "wait=5"),
        ("respond-async", 201, "respond-async"),
        ("respond-async, wait=5", 200, "respond-async"),
        ('foo="bar, respond-async"; x=y, handling=lenient', 200, None),
        ("Respond-Async;a=b", 201, "respond-async"),
        ("wait=nonsense", 200, None),
    ],
)
async def test_preferences_are_read_as_rfc_7240_says(ogc, prefer, status, applied) -> None:
    response = await execute(ogc, prefer=prefer)
    assert response.status_code == status
    assert response.headers.get("preference-applied") == applied


async def test_a_job_longer_than_the_wait_is_answered_with_its_status(ogc, ogc_options) -> None:
    response = await execute(ogc, inputs={"pause": 60}, prefer="wait=1")
    assert response.status_code == 201
    assert response.json()["status"] == "running"
    assert "location" in response.headers
    async with ogc_options(sync_seconds=0.1) as hasty:
        assert (await execute(hasty, inputs={"pause": 60})).status_code == 201


async def test_a_process_without_synchronous_execution_is_always_asynchronous(ogc) -> None:
    for prefer in (None, "wait=5"):
        response = await execute(ogc, "shape", SHAPE, prefer)
        assert response.status_code == 201
        assert "preference-applied" not in response.headers


async def test_synchronous_results_raw_and_as_a_document(ogc, platform) -> None:
    assert (await execute(ogc, inputs={"message": [1, 2]})).json() == [1, 2]
    response = await execute(ogc, inputs={"message": [1, 2]}, response="document")
    assert response.json() == {"echo": [1, 2]}
    qualified = await execute(ogc, inputs={"message": {"a": 1}}, response="document")
    assert qualified.json() == {"echo": {"value": {"a": 1}}}
    assert platform.submitted[0].mode == "sync"


async def results(client, response) -> httpx.Response:
    """What a synchronous execution answered, or the results of an asynchronous one."""
    if response.status_code != 201:
        return response
    await client.get(response.headers["location"])
    return await client.get(response.headers["location"] + "/results")


@pytest.mark.parametrize("prefer", ["respond-sync", "respond-async"])
async def test_results_by_value_and_reference_raw_and_in_a_document(ogc, prefer) -> None:
    """Part 1, tables 11 to 13; an asynchronous job remembers how its results were asked for."""

    async def asked(**members):
        return await results(ogc, await execute(ogc, "both", {"message": "n"}, prefer, **members))

    value, reference = {"transmissionMode": "value"}, {"transmissionMode": "reference"}
    document = (await asked(response="document")).json()
    assert document["note"] == "n"
    assert document["data"]["type"] == "image/tiff" and document["data"]["href"]
    assert (await asked(response="document", outputs={"note": {}})).json() == {"note": "n"}
    within = (await asked(response="document", outputs={"data": value})).json()["data"]
    assert base64.b64decode(within["value"]).startswith(b"II*\x00job_")
    assert (within["encoding"], within["mediaType"]) == ("base64", "image/tiff")
    linked = (await asked(response="document", outputs={"data": reference})).json()
    assert list(linked) == ["data"] and linked["data"]["href"]
    # raw: the output itself
    for outputs in ({"data": {}}, {"data": value}, {"data": {"format": {"mediaType": TIFF}}}):
        one = await asked(outputs=outputs)
        assert one.status_code == 200 and one.content.startswith(b"II*\x00job_")
        assert one.headers["content-type"] == "image/tiff"
        assert int(one.headers["content-length"]) == len(one.content)
        assert one.headers["content-disposition"].endswith("%C3%BCbersicht.tif")
    assert (await asked(outputs={"note": value})).json() == "n"
    none = await asked(outputs={"data": reference})
    assert (none.status_code, none.content) == (204, b"")
    assert 'rel="data"; type="image/tiff"' in none.headers["link"]
    # several: a part each, with the reference's address in its head
    for outputs, content in (({}, b"II*"), ({"data": reference, "note": {}}, b"")):
        several = await asked(outputs=outputs)
        kind = several.headers["content-type"]
        parsed = message_from_bytes(b"Content-Type: " + kind.encode() + b"\n\n" + several.content)
        assert parsed.get_content_type() == "multipart/related"
        data, note = parsed.get_payload()
        assert (data["Content-ID"], note["Content-ID"]) == ("<data>", "<note>")
        assert data.get_payload(decode=True).strip().startswith(content)
        assert (data["Content-Location"] is None) == bool(content)
        assert note.get_payload(decode=True).strip() == b'"n"'


async def test_a_file_too_large_to_stand_in_a_document_is_a_link(ogc, monkeypatch) -> None:
    monkeypatch.setattr(ogc_results, "INLINE_BYTES", 3)
    wanted = {"data": {"transmissionMode": "value"}}
    found = (await execute(ogc, "both", response="document", outputs=wanted)).json()
    assert set(found["data"]) == {"href", "type"}


async def test_an_empty_body_runs_a_process_without_inputs(ogc) -> None:
    response = await ogc.post("/ogc/processes/echo/execution")
    assert response.json() == "hello"


@pytest.mark.parametrize(
    ("inputs", "path"),
    [
        ({"pause": "soon"}, ["body", "inputs", "pause"]),
        ({"pause": None}, ["body", "inputs", "pause"]),
        ({"pause": 61}, ["body", "inputs", "pause"]),
        ({"surprise": 1}, ["body", "inputs", "surprise"]),
        ({"project_id": 7}, ["body", "inputs", "project_id"]),
        ({"message": {"href": "http://169.254.169.254/"}}, ["body", "inputs", "message"]),
    ],
)
async def test_wrong_inputs_are_refused_with_their_path(ogc, platform, inputs, path) -> None:
    problem = exception(await execute(ogc, inputs=inputs), 400, "/problems/validation")
    assert problem["errors"][0]["loc"] == path
    assert path[-1] in problem["detail"]
    assert platform.submitted == []


async def test_a_nested_wrong_input_names_the_whole_path(ogc) -> None:
    inputs = {**SHAPE, "aoi_geometry": {"type": 3, "coordinates": []}}
    problem = exception(await execute(ogc, "shape", inputs), 400, "validation")
    assert problem["errors"][0]["loc"] == ["body", "inputs", "aoi_geometry", "type"]


@pytest.mark.parametrize(
    "body",
    [
        b"{not json",
        b"[]",
        b"null",
        b'{"inputs": []}',
        b'{"inputs": {"message": NaN}}',
        b'{"inputs": {"message": "\\u0000"}}',
        b'{"inputs": {"message": 9007199254740993}}',
        b'{"inputs": ' + b'{"a":' * 100 + b"1" + b"}" * 101,
        b'{"inputs": {"message": ' + b"[" * 5000 + b"]" * 5000 + b"}}",
        b'{"outputs": {"nothing": {}}}',
        b'{"outputs": {"echo": {"transmissionMode": "pigeon"}}}',
        b'{"outputs": []}',
        b'{"outputs": 3}',
        b'{"response": "both"}',
        b'{"response": 7}',
        b'{"subscriber": []}',
        b'{"subscriber": {}}',
        b'{"subscriber": {"successUri": 7}}',
        b'{"subscriber": {"successUri": ""}}',
        b'{"subscriber": {"successUri": "https://x/' + b"x" * 2048 + b'"}}',
        b'{"outputs": {"echo": 5}}',
        b'{"outputs": {"echo": {"format": {"mediaType": "image/gif"}}}}',
        b'{"outputs": {"echo": {"format": "image/gif"}}}',
        b'{"outputs": {"echo": {"transmissionMode": ["value"]}}}',
        b'{"inputs": {"message": {"bbox": [1, 2]}}}',
        b"\xff\xfe",
    ],
)
async def test_a_malformed_request_is_a_400(ogc, platform, body) -> None:
    response = await ogc.post("/ogc/processes/echo/execution", content=body)
    if body != b'{"outputs": []}':  # as good as absent
        assert response.status_code == 400, response.text
        assert response.headers["content-type"] == "application/problem+json"
        assert platform.submitted == []


async def test_a_body_too_large_is_a_413(ogc) -> None:
    body = b'{"inputs": {"message": "' + b"x" * (2 << 20) + b'"}}'
    response = await ogc.post("/ogc/processes/echo/execution", content=body)
    assert response.status_code == 413


async def test_qualified_values_boxes_and_the_project_reach_the_job(ogc, platform) -> None:
    inputs = {
        "source_item_id": {"value": "it_9", "mediaType": "text/plain"},
        "aoi_geometry": {"bbox": [0, 1, 2, 3]},
        "project_id": "pr_1",
    }
    assert (await execute(ogc, "shape", inputs)).status_code == 201
    (submitted,) = platform.submitted
    assert submitted.project_id == "pr_1"
    assert submitted.inputs == {
        "source_item_id": "it_9",
        "aoi_geometry": {
            "type": "Polygon",
            "coordinates": [[[0, 1], [2, 1], [2, 3], [0, 3], [0, 1]]],
        },
    }


async def test_a_refusal_of_the_platform_keeps_its_status(ogc) -> None:
    broke = exception(
        await execute(ogc, inputs={"message": "expensive"}), 402, "/problems/insufficient-credits"
    )
    assert broke["balance"] == 3
    # what an operation calls unprocessable is a bad request here
    exception(await execute(ogc, inputs={"message": "strange"}), 400, "/problems/validation")


async def test_a_bug_says_nothing_of_the_inside(ogc) -> None:
    response = await execute(ogc, inputs={"message": "bug"})
    assert response.status_code == 500
    assert "secret" not in response.text


async def test_without_a_credential_nothing_of_jobs_is_shown(nobody) -> None:
    for method, path in (
        ("GET", "/ogc/jobs"),
        ("GET", "/ogc/jobs/job_0001"),
        ("GET", "/ogc/jobs/job_0001/results"),
        ("DELETE", "/ogc/jobs/job_0001"),
        ("POST", "/ogc/processes/echo/execution"),
    ):
        response = await nobody.request(method, path)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"


async def test_a_job_of_another_organization_looks_like_none(ogc, other) -> None:
    job = (await start(ogc))["jobID"]
    for missing in (job, "job_9999"):
        for method, path in (("GET", ""), ("GET", "/results"), ("DELETE", "")):
            response = await other.request(method, f"/ogc/jobs/{missing}{path}")
            problem = exception(response, 404, "/1.0/no-such-job")
            assert problem["detail"] == "job not found"
    assert (await other.get("/ogc/jobs")).json()["jobs"] == []
    assert (await ogc.get(f"/ogc/jobs/{job}")).status_code == 200


async def test_results_of_a_running_failed_and_dismissed_job(ogc) -> None:
    running = await start(ogc, pause=60)
    url = f"/ogc/jobs/{running['jobID']}"
    exception(await ogc.get(f"{url}/results"), 404, "/1.0/result-not-ready")
    dismissed = await ogc.delete(url)
    assert (dismissed.status_code, dismissed.json()["status"]) == (200, "dismissed")
    exception(await ogc.get(f"{url}/results"), 410, "job-dismissed")

    failed = await start(ogc, message="fail")
    info = (await ogc.get(f"/ogc/jobs/{failed['jobID']}")).json()
    assert (info["status"], info["message"]) == ("failed", "outside the image")
    problem = exception(await ogc.get(f"/ogc/jobs/{failed['jobID']}/results"), 422, "job-failed")
    assert (problem["detail"], problem["code"]) == ("outside the image", "no_overlap")
    # a synchronous caller hears the same
    exception(await execute(ogc, inputs={"message": "fail"}), 422, "job-failed")


async def test_a_finished_job_can_be_dismissed_and_is_gone(ogc) -> None:
    job = await start(ogc)
    await ogc.get(f"/ogc/jobs/{job['jobID']}")
    response = await ogc.delete(f"/ogc/jobs/{job['jobID']}")
    assert response.json()["status"] == "dismissed"
    exception(await ogc.get(f"/ogc/jobs/{job['jobID']}"), 404, "no-such-job")


async def test_all_pages_of_jobs_are_the_whole_without_repeats(ogc) -> None:
    jobs = [(await start(ogc))["jobID"] for _ in range(7)]
    seen, url = [], "/ogc/jobs?limit=3&processID=echo"
    while url:
        page = (await ogc.get(url)).json()
        assert page["numberMatched"] == 7
        assert len(page["jobs"]) == page["numberReturned"]
        seen += [job["jobID"] for job in page["jobs"]]
        links = {link["rel"]: link["href"] for link in page["links"]}
        url = links.get("next", "").removeprefix("http://test")
    assert seen == jobs[::-1]
    assert "prev" in links


async def test_the_job_list_can_be_filtered(ogc) -> None:
    await start(ogc, message="fail")
    await start(ogc)
    await start(ogc, "filler01")
    assert len((await ogc.get("/ogc/jobs?status=failed")).json()["jobs"]) == 1
    assert len((await ogc.get("/ogc/jobs?status=failed,successful")).json()["jobs"]) == 3
    assert len((await ogc.get("/ogc/jobs?processID=filler01")).json()["jobs"]) == 1
    assert (await ogc.get("/ogc/jobs?processID=none")).json()["jobs"] == []
    assert (await ogc.get("/ogc/jobs?status=asleep")).status_code == 400
    assert len((await ogc.get("/ogc/jobs?type=process")).json()["jobs"]) == 3


async def test_the_job_list_can_be_filtered_by_time_and_by_nothing_wrong(ogc, platform) -> None:
    jobs = [await start(ogc) for _ in range(3)]
    times = [datetime(2026, 1, day, 12, tzinfo=UTC) for day in (1, 2, 3)]
    for job, moment in zip(jobs, times, strict=True):
        platform.jobs[job["jobID"]]["created_at"] = moment
    for interval, count in (
        ("2026-01-02T12:00:00Z", 1),
        ("2026-01-02T13:00:00+01:00", 1),
        ("2026-01-02t12:00:00.000z", 1),
        ("2026-01-02T12:00:01Z", 0),
        ("2026-01-02T12:00:00Z/..", 2),
        ("/2026-01-02T12:00:00Z", 2),
        ("2026-01-01T00:00:00Z/2026-01-02T00:00:00Z", 1),
        ("", 3),
    ):
        found = await ogc.get("/ogc/jobs", params={"datetime": interval})
        assert len(found.json()["jobs"]) == count, interval
    for query in (
        "type=coverage", "datetime=yesterday", "datetime=../..", "datetime=/", "datetime=2026",
        "datetime=2026-13-01T00:00:00Z", "datetime=0001-01-01T00:00:00%2B14:00",
        "datetime=2026-01-02T00:00:00Z/2026-01-01T00:00:00Z", "datetime=2026-01-02T00:00:00",
        "minDuration=-1", "minDuration=1.5", "maxDuration=x", "maxDuration=99999999999",
        "limit=0", "limit=x", "offset=-1", "status=asleep",
    ):  # fmt: skip
        exception(await ogc.get(f"/ogc/jobs?{query}"), 400, "about:blank")


async def test_nobody_deploys_a_process(ogc) -> None:
    """Part 2 of the standard stays closed: its routes are no routes, and say which methods are."""
    package = {"processDescription": {"id": "mine"}, "executionUnit": {"href": "http://x/run.cwl"}}
    for method, path, status in (
        ("POST", "/processes", 405), ("PUT", "/processes", 405), ("DELETE", "/processes", 405),
        ("PUT", "/processes/echo", 405), ("DELETE", "/processes/echo", 405),
        ("PATCH", "/processes/echo", 405), ("GET", "/processes/echo/package", 404),
        ("PUT", "/processes/echo/package", 404), ("GET", "/processes/echo/execution", 405),
    ):  # fmt: skip
        response = await ogc.request(method, f"/ogc{path}", json=package)
        assert response.status_code == status, (method, path)
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == status
        if status == 405:
            assert method not in response.headers["allow"]
    assert not [
        c for c in (await ogc.get("/ogc/conformance")).json()["conformsTo"] if "deploy" in c
    ]
