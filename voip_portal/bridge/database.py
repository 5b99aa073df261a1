"""The daemon's way to the database: the drivers themselves, without Django.

`Database` holds one connection for one thread. Statements are written with `?`; for psycopg they
are translated. Everything is read and written as tuples.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import quote

from voip_portal.embedded.made import Identity, check, identity

Row = tuple[Any, ...]


class Database:
    """One connection, opened at first use and again after an error."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._connection: Any = None
        self._file: Identity | None = None
        """Which file of SQLite is open."""

    @property
    def is_postgresql(self) -> bool:
        return bool(self._settings["engine"] == "postgresql")

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What this driver raises."""
        if self.is_postgresql:
            import psycopg

            return (psycopg.Error,)
        return (sqlite3.Error,)

    def connect(self) -> Any:
        """The driver's connection, in autocommit: transactions are explicit."""
        if self._connection is None:
            self._connection = self._open()
        elif self._file is not None and identity(self._settings["path"]) != self._file:
            self.close()
            raise sqlite3.OperationalError(f"{self._settings['path']} was removed or replaced")
        return self._connection

    def _open(self) -> Any:
        if self.is_postgresql:
            import psycopg

            return psycopg.connect(self._settings["dsn"], autocommit=True)
        path = self._settings["path"]
        check(path)
        connection = sqlite3.connect(
            f"file:{quote(path)}?mode=rw",  # whoever migrates makes it
            uri=True,
            timeout=20,
            isolation_level=None,
            check_same_thread=False,
        )
        self._file = identity(path)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    def close(self) -> None:
        """Close; the next use opens again."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()

    def sql(self, statement: str) -> str:
        return statement.replace("?", "%s") if self.is_postgresql else statement

    def query(self, statement: str, args: Sequence[Any] = ()) -> list[Row]:
        """All rows of a SELECT."""
        cursor = self.connect().execute(self.sql(statement), args)
        rows: list[Row] = cursor.fetchall()
        return rows

    def slices(self, statement: str, args: Sequence[Any], size: int) -> Iterator[list[Row]]:
        """The rows of a SELECT, so many at a time."""
        cursor = self.connect().execute(self.sql(statement), args)
        while rows := cursor.fetchmany(size):
            yield rows

    def execute(self, statement: str, args: Sequence[Any] = ()) -> int:
        """Run a statement; how many rows it touched."""
        return int(self.connect().execute(self.sql(statement), args).rowcount)

    def execute_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> int:
        """Run a statement for each row; how many rows were touched together."""
        cursor = self.connect().cursor()
        cursor.executemany(self.sql(statement), rows)
        return int(cursor.rowcount)

    @contextmanager
    def transaction(self, *, snapshot: bool = False) -> Iterator[None]:
        """A transaction. For writing SQLite takes the write lock at once, so it never fails half-way.

        `snapshot`: only reading, all statements see one state.
        """
        if not snapshot:
            begin = "BEGIN" if self.is_postgresql else "BEGIN IMMEDIATE"
        elif self.is_postgresql:
            begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        else:
            begin = "BEGIN"
        self.connect().execute(begin)
        try:
            yield
        except BaseException:
            self.rollback()
            raise
        self.end()

    def begin(self) -> None:
        """Begin a transaction that writes; SQLite takes the lock now."""
        self.connect().execute("BEGIN" if self.is_postgresql else "BEGIN IMMEDIATE")

    def end(self) -> None:
        """Commit."""
        self.connect().execute("COMMIT")

    def rollback(self) -> None:
        """Give up the transaction; quiet when the connection is gone and it with it."""
        with suppress(*self.errors):
            self.connect().execute("ROLLBACK")

    def is_away(self, error: Exception) -> bool:
        """Whether the database could not be reached or used, rather than what was asked is wrong."""
        if self.is_postgresql:
            import psycopg

            return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return isinstance(error, sqlite3.OperationalError)

    def is_deadlock(self, error: Exception) -> bool:
        """Whether the server ended this transaction in favour of another: try again."""
        return getattr(error, "sqlstate", None) in {"40P01", "40001"}
