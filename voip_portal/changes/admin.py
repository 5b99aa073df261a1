"""What was changed, for operators and auditors."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voip_portal.changes.models import Change
from voip_portal.changes.read_only import ReadOnlyAdmin, known
from voip_portal.changes.registry import REGISTRY

OPERATIONS = (
    ("insert", _("added")),
    ("update", _("changed")),
    ("delete", _("deleted")),
    ("reload", _("read all again")),
)
TABLES = tuple((watched.table, watched.table) for watched in REGISTRY)


class TableFilter(admin.SimpleListFilter):
    """The tables are known: asking the rows for them would read all of them."""

    title = _("table")
    parameter_name = "table"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(table, table) for table in sorted(TABLES)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(table_name=self.value()) if self.value() else queryset


@admin.register(Change)
class ChangeAdmin(ReadOnlyAdmin):
    """Every changed row of a watched table, newest first."""

    list_display = ("at", "version", "table_name", "row_key", "operation", "what", "by")
    list_filter = (known(_("table"), "table_name", TABLES), known(_("operation"), "op", OPERATIONS))
    search_fields = ("=row_key", "=actor")
    search_help_text = _("Row number, or who did it, exactly")
    ordering = ("-pk",)
    fields = ("at", "version", "table_name", "row_key", "operation", "by", "what")

    @admin.display(description=_("operation"))
    def operation(self, change: Change) -> str:
        return str(dict(OPERATIONS).get(change.op, change.op))

    @admin.display(description=_("by"))
    def by(self, change: Change) -> str:
        return change.actor or gettext("outside the portal")

    @admin.display(description=_("what"))
    def what(self, change: Change) -> SafeString:
        return format_html_join("", "<div>{}: {} → {}</div>", differences(change))


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
    return "–" if value is None else str(value)[:80]
