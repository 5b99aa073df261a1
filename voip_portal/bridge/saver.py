"""The saver: a thread that keeps on disk what the node would need to start without the database.

A new directory is kept as soon as may be: as long after the last time as makes it 2 % of a processor
at most. Bindings are kept every minute, when the database goes away (what changes after that is in
the node's journal), when it is back and at a stop.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Final

from sipcore.node.worker import Worker
from voip_portal.bridge.kept import Kept, lines_of
from voip_portal.faults import first_line, in_a_sentence

log = logging.getLogger("voip_portal.saver")

LOOK_S: Final = 0.5
BINDINGS_EVERY_S: Final = 60.0
SHARE: Final = 50
"""Of the time between two writes one takes this part at most."""


class Saver(threading.Thread):
    """Reads the worker from its own thread: the directory is immutable, bindings are copied."""

    def __init__(
        self, kept: Kept, worker: Worker, cluster_keys: Sequence[str], *, is_kept: bool = False
    ) -> None:
        """`is_kept`: the worker's directory is the one that was kept already."""
        super().__init__(name="saver", daemon=True)
        self._kept = kept
        self._worker = worker
        self._cluster_keys = cluster_keys
        self._saved_version = worker.directory.version if is_kept else -1
        self._directory_due = 0.0
        self._bindings_due = 0.0
        self._wanted = threading.Event()
        self._stop_wanted = False
        self._failed = ""

    def save_bindings_now(self) -> None:
        """The database has gone away, or is back."""
        self._bindings_due = 0.0
        self._wanted.set()

    def stop(self) -> None:
        """Keep what is in force now, then end."""
        self._stop_wanted = True
        self._directory_due = 0.0
        self.save_bindings_now()

    def run(self) -> None:
        is_last = False
        while not is_last:
            self._wanted.wait(LOOK_S)
            self._wanted.clear()
            is_last = self._stop_wanted
            try:
                self._save()
            except Exception as error:  # the node goes on; it could only not start without database
                self._fail(error)
                self._directory_due = self._bindings_due = time.monotonic() + BINDINGS_EVERY_S

    def _save(self) -> None:
        start = time.monotonic()
        directory = self._worker.directory
        if directory.version != self._saved_version and start >= self._directory_due:
            self._kept.save_directory(
                directory, self._cluster_keys, self._worker.config.node_number
            )
            self._saved_version = directory.version
            self._directory_due = _next_time(start, LOOK_S)
            self._failed = ""
        start = time.monotonic()
        if start >= self._bindings_due:
            self._kept.save_bindings(lines_of(self._worker.bindings, time.time()))
            self._bindings_due = _next_time(start, BINDINGS_EVERY_S)
            self._failed = ""

    def _fail(self, error: Exception) -> None:
        why = in_a_sentence(error) or first_line(error)
        if why != self._failed:
            log.error("this node could not start without its database now: %s", why)
        self._failed = why


def _next_time(start: float, least_s: float) -> float:
    end = time.monotonic()
    return end + max(least_s, SHARE * (end - start))
