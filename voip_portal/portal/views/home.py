"""The first page: my number, whether I can be reached, my last calls."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from voip_portal.lines.models import Line
from voip_portal.numbers import services as numbers
from voip_portal.portal.access import lines_of, person, with_line
from voip_portal.portal.guard import or_none
from voip_portal.portal.history import history
from voip_portal.portal.registrations import as_told, registrations
from voip_portal.portal.server import server
from voip_portal.portal.views.about import front

LAST_CALLS = 5


def first(request: HttpRequest) -> HttpResponse:
    """Strangers read what this is; who is logged in sees their overview."""
    return home(request) if request.user.is_authenticated else front(request)


@with_line
def home(request: HttpRequest, line: Line) -> HttpResponse:
    """Overview."""
    mine = [own.pk for own in lines_of(person(request))]
    found = or_none(lambda: as_told(registrations([line.pk])))
    context = {
        "line": line,
        "number": numbers.number_of(line),
        "server": server(numbers.default_domain().name),
        "registrations": found,
        "all_silent": bool(found) and all(r.is_silent for r in found or []),
        "devices": line.devices.active().order_by("-created_at"),
        "calls": or_none(lambda: history(mine, size=LAST_CALLS).entries),
    }
    return render(request, "portal/home.html", context)


@require_POST
@with_line
def get_number(request: HttpRequest, line: Line) -> HttpResponse:
    """Ask for a number again, after the pool was empty."""
    try:
        address = numbers.allot_number(line, numbers.default_domain())
    except numbers.PoolEmpty:
        messages.error(
            request, _("There is still no free number. The administrators see this too.")
        )
    else:
        messages.success(request, _("Your number is %(number)s.") % {"number": address.value})
    return redirect("home")
