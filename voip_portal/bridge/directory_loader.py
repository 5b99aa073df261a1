"""The directory out of the portal's tables, by plain SQL: all of it, or what changed.

Everything is read in one snapshot and checked before it is put in force: a version that does not
make sense is refused whole, with the reason. What a part is made of says its module in
`voip_portal.directory.parts`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from sipcore.directory import Account, Accounts, Directory, Part
from voip_portal.bridge.database import Database, Row
from voip_portal.directory.discovery import LOADER_OF, LOADERS
from voip_portal.directory.loader import BadDirectory, Change

MAX_DELTA_ROWS: Final = 20_000
"""With more changes than this, reading everything is cheaper."""
SLICE: Final = 200
"""rows: read and made at a time."""
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
    """The database as loaders read it."""

    def __init__(self, database: Database) -> None:
        self.query = database.query
        self._database = database

    def rows(self, statement: str, args: Sequence[Any] = ()) -> Iterator[Row]:
        for rows in self._database.slices(statement, args, SLICE):
            yield from rows


def latest_version(database: Database) -> int:
    """The version of what the tables say now."""
    return int(database.query(_VERSION)[0][0])


def load_directory(database: Database) -> Directory:
    """Everything, in one snapshot."""
    with database.transaction(snapshot=True):
        return _load(database)


def catch_up(database: Database, directory: Directory) -> Delta | None:
    """What the tables say now, made from an older directory; None when nothing is newer."""
    with database.transaction(snapshot=True):
        latest = latest_version(database)
        if latest == directory.version:
            return None
        changes = _changes(database.query(_CHANGES, (directory.version, MAX_DELTA_ROWS + 1)))
        delta = None
        if _are_all(changes, directory.version, latest):
            delta = _delta(database, directory, latest, changes)
        if delta is None:
            new = _load(database, directory)
            delta = Delta(new, changed_accounts(directory, new))
        if len(changes) > MAX_DELTA_ROWS:  # there may be more than these
            changes = _changes(database.query(_CALLS_ENDED, (directory.version,)))
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
    database: Database, old: Directory, version: int, changes: Sequence[Change]
) -> Delta | None:
    """What these changes make of the parts; None where everything is to be read."""
    reading = _Reading(database)
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


def _load(database: Database, old: Directory | None = None) -> Directory:
    version = latest_version(database)
    reading = _Reading(database)
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


def changed_accounts(old: Directory, new: Directory) -> list[int]:
    """Ids of the accounts that are not the same in both."""
    before: dict[int, Account] = {a.id: a for a in old.accounts()}
    changed = [a.id for a in new.accounts() if before.pop(a.id, None) != a]
    return [*changed, *before]


__all__ = ["BadDirectory", "Delta", "catch_up", "latest_version", "load_directory"]
