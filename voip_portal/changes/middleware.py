"""Attributes what a request changes to the person who sent it."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from voip_portal.changes.actor import acting_as, person

GetResponse = Callable[[HttpRequest], HttpResponse]


class Actor:
    """Belongs after authentication in MIDDLEWARE."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        def who() -> str:
            user = getattr(request, "user", None)
            return person(user.pk) if user is not None and user.is_authenticated else ""

        with acting_as(who):
            return self.get_response(request)
