"""The shipper's loop: spool files → Celery, from the position that the database holds.

The broker may lose what it was given, the worker may be killed: what the database does not have is
sent again. A file is deleted when all its records are in the database, a spool's folder when
another life of the same worker slot has begun and nothing of it is left.

A database restored from a backup asks for records whose files are gone. Nothing brings them back, so
what follows them is sent with the word that they are missing: of itself the database takes every gap
for something that is still under way.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger("voip_portal.shipper")

BATCH_LINES = 500
WINDOW = 8
"""Batches of one spool in flight."""
RESEND_S = 5.0
"""A batch that is not in the database by then is sent again."""
IDLE_WAIT_S = 0.25
GATHER_S = 0.5
"""How long records gather while calls go on: stored together they cost half as much, because most
of a call's come in one batch and it is folded once."""
RETRY_WAIT_S = 2.0
ENDED_AFTER_S = 60.0
"""A spool whose successor exists is looked at for this long before its folder is removed."""

Send = Callable[[str, int, list[str], bool], None]
"""Spool, number of the first line, lines, whether what is before them is in no file any more."""
Positions = Callable[[], dict[str, int]]


class Place(NamedTuple):
    """Where reading goes on."""

    segment: Path
    offset: int
    n: int
    """Number of the record that begins there."""


class Batch(NamedTuple):
    """Lines of one file."""

    first_n: int
    lines: list[str]
    end: Place


@dataclass(slots=True)
class SpoolState:
    """One spool folder."""

    sent: int = -1
    """Number of the last record given to the broker; -1 before the first look."""
    stored: int = 0
    sent_at: float = 0.0
    """When something was last sent, or seen to be stored."""
    place: Place | None = None
    gap_told: int = 0
    """Number of the record before which others are known to be missing, and said to be."""


class Shipper:
    """Ships all spools of a folder."""

    def __init__(self, folder: Path, positions: Positions, send: Send) -> None:
        self._folder = folder
        self._positions = positions
        self._send = send
        self._spools: dict[str, SpoolState] = {}

    def step(self, now: float) -> bool:
        """One look at all spools; whether anything was waiting or in flight."""
        names = sorted(p.name for p in self._folder.iterdir() if p.is_dir())
        if not names:
            return False
        positions = self._positions()
        busy = False
        for name in names:
            busy |= self._ship(name, positions.get(name, 0), now)
        return busy

    def backlog(self) -> dict[str, int]:
        """How many records of each spool wait for the database."""
        return {
            name: max(0, state.sent - state.stored) + self._unread(name, state)
            for name, state in self._spools.items()
            if state.sent >= 0
        }

    def remove_ended(self, wall: float) -> None:
        """Remove the folders of earlier lives of a worker slot that are stored to the end."""
        newest: dict[str, float] = {}
        for name in self._spools:
            slot = name.rpartition("-")[0]
            newest[slot] = max(newest.get(slot, 0.0), self._changed_at(name))
        for name, state in list(self._spools.items()):
            changed_at = self._changed_at(name)
            if (
                changed_at < newest[name.rpartition("-")[0]]
                and wall - changed_at > ENDED_AFTER_S
                and state.sent == state.stored
                and not self._unread(name, state)
            ):
                self._remove(name)

    def _remove(self, name: str) -> None:
        """Remove a spool, unless somebody still writes there, whatever else says that he is gone."""
        folder = self._folder / name
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        else:
            for path in self._segments(name):
                path.unlink(missing_ok=True)
            folder.rmdir()
            del self._spools[name]
        finally:
            os.close(lock)

    def _changed_at(self, name: str) -> float:
        """When the newest of a spool's files was written to, or its folder made."""
        folder = self._folder / name
        return max(path.stat().st_mtime for path in (folder, *self._segments(name)))

    def _ship(self, name: str, stored: int, now: float) -> bool:
        state = self._spools.setdefault(name, SpoolState())
        if stored > state.stored:
            state.sent_at = now
        late = state.sent > stored and now - state.sent_at > RESEND_S
        went_back = stored < state.stored  # restored from a backup
        if state.sent < stored or late or went_back or is_gone(state.place):
            self._rewind(name, state, stored)
        state.stored = stored
        self._delete_stored(name, state)
        while state.sent - stored < WINDOW * BATCH_LINES:
            batch = self._read(name, state)
            if batch is None:
                break
            if batch.first_n > state.sent + 1 and state.sent > stored:
                break  # what is after a gap would step over what is still on its way
            self._send_batch(name, state, batch)
            state.sent_at = now
        return state.sent > stored

    def _send_batch(self, name: str, state: SpoolState, batch: Batch) -> None:
        after_gap = batch.first_n > state.sent + 1
        if after_gap and state.gap_told != batch.first_n:
            state.gap_told = batch.first_n
            log.error(
                "spool %s: records %d to %d are neither in the database nor in a file; going on after them",
                name,
                state.sent + 1,
                batch.first_n - 1,
            )
        self._send(name, batch.first_n, batch.lines, after_gap)
        # Not before: what could not be sent is read again.
        state.place = batch.end
        state.sent = batch.end.n - 1

    def _rewind(self, name: str, state: SpoolState, stored: int) -> None:
        """Go on reading after the last stored record."""
        state.sent = stored
        state.place = None
        begun = [path for path in self._segments(name) if first_of(path) <= stored + 1]
        if begun:
            with begun[-1].open("rb") as file:
                for _ in range(stored - first_of(begun[-1]) + 1):
                    file.readline()
                state.place = Place(begun[-1], file.tell(), stored + 1)

    def _segments(self, name: str) -> list[Path]:
        return sorted((self._folder / name).glob("*.jsonl"))

    def _read(self, name: str, state: SpoolState) -> Batch | None:
        """The next complete lines, at most a batch."""
        batch = read_lines(state.place)
        if batch is not None:
            return batch
        # Listed first, then read once more: a file has come to its end when there is a next one.
        following = self._following(name, state)
        places = [state.place, *(Place(path, 0, first_of(path)) for path in following)]
        return next(filter(None, map(read_lines, places)), None) if following else None

    def _following(self, name: str, state: SpoolState) -> list[Path]:
        """The files after that which is being read; the first may begin after a gap."""
        here = state.sent if state.place is None else first_of(state.place.segment)
        return [path for path in self._segments(name) if first_of(path) > here]

    def _unread(self, name: str, state: SpoolState) -> int:
        """Complete lines that have not been read yet."""
        segment, offset, _ = state.place or (None, 0, 0)
        here = -1 if segment is None else first_of(segment)
        waiting = 0
        for path in self._segments(name):
            if first_of(path) >= here:
                with path.open("rb") as file:
                    file.seek(offset if path == segment else 0)
                    waiting += sum(line.endswith(b"\n") for line in file)
        return waiting

    def _delete_stored(self, name: str, state: SpoolState) -> None:
        """Delete files whose last record is stored, all but the newest of the spool."""
        segments = self._segments(name)
        for path, following in pairwise(segments):
            if first_of(following) - 1 <= state.stored:
                path.unlink(missing_ok=True)
                if state.place is not None and state.place.segment == path:
                    state.place = None


def first_of(segment: Path) -> int:
    """Number of a file's first record."""
    return int(segment.stem)


def is_gone(place: Place | None) -> bool:
    """Whether somebody has taken the file away that was being read."""
    return place is not None and not place.segment.exists()


def read_lines(place: Place | None) -> Batch | None:
    """The complete lines there, at most a batch; None when there are none."""
    if place is None:
        return None
    lines: list[str] = []
    offset = place.offset
    with place.segment.open("rb") as file:
        file.seek(offset)
        for line in islice(file, BATCH_LINES):
            if not line.endswith(b"\n"):
                break
            lines.append(line.decode("utf-8", "replace"))
            offset += len(line)
    end = Place(place.segment, offset, place.n + len(lines))
    return Batch(place.n, lines, end) if lines else None


def run(
    shipper: Shipper,
    report: Callable[[Shipper], None],
    stopped: Callable[[float], bool],
) -> None:
    """Ship until `stopped(seconds to wait)` says so; `report` is called after each good step."""
    while True:
        try:
            busy = shipper.step(time.monotonic())
            report(shipper)
            wait = GATHER_S if busy else IDLE_WAIT_S
        except Exception:  # database or broker away: the spool keeps everything
            log.exception("shipping failed, trying again")
            wait = RETRY_WAIT_S
        if stopped(wait):
            return
