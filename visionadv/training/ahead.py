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
        read: says the values (B, C, H, W) of a batch; it is called in several threads.
        end: the number of the last batch, and one.
    """

    def __init__(self, read: Callable[[int], Tensor], end: int) -> None:
        threads = min(MOST_THREADS, os.cpu_count() or 1)
        self._read, self._end, self._far = read, end, BATCHES_A_THREAD * threads
        self._pool, self._batches = ThreadPoolExecutor(threads), dict[int, Future[Tensor]]()

    def take(self, number: int) -> Tensor:
        """A batch's values, when they are read; those behind it are begun. Raises what reading raises."""
        numbers = [number, *range(number + 1, min(number + self._far, self._end))]
        for other in set(self._batches) - {*numbers}:
            self._batches.pop(other).cancel()
        for one in numbers:
            if one not in self._batches:
                self._batches[one] = self._pool.submit(self._read, one)
        return self._batches[number].result()

    def close(self) -> None:
        """Nothing more is read; a later `take` begins anew."""
        for number in list(self._batches):
            self._batches.pop(number).cancel()
