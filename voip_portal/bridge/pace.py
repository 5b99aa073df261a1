"""Long work of a thread, in slices: between two of them the event loop has the interpreter to itself.

Switching by itself is not enough. A thread that works takes the interpreter back whenever the loop lets
go of it, which it does at each system call; and what is compiled never lets go.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

T = TypeVar("T")

SLICE_S: Final = 0.000_5
"""seconds: of its processor time that a thread works at a stretch; a message takes as long."""
PAUSE_S: Final = 0.000_5
"""seconds: that it sleeps then; reading 30,000 accounts again takes a second, half of it asleep."""
LOOK_EVERY: Final = 20
"""rows: between two looks at the clock."""


class Pace:
    """Called between pieces of work: sleeps where a slice is over."""

    def __init__(self, sleep: Callable[[float], object] = time.sleep) -> None:
        self._sleep = sleep
        self._since = time.thread_time()

    def __call__(self) -> None:
        if time.thread_time() - self._since >= SLICE_S:
            self._sleep(PAUSE_S)
            self._since = time.thread_time()

    def over(self, rows: Iterable[T]) -> Iterator[T]:
        """The same rows, with pauses between them."""
        for count, row in enumerate(rows, start=1):
            if count % LOOK_EVERY == 0:
                self()
            yield row


@contextmanager
def much_that_stays() -> Iterator[None]:
    """What is made within stays, and has no cycles: the garbage collector never walks over it.

    With 100,000 objects it would hold everybody up for 10 ms, now and at each later look.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
