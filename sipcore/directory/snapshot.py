"""All parts of the directory at one version. A change shares all parts that it does not touch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from sipcore.directory.accounts import Account, Accounts, AccountState
from sipcore.directory.addresses import Addresses, DomainAddress
from sipcore.directory.domains import Domain, Domains
from sipcore.directory.part import Delta, Part

P = TypeVar("P", bound=Part[Any, Any])


class Directory:
    """All that routing and authentication know, at one version.

    What every message asks for is read from its part here; all else by `part`.
    """

    __slots__ = (
        "_accounts",
        "_addresses",
        "_parts",
        "default_domain",
        "domains",
        "realm",
        "version",
    )

    def __init__(
        self,
        *,
        version: int = 0,
        realm: str = "",
        domains: Iterable[Domain] = (),
        default_domain: str = "",
        accounts: Iterable[Account] = (),
        addresses: Iterable[DomainAddress] = (),
        parts: Iterable[Part[Any, Any]] = (),
    ) -> None:
        """`parts` come in the place of what the other arguments say."""
        self.version = version
        self._parts: dict[type, Part[Any, Any]] = {
            Domains: Domains(domains, default_domain or None, realm),
            Accounts: Accounts(accounts),
            Addresses: Addresses(addresses),
        }
        for part in parts:
            self._parts[type(part)] = part
        self._accounts = self.part(Accounts)
        self._addresses = self.part(Addresses)
        own = self.part(Domains)
        self.domains = own.by_name
        self.default_domain = own.default
        self.realm = own.realm

    def __len__(self) -> int:
        return len(self._accounts.by_id)

    def __repr__(self) -> str:
        return f"<Directory version={self.version} accounts={len(self)}>"

    def part(self, kind: type[P]) -> P:
        """The part of this class, empty where there is none."""
        found: Any = self._parts.get(kind)
        if found is None:
            found = self._parts[kind] = kind()
        part: P = found
        return part

    def account(self, account_id: int) -> Account | None:
        return self._accounts.by_id.get(account_id)

    def accounts(self) -> Iterable[Account]:
        return self._accounts.by_id.values()

    def addresses(self) -> Iterator[DomainAddress]:
        """All names and numbers, in lower case."""
        return iter(self._addresses)

    def account_by_name(self, username: str) -> Account | None:
        """The account whose SIP username this is: what digest credentials carry."""
        accounts = self._accounts
        account_id = accounts.ids.get(username)
        return None if account_id is None else accounts.by_id[account_id]

    def active_account(self, username: str) -> Account | None:
        """The account of these credentials. A suspended one looks the same as an unknown one."""
        account = self.account_by_name(username)
        return account if account is not None and account.state is AccountState.ACTIVE else None

    def resolve(self, user: str, domain: str) -> Account | None:
        """The account that holds this name or number in this domain, or None."""
        account_id = self._addresses.holders.get(f"{user.lower()}@{domain}")  # `address_key`
        return None if account_id is None else self._accounts.by_id.get(account_id)

    def domain(self, name: str) -> Domain | None:
        return self.domains.get(name)

    def with_parts(self, version: int, parts: Iterable[Part[Any, Any]]) -> Directory:
        """The directory of this version, with these parts in the place of those of their classes."""
        return Directory(version=version, parts=[*self._parts.values(), *parts])

    def changed(
        self,
        *,
        version: int,
        accounts: Iterable[Account] = (),
        removed_accounts: Iterable[int] = (),
        addresses: Iterable[DomainAddress] = (),
        removed_addresses: Iterable[tuple[str, str]] = (),
        domains: Iterable[Domain] | None = None,
        default_domain: str | None = None,
    ) -> Directory:
        """A new directory with these rows put in or taken out.

        `removed_addresses` are (value, domain) pairs, taken out before `addresses` go in.
        `domains`, when given, replaces them all.
        """
        own = self.part(Domains)
        return self.with_parts(
            version,
            [
                self._accounts.changed(Delta(removed_accounts, accounts)),
                self._addresses.changed(Delta(removed_addresses, addresses)),
                Domains(
                    own.by_name.values() if domains is None else domains,
                    own.default if default_domain is None else default_domain,
                    own.realm,
                ),
            ],
        )


__all__ = ["Directory"]
