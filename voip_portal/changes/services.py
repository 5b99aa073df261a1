"""Reading `changes` rows: what happened, in words."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import BooleanField, Field, Model
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voip_portal.changes.models import Change
from voip_portal.changes.registry import REGISTRY, SECRET_CHANGED, TIMES

OPERATIONS = (
    ("insert", _("added")),
    ("update", _("changed")),
    ("delete", _("deleted")),
    ("reload", _("read all again")),
)
"""Kinds of `changes` rows and what people call them."""

_NAMED: Final = {
    "accounts_user_groups": _("role of a person"),
    "accounts_user_user_permissions": _("right of a person"),
    "auth_group_permissions": _("right of a role"),
    "lines_devicesecret": _("secret of a device"),
    "nodes_deployment": _("deployment"),
}
"""Tables whose models have no name that people read."""


_REFERRED: Final = (
    "accounts_user",
    "auth_group",
    "auth_permission",
    "lines_device",
    "lines_line",
    "numbers_domain",
)
"""Tables whose rows are named where another row refers to them."""
_WITH: Final = {"auth_permission": ("content_type",)}
"""What their names need besides."""
_COLUMNS: Final = {
    "group": _("role"),
    "permission": _("right"),
    "device": _("device"),
    "user": _("person"),
}
"""Columns whose fields have no name that people read."""


@cache
def _models() -> dict[str, type[Model]]:
    return {m._meta.db_table: m for m in apps.get_models(include_auto_created=True)}


def table(name: str) -> str:
    """What people call the rows of a watched table."""
    if name in _NAMED:
        return str(_NAMED[name])
    model = _models().get(name)
    return str(model._meta.verbose_name) if model is not None else name


def title(change: Change) -> str:
    """A change in a word: what of which row."""
    done = str(dict(OPERATIONS).get(change.op, change.op))
    return f"{table(change.table_name)} {change.row_key}: {done}"


def tables() -> tuple[tuple[str, Any], ...]:
    """All watched tables and what people call them, for a filter."""
    return tuple((watched.table, _LazyName(watched.table)) for watched in REGISTRY)


class _LazyName:
    """A name in the reader's language, looked up when it is shown."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __str__(self) -> str:
        return table(self._name)


def told(change: Change) -> list[str]:
    """What an update changed, column by column; what an added or deleted row held."""
    before: dict[str, Any] = change.before or {}
    after: dict[str, Any] = change.after or {}

    def said(row: dict[str, Any], name: str) -> str:
        return value(change.table_name, name, row.get(name), getattr(change, "names", {}))

    if not before or not after:
        row = before or after
        return [
            f"{column(change.table_name, name)}: {said(row, name)}"
            for name in row
            if row[name] not in (None, "")
        ]
    differences = [
        gettext("The secret was changed.")
        if name == SECRET_CHANGED
        else f"{column(change.table_name, name)}: {said(before, name)} → {said(after, name)}"
        for name in after
        if before.get(name) != after[name]
    ]
    return differences or [str(_("no longer kept: the account is closed"))]


def _field(table_name: str, name: str) -> Field[Any, Any] | None:
    model = _models().get(table_name)
    if model is None:
        return None
    by_column = {field.column: field for field in model._meta.concrete_fields}
    try:
        return by_column.get(name) or model._meta.get_field(name)  # type: ignore[return-value]
    except FieldDoesNotExist:
        return None


def column(table_name: str, name: str) -> str:
    """What people call a column."""
    field = _field(table_name, name)
    if field is None:
        return name
    return str(_COLUMNS.get(str(field.verbose_name), field.verbose_name))


Names = dict[tuple[str, str], str]
"""What rows are called, by (table, key)."""


def named(changes: Iterable[Change]) -> list[Change]:
    """Changes that know what the rows are called to which they refer: a query for each kind of row."""
    rows = list(changes)
    asked: dict[str, set[int]] = {name: set() for name in _REFERRED}
    for change in rows:
        for state in (change.before or {}, change.after or {}):
            for name, found in state.items():
                target = _target(change.table_name, name)
                if target in asked and found:
                    asked[target].add(int(found))
    names: Names = {}
    for name, keys in asked.items():
        model = _models()[name]
        if not keys:
            continue
        for row in model._default_manager.filter(pk__in=keys).select_related(*_WITH.get(name, ())):
            names[name, str(row.pk)] = str(row)
    for change in rows:
        change.names = names  # type: ignore[attr-defined]
    return rows


def _target(table_name: str, name: str) -> str:
    """The table that a column refers to; "" for none."""
    field = _field(table_name, name)
    if field is None or not field.is_relation or field.related_model is None:
        return ""
    return str(field.related_model._meta.db_table)  # type: ignore[union-attr]


def value(table_name: str, name: str, found: Any, names: Names | None = None) -> str:
    """A value of a row in words: choices, yes and no, times in the reader's zone, who is meant."""
    field = _field(table_name, name)
    if name in TIMES.get(table_name, frozenset()):
        return local(found)
    if field is None or found in (None, ""):
        return shown(found)
    if isinstance(field, BooleanField):
        return gettext("yes") if found else gettext("no")
    if field.choices:
        return str(dict(field.flatchoices).get(found, shown(found)))
    if target := _target(table_name, name):
        return shown((names or {}).get((target, str(found)), f"#{found}"))
    return shown(found)


def shown(found: Any) -> str:
    """A value of a row, short enough for a list."""
    return "-" if found in (None, "") else str(found)[:80]


def local(found: Any) -> str:
    """A moment of a row (UTC; SQLite writes no zone) in the reader's time zone."""
    try:
        at = datetime.fromisoformat(found)
    except (TypeError, ValueError):
        return shown(found)
    return date_format(localtime(at if at.tzinfo else at.replace(tzinfo=UTC)), "DATETIME_FORMAT")


def of_row(pairs: list[tuple[str, str]], most: int = 20) -> list[Change]:
    """The newest changes of some rows, each (table, key)."""
    found: list[Change] = []
    for name, key in pairs:
        found += Change.objects.filter(table_name=name, row_key=key).order_by("-pk")[:most]
    return named(sorted(found, key=lambda change: -change.pk)[:most])
