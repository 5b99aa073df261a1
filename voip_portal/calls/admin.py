"""Calls and the records they were folded from."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from voip_portal.calls.models import Call, Record
from voip_portal.calls.services import CAUSES, in_words
from voip_portal.changes.read_only import ReadOnlyAdmin, known, written
from voip_portal.lines.models import Line
from voip_portal.numbers.models import Address

KINDS = (
    ("call.begin", _("a call began")),
    ("call.ring", _("it rang")),
    ("call.answer", _("it was answered")),
    ("call.moved", _("it was passed on")),
    ("call.end", _("it ended")),
    ("call.late", _("a phone came too late")),
    ("register.new", _("a phone registered")),
    ("register.gone", _("a registration ended")),
    ("device.silent", _("a phone does not answer")),
    ("device.heard", _("it answers again")),
    ("device.md5", _("an old phone was let in")),
    ("auth.refused", _("a log-in was refused")),
    ("node.counts", _("what a node counted")),
    ("unreadable", _("unreadable")),
)


class OngoingFilter(admin.SimpleListFilter):
    """Calls that have not ended."""

    title = _("ongoing")
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> tuple[tuple[str, Any], ...]:
        return (("1", _("ongoing")),)

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        return queryset.filter(open=True) if self.value() == "1" else queryset


@admin.register(Call)
class CallAdmin(ReadOnlyAdmin):
    """Calls, newest first, by whom they were made and answered then."""

    list_display = ("started_at", "caller", "dialled", "callee", "cause_text", "duration", "node")
    list_filter = (OngoingFilter, known(_("cause"), "cause", CAUSES))
    search_fields = ("context",)
    search_help_text = _("A line's user name or number, or a call's context, exactly")
    ordering = ("-started_at", "-pk")
    fields = (
        "context",
        "call_id",
        ("from_uri", "caller"),
        ("to_uri", "callee"),
        "dialled",
        ("started_at", "ringing_at"),
        ("answered_at", "ended_at"),
        ("cause_text", "duration"),
        ("status", "ended_by"),
        "reason",
        "node",
        "records",
    )

    def get_fields(self, request: HttpRequest, obj: Call | None = None) -> Any:
        """No link to what the reader may not see."""
        sees = request.user.has_perm("calls.view_record")  # type: ignore[union-attr]
        return self.fields if sees else tuple(name for name in self.fields if name != "records")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Call], search_term: str
    ) -> tuple[QuerySet[Call], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        lines = lines_called(term)
        mine = Q(caller_line__in=lines) | Q(callee_line__in=lines) if lines else Q()
        return queryset.filter(mine | Q(context=term)), False

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        shown = super().get_changelist_instance(request)
        calls = shown.result_list = list(shown.result_list)
        names = names_of({c.caller_line for c in calls} | {c.callee_line for c in calls})
        for call in calls:
            call.names = names
        return shown

    @admin.display(description=_("caller"))
    def caller(self, call: Call) -> str:
        return self._name(call, call.caller_line) or call.from_uri

    @admin.display(description=_("called line"))
    def callee(self, call: Call) -> str:
        return self._name(call, call.callee_line) or "-"

    @admin.display(description=_("outcome"), ordering="cause")
    def cause_text(self, call: Call) -> str:
        return gettext("ongoing") if call.open else in_words(call.cause)

    @admin.display(description=_("duration"))
    def duration(self, call: Call) -> str:
        if call.duration_s is None:
            return "-"
        minutes, seconds = divmod(round(call.duration_s), 60)
        return f"{minutes}:{seconds:02}"

    @admin.display(description=_("records"))
    def records(self, call: Call) -> SafeString:
        url = reverse("admin:calls_record_changelist")
        return format_html('<a href="{}?q={}">{}</a>', url, call.context, gettext("Show them"))

    def _name(self, call: Call, line_id: int | None) -> str:
        if line_id is None:
            return ""
        names: dict[int, str] | None = getattr(call, "names", None)
        if names is None:  # the page of one call
            names = names_of({line_id})
        return names.get(line_id, f"#{line_id}")


@admin.register(Record)
class RecordAdmin(ReadOnlyAdmin):
    """Records as the nodes wrote them."""

    list_display = ("when", "kind_text", "context", "spool_id", "n")
    list_filter = (known(_("kind"), "kind", KINDS),)
    search_fields = ("=context",)
    search_help_text = _("A call's context, exactly")
    ordering = ("-pk",)
    fields = ("when", "kind_text", "context", "spool_id", "n", "data")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Record], search_term: str
    ) -> tuple[QuerySet[Record], bool]:
        term = search_term.strip()
        return (queryset.filter(context=term) if term else queryset), False

    @admin.display(description=_("kind"), ordering="kind")
    def kind_text(self, record: Record) -> str:
        return str(dict(KINDS).get(record.kind, record.kind))

    @admin.display(description=_("at"))
    def when(self, record: Record) -> str:
        return written(record.at)


def lines_called(term: str) -> list[int]:
    """Ids of the lines with this user name, name or number."""
    found = Address.objects.filter(value=term, line__isnull=False).values_list("line_id", flat=True)
    return [*Line.objects.filter(username=term).values_list("pk", flat=True), *found]


def names_of(line_ids: set[int | None]) -> dict[int, str]:
    """User names by line id."""
    known_ids = [line_id for line_id in line_ids if line_id is not None]
    return dict(Line.objects.filter(pk__in=known_ids).values_list("pk", "username"))
