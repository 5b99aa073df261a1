"""What the supervisor and load balancers ask."""

from __future__ import annotations

import sys
from typing import Final

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from voip_portal.accounts import steadycache
from voip_portal.faults import in_a_sentence

RETRY_AFTER_S: Final = 30


@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """200 when this process answers and its database does; "degraded" where it does without Redis."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM nodes_deployment")  # no such table in an empty one
    except DatabaseError:
        return HttpResponse("database unavailable\n", status=503, content_type="text/plain")
    problem = steadycache.problem()
    text = f"degraded: {problem}\n" if problem else "ok\n"
    return HttpResponse(text, content_type="text/plain")


def server_error(request: HttpRequest) -> HttpResponse:
    """503 where the database or the disk is at fault, 500 where we are."""
    error = sys.exc_info()[1]
    if error is None or not in_a_sentence(error):
        return render(None, "500.html", status=500)
    response = render(None, "503.html", status=503)
    response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response
