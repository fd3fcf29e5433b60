"""Folders of runs end with them, or are swept once their process is dead."""

from __future__ import annotations

import subprocess
import sys

from ops_gateway.worker.scratch import Scratch

DIE = """
import os, sys
from pathlib import Path
from ops_gateway.worker.scratch import Scratch
with Scratch(Path(sys.argv[1])).folder("job_1-1") as folder:
    (folder / "half.tif").write_bytes(b"x" * 1000)
    os.kill(os.getpid(), 9)
"""


def test_a_folder_ends_with_its_run(tmp_path) -> None:
    scratch = Scratch(tmp_path / "s")
    with scratch.folder("job_1-1") as folder:
        assert list(folder.iterdir()) == []
        (folder / "a.tif").touch()
        assert scratch.sweep() == 0  # it is in use
        assert (folder / "a.tif").exists()
    assert list(scratch.place.iterdir()) == []


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path) -> None:
    scratch = Scratch(tmp_path)
    (tmp_path / "job-of-somebody-else").mkdir()
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", DIE, str(tmp_path)], check=False)
        assert killed.returncode == -9
    assert len(list(tmp_path.glob("job-job_1-1-*/half.tif"))) == 2
    assert scratch.sweep() == 2
    assert [p.name for p in tmp_path.iterdir()] == ["job-of-somebody-else"]
    assert scratch.sweep() == 0


def test_the_place_is_the_users_own(tmp_path) -> None:
    with Scratch(tmp_path / "s").folder("a"):
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700
