"""Immutable values. A change makes a new `Directory` that shares all untouched accounts.

Thirty thousand accounts are held in memory, so the classes have slots, and HA1s are kept once, as the
ASCII hex digits that digest verification hashes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class AccountState(StrEnum):
    """What an account may do; the strings are those of the database."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSING = "closing"


@dataclass(slots=True, frozen=True)
class Device:
    """One phone of an account. Its HA1s are equal to a password: never print or log them."""

    id: int
    ha1_md5: bytes = field(repr=False)
    """32 hex digits of MD5(username:realm:secret), RFC 7616 §3.4.2."""
    ha1_sha256: bytes = field(repr=False)
    """64 hex digits of SHA-256(username:realm:secret)."""


@dataclass(slots=True, frozen=True)
class Account:
    """A SIP account (a line of the portal). `id` names it in bindings, records and journals."""

    id: int
    username: str
    domain: str
    """The domain of its canonical address-of-record."""
    state: AccountState = AccountState.ACTIVE
    class_of_service: str = "student"
    devices: tuple[Device, ...] = ()
    end_calls: bool = False
    """Whether ongoing calls end too when the account is suspended."""

    @property
    def aor(self) -> str:
        """Canonical address-of-record, without scheme."""
        return f"{self.username}@{self.domain}"


@dataclass(slots=True, frozen=True)
class Domain:
    """A SIP domain this service answers for."""

    name: str
    algorithms: tuple[str, ...] = ("SHA-256", "MD5")
    """Digest algorithms offered, in this order (RFC 8760 §2.4)."""


@dataclass(slots=True, frozen=True)
class DomainAddress:
    """A name or number within a domain, and the account that holds it."""

    domain: str
    value: str
    account_id: int


class Directory:
    """All that routing and authentication know, at one version.

    Built once by a full load, then by `changed`, which copies the index dictionaries (about a
    millisecond for 30,000 accounts) and shares everything else.
    """

    __slots__ = (
        "_accounts",
        "_addresses",
        "_names",
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
    ) -> None:
        self.version = version
        self.realm = realm
        self.domains: Mapping[str, Domain] = {d.name: d for d in domains}
        self.default_domain = default_domain or next(iter(self.domains), "")
        self._accounts: dict[int, Account] = {a.id: a for a in accounts}
        self._names: dict[str, int] = {a.username: a.id for a in self._accounts.values()}
        self._addresses: dict[str, int] = {
            address_key(a.value, a.domain): a.account_id for a in addresses
        }

    def __len__(self) -> int:
        return len(self._accounts)

    def __repr__(self) -> str:
        return f"<Directory version={self.version} accounts={len(self._accounts)}>"

    def account(self, account_id: int) -> Account | None:
        return self._accounts.get(account_id)

    def accounts(self) -> Iterable[Account]:
        return self._accounts.values()

    def addresses(self) -> Iterable[DomainAddress]:
        """All names and numbers, in lower case."""
        for key, account_id in list(self._addresses.items()):
            value, _, domain = key.rpartition("@")
            yield DomainAddress(domain, value, account_id)

    def account_by_name(self, username: str) -> Account | None:
        """The account whose SIP username this is: what digest credentials carry."""
        account_id = self._names.get(username)
        return None if account_id is None else self._accounts[account_id]

    def active_account(self, username: str) -> Account | None:
        """The account of these credentials. A suspended one looks the same as an unknown one."""
        account = self.account_by_name(username)
        return account if account is not None and account.state is AccountState.ACTIVE else None

    def resolve(self, user: str, domain: str) -> Account | None:
        """The account that holds this name or number in this domain, or None."""
        account_id = self._addresses.get(address_key(user, domain))
        return None if account_id is None else self._accounts.get(account_id)

    def domain(self, name: str) -> Domain | None:
        return self.domains.get(name)

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
        new = Directory.__new__(Directory)
        new.version = version
        new.realm = self.realm
        new.domains = self.domains if domains is None else {d.name: d for d in domains}
        new.default_domain = self.default_domain if default_domain is None else default_domain
        new._accounts = dict(self._accounts)
        new._names = dict(self._names)
        new._addresses = dict(self._addresses)
        for account_id in removed_accounts:
            gone = new._accounts.pop(account_id, None)
            if gone is not None and new._names.get(gone.username) == account_id:
                del new._names[gone.username]
        for account in accounts:
            before = new._accounts.get(account.id)
            if before is not None and new._names.get(before.username) == account.id:
                del new._names[before.username]  # else it is another account's by now
            new._accounts[account.id] = account
            new._names[account.username] = account.id
        for value, domain in removed_addresses:
            new._addresses.pop(address_key(value, domain), None)
        for address in addresses:
            new._addresses[address_key(address.value, address.domain)] = address.account_id
        return new


def address_key(value: str, domain: str) -> str:
    """Index key of a name or number: names compare without case here, as e-mail users expect."""
    return f"{value.lower()}@{domain}"
