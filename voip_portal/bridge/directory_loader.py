"""The directory out of the portal's tables, by plain SQL: all of it, or what changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sipcore.directory import Account, AccountState, Device, Directory, Domain, DomainAddress
from voip_portal.bridge.database import Database, Row

_LINES = "SELECT id, username, class_of_service, state, end_calls FROM lines_line"
_DEVICES = (
    "SELECT id, line_id, ha1_md5, ha1_sha256 FROM lines_device WHERE revoked_at IS NULL"
)
_ADDRESSES = (
    "SELECT d.name, a.value, a.line_id FROM numbers_address a"
    " JOIN numbers_domain d ON d.id = a.domain_id WHERE a.line_id IS NOT NULL"
)
_DOMAINS = "SELECT name, algorithms, is_default FROM numbers_domain ORDER BY is_default DESC, id"


class BadDirectory(Exception):
    """What the tables say cannot be put in force; the text says why."""


def load_directory(database: Database) -> Directory:
    """Everything, in one snapshot."""
    with database.transaction(snapshot=True):
        version = database.query("SELECT COALESCE(MAX(version), 0) FROM changes_change")[0][0]
        realm = database.query("SELECT realm FROM nodes_deployment WHERE id = 1")
        domains = database.query(_DOMAINS)
        lines = database.query(_LINES)
        devices = database.query(f"{_DEVICES} ORDER BY id")
        addresses = database.query(_ADDRESSES)
    if not realm:
        raise BadDirectory("no deployment row: run manage.py first_start")
    default = default_domain(domains)
    by_line = devices_by_line(devices)
    return Directory(
        version=int(version),
        realm=realm[0][0],
        domains=domains_of(domains),
        default_domain=default,
        accounts=[account_of(row, default, by_line.get(row[0], ())) for row in lines],
        addresses=[DomainAddress(domain, value, line) for domain, value, line in addresses],
    )


def default_domain(rows: Iterable[Row]) -> str:
    """The first domain, the default one where there is one."""
    for name, _, _ in rows:
        return str(name)
    raise BadDirectory("there is no SIP domain")


def domains_of(rows: Iterable[Row]) -> list[Domain]:
    """Domains with their digest algorithms in order of preference."""
    return [Domain(name, tuple(algorithms.split(","))) for name, algorithms, _ in rows]


def devices_by_line(rows: Iterable[Row]) -> dict[int, tuple[Device, ...]]:
    """Devices of each line."""
    found: defaultdict[int, list[Device]] = defaultdict(list)
    for device_id, line_id, ha1_md5, ha1_sha256 in rows:
        found[line_id].append(
            Device(device_id, ha1_md5.encode("ascii"), ha1_sha256.encode("ascii"))
        )
    return {line_id: tuple(devices) for line_id, devices in found.items()}


def account_of(row: Row, domain: str, devices: tuple[Device, ...]) -> Account:
    """One row of lines_line with its devices."""
    line_id, username, class_of_service, state, end_calls = row
    try:
        account_state = AccountState(state)
    except ValueError as error:
        raise BadDirectory(f"line {line_id}: unknown state {state!r}") from error
    return Account(
        line_id, username, domain, account_state, class_of_service, devices, bool(end_calls)
    )
