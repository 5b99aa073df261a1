"""Devices: add, rename, revoke; and where the line is registered now."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from voip_portal.lines import services as lines
from voip_portal.lines.models import MAX_DEVICES, Line
from voip_portal.nodes.services import realm
from voip_portal.portal.access import own_device, person, with_line
from voip_portal.portal.forms import DeviceForm
from voip_portal.portal.guard import or_none
from voip_portal.portal.limits import changes_devices
from voip_portal.portal.registrations import as_told, registrations
from voip_portal.portal.views.setup import setup_page


@with_line
@changes_devices
def devices(request: HttpRequest, line: Line) -> HttpResponse:
    """My devices. Adding one answers with its set-up page, the only place of its secret."""
    form = DeviceForm(request.POST or None)
    if form.is_valid():
        try:
            device, secret = lines.add_device(line, form.cleaned_data["label"], realm())
        except lines.TooManyDevices:
            form.add_error(
                "label", _("You have %(n)d devices; revoke one first.") % {"n": MAX_DEVICES}
            )
        except lines.LineNotActive:
            form.add_error("label", _("Your line is suspended: no device can be added."))
        else:
            return setup_page(request, device, secret)
    found = or_none(lambda: as_told(registrations([line.pk])))
    mine = []
    for device in line.devices.active().order_by("-created_at", "-pk"):
        its = [r for r in found or [] if r.device_id == device.pk]
        best = min(its, key=lambda r: r.is_silent, default=None)
        mine.append({"device": device, "registrations": its, "best": best})
    context = {"form": form, "devices": mine, "max_devices": MAX_DEVICES, "unknown": found is None}
    return render(request, "portal/devices.html", context)


@never_cache
@login_required
@changes_devices
def rename(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a device another name."""
    device = own_device(person(request), pk)
    form = DeviceForm(request.POST or None, initial={"label": device.label})
    if form.is_valid():
        lines.rename_device(device, form.cleaned_data["label"])
        messages.success(request, _("The device has a new name."))
        return redirect("devices")
    return render(request, "portal/device_rename.html", {"form": form, "device": device})


@never_cache
@login_required
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then end a device."""
    device = own_device(person(request), pk)
    if request.method == "POST":
        lines.revoke_device(device)
        messages.success(request, _("“%(device)s” is revoked.") % {"device": device.label})
        return redirect("devices")
    return render(request, "portal/device_revoke.html", {"device": device})


@with_line
def registered(request: HttpRequest, line: Line) -> HttpResponse:
    """Where my line is registered now."""
    return _registered(request, line, "portal/registered.html")


@with_line
def registered_list(request: HttpRequest, line: Line) -> HttpResponse:
    """The list alone, for polling."""
    return _registered(request, line, "portal/registered_list.html")


def _registered(request: HttpRequest, line: Line, template: str) -> HttpResponse:
    found = or_none(lambda: as_told(registrations([line.pk])))
    shared = dict.fromkeys(r.device_label for r in found or [] if r.is_shared)
    return render(request, template, {"registrations": found, "shared": shared})
