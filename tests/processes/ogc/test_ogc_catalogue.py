"""What the OGC surface says of itself and of the processes."""

from __future__ import annotations

import jsonschema
import pytest

CORE = "http://www.opengis.net/spec/ogcapi-processes-1/1.0/conf/"


async def test_the_landing_page_links_to_what_is_there(nobody) -> None:
    for path in ("/ogc", "/ogc/"):
        response = await nobody.get(path)
        assert response.status_code == 200
        links = {link["rel"]: link["href"] for link in response.json()["links"]}
        assert links["self"] == "http://test/ogc/"
        for rel, href in links.items():
            expected = 401 if rel.endswith("job-list") else 200
            assert (await nobody.get(href)).status_code == expected, rel


async def test_conformance_declares_what_is_offered_and_does_not_grow(ogc_options) -> None:
    async with ogc_options(dismiss=None) as without, ogc_options() as with_dismiss:
        documents = [(await with_dismiss.get("/ogc/conformance")).json() for _ in range(3)]
        assert documents[0] == documents[2]
        names = {uri.removeprefix(CORE) for uri in documents[0]["conformsTo"] if CORE in uri}
        assert names == {
            "core", "ogc-process-description", "json", "oas30", "job-list", "callback", "dismiss"
        }  # fmt: skip
        less = (await without.get("/ogc/conformance")).json()["conformsTo"]
        assert set(documents[0]["conformsTo"]) - set(less) == {CORE + "dismiss"}
        summary = (await without.get("/ogc/processes/echo")).json()
        assert summary["jobControlOptions"] == ["async-execute", "sync-execute"]
        job = await without.delete("/ogc/jobs/x")
        assert job.status_code == 405
        assert job.headers["content-type"] == "application/problem+json"


async def test_the_list_holds_every_process_page_by_page(nobody) -> None:
    everything = (await nobody.get("/ogc/processes")).json()
    assert len(everything["processes"]) == 15
    assert [link["rel"] for link in everything["links"]] == ["self"]
    seen, url = [], "/ogc/processes?limit=4"
    while url:
        page = (await nobody.get(url)).json()
        seen += [process["id"] for process in page["processes"]]
        links = {link["rel"]: link["href"] for link in page["links"]}
        assert links["self"].endswith(url)
        url = links.get("next", "").removeprefix("http://test")
    assert seen == [process["id"] for process in everything["processes"]]


@pytest.mark.parametrize("query", ["limit=x", "limit=0", "limit=-1", "limit=", "offset=-1"])
async def test_a_wrong_page_is_refused(nobody, query) -> None:
    response = await nobody.get(f"/ogc/processes?{query}")
    assert response.status_code == 400
    assert response.json()["detail"].startswith(query.split("=")[0])


async def test_a_description_has_stand_alone_schemas_and_links_that_work(nobody) -> None:
    description = (await nobody.get("/ogc/processes/shape")).json()
    assert description["jobControlOptions"] == ["async-execute", "dismiss"]
    assert description["outputTransmission"] == ["value", "reference"]
    inputs = description["inputs"]
    assert {name: spec["minOccurs"] for name, spec in inputs.items()} == {
        "source_item_id": 1,
        "aoi_geometry": 1,
        "bands": 0,
        "project_id": 0,
    }
    schema = inputs["aoi_geometry"]["schema"]
    jsonschema.validate({"type": "Point", "coordinates": [1, 2]}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"type": 1}, schema)
    assert set(description["outputs"]) == {"data", "thumbnail"}
    links = {link["rel"].rsplit("/", 1)[-1]: link["href"] for link in description["links"]}
    assert links["self"] == "http://test/ogc/processes/shape"
    assert links["execute"] == "http://test/ogc/processes/shape/execution"


async def test_an_unknown_process_is_the_standards_exception(nobody) -> None:
    response = await nobody.get("/ogc/processes/nothing")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"].endswith("/1.0/no-such-process")
    assert response.json()["instance"] == "req_test"


async def test_the_openapi_document_is_valid_and_names_what_is_served(nobody) -> None:
    response = await nobody.get("/ogc/api")
    assert response.headers["content-type"].startswith("application/vnd.oai.openapi+json")
    document = response.json()
    assert document["servers"] == [{"url": "http://test/ogc"}]
    for path in ("/", "/conformance", "/processes", "/jobs", "/jobs/{jobID}/results"):
        assert path in document["paths"]
    text = response.text
    for name in document["components"]["schemas"]:
        jsonschema.Draft4Validator.check_schema(
            {k: v for k, v in document["components"]["schemas"][name].items() if k != "$ref"}
        )
    for reference in {part.split('"')[0] for part in text.split('"$ref":"')[1:]}:
        section, name = reference.removeprefix("#/components/").split("/")
        assert name in document["components"][section]


async def test_links_follow_the_mount_path_and_the_edge(platform) -> None:
    import httpx
    from starlette.applications import Starlette
    from starlette.routing import Mount

    app = Starlette(routes=[Mount("/proxy", app=platform.app(base_path="/ogc"))])

    async def edge(scope, receive, send):
        scope["base_url"] = "https://maps.example.org"
        await app(scope, receive, send)

    transport = httpx.ASGITransport(edge)
    async with httpx.AsyncClient(transport=transport, base_url="http://inside") as client:
        for path in ("/proxy/ogc", "/proxy/ogc/"):
            links = (await client.get(path)).json()["links"]
            assert links[0]["href"] == "https://maps.example.org/proxy/ogc/"
        summary = (await client.get("/proxy/ogc/processes?limit=1")).json()
        assert summary["processes"][0]["links"][0]["href"].startswith(
            "https://maps.example.org/proxy/ogc/processes/"
        )


async def test_nothing_else_is_served(ogc) -> None:
    for method, path in (("GET", "/ogc/collections"), ("POST", "/ogc/processes"), ("GET", "/x")):
        response = await ogc.request(method, path)
        assert response.status_code in (404, 405)
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == response.status_code
