"""The children's log files: bounded, and read along for lines the terminal should show."""

from __future__ import annotations

import re
import shutil
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
        path.touch(mode=0o600)
        self._read_to = path.stat().st_size
        self._quiet_until = 0.0
        self._unshown = 0

    def look(self, now: float) -> str:
        """Read what came since; the line to show, or "". `now` is monotonic seconds."""
        loud = [line for line in self._new_lines() if LOUD.search(line)]
        self._bound()
        self._unshown += len(loud)
        if not loud or now < self._quiet_until:
            return ""
        self._quiet_until = now + QUIET_S
        others, self._unshown = self._unshown - 1, 0
        text = loud[-1].decode(errors="replace").strip()[:300]
        return f"{text} ({others} more lines like it)" if others else text

    def tail(self, lines: int = 15) -> str:
        """The last lines."""
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - 16384))
            text = file.read().decode(errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def _new_lines(self) -> list[bytes]:
        size = self.path.stat().st_size
        start = max(min(self._read_to, size), size - READ_BYTES)
        with self.path.open("rb") as file:
            file.seek(start)
            data = file.read(READ_BYTES)
        end = data.rfind(b"\n") + 1
        self._read_to = start + end
        return data[:end].splitlines()

    def _bound(self) -> None:
        """Copy and truncate: the child keeps its descriptor, which appends from the start again."""
        if self.path.stat().st_size <= self._max_bytes:
            return
        shutil.copyfile(self.path, self.path.with_suffix(".log.1"))
        with self.path.open("r+b") as file:
            file.truncate(0)
        self._read_to = 0
