"""The language a person reads: kept with their account, and in a cookie for the pages before the log-in."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation

from voip_portal.accounts import signing_up
from voip_portal.accounts.services import save_only
from voip_portal.portal.access import person


def choose(request: HttpRequest, code: str) -> bool:
    """Use a language from now on and keep the choice; False when there is no such language."""
    if code not in dict(settings.LANGUAGES):
        return False
    if request.user.is_authenticated:
        user = person(request)
        user.language = code
        save_only(user, "language")
    signing_up.choose_language(request, code)
    translation.activate(code)
    request.LANGUAGE_CODE = code
    return True


def remember(response: HttpResponse, code: str) -> HttpResponse:
    """Also for the pages before the next log-in."""
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        code,
        max_age=365 * 24 * 3600,
        secure=settings.SESSION_COOKIE_SECURE,
        samesite="Lax",
    )
    return response
