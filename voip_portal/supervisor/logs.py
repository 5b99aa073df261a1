"""The children's log files: bounded, and read along for lines the terminal should show.

Nothing that becomes of a file (removed, rotated, on a full disk) may end the supervisor, and all
processes with it: a file is held open, as its child holds it, and looked for only at a start.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 5 * 1024 * 1024
READ_BYTES = 256 * 1024
QUIET_S = 5.0
"""At most one line of a file in so many seconds goes to the terminal."""
LOUD = re.compile(rb"\b(ERROR|CRITICAL)\b|^Traceback|^[\w.]*(Error|Exception): ")


class LogFile:
    """One child's log, appended to by the child itself, so that neither waits for the other."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._fd = os.open(os.devnull, os.O_RDWR)
        self._read_to = 0
        self._quiet_until = 0.0
        self._unshown = 0
        self.open()

    def open(self) -> int:
        """The descriptor for the child's next start: of a new file, if the one before is gone."""
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError:  # no room, no folder: a child without a log is better than none
            return self._fd
        if not os.path.sameopenfile(fd, self._fd):
            self._read_to = os.fstat(fd).st_size
        os.close(self._fd)
        self._fd = fd
        return fd

    def look(self, now: float) -> str:
        """Read what came since; the line to show, or "". `now` is monotonic seconds."""
        loud: list[bytes] = []
        with suppress(OSError):  # a broken disk, or no plain file at all: nothing to show
            loud += [line for line in self._new_lines() if LOUD.search(line)]
            self._bound()
        self._unshown += len(loud)
        if not loud or now < self._quiet_until:
            return ""
        self._quiet_until = now + QUIET_S
        others, self._unshown = self._unshown - 1, 0
        text = loud[-1].decode(errors="replace").strip()[:300]
        return f"{text} ({others} more lines like it)" if others else text

    def tail(self, lines: int = 15) -> str:
        """The last lines; none of what is no plain file."""
        text = ""
        with suppress(OSError):
            size = os.fstat(self._fd).st_size
            text = os.pread(self._fd, 16384, max(0, size - 16384)).decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _new_lines(self) -> list[bytes]:
        size = os.fstat(self._fd).st_size
        start = max(min(self._read_to, size), size - READ_BYTES)
        data = os.pread(self._fd, READ_BYTES, start)
        end = data.rfind(b"\n") + 1
        self._read_to = start + end
        return data[:end].splitlines()

    def _bound(self) -> None:
        """Copy and truncate: the child keeps its descriptor, which appends from the start again."""
        if os.fstat(self._fd).st_size <= self._max_bytes:
            return
        copy = self.path.with_suffix(".log.new")
        try:
            # By the descriptor: the path may be another file by now, or none.
            shutil.copyfile(f"/proc/self/fd/{self._fd}", copy)
            copy.replace(self.path.with_suffix(".log.1"))
        except OSError:  # no room: half a copy takes what others need, and so does the log
            with suppress(OSError):
                copy.unlink()
        os.ftruncate(self._fd, 0)
        self._read_to = 0
