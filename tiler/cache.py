"""What is known of files, kept within a number of bytes and made once, whoever asks."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Cache:
    """Values by key, least recently used out first.

    Keys hold the version of what a value was made from, so that nothing in it can be stale.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._used = 0
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._making: dict[Hashable, Future[Any]] = {}
        self._lock = threading.Lock()

    @property
    def used_bytes(self) -> int:
        """What the values weigh together."""
        return self._used

    def __len__(self) -> int:
        """Values kept."""
        return len(self._kept)

    def get(self, key: Hashable, make: Callable[[], T], weigh: Callable[[T], int]) -> T:
        """The value of `key`, made by the first of the threads that ask at once.

        Args:
            weigh: about how many bytes a value takes, with all that only it holds.

        A failure is raised to all who waited for it and is not kept.
        """
        while True:
            with self._lock:
                found = self._kept.get(key)
                if found is not None:
                    self._kept.move_to_end(key)
                    return found[0]
                waiting = self._making.get(key)
                if waiting is None:
                    mine: Future[Any] = Future()
                    self._making[key] = mine
                    break
            error = waiting.exception()
            if error is None:
                return waiting.result()
            if isinstance(error, Exception):
                raise error
            # whoever made it was stopped, which is no business of this thread: it takes over
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                del self._making[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._making[key]
            self._keep(key, value, weigh(value))
        mine.set_result(value)
        return value

    def resize(self, limit_bytes: int) -> None:
        """Change the bound; what is too much leaves at once."""
        with self._lock:
            self._limit = limit_bytes
            self._evict()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self._used = 0

    def _keep(self, key: Hashable, value: Any, weight: int) -> None:
        if weight > self._limit:
            return
        self._kept[key] = (value, weight)
        self._used += weight
        self._evict()

    def _evict(self) -> None:
        while self._used > self._limit:
            _, (_, weight) = self._kept.popitem(last=False)
            self._used -= weight


MEMORY_BYTES = 128 << 20

known = Cache(MEMORY_BYTES // 2)
"""Headers, statistics and styles of the process."""
