"""Blocks on the workers of a Dask cluster.

    opstac dask-worker tcp://scheduler:8786

A worker says by a Dask resource which code it runs: a hash over our sources and the versions of the
libraries that make pixels. Blocks go only to workers of the same code, so the bits are the same,
and a worker of another version or of somebody else never gets one. A worker that dies gives its
blocks back to the scheduler; a job that is killed closes its connection, and the scheduler drops
what of it has not begun.
"""

import hashlib
import importlib.metadata
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from processes import files
from processes.calls import Call, Place
from processes.grid import Block
from processes.process import JobError
from raster import counting

SCHEDULER = "OPSTAC_DASK_SCHEDULER"
_PACKAGES = ("numpy", "rasterio", "numexpr", "shapely", "pyproj", "opencv-python-headless")
_ENOUGH = 1e9  # of the resource: what one worker computes at a time is bounded by its threads
_WAIT_SECONDS = 60.0
# Dask's own setting; its default of half a minute is long for a job that is tried again
CONNECT = "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT"
_CONNECT_WITHIN = "10s"
_MOST = 64  # blocks under way


@cache
def resource() -> str:
    """The name of the resource that workers of this code have."""
    import rasterio

    digest = hashlib.sha256()
    said = [platform.python_version(), platform.machine(), rasterio.__gdal_version__]
    said += [f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES]
    digest.update("\n".join(said).encode())
    here = Path(__file__).resolve().parent
    for folder in (here, here.parent / "raster"):
        for path in sorted(folder.rglob("*.py")):
            digest.update(str(path.relative_to(here.parent)).encode() + b"\0" + path.read_bytes())
    return f"opstac-{digest.hexdigest()[:16]}"


def dask_setup(worker: Any) -> None:
    """Prepare a Dask worker for blocks; called by `dask worker --preload processes.on_dask`."""
    import raster.env

    raster.env.apply()
    raster.env.keep_memory()
    worker.state.total_resources[resource()] = _ENOUGH
    worker.state.available_resources[resource()] = _ENOUGH


@dataclass(frozen=True)
class Refusal:
    """An exception that says its code; as it is, it would not survive the journey."""

    code: str
    message: str


@dataclass(frozen=True)
class Counted:
    """What a worker made, and how many samples it read for it."""

    made: Any
    samples: int


@dataclass(frozen=True)
class Masked:
    """A masked array. Dask's own way to send one asks for its fill value, and 999999, which is what
    numpy fills with, is no 8 or 16 bit number."""

    data: np.ndarray
    mask: np.ndarray


def compute(call: Call, block: Block) -> Any:
    """Compute a block, on a worker."""
    before = counting.samples_here()
    try:
        made = call(block)
        if isinstance(made, np.ma.MaskedArray):
            made = Masked(made.data, np.ascontiguousarray(np.ma.getmaskarray(made)))
        return Counted(made, counting.samples_here() - before)
    except Exception as error:
        code = getattr(error, "code", None)
        if not isinstance(code, str):
            raise
        return Refusal(code, str(getattr(error, "message", error)))


@dataclass(frozen=True)
class _Awaited:
    future: Any

    def result(self) -> Any:
        from distributed import CancelledError
        from distributed.scheduler import KilledWorker

        try:
            made = self.future.result()
        except (KilledWorker, CancelledError) as error:
            raise JobError("workers_lost", f"the Dask workers failed: {error}"[:300]) from None
        if isinstance(made, Refusal):
            raise JobError(made.code, made.message)
        if isinstance(made, Counted):
            counting.add_samples(made.samples)
            made = made.made
        if isinstance(made, Masked):
            return np.ma.MaskedArray(made.data, mask=made.mask)
        return made


@contextmanager
def place(call: Call, address: str) -> Iterator[Place]:
    """The workers of a scheduler.

    Raises: JobError("unavailable"): the scheduler does not answer, or has no worker of this code.
    """
    from distributed import Client

    there = {key: replace(s, path=s.elsewhere or s.path) for key, s in call.sources.items()}
    call = replace(call, sources=there)
    within = os.environ.get(CONNECT) or _CONNECT_WITHIN
    try:
        client = Client(address, timeout=within, set_as_default=False, name="opstac")
    except (OSError, ValueError) as error:
        message = f"the Dask scheduler does not answer: {type(error).__name__}"
        raise JobError("unavailable", message) from None
    try:
        threads = _threads_of(client)

        def start(block: Block) -> _Awaited:
            future = client.submit(
                compute,
                call,
                block,
                key=f"opstac-{call.run}-{block.number}",
                resources={resource(): 1},
                pure=False,
            )
            return _Awaited(future)

        yield Place(start, max(4, min(4 * threads, _MOST)))
        with suppress(Exception):
            client.run(files.forget, call.run, wait=False, on_error="ignore")
    finally:
        with suppress(TimeoutError):
            client.close(timeout=5)


def _threads_of(client: Any) -> int:
    """Threads of the workers that have our code; waits a minute for the first of them."""
    end = time.monotonic() + _WAIT_SECONDS
    while True:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        fitting = [w for w in workers if resource() in w.get("resources", {})]
        if fitting:
            return sum(int(w["nthreads"]) for w in fitting)
        if time.monotonic() > end:
            raise JobError(
                "unavailable",
                f"none of the {len(workers)} Dask workers runs this version with these libraries",
            )
        time.sleep(0.5)
