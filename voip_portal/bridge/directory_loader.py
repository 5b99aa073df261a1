"""The directory out of the portal's tables, by plain SQL: all of it, or what changed.

Everything is read in one snapshot and checked before it is put in force: a version that does not
make sense is refused whole, with the reason.
"""

# ruff: noqa: S608 - statements are made of our own constants

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

from sipcore.directory import Account, AccountState, Device, Directory, Domain, DomainAddress
from voip_portal.bridge.database import Database, Row

MAX_DELTA_ROWS: Final = 20_000
"""With more changes than this, reading everything is cheaper."""
_CHUNK: Final = 1000
_ALGORITHMS: Final = frozenset({"SHA-256", "MD5"})
_HEX: Final = frozenset("0123456789abcdef")
_LINES = "SELECT id, username, class_of_service, state, end_calls FROM lines_line"
_DEVICES = (
    "SELECT d.id, d.line_id, s.ha1_md5, s.ha1_sha256 FROM lines_device d"
    " JOIN lines_devicesecret s ON s.id = d.id WHERE d.revoked_at IS NULL"
)
"""A device without a secret is none here: nobody could register as it."""
_OWNERS = "SELECT id, line_id FROM lines_device"
_ADDRESSES = (
    "SELECT d.name, a.value, a.line_id FROM numbers_address a"
    " JOIN numbers_domain d ON d.id = a.domain_id WHERE a.line_id IS NOT NULL"
)
_DOMAINS = "SELECT name, algorithms, is_default FROM numbers_domain ORDER BY is_default DESC, id"
_VERSION = "SELECT COALESCE(MAX(version), 0) FROM changes_change"
_CHANGES = (
    "SELECT version, table_name, row_key, op, before, after FROM changes_change"
    f" WHERE version > ? ORDER BY version, id LIMIT {MAX_DELTA_ROWS + 1}"
)
_CALLS_ENDED = (
    "SELECT version, table_name, row_key, op, before, after FROM changes_change"
    " WHERE version > ? AND table_name = 'lines_line' ORDER BY version, id"
)
_NO_DELTA: Final = frozenset({"numbers_domain", "nodes_deployment"})
"""Tables of a few rows that everything depends on: a change there reads everything again."""


class BadDirectory(Exception):
    """What the tables say cannot be put in force; the text says why."""


class Delta(NamedTuple):
    """A newer directory and what is different in it."""

    directory: Directory
    changed: list[int]
    """Ids of accounts that were added, removed or changed."""
    ended: frozenset[int] = frozenset()
    """Ids of accounts whose ongoing calls are to end though the directory does not say so."""


class _Named(NamedTuple):
    """What changes rows name."""

    lines: set[int]
    devices: set[int]
    """Ids of devices of which only the secret is said to have changed."""
    addresses: set[int]
    left: list[tuple[int, str]]
    """(domain id, value) of addresses that had a holder and are no longer what they were."""


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
        rows = database.query(_CHANGES, (directory.version,))
        if _needs_all(rows, directory.version, latest):
            new = _load(database)
            delta = Delta(new, changed_accounts(directory, new))
            if len(rows) > MAX_DELTA_ROWS:  # there may be more than these
                rows = database.query(_CALLS_ENDED, (directory.version,))
        else:
            delta = _delta(database, directory, latest, _named(rows))
        return delta._replace(ended=calls_ended(rows, delta.directory))


def _needs_all(rows: Sequence[Row], version: int, latest: int) -> bool:
    """Whether these rows do not tell everything that happened since `version`."""
    if latest < version or len(rows) > MAX_DELTA_ROWS:
        return True  # restored from a backup, or too much
    if {row[0] for row in rows} != set(range(version + 1, latest + 1)):
        return True
    return any(
        op == "reload"
        or table in _NO_DELTA
        or (table == "numbers_address" and (_is_forgotten(before) or _is_forgotten(after)))
        for _, table, _, op, before, after in rows
    )


def _is_forgotten(state: Any) -> bool:
    """Whether retention took the value out of an address' row: then nothing says what it was."""
    address = _json(state)
    return address is not None and address.get("value") is None


def _named(rows: Iterable[Row]) -> _Named:
    named = _Named(set(), set(), set(), [])
    for _, table, key, _, before, after in rows:
        was = _json(before)
        states = [state for state in (was, _json(after)) if state]
        if table == "lines_line":
            named.lines.update(int(state["id"]) for state in states)
        elif table == "lines_device":
            named.lines.update(int(state["line_id"]) for state in states)
        elif table == "lines_devicesecret":
            named.devices.update(int(state["id"]) for state in states)
        elif table == "numbers_address":
            named.addresses.add(int(key))
            # Only what somebody held can be in force: a reserved name takes nobody's away.
            if was and was["line_id"] is not None:
                named.left.append((int(was["domain_id"]), str(was["value"])))
    return named


def calls_ended(rows: Iterable[Row], new: Directory) -> frozenset[int]:
    """Lines of which some row says that calls end, and which say so no more."""
    states = [_json(after) for _, table, _, _, _, after in rows if table == "lines_line"]
    told = {int(state["id"]) for state in states if state and state.get("end_calls")}
    accounts = [account for i in told if (account := new.account(i)) is not None]
    return frozenset(account.id for account in accounts if not account.end_calls)


def _json(value: Any) -> dict[str, Any] | None:
    """A JSON column: text from SQLite, already read by psycopg."""
    parsed: dict[str, Any] | None = json.loads(value) if isinstance(value, str) else value
    return parsed


def _delta(database: Database, old: Directory, version: int, named: _Named) -> Delta:
    # Of a device that is gone, a row of its own names the line.
    owners = _where_in(database, _OWNERS, "WHERE id", "id", named.devices)
    named.lines.update(line_id for _, line_id in owners)
    lines = _where_in(database, _LINES, "WHERE id", "id", named.lines)
    secrets = _where_in(database, _DEVICES, "AND d.line_id", "d.id", named.lines)
    devices = devices_by_line(secrets)
    held = _where_in(database, _ADDRESSES, "AND a.id", "a.id", named.addresses)
    names: dict[int, str] = dict(database.query("SELECT id, name FROM numbers_domain"))
    accounts = [account_of(row, old.default_domain, devices.get(row[0], ())) for row in lines]
    new = old.changed(
        version=version,
        accounts=accounts,
        removed_accounts=named.lines,  # all, so that two lines may exchange their names
        removed_addresses=[(value, names[d]) for d, value in named.left if d in names],
        addresses=[DomainAddress(domain, value, line) for domain, value, line in held],
    )
    return Delta(new, [i for i in sorted(named.lines) if old.account(i) != new.account(i)])


def _where_in(
    database: Database, select: str, column: str, order: str, ids: Collection[int]
) -> list[Row]:
    """The rows of a SELECT whose column is one of these, oldest first."""
    rows: list[Row] = []
    ordered = sorted(ids)
    for start in range(0, len(ordered), _CHUNK):
        chunk = ordered[start : start + _CHUNK]
        marks = ", ".join("?" * len(chunk))
        rows += database.query(f"{select} {column} IN ({marks}) ORDER BY {order}", chunk)
    return rows


def _load(database: Database) -> Directory:
    version = latest_version(database)
    realm = database.query("SELECT realm FROM nodes_deployment WHERE id = 1")
    domains = database.query(_DOMAINS)
    lines = database.query(_LINES)
    devices = database.query(f"{_DEVICES} ORDER BY d.id")
    addresses = database.query(_ADDRESSES)
    if not realm or not realm[0][0]:
        raise BadDirectory("there is no realm: run manage.py first_start")
    default = default_domain(domains)
    by_line = devices_by_line(devices)
    return Directory(
        version=version,
        realm=realm[0][0],
        domains=domains_of(domains),
        default_domain=default,
        accounts=[account_of(row, default, by_line.get(row[0], ())) for row in lines],
        addresses=[DomainAddress(domain, value, line) for domain, value, line in addresses],
    )


def default_domain(rows: Sequence[Row]) -> str:
    """The domain of canonical addresses."""
    if not rows or not rows[0][2]:
        raise BadDirectory("there is no default SIP domain")
    return str(rows[0][0])


def domains_of(rows: Iterable[Row]) -> list[Domain]:
    """Domains with their digest algorithms in order of preference."""
    found = []
    for name, algorithms, _ in rows:
        offered = tuple(algorithms.split(","))
        if not name or not set(offered) <= _ALGORITHMS:
            raise BadDirectory(f"domain {name!r}: unknown digest algorithms {algorithms!r}")
        found.append(Domain(name, offered))
    return found


def devices_by_line(rows: Iterable[Row]) -> dict[int, tuple[Device, ...]]:
    """Devices of each line."""
    found: defaultdict[int, list[Device]] = defaultdict(list)
    for device_id, line_id, ha1_md5, ha1_sha256 in rows:
        # Said without the value: it equals a password.
        if not _is_hex(ha1_md5, 32) or not _is_hex(ha1_sha256, 64):
            raise BadDirectory(f"device {device_id}: its HA1 is none")
        found[line_id].append(
            Device(device_id, ha1_md5.encode("ascii"), ha1_sha256.encode("ascii"))
        )
    return {line_id: tuple(devices) for line_id, devices in found.items()}


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and _HEX.issuperset(text)


def account_of(row: Row, domain: str, devices: tuple[Device, ...]) -> Account:
    """One row of lines_line with its devices."""
    line_id, username, class_of_service, state, end_calls = row
    if not username:
        raise BadDirectory(f"line {line_id}: it has no user name")
    try:
        account_state = AccountState(state)
    except ValueError as error:
        raise BadDirectory(f"line {line_id}: unknown state {state!r}") from error
    return Account(
        line_id, username, domain, account_state, class_of_service, devices, bool(end_calls)
    )


def changed_accounts(old: Directory, new: Directory) -> list[int]:
    """Ids of the accounts that are not the same in both."""
    before: dict[int, Account] = {a.id: a for a in old.accounts()}
    changed = [a.id for a in new.accounts() if before.pop(a.id, None) != a]
    return [*changed, *before]
