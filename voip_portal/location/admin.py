"""Registrations, for staff."""

from __future__ import annotations

import time
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from voip_portal.changes.read_only import ReadOnlyAdmin, written
from voip_portal.lines.models import Device, Line
from voip_portal.location.models import Binding


@admin.register(Binding)
class BindingAdmin(ReadOnlyAdmin):
    """Where lines are registered now. Embedded, bindings are in a file of their own: no joins."""

    list_display = ("line", "device", "contact", "user_agent", "since", "until", "node")
    search_fields = ("contact",)
    search_help_text = _("A line's user name, exactly")
    ordering = ("-pk",)
    fields = (
        "line",
        "device",
        "contact",
        "user_agent",
        ("since", "until"),
        ("flow", "path"),
        ("instance", "reg_id"),
        "node",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Binding]:
        rows: QuerySet[Binding] = super().get_queryset(request)
        return rows.filter(expires_at__gt=time.time())

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Binding], search_term: str
    ) -> tuple[QuerySet[Binding], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        lines = list(Line.objects.filter(username=term).values_list("pk", flat=True))
        return queryset.filter(line_id__in=lines), False

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        shown = super().get_changelist_instance(request)
        shown.result_list = with_names(list(shown.result_list))
        return shown

    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Binding | None:
        found = super().get_object(request, *args, **kwargs)
        return None if found is None else with_names([found])[0]

    @admin.display(description=_("line"))
    def line(self, binding: Any) -> str:
        return str(binding.line_name)

    @admin.display(description=_("device"))
    def device(self, binding: Any) -> str:
        return str(binding.device_name)

    @admin.display(description=_("since"))
    def since(self, binding: Binding) -> str:
        return written(binding.registered_at)

    @admin.display(description=_("until"))
    def until(self, binding: Binding) -> str:
        return written(binding.expires_at)


def with_names(bindings: list[Any]) -> list[Any]:
    """Bindings with the names of their lines and devices."""
    lines = dict(
        Line.objects.filter(pk__in={b.line_id for b in bindings}).values_list("pk", "username")
    )
    devices = dict(
        Device.objects.filter(pk__in={b.device_id for b in bindings}).values_list("pk", "label")
    )
    for binding in bindings:
        binding.line_name = lines.get(binding.line_id, f"#{binding.line_id}")
        binding.device_name = devices.get(binding.device_id, "-")
    return bindings
