"""Pages for everybody: what this is, help, what is kept of people, whom to ask."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from voip_portal.calls.retention import REFUSALS_KEEP_DAYS
from voip_portal.portal.phones import PHONES
from voip_portal.portal.server import server


def front(request: HttpRequest) -> HttpResponse:
    """The first page of strangers."""
    return render(request, "portal/front.html", {"phones": PHONES})


def help_page(request: HttpRequest) -> HttpResponse:
    """What to do when a phone does not ring."""
    return render(request, "portal/help.html", {"server": server(), "phones": PHONES})


def privacy(request: HttpRequest) -> HttpResponse:
    """What is kept, how long, and who sees it."""
    days = settings.VOIP_KEEP_DAYS
    context = {"days": days, "refusals_days": min(REFUSALS_KEEP_DAYS, days)}
    return render(request, "portal/privacy.html", context)


def contact_page(request: HttpRequest) -> HttpResponse:
    """Whom to ask."""
    return render(request, "portal/contact.html")
