"""From a verified e-mail address to a phone that works: name, secret, steps, a light that turns green.

A secret is in the one response that follows the click that made it, and nowhere else.
"""

from __future__ import annotations

from typing import Any

from allauth.core.internal.ratelimit import consume, respond_429
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from voip_portal.accounts.services import save_only
from voip_portal.lines import services as lines
from voip_portal.lines.models import Device, State
from voip_portal.nodes.services import realm
from voip_portal.numbers import services as numbers
from voip_portal.portal import language
from voip_portal.portal.access import main_line, own_device, person
from voip_portal.portal.forms import NAME_ERRORS, UsernameForm
from voip_portal.portal.limits import changes_devices
from voip_portal.portal.phones import PHONES
from voip_portal.portal.progress import progress
from voip_portal.portal.server import server


@never_cache
@login_required
def welcome(request: HttpRequest) -> HttpResponse:
    """Choose the user name; the answer to that is the set-up page of the first device."""
    if main_line(person(request)) is not None:
        return redirect("home")
    form = UsernameForm(request.POST or None)
    if not consume(request, app="allauth.account", action="choose_name"):
        too_many: HttpResponse = respond_429(request)
        return too_many
    if form.is_valid():
        try:
            user = person(request)
            line = numbers.open_line(user, form.cleaned_data["username"])
            user.listed = form.cleaned_data["listed"] == "yes"
            save_only(user, "listed")
            device, secret = lines.add_device(line, _("My phone"), realm())
        except (numbers.HasLine, numbers.ShutOut, lines.LineNotActive):
            return redirect("home")
        except lines.LineError as error:
            form.add_error("username", NAME_ERRORS[type(error)])
        else:
            return setup_page(request, device, secret)
    return render(request, "portal/welcome.html", {"form": form})


def setup_page(request: HttpRequest, device: Device, secret: str = "") -> HttpResponse:
    """The page with all that a phone asks for; with the secret only when it was made just now."""
    line = device.line
    context: dict[str, Any] = {
        "device": device,
        "line": line,
        "secret": secret,
        "server": server(numbers.default_domain().name),
        "number": numbers.number_of(line),
        "phones": PHONES,
        "progress": progress(request, device),
    }
    return render(request, "portal/setup.html", context)


@never_cache
@login_required
@require_GET
def device_setup(request: HttpRequest, pk: int) -> HttpResponse:
    """The set-up page again, without the secret."""
    device = own_device(person(request), pk)
    if device.revoked_at is not None:
        return redirect("devices")
    return setup_page(request, device)


@never_cache
@login_required
@changes_devices
def new_secret(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, then make a new secret; the phone that used the old one is disconnected."""
    device = own_device(person(request), pk)
    if device.revoked_at is not None or device.line.state != State.ACTIVE:
        return redirect("devices")
    if request.method != "POST":
        return render(request, "portal/device_secret.html", {"device": device})
    try:
        renewed, secret = lines.renew_secret(device, realm())
    except lines.LineNotActive:
        return redirect("devices")
    return setup_page(request, renewed, secret)


@sensitive_post_parameters("secret")
@never_cache
@login_required
@require_POST
def other_language(request: HttpRequest, pk: int) -> HttpResponse:
    """This page in another language. Its secret, which only the page has, comes along and goes back."""
    device = own_device(person(request), pk)
    if device.revoked_at is not None:
        return redirect("devices")
    secret = request.POST.get("secret", "")
    code = request.POST.get("language", "")
    chosen = language.choose(request, code)
    kept = secret if secret and lines.is_secret_of(device, realm(), secret) else ""
    response = setup_page(request, device, kept)
    return language.remember(response, code) if chosen else response


@never_cache
@login_required
@require_GET
def status(request: HttpRequest, pk: int) -> HttpResponse:
    """The light: a piece of page that the set-up page asks for every two seconds."""
    device = own_device(person(request), pk)
    context = {"device": device, "progress": progress(request, device)}
    return render(request, "portal/status.html", context)


@never_cache
@xframe_options_sameorigin
@login_required
@require_GET
def status_frame(request: HttpRequest, pk: int) -> HttpResponse:
    """The light for browsers without script: a frame that loads itself again."""
    device = own_device(person(request), pk)
    context = {"device": device, "progress": progress(request, device)}
    response = render(request, "portal/status_frame.html", context)
    response.headers["Refresh"] = "3"
    return response
