"""People for staff. It is here, at the top, because suspending somebody reaches the lines too."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from allauth.account.models import EmailAddress
from django import forms
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from voip_portal.accounts.admin import FindsNames
from voip_portal.accounts.models import User
from voip_portal.accounts.roles import called
from voip_portal.accounts.second_look import second_look
from voip_portal.accounts.services import save_only
from voip_portal.accounts.text import NameField
from voip_portal.calls.admin import CallAdmin
from voip_portal.calls.models import Call
from voip_portal.changes.audited import Audited
from voip_portal.changes.base_admin import BaseAdmin
from voip_portal.changes.editing import edited_columns
from voip_portal.changes.models import Change
from voip_portal.lines import services as lines
from voip_portal.lines.admin import tell
from voip_portal.lines.models import Line
from voip_portal.portal.history import Facts, facts_for_staff, told

admin.site.unregister(Call)
admin.site.unregister(EmailAddress)  # a verified address is an identity, not something to edit

PERSON = ("email", "name")
RIGHTS = ("is_staff", "is_superuser", "groups")
FACTS = ("is_active", "listed", "date_joined", "last_login", "closed_at")


@admin.register(Call)
class ToldCallAdmin(CallAdmin):
    """Calls, with what both sides read of them."""

    list_display = (
        "started_at",
        "caller",
        "dialled",
        "callee",
        "caller_reads",
        "callee_reads",
        "duration",
        "node",
    )

    def get_fields(self, request: HttpRequest, obj: Call | None = None) -> Any:
        fields = super().get_fields(request, obj)
        at = fields.index(("cause_text", "duration"))
        return (*fields[:at], ("caller_reads", "callee_reads"), *fields[at:])

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        shown = super().get_changelist_instance(request)
        facts = facts_for_staff(shown.result_list)
        for call in shown.result_list:
            call.facts = facts
        return shown

    @admin.display(description=_("the caller reads"))
    def caller_reads(self, call: Call) -> str:
        return str(told(call, _facts_of(call), outgoing=True)[0])

    @admin.display(description=_("the called person reads"))
    def callee_reads(self, call: Call) -> str:
        return str(told(call, _facts_of(call), outgoing=False)[0])


def _facts_of(call: Call) -> Facts:
    """Those of its list, or of the page of one call."""
    facts: Facts | None = getattr(call, "facts", None)
    return facts_for_staff([call]) if facts is None else facts


class UserForm(forms.ModelForm):  # type: ignore[type-arg]
    """A person; what is on the page is chosen by `UserAdmin`."""

    class Meta:
        field_classes = {"name": NameField}


class RoleFilter(admin.SimpleListFilter):
    """People of one role."""

    title = _("role")
    parameter_name = "role"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        groups = Group.objects.order_by("pk").values_list("pk", "name")
        return [(str(pk), called(name)) for pk, name in groups]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        chosen = {value for value, _name in self.lookup_choices} & {self.value()}
        return queryset.filter(groups__in=chosen) if chosen else queryset


@admin.register(User)
class UserAdmin(Audited, FindsNames, BaseAdmin):
    """People. Passwords are neither shown nor set here: their owners reset them by mail."""

    form = UserForm
    list_display = ("email", "name", "is_active", "is_staff", "date_joined")
    list_filter = ("is_active", "is_staff", RoleFilter)
    search_fields = ("email", "name_folded")
    show_full_result_count = False
    list_per_page = 50
    ordering = ("-pk",)
    fieldsets = (
        (None, {"fields": PERSON}),
        (_("Staff"), {"fields": RIGHTS}),
        (_("Facts"), {"fields": FACTS}),
    )
    actions = ("suspend", "suspend_and_end_calls", "resume")

    def rows_of(self, obj: User) -> list[tuple[str, str]]:
        """The person, their roles and rights, those that were taken away, too; and their lines."""
        own = super().rows_of(obj)
        given = Change.objects.filter(
            Q(before__user_id=obj.pk) | Q(after__user_id=obj.pk),
            table_name__in=("accounts_user_groups", "accounts_user_user_permissions"),
        )
        rights = given.values_list("table_name", "row_key").distinct()
        mine = Line.objects.filter(owner=obj).values_list("pk", flat=True)
        return [*own, *rights, *((Line._meta.db_table, str(pk)) for pk in mine)]

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        field = super().formfield_for_manytomany(db_field, request, **kwargs)
        if field is not None and db_field.name == "groups":
            field.label_from_instance = lambda group: called(group.name)
        return field

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        return self.fieldsets if obj is not None else self.fieldsets[:2]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        fixed: tuple[str, ...] = FACTS if obj is None else (*FACTS, "email")
        # Only an administrator makes staff: otherwise an operator could promote herself.
        return fixed if _is_administrator(request) else (*fixed, *RIGHTS)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        allowed: bool = super().has_change_permission(request, obj)
        if obj is not None and obj.closed_at is not None:
            return False
        return allowed and (obj is None or not obj.is_staff or _is_administrator(request))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if change:
            save_only(obj, *edited_columns(form))
        else:
            obj.set_unusable_password()
            obj.save()

    @admin.action(description=_("Suspend; ongoing calls go on"), permissions=["change"])
    @second_look(
        _(
            "They are logged out and cannot log in, all their phones are disconnected within a second, "
            "and nobody can call them. Ongoing calls go on. Staff whom you may not suspend are left out."
        )
    )
    def suspend(self, request: HttpRequest, people: QuerySet[User]) -> None:
        self._suspend(request, people, end_calls=False)

    @admin.action(description=_("Suspend and end ongoing calls"), permissions=["change"])
    @second_look(
        _(
            "They are logged out and cannot log in, all their phones are disconnected and their calls "
            "ended within a second. Staff whom you may not suspend are left out."
        )
    )
    def suspend_and_end_calls(self, request: HttpRequest, people: QuerySet[User]) -> None:
        self._suspend(request, people, end_calls=True)

    @admin.action(description=_("Resume"), permissions=["change"])
    @second_look(_("They may log in again, with the lines that were suspended with them."))
    def resume(self, request: HttpRequest, people: QuerySet[User]) -> None:
        resumed = []
        for user in self._within_reach(request, people.filter(is_active=False)):
            with suppress(lines.LineNotActive):  # closed meanwhile
                lines.resume_person(user)
                resumed.append(user)
        tell(request, ngettext("%d person resumed.", "%d people resumed.", len(resumed)), resumed)

    def _suspend(self, request: HttpRequest, people: QuerySet[User], *, end_calls: bool) -> None:
        chosen = self._within_reach(request, people)
        for user in chosen:
            lines.suspend_person(user, end_calls=end_calls)
        text = ngettext("%d person suspended.", "%d people suspended.", len(chosen))
        tell(request, text, chosen)

    def _within_reach(self, request: HttpRequest, people: QuerySet[User]) -> list[User]:
        """Nobody acts on herself, on closed accounts, or on staff without being administrator."""
        chosen = people.filter(closed_at=None).exclude(pk=request.user.pk or 0)
        return list(chosen if _is_administrator(request) else chosen.filter(is_staff=False))


def _is_administrator(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
