"""What the service keeps about a person, in plain words, for the person. No secret is in it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from voip_portal.accounts.models import User
from voip_portal.lines.models import Line
from voip_portal.portal.history import history
from voip_portal.portal.registrations import registrations


def personal_data(user: User) -> dict[str, Any]:
    """Person, lines with addresses and devices, registrations, calls; times in the person's zone."""
    lines = list(Line.objects.filter(owner=user).order_by("pk"))
    ids = [line.pk for line in lines]
    return {
        "person": {
            "e-mail": user.email,
            "name": user.name,
            "language": user.language,
            "time zone": user.timezone,
            "listed": user.listed,
            "joined": _time(user.date_joined),
            "last log-in": _time(user.last_login),
        },
        "lines": [_line(line) for line in lines],
        "registrations": [
            {
                "device": r.device_label,
                "address": r.host,
                "transport": r.transport,
                "program": r.user_agent,
                "since": _time(r.since),
                "until": _time(r.until),
                "last heard": _time(r.heard),
            }
            for r in registrations(ids)
        ],
        "calls": _calls(ids),
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "user name": line.username,
        "state": line.state,
        "created": _time(line.created_at),
        "addresses": list(line.addresses.order_by("kind", "value").values_list("value", flat=True)),
        "devices": [
            {"name": d.label, "added": _time(d.created_at), "revoked": _time(d.revoked_at)}
            for d in line.devices.order_by("pk")
        ],
    }


def _calls(ids: list[int]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = history(ids, after, size=500)
        found += [
            {
                "direction": "outgoing" if entry.outgoing else "incoming",
                "with": entry.party,
                "at": _time(entry.at),
                "seconds": entry.duration_s,
                "outcome": str(entry.outcome),
                "device": entry.device,
                "joined": str(entry.joined),
            }
            for entry in page.entries
        ]
        after = page.next
        if not after:
            return found


def _time(value: datetime | None) -> str | None:
    return None if value is None else timezone.localtime(value).isoformat(timespec="seconds")
