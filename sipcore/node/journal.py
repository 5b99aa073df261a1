"""The journal of a worker slot: its open calls, for the worker that takes over after a crash."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sipcore.eventlog import json_line
from sipcore.node.limits import COMPACT_BYTES
from sipcore.node.spool import write_all

log = logging.getLogger("sipcore.node")


class Journal:
    """Rows appended to one file; rewritten with the open calls alone when it has grown."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = -1
        self._size = 0
        self._needed = 0
        """Its size when it was written anew last."""
        self._behind = False
        """Whether rows are missing because they could not be written."""

    def read(self) -> list[dict[str, Any]]:
        """All rows; a last line cut short by a crash is left out."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        rows = []
        for line in data.split(b"\n")[:-1]:
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
        return rows

    def append(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write rows in one system call. Where the disk is full they are left to `rewrite`."""
        try:
            if self._fd >= 0 and os.fstat(self._fd).st_nlink == 0:
                log.error("%s was replaced by somebody else: it is written anew", self.path)
                self._behind = True  # what it lacks is written when `grown` is asked next
                self.close()
            if self._fd < 0:
                self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                self._size = os.fstat(self._fd).st_size
                self._end_cut_line()
            data = b"".join(map(json_line, rows))
            write_all(self._fd, data)
            self._size += len(data)
        except OSError:
            self._behind = True
            self.close()

    def put_off(self) -> None:
        """What should be rewritten now must wait: `grown` reminds of it."""
        self._behind = True

    @property
    def grown(self) -> bool:
        """Whether it is time to `rewrite`: when half of it, or more, may be of calls that are over."""
        return self._behind or self._size > max(COMPACT_BYTES, 2 * self._needed)

    def rewrite(self, rows: Iterable[dict[str, Any]]) -> None:
        """Replace everything by these rows, atomically; where that fails, `grown` reminds of it."""
        self.close()
        self._behind = True
        fresh = self.path.with_suffix(".new")
        data = b"".join(map(json_line, rows))
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            write_all(fd, data)
        finally:
            os.close(fd)
        fresh.replace(self.path)
        self._size = self._needed = len(data)
        self._behind = False

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _end_cut_line(self) -> None:
        """A crash may have left half a line: end it, so that the next row stands alone."""
        if self._size:
            with self.path.open("rb") as file:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    write_all(self._fd, b"\n")
