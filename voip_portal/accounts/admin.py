"""Staff roles in the admin; people are in `portal.admin`, because its actions reach lines too."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.models import Group
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from voip_portal.accounts.roles import called
from voip_portal.accounts.second_look import DeletesAfterLook
from voip_portal.accounts.text import folded
from voip_portal.changes.audited import Audited
from voip_portal.changes.base_admin import BaseAdmin
from voip_portal.changes.models import Change

admin.site.unregister(Group)


class FindsNames:
    """For a ModelAdmin whose `search_fields` are folded names, and what has small letters anyway."""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found: tuple[QuerySet[Any], bool] = super().get_search_results(  # type: ignore[misc]
            request, queryset, folded(search_term)
        )
        return found


@admin.register(Group)
class GroupAdmin(Audited, DeletesAfterLook, DjangoGroupAdmin, BaseAdmin):
    """Roles are made by `accounts.roles`; who has them is set at the person."""

    list_display = ("role",)
    # Django's filter of choices has a label where none may be (axe: aria-prohibited-attr).
    filter_horizontal = ()

    @admin.display(description=_("role"), ordering="name")
    def role(self, group: Group) -> str:
        return called(group.name)

    def rows_of(self, obj: Group) -> list[tuple[str, str]]:
        given = Change.objects.filter(
            Q(before__group_id=obj.pk) | Q(after__group_id=obj.pk),
            table_name="auth_group_permissions",
        )
        return [*super().rows_of(obj), *given.values_list("table_name", "row_key").distinct()]
