"""Requests that cannot be read are refused in words, before a view fails at them."""

from __future__ import annotations

from collections.abc import Callable

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

UTF_8 = frozenset({"utf-8", "utf8"})
"""As a Content-Type may write it."""

GetResponse = Callable[[HttpRequest], HttpResponse]


class PortalRequest(WSGIRequest):
    """A request whose Content-Type may be one that Django raises at, before any middleware."""

    def _set_content_type_params(self, meta: dict[str, str]) -> None:
        try:
            super()._set_content_type_params(meta)
        except ValueError:
            self.content_type, self.content_params = "", {"charset": "unreadable"}


class Readable:
    """Answers 400 to what Django would decode only when a view asks for it."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        why = unreadable(request)
        if why:
            return HttpResponse(f"{why}\n", status=400, content_type="text/plain; charset=utf-8")
        return self.get_response(request)


def unreadable(request: HttpRequest) -> str:
    """Why a request cannot be read; "" when it can."""
    charset = (request.content_params or {}).get("charset", "utf-8")
    # Django takes any codec of Python's, also those that are none for text (hex, zlib).
    if charset.lower() not in UTF_8:
        return _("Send text as UTF-8.")
    # PostgreSQL takes no NUL in any text.
    if "%00" in request.META.get("QUERY_STRING", ""):
        return _("A query may not contain NUL characters.")
    if any("\0" in value for value in request.COOKIES.values()):
        return _("A cookie of this site is damaged: delete it.")
    return ""
