"""The parts of the client that do nothing by themselves."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime
from email.utils import format_datetime
from enum import Enum
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Point

from opstac.client import resume
from opstac.client.retry import LONGEST_WAIT, Policy, retry_after
from opstac.client.values import Lines, encode, segment

DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(
        st.text(), c
    ), max_leaves=5,
)  # fmt: skip


@given(
    tries=st.integers(1, 10**6),
    asked=st.none() | st.floats(0, 1e9),
    retries=st.integers(0, 50),
)
def test_a_pause_is_bounded_and_never_shorter_than_asked(tries, asked, retries):
    policy = Policy(retries)
    pause = policy.pause(tries, asked)
    if tries > retries or (asked or 0) > LONGEST_WAIT:
        assert pause is None
    else:
        assert pause is not None
        assert (asked or 0) <= pause <= (asked or 0) + policy.longest_wait


@given(st.text() | st.integers().map(str))
def test_any_retry_after_is_a_time_or_nothing(text):
    found = retry_after({"retry-after": text})
    assert found is None or 0 <= found < 1e12


def test_both_forms_of_retry_after_are_read():
    now = time.time()
    later = format_datetime(datetime.fromtimestamp(now + 30, UTC), usegmt=True)
    assert retry_after({"retry-after": "30"}) == 30
    assert 28 < (retry_after({"retry-after": later}, now) or 0) <= 30
    past = format_datetime(datetime.fromtimestamp(now - 30, UTC), usegmt=True)
    assert retry_after({"retry-after": past}, now) == 0
    for text in ("", "-1", "1.5", "inf", "9" * 5000, "soon", "Sat, 99 Nov 2026 99:99:99 GMT"):
        assert retry_after({"retry-after": text}) is None
    assert retry_after({}) is None


@given(st.lists(DOCUMENTS, max_size=6), st.data())
def test_lines_are_the_same_wherever_they_are_cut(documents, data):
    body = b"".join(
        json.dumps(d, ensure_ascii=False).encode("utf-8", "replace") + b"\n" for d in documents
    )
    whole = [json.loads(line) for line in body.split(b"\n") if line]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    lines, found = Lines(), []
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        found += lines.feed(body[start:end])
    found += lines.end()
    assert found == whole


def test_a_line_without_an_end_is_not_kept_for_ever():
    lines = Lines(limit=100)
    assert list(lines.feed(b"[" + b" " * 90)) == []
    with pytest.raises(ValueError, match="more than 100 bytes"):
        list(lines.feed(b" " * 20))


@given(st.text())
def test_a_segment_stays_one(text):
    quoted = segment(text)
    assert quoted.isascii() and not set(quoted) & set("/?#\\ \0\r\n")
    assert quoted not in (".", "..")


class Colour(Enum):
    RED = "red"


def test_what_python_has_for_json_is_sent():
    body = {
        "at": datetime(2026, 1, 2, tzinfo=UTC), "on": date(2026, 1, 2), "where": Point(1, 2),
        "id": UUID(int=1), "path": Path("a/b"), "colour": Colour.RED, "n": np.float32(0.5),
        "list": np.arange(2), "text": "\ud800",
    }  # fmt: skip
    assert json.loads(encode(body)) == {
        "at": "2026-01-02T00:00:00+00:00", "on": "2026-01-02",
        "where": {"type": "Point", "coordinates": [1.0, 2.0]},
        "id": str(UUID(int=1)), "path": "a/b", "colour": "red", "n": 0.5, "list": [0, 1],
        "text": "\ud800",
    }  # fmt: skip
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    circle: dict = {}
    circle["self"] = circle
    for bad, error in (
        ({"x": float("nan")}, ValueError),
        ({"x": object()}, TypeError),
        ({"x": b"bytes"}, TypeError),
        ({"x": deep}, ValueError),
        (circle, ValueError),
    ):
        with pytest.raises(error):
            encode(bad)


# -- notes of uploads ----------------------------------------------------------------------------


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "opstac" / "uploads"


def test_a_note_is_found_by_the_next_and_gone_at_the_end(state: Path):
    first = resume.Memory("a")
    second = resume.Memory("a")
    assert (first.resumed, second.resumed) == (False, True)
    assert first.key("initiate") == second.key("initiate") != resume.Memory("b").key("initiate")
    second.anew()
    assert resume.Memory("a").key("x") == second.key("x") != first.key("x")
    second.forget()
    assert not resume.Memory("a").resumed
    assert (state.stat().st_mode & 0o777) == 0o700


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"word": 1, "begun": 9e9}', '{"word": "w", "begun": 0}', "\xff"]
)
def test_a_note_that_is_old_or_broken_is_written_anew(state: Path, content: str):
    state.mkdir(parents=True)
    (state / "a.json").write_bytes(content.encode("latin-1"))
    assert not resume.Memory("a").resumed
    assert resume.Memory("a").resumed


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    memory = resume.Memory("a")
    memory.anew()
    memory.forget()
    assert not memory.resumed and memory.key("x")


def test_an_upload_is_the_same_only_where_all_of_it_is(tmp_path: Path):
    file = tmp_path / "a.tif"
    file.write_bytes(b"one")
    first = resume.identity("u", [file], [{"p": 1}])
    assert resume.identity("u", [file], [{"p": 1}]) == first
    others = {resume.identity("v", [file], [{"p": 1}]), resume.identity("u", [file], [{"p": 2}])}
    file.write_bytes(b"other")
    others.add(resume.identity("u", [file], [{"p": 1}]))
    assert len(others) == 3 and first not in others
