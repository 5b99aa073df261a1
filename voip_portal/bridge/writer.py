"""The binding writer: one thread per node that groups what waits and commits it (group commit)."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from sipcore.bindings import BindingChange, StoreResult
from voip_portal.bridge.binding_store import SqlBindingStore

log = logging.getLogger("voip_portal.writer")

MAX_GROUP = 500
"""Changes in one commit."""
GROUP_INTERVAL_S = 0.020
"""Commits follow one another at this distance at least, so that under load they carry many
changes. What comes after a pause is written at once."""

Results = list[tuple[int, StoreResult]]
Done = Callable[[Results], None]
_Job = tuple[Sequence[BindingChange], Done]


class BindingWriter(threading.Thread):
    """Implements `sipcore.node.server.BindingWriter`."""

    def __init__(self, store: SqlBindingStore) -> None:
        super().__init__(name="binding-writer", daemon=True)
        self._store = store
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._last_commit = 0.0

    def submit(self, changes: Sequence[BindingChange], done: Done) -> None:
        """Write these changes; `done` is called from this thread."""
        self._jobs.put((changes, done))

    def stop(self) -> None:
        """Write what waits, then end."""
        self._jobs.put(None)

    def run(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            group, last = self._gather(job)
            self._write(group)
            if last:
                return

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        """The first job and what else waits; whether it is time to end."""
        group, size = [first], len(first[0])
        deadline = self._last_commit + GROUP_INTERVAL_S
        while size < MAX_GROUP:
            wait = deadline - time.monotonic()
            try:
                job = self._jobs.get(timeout=wait) if wait > 0 else self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return group, True
            group.append(job)
            size += len(job[0])
        return group, False

    def _write(self, group: list[_Job]) -> None:
        changes = [change for job in group for change in job[0]]
        try:
            results = self._store.commit(changes)
        except self._store.database.errors:
            log.exception("%d binding changes not written", len(changes))
            self._store.database.close()
            results = [StoreResult(False, 0, None) for _ in changes]
        self._last_commit = time.monotonic()
        at = 0
        for job_changes, done in group:
            end = at + len(job_changes)
            done([(c.line_id, r) for c, r in zip(job_changes, results[at:end], strict=True)])
            at = end
