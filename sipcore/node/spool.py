"""The spool: this worker's records on disk until the database has them.

One folder per worker life, files named by the number of their first record. A turn's records are
one `write`, done before the turn's messages are sent, so that nobody hears of what was not
recorded. Surviving power loss is the operating system's matter; a killed process loses nothing.

While nobody takes the records away the spool grows. Beyond its size only the milestones of calls are
written; what else happened is dropped, and said to be.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterable
from pathlib import Path

from sipcore.eventlog import Record, encode_line
from sipcore.node.limits import LOOK_AGAIN, MAX_BYTES, MAX_WAITING, SEGMENT_BYTES

log = logging.getLogger("sipcore.node")


class Spool:
    """Appends records to `<folder>/<spool_id>/<first n>.jsonl`."""

    def __init__(self, folder: Path, spool_id: str, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._is_over = False
        """Whether it has reached its size: only milestones are written."""
        self.dropped = 0
        """Records that were not written for that."""
        self.lost = 0
        """Records for which there was no more room in memory while the disk was full."""
        self.path = folder / spool_id
        self._lock = -1
        self.written = 0
        """Number of the last record written."""
        self.waiting: list[Record] = []
        """What could not be written yet; the next `append` tries again."""
        self._is_full = False
        self._fd = -1
        self._size = SEGMENT_BYTES

    def begin(self) -> None:
        """Make the folder and hold it locked (`flock`) for as long as this writes there.

        Whoever takes records away sees by that whether more may come.
        """
        if self._lock >= 0:
            return
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise
        self._lock = fd

    def append(self, records: Iterable[Record]) -> None:
        """Number and write these records in one system call.

        A full disk is no reason not to telephone: the records wait in memory for room.
        """
        waiting = self.waiting
        waiting += self._milestones(records) if self._is_over else records
        try:
            if self._is_full:  # one record finds out whether there is room again
                self._write(waiting[:1])
                del waiting[0]
            self._write(waiting)
        except OSError as error:
            self._keep(error)
        else:
            waiting.clear()
            self._is_full = False

    def _milestones(self, records: Iterable[Record]) -> list[Record]:
        """Those of the records that tell of calls; of the others is only counted how many."""
        everything = list(records)
        kept = [record for record in everything if record.kind.startswith("call.")]
        before = self.dropped
        self.dropped += len(everything) - len(kept)
        if self.dropped // LOOK_AGAIN > before // LOOK_AGAIN:
            self._measure()
        return kept

    def _measure(self) -> None:
        """See whether all spools together have reached their size."""
        size = 0
        for path in self._folder.glob("*/*.jsonl"):
            with contextlib.suppress(OSError):  # just taken away
                size += path.stat().st_size
        is_over = size >= self._max_bytes
        if is_over and not self._is_over:
            log.error("%d MB of records wait for the database: only calls are recorded", size >> 20)
        elif self._is_over and not is_over:
            log.warning("everything is recorded again; %d records were not", self.dropped)
        self._is_over = is_over

    def _write(self, records: list[Record]) -> None:
        if self._fd >= 0 and os.fstat(self._fd).st_nlink == 0:
            log.error(
                "%s was removed while records were written to it: it is made again. "
                "Nothing but the shipper may remove anything there.",
                self.path,
            )
            self.close()
        if self._size >= SEGMENT_BYTES:
            self._open_segment()
        n = self.written
        lines = []
        for record in records:
            n += 1
            lines.append(encode_line(n, record))
        data = b"".join(lines)
        write_all(self._fd, data)
        self.written = n
        self._size += len(data)

    def _keep(self, error: OSError) -> None:
        lost = len(self.waiting) - MAX_WAITING
        if lost > 0 or not self._is_full:
            log.error(
                "%d records wait for the disk, %d are lost: %s",
                len(self.waiting),
                max(0, lost),
                error,
            )
        self._is_full = True
        self.lost += max(0, lost)
        del self.waiting[MAX_WAITING:]
        if self._fd >= 0:
            with contextlib.suppress(OSError):  # the half of a line that had room
                os.ftruncate(self._fd, self._size)

    def close(self) -> None:
        """Close the current segment, and give the folder's lock back."""
        self._close_segment()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _close_segment(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._size = SEGMENT_BYTES

    def _open_segment(self) -> None:
        self._close_segment()
        self.begin()
        name = self.path / f"{self.written + 1:020d}.jsonl"
        self._fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = 0
        self._measure()


def write_all(fd: int, data: bytes) -> None:
    """`os.write` until all is written."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, data[written:])
