"""Who may see what: everything on these pages belongs to the person who is logged in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.cache import never_cache

from voip_portal.accounts.models import User
from voip_portal.lines.models import Device, Line, State

View = Callable[..., HttpResponse]


def person(request: HttpRequest) -> User:
    """Who is logged in."""
    return cast(User, request.user)


def lines_of(user: User) -> list[Line]:
    """The person's lines, the first one first."""
    return list(Line.objects.filter(owner=user).exclude(state=State.CLOSING).order_by("pk"))


def main_line(user: User) -> Line | None:
    """The person's own line, once its name was chosen."""
    return next(iter(lines_of(user)), None)


def own_device(user: User, pk: int) -> Device:
    """A device of the person's, revoked or not. Somebody else's looks like one that never was."""
    devices = Device.objects.select_related("line").exclude(line__state=State.CLOSING)
    try:
        return devices.get(pk=pk, line__owner=user)
    except Device.DoesNotExist:
        raise Http404 from None


def with_line(view: View) -> View:
    """Give the view the person's line; send those who have none to choose a name.

    Staff need no line to do their work: without one they go to the admin. The settings offer one.
    """

    @never_cache
    @login_required
    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        line = main_line(person(request))
        if line is None:
            return redirect("admin:index" if person(request).is_staff else "welcome")
        return view(request, line, *args, **kwargs)

    return wrapper
