"""How long somebody who asked too often has to wait, in seconds: read from allauth's counts."""

from __future__ import annotations

import math
import time
from typing import Final

from allauth.core.internal.ratelimit import Rate, get_cache_key, parse_rates
from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

APP: Final = "allauth.account"


def wait_of(request: HttpRequest, action: str, key: str | None = None) -> int:
    """Seconds until this action may be taken again; 0 when it may now."""
    rates = parse_rates(settings.ACCOUNT_RATE_LIMITS.get(action))
    return max((_wait(request, action, rate, key) for rate in rates), default=0)


def _wait(request: HttpRequest, action: str, rate: Rate, key: str | None) -> int:
    asked_by_nobody = rate.per == "user" and not request.user.is_authenticated
    if asked_by_nobody or (rate.per == "key" and key is None):
        return 0
    name = get_cache_key(request, app=APP, action=action, rate=rate, key=key)
    now = time.time()
    times = sorted((t for t in cache.get(name, []) if t > now - rate.duration), reverse=True)
    if len(times) < rate.amount:
        return 0
    return math.ceil(times[rate.amount - 1] + rate.duration - now)


def too_many(request: HttpRequest) -> HttpResponse:
    """The page for whoever did anything too often (429); says how long to wait where that is known."""
    wait = max((wait_of(request, action) for action in settings.ACCOUNT_RATE_LIMITS), default=0)
    return with_wait(render(request, "429.html", {"wait": wait}, status=429), wait)


def with_wait(response: HttpResponse, wait: int) -> HttpResponse:
    """Tell programs, too (RFC 9110 §10.2.3)."""
    if wait:
        response.headers["Retry-After"] = str(wait)
    return response
