"""The binding writer: one thread per node that groups what waits and commits it (group commit).

While the database is away, or has not answered for a second, registrations are accepted for a short time from a journal file: what
was asked for longer is sent back to be computed again under the shorter limit.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from sipcore.bindings import BindingChange, LineBindings, StoreResult
from voip_portal.bridge.binding_journal import BindingJournal, is_short
from voip_portal.bridge.binding_store import SqlBindingStore
from voip_portal.bridge.hand import Hand, Hung
from voip_portal.faults import first_line, in_a_sentence

log = logging.getLogger("voip_portal.writer")

MAX_GROUP: Final = 500
"""Changes in one commit."""
GROUP_INTERVAL_S: Final = 0.020
"""Commits follow one another at this distance at least, so that under load they carry many
changes. What comes after a pause is written at once."""
RETRY_S: Final = 1.0
WITHIN_S: Final = 1.0
"""How long a group waits for the database, which may be locked or behind a network that says
nothing, before it goes to the journal: phones repeat a REGISTER after 0.5 s and 1.5 s."""
PURGE_INTERVAL_S: Final = 60.0
PURGE_AFTER_S: Final = 60.0
"""How long after their end bindings are kept in the database."""

Results = list[tuple[int, StoreResult]]
Done = Callable[[Results], None]
_Job = tuple[Sequence[BindingChange], Done]


class BindingWriter(threading.Thread):
    """Implements `sipcore.node.server.BindingWriter`.

    `present` tells what the worker holds of a line; `degraded` is told when the database goes away
    (True) and when it is back (False), before any result that depends on it.
    """

    def __init__(
        self,
        store: SqlBindingStore,
        journal: BindingJournal,
        present: Callable[[int], LineBindings],
        degraded: Callable[[bool], None],
        *,
        away: bool = False,
    ) -> None:
        """`away`: the database was away when this node started."""
        super().__init__(name="binding-writer", daemon=True)
        self._store = store
        self._journal = journal
        self._present = present
        self._degraded = degraded
        self._hand = Hand("binding-database")
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._last_commit = 0.0
        self._away = away
        self._retry_at = 0.0
        self._purge_at = time.monotonic() + PURGE_INTERVAL_S

    def submit(self, changes: Sequence[BindingChange], done: Done) -> None:
        """Write these changes; `done` is called from this thread."""
        self._jobs.put((changes, done))

    def stop(self) -> None:
        """Write what waits, then end."""
        self._jobs.put(None)

    def run(self) -> None:
        self._hand.start()
        last = False
        while not last:
            try:
                job = self._jobs.get(timeout=RETRY_S)
            except queue.Empty:
                self._idle()
                continue
            if job is None:
                break
            group, last = self._gather(job)
            self._write(group)
        if not self._hand.is_busy:
            self._store.database.close()

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
        results = self._results(changes)
        self._last_commit = time.monotonic()
        at = 0
        for job_changes, done in group:
            end = at + len(job_changes)
            done([(c.line_id, r) for c, r in zip(job_changes, results[at:end], strict=True)])
            at = end

    def _results(self, changes: list[BindingChange]) -> list[StoreResult]:
        if self._away and not self._recover():
            return self._without_database(changes)
        try:
            return self._in_time(lambda: self._store.commit(changes))
        except Hung:
            self._go_away(_HUNG)  # what it makes of these in the end is as if another node had
            return self._without_database(changes)
        except Exception as error:  # without this thread nobody could register any more
            database = self._store.database
            database.close()
            if not (isinstance(error, database.errors) and database.is_away(error)):
                return self._one_by_one(changes, error)
            self._go_away(error)
        return self._without_database(changes)

    def _in_time(self, ask: Callable[[], Any]) -> Any:
        return self._hand.do(ask, WITHIN_S)

    def _one_by_one(self, changes: list[BindingChange], error: Exception) -> list[StoreResult]:
        """One of them cannot be written: the others shall not suffer for it."""
        if len(changes) > 1:
            return [self._results([change])[0] for change in changes]
        log.error("a binding change of line %d not written: %s", changes[0].line_id, error)
        return [_REFUSED]

    # --- without the database ------------------------------------------------------------------
    def _go_away(self, error: Exception) -> None:
        why = in_a_sentence(error) or first_line(error)
        log.error("registrations are accepted for a short time: %s", why)
        self._away = True
        self._retry_at = time.monotonic() + RETRY_S
        self._degraded(True)

    def _without_database(self, changes: list[BindingChange]) -> list[StoreResult]:
        """Accept what is short into the journal; have the rest computed again."""
        at = time.time()
        kept = [change for change in changes if is_short(change, at)]
        try:
            if kept:
                self._journal.append(self._whole(change) for change in kept)
        except OSError:
            log.exception("the journal of bindings cannot be written")
            return [_REFUSED] * len(changes)
        return [
            StoreResult(True, c.new_version) if is_short(c, at) else self._again(c.line_id)
            for c in changes
        ]

    def _whole(self, change: BindingChange) -> BindingChange:
        """The change with whole bindings for refreshes: it must stand alone after a crash."""
        if not change.touches:
            return change
        held = {binding.key: binding for binding in self._present(change.line_id).bindings}
        whole = tuple(held[t.key].touched(t) for t in change.touches if t.key in held)
        left = tuple(touch for touch in change.touches if touch.key not in held)
        return change._replace(upserts=(*change.upserts, *whole), touches=left)

    def _again(self, line_id: int) -> StoreResult:
        present = self._present(line_id)
        return StoreResult(False, present.version, present.bindings)

    def _recover(self) -> bool:
        """Whether the database is back and has what the journal kept."""
        if time.monotonic() < self._retry_at or self._hand.is_busy:
            return False
        try:
            self._in_time(lambda: self._store.database.query(_IS_THERE))
            self._in_time(self._store.try_lock)
            self._hand.do(lambda: self._journal.merge_into(self._store))
        except Hung:
            self._retry_at = time.monotonic() + RETRY_S
            return False
        except self._store.database.errors:
            self._store.database.close()
            self._retry_at = time.monotonic() + RETRY_S
            return False
        log.warning("the database is back")
        self._away = False
        self._degraded(False)
        return True

    def _idle(self) -> None:
        """Nobody waits: recover, or clean up."""
        if self._away:
            self._recover()
        elif time.monotonic() >= self._purge_at:
            self._purge_at = time.monotonic() + PURGE_INTERVAL_S
            try:
                self._in_time(lambda: self._store.purge(time.time() - PURGE_AFTER_S))
            except Hung:
                self._go_away(_HUNG)
            except self._store.database.errors as error:
                log.warning("expired bindings not removed: %s", first_line(error))
                self._store.database.close()


_HUNG: Final = TimeoutError(f"the database has not answered for {WITHIN_S:.0f} s")
_IS_THERE: Final = "SELECT 1"
_REFUSED: Final = StoreResult(False, 0, None)
