"""Lines, their devices and these devices' secrets: the accounts of the SIP server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from sys import intern
from typing import Any, Final

from sipcore.directory import Account, Accounts, AccountState, Delta, Device
from voip_portal.directory.loader import BadDirectory, Change, Loader, Reader, Row, where_in
from voip_portal.directory.watched import Watched

_HEX: Final = frozenset("0123456789abcdef")
_SELECT = (
    "SELECT l.id, l.username, l.class_of_service, l.state, l.end_calls,"
    " d.id, s.ha1_md5, s.ha1_sha256 FROM lines_line l"
    " LEFT JOIN lines_device d ON d.line_id = l.id AND d.revoked_at IS NULL"
    " LEFT JOIN lines_devicesecret s ON s.id = d.id"
)
"""A row for each device of a line, or one for a line without any. A device without a secret is none
here: nobody could register as it."""
_ORDER = "l.id, d.id"
_OWNERS = "SELECT line_id FROM lines_device WHERE id IN"
_DEFAULT_DOMAIN = "SELECT name FROM numbers_domain WHERE is_default"


class AccountsLoader(Loader[Accounts]):
    """Reads `Accounts`."""

    name = "accounts"
    kind = Accounts
    tables = (
        Watched(
            "lines_line",
            ("id", "username", "owner_id", "label", "class_of_service", "state", "end_calls"),
            booleans=frozenset({"end_calls"}),
        ),
        Watched(
            "lines_device",
            ("id", "line_id", "label", "created_at", "revoked_at"),
            times=frozenset({"created_at", "revoked_at"}),
        ),
        Watched(
            "lines_devicesecret",
            ("id",),  # the device's
            secret=("ha1_md5", "ha1_sha256"),
        ),
    )

    def load(self, read: Reader, old: Accounts | None) -> Accounts:
        found = _accounts(read, read.rows(f"{_SELECT} ORDER BY {_ORDER}"))
        if old is None:
            return Accounts(found)
        return Accounts(_kept_as_they_were(found, old))

    def delta(self, read: Reader, changes: Sequence[Change]) -> Delta[int, Account]:
        lines = _lines_of(read, changes)
        rows = where_in(read, f"{_SELECT} WHERE l.id IN", lines, _ORDER)
        # All are taken out first, so that two lines may exchange their names.
        return Delta(sorted(lines), _accounts(read, rows))

    def rows_of(self, part: Accounts) -> Iterator[list[Any]]:
        for account in part.by_id.values():
            devices = [[d.id, d.ha1_md5.decode(), d.ha1_sha256.decode()] for d in account.devices]
            yield [
                account.id,
                account.username,
                account.domain,
                account.state,
                account.class_of_service,
                account.end_calls,
                devices,
            ]

    def part_of(self, rows: Iterable[list[Any]]) -> Accounts:
        return Accounts(map(_account_of_kept, rows))


def _lines_of(read: Reader, changes: Sequence[Change]) -> set[int]:
    """The ids of all lines that these changes are about."""
    lines: set[int] = set()
    devices: set[int] = set()
    for change in changes:
        if change.table == "lines_line":
            lines.update(int(state["id"]) for state in change.states)
        elif change.table == "lines_device":
            lines.update(int(state["line_id"]) for state in change.states)
        else:
            devices.update(int(state["id"]) for state in change.states)
    # Of a device that is gone, a row of its own names the line.
    lines.update(row[0] for row in where_in(read, _OWNERS, devices, "id"))
    return lines


def _kept_as_they_were(accounts: Iterable[Account], old: Accounts) -> Iterator[Account]:
    for account in accounts:
        before = old.by_id.get(account.id)
        yield account if before is None or before != account else before


def _accounts(read: Reader, rows: Iterable[Row]) -> Iterator[Account]:
    """The accounts of these rows, which come line by line."""
    domain = ""
    for _, of_line in groupby(rows, key=lambda row: row[0]):
        first, *more = of_line
        domain = domain or _default_domain(read)
        devices = tuple(_device(row[5:]) for row in (first, *more) if row[6] is not None)
        yield _account(first[:5], domain, devices)


def _default_domain(read: Reader) -> str:
    """The domain of canonical addresses."""
    rows = read.query(_DEFAULT_DOMAIN)
    if not rows:
        raise BadDirectory("there is no default SIP domain")
    return str(rows[0][0])


def _account(row: Row, domain: str, devices: tuple[Device, ...]) -> Account:
    line_id, username, class_of_service, state, end_calls = row
    if not username:
        raise BadDirectory(f"line {line_id}: it has no user name")
    try:
        account_state = AccountState(state)
    except ValueError as error:
        raise BadDirectory(f"line {line_id}: unknown state {state!r}") from error
    return Account(
        line_id, username, domain, account_state, intern(class_of_service), devices, bool(end_calls)
    )


def _device(row: Row) -> Device:
    device_id, ha1_md5, ha1_sha256 = row
    # Said without the value: it equals a password.
    if not _is_hex(ha1_md5, 32) or not _is_hex(ha1_sha256, 64):
        raise BadDirectory(f"device {device_id}: its HA1 is none")
    return Device(device_id, ha1_md5.encode("ascii"), ha1_sha256.encode("ascii"))


def _is_hex(text: str, length: int) -> bool:
    return len(text) == length and _HEX.issuperset(text)


def _account_of_kept(row: list[Any]) -> Account:
    line_id, username, domain, state, class_of_service, end_calls, devices = row
    return Account(
        line_id,
        username,
        intern(domain),
        AccountState(state),
        intern(class_of_service),
        tuple(Device(i, md5.encode("ascii"), sha.encode("ascii")) for i, md5, sha in devices),
        end_calls,
    )


LOADER = AccountsLoader()
