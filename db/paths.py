"""Names of objects and the errors of the store."""

from __future__ import annotations

import errno
import re
from collections.abc import Generator
from contextlib import contextmanager

LONGEST_PATH = 512
LONGEST_SEGMENT = 200

_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_FULL = {errno.ENOSPC, errno.EDQUOT}


class ObjectError(Exception):
    """Base of what the store raises."""


class BadObjectPath(ObjectError):
    """No object can have this name."""


class ObjectMissing(ObjectError):
    """There is no such object."""


class ObjectChanged(ObjectError):
    """The object is not the version any more that was asked for."""


class StorageUnavailable(ObjectError):
    """The store does not answer, or refuses us; another try may help."""


class StorageFull(StorageUnavailable):
    """There is no room left; what was stored before is untouched."""


class PartBusy(ObjectError):
    """Another request is writing this upload."""


class WrongOffset(ObjectError):
    """The bytes do not begin where the upload stands.

    Attributes:
        offset: where it stands, in bytes.
    """

    def __init__(self, offset: int) -> None:
        """`offset`: bytes that are there."""
        super().__init__(f"{offset} bytes of this upload are here; go on from there")
        self.offset = offset


class TooManyBytes(ObjectError):
    """The body goes beyond what was announced or allowed."""


class TooFewBytes(ObjectError):
    """The body ended before what was announced."""


class DigestMismatch(ObjectError):
    """The bytes are not the ones whose digest was announced."""


def check_path(path: str) -> str:
    """Give back `path` where it can name an object.

    Paths are made by the platform; this is the second wall. Segments of letters, digits, `.`, `_`
    and `-` that do not begin with a dot or a hyphen: no way up, nothing hidden, nothing to encode.

    Raises:
        BadObjectPath: it cannot.
    """
    if 0 < len(path) <= LONGEST_PATH and not path.endswith(".part"):
        segments = path.split("/")
        if all(len(s) <= LONGEST_SEGMENT and _SEGMENT.fullmatch(s) for s in segments):
            return path
    raise BadObjectPath("no object has this name")


def check_prefix(prefix: str) -> str:
    """Give back `prefix`, a folder with or without its last slash, or "" for everything."""
    trimmed = prefix.removesuffix("/")
    return check_path(trimmed) + "/" if trimmed else ""


@contextmanager
def disk_errors() -> Generator[None]:
    """Turn the system's "no space left" into StorageFull."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull("there is no room left in the object store") from error
        raise
