"""Where lines are registered now, read from the bindings that the nodes write."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from voip_portal.calls.services import Silence, device_news
from voip_portal.lines.models import Device
from voip_portal.location.models import Binding


@dataclass(frozen=True, slots=True)
class Registration:
    """One contact of a line, as the pages show it."""

    line_id: int
    device_id: int
    device_label: str
    host: str
    """Where the phone is, without user part and parameters."""
    transport: str
    user_agent: str
    since: datetime
    until: datetime
    node: str
    registered_at: float = 0.0
    """When the phone last did it, by a change or a refresh; epoch seconds."""
    silent_since: datetime | None = None
    """Since when it answers no call; None where that is not known, or not asked (`as_told`)."""
    is_old: bool = False
    """Whether its software knows MD5 alone; asked by `as_told`, too."""


def registrations(line_ids: Sequence[int], at: float | None = None) -> list[Registration]:
    """What is registered now, the newest first."""
    now = time.time() if at is None else at
    rows = Binding.objects.filter(line_id__in=line_ids, expires_at__gt=now)
    bindings = sorted(rows, key=lambda b: -b.registered_at)
    labels = dict(
        Device.objects.filter(pk__in={b.device_id for b in bindings}).values_list("pk", "label")
    )
    return [_registration(b, labels.get(b.device_id, "")) for b in bindings]


def as_told(found: list[Registration], at: float | None = None) -> list[Registration]:
    """The same, each with what the SIP server has told of its device lately.

    Whoever has registered since it did not answer is there again.
    """
    if not found:
        return found
    silent, old = device_news({r.device_id for r in found}, at)
    return [
        replace(r, silent_since=_since(r, silent.get(r.device_id)), is_old=r.device_id in old)
        for r in found
    ]


def _since(registration: Registration, silence: Silence | None) -> datetime | None:
    if silence is None or silence.told_at <= registration.registered_at:
        return None
    return datetime.fromtimestamp(silence.since, UTC)


def _registration(binding: Binding, label: str) -> Registration:
    host, transport = _where(binding.contact)
    return Registration(
        line_id=binding.line_id,
        device_id=binding.device_id,
        device_label=label,
        host=host,
        transport=transport,
        user_agent=binding.user_agent[:100],
        since=datetime.fromtimestamp(binding.registered_at, UTC),
        until=datetime.fromtimestamp(binding.expires_at, UTC),
        node=binding.node,
        registered_at=binding.written_at,
    )


def _where(contact: str) -> tuple[str, str]:
    """Host with port, and transport, of a contact URI as the phone wrote it."""
    uri = contact.partition("<")[2].partition(">")[0] or contact
    rest = uri.partition(":")[2]
    address, *parameters = rest.rpartition("@")[2].split(";")
    named = dict(p.lower().partition("=")[::2] for p in parameters)
    return address.partition("?")[0], named.get("transport", "udp").upper()
