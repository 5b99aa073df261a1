"""The names and numbers that lines hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sipcore.directory import Addresses, Delta, DomainAddress
from voip_portal.directory.loader import Change, Loader, Reader, Row, where_in
from voip_portal.directory.watched import Watched

_SELECT = (
    "SELECT d.name, a.value, a.line_id FROM numbers_address a"
    " JOIN numbers_domain d ON d.id = a.domain_id WHERE a.line_id IS NOT NULL"
)
_DOMAINS = "SELECT id, name FROM numbers_domain"


class AddressesLoader(Loader[Addresses]):
    """Reads `Addresses`. A domain's change reads everything, so names of domains hold here."""

    name = "addresses"
    kind = Addresses
    tables = (
        Watched(
            "numbers_address",
            ("id", "domain_id", "kind", "value", "line_id", "state", "until"),
            times=frozenset({"until"}),
        ),
    )

    def load(self, read: Reader, old: Addresses | None) -> Addresses:
        return Addresses(_addresses(read.rows(_SELECT)))

    def delta(
        self, read: Reader, changes: Sequence[Change]
    ) -> Delta[tuple[str, str], DomainAddress] | None:
        if any(state.get("value") is None for change in changes for state in change.states):
            return None  # retention took the value out of the row: nothing says what it was
        ids = {int(change.key) for change in changes}
        # Only what somebody held can be in force: a reserved name takes nobody's away.
        left = [c.before for c in changes if c.before and c.before["line_id"] is not None]
        names: dict[int, str] = dict(read.query(_DOMAINS))
        gone = [(str(b["value"]), names[d]) for b in left if (d := int(b["domain_id"])) in names]
        return Delta(gone, _addresses(where_in(read, f"{_SELECT} AND a.id IN", ids, "a.id")))

    def rows_of(self, part: Addresses) -> Iterator[list[Any]]:
        return ([a.domain, a.value, a.account_id] for a in part)

    def part_of(self, rows: Iterable[list[Any]]) -> Addresses:
        return Addresses(DomainAddress(*row) for row in rows)


def _addresses(rows: Iterable[Row]) -> Iterator[DomainAddress]:
    return (DomainAddress(domain, value, line) for domain, value, line in rows)


LOADER = AddressesLoader()
