"""Find a fellow student: only those who want to be found, only for those who are logged in."""

from __future__ import annotations

from urllib.parse import urlencode

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
PAGE_DIGITS = 4
"""A page has a number of at most as many digits."""


@with_line
def find(request: HttpRequest, line: Line) -> HttpResponse:
    """The search page and its results."""
    form = FindForm(request.GET or None)
    context: dict[str, object] = {"form": form, "listed": person(request).listed}
    if form.is_valid():
        if not consume(request, app="allauth.account", action="find_person", limit_get=True):
            too_many: HttpResponse = respond_429(request)
            return too_many
        asked, page = form.cleaned_data["q"], _page(request)
        found = or_none(lambda: search(asked, page))
        context["asked"] = True
        if found is not None:
            more = urlencode({"q": asked, "page": page + 1}) if len(found) > SHOWN else ""
            context |= {"people": found[:SHOWN], "more": more, "is_first": page == 0}
    return render(request, "portal/people.html", context)


def _page(request: HttpRequest) -> int:
    """Which page of the results, from 0; the first where that is no number."""
    asked = request.GET.get("page", "")
    return int(asked) if asked.isascii() and asked.isdigit() and len(asked) <= PAGE_DIGITS else 0


def search(words: str, page: int = 0) -> list[dict[str, str]]:
    """Listed people whom all of the words fit; one row more than shown.

    A word is part of a name, or begins a user name or a number.
    """
    held = Address.objects.filter(kind=Kind.NUMBER, state=AddressState.HELD)
    match = Q()
    for word in folded(words).split()[:5]:
        match &= (
            Q(owner__name_folded__contains=word)
            | Q(username__istartswith=word)
            | Q(pk__in=held.filter(value__startswith=word).values("line"))
        )
    rows = (
        Line.objects.filter(match, owner__listed=True, owner__is_active=True, state=State.ACTIVE)
        .select_related("owner")
        .prefetch_related(Prefetch("addresses", queryset=held, to_attr="held_numbers"))
        .order_by("owner__name", "pk")[page * SHOWN : (page + 1) * SHOWN + 1]
    )
    return [
        {
            "name": line.owner.name if isinstance(line.owner, User) else "",
            "username": line.username,
            "number": next((a.value for a in line.held_numbers), ""),
        }
        for line in rows
    ]
