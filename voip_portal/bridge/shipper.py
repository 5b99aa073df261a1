"""The shipper's loop: spool files → Celery, from the position that the database holds.

The broker may lose what it was given, the worker may be killed: what the database does not have is
sent again. A file is deleted when all its records are in the database, a spool's folder when
another life of the same worker slot has begun and nothing of it is left.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

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

Send = Callable[[str, int, list[str]], None]
Positions = Callable[[], dict[str, int]]


@dataclass(slots=True)
class SpoolState:
    """One spool folder."""

    sent: int = -1
    """Number of the last record given to the broker; -1 before the first look."""
    stored: int = 0
    sent_at: float = 0.0
    """When something was last sent, or seen to be stored."""
    segment: Path | None = None
    offset: int = 0
    """Where reading goes on in `segment`."""


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
        for path in self._segments(name):
            path.unlink(missing_ok=True)
        (self._folder / name).rmdir()
        del self._spools[name]

    def _changed_at(self, name: str) -> float:
        """When the newest of a spool's files was written to, or its folder made."""
        folder = self._folder / name
        return max(path.stat().st_mtime for path in (folder, *self._segments(name)))

    def _ship(self, name: str, stored: int, now: float) -> bool:
        state = self._spools.setdefault(name, SpoolState())
        if stored > state.stored:
            state.sent_at = now
        late = state.sent > stored and now - state.sent_at > RESEND_S
        if state.sent < stored or late:
            self._rewind(name, state, stored)
        state.stored = stored
        self._delete_stored(name, state)
        while state.sent - stored < WINDOW * BATCH_LINES:
            place = state.segment, state.offset
            lines = self._read(name, state)
            if not lines:
                break
            try:
                self._send(name, state.sent + 1, lines)
            except BaseException:
                state.segment, state.offset = place  # not sent: to be read again
                raise
            state.sent += len(lines)
            state.sent_at = now
        return state.sent > stored

    def _rewind(self, name: str, state: SpoolState, stored: int) -> None:
        """Go on reading after the last stored record."""
        state.sent = stored
        state.segment, state.offset = None, 0
        for path in self._segments(name):
            if first_of(path) <= stored + 1:
                state.segment = path
        if state.segment is not None:
            with state.segment.open("rb") as file:
                for _ in range(stored - first_of(state.segment) + 1):
                    file.readline()
                state.offset = file.tell()

    def _segments(self, name: str) -> list[Path]:
        return sorted((self._folder / name).glob("*.jsonl"))

    def _read(self, name: str, state: SpoolState) -> list[str]:
        """The next complete lines, at most a batch."""
        if state.segment is None and not self._next_segment(name, state):
            return []
        lines = self._complete_lines(state)
        if not lines and self._next_segment(name, state):
            lines = self._complete_lines(state)
        return lines

    def _next_segment(self, name: str, state: SpoolState) -> bool:
        """Go to the file that begins with the next number, if there is one."""
        path = self._folder / name / f"{state.sent + 1:020d}.jsonl"
        if path == state.segment or not path.exists():
            return False
        state.segment, state.offset = path, 0
        return True

    def _complete_lines(self, state: SpoolState) -> list[str]:
        lines: list[str] = []
        if state.segment is None:
            return lines
        with state.segment.open("rb") as file:
            file.seek(state.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                lines.append(line.decode("utf-8", "replace"))
                state.offset += len(line)
                if len(lines) == BATCH_LINES:
                    break
        return lines

    def _unread(self, name: str, state: SpoolState) -> int:
        """Complete lines that have not been read yet."""
        here = -1 if state.segment is None else first_of(state.segment)
        waiting = 0
        for path in self._segments(name):
            if first_of(path) >= here:
                with path.open("rb") as file:
                    file.seek(state.offset if path == state.segment else 0)
                    waiting += sum(line.endswith(b"\n") for line in file)
        return waiting

    def _delete_stored(self, name: str, state: SpoolState) -> None:
        """Delete files whose last record is stored, all but the newest of the spool."""
        segments = self._segments(name)
        for path, following in pairwise(segments):
            if first_of(following) - 1 <= state.stored:
                path.unlink(missing_ok=True)
                if state.segment == path:
                    state.segment = None


def first_of(segment: Path) -> int:
    """Number of a file's first record."""
    return int(segment.stem)


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
