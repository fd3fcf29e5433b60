"""Stored numbers of 8 or 16 bits, counted: every statistic of them follows from the counts."""

import numpy as np

Chosen = tuple[np.ndarray, np.ndarray | None]
"""Values or numbers, and the weight of each or None where every one weighs 1."""


class Table:
    """The values that stored numbers stand for: `values[n]` is that of n, float32."""

    def __init__(self, values: np.ndarray) -> None:
        """`values`: a value for each number from 0 on."""
        self.values = values
        # numbers by ascending value; None where they are in that order
        self.order = None if (np.diff(values) >= 0).all() else np.argsort(values, kind="stable")

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
        self._sums: np.ndarray | None = None
        self._settled: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, numbers: np.ndarray, weights: np.ndarray | None) -> None:
        """Take in numbers, unsigned, and their weights."""
        self._settled = None
        self._waiting.append((numbers, weights))
        self._size += numbers.size
        if self._size > self._table.size:  # a small area has fewer pixels than there are numbers
            self._sums, self._waiting, self._size = self._summed(), [], self._table.size

    def _summed(self) -> np.ndarray:
        sums = np.zeros(self._table.size) if self._sums is None else self._sums
        plain = [numbers for numbers, weights in self._waiting if weights is None]
        weighed = [part for part in self._waiting if part[1] is not None]
        if plain:
            sums = sums + np.bincount(np.concatenate(plain), minlength=self._table.size)
        if weighed:
            numbers, weights = (np.concatenate(parts) for parts in zip(*weighed, strict=True))
            sums = sums + np.bincount(numbers, weights=weights, minlength=self._table.size)
        return sums

    def ordered(self) -> tuple[np.ndarray, np.ndarray]:
        """Values, ascending, and the weight of each."""
        if self._settled is None:
            sums, values, order = self._summed(), self._table.values, self._table.order
            if order is not None:
                sums, values = sums[order], values[order]
            found = np.flatnonzero(sums)
            self._settled = values[found], sums[found]
        return self._settled
