"""A session that ends while a page is open: the page goes to the log-in, which says why.

HTMX follows a redirect and pastes what it finds there into the page. So a request of HTMX that would
be redirected is told to have the browser go there, with the page as `next`, not the piece of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME, SESSION_KEY
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from voip_portal.accounts.models import User

WHY: Final = "why"
"""Parameter of the log-in page."""
ENDED: Final = "ended"
SUSPENDED: Final = "suspended"


class EndedSession:
    """Middleware, between the session's and the one that asks who is logged in."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Now: who is shut out has the session emptied on the way.
        user_id = request.session.get(SESSION_KEY)
        by_htmx = request.headers.get("HX-Request") == "true"
        response = self.get_response(request)
        if response.status_code not in (301, 302, 303, 307, 308):
            return response
        location = response.headers["Location"]
        # Who is logged in and sent there all the same may not see the admin, and is told so there.
        if _leads_to_log_in(location) and not request.user.is_authenticated:
            location = _log_in(request, location, user_id, by_htmx=by_htmx)
            response.headers["Location"] = location
        if not by_htmx:
            return response
        told = HttpResponse(status=204, headers={"HX-Redirect": location})
        told.cookies = response.cookies
        return told


def _leads_to_log_in(location: str) -> bool:
    """Whether somebody is asked to log in who wanted something else."""
    parts = urlsplit(location)
    asks = parts.path in {reverse(settings.LOGIN_URL), reverse("admin:login")}
    return asks and REDIRECT_FIELD_NAME in parse_qs(parts.query)


def _log_in(request: HttpRequest, location: str, user_id: object, *, by_htmx: bool) -> str:
    """The log-in page, with the page to come back to, and why it is shown if there was a session."""
    query = {name: values[-1] for name, values in parse_qs(urlsplit(location).query).items()}
    if by_htmx:
        query[REDIRECT_FIELD_NAME] = _page_of(request)
    if by_htmx or user_id or settings.SESSION_COOKIE_NAME in request.COOKIES:
        query[WHY] = SUSPENDED if _is_shut_out(user_id) else ENDED
    # Also from the admin, whose own log-in would only lead there.
    return f"{reverse(settings.LOGIN_URL)}?{urlencode(query, safe='/')}"


def _page_of(request: HttpRequest) -> str:
    """The page that HTMX asked from, as a path of this site."""
    page = urlsplit(request.headers.get("HX-Current-URL", ""))
    if page.netloc != request.get_host() or not page.path.startswith("/"):
        return "/"
    return page.path + (f"?{page.query}" if page.query else "")


def _is_shut_out(user_id: object) -> bool:
    """Only the browser that holds this person's session comes to know it."""
    return user_id is not None and User.objects.filter(pk=user_id, is_active=False).exists()
