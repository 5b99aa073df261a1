"""The statements that write bindings, for a group of rows each, in the two dialects.

SQLite: `executemany`. PostgreSQL: one statement over arrays (`unnest`), which costs a third of the
processor time. A refresh changes no indexed column.
"""

# ruff: noqa: S608 - statements are made of our own constants

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Protocol

from voip_portal.bridge.database import Database

Rows = Sequence[tuple[Any, ...]]

_TYPES: Final = {
    "line_id": "bigint",
    "key": "text",
    "contact": "text",
    "call_id": "text",
    "cseq": "bigint",
    "expires_at": "float8",
    "q": "int",
    "flow": "text",
    "path": "text",
    "instance": "text",
    "reg_id": "int",
    "user_agent": "text",
    "device_id": "bigint",
    "registered_at": "float8",
    "node": "text",
    "params": "text",
    "written_at": "float8",
}
_NAMES: Final = ", ".join(_TYPES)
_ON_CONFLICT: Final = " ON CONFLICT (line_id, key) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in list(_TYPES)[2:]
)
_FIRST_AGAIN: Final = (
    # A line that was only asked about may have a row of version 0.
    " ON CONFLICT (line_id) DO UPDATE SET version = excluded.version WHERE location_aor.version = 0"
)


class Statements(Protocol):
    """Each takes rows and tells how many were touched."""

    def first(self, rows: Rows) -> int:
        """(line, version): lines that never had a version."""

    def move(self, rows: Rows) -> int:
        """(new version, line, version it must have)."""

    def touch(self, rows: Rows) -> int:
        """(expires_at, call_id, cseq, written_at, line, key)."""

    def delete(self, rows: Rows) -> int:
        """(line, key)."""

    def upsert(self, rows: Rows) -> int:
        """All columns."""


class SqliteStatements:
    """`executemany`, on the driver's own cursor."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def first(self, rows: Rows) -> int:
        statement = f"INSERT INTO location_aor (line_id, version) VALUES (?, ?){_FIRST_AGAIN}"
        return self._many(statement, rows)

    def move(self, rows: Rows) -> int:
        statement = "UPDATE location_aor SET version = ? WHERE line_id = ? AND version = ?"
        return self._many(statement, rows)

    def touch(self, rows: Rows) -> int:
        statement = (
            "UPDATE location_binding SET expires_at = ?, call_id = ?, cseq = ?, written_at = ?"
            " WHERE line_id = ? AND key = ?"
        )
        return self._many(statement, rows)

    def delete(self, rows: Rows) -> int:
        return self._many("DELETE FROM location_binding WHERE line_id = ? AND key = ?", rows)

    def upsert(self, rows: Rows) -> int:
        marks = ", ".join("?" * len(_TYPES))
        statement = f"INSERT INTO location_binding ({_NAMES}) VALUES ({marks}){_ON_CONFLICT}"
        return self._many(statement, rows)

    def _many(self, statement: str, rows: Rows) -> int:
        return self._database.execute_many(statement, rows) if rows else 0


class PostgresqlStatements:
    """One statement for all rows, which travel as one array for each column."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def first(self, rows: Rows) -> int:
        statement = (
            "INSERT INTO location_aor (line_id, version)"
            f" SELECT * FROM {_unnest('bigint', 'bigint')}{_FIRST_AGAIN}"
        )
        return self._all(statement, rows)

    def move(self, rows: Rows) -> int:
        source = _unnest("bigint", "bigint", "bigint")
        statement = (
            f"UPDATE location_aor a SET version = t.new FROM {source} AS t (new, line, old)"
            " WHERE a.line_id = t.line AND a.version = t.old"
        )
        return self._all(statement, rows)

    def touch(self, rows: Rows) -> int:
        source = _unnest("float8", "text", "bigint", "float8", "bigint", "text")
        statement = (
            "UPDATE location_binding b SET expires_at = t.until, call_id = t.call, cseq = t.cseq,"
            f" written_at = t.at FROM {source} AS t (until, call, cseq, at, line, key)"
            " WHERE b.line_id = t.line AND b.key = t.key"
        )
        return self._all(statement, rows)

    def delete(self, rows: Rows) -> int:
        statement = (
            f"DELETE FROM location_binding b USING {_unnest('bigint', 'text')} AS t (line, key)"
            " WHERE b.line_id = t.line AND b.key = t.key"
        )
        return self._all(statement, rows)

    def upsert(self, rows: Rows) -> int:
        statement = (
            f"INSERT INTO location_binding ({_NAMES})"
            f" SELECT * FROM {_unnest(*_TYPES.values())}{_ON_CONFLICT}"
        )
        return self._all(statement, rows)

    def _all(self, statement: str, rows: Rows) -> int:
        if not rows:
            return 0
        return self._database.execute(
            statement, [list(column) for column in zip(*rows, strict=True)]
        )


def _unnest(*types: str) -> str:
    return f"unnest({', '.join(f'?::{kind}[]' for kind in types)})"


def statements_for(database: Database) -> Statements:
    """Those of this database's dialect."""
    return PostgresqlStatements(database) if database.is_postgresql else SqliteStatements(database)
