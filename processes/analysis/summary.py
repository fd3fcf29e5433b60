"""Weighted statistics of values that come window by window, in bounded memory."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from processes.analysis.counts import Chosen, Counts, Table
from processes.analysis.coverage import Cover

KEEP = 4_000_000
"""Values kept for percentiles; beyond it they are found by a second reading, just as exactly."""

Part = tuple[np.ma.MaskedArray, np.ndarray | None]
"""Values of a window, and their weights or None where every one weighs 1."""
Again = Callable[[], Iterable[Part]]
Find = Callable[[float], tuple[float, float]]


class Summary:
    """Adds up values and weights; Chan, Golub and LeVeque (1979) for joining the parts."""

    def __init__(
        self, *, percentiles: bool = True, table: Table | None = None, keep: int = KEEP
    ) -> None:
        """Empty.

        Args:
            table: what is added are then its numbers. They are only counted, and all statistics
                follow from the counts.
            keep: values kept for percentiles.
        """
        self.total = 0.0  # weight of all pixels, valid or not
        self.weight = 0.0
        self.pixels = 0
        self.low = math.inf
        self.high = -math.inf
        self._mean = 0.0
        self._squares = 0.0
        self._keep = keep
        self._counts = None if table is None else Counts(table)
        self._kept: list[Chosen] | None = [] if percentiles and table is None else None
        # weight by the upper half of a value's key, once there are too many to keep
        self._upper: np.ndarray | None = None
        self._percentiles = percentiles
        self._settled = 0  # pixels that were counted when the moments were computed

    def add(self, values: np.ma.MaskedArray, weights: np.ndarray | None = None) -> None:
        """Take in one window: float32 values and weights of one shape."""
        self.total += float(values.size if weights is None else weights.sum(dtype=np.float64))
        self._take(*valid(values, weights))

    def add_cover(self, values: np.ma.MaskedArray, cover: Cover) -> None:
        """Take in what an area covers of one window: values (or numbers of the table) of its shape.

        Pixels that it covers whole and those at its edge are two parts: only the few of the second
        are multiplied with weights.
        """
        self.total += cover.total
        mask, data = np.ma.getmask(values), values.data
        shown = None if mask is np.ma.nomask else np.logical_not(mask)
        if self._counts is None:
            finite = np.isfinite(data)
            shown = finite if shown is None else shown & finite
        chosen = cover.inside
        if chosen is None or shown is None:
            chosen = shown if chosen is None else chosen
        else:
            chosen = chosen & shown
        self._take(data.reshape(-1) if chosen is None else data[chosen], None)
        if cover.edge.size:
            at = np.divmod(cover.edge, cover.shape[1])
            found, weights = data[at], cover.weights
            if shown is not None:
                keep = shown[at]
                found, weights = found[keep], weights[keep]
            self._take(found, weights)

    def join(self, others: Iterable["Summary"], twice: int) -> None:
        """Take in what others have counted of the same table, of areas that lie apart.

        Args:
            twice: valid pixels of which several areas have a part, each once for every area but
                one. They are one pixel, by the number of which percentiles are found.
        """
        assert self._counts is not None
        for other in others:
            assert other._counts is not None
            self.total += other.total
            self.pixels += other.pixels
            self._counts.join(other._counts)
        self.pixels -= twice

    def _take(self, found: np.ndarray, weighed: np.ndarray | None) -> None:
        if not found.size:
            return
        self.pixels += found.size
        if self._counts is not None:
            self._counts.add(found, weighed)
            return
        self.low, self.high = min(self.low, float(found.min())), max(self.high, float(found.max()))
        exact = found.astype(np.float64)
        if weighed is None:
            weight, mean = float(found.size), float(exact.mean())
            exact -= mean
            squares = float(np.dot(exact, exact))
        else:
            weight = float(weighed.sum(dtype=np.float64))
            mean = float(np.dot(exact, weighed) / weight)
            exact -= mean
            squares = float(np.dot(exact * exact, weighed))
        joined, gap = self.weight + weight, mean - self._mean
        self._squares += squares + gap * gap * self.weight * weight / joined
        self._mean += gap * weight / joined
        self.weight = joined
        if self._kept is not None:
            self._kept.append((found, weighed))
            if self.pixels <= self._keep:
                return
            kept, self._kept, self._upper = self._kept, None, np.zeros(1 << 16)
            for part in kept:
                self._rank(*part)
        elif self._upper is not None:
            self._rank(found, weighed)

    def _rank(self, found: np.ndarray, weighed: np.ndarray | None) -> None:
        assert self._upper is not None
        self._upper += np.bincount(_keys(found) >> 16, weights=weighed, minlength=1 << 16)

    def _settle(self) -> None:
        """Of counts: the moments."""
        if self._counts is None or self._settled == self.pixels:
            return
        self._settled = self.pixels
        values, weights = self._counts.ordered()
        exact = values.astype(np.float64)
        self.weight = float(weights.sum())
        self._mean = float(np.dot(exact, weights) / self.weight)
        exact -= self._mean
        self._squares = float(np.dot(exact * exact, weights))
        self.low, self.high = float(values[0]), float(values[-1])

    @property
    def mean(self) -> float | None:
        """Weighted mean; None without a valid pixel."""
        self._settle()
        return self._mean if self.weight else None

    @property
    def std(self) -> float | None:
        """Weighted standard deviation of the population."""
        self._settle()
        return math.sqrt(max(self._squares / self.weight, 0.0)) if self.weight else None

    def percentiles(
        self, wanted: Sequence[float], again: Again | None = None
    ) -> list[float | None]:
        """Percentiles (0 to 100) of the values by weight, interpolated between neighbours.

        With equal weights they are those of `numpy.percentile`.

        Args:
            again: reads the same parts once more; needed beyond `keep` values without a table.
        """
        self._settle()
        if not self.weight:
            return [None] * len(wanted)
        step = self.weight / self.pixels
        places = [q / 100 * (self.weight - step) for q in wanted]
        if self._counts is not None:
            finder = self._finder(*self._counts.ordered())
        elif self._kept is not None:
            finder = self._sorted()
        else:
            finder = self._second(places, step, again)
        found: list[float | None] = []
        for place in places:
            lower, end = finder(place)
            upper, _ = finder(min(place + step, self.weight))
            share = min(max(1 - (end - place) / step, 0.0), 1.0)
            found.append(lower + share * (upper - lower))
        return found

    def _sorted(self) -> Find:
        assert self._kept is not None
        values = np.concatenate([v for v, _ in self._kept])
        if all(w is None for _, w in self._kept):
            return self._finder(np.sort(values), None)
        parts = [np.ones(v.size) if w is None else w for v, w in self._kept]
        order = np.argsort(values, kind="stable")
        return self._finder(values[order], np.concatenate(parts).astype(np.float64)[order])

    def _finder(self, values: np.ndarray, weights: np.ndarray | None) -> Find:
        """Where a weight from below lies among ascending values: (value, weight up to its end)."""
        if weights is None:
            ends = np.arange(1, values.size + 1, dtype=np.float64)
        else:
            ends = np.cumsum(weights)
            ends *= self.weight / ends[-1]

        def find(place: float) -> tuple[float, float]:
            at = min(int(np.searchsorted(ends, place, side="right")), values.size - 1)
            return float(values[at]), float(ends[at])

        return find

    def _second(self, places: Sequence[float], step: float, again: Again | None) -> Find:
        """Look only at values that share their upper 16 bits with one that is wanted.

        Every float32 has a key that sorts as it does. The upper half of the keys was counted at
        the first reading; now the lower half is, where it matters: two counts of 65,536 in place
        of a sort of all values.
        """
        if again is None or self._upper is None:
            raise ValueError("percentiles of so many values need a second reading")
        ends = np.cumsum(self._upper)
        ends *= self.weight / ends[-1]

        def upper(place: float) -> int:
            return min(int(np.searchsorted(ends, place, side="right")), (1 << 16) - 1)

        last = int(np.flatnonzero(self._upper)[-1])
        asked = {min(upper(p + extra), last) for p in places for extra in (0.0, step)}
        lower = {key: np.zeros(1 << 16) for key in asked}
        for values, weights in again():
            found, weighed = valid(values, weights)
            keys = _keys(found)
            halves = keys >> 16
            for key, counts in lower.items():
                chosen = halves == key
                if chosen.any():
                    part = None if weighed is None else weighed[chosen]
                    counts += np.bincount(keys[chosen] & 0xFFFF, weights=part, minlength=1 << 16)

        def find(place: float) -> tuple[float, float]:
            key = min(upper(place), last)
            before = float(ends[key - 1]) if key else 0.0
            inner = before + np.cumsum(lower[key])
            at = min(int(np.searchsorted(inner, place, side="right")), (1 << 16) - 1)
            at = min(at, int(np.flatnonzero(lower[key])[-1]))
            return _value((key << 16) | at), float(inner[at])

        return find

    def result(self, wanted: Sequence[float] = (), again: Again | None = None) -> dict[str, Any]:
        """`count`, `min`, `max`, `mean`, `std`, `median`, `sum`, `percentiles`, `valid_percent`.

        `count` is the weight of the valid pixels: with an area, parts of pixels count as parts.
        """
        self._settle()
        cuts = self.percentiles([50.0, *wanted], again) if self._percentiles else [None]
        some = bool(self.weight)
        return {
            "count": as_count(self.weight),
            "min": self.low if some else None,
            "max": self.high if some else None,
            "mean": self.mean,
            "std": self.std,
            "median": cuts[0],
            "sum": self._mean * self.weight if some else None,
            "percentiles": {f"{q:g}": cut for q, cut in zip(wanted, cuts[1:], strict=True)},
            "valid_percent": 100 * self.weight / self.total if self.total else 0.0,
        }


def valid(
    values: np.ma.MaskedArray, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """The finite, unmasked values of pixels that weigh something, and their weights."""
    keep = np.isfinite(values.data)
    mask = np.ma.getmask(values)
    if mask is not np.ma.nomask:
        keep &= ~mask
    if weights is not None:
        keep &= weights > 0
        return values.data[keep], weights[keep]
    return values.data[keep], None


def as_count(weight: float) -> float:
    """A weight as a whole number where it is one."""
    nearest = round(weight)
    return nearest if abs(weight - nearest) < 1e-9 * max(1.0, weight) else weight


def _keys(values: np.ndarray) -> np.ndarray:
    """uint32 that sort as the float32 values do."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000))


def _value(key: int) -> float:
    bits = key & 0x7FFFFFFF if key >> 31 else ~key & 0xFFFFFFFF
    return float(np.array([bits], np.uint32).view(np.float32)[0])
