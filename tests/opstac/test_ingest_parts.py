"""The parts of `opstac ingest` by themselves: reading, paging, retrying, the bar."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opstac.ingest import documents
from opstac.ingest.catalogue import Catalogue
from opstac.ingest.documents import Features, Lines
from opstac.ingest.progress import Progress
from opstac.ingest.rasters import item_id
from opstac.ingest.sources import Bad, Unusable
from opstac.ingest.target import CannotGoOn, Target

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FEATURES = st.lists(st.dictionaries(st.text(), VALUES, max_size=4), max_size=8)


def entries(source: Any, start: dict[str, Any], size: int) -> list[Any]:
    return [entry for batch in source.batches(start, size) for entry in batch.entries]


@settings(deadline=None, max_examples=20)
@given(features=FEATURES, chunk=st.integers(5, 60), size=st.integers(1, 5), data=st.data())
def test_a_collection_is_read_in_pieces_of_any_size(tmp_path_factory, features, chunk, size, data):
    path: Path = tmp_path_factory.mktemp("fc") / "items.json"
    indent = data.draw(st.sampled_from([None, 1]))
    document = {"type": "FeatureCollection", "n": [1, {"a": 2}], "features": features, "x": 1}
    path.write_text(json.dumps(document, indent=indent), encoding="utf-8")
    whole, documents.CHUNK = documents.CHUNK, chunk
    try:
        source = Features(path)
        assert entries(source, {}, size) == features
        places = [batch.after for batch in source.batches({}, size)]
        for number, place in enumerate(places, 1):
            assert entries(source, place, size) == features[number * size :]
    finally:
        documents.CHUNK = whole


def test_one_feature_is_an_item_and_other_json_is_none(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"id": "a", "type": "Feature"}')
    assert entries(Features(path), {}, 10) == [{"id": "a", "type": "Feature"}]
    for wrong in ("", "[]", "5", '{"type": "Collection"}', '{"features": 5}', "[" * 5000, "{" * 9):
        path.write_text(wrong)
        with pytest.raises(Unusable):
            entries(Features(path), {}, 10)


@settings(deadline=None, max_examples=20)
@given(features=FEATURES.filter(bool), size=st.integers(1, 4))
def test_lines_go_on_from_every_place(tmp_path_factory, features, size):
    path: Path = tmp_path_factory.mktemp("nd") / "items.ndjson"
    path.write_text("\n".join(json.dumps(f) for f in features) + "\n", encoding="utf-8")
    source = Lines(path)
    assert entries(source, {}, size) == features
    for number, batch in enumerate(source.batches({}, size), 1):
        assert entries(source, batch.after, size) == features[number * size :]


def test_a_line_that_is_too_long_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "LINE_BYTES", 50)
    path = tmp_path / "items.ndjson"
    path.write_text('{"id": 1}\n{"id": "' + "x" * 500 + '"}\n{"id": 2}')
    first, bad, last = entries(Lines(path), {}, 10)
    assert (first, last) == ({"id": 1}, {"id": 2}) and isinstance(bad, Bad)


def catalogue(answer: Any, **options: Any) -> Catalogue:
    client = httpx.Client(transport=httpx.MockTransport(answer))
    return Catalogue("https://c.example/stac", client=client, **options)


def page(ids: list[str], following: dict[str, Any] | None) -> httpx.Response:
    links = [{"rel": "next", **following}] if following else []
    return httpx.Response(200, json={"features": [{"id": i} for i in ids], "links": links})


def test_next_links_are_followed_however_they_are_written(monkeypatch):
    monkeypatch.setattr("opstac.ingest.catalogue.time.sleep", lambda _: None)
    asked: list[tuple[str, str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        asked.append((request.method, str(request.url), body))
        if request.url.path == "/stac":
            return httpx.Response(200, json={"links": [{"rel": "search", "href": "./stac/search"}]})
        if len(asked) == 3:
            return httpx.Response(503)
        if request.method == "GET":
            merged = {"href": "search", "method": "POST", "body": {"token": "2"}, "merge": True}
            return page(["a", "b"], merged)
        if body == {"token": "2"}:
            return page(["c"], {"href": "/stac/search?token=3"})
        raise AssertionError(request)

    source = catalogue(answer, collection="s2", datetime="2020/..")
    first, second = [], []
    batches = source.batches({}, 100)
    first = next(batches)
    assert [e["id"] for e in first.entries] == ["a", "b"]
    second = next(batches)
    assert [e["id"] for e in second.entries] == ["c"]
    assert "collections=s2" in asked[1][1] and "datetime=2020" in asked[1][1]
    # the place alone is enough to go on
    again = next(catalogue(answer).batches(json.loads(json.dumps(first.after)), 100))
    assert [e["id"] for e in again.entries] == ["c"]
    assert second.after["next"]["href"] == "https://c.example/stac/search?token=3"


def test_a_catalogue_that_leads_nowhere_is_said(monkeypatch):
    monkeypatch.setattr("opstac.ingest.catalogue.time.sleep", lambda _: None)
    here = "https://c.example/stac/collections/s2/items?limit=100"
    for response in (
        page(["a"], {"href": here}),
        httpx.Response(404),
        httpx.Response(500),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"features": 5}),
    ):

        def answer(request: httpx.Request, response: httpx.Response = response) -> httpx.Response:
            return httpx.Response(200, json={}) if request.url.path == "/stac" else response

        with pytest.raises(Unusable):
            list(catalogue(answer, collection="s2").batches({}, 100))


def test_a_source_s_credential_stays_with_its_host():
    seen: dict[str, str | None] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        seen[request.url.host] = request.headers.get("x-api-key")
        if request.url.path == "/stac":
            return httpx.Response(200, json={"links": []})
        if request.url.host == "c.example":
            return page(["a"], {"href": "https://evil.example/next"})
        return page(["b"], None)

    source = catalogue(answer, collection="s2", headers={"X-API-Key": "secret"})
    assert [e["id"] for e in entries(source, {}, 10)] == ["a", "b"]
    assert seen == {"c.example": "secret", "evil.example": None}


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/x",
        "http://c.example/x",
        "https://c.example:8443/x",
        "//evil.example/x",
    ],
)
@pytest.mark.parametrize("by", ["redirect", "next"])
def test_a_source_s_credential_goes_to_its_origin_alone(elsewhere: str, by: str):
    seen: list[tuple[str, str | None, str | None]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        headers = request.headers
        seen.append((str(request.url), headers.get("x-api-key"), headers.get("authorization")))
        if request.url.path == "/stac":
            return httpx.Response(200, json={"links": []})
        if request.url.path == "/x":
            return httpx.Response(302, headers={"Location": "https://c.example/stac/back"})
        if request.url.path == "/stac/back":
            return page(["b"], None)
        if by == "next":
            return page(["a"], {"href": elsewhere})
        return httpx.Response(307, headers={"Location": elsewhere})

    headers = {"X-API-Key": "secret", "Authorization": "Bearer secret"}
    found = entries(catalogue(answer, collection="s2", headers=headers), {}, 10)
    assert found[-1]["id"] == "b"
    for url, *sent in seen:
        own = url.startswith("https://c.example/")
        assert sent == (["secret", "Bearer secret"] if own else [None, None]), url
    assert sum("/x" in url for url, *_ in seen) == 1


def test_redirects_have_an_end():
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(302, headers={"Location": "/again"})

    with pytest.raises(Unusable, match="redirects"):
        entries(catalogue(answer, collection="s2"), {}, 10)


def test_a_busy_platform_is_asked_again_with_the_same_key():
    keys: list[str | None] = []
    waits: list[float] = []
    answers = [
        httpx.Response(429, headers={"Retry-After": "7"}),
        httpx.Response(503),
        httpx.ConnectError("gone"),
        httpx.Response(409, headers={"Retry-After": "1"}, json={"status": 409}),
        httpx.Response(200, json={"items": [{"index": 0, "id": "a", "outcome": "created"}]}),
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers.get("idempotency-key"))
        found = answers[len(keys) - 1]
        if isinstance(found, Exception):
            raise found
        return found

    target = Target("http://t", "x", transport=httpx.MockTransport(answer), sleep=waits.append)
    assert target.store([{"id": "a"}, Bad("no")], "k")[0] == {"id": "a", "outcome": "created"}
    assert len(keys) == 5 and len(set(keys)) == 1 and waits[0] == 7


def test_a_batch_that_is_too_large_is_sent_in_halves():
    sizes: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        items = json.loads(request.content)["items"]
        sizes.append(len(items))
        if len(items) > 2 or items == [{"id": "3"}]:
            return httpx.Response(413, json={"status": 413, "detail": "too large"})
        if {"id": "3"} in items:
            return httpx.Response(413, json={"status": 413, "detail": "too large"})
        told = [{"index": 0, "id": item["id"], "outcome": "created"} for item in items]
        return httpx.Response(200, json={"items": told})

    target = Target("http://t", "x", transport=httpx.MockTransport(answer))
    found = target.store([{"id": str(n)} for n in range(5)], "k")
    assert [entry["outcome"] for entry in found] == [*["created"] * 3, "failed", "created"]
    assert found[3]["problem"]["status"] == 413


def test_a_platform_that_never_answers_ends_the_run():
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    target = Target("http://t", "x", give_up_seconds=0.1, transport=httpx.MockTransport(answer))
    with pytest.raises(CannotGoOn, match="refused"):
        target.store([{"id": "a"}], "k")


def test_the_bar_is_for_terminals():
    quiet, shown = io.StringIO(), io.StringIO()
    Progress(quiet).show(1, 2, 1, {"created": 1}, last=True)
    assert quiet.getvalue() == ""
    Progress(shown, shown=True).show(50, 100, 1200, {"created": 1200, "failed": 0}, last=True)
    assert "50%" in shown.getvalue() and "1,200 created" in shown.getvalue()
    assert "failed" not in shown.getvalue()


def test_ids_of_files():
    assert item_id("2021/april/a.b.tif") == "2021.april.a.b"
    assert item_id("x.TIFF") == "x"
