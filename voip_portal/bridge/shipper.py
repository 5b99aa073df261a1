"""The shipper's loop: spool files → Celery, from the position that the database holds.

The broker may lose what it was given, the worker may be killed: what the database does not have
is sent again. A spool's files are deleted when all their records are in the database.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger("voip_portal.shipper")

BATCH_LINES = 500
WINDOW = 4
"""Batches of one spool in flight."""
RESEND_S = 5.0
"""A batch that is not in the database by then is sent again."""

Send = Callable[[str, int, list[str]], None]
Positions = Callable[[], dict[str, int]]


@dataclass(slots=True)
class SpoolState:
    """One spool folder."""

    sent: int = 0
    """Number of the last record given to the broker."""
    stored: int = 0
    sent_at: float = 0.0
    segment: Path | None = None
    offset: int = 0
    """Where reading goes on in `segment`."""
    known: bool = field(default=False)


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

    def backlog(self) -> int:
        """Records sent and not yet stored."""
        return sum(max(0, s.sent - s.stored) for s in self._spools.values())

    def _ship(self, name: str, stored: int, now: float) -> bool:
        state = self._spools.setdefault(name, SpoolState())
        if not state.known or (
            state.sent > stored and now - state.sent_at > RESEND_S and stored <= state.stored
        ):
            self._rewind(name, state, stored)
        if stored > state.stored:
            state.sent_at = now
        state.stored = stored
        self._delete_stored(name, state)
        while state.sent - stored < WINDOW * BATCH_LINES:
            lines = self._read(name, state)
            if not lines:
                break
            self._send(name, state.sent + 1, lines)
            state.sent += len(lines)
            state.sent_at = now
        return state.sent > stored

    def _rewind(self, name: str, state: SpoolState, stored: int) -> None:
        """Go on reading after the last stored record."""
        state.known = True
        state.sent = stored
        state.segment = None
        for path in self._segments(name):
            if int(path.stem) <= stored + 1:
                state.segment = path
        state.offset = 0
        if state.segment is not None:
            skip = stored - (int(state.segment.stem) - 1)
            with state.segment.open("rb") as file:
                for _ in range(skip):
                    file.readline()
                state.offset = file.tell()

    def _segments(self, name: str) -> list[Path]:
        return sorted((self._folder / name).glob("*.jsonl"))

    def _read(self, name: str, state: SpoolState) -> list[str]:
        """The next complete lines, at most a batch."""
        if state.segment is None:
            following = [p for p in self._segments(name) if int(p.stem) == state.sent + 1]
            if not following:
                return []
            state.segment, state.offset = following[0], 0
        lines: list[str] = []
        with state.segment.open("rb") as file:
            file.seek(state.offset)
            while len(lines) < BATCH_LINES:
                line = file.readline()
                if not line.endswith(b"\n"):
                    break
                lines.append(line.decode("ascii"))
                state.offset += len(line)
        if not lines:
            following = [p for p in self._segments(name) if int(p.stem) == state.sent + 1]
            if following and following[0] != state.segment:
                state.segment, state.offset = following[0], 0
                return self._read(name, state)
        return lines

    def _delete_stored(self, name: str, state: SpoolState) -> None:
        """Delete files whose last record is stored, all but the newest of the spool."""
        segments = self._segments(name)
        for path, following in zip(segments, segments[1:], strict=False):
            if int(following.stem) - 1 <= state.stored:
                path.unlink(missing_ok=True)
                if state.segment == path:
                    state.segment = None


def run(shipper: Shipper, healthy: Callable[[], None], stopped: Callable[[float], bool]) -> None:
    """Ship until `stopped(wait seconds)` says so."""
    while True:
        try:
            busy = shipper.step(time.monotonic())
            healthy()
        except Exception:  # database or broker away: the spool keeps everything
            log.exception("shipping failed, trying again")
            busy = False
            if stopped(2.0):
                return
        if stopped(0.1 if busy else 0.25):
            return
