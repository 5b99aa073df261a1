"""Reading `changes` rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext_lazy as _

from voip_portal.changes.models import Change
from voip_portal.changes.registry import TIMES

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
    times = TIMES.get(change.table_name, frozenset())

    def said(row: dict[str, Any], name: str) -> str:
        return local(row.get(name)) if name in times else shown(row.get(name))

    if not before or not after:
        row = before or after
        return [f"{name}: {said(row, name)}" for name in row if row[name] not in (None, "")]
    differences = [
        f"{name}: {said(before, name)} → {said(after, name)}"
        for name in after
        if before.get(name) != after[name]
    ]
    return differences or [str(_("no longer kept: the account is closed"))]


def shown(value: Any) -> str:
    """A value of a row, short enough for a list."""
    return "-" if value in (None, "") else str(value)[:80]


def local(value: Any) -> str:
    """A moment of a row (UTC; SQLite writes no zone) in the reader's time zone."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return shown(value)
    return date_format(localtime(at if at.tzinfo else at.replace(tzinfo=UTC)), "DATETIME_FORMAT")
