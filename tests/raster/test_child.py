"""Bounded children: results come back, excess and death are reported, cancelling kills."""

import asyncio
import errno
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raster import child
from raster.child import ChildFailed, run, run_child

CASES = """
import ctypes, os, time

def double(value): return value * 2
def environment(): return dict(os.environ)
def niceness(): return os.nice(0)
def spin():
    while True: pass
def sleep(path):
    with open(path, "w") as file: file.write(str(os.getpid()))
    time.sleep(60)
def eat():
    kept = []
    while True: kept.append(bytearray(8 << 20))
def crash(): ctypes.string_at(0)
def killed(): os.kill(os.getpid(), 9)
def orphaned():
    os.kill(os.getppid(), 9)
    time.sleep(60)
def steps(progress):
    progress(0.5, "half")
    progress(1, "all")
    return 3
class Odd(Exception):
    code, message = "odd", "very odd"
def odd(): raise Odd
def nan(): return float("nan")
def full(number, words): raise OSError(number, words) if number else OSError(words)
def talk():
    import logging, sys
    print("out"); print("err", file=sys.stderr); os.system("echo from C")
    logging.getLogger("processes.jobs").info("told"); logging.getLogger("other").info("not told")
    return 1
def much():
    for n in range(5000): print("line", n)
def talk_and_die():
    print("last words", flush=True); os.kill(os.getpid(), 11)
def long(): return "x" * 5_000_000
def once(limit):
    # the first write that goes beyond the limit fails; then there is room again
    import resource, signal
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    def more(number): resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    os.more = ctypes.CFUNCTYPE(None, ctypes.c_int)(more)
    ctypes.CDLL(None).signal(signal.SIGXFSZ, os.more)
    os.environ["OPSTAC_BLOCK_THREADS"] = "1"
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
def write(folder, limit, side, passing=""):
    import pathlib, resource, numpy as np, rasterio
    from rasterio.crs import CRS
    from rasterio.transform import from_origin
    from raster import cog
    if passing == "part": once(limit)
    elif not passing: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    part, path = pathlib.Path(folder, "part.tif"), pathlib.Path(folder, "made.tif")
    numbers = np.random.default_rng(1)
    grid = {"width": side, "height": side, "transform": from_origin(5e5, 5e6, 10, 10)}
    with cog.tiled_writer(
        part, **grid, dtype="uint16", count=1, crs=CRS.from_epsg(32632), nodata=0
    ) as out:
        for row in range(0, side, 256):
            window = rasterio.windows.Window(0, row, side, min(256, side - row))
            out.write(numbers.integers(1, 60000, (1, window.height, side), "uint16"), window)
    if passing == "cog": once(limit)
    cog.write_cog(part, path)
    assert not passing or resource.getrlimit(resource.RLIMIT_FSIZE)[0] != limit
    return [part.stat().st_size, path.stat().st_size]
"""


@pytest.fixture(autouse=True, scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A nursery of its own, which can import the functions above."""
    folder = tmp_path_factory.mktemp("cases")
    (folder / "child_cases.py").write_text(CASES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPSTAC_SECRET", "not for children")
        patch.setattr(sys, "path", [str(folder), *sys.path])
        patch.setattr(child, "_NURSERY", child._Nursery())
        yield
        child.shut_down()


def failure(name: str, bounds: Mapping[str, float] | None = None, **given: Any) -> ChildFailed:
    with pytest.raises(ChildFailed) as failed:
        run(f"child_cases:{name}", given, **(bounds or {}))
    return failed.value


async def test_what_a_child_prints_is_its_log() -> None:
    said: list[str] = []
    assert await run_child("child_cases:talk", {}, on_log=said.append) == 1
    (log,) = said
    assert {"out", "err", "from C", "INFO processes.jobs: told"} <= set(log.splitlines())
    assert "not told" not in log.replace("INFO processes.jobs: told", "")


async def test_a_long_log_keeps_its_end() -> None:
    said: list[str] = []
    await run_child("child_cases:much", {}, on_log=said.append)
    assert said[0].endswith("line 4999\n") and len(said[0]) <= 16 << 10


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("talk_and_die", "last words"),
        ("nan", "ValueError: Out of range float"),
    ],
)
async def test_a_failed_child_leaves_its_log(name: str, words: str) -> None:
    said: list[str] = []
    with pytest.raises(ChildFailed):
        await run_child(f"child_cases:{name}", {}, on_log=said.append)
    assert words in said[0]
    assert "/" not in said[0]  # no place of a file


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """Of the intermediate file and of the COG, of what `write` makes without a limit."""
    folder = str(tmp_path_factory.mktemp("whole"))
    return run("child_cases:write", {"folder": folder, "limit": 1 << 30, "side": 700})


@settings(deadline=None, max_examples=12)
@given(part=st.floats(0, 1, exclude_max=True))
@example(part=0.0)
@example(part=0.74)  # the COG alone does not fit; neither GDAL nor rasterio fails for it
@example(part=0.99999)  # a few bytes short: libtiff does not say it either
def test_a_file_that_could_not_be_written_whole_is_never_a_result(
    sizes: list[int], tmp_path_factory: pytest.TempPathFactory, part: float
) -> None:
    folder, limit = tmp_path_factory.mktemp("short"), int(part * max(sizes))
    failed = failure("write", folder=str(folder), limit=limit, side=700)
    assert failed.code == "disk_full"


@pytest.mark.parametrize("part", [0.0, 0.00002, 0.1, 0.3, 0.6, 0.9, 0.999])
@pytest.mark.parametrize("passing", ["part", "cog"])
def test_one_write_that_fails_while_the_disk_is_full_for_a_moment_fails_the_work(
    sizes: list[int], tmp_path: Path, passing: str, part: float
) -> None:
    limit = int(part * sizes[passing == "cog"])
    failed = failure("write", folder=str(tmp_path), limit=limit, side=700, passing=passing)
    assert failed.code == "disk_full"


@pytest.mark.parametrize(
    ("number", "words", "code"),
    [
        (errno.ENOSPC, "No space left on device", "disk_full"),
        (errno.EDQUOT, "Disk quota exceeded", "disk_full"),
        (errno.EFBIG, "File too large", "disk_full"),
        (0, "error closing file", "disk_full"),  # Arrow's, which has no number
        (errno.EACCES, "Permission denied", "internal"),
    ],
)
def test_what_only_closing_a_file_says_is_known_too(number: int, words: str, code: str) -> None:
    assert failure("full", number=number, words=words).code == code


async def test_a_child_lost_with_its_minder_is_nobodys_fault() -> None:
    with pytest.raises(ChildFailed) as failed:
        await run_child("child_cases:orphaned", {})
    assert failed.value.code == "unavailable"


async def test_a_result_comes_back() -> None:
    assert await run_child("child_cases:double", {"value": [1]}) == [1, 1]
    assert len(await run_child("child_cases:long", {})) == 5_000_000


async def test_progress_is_streamed() -> None:
    seen: list[tuple[float, str]] = []
    result = await run_child("child_cases:steps", {}, on_progress=lambda *p: seen.append(p))
    assert (result, seen) == (3, [(0.5, "half"), (1, "all")])


def test_no_secret_of_the_caller_is_in_a_child() -> None:
    environment = run("child_cases:environment", {}, env={"GIVEN": "yes"})
    assert environment["GIVEN"] == "yes"
    assert "OPSTAC_SECRET" not in environment
    assert "VRT" in environment["GDAL_SKIP"]
    assert run("child_cases:niceness", {}) == min(19, os.nice(0) + 10)


@pytest.mark.parametrize(
    ("name", "bounds", "code"),
    [
        ("spin", {"seconds": 0.3}, "timeout"),
        ("eat", {"memory_bytes": 200 * 1024**2}, "out_of_memory"),
        ("killed", {}, "out_of_memory"),
        ("crash", {}, "crashed"),
        ("odd", {}, "odd"),
        ("nan", {}, "internal"),
        ("missing", {}, "internal"),
    ],
)
def test_excess_and_death_are_reported(name: str, bounds: dict[str, float], code: str) -> None:
    start = time.monotonic()
    assert failure(name, bounds).code == code
    assert time.monotonic() - start < 5


async def test_cancelling_kills_the_child(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    task = asyncio.create_task(run_child("child_cases:sleep", {"path": str(told)}))
    while not told.exists() or not told.read_text():
        await asyncio.sleep(0.01)
    pid = int(told.read_text())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(200):
        if not os.path.exists(f"/proc/{pid}"):
            break
        await asyncio.sleep(0.01)
    assert not os.path.exists(f"/proc/{pid}")


async def test_children_run_beside_each_other() -> None:
    start = time.monotonic()
    values = await asyncio.gather(
        *(run_child("child_cases:double", {"value": n}) for n in range(20))
    )
    assert values == [2 * n for n in range(20)]
    assert time.monotonic() - start < 5


def test_a_nursery_that_died_is_started_again() -> None:
    nursery = child._NURSERY
    assert run("child_cases:double", {"value": 1}) == 2
    assert nursery._process is not None
    nursery._process.kill()
    nursery._process.wait()
    assert run("child_cases:double", {"value": 2}) == 4


async def test_inspection_of_a_damaged_file_fails_with_its_code(data: Path) -> None:
    with pytest.raises(ChildFailed) as failed:
        await run_child("raster.inspect:inspect", {"path": str(data / "truncated.tif")})
    assert failed.value.code == "truncated"
