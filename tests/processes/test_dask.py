"""Blocks on a real Dask scheduler with two real worker processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from distributed import Client
from rasterio.transform import from_origin

from ops_gateway.worker.transient import TRANSIENT
from processes import engine, on_dask
from processes.process import JobError, Source

SIDE = 3000
FORMULA = "sqrt(b1 * b2) + b1 / (b2 + 1); (b1 - b2) / (b1 + b2)"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Cluster:
    """A scheduler and workers of this machine, ended with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        port = free_port()
        self.address = f"tcp://127.0.0.1:{port}"
        self.processes: list[subprocess.Popen[bytes]] = []
        self._start("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
        end = time.monotonic() + 30
        while not listening(port) and time.monotonic() < end:
            time.sleep(0.1)

    def worker(self, *, ours: bool = True) -> subprocess.Popen[bytes]:
        preload = ["--preload", "processes.on_dask"] if ours else []
        options = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
        return self._start("worker", self.address, *options, *preload)

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        root = Path(__file__).parents[2]
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": f"{root}:{root / 'src'}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.processes.append(process)
        return process

    def tasks(self) -> dict[str, int]:
        """How many blocks the scheduler knows, by state."""

        # within: the scheduler cannot import this module
        def states(dask_scheduler: Any) -> dict[str, int]:
            found: dict[str, int] = {}
            for key, task in dask_scheduler.tasks.items():
                if str(key).startswith("opstac-"):
                    found[task.state] = found.get(task.state, 0) + 1
            return found

        with Client(self.address, set_as_default=False) as client:
            return client.run_on_scheduler(states)

    def end(self) -> None:
        for process in reversed(self.processes):
            process.send_signal(signal.SIGKILL)
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    try:
        yield made
    finally:
        made.end()


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "scene.tif"
    values = np.random.default_rng(5).integers(1, 4000, (2, SIDE, SIDE)).astype("uint16")
    values[:, 100:200] = 0
    place = from_origin(500_000, 5_400_000, 10, 10)
    with rasterio.open(
        path, "w", driver="GTiff", width=SIDE, height=SIDE, count=2, dtype="uint16", nodata=0,
        crs="EPSG:32632", transform=place, tiled=True, blockxsize=512, blockysize=512,
        compress="zstd", zstd_level=1,
    ) as file:  # fmt: skip
        file.write(values)
    return path


async def math_on(
    scene: Path, out: Path, address: str | None, within: str = "", **options: Any
) -> bytes:
    out.mkdir()
    env = {on_dask.SCHEDULER: address, on_dask.CONNECT: within} if address else None
    inputs = {"source_item_id": "it_1", "expression": FORMULA}
    source = Source("it_1", "data", str(scene))
    (made,) = await engine.run("band_math", inputs, [source], out, env=env, **options)
    assert made.path is not None
    return made.path.read_bytes()


async def test_a_worker_killed_in_the_middle_changes_no_bit(
    cluster: Cluster, scene: Path, tmp_path: Path
):
    local: list[engine.Work] = []
    remote: list[engine.Work] = []
    here = await math_on(scene, tmp_path / "here", None, on_work=local.append)
    workers = [cluster.worker(), cluster.worker()]
    killed: list[float] = []

    def kill(fraction: float, stage: str) -> None:
        if fraction > 0.1 and not killed:
            killed.append(fraction)
            workers[0].send_signal(signal.SIGKILL)

    # both must be there before the first is killed
    while await asyncio.to_thread(lambda: _workers(cluster)) < 2:
        await asyncio.sleep(0.2)
    there = await math_on(
        scene, tmp_path / "there", cluster.address, on_progress=kill, on_work=remote.append
    )
    assert killed and killed[0] < 0.8 and workers[0].wait(10) == -signal.SIGKILL
    assert there == here
    # what a block reads is counted once, wherever and however often it was begun
    assert remote[0].samples_read == local[0].samples_read == 2 * SIDE * SIDE
    assert remote[0].bytes_read is None and local[0].bytes_read
    assert await asyncio.to_thread(cluster.tasks) == {}


def _workers(cluster: Cluster) -> int:
    with Client(cluster.address, set_as_default=False) as client:
        return len(client.scheduler_info(n_workers=-1)["workers"])


async def test_a_cancelled_job_leaves_no_block_behind(
    cluster: Cluster, scene: Path, tmp_path: Path
):
    cluster.worker()
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def note(fraction: float, stage: str) -> None:
        loop.call_soon_threadsafe(begun.set)

    job = asyncio.create_task(math_on(scene, tmp_path / "out", cluster.address, on_progress=note))
    await asyncio.wait_for(begun.wait(), 60)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    for _ in range(100):
        states = await asyncio.to_thread(cluster.tasks)
        if not states:
            break
        await asyncio.sleep(0.1)
    assert states == {}


async def test_a_refusal_of_a_worker_is_the_jobs(cluster: Cluster, scene: Path, tmp_path: Path):
    cluster.worker()
    data = bytearray(scene.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 100_000] = b"\xff" * 100_000  # only who decodes it can know
    scene.write_bytes(data)
    with pytest.raises(JobError) as error:
        await math_on(scene, tmp_path / "out", cluster.address)
    assert error.value.code == "scene_unreadable"


async def test_foreign_workers_get_nothing(
    cluster: Cluster, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(on_dask, "_WAIT_SECONDS", 3.0)
    cluster.worker(ours=False)
    while await asyncio.to_thread(lambda: _workers(cluster)) < 1:
        await asyncio.sleep(0.2)

    def ask() -> None:
        with Client(cluster.address, set_as_default=False) as client:
            on_dask._threads_of(client)

    with pytest.raises(JobError, match="none of the 1 Dask workers"):
        await asyncio.to_thread(ask)


async def test_a_scheduler_that_is_not_there_is_said(scene: Path, tmp_path: Path):
    address = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(JobError, match="scheduler does not answer") as error:
        await math_on(scene, tmp_path / "out", address, within="500ms")
    assert error.value.code == "unavailable" and error.value.code in TRANSIENT


async def test_processes_of_many_items_and_grids_are_the_same_there(
    cluster: Cluster, tmp_path: Path
):
    """Each on workers and here: to the same bytes."""
    folder = Path(__file__).parents[1] / "data/rasters"
    dated = [
        Source(f"it_{day}", key, str(folder / f"s2-33TWM_2023-08-{day}{name}_120m.tif"))
        for day in ("13", "18", "20")
        for key, name in (("data", ""), ("scl", "_scl"))
    ]
    ids = {"source_item_ids": ["it_13", "it_18", "it_20"]}
    one = {"source_item_id": "it_13"}
    runs: list[tuple[str, dict[str, Any], list[Source]]] = [
        ("stack", {**ids, "crs": "EPSG:3035", "resolution": 30}, dated),
        ("mosaic", {**ids, "method": "mean", "crs": "EPSG:3857", "resolution": 60}, dated),
        ("reproject", {**one, "crs": "EPSG:3035", "resolution": 30}, dated[:1]),
        ("cloud_mask", {**one, "dilate": 3}, dated[:2]),
        ("change_detection", {"source_item_ids": ["it_13", "it_18"]}, [dated[0], dated[2]]),
    ]
    for _ in range(2):
        cluster.worker()
    for name, inputs, sources in runs:
        made: list[bytes] = []
        for address in (None, cluster.address):
            out = tmp_path / f"{name}-{len(made)}"
            out.mkdir()
            env = {on_dask.SCHEDULER: address} if address else None
            (output,) = await engine.run(name, inputs, sources, out, env=env)
            made.append(Path(str(output.path)).read_bytes())
        assert made[0] == made[1], name
