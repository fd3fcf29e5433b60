"""Sources in a bucket, for a child that has no key to it: each by a signed link of its own."""

import dataclasses
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from processes.process import JobError, Source


@contextmanager
def opened(links: Mapping[str, str]) -> Generator[Mapping[str, str]]:
    """What opens each source that has a link; where one could not be read nothing else counts.

    Each is looked for when it is first opened.

    Raises: JobError("storage_unavailable").
    """
    if not links:
        yield {}
        return
    from raster.signed import SignedFiles

    files = SignedFiles(links)
    try:
        with files:
            yield files.paths
    finally:
        if files.failed is not None:
            raise JobError("storage_unavailable", files.failed) from None


def by_link(source: Source, paths: Mapping[str, str]) -> Source:
    """The source where its link was opened, or as it is without one."""
    if source.path not in paths:
        return source
    return dataclasses.replace(source, path=paths[source.path], elsewhere=source.path)
