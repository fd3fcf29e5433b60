"""Clusters that are removed when they are done with: for tests and for `opstac testbed`.

The first use of a schema makes a cluster, migrates it and keeps a copy; later uses copy that, which
takes a fraction of a second where migrating takes several.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from db import migrate
from db.accounts import service_account
from db.binaries import find_binaries
from db.embedded import Cluster
from db.locks import Busy, exclusive

PREFIX = "opstac-disposable-"
TEMPLATES_KEPT = 8
# a file system in memory: thousands of small files are there at once, however busy the disk is;
# only mkdtemp makes anything in it
MEMORY = Path("/dev/shm")  # nosec B108
MEMORY_BYTES = 2 * 1024**3


def default_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Where migrated clusters are kept: a place whose loss costs a few seconds."""
    if environ.get("OPSTAC_HOME"):
        return Path(environ["OPSTAC_HOME"]).expanduser().absolute() / "cache"
    if os.geteuid() == 0:
        return Path("/var/cache/opstac")
    cache = environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "opstac"


@contextmanager
def disposable_cluster() -> Generator[Cluster]:
    """A running cluster in a temporary folder, removed at the end; its database is empty.

    Its server ends with the thread that entered here, also when that is killed; the folder of a
    killed process is removed by the next one that comes by.
    """
    with _temporary_cluster() as cluster:
        cluster.start()
        yield cluster


@contextmanager
def migrated_cluster(cache: Path | None = None) -> Generator[Cluster]:
    """As `disposable_cluster`, with its database migrated to this version.

    Args:
        cache: folder of the kept clusters; else `default_cache()`.
    """
    with _temporary_cluster() as cluster:
        _bring_in(cluster, cache or default_cache())
        cluster.start()
        yield cluster


@contextmanager
def _temporary_cluster() -> Generator[Cluster]:
    sweep()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_fastest_place()))
    # the service account must get through; what holds secrets within stays closed
    folder.chmod(0o755)
    with exclusive(folder / "owner.lock", "a disposable database"):
        cluster = Cluster(folder / "postgres", disposable=True)
        try:
            yield cluster
        finally:
            cluster.stop(at_once=True)
            shutil.rmtree(folder, ignore_errors=True)


def _fastest_place() -> Path:
    """Memory where there is plenty of it, as there is not in most containers; else a disk."""
    try:
        if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES:
            return MEMORY
    except OSError:
        pass
    return Path(tempfile.gettempdir())


def _bring_in(cluster: Cluster, cache: Path) -> None:
    """Copy the kept cluster of this schema to `cluster`'s place; make and keep it first if new."""
    template = cache / f"cluster-{schema_key()}"
    with exclusive(cache / "lock", "a first use of this schema", wait_seconds=120):
        if (template / "cluster.json").is_file():
            os.utime(template)
        else:
            cluster.start()
            migrate.migrate(cluster.dsn())
            cluster.stop()
            growing = cache / "growing"
            shutil.rmtree(growing, ignore_errors=True)
            _copy(cluster.folder, growing)
            shutil.rmtree(cluster.folder)
            shutil.rmtree(template, ignore_errors=True)
            growing.rename(template)
            _forget_old(cache)
        _copy(template, cluster.folder)


def _copy(source: Path, target: Path) -> None:
    """Copy a stopped cluster, owners and modes included; on some file systems without copying."""
    command = ["cp", "-a", str(source), str(target)]
    if os.uname().sysname == "Linux":
        command.insert(2, "--reflink=auto")
    subprocess.run(command, check=True, capture_output=True)
    for leftover in ("server.log", "start.lock"):
        (target / leftover).unlink(missing_ok=True)


def _forget_old(cache: Path) -> None:
    kept = sorted(cache.glob("cluster-*"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in kept[TEMPLATES_KEPT:]:
        shutil.rmtree(path, ignore_errors=True)


def schema_key() -> str:
    """Changes whenever a migrated cluster would: with the migrations, the server, the day.

    The day, since a migrated database has partitions for the coming time only.
    """
    server = find_binaries()
    control = server.postgis_control()
    account = service_account()
    parts = (
        migrate.version(),
        str(server.folder),
        server.version,
        control.read_text() if control else "",
        str(account.uid if account else os.geteuid()),
        datetime.now(UTC).date().isoformat(),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def sweep() -> None:
    """Remove what killed processes of ours have left."""
    places = {MEMORY, Path(tempfile.gettempdir())}
    for folder in (found for place in places for found in place.glob(f"{PREFIX}*")):
        lock = folder / "owner.lock"
        # without a lock it is just being made
        if folder.is_symlink() or not lock.is_file() or folder.stat().st_uid != os.geteuid():
            continue
        with suppress(Busy, OSError), exclusive(lock, "a disposable database"):
            Cluster(folder / "postgres", disposable=True).stop(at_once=True)
            shutil.rmtree(folder, ignore_errors=True)
