"""Bindings in SQL: each change conditional on its line's version, many changes in one commit.

A group of changes of different lines is written with a handful of statements for all of them. Only
when the count of rows tells that one must be refused are they written one by one.
"""

# ruff: noqa: S608 - statements are made of our own constants

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from sipcore.bindings import (
    Binding,
    BindingChange,
    LineBindings,
    StoreResult,
    flow_from_json,
    flow_to_json,
    path_from_json,
    path_to_json,
)
from voip_portal.bridge.binding_statements import Statements, statements_for
from voip_portal.bridge.database import Database, Row

_COLUMNS = (
    "line_id",
    "key",
    "contact",
    "call_id",
    "cseq",
    "expires_at",
    "q",
    "flow",
    "path",
    "instance",
    "reg_id",
    "user_agent",
    "device_id",
    "registered_at",
    "node",
    "params",
    "written_at",
)
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM location_binding"
_ATTEMPTS = 4
"""Of one commit, when PostgreSQL ends a deadlock of two nodes at our cost."""


class SqlBindingStore:
    """A `BindingStore` over the location tables."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.database = Database(settings)
        self._write: Statements = statements_for(self.database)

    def load(self) -> Iterable[LineBindings]:
        """Every line with its version and bindings."""
        database = self.database
        with database.transaction(snapshot=True):
            versions: dict[int, int] = dict(
                database.query("SELECT line_id, version FROM location_aor")
            )
            rows = database.query(f"{_SELECT} ORDER BY line_id, id")
        for line_id, group in groupby(rows, key=lambda row: row[0]):
            yield LineBindings(line_id, versions.pop(line_id, 0), tuple(map(binding_of, group)))
        for line_id, version in versions.items():
            yield LineBindings(line_id, version, ())

    def commit(self, changes: Sequence[BindingChange]) -> list[StoreResult]:
        """One transaction for all; each change stands or falls by itself."""
        for attempt in range(_ATTEMPTS):
            try:
                return self._commit(changes)
            except self.database.errors as error:
                if attempt + 1 == _ATTEMPTS or not self.database.is_deadlock(error):
                    raise
        raise AssertionError

    def _commit(self, changes: Sequence[BindingChange]) -> list[StoreResult]:
        if not changes:
            return []
        database = self.database
        if _can_go_together(changes):
            database.begin()
            try:
                together = self._commit_together(changes)
            except BaseException:
                database.rollback()
                raise
            if together:
                database.end()
                return [StoreResult(True, change.new_version) for change in changes]
            database.rollback()
        with database.transaction():
            return [self._commit_one(change) for change in changes]

    def _commit_together(self, changes: Sequence[BindingChange]) -> bool:
        """The common case, statement by statement for all; False when any change must be refused."""
        write = self._write
        first = [(c.line_id, c.new_version) for c in changes if c.base_version == 0]
        moved = [(c.new_version, c.line_id, c.base_version) for c in changes if c.base_version]
        if write.first(first) != len(first) or write.move(moved) != len(moved):
            return False
        write.delete([(c.line_id, key) for c in changes for key in c.deletes])
        write.upsert([row_of(binding) for c in changes for binding in c.upserts])
        touches = [_touch(c, touch) for c in changes for touch in c.touches]
        return write.touch(touches) == len(touches)

    def _commit_one(self, change: BindingChange) -> StoreResult:
        if change.base_version == change.new_version:
            return self._compare(change)
        database = self.database
        database.execute("SAVEPOINT one")
        if self._commit_together([change]):
            database.execute("RELEASE SAVEPOINT one")
            return StoreResult(True, change.new_version)
        database.execute("ROLLBACK TO SAVEPOINT one")
        return self._conflict(change.line_id)

    def _compare(self, change: BindingChange) -> StoreResult:
        present = self._conflict(change.line_id)
        if present.version == change.base_version:
            return StoreResult(True, present.version)
        return present

    def _conflict(self, line_id: int) -> StoreResult:
        version = self.database.query(
            "SELECT version FROM location_aor WHERE line_id = ?", (line_id,)
        )
        rows = self.database.query(f"{_SELECT} WHERE line_id = ? ORDER BY id", (line_id,))
        return StoreResult(False, version[0][0] if version else 0, tuple(map(binding_of, rows)))

    def try_lock(self) -> None:
        """Do as if writing: returns when a commit would not have to wait, for the moment."""
        database = self.database
        database.begin()
        try:
            if database.is_postgresql:
                database.execute("LOCK TABLE location_aor IN ROW EXCLUSIVE MODE")
        finally:
            database.rollback()

    def purge(self, at: float) -> int:
        """Delete bindings that ended before `at`."""
        return self.database.execute("DELETE FROM location_binding WHERE expires_at <= ?", (at,))


def _can_go_together(changes: Sequence[BindingChange]) -> bool:
    """Whether no change depends on another one of them, and each has something to write."""
    if any(c.base_version == c.new_version for c in changes):
        return False
    return len({c.line_id for c in changes}) == len(changes)


def _touch(change: BindingChange, touch: Any) -> tuple[Any, ...]:
    return (
        touch.expires_at,
        touch.call_id,
        touch.cseq,
        touch.written_at,
        change.line_id,
        touch.key,
    )


def row_of(b: Binding) -> tuple[Any, ...]:
    """A binding as a row of its table, without the row's id."""
    return (
        b.line_id,
        b.key,
        b.contact,
        b.call_id,
        b.cseq,
        b.expires_at,
        b.q,
        flow_to_json(b.flow),
        path_to_json(b.path),
        b.instance,
        b.reg_id,
        b.user_agent,
        b.device_id,
        b.registered_at,
        b.node,
        b.params,
        b.written_at,
    )


def binding_of(row: Row) -> Binding:
    """The binding of a row."""
    return Binding(
        line_id=row[0],
        key=row[1],
        contact=row[2],
        call_id=row[3],
        cseq=row[4],
        expires_at=row[5],
        q=row[6],
        flow=flow_from_json(row[7]),
        path=path_from_json(row[8]),
        instance=row[9],
        reg_id=row[10],
        user_agent=row[11],
        device_id=row[12],
        registered_at=row[13],
        node=row[14],
        params=row[15],
        written_at=row[16] if len(row) > 16 else 0.0,  # a file of an earlier version has none
    )
