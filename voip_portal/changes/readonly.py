"""What the admin pages of rows that only the service itself writes have in common."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin

MAX_SHOWN: Final = 10_000


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than `MAX_SHOWN`: nobody pages through a million rows, one filters."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows[:MAX_SHOWN].count())


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows may be looked at, and nothing else."""

    paginator = CappedPaginator
    show_full_result_count = False
    list_per_page = 50
    list_display_links: Any = None
    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
