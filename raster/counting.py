"""What this process has read of rasters so far, for the receipt of a run."""

import threading

_lock = threading.Lock()
_samples = 0
_fetched = 0


class _Here(threading.local):
    samples = 0


_here = _Here()


def add_samples(count: int) -> None:
    """Note samples (a pixel of a band each) that were read from a raster, or elsewhere for us."""
    global _samples
    _here.samples += count
    with _lock:
        _samples += count


def add_fetched(count: int) -> None:
    """Note bytes of a raster that came over the network."""
    global _fetched
    with _lock:
        _fetched += count


def samples() -> int:
    """Of all threads."""
    return _samples


def samples_here() -> int:
    """Of the thread that asks."""
    return _here.samples


def fetched() -> int:
    """Bytes, of all threads."""
    return _fetched
