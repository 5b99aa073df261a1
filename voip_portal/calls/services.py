"""Questions about calls and records."""

from __future__ import annotations

import time
from typing import Any

from django.db.models import Q

from voip_portal.calls.models import Record

REFUSALS_FOR_S = 300


def recent_refusals(username: str, source: str, within_s: float = REFUSALS_FOR_S) -> list[dict[str, Any]]:
    """Refused log-ins of phones, newest first: for this user name, or from this address.

    Each has `at` (epoch seconds), `username`, `known` (whether that name exists) and `source`.
    """
    rows = (
        Record.objects.filter(kind="auth.refused", at__gte=time.time() - within_s)
        .filter(Q(data__username=username) | Q(data__source=source))
        .order_by("-at")
        .values_list("at", "data")[:20]
    )
    return [
        {
            "at": at,
            "username": data.get("username", ""),
            "known": bool(data.get("known")),
            "source": data.get("source", ""),
        }
        for at, data in rows
    ]
