"""The journal of registrations taken while the database is away: what a crash leaves of it."""

from __future__ import annotations

from pathlib import Path

from sipcore.bindings import BindingChange, MemoryBindingStore
from voip_portal.bridge.binding_journal import BindingJournal


def test_a_line_cut_short_by_a_crash_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "bindings.jsonl"
    journal = BindingJournal(path)
    journal.append([BindingChange(1, 0, 1, (), (), ())])
    with path.open("ab") as file:
        file.write(b'{"line":2,"ba')
    journal.append([BindingChange(3, 0, 1, (), (), ())])
    assert [change.line_id for change in journal.read()] == [1, 3]


def test_after_a_merge_nothing_is_left_even_of_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "bindings.jsonl"
    path.write_bytes(b'{"line":2,"ba')
    journal = BindingJournal(path)
    assert journal.merge_into(MemoryBindingStore()) == 0
    assert not path.exists()
