"""Bindings in SQL: each change conditional on its line's version, many changes in one commit."""

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
from voip_portal.bridge.database import Database, Row

_COLUMNS = (
    "line_id, key, contact, call_id, cseq, expires_at, q, flow, path, instance, reg_id,"
    " user_agent, device_id, registered_at, node, params"
)
_SELECT = f"SELECT {_COLUMNS} FROM location_binding"
_UPSERT = (
    f"INSERT INTO location_binding ({_COLUMNS})"
    f" VALUES ({', '.join('?' * 16)})"
    " ON CONFLICT (line_id, key) DO UPDATE SET "
    + ", ".join(f"{name.strip()} = excluded.{name.strip()}" for name in _COLUMNS.split(",")[2:])
)
_TOUCH = "UPDATE location_binding SET expires_at = ?, call_id = ?, cseq = ? WHERE line_id = ? AND key = ?"
_DELETE = "DELETE FROM location_binding WHERE line_id = ? AND key = ?"
_NEXT_VERSION = "UPDATE location_aor SET version = ? WHERE line_id = ? AND version = ?"
_FIRST_VERSION = (
    "INSERT INTO location_aor (line_id, version) VALUES (?, ?)"
    " ON CONFLICT (line_id) DO UPDATE SET version = excluded.version"
    " WHERE location_aor.version = 0"
)


class SqlBindingStore:
    """A `BindingStore` over the location tables."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.database = Database(settings)

    def load(self) -> Iterable[LineBindings]:
        """Every line with its version and bindings."""
        database = self.database
        with database.transaction(snapshot=True):
            versions = dict(database.query("SELECT line_id, version FROM location_aor"))
            rows = database.query(f"{_SELECT} ORDER BY line_id, id")
        for line_id, group in groupby(rows, key=lambda row: row[0]):
            yield LineBindings(line_id, versions.pop(line_id, 0), tuple(map(_binding, group)))
        for line_id, version in versions.items():
            yield LineBindings(line_id, version, ())

    def commit(self, changes: Sequence[BindingChange]) -> list[StoreResult]:
        """One transaction for all; each change stands or falls by itself."""
        with self.database.transaction():
            if self._commit_refreshes(changes):
                return [StoreResult(True, change.new_version) for change in changes]
            return [self._commit_one(change) for change in changes]

    def _commit_refreshes(self, changes: Sequence[BindingChange]) -> bool:
        """The common case at once: only times change, of lines nobody else has changed."""
        if any(c.upserts or c.deletes or c.base_version == 0 for c in changes):
            return False
        if len({c.line_id for c in changes}) < len(changes):
            return False
        database = self.database
        savepoint = database.connect().execute
        savepoint("SAVEPOINT refreshes")
        touched = database.execute_many(_TOUCH, [_touch(c, t) for c in changes for t in c.touches])
        moved = database.execute_many(
            _NEXT_VERSION, [(c.new_version, c.line_id, c.base_version) for c in changes]
        )
        if touched == sum(len(c.touches) for c in changes) and moved == len(changes):
            savepoint("RELEASE SAVEPOINT refreshes")
            return True
        savepoint("ROLLBACK TO SAVEPOINT refreshes")
        return False

    def _commit_one(self, change: BindingChange) -> StoreResult:
        database = self.database
        if not self._take_version(change):
            return self._conflict(change.line_id)
        savepoint = database.connect().execute
        if change.touches:
            savepoint("SAVEPOINT touches")
            rows = [_touch(change, touch) for touch in change.touches]
            if database.execute_many(_TOUCH, rows) != len(rows):
                savepoint("ROLLBACK TO SAVEPOINT touches")
                database.execute(
                    _NEXT_VERSION, (change.base_version, change.line_id, change.new_version)
                )
                return self._conflict(change.line_id)
        for key in change.deletes:
            database.execute(_DELETE, (change.line_id, key))
        if change.upserts:
            database.execute_many(_UPSERT, [_row(binding) for binding in change.upserts])
        return StoreResult(True, change.new_version)

    def _take_version(self, change: BindingChange) -> bool:
        """Move the line from the version the change was made from; False when it is elsewhere."""
        if change.base_version:
            args = (change.new_version, change.line_id, change.base_version)
            return self.database.execute(_NEXT_VERSION, args) == 1
        return self.database.execute(_FIRST_VERSION, (change.line_id, change.new_version)) == 1

    def _conflict(self, line_id: int) -> StoreResult:
        version = self.database.query(
            "SELECT version FROM location_aor WHERE line_id = ?", (line_id,)
        )
        rows = self.database.query(f"{_SELECT} WHERE line_id = ? ORDER BY id", (line_id,))
        return StoreResult(False, version[0][0] if version else 0, tuple(map(_binding, rows)))

    def purge(self, at: float) -> int:
        """Delete bindings that ended before `at`."""
        return self.database.execute("DELETE FROM location_binding WHERE expires_at <= ?", (at,))


def _touch(change: BindingChange, touch: Any) -> tuple[Any, ...]:
    return (touch.expires_at, touch.call_id, touch.cseq, change.line_id, touch.key)


def _row(b: Binding) -> tuple[Any, ...]:
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
    )


def _binding(row: Row) -> Binding:
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
    )
