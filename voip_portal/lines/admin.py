"""Lines and devices for staff: suspend, resume, revoke. No secret is shown, made or chosen here."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.contrib import admin, messages
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.admin import TabularInline

from voip_portal.accounts.admin import FindsNames
from voip_portal.accounts.second_look import second_look
from voip_portal.changes.audited import Audited
from voip_portal.changes.base_admin import BaseAdmin
from voip_portal.changes.editing import EditedOnly
from voip_portal.lines import services
from voip_portal.lines.models import Device, Line, State


class NoAddNoDelete:
    """Rows that come and go by the service's own rules only."""

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class DeviceInline(NoAddNoDelete, TabularInline):
    """Devices on their line's page."""

    model = Device
    fields = readonly_fields = ("label", "created_at", "revoked_at")
    extra = 0
    show_change_link = True


@admin.register(Line)
class LineAdmin(Audited, EditedOnly, FindsNames, NoAddNoDelete, BaseAdmin):
    """Lines. The user name never changes; the state changes by the actions."""

    list_display = ("username", "owner", "label", "class_of_service", "state", "device_count")
    list_filter = ("state", "class_of_service")
    list_select_related = ("owner",)
    search_fields = ("username", "owner__email", "owner__name_folded")
    search_help_text = _("User name, or the owner's name or e-mail address")
    show_full_result_count = False
    list_per_page = 50
    ordering = ("-pk",)
    fields = ("username", "owner", "label", "class_of_service", "state", "end_calls", "created_at")
    readonly_fields = (
        "username",
        "owner",
        "class_of_service",
        "state",
        "end_calls",
        "created_at",
    )
    inlines = (DeviceInline,)
    actions = ("suspend", "suspend_and_end_calls", "resume", "stop_calls")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Line]:
        lines: QuerySet[Line] = super().get_queryset(request)
        # Of one page: PostgreSQL would count in a subquery for all the rows before it, too.
        active = Device.objects.active().only("line")
        return lines.prefetch_related(Prefetch("devices", active, to_attr="active_devices"))

    def get_readonly_fields(self, request: HttpRequest, obj: Line | None = None) -> tuple[str, ...]:
        closed = obj is not None and obj.state == State.CLOSING
        return self.fields if closed else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Line, form: Any, change: bool) -> None:
        services.label_line(obj, obj.label)  # and nothing of what the row was when it was read

    @admin.display(description=_("devices"))
    def device_count(self, line: Line) -> int:
        return len(line.active_devices)  # type: ignore[attr-defined]

    @admin.action(description=_("Suspend; ongoing calls go on"), permissions=["change"])
    @second_look(
        _(
            "Their phones are disconnected within a second and nobody can call them. Ongoing calls go on."
        )
    )
    def suspend(self, request: HttpRequest, lines: QuerySet[Line]) -> None:
        self._suspend(request, lines, end_calls=False)

    @admin.action(description=_("Suspend and end ongoing calls"), permissions=["change"])
    @second_look(
        _(
            "Their phones are disconnected and their calls ended within a second; nobody can call them."
        )
    )
    def suspend_and_end_calls(self, request: HttpRequest, lines: QuerySet[Line]) -> None:
        self._suspend(request, lines, end_calls=True)

    @admin.action(description=_("Resume"), permissions=["change"])
    @second_look(
        _("Those that are suspended are in service again, unless their owner is suspended.")
    )
    def resume(self, request: HttpRequest, lines: QuerySet[Line]) -> None:
        resumed = []
        for line in lines.filter(state=State.SUSPENDED):
            with suppress(services.LineNotActive):  # its owner is suspended, or it was just closed
                services.resume(line)
                resumed.append(line)
        tell(request, ngettext("%d line resumed.", "%d lines resumed.", len(resumed)), resumed)

    @admin.action(description=_("End ongoing calls"), permissions=["change"])
    @second_look(
        _("Their calls are ended within a second; they stay in service and may call again.")
    )
    def stop_calls(self, request: HttpRequest, lines: QuerySet[Line]) -> None:
        open_lines = list(lines.exclude(state=State.CLOSING))
        for line in open_lines:
            services.end_ongoing_calls(line.pk)
        text = ngettext("Calls of %d line ended.", "Calls of %d lines ended.", len(open_lines))
        tell(request, text, open_lines)

    def _suspend(self, request: HttpRequest, lines: QuerySet[Line], *, end_calls: bool) -> None:
        open_lines = []
        for line in lines.exclude(state=State.CLOSING):
            with suppress(services.LineNotActive):  # closed meanwhile
                services.suspend(line, end_calls=end_calls)
                open_lines.append(line)
        text = ngettext("%d line suspended.", "%d lines suspended.", len(open_lines))
        tell(request, text, open_lines)


def tell(request: HttpRequest, text: str, rows: list[Any]) -> None:
    """Say how many rows an action changed."""
    messages.success(request, text % len(rows))


@admin.register(Device)
class DeviceAdmin(Audited, EditedOnly, NoAddNoDelete, BaseAdmin):
    """Devices: staff may rename and revoke."""

    list_display = ("label", "line", "created_at", "revoked_at")
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("line",)
    search_fields = ("label", "line__username")
    show_full_result_count = False
    list_per_page = 50
    ordering = ("-pk",)
    fields = ("line", "label", "created_at", "revoked_at")
    readonly_fields = ("line", "created_at", "revoked_at")
    actions = ("revoke", "revoke_and_end_calls")

    def get_readonly_fields(
        self, request: HttpRequest, obj: Device | None = None
    ) -> tuple[str, ...]:
        closed = obj is not None and obj.line.state == State.CLOSING
        return self.fields if closed else self.readonly_fields

    def save_model(self, request: HttpRequest, obj: Device, form: Any, change: bool) -> None:
        services.rename_device(obj, obj.label)

    @admin.action(description=_("Revoke; ongoing calls go on"), permissions=["change"])
    @second_look(
        _("Their secrets stop working for good, and they are disconnected within a second.")
    )
    def revoke(self, request: HttpRequest, devices: QuerySet[Device]) -> None:
        self._revoke(request, devices, end_calls=False)

    @admin.action(
        description=_("Revoke and end all ongoing calls of its line"), permissions=["change"]
    )
    @second_look(
        _(
            "Their secrets stop working for good; they are disconnected, and all calls of their lines "
            "ended, within a second."
        )
    )
    def revoke_and_end_calls(self, request: HttpRequest, devices: QuerySet[Device]) -> None:
        self._revoke(request, devices, end_calls=True)

    def _revoke(self, request: HttpRequest, devices: QuerySet[Device], *, end_calls: bool) -> None:
        active = list(devices.filter(revoked_at=None))
        for device in active:
            services.revoke_device(device, end_calls=end_calls)
        tell(request, ngettext("%d device revoked.", "%d devices revoked.", len(active)), active)
