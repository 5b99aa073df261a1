"""One search box for the help desk: what a ticket names leads to the page of the person it is about."""

from __future__ import annotations

import time
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from voip_portal.accounts.models import User
from voip_portal.accounts.text import folded
from voip_portal.calls.models import Call
from voip_portal.calls.services import recent_refusals
from voip_portal.changes.audited import lines_of as told_changes
from voip_portal.changes.services import of_row
from voip_portal.lines.models import Device, Line, State
from voip_portal.numbers.models import Address, AddressState
from voip_portal.portal.guard import or_none
from voip_portal.portal.history import history
from voip_portal.portal.registrations import as_told, registrations

FOUND: Final = 20
"""Candidates on the page of a search that fits several."""
CALLS: Final = 10
REFUSED_WITHIN_S: Final = 3600


def _staff_only(request: HttpRequest) -> None:
    if not request.user.has_perm("lines.view_line"):  # type: ignore[union-attr]
        raise PermissionDenied


def find(request: HttpRequest) -> HttpResponse:
    """By number, user name, e-mail address, name, device or Call-ID; one result is gone to at once."""
    _staff_only(request)
    asked = request.GET.get("q", "").strip()[:200]
    found = search(asked) if asked else []
    if len(found) == 1:
        return redirect("ticket_line", found[0].pk)
    context = {
        **admin.site.each_context(request),
        "title": _("Find a person"),
        "asked": asked,
        "found": found[:FOUND],
        "more": len(found) > FOUND,
    }
    return TemplateResponse(request, "admin/ticket_find.html", context)


def search(asked: str) -> list[Line]:
    """Lines that the text may mean: those that it names exactly, else by parts of the owner's name."""
    term = asked.removeprefix("sips:").removeprefix("sip:").removeprefix("tel:")
    user, _at, _domain = term.lower().partition("@")
    ids = set(Line.objects.filter(username=user).values_list("pk", flat=True))
    held = Address.objects.filter(value=user, state=AddressState.HELD, line__isnull=False)
    ids.update(held.values_list("line_id", flat=True))
    ids.update(Line.objects.filter(owner__email=term.lower()).values_list("pk", flat=True))
    if not ids:
        calls = Call.objects.filter(Q(call_id=asked) | Q(context=asked))[:FOUND]
        ids.update(line for c in calls for line in (c.caller_line, c.callee_line) if line)
    if not ids:
        devices = Device.objects.active().filter(label__iexact=asked)
        ids.update(devices.values_list("line_id", flat=True)[: FOUND + 1])
    if not ids:
        named = Line.objects.filter(owner__name_folded__contains=folded(asked))
        ids.update(named.values_list("pk", flat=True)[: FOUND + 1])
    return list(Line.objects.filter(pk__in=ids).select_related("owner").order_by("pk"))


def line_page(request: HttpRequest, pk: int) -> HttpResponse:
    """All that answers a ticket about a line and its owner, and what can be done about it."""
    _staff_only(request)
    line = get_object_or_404(Line.objects.select_related("owner"), pk=pk)
    found = or_none(lambda: as_told(registrations([line.pk])))
    devices = list(line.devices.active().order_by("-pk"))
    by_device: dict[int, list[Any]] = {}
    for registration in found or []:
        by_device.setdefault(registration.device_id, []).append(registration)
    may = request.user.has_perm  # type: ignore[union-attr]
    owner = line.owner
    context = {
        **admin.site.each_context(request),
        "title": _("Person"),
        "line": line,
        "owner": owner,
        "others": Line.objects.filter(owner=owner).exclude(pk=line.pk) if owner else [],
        "addresses": line.addresses.filter(state=AddressState.HELD).select_related("domain"),
        "devices": [{"device": d, "registrations": by_device.get(d.pk, [])} for d in devices],
        "unreadable": found is None,
        "calls": or_none(lambda: history([line.pk], size=CALLS).entries)
        if may("calls.view_call")
        else [],
        "ongoing": Call.objects.filter(
            Q(caller_line=line.pk) | Q(callee_line=line.pk), open=True
        ).exists(),
        "refusals": recent_refusals(line.username, "-", REFUSED_WITHIN_S),
        "changes": _changes(line, devices) if may("changes.view_change") else None,
        "may_change": may("lines.change_line") and line.state != State.CLOSING,
        "may_revoke": may("lines.change_device"),
        "may_suspend_person": owner is not None and _may_suspend(request, owner),
        "here": reverse("ticket_line", args=[line.pk]),
        "now": time.time(),
    }
    return TemplateResponse(request, "admin/ticket.html", context)


def _may_suspend(request: HttpRequest, owner: User) -> bool:
    mine: Any = admin.site.get_model_admin(User)
    return bool(mine.has_change_permission(request, owner)) and owner.pk != request.user.pk


def _changes(line: Line, devices: list[Device]) -> list[dict[str, Any]]:
    rows = [(Line._meta.db_table, str(line.pk))]
    rows += [(Device._meta.db_table, str(device.pk)) for device in devices]
    if line.owner is not None:
        rows.append((User._meta.db_table, str(line.owner.pk)))
    return told_changes(of_row(rows, 10))
