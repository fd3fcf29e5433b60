"""What is kept of a run's log is short, and says nothing of the machine or of secrets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ops_gateway.worker.joblog import LINES, LONGEST_LINE, JobLog


def cleaned(text: str) -> str:
    return JobLog().clean(text)


def test_paths_keep_the_name_of_the_file() -> None:
    assert cleaned("'/srv/opstac/objects/org_1/a.tif' not there") == "'…/a.tif' not there"
    assert cleaned("open(/vsis3/bucket/org_1/a.tif): 503") == "open(…/a.tif): 503"
    assert cleaned("3/4 of km/h and/or 10 m") == "3/4 of km/h and/or 10 m"


def test_addresses_and_secrets_are_hidden() -> None:
    text = (
        "GET https://user:pw@db.internal:5432/x?sig=1 from 10.1.2.3:5432 "
        "token=abc123 Authorization: Bearer eyJhbGciOi.eyJzdWIi.sig gpra_0123456789 "
        "AKIAABCDEFGHIJKLMNOP"
    )
    for secret in ("pw", "internal", "10.1", "abc123", "eyJ", "0123456789", "AKIA"):
        assert secret not in cleaned(text)


def test_a_place_with_spaces_is_hidden_where_it_is_known() -> None:
    log = JobLog()
    log.hide("/mnt/my disk/scratch/job-1", "…")
    log.hide("/mnt/my disk/scratch/job-1/in.tif", "it_1/data")
    log.add("reading /mnt/my disk/scratch/job-1/in.tif into /mnt/my disk/scratch/job-1/out.tif")
    assert log.lines == ["  reading it_1/data into …/out.tif"]


@given(st.lists(st.text(), max_size=100))
def test_it_is_bounded_and_can_be_stored(texts: list[str]) -> None:
    log = JobLog()
    for text in texts:
        log.note(text)
        log.add(text)
    assert len(log.lines) <= LINES
    for line in log.lines:
        assert len(line) <= LONGEST_LINE
        assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in line)
        line.encode()
