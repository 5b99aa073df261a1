"""Browsers in which somebody has logged in: whoever else tries that account's password, they go on.

A cookie names the accounts, signed by us. It opens nothing: it only has the tries of this browser
counted for themselves. It is worthless as soon as the account has another password, so nobody gets
more tries out of it than who knew the password anyway.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any, Final

from django.conf import settings
from django.contrib.auth import user_logged_in
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare, salted_hmac

from voip_portal.accounts.models import User

COOKIE: Final = "known_browser"
KEEP_S: Final = 180 * 24 * 3600
"""Half a year: longer than a summer without the portal."""
KEPT_ACCOUNTS: Final = 4
"""Of a family's computer. More would make a cookie that every request carries long."""
_SALT: Final = "voip_portal.accounts.known_browser"
_Entry = tuple[int, str, str, int]
"""Account, seal, the browser's own random word, and when it ends (seconds of the wall clock)."""


def remember(request: HttpRequest, user: User) -> None:
    """Have the answer to this request make the browser known."""
    request.known_browser_of = user.pk  # type: ignore[attr-defined]


def known_as(request: HttpRequest, user: User | None) -> str:
    """The word by which this browser is known for the account; "" when it is not."""
    for pk, seal, word, until in _entries(request):
        if user is not None and pk == user.pk and until > time.time():
            return word if constant_time_compare(seal, _seal(user)) else ""
    return ""


class KnownBrowser:
    """Middleware: sets the cookie after a log-in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        pk = getattr(request, "known_browser_of", None)
        # The row as it is now: a log-in may have brought along a new password.
        user = User.objects.filter(pk=pk).only("password").first() if pk else None
        if user is not None:
            _set(request, response, user)
        return response


def _set(request: HttpRequest, response: HttpResponse, user: User) -> None:
    entry = (user.pk, _seal(user), secrets.token_urlsafe(9), int(time.time()) + KEEP_S)
    others = [each for each in _entries(request) if each[0] != user.pk]
    response.set_cookie(
        COOKIE,
        signing.dumps([entry, *others][:KEPT_ACCOUNTS], salt=_SALT),
        max_age=KEEP_S,
        path="/accounts/",
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _entries(request: HttpRequest) -> list[_Entry]:
    try:
        found = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=KEEP_S)
    except signing.BadSignature:
        return []
    return [(pk, seal, word, until) for pk, seal, word, until in found]


def _seal(user: User) -> str:
    text = f"{user.pk}:{user.password}"
    return salted_hmac(_SALT, text, algorithm="sha256").hexdigest()[:32]


def connect() -> None:
    """At start: a log-in, and a new password typed here, make a browser known."""
    from allauth.account.signals import password_changed, password_reset

    for signal in (user_logged_in, password_changed, password_reset):
        signal.connect(_on_log_in, dispatch_uid=f"{_SALT}.{id(signal)}")


def _on_log_in(request: HttpRequest | None, user: User, **_: Any) -> None:
    if request is not None:
        remember(request, user)
