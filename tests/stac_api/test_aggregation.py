"""What can be aggregated and filtered by, who sees it, and what is refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from stac_api.tenancy import Visibility


@pytest.fixture
async def mine(organization: Any) -> Any:
    made = organization()
    collection = made.new_collection(
        f"scenes-{made.id}",
        summaries={"mission": ["one", "two"], "view:off_nadir": {"minimum": 0, "maximum": 30}},
    )
    values = [{"platform": "a", "n": 1}, {"platform": "b", "n": 4, "odd": 1}, {"odd": "x", "n": 2}]
    values.append({"platform": "a", "seen": "2024-05-05T00:00:00Z", "tags": ["x"], "flag": True})
    await made.put(
        *(made.row(collection, properties=value, cloud_cover=10) for value in values),
        made.row(properties={"uncollected": 1.5}),
    )
    made.collection = collection
    return made


@pytest.fixture
def client(server: Any, mine: Any) -> Any:
    headers = server.caller(mine.visibility)
    with httpx.Client(base_url=f"{server.url}/assets/stac", headers=headers) as client:
        yield client


def test_the_queryables_of_a_collection_are_those_of_its_items(client: Any, mine: Any) -> None:
    schema = client.get(f"/collections/scenes-{mine.id}/queryables").json()
    properties = schema["properties"]
    assert schema["$id"].endswith(f"/collections/scenes-{mine.id}/queryables")
    assert properties["n"] == {"title": "n", "type": "integer", "minimum": 1, "maximum": 4}
    assert properties["platform"]["enum"] == ["a", "b"]
    assert sorted(properties["odd"]["type"]) == ["integer", "string"]
    assert properties["seen"]["format"] == "date-time"
    assert properties["tags"]["type"] == "array" and properties["flag"]["type"] == "boolean"
    assert properties["eo:cloud_cover"]["maximum"] == 100
    assert properties["mission"]["enum"] == ["one", "two"]
    assert properties["view:off_nadir"]["maximum"] == 30
    assert {"id", "collection", "geometry", "datetime"} <= properties.keys()
    assert "uncollected" not in properties
    assert "uncollected" in client.get("/queryables").json()["properties"]
    assert not [name for name in properties if name in ("opstac:stac_id", "opstac:collection")]


def test_every_queryable_can_be_filtered_by_and_counted(client: Any) -> None:
    for name in client.get("/queryables").json()["properties"]:
        body = {"filter": {"op": "isNull", "args": [{"property": name}]}}
        assert client.post("/search", json=body).status_code == (200 if name != "geometry" else 400)
    names = [a["name"] for a in client.get("/aggregations").json()["aggregations"]]
    assert {"n_frequency", "platform_frequency", "centroid_geohash_grid_frequency"} <= set(names)
    for name in names:
        answer = client.get("/aggregate", params={"aggregations": name})
        assert answer.json()["aggregations"][0]["name"] == name


def test_another_sees_nothing_of_it(server: Any, mine: Any, organization: Any) -> None:
    hidden = Visibility(mine.id, mine.slot, frozenset([mine.new_project()]))
    for visibility in (organization().visibility, hidden):
        with httpx.Client(
            base_url=f"{server.url}/assets/stac", headers=server.caller(visibility)
        ) as other:
            here = f"/collections/scenes-{mine.id}"
            for path in ("queryables", "aggregations", "aggregate?aggregations=total_count"):
                assert other.get(f"{here}/{path}").status_code == 404
            assert "platform" not in other.get("/queryables").json()["properties"]
            names = "total_count,platform_frequency,collection_frequency"
            for body in ({}, {"collections": [mine.collection, f"scenes-{mine.id}"]}):
                found = other.post("/aggregate", json={"aggregations": names, **body}).json()
                assert found["aggregations"][0]["value"] == 0
                assert all(not a["buckets"] for a in found["aggregations"][1:])


def test_without_a_credential_what_is_public_is_counted_and_no_more(
    server: Any, client: Any, mine: Any
) -> None:
    name, names = f"scenes-{mine.id}", "total_count,collection_frequency,platform_frequency"
    with httpx.Client(base_url=f"{server.url}/assets/stac") as anybody:
        for path in ("queryables", "aggregations", "aggregate?aggregations=total_count"):
            assert anybody.get(f"/collections/{name}/{path}").status_code == 401
        before = anybody.get("/aggregate", params={"aggregations": names}).json()["aggregations"]
        with mine.connect() as conn:
            conn.execute("update collection set public = true where id = %s", (mine.collection,))
        try:
            here = f"/collections/{name}"
            found = anybody.get(f"{here}/aggregate", params={"aggregations": names}).json()
            total, collections, platforms = found["aggregations"]
            assert total["value"] == 4 and collections["buckets"][0]["key"] == name
            assert [b["key"] for b in platforms["buckets"]] == ["a", "b"]
            schema = anybody.get(f"{here}/queryables").json()["properties"]
            assert schema["platform"]["enum"] == ["a", "b"] and "uncollected" not in schema
            after = anybody.get("/aggregate", params={"aggregations": names}).json()["aggregations"]
            assert after[0]["value"] == before[0]["value"] + 4
        finally:
            with mine.connect() as conn:
                query = "update collection set public = false where id = %s"
                conn.execute(query, (mine.collection,))
        assert anybody.get(f"{here}/queryables").status_code == 401


def test_a_collection_is_counted_alone_by_path_and_by_parameter(client: Any, mine: Any) -> None:
    name = f"scenes-{mine.id}"
    asked = {"aggregations": "total_count,collection_frequency"}
    for path, more in (
        (f"/collections/{name}/aggregate", {}),
        ("/aggregate", {"collections": name}),
    ):
        for answer in (
            client.get(path, params={**asked, **more}),
            client.post(path, json={"aggregations": asked["aggregations"].split(","), **more}),
        ):
            total, collections = answer.json()["aggregations"]
            assert total["value"] == 4
            assert collections["buckets"] == [{"key": name, "data_type": "string", "frequency": 4}]


def test_what_is_in_no_bucket_is_the_overflow(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stac_api.aggregation.MAX_BUCKETS", 1)
    parameters = {"aggregations": "platform_frequency,n_frequency", "n_frequency_ranges": "2,3,4"}
    platform, n = client.get("/aggregate", params=parameters).json()["aggregations"]
    assert [b["frequency"] for b in platform["buckets"]] == [2] and platform["overflow"] == 1
    assert [(b["from"], b["to"], b["frequency"]) for b in n["buckets"]] == [(2, 3, 1), (3, 4, 1)]
    assert n["overflow"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"aggregations": []},
        {"aggregations": [1]},
        {"aggregations": {"a": 1}},
        {"aggregations": ["nonsense"]},
        {"aggregations": ["_frequency"]},
        {"aggregations": ["geometry_frequency"]},
        {"aggregations": ["stac_version_frequency"]},
        {"aggregations": ["properties.stac_extensions.x_frequency"]},
        {"aggregations": [f"p{n}_frequency" for n in range(21)]},
        {"aggregations": ["x" * 300 + "_frequency"]},
        {"aggregations": ["datetime_frequency"], "datetime_frequency_interval": "fortnight"},
        {"aggregations": ["datetime_frequency"], "datetime_frequency_interval": ["day"]},
        {"aggregations": ["n_frequency"], "n_frequency_ranges": [1]},
        {"aggregations": ["n_frequency"], "n_frequency_ranges": [2, 1]},
        {"aggregations": ["n_frequency"], "n_frequency_ranges": "a,b"},
        {"aggregations": ["n_frequency"], "n_frequency_ranges": {}},
        {
            "aggregations": ["centroid_geohash_grid_frequency"],
            "centroid_geohash_grid_frequency_precision": 13,
        },
        {
            "aggregations": ["centroid_geotile_grid_frequency"],
            "centroid_geotile_grid_frequency_precision": "x",
        },
        {"aggregations": ["total_count"], "bbox": [1, 2]},
        {"aggregations": ["total_count"], "filter": {"op": "no", "args": []}},
        {"aggregations": ["total\0count"]},
    ],
)
def test_what_cannot_be_counted_is_refused(client: Any, body: dict[str, Any]) -> None:
    response = client.post("/aggregate", json=body)
    assert response.status_code == 400, response.text
    assert response.headers["content-type"] == "application/problem+json"
    if not any(isinstance(v, list | dict) and k != "aggregations" for k, v in body.items()):
        names = body.get("aggregations", [])
        given = {**body, "aggregations": ",".join(map(str, names))}
        assert client.get("/aggregate", params=given).status_code == 400


def test_sql_in_names_stays_text(client: Any) -> None:
    for name in ("n') from items; drop table pgstac.items; --", "%1$L%s", "a from items b", "x\\'"):
        body = {"aggregations": [f"{name}_frequency"], f"{name}_frequency_ranges": [0, 1]}
        for ranges in ({}, {f"{name}_frequency_ranges": [0, 1]}):
            answer = client.post(
                "/aggregate", json={"aggregations": body["aggregations"], **ranges}
            )
            assert answer.status_code == 200, answer.text


WORLD = {
    "type": "Polygon",
    "coordinates": [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]],
}


async def test_an_item_of_too_many_cells_is_in_no_bucket_and_keeps_nobody_from_counting(
    server: Any, organization: Any
) -> None:
    made = organization()
    # as many parts as would be four million cells of the finest grid, all in one of the coarsest
    parts = [[[[x / 1e3 + a, y / 1e3 + b] for a, b in RING] for _ in (0,)] for x, y in MANY]
    await made.put(
        made.row(stac_id="world", geometry=WORLD),
        made.row(stac_id="point", geometry={"type": "Point", "coordinates": [10.5, 50.5]}),
        made.row(stac_id="parts", geometry={"type": "MultiPolygon", "coordinates": parts}),
    )
    headers = server.caller(made.visibility)
    with httpx.Client(base_url=f"{server.url}/assets/stac", headers=headers) as client:
        for grid, fine in (("geotile", 29), ("geohash", 12)):
            name = f"geometry_{grid}_grid_frequency"

            def counted(precision: int, name: str = name) -> Any:
                asked = {"aggregations": name, f"{name}_precision": precision}
                answer = client.get("/aggregate", params=asked)
                assert answer.status_code == 200, answer.text
                return answer.json()["aggregations"][0]

            finest = counted(fine)
            assert [b["frequency"] for b in finest["buckets"]] == [1] and finest["overflow"] == 2
            # what is one cell at most for each part is counted once for the item
            whole = counted(1)
            assert (
                sum(b["frequency"] for b in whole["buckets"]) == {"geotile": 6, "geohash": 34}[grid]
            )
            assert whole["overflow"] == 0


RING = [(0, 0), (5e-4, 0), (5e-4, 5e-4), (0, 0)]
MANY = [(x, y) for x in range(1, 91) for y in range(1, 91)]
