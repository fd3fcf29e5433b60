"""The reference pages are what the code says, and the other pages point at what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ops_gateway.kernel.services import Limits, Options
from opstac import reference, variables
from opstac.settings import read_limits

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
PACKAGES = ["src", "db", "raster", "stac_api", "tiler", "processes", "ops_gateway", "wire"]
# what a process of ours tells another, and what only the tests set
INTERNAL = {"OPSTAC_TESTING", "OPSTAC_FAULT", "OPSTAC_PARENT_PID"}


def test_the_reference_is_up_to_date():
    # in a process of its own: other tests have added to the registries of this one
    done = subprocess.run(
        [sys.executable, "-P", "-m", "opstac", "docs", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stale_a_missing_and_a_left_over_page_are_found(tmp_path: Path):
    made = {"a.md": "a\n", "b.md": "b\n"}
    reference.write(made, tmp_path)
    assert reference.stale(made, tmp_path) == []
    (tmp_path / "a.md").write_text("by hand\n")
    (tmp_path / "b.md").unlink()
    (tmp_path / "c.md").write_text("old\n")
    assert reference.stale(made, tmp_path) == ["a.md", "b.md", "c.md"]
    reference.write(made, tmp_path)
    assert reference.stale(made, tmp_path) == []


def test_every_variable_that_is_read_is_described():
    described = {v.name for group in variables.GROUPS.values() for v in group}
    files = [ROOT / "opstac", *(f for p in PACKAGES for f in (ROOT / p).rglob("*.py"))]
    used = {name for f in files for name in re.findall(r"\bOPSTAC_[A-Z][A-Z_]*\b", f.read_text())}
    assert used - INTERNAL - described == set()
    assert {name for name in described if name.startswith("OPSTAC_")} <= used


def test_the_kernels_own_defaults_are_the_described_ones():
    assert read_limits({}) == Limits()
    options = Options()
    assert options.signup_credits == variables.SIGNUP_CREDITS.default
    assert options.storage_quota_bytes == variables.STORAGE_QUOTA_BYTES.default
    assert options.upload_max_bytes == variables.UPLOAD_MAX_BYTES.default
    assert options.job_timeout_seconds == variables.JOB_TIMEOUT_SECONDS.default


def test_a_number_that_is_none_names_its_variable():
    with pytest.raises(variables.BadVariable, match="OPSTAC_PORT must be a whole number"):
        variables.PORT.number({"OPSTAC_PORT": "eighty"})
    assert variables.PORT.number({"OPSTAC_PORT": ""}) == variables.PORT.default


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_files_that_a_page_names_are_there(page: Path):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)", text):
        assert (page.parent / target).exists(), target
    prefix = "|".join([*PACKAGES, "tests", "docs", "bench", "web", "docker", r"\.ci"])
    for name in re.findall(rf"`((?:{prefix})/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name
    tests = "".join(f.read_text() for f in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in tests, name
