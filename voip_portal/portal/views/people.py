"""Find a fellow student: only those who want to be found, only for those who are logged in."""

from __future__ import annotations

from allauth.core.internal.ratelimit import consume, respond_429
from django.db.models import Prefetch, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from voip_portal.accounts.models import User
from voip_portal.accounts.text import folded
from voip_portal.lines.models import Line, State
from voip_portal.numbers.models import Address, AddressState, Kind
from voip_portal.portal.access import person, with_line
from voip_portal.portal.forms import FindForm
from voip_portal.portal.guard import or_none

SHOWN = 20


@with_line
def find(request: HttpRequest, line: Line) -> HttpResponse:
    """The search page and its results."""
    form = FindForm(request.GET or None)
    context: dict[str, object] = {"form": form, "listed": person(request).listed}
    if form.is_valid():
        if not consume(request, app="allauth.account", action="find_person", limit_get=True):
            too_many: HttpResponse = respond_429(request)
            return too_many
        found = or_none(lambda: search(form.cleaned_data["q"]))
        context["asked"] = True
        if found is not None:
            context |= {"people": found[:SHOWN], "more": len(found) > SHOWN}
    return render(request, "portal/people.html", context)


def search(words: str) -> list[dict[str, str]]:
    """Listed people all of whose given words begin or are within a name; one row more than shown."""
    match = Q()
    for word in folded(words).split()[:5]:
        match &= Q(owner__name_folded__contains=word) | Q(username__istartswith=word)
    held = Address.objects.filter(kind=Kind.NUMBER, state=AddressState.HELD)
    rows = (
        Line.objects.filter(match, owner__listed=True, owner__is_active=True, state=State.ACTIVE)
        .select_related("owner")
        .prefetch_related(Prefetch("addresses", queryset=held, to_attr="held_numbers"))
        .order_by("owner__name", "pk")[: SHOWN + 1]
    )
    return [
        {
            "name": line.owner.name if isinstance(line.owner, User) else "",
            "username": line.username,
            "number": next((a.value for a in line.held_numbers), ""),
        }
        for line in rows
    ]
