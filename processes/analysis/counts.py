"""Stored numbers of 8 or 16 bits, counted: every statistic of them follows from the counts."""

import numpy as np

Chosen = tuple[np.ndarray, np.ndarray | None]
"""Values or numbers, and the weight of each or None where every one weighs 1."""


class Table:
    """The values that stored numbers stand for: `values[n]` is that of n, float32."""

    def __init__(self, values: np.ndarray) -> None:
        """`values`: a value for each number from 0 on."""
        self.values = values
        self.ascending = bool((np.diff(values) >= 0).all())

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self.values.size


class Counts:
    """How much weight each number of a table has."""

    def __init__(self, table: Table) -> None:
        """Nothing counted yet."""
        self._table = table
        self._waiting: list[Chosen] = []
        self._size = 0
        # the weights of the numbers from the first of them on: of a small area they lie together
        self._first = 0
        self._sums: np.ndarray | None = None
        self._settled: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, numbers: np.ndarray, weights: np.ndarray | None) -> None:
        """Take in numbers, unsigned, and their weights."""
        self._settled = None
        self._waiting.append((numbers, weights))
        self._size += numbers.size
        if self._size > self._table.size:  # a small area has fewer pixels than there are numbers
            self._sum_up()

    def join(self, other: "Counts") -> None:
        """Take in what another has counted, of the same table."""
        other._sum_up()
        self._sum_up()
        self._settled = None
        if other._sums is not None:
            self._widen(other._first, other._first + other._sums.size - 1)
            self._plus(other._first, other._sums)

    def _sum_up(self) -> None:
        """Count what is waiting."""
        if not self._waiting:
            return
        numbers = np.concatenate([numbers for numbers, _ in self._waiting])
        self._widen(int(numbers.min()), int(numbers.max()))
        plain = [numbers for numbers, weights in self._waiting if weights is None]
        weighed = [part for part in self._waiting if part[1] is not None]
        if plain:
            joined = numbers if not weighed else np.concatenate(plain)
            self._plus(self._first, np.bincount(np.subtract(joined, self._first, dtype=np.intp)))
        if weighed:
            numbers, weights = (np.concatenate(parts) for parts in zip(*weighed, strict=True))
            at = np.subtract(numbers, self._first, dtype=np.intp)
            self._plus(self._first, np.bincount(at, weights=weights))
        self._waiting, self._size = [], 0

    def _widen(self, first: int, last: int) -> None:
        """Have room for the numbers from `first` to `last`."""
        if self._sums is None:
            self._first, self._sums = first, np.zeros(last - first + 1)
            return
        low, high = min(first, self._first), max(last, self._first + self._sums.size - 1)
        if high - low + 1 > self._sums.size:
            wider = np.zeros(high - low + 1)
            wider[self._first - low : self._first - low + self._sums.size] = self._sums
            self._first, self._sums = low, wider

    def _plus(self, first: int, sums: np.ndarray) -> None:
        assert self._sums is not None
        at = first - self._first
        self._sums[at : at + sums.size] += sums

    def ordered(self) -> tuple[np.ndarray, np.ndarray]:
        """Values, ascending, and the weight of each."""
        if self._settled is None:
            self._sum_up()
            sums = np.zeros(0) if self._sums is None else self._sums
            found = np.flatnonzero(sums)
            values, weights = self._table.values[found + self._first], sums[found]
            if not self._table.ascending:
                order = np.argsort(values, kind="stable")
                values, weights = values[order], weights[order]
            self._settled = values, weights
        return self._settled
