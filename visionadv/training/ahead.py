"""Batches of images that are too many for the memory, read from the disk while the steps before them are made."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from torch import Tensor

MOST_THREADS = 16  # decoding releases Python's lock, so that threads will do
BATCHES_A_THREAD = 2  # how far they are ahead


class Ahead:
    """Batches by number, each read once, for whoever takes them in order; a batch may be taken several times in a row.

    Args:
        rows: says the rows (B,) of a batch; it is called where `take` is.
        read: says the values (B, C, H, W) of rows; it is called in several threads.
        end: the number of the last batch, and one.
        share: of this machine's cores, how many processes there are to share them.
    """

    def __init__(
        self, rows: Callable[[int], Tensor], read: Callable[[Tensor], Tensor], end: int, share: int = 1
    ) -> None:
        self._rows, self._read, self._end = rows, read, end
        self._threads = max(1, min(MOST_THREADS, _cores() // share))
        self._pool, self._batches = ThreadPoolExecutor(self._threads), dict[int, Future[Tensor]]()

    def take(self, number: int) -> Tensor:
        """A batch's values, when they are read; those behind it are begun. Raises what reading raises."""
        far = number + BATCHES_A_THREAD * self._threads
        numbers = [number, *range(number + 1, min(far, self._end))]
        for other in set(self._batches) - {*numbers}:
            self._batches.pop(other).cancel()
        for one in numbers:
            if one not in self._batches:
                self._batches[one] = self._pool.submit(self._read, self._rows(one))
        return self._batches[number].result()

    def close(self) -> None:
        """Nothing more is read."""
        self._batches.clear()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
