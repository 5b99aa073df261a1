"""Admin lists of what programs write and people read, quick at a million rows."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.formats import date_format, number_format
from django.utils.timezone import localtime
from django.utils.translation import gettext

from voip_portal.changes.base_admin import BaseAdmin

REACH: Final = 10_000
"""Rows a list can be paged through; further back one searches or filters."""


def written(at: float) -> str:
    """Seconds since the epoch as all times in the admin are written, in the reader's zone."""
    return date_format(localtime(datetime.fromtimestamp(at, UTC)), "DATETIME_FORMAT")


class MoreThan(int):
    """A count that stopped where people cannot page any further."""

    def __str__(self) -> str:
        return gettext("more than %s") % number_format(int(self), force_grouping=True)


class ReachPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than people page: counting a million rows takes longer than the page."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        found = int(rows.order_by()[: REACH + 1].count())
        return MoreThan(REACH) if found > REACH else found


class ReadOnlyAdmin(BaseAdmin):
    """Nobody adds, changes or deletes, whatever permissions somebody was given."""

    paginator = ReachPaginator
    show_full_result_count = False
    list_per_page = 50
    actions = None

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ChoiceFilter(admin.SimpleListFilter):
    """A filter of known values, so that the table is not searched for them."""

    field: str
    values: tuple[tuple[str, Any], ...]

    def lookups(self, request: HttpRequest, model_admin: Any) -> tuple[tuple[str, Any], ...]:
        return self.values

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        value = self.value()
        known_value = value in dict(self.lookup_choices)  # any text may stand in the address
        return queryset.filter(**{self.field: value}) if known_value else queryset


def known(title: Any, field: str, values: tuple[tuple[str, Any], ...]) -> type[ChoiceFilter]:
    """A filter on a field by these (value, text) pairs."""
    return type(
        "KnownValues",
        (ChoiceFilter,),
        {"title": title, "parameter_name": field, "field": field, "values": values},
    )
