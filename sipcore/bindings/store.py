"""The interface of the location store, and one that lives in memory.

The SQL store of a deployment passes the same contract test. The memory store serves the simulated
network and a stack without a database.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from sipcore.bindings.binding import Binding, BindingChange, LineBindings, StoreResult


class BindingStore(Protocol):
    """Keeps bindings for all nodes."""

    def commit(self, changes: Sequence[BindingChange]) -> list[StoreResult]:
        """Write each change whose line is still at its `base_version`, in order, each by itself.

        A change is refused as a whole, and the line's present version and bindings returned, when
        the line is at another version or when a touched binding is gone. A change without rows is
        only compared. Results come in the order of the changes. When this returns, what is `ok` is
        durable.
        """

    def load(self) -> Iterable[LineBindings]:
        """Every line with its version; lines that never changed may be missing."""


class MemoryBindingStore:
    """A `BindingStore` without durability."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: dict[int, tuple[int, dict[str, Binding]]] = {}

    def __len__(self) -> int:
        return sum(len(rows) for _, rows in self._lines.values())

    def commit(self, changes: Sequence[BindingChange]) -> list[StoreResult]:
        return [self._commit_one(change) for change in changes]

    def load(self) -> Iterable[LineBindings]:
        return [
            LineBindings(line_id, version, tuple(rows.values()))
            for line_id, (version, rows) in self._lines.items()
        ]

    def purge(self, at: float) -> int:
        """Delete the bindings that have expired; how many. No version changes by it."""
        gone = 0
        for _, rows in self._lines.values():
            for key in [key for key, b in rows.items() if b.expires_at <= at]:
                del rows[key]
                gone += 1
        return gone

    def _commit_one(self, change: BindingChange) -> StoreResult:
        version, rows = self._lines.get(change.line_id, (0, {}))
        if version != change.base_version or any(t.key not in rows for t in change.touches):
            return StoreResult(False, version, tuple(rows.values()))
        if change.new_version == version:
            return StoreResult(True, version)
        rows = dict(rows)
        for key in change.deletes:
            rows.pop(key, None)
        for binding in change.upserts:
            rows[binding.key] = binding
        for touch in change.touches:
            rows[touch.key] = rows[touch.key].touched(touch)
        self._lines[change.line_id] = (change.new_version, rows)
        return StoreResult(True, change.new_version)
