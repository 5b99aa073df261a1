"""What the admin completes while somebody types: by a field of its own, never by a relation backwards."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.db.models import Field
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class Completion(AutocompleteJsonView):
    """Django's, which takes whatever has a `remote_field` for a field and fails at it later (500)."""

    def process_request(self, request: HttpRequest) -> Any:
        """As Django's: PermissionDenied also where no form has such a field."""
        asked = request.GET
        try:
            model = apps.get_model(asked["app_label"], asked["model_name"])
            field = model._meta.get_field(asked["field_name"])
        except (LookupError, FieldDoesNotExist) as error:
            raise PermissionDenied from error
        if not isinstance(field, Field):
            raise PermissionDenied
        return super().process_request(request)


def complete(request: HttpRequest) -> HttpResponseBase:
    """The admin's `autocomplete_view`."""
    return Completion.as_view(admin_site=admin.site)(request)


__all__ = ["Completion", "complete"]
