"""Which failures are tried again is one table, and everything that fails is looked up in it."""

from __future__ import annotations

import errno

import psycopg
import pytest
from psycopg_pool import PoolTimeout

from db.paths import ObjectMissing, StorageFull, StorageUnavailable
from ops_gateway.worker.claim import MAX_ATTEMPTS
from ops_gateway.worker.services import JobFailed, PassingError
from ops_gateway.worker.transient import TRANSIENT, reason
from processes.process import ERROR_CODES


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StorageUnavailable("503"), "storage_unavailable"),
        (StorageFull("full"), "disk_full"),
        (psycopg.OperationalError("terminating connection"), "database_unavailable"),
        (PoolTimeout("no connection"), "database_unavailable"),
        (ConnectionResetError(), "connection_lost"),
        (BrokenPipeError(), "connection_lost"),
        (TimeoutError(), "connection_lost"),
        (OSError(errno.ENOSPC, "no space"), "disk_full"),
        (OSError(errno.EDQUOT, "quota"), "disk_full"),
        (OSError(errno.EMFILE, "files"), "busy"),
        (PassingError("source_changed"), "source_changed"),
        # and these will not pass
        (PermissionError(errno.EACCES, "no"), None),
        (FileNotFoundError(errno.ENOENT, "no"), None),
        (ObjectMissing("gone"), None),
        (psycopg.ProgrammingError("column"), None),
        (psycopg.IntegrityError("constraint"), None),
        (JobFailed("no_overlap", "outside"), None),
        (KeyError("a mistake"), None),
        (ValueError("bad input"), None),
        (MemoryError(), None),
    ],
)
def test_an_error_passes_or_does_not(error: Exception, expected: str | None) -> None:
    assert reason(error) == expected


def test_what_a_process_is_to_blame_for_is_not_tried_again() -> None:
    permanent = set(ERROR_CODES) - set(TRANSIENT)
    assert permanent == set(ERROR_CODES) - {"out_of_memory"}
    assert {"scene_unreadable", "band_missing", "invalid_inputs", "timeout", "internal"} < permanent


def test_attempts_are_bounded() -> None:
    assert all(2 <= row.attempts <= MAX_ATTEMPTS for row in TRANSIENT.values())
    assert TRANSIENT["out_of_memory"].attempts == 2
