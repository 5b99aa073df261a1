"""How often a person may change devices: each change is kept, and wakes every node."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from allauth.core.internal.ratelimit import consume, respond_429
from django.http import HttpRequest, HttpResponse

View = Callable[..., HttpResponse]


def may_change_devices(request: HttpRequest) -> bool:
    """Count one change by who is logged in; False when there were too many."""
    return bool(consume(request, app="allauth.account", action="change_devices"))


def changes_devices(view: View) -> View:
    """Count what is posted to this view."""

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.method == "POST" and not may_change_devices(request):
            too_many: HttpResponse = respond_429(request)
            return too_many
        return view(request, *args, **kwargs)

    return wrapper
