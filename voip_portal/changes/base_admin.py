"""The base of every page of the admin: a list answers to its own filters and to nothing else.

Django lets whoever may see a list filter it by any column of its rows (`?password__startswith=…`),
shown or not: one question each halves what the column may hold, be it a password.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import get_fields_from_path
from django.core.checks import CheckMessage, Error
from django.core.exceptions import FieldDoesNotExist
from django.http import HttpRequest
from unfold.admin import ModelAdmin


class BaseAdmin(ModelAdmin):  # type: ignore[misc]
    """What all admins derive from, those of other packages' models, too.

    Searching goes by `search_fields` and ordering by the columns shown, as Django has it.
    """

    list_max_show_all = 0  # whoever wants all rows searches, or pages

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Only what a link of this list's filters may say; Django answers 400 to all else."""
        return request is not None and lookup in self._filter_parameters(request)

    def to_field_allowed(self, request: HttpRequest, to_field: str) -> bool:
        """A row is named by its key: by another column one could ask what is in it."""
        try:
            return bool(self.opts.get_field(to_field).primary_key)
        except (FieldDoesNotExist, AttributeError):  # a relation backwards is no key either
            return False

    def _filter_parameters(self, request: HttpRequest) -> frozenset[str]:
        """Kept with the request: Django asks for each parameter, and filters may ask the database."""
        known: dict[BaseAdmin, frozenset[str]] = request.__dict__.setdefault("_filtered_by", {})
        if self not in known:
            names = [
                name for item in self.get_list_filter(request) for name in self._of(item, request)
            ]
            if self.date_hierarchy:
                names += [f"{self.date_hierarchy}__{part}" for part in ("year", "month", "day")]
            known[self] = frozenset(names)
        return known[self]

    def _of(self, item: Any, request: HttpRequest) -> list[str]:
        """The parameters of one item of `list_filter`, as the filter itself names them."""
        if callable(item):
            return list(item(request, {}, self.model, self).expected_parameters())
        path, made = (
            item if isinstance(item, (tuple, list)) else (item, admin.FieldListFilter.create)
        )
        field = get_fields_from_path(self.model, path)[-1]
        spec = made(field, request, {}, self.model, self, field_path=path)
        return [name for name in spec.expected_parameters() if name]


def strangers(site: admin.AdminSite) -> list[Any]:
    """Admins which do not derive from `BaseAdmin`, or which allow look-ups by rules of their own."""
    return [
        found
        for found in site._registry.values()
        if not isinstance(found, BaseAdmin)
        or type(found).lookup_allowed is not BaseAdmin.lookup_allowed
        or type(found).to_field_allowed is not BaseAdmin.to_field_allowed
    ]


def check_admins(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """System check: also an admin that a package brings along is one of ours."""
    return [
        Error(
            f"The admin of {stranger.opts.label} lets staff filter by columns that it does not show.",
            hint="Derive it from changes.base_admin.BaseAdmin, or unregister it.",
            id="changes.E001",
        )
        for stranger in strangers(admin.site)
    ]
