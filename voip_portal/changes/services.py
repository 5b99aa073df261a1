"""Reading `changes` rows."""

from __future__ import annotations

from typing import Any

from voip_portal.changes.models import Change


def differences(change: Change) -> list[tuple[str, str, str]]:
    """(column, before, after) of the columns that are not the same."""
    before: dict[str, Any] = change.before or {}
    after: dict[str, Any] = change.after or {}
    names = dict.fromkeys([*before, *after])
    return [
        (name, shown(before.get(name)), shown(after.get(name)))
        for name in names
        if before.get(name) != after.get(name)
    ]


def shown(value: Any) -> str:
    """A value of a row, short enough for a list."""
    return "-" if value is None else str(value)[:80]
