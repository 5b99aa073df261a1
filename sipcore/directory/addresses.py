"""Names and numbers, and who holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sipcore.directory.part import Delta, Part


@dataclass(slots=True, frozen=True)
class DomainAddress:
    """A name or number within a domain, and the account that holds it."""

    domain: str
    value: str
    account_id: int


class Addresses(Part[tuple[str, str], DomainAddress]):
    """All names and numbers that somebody holds. A row is named by (value, domain)."""

    __slots__ = ("holders",)

    def __init__(self, addresses: Iterable[DomainAddress] = ()) -> None:
        self.holders: dict[str, int] = {}
        """Account ids by `address_key`."""
        for address in addresses:
            self.holders[address_key(address.value, address.domain)] = address.account_id

    def __iter__(self) -> Iterator[DomainAddress]:
        """All names and numbers, in lower case."""
        for key, account_id in self.holders.items():
            value, _, domain = key.rpartition("@")
            yield DomainAddress(domain, value, account_id)

    def changed(self, delta: Delta[tuple[str, str], DomainAddress]) -> Addresses:
        new = Addresses()
        holders = new.holders = dict(self.holders)
        for value, domain in delta.removed:
            holders.pop(address_key(value, domain), None)
        for address in delta.put:
            holders[address_key(address.value, address.domain)] = address.account_id
        return new


def address_key(value: str, domain: str) -> str:
    """Index key of a name or number: names compare without case here, as e-mail users expect."""
    return f"{value.lower()}@{domain}"


__all__ = ["Addresses", "DomainAddress", "address_key"]
