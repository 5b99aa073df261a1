"""What was changed, for operators and auditors."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voip_portal.changes.models import Change
from voip_portal.changes.read_only import ReadOnlyAdmin, known
from voip_portal.changes.services import OPERATIONS, named, table, tables, told


@admin.register(Change)
class ChangeAdmin(ReadOnlyAdmin):
    """Every changed row of a watched table, newest first."""

    list_display = ("at", "thing", "row_key", "operation", "what", "by", "source", "reason")
    list_filter = (
        known(_("table"), "table_name", tables()),
        known(_("operation"), "op", OPERATIONS),
    )
    search_fields = ("=row_key", "=actor")
    search_help_text = _("Row number, or who did it, exactly")
    ordering = ("-pk",)
    fields = ("at", "version", "thing", "row_key", "operation", "what", "by", "source", "reason")

    class Media:
        css = {"all": ["changes/changes.css"]}

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        found.result_list = named(found.result_list)
        return found

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Change | None:
        found = super().get_object(request, *args, **kwargs)
        return None if found is None else named([found])[0]

    @admin.display(description=_("table"), ordering="table_name")
    def thing(self, change: Change) -> str:
        return table(change.table_name)

    @admin.display(description=_("operation"))
    def operation(self, change: Change) -> str:
        return str(dict(OPERATIONS).get(change.op, change.op))

    @admin.display(description=_("by"))
    def by(self, change: Change) -> str:
        return change.actor or gettext("outside the portal")

    @admin.display(description=_("what"))
    def what(self, change: Change) -> SafeString:
        # One box around the lines: the narrow layout puts what is in a cell side by side.
        lines = format_html_join("", "<div>{}</div>", ((line,) for line in told(change)))
        return format_html('<div class="told">{}</div>', lines)
