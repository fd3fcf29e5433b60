"""OWSLib, a client of other people's making, against the surface served by uvicorn."""

from __future__ import annotations

import httpx
from owslib.ogcapi.processes import Processes


def test_owslib_lists_describes_and_executes(ogc_server) -> None:
    client = Processes(f"{ogc_server}/", headers={"Authorization": "Bearer org_a"})
    assert "echo" in [process["id"] for process in client.processes()]
    assert client.process("echo")["inputs"]["message"]["minOccurs"] == 0
    assert client.execute("echo", {"message": "hello there"}) == {"echo": "hello there"}
    job = client.execute("echo", {"message": "later"}, async_=True)
    assert job["status"] == "accepted"
    results = f"{ogc_server}/jobs/{job['jobID']}/results"
    headers = {"Authorization": "Bearer org_a"}
    assert httpx.get(results, headers=headers).json() == {"echo": "later"}


def test_a_refusal_keeps_the_connection(ogc_server) -> None:
    with httpx.Client(headers={"Authorization": "Bearer org_a"}) as client:
        for _ in range(20):
            response = client.post(f"{ogc_server}/processes/echo/execution", content=b"{nonsense")
            assert response.status_code == 400
            assert client.get(f"{ogc_server}/jobs").status_code == 200
