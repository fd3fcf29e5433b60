"""Which failures pass: the one table of what is tried again, and how often.

Whatever is not in it ends the job at once: bad inputs, a missing band, an unreadable scene, no
overlap, time that ran out, a mistake in a process. A run that is tried again waits longer each time
(`claim.BACKOFF_SECONDS`); attempts that a stopping worker gave back do not count.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from db.paths import StorageFull, StorageUnavailable

from .services import PassingError

DATABASE_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, PoolClosed)


@dataclass(frozen=True)
class Transient:
    """A failure that may pass.

    Attributes:
        attempts: runs of the job in all before it fails.
        ends_as: the error code of the job then.
        message: for its owner.
    """

    attempts: int
    ends_as: str
    message: str


TRANSIENT = {
    "storage_unavailable": Transient(
        5, "attempts_exhausted", "the object store did not answer, or not in time"
    ),
    "database_unavailable": Transient(5, "attempts_exhausted", "the database was not available"),
    "connection_lost": Transient(5, "attempts_exhausted", "a connection was lost"),
    "disk_full": Transient(5, "attempts_exhausted", "no space was left on the disk"),
    "busy": Transient(5, "attempts_exhausted", "a part of the platform was busy or stopping"),
    "unavailable": Transient(
        5, "attempts_exhausted", "the process that computes could not be started, or was lost"
    ),
    "workers_lost": Transient(2, "internal", "the Dask workers were lost while they computed"),
    # a neighbour may have been large, or a file may have come while it was read: once more
    "out_of_memory": Transient(2, "out_of_memory", "the work needed more memory than it may use"),
    "source_changed": Transient(
        2, "scene_unreadable", "a source file was replaced while it was read"
    ),
}

_ERRNO = {
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.ENOMEM: "out_of_memory",
    errno.EIO: "busy",
    errno.EMFILE: "busy",
    errno.ENFILE: "busy",
}


def reason(error: BaseException) -> str | None:
    """The row of the table that `error` belongs to; None for one that will not pass."""
    if isinstance(error, PassingError):
        return error.reason
    if isinstance(error, DATABASE_AWAY):
        return "database_unavailable"
    if isinstance(error, StorageFull):
        return "disk_full"
    if isinstance(error, StorageUnavailable):
        return "storage_unavailable"
    if isinstance(error, ConnectionError | TimeoutError):
        return "connection_lost"
    if isinstance(error, OSError) and error.errno is not None:
        return _ERRNO.get(error.errno)
    return None
