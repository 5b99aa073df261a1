"""Small middleware: a strict Content-Security-Policy; the person's language and time zone."""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone, translation

from voip_portal.accounts.models import User

PORTAL_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; frame-src 'self'; "
    "base-uri 'none'; manifest-src 'self'; frame-ancestors "
)
ADMIN_POLICY = (
    # The admin's theme needs inline styles, and Alpine evaluates attributes.
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; object-src 'none'; frame-ancestors "
)

GetResponse = Callable[[HttpRequest], HttpResponse]


class ContentSecurityPolicy:
    """Adds the policy header: no file from another host, no inline script."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        policy = ADMIN_POLICY if request.path_info.startswith("/admin/") else PORTAL_POLICY
        framed = response.headers.get("X-Frame-Options") == "SAMEORIGIN"
        response.headers["Content-Security-Policy"] = policy + ("'self'" if framed else "'none'")
        response.headers.setdefault(
            "Permissions-Policy", "camera=(), geolocation=(), microphone=()"
        )
        return response


def zone(user: User | None) -> ZoneInfo:
    """The time zone a person wants to read, or the deployment's."""
    try:
        return ZoneInfo((user and user.timezone) or settings.VOIP_TIME_ZONE)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


class Preferences:
    """Activates the language and time zone of who is logged in."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user = request.user if request.user.is_authenticated else None
        with timezone.override(zone(user)):
            if user is not None and user.language in dict(settings.LANGUAGES):
                translation.activate(user.language)
                request.LANGUAGE_CODE = user.language
            return self.get_response(request)
