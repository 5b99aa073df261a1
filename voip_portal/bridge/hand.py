"""A thread that does what may hang, for another one that must not."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any


class Hung(Exception):
    """What was to be done is not done yet, and goes on."""


class Hand(threading.Thread):
    """Does one thing after another; only one thread may ask it."""

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._last: _Job | None = None

    @property
    def is_busy(self) -> bool:
        """Whether it is still at what it was given last."""
        return self._last is not None and not self._last.done.is_set()

    def do(self, what: Callable[[], Any], within_s: float | None = None) -> Any:
        """Have it done: its answer or exception; `Hung` where that takes longer."""
        job = self._last = _Job(what)
        self._jobs.put(job)
        if not job.done.wait(within_s):
            raise Hung
        if job.error is not None:
            raise job.error
        return job.answer

    def run(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job.answer = job.what()
            except BaseException as error:
                job.error = error
            job.done.set()


class _Job:
    """One thing to be done."""

    __slots__ = ("answer", "done", "error", "what")

    def __init__(self, what: Callable[[], Any]) -> None:
        self.what = what
        self.done = threading.Event()
        self.answer: Any = None
        self.error: BaseException | None = None
