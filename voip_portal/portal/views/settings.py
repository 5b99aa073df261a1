"""My settings, my data, log out everywhere, close my account."""

from __future__ import annotations

import json

from allauth.core.internal.ratelimit import consume, respond_429
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from voip_portal.accounts import services as accounts
from voip_portal.portal import closing, export, language
from voip_portal.portal.access import main_line, person
from voip_portal.portal.forms import CloseForm, SettingsForm
from voip_portal.portal.guard import or_none


@never_cache
@login_required
def edit(request: HttpRequest) -> HttpResponse:
    """Name, language, time zone, and whether others may find me."""
    form = SettingsForm(request.POST or None, instance=person(request))
    if form.is_valid():
        user = form.save()
        response = redirect("settings")
        if user.language:
            translation.activate(user.language)
            language.remember(response, user.language)
        messages.success(request, _("Saved."))
        return response
    # Students without a line are led to one anyway.
    lacks_line = person(request).is_staff and main_line(person(request)) is None
    return render(request, "portal/settings.html", {"form": form, "lacks_line": lacks_line})


@login_required
@require_POST
def log_out_everywhere(request: HttpRequest) -> HttpResponse:
    """End all sessions of mine, this one too."""
    accounts.end_sessions(person(request))
    logout(request)
    messages.success(request, _("You are logged out on all computers and telephones' browsers."))
    return redirect("account_login")


@never_cache
@login_required
def download(request: HttpRequest) -> HttpResponse:
    """All that the service keeps about me, as a file."""
    data = or_none(lambda: export.personal_data(person(request)))
    if data is None:  # half of it would look like all of it
        text = _("Your data cannot be read at the moment; try again in a minute.")
        messages.error(request, text)
        return redirect("settings")
    response = HttpResponse(
        json.dumps(data, ensure_ascii=False, indent=2), content_type="application/json"
    )
    day = timezone.localdate().isoformat()
    response["Content-Disposition"] = f'attachment; filename="my-telephone-data-{day}.json"'
    return response


@never_cache
@login_required
def close(request: HttpRequest) -> HttpResponse:
    """Ask for the password, then close the account for good."""
    user = person(request)
    if request.method == "POST" and not consume(
        request, app="allauth.account", action="close_account"
    ):
        too_many: HttpResponse = respond_429(request)
        return too_many
    form = CloseForm(request.POST or None, user=user)
    if form.is_valid():
        closing.close_account(user)
        logout(request)
        messages.success(request, _("Your account is closed. Good-bye."))
        return redirect("account_login")
    return render(request, "portal/close.html", {"form": form})
