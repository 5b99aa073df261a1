"""How a part of the directory comes out of its tables, all of it or what changed, and goes to disk."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Final, Generic, NamedTuple, Protocol, TypeVar

from sipcore.directory import Delta, Part
from voip_portal.directory.watched import Watched

P = TypeVar("P", bound=Part[Any, Any])
Row = tuple[Any, ...]
IDS_AT_ONCE: Final = 1000
"""ids: named in one statement; SQLite has taken 32,766 since 3.32."""


class BadDirectory(Exception):
    """What the tables say cannot be put in force; the text says why."""


class Reader(Protocol):
    """Reads the database. Statements are written with `?`, and all see one state."""

    def query(self, statement: str, args: Sequence[Any] = ()) -> list[Row]:
        """The few rows of a SELECT."""

    def rows(self, statement: str, args: Sequence[Any] = ()) -> Iterator[Row]:
        """The many rows of a SELECT, in slices: between two of them others have their turn."""


class Change(NamedTuple):
    """One `changes` row."""

    version: int
    table: str
    key: str
    op: str
    before: dict[str, Any] | None
    """The watched columns as they were; None for a row that was added."""
    after: dict[str, Any] | None

    @property
    def states(self) -> list[dict[str, Any]]:
        """What is said of the row, before and after."""
        return [state for state in (self.before, self.after) if state]


class Loader(Generic[P]):
    """Reads one part. A module of `parts/` has one, as `LOADER`."""

    name: ClassVar[str]
    """Of its rows in the file that a node keeps."""
    kind: type[P]
    tables: ClassVar[tuple[Watched, ...]]
    """All that it is made of, but for names of domains."""

    def load(self, read: Reader, old: P | None) -> P:
        """All of it; `BadDirectory` where it makes no sense.

        Rows that are what they were in `old` are taken from there: so nothing large is freed at once
        when the old part goes.
        """
        raise NotImplementedError

    def delta(self, read: Reader, changes: Sequence[Change]) -> Delta[Any, Any] | None:
        """What these changes of its tables make different; None where everything is to be read."""
        raise NotImplementedError

    def rows_of(self, part: P) -> Iterable[list[Any]]:
        """The part as JSON rows, for the disk."""
        raise NotImplementedError

    def part_of(self, rows: Iterable[list[Any]]) -> P:
        """The part that these rows were made of; ValueError or TypeError for others."""
        raise NotImplementedError


def where_in(read: Reader, select: str, ids: Collection[int], order: str) -> Iterator[Row]:
    """The rows of a SELECT that ends in `… IN`, for these ids."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), IDS_AT_ONCE):
        chunk = ordered[start : start + IDS_AT_ONCE]
        marks = ", ".join("?" * len(chunk))
        yield from read.rows(f"{select} ({marks}) ORDER BY {order}", chunk)


class SmallTable(Loader[P]):
    """Reads a part that is one table of a few rows, each of them named by its first column."""

    def row(self, values: Row) -> Any:
        """The part's row that these columns make; ValueError says what is wrong with them."""
        raise NotImplementedError

    @property
    def _table(self) -> Watched:
        [table] = self.tables
        return table

    def load(self, read: Reader, old: P | None) -> P:
        kind: Any = self.kind
        part: P = kind(self.rows(read))
        return part

    def delta(self, read: Reader, changes: Sequence[Change]) -> Delta[Any, Any]:
        before = [change.before for change in changes if change.before]
        # All rows are put in again: two spellings of one row are one in the part.
        removed = [key for state in before if (key := self._key(state)) is not None]
        return Delta(removed, self.rows(read))

    def rows(self, read: Reader) -> list[Any]:
        """All rows of the part; `BadDirectory` where one makes no sense."""
        columns = ", ".join(self._table.columns)
        table = self._table.table  # its name and columns are our own constants
        return [
            self._checked(row)
            for row in read.query(f"SELECT {columns} FROM {table} ORDER BY id")  # noqa: S608
        ]

    def _checked(self, row: Row) -> Any:
        try:
            return self.row(row[1:])
        except ValueError as error:
            raise BadDirectory(f"{self._table.table} {row[0]}: {error}") from None

    def _key(self, state: dict[str, Any]) -> Any:
        """What named the row in the part; None where it made no sense, and was never in force."""
        try:
            row = self.row(tuple(state[column] for column in self._table.columns[1:]))
        except ValueError:
            return None
        return row[0] if isinstance(row, tuple) else row
