"""Domains, ranges and addresses for staff."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from voip_portal.accounts.second_look import DeletesAfterLook
from voip_portal.changes.audited import Audited
from voip_portal.changes.base_admin import BaseAdmin
from voip_portal.changes.editing import EditedOnly
from voip_portal.numbers import services
from voip_portal.numbers.models import Address, AddressState, Domain, NumberRange


@admin.register(Domain)
class DomainAdmin(Audited, EditedOnly, BaseAdmin):
    """SIP domains. The realm of secrets is no domain, so renaming one breaks no phone."""

    list_display = ("name", "is_default", "algorithms")
    search_fields = ("name",)
    ordering = ("-pk",)
    actions = ("make_default",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """There is always one default: it changes hands by the action, in one step."""
        return ("is_default",) if obj is not None else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.is_default:
            return False
        return bool(super().has_delete_permission(request, obj))

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """One domain at a time is deleted, from its page: never the default among others."""
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def save_model(self, request: HttpRequest, obj: Domain, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change:
            services.reserve_names(obj, services.SERVICE_NAMES)

    @admin.action(description=_("Make this the default domain"), permissions=["change"])
    def make_default(self, request: HttpRequest, domains: QuerySet[Domain]) -> None:
        if domains.count() != 1:
            messages.error(request, _("Choose one domain."))
            return
        services.make_default(domains.get())


class NumberRangeForm(forms.ModelForm):  # type: ignore[type-arg]
    """Refuses a range that shares numbers with another."""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        if not self.errors and cleaned:
            candidate = NumberRange(pk=self.instance.pk, **cleaned)
            try:
                services.check_range(candidate)
            except services.OverlappingRange as error:
                raise ValidationError(
                    _("This range shares numbers with %(other)s."), params={"other": error}
                ) from error
        return cleaned


@admin.register(NumberRange)
class NumberRangeAdmin(Audited, DeletesAfterLook, BaseAdmin):
    """Ranges and what is left of the pools. A row is written whole: first and last make a range."""

    form = NumberRangeForm
    list_display = ("__str__", "domain", "is_pool", "left")
    list_filter = ("domain", "is_pool")
    list_select_related = ("domain",)

    @admin.display(description=_("left"))
    def left(self, number_range: NumberRange) -> str:
        if not number_range.is_pool:
            return "-"
        return f"{services.range_left(number_range)} / {number_range.size}"

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        for domain in Domain.objects.filter(numberrange__is_pool=True).distinct():
            if services.pool_left(domain) == 0:
                text = _("The pool of %(domain)s is empty: new students get no number.")
                messages.warning(request, text % {"domain": domain})
        response: HttpResponse = super().changelist_view(request, extra_context)
        return response


@admin.register(Address)
class AddressAdmin(Audited, DeletesAfterLook, BaseAdmin):
    """Who holds which name or number. Staff reserve addresses; students get theirs by themselves."""

    list_display = ("value", "domain", "kind", "state", "line", "until")
    list_filter = ("state", "kind", "domain")
    list_select_related = ("domain", "line")
    search_fields = ("value", "line__username")
    show_full_result_count = False
    list_per_page = 50
    ordering = ("-pk",)
    fields = ("domain", "kind", "value")

    def get_fields(self, request: HttpRequest, obj: Address | None = None) -> tuple[str, ...]:
        return self.fields if obj is None else (*self.fields, "state", "line", "until")

    def has_change_permission(self, request: HttpRequest, obj: Address | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Address | None = None) -> bool:
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed and (obj is None or obj.state == AddressState.RESERVED)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Refuse a bulk deletion that would take an address from its holder, or end a quarantine."""
        deleted, counts, needed, protected = super().get_deleted_objects(objs, request)
        kept = [str(a) for a in objs if a.state != AddressState.RESERVED]
        return deleted, counts, needed, [*protected, *kept]

    def save_model(self, request: HttpRequest, obj: Address, form: Any, change: bool) -> None:
        obj.state = AddressState.RESERVED
        super().save_model(request, obj, form, change)
