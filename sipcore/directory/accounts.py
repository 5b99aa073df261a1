"""Accounts and their devices.

Thirty thousand accounts are held in memory, so the classes have slots, and HA1s are kept once, as the
ASCII hex digits that digest verification hashes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from sipcore.directory.part import Delta, Part


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


class Accounts(Part[int, Account]):
    """All accounts, by id and by SIP username.

    `changed` copies the two dictionaries (about a millisecond for 30,000 accounts) and shares all
    accounts that it does not replace.
    """

    __slots__ = ("by_id", "ids")

    def __init__(self, accounts: Iterable[Account] = ()) -> None:
        self.by_id: dict[int, Account] = {}
        self.ids: dict[str, int] = {}
        """The id of the account with this username."""
        for account in accounts:
            self.by_id[account.id] = account
            self.ids[account.username] = account.id

    def changed(self, delta: Delta[int, Account]) -> Accounts:
        new = Accounts()
        by_id = new.by_id = dict(self.by_id)
        ids = new.ids = dict(self.ids)
        for account_id in delta.removed:
            gone = by_id.pop(account_id, None)
            if gone is not None and ids.get(gone.username) == account_id:
                del ids[gone.username]
        for account in delta.put:
            before = by_id.get(account.id)
            if before is not None and ids.get(before.username) == account.id:
                del ids[before.username]  # else it is another account's by now
            by_id[account.id] = account
            ids[account.username] = account.id
        return new


__all__ = ["Account", "AccountState", "Accounts", "Device"]
