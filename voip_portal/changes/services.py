"""Reading `changes` rows."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from voip_portal.changes.models import Change

OPERATIONS = (
    ("insert", _("added")),
    ("update", _("changed")),
    ("delete", _("deleted")),
    ("reload", _("read all again")),
)
"""Kinds of `changes` rows and what people call them."""


def told(change: Change) -> list[str]:
    """What an update changed, column by column; what an added or deleted row held."""
    before: dict[str, Any] = change.before or {}
    after: dict[str, Any] = change.after or {}
    if not before or not after:
        row = (before or after).items()
        return [f"{name}: {shown(value)}" for name, value in row if value not in (None, "")]
    return [
        f"{name}: {shown(before.get(name))} → {shown(value)}"
        for name, value in after.items()
        if before.get(name) != value
    ]


def shown(value: Any) -> str:
    """A value of a row, short enough for a list."""
    return "-" if value in (None, "") else str(value)[:80]
