"""The directory out of the portal's tables, by plain SQL: all of it, or what changed.

Everything is read in one snapshot and checked before it is put in force: a version that does not
make sense is refused whole, with the reason. What a part is made of says its module in
`voip_portal.directory.parts`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from sipcore.directory import Accounts, Directory, Part
from voip_portal.bridge.database import Database, Row
from voip_portal.bridge.pace import LOOK_EVERY, Pace, much_that_stays
from voip_portal.directory.discovery import LOADER_OF, LOADERS
from voip_portal.directory.loader import BadDirectory, Change

MAX_DELTA_ROWS: Final = 5_000
"""changes: with more of them everything is read, which is done in slices throughout."""
_VERSION = "SELECT COALESCE(MAX(version), 0) FROM changes_change"
_CHANGES = (
    "SELECT version, table_name, row_key, op, before, after FROM changes_change"
    " WHERE version > ? ORDER BY version, id LIMIT ?"
)
_CALLS_ENDED = (
    "SELECT version, table_name, row_key, op, before, after FROM changes_change"
    " WHERE version > ? AND table_name = 'lines_line' ORDER BY version, id"
)


class Delta(NamedTuple):
    """A newer directory and what is different in it."""

    directory: Directory
    changed: list[int]
    """Ids of accounts that were added, removed or changed."""
    ended: frozenset[int] = frozenset()
    """Ids of accounts whose ongoing calls are to end though the directory does not say so."""


class _Reading:
    """The database as loaders read it: with pauses, but for the first time, when nobody is served."""

    def __init__(self, database: Database, pace: Pace | None = None) -> None:
        self.query = database.query
        self._database = database
        self._pace = pace

    def rows(self, statement: str, args: Sequence[Any] = ()) -> Iterator[Row]:
        for rows in self._database.slices(statement, args, LOOK_EVERY):
            yield from rows
            if self._pace is not None:
                self._pace()


def latest_version(database: Database) -> int:
    """The version of what the tables say now."""
    return int(database.query(_VERSION)[0][0])


def load_directory(database: Database) -> Directory:
    """Everything, in one snapshot."""
    with database.transaction(snapshot=True):
        return _load(_Reading(database))


def catch_up(database: Database, directory: Directory) -> Delta | None:
    """What the tables say now, made from an older directory; None when nothing is newer."""
    with database.transaction(snapshot=True):
        latest = latest_version(database)
        if latest == directory.version:
            return None
        pace = Pace()
        reading = _Reading(database, pace)
        changes = _changes(reading.rows(_CHANGES, (directory.version, MAX_DELTA_ROWS + 1)))
        delta = None
        if _are_all(changes, directory.version, latest):
            delta = _delta(reading, directory, latest, changes)
        if delta is None:
            with much_that_stays():
                new = _load(reading, directory)
            delta = Delta(new, changed_accounts(directory, new, pace))
        if len(changes) > MAX_DELTA_ROWS:  # there may be more than these
            changes = _changes(reading.rows(_CALLS_ENDED, (directory.version,)))
        return delta._replace(ended=calls_ended(changes, delta.directory))


def _changes(rows: Iterable[Row]) -> list[Change]:
    return [
        Change(version, table, key, op, _json(before), _json(after))
        for version, table, key, op, before, after in rows
    ]


def _json(value: Any) -> dict[str, Any] | None:
    """A JSON column: text from SQLite, already read by psycopg."""
    parsed: dict[str, Any] | None = json.loads(value) if isinstance(value, str) else value
    return parsed


def _are_all(changes: Sequence[Change], version: int, latest: int) -> bool:
    """Whether these changes tell everything that happened since `version`."""
    if latest < version or len(changes) > MAX_DELTA_ROWS:
        return False  # restored from a backup, or too much
    if {change.version for change in changes} != set(range(version + 1, latest + 1)):
        return False
    return all(change.op != "reload" for change in changes)


def _delta(
    reading: _Reading, old: Directory, version: int, changes: Sequence[Change]
) -> Delta | None:
    """What these changes make of the parts; None where everything is to be read."""
    parts: list[Part[Any, Any]] = []
    accounts: Sequence[int] = ()
    for loader in LOADERS:
        own = [change for change in changes if LOADER_OF.get(change.table) is loader]
        if not own:
            continue
        delta = loader.delta(reading, own)
        if delta is None:
            return None
        parts.append(old.part(loader.kind).changed(delta))
        if loader.kind is Accounts:
            accounts = delta.removed
    new = old.with_parts(version, parts)
    return Delta(new, [i for i in accounts if old.account(i) != new.account(i)])


def _load(reading: _Reading, old: Directory | None = None) -> Directory:
    version = int(reading.query(_VERSION)[0][0])
    parts = (
        loader.load(reading, None if old is None else old.part(loader.kind)) for loader in LOADERS
    )
    return Directory(version=version, parts=parts)


def calls_ended(changes: Iterable[Change], new: Directory) -> frozenset[int]:
    """Lines of which some row says that calls end, and which say so no more."""
    states = [change.after for change in changes if change.table == "lines_line"]
    told = {int(state["id"]) for state in states if state and state.get("end_calls")}
    accounts = [account for i in told if (account := new.account(i)) is not None]
    return frozenset(account.id for account in accounts if not account.end_calls)


def changed_accounts(old: Directory, new: Directory, pace: Pace) -> list[int]:
    """Ids of the accounts that are not the same in both; what is, is one object (`Loader.load`)."""
    changed = [a.id for a in pace.over(new.accounts()) if old.account(a.id) is not a]
    gone = [a.id for a in pace.over(old.accounts()) if new.account(a.id) is None]
    return [*changed, *gone]


__all__ = ["BadDirectory", "Delta", "catch_up", "latest_version", "load_directory"]
