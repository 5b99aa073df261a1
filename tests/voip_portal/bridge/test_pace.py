"""Reading and keeping 30,000 accounts leaves the interpreter to others again and again."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sipcore.directory import Account, Accounts, Addresses, Directory
from voip_portal.bridge import kept as kept_module
from voip_portal.bridge.directory_loader import changed_accounts
from voip_portal.bridge.kept import Kept
from voip_portal.bridge.pace import LOOK_EVERY, Pace, much_that_stays
from voip_portal.directory.parts import accounts, addresses

MANY = 30_000
SHARE = 50
"""No stretch of work takes more than this part of all of it: 10 ms of half a second."""


class Stretches:
    """A pace that remembers how long its thread worked between pauses."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self._since = time.thread_time()
        self.pace = Pace(self._pause)

    def _pause(self, seconds: float) -> None:
        now = time.thread_time()
        self.found.append(now - self._since)
        self._since = now

    def check(self) -> None:
        self._pause(0)
        assert max(self.found) < sum(self.found) / SHARE


class Tables:
    """The database: a line, a device and two addresses of each of 30,000 people."""

    def __init__(self, stretches: Stretches | None = None, state: str = "active") -> None:
        self._pace = stretches.pace if stretches else Pace(lambda seconds: None)
        self._state = state

    def query(self, statement: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return [("campus.example",)]

    def rows(self, statement: str, args: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        people = range(1, MANY + 1)
        if "lines_line" in statement:
            md5, sha256 = "a" * 32, "b" * 64
            rows = ((i, f"u{i}", "student", self._state, 0, i, md5, sha256) for i in people)
        else:
            rows = (  # type: ignore[assignment]
                ("campus.example", text, i) for i in people for text in (f"u{i}", str(100_000 + i))
            )
        for count, row in enumerate(rows):
            yield row
            if count % LOOK_EVERY == 0:
                self._pace()


def loaded(tables: Tables, old: Directory | None = None) -> Directory:
    parts = [
        loader.load(tables, None if old is None else old.part(loader.kind))
        for loader in (accounts.LOADER, addresses.LOADER)
    ]
    return Directory(version=1, parts=parts)


@pytest.mark.parametrize("state", ["active", "suspended"], ids=["nothing new", "all changed"])
def test_everything_is_read_again_in_slices(state: str) -> None:
    old = loaded(Tables())
    stretches = Stretches()
    with much_that_stays():
        new = loaded(Tables(stretches, state), old)
    changed = changed_accounts(old, new, stretches.pace)
    stretches.check()
    assert (len(new), len(new.part(Addresses).holders)) == (MANY, 2 * MANY)
    assert len(changed) == (0 if state == "active" else MANY)


def test_what_is_as_it_was_stays_the_same_object() -> None:
    """So nothing is freed when the old directory goes, and the memory is taken once."""
    old = loaded(Tables())
    again, other = loaded(Tables(), old), loaded(Tables(state="suspended"), old)
    assert again.account(7) is old.account(7)
    assert other.account(7) == Account(**fields_of(old.account(7)) | {"state": "suspended"})
    assert set(again.part(Accounts).by_id) == set(old.part(Accounts).by_id)


def fields_of(account: Account | None) -> dict[str, Any]:
    assert account is not None
    names = ("id", "username", "domain", "class_of_service", "devices", "end_calls")
    return {name: getattr(account, name) for name in names}


def test_a_directory_is_kept_in_slices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    directory, stretches = loaded(Tables()), Stretches()
    monkeypatch.setattr(kept_module, "Pace", lambda: stretches.pace)
    kept = Kept(tmp_path, "node1")
    kept.save_directory(directory, ["ab" * 32], 7)
    stretches.check()
    assert len(kept.load_directory().directory) == MANY
