"""One run: batches out, outcomes in, the state after each."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Protocol

import orjson

from opstac.ingest.progress import Progress
from opstac.ingest.sources import Bad, Batch, Item, Source, Unusable
from opstac.ingest.state import State
from opstac.ingest.target import Outcome


class Store(Protocol):
    """Where entries go."""

    def store(self, entries: Sequence[Item | Bad], key: str) -> list[Outcome]:
        """An outcome for each entry, in their order; may be called by several threads."""
        ...


class Run:
    """Brings a source in. What is before `state.place` is stored and reported."""

    def __init__(
        self,
        source: Source,
        store: Store,
        state: State,
        state_path: Path,
        *,
        report: BinaryIO | None = None,
        progress: Progress | None = None,
    ) -> None:
        """`report` stands at `state.reported`."""
        self._source, self._store = source, store
        self._state, self._path = state, state_path
        self._report, self._progress = report, progress
        self._items = 0

    def go(self, *, size: int, parallel: int) -> None:
        """Until the source's end.

        Args:
            size: entries a batch.
            parallel: batches under way at the same time.

        Raises: Unusable, CannotGoOn; the next run goes on from here.
        """
        # one that is killed with its first batch under way is gone on with by the same keys
        self._state.save(self._path)
        waiting: deque[tuple[Batch, Future[list[Outcome]]]] = deque()
        pool = ThreadPoolExecutor(parallel)
        broken: Unusable | None = None
        try:
            batches = self._source.batches(self._state.place, size)
            while True:
                try:
                    batch = next(batches, None)
                except Unusable as error:
                    broken, batch = error, None  # what came before it is stored all the same
                if batch is None:
                    break
                waiting.append(
                    (batch, pool.submit(self._store.store, batch.entries, self._key(batch)))
                )
                while len(waiting) > parallel:
                    self._settle(*waiting.popleft())
            while waiting:
                self._settle(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)
        self._show(last=True)
        if broken is not None:
            raise broken

    def _key(self, batch: Batch) -> str:
        place = orjson.dumps(batch.after, option=orjson.OPT_SORT_KEYS)
        return f"ingest-{self._state.run}-{hashlib.sha256(place).hexdigest()[:24]}"

    def _settle(self, batch: Batch, stored: Future[list[Outcome]]) -> None:
        outcomes = stored.result()
        state = self._state
        for outcome in outcomes:
            state.counts[outcome["outcome"]] += 1
        if self._report is not None:
            self._report.writelines(
                orjson.dumps(o, option=orjson.OPT_APPEND_NEWLINE) for o in outcomes
            )
            self._report.flush()
            state.reported = self._report.tell()
        state.place, state.done = batch.after, batch.done
        state.save(self._path)
        self._items += len(outcomes)
        self._show()

    def _show(self, *, last: bool = False) -> None:
        if self._progress is not None:
            state = self._state
            self._progress.show(
                state.done, self._source.total, self._items, state.counts, last=last
            )
