"""What was changed, for operators and auditors."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voip_portal.changes.models import Change
from voip_portal.changes.read_only import ReadOnlyAdmin, known
from voip_portal.changes.registry import REGISTRY
from voip_portal.changes.services import OPERATIONS, told

TABLES = tuple((watched.table, watched.table) for watched in REGISTRY)


@admin.register(Change)
class ChangeAdmin(ReadOnlyAdmin):
    """Every changed row of a watched table, newest first."""

    list_display = ("at", "version", "table_name", "row_key", "operation", "what", "by")
    list_filter = (known(_("table"), "table_name", TABLES), known(_("operation"), "op", OPERATIONS))
    search_fields = ("=row_key", "=actor")
    search_help_text = _("Row number, or who did it, exactly")
    ordering = ("-pk",)
    fields = ("at", "version", "table_name", "row_key", "operation", "by", "what")

    class Media:
        css = {"all": ["changes/changes.css"]}

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
