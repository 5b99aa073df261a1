"""Call history."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from voip_portal.lines.models import Line
from voip_portal.portal import history as calls
from voip_portal.portal.access import lines_of, person, with_line
from voip_portal.portal.guard import or_none


@with_line
def history(request: HttpRequest, line: Line) -> HttpResponse:
    """My calls, a page at a time."""
    mine = [own.pk for own in lines_of(person(request))]
    after = request.GET.get("after", "")
    context = {"page": or_none(lambda: calls.history(mine, after)), "is_first": not after}
    return render(request, "portal/calls.html", context)
