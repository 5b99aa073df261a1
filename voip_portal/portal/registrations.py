"""Where lines are registered now: the bindings that the nodes write, and what calls tell of them since.

A binding stays until it expires, whether its phone is there or not. What is known besides: when the
phone last registered, placed or took a call, and that it did not answer one.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db.models import Q

from sipcore.eventlog import Cause, Heard, Side
from voip_portal.calls.models import Call
from voip_portal.calls.services import Silence, device_news
from voip_portal.lines.models import Device
from voip_portal.location.models import Binding
from voip_portal.portal.history import phones_of

CALLS: Final = 50
"""calls: the newest of each side that are looked at for news of phones."""
LONGEST_CALL: Final = timedelta(days=1)
"""How long before a registration a call may have begun in which its phone was heard since."""


@dataclass(frozen=True, slots=True)
class Registration:
    """One contact of a line, as the pages show it."""

    line_id: int
    device_id: int
    device_label: str
    name: str
    """The device's name, with the phone program where several have it, and the address where those
    are the same, too."""
    is_shared: bool
    """Whether several phones use the values of its device."""
    host: str
    """Where the phone is, without user part and parameters."""
    transport: str
    user_agent: str
    since: datetime
    until: datetime
    heard: datetime
    """When the phone was last heard: it registered, placed or took a call, or refused one."""
    silent: datetime | None
    """When it did not answer a call, if it was not heard since."""
    node: str
    registered_at: float = 0.0
    """When the phone last did it, by a change or a refresh; epoch seconds."""
    silent_since: datetime | None = None
    """Since when it answers no call; None where that is not known, or not asked (`as_told`)."""
    is_old: bool = False
    """Whether its software knows MD5 alone; asked by `as_told`, too."""

    @property
    def is_silent(self) -> bool:
        """Whether calls are likely not to reach it."""
        return self.silent is not None or self.silent_since is not None


@dataclass(slots=True)
class News:
    """What calls tell of a device, in epoch seconds."""

    heard: float = 0.0
    silent: float = 0.0


def registrations(line_ids: Sequence[int], at: float | None = None) -> list[Registration]:
    """What is registered now, the newest first."""
    now = time.time() if at is None else at
    rows = Binding.objects.filter(line_id__in=line_ids, expires_at__gt=now)
    bindings = sorted(rows, key=lambda b: -b.registered_at)
    if not bindings:
        return []
    labels = dict(
        Device.objects.filter(pk__in={b.device_id for b in bindings}).values_list("pk", "label")
    )
    news = _news(line_ids, min(map(_registered, bindings)))
    phones = Counter(device for device, _phone in {_phone_of(b) for b in bindings})
    found = [
        _registration(
            b,
            labels.get(b.device_id, ""),
            news.get(b.device_id, News()),
            is_shared=phones[b.device_id] > 1,
        )
        for b in bindings
    ]
    return _told_apart(found)


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


def _registered(binding: Binding) -> float:
    """When its last REGISTER came."""
    return float(binding.written_at or binding.registered_at)


def _phone_of(binding: Binding) -> tuple[int, str]:
    """One phone may have several contacts: it says which instance it is, or has one Call-ID."""
    return binding.device_id, binding.instance or binding.call_id


def _registration(binding: Binding, label: str, news: News, *, is_shared: bool) -> Registration:
    host, transport = _where(binding.contact)
    heard = max(_registered(binding), 0.0 if is_shared else news.heard)
    return Registration(
        line_id=binding.line_id,
        device_id=binding.device_id,
        device_label=label,
        name=label,
        is_shared=is_shared,
        host=host,
        transport=transport,
        user_agent=binding.user_agent[:100],
        since=_moment(binding.registered_at),
        until=_moment(binding.expires_at),
        heard=_moment(heard),
        silent=_moment(news.silent) if news.silent > heard and not is_shared else None,
        node=binding.node,
        registered_at=binding.written_at,
    )


def _told_apart(found: list[Registration]) -> list[Registration]:
    """Phones of one name by their program, those of one program by where they are."""
    names = Counter(r.name for r in found)
    found = [
        replace(r, name=f"{r.name} · {r.user_agent}".strip(" ·")) if names[r.name] > 1 else r
        for r in found
    ]
    names = Counter(r.name for r in found)
    return [replace(r, name=f"{r.name} · {r.host}") if names[r.name] > 1 else r for r in found]


def _news(line_ids: Sequence[int], since: float) -> dict[int, News]:
    """What the calls of these lines tell of their devices since then."""
    earliest = datetime.fromtimestamp(since, UTC) - LONGEST_CALL
    found: dict[int, News] = {}
    for side in ("caller_line__in", "callee_line__in"):
        calls = Call.objects.filter(Q(**{side: line_ids}), started_at__gte=earliest)
        for call in calls.order_by("-started_at", "-pk")[:CALLS]:
            for device, at, is_heard in _told_by(call):
                news = found.setdefault(device, News())
                if is_heard:
                    news.heard = max(news.heard, at.timestamp())
                else:
                    news.silent = max(news.silent, at.timestamp())
    return found


def _told_by(call: Call) -> Iterator[tuple[int, datetime, bool]]:
    """Device, when, and whether it was heard: a call tells of who placed, took and missed it."""
    ended = call.ended_at or call.started_at
    gone = _gone_from(call)
    for side, device, at in (
        (Side.CALLER, call.caller_device, call.started_at),
        (Side.CALLEE, call.callee_device, call.answered_at),
    ):
        if device is None or at is None:
            continue
        yield device, at, True
        if gone == side:
            yield device, ended, False
        elif call.ended_by == side:
            yield device, ended, True
    for device, _status, how in phones_of(call):
        if how == Heard.SAID:
            yield device, call.ringing_at or call.started_at, True
        elif how in (Heard.SILENT, Heard.REFUSED):
            yield device, call.started_at, False


def _gone_from(call: Call) -> str:
    """The side that did not answer the probes of a call; "" where none is known to be gone."""
    return call.reason.partition(" ")[0] if call.cause == Cause.VANISHED else ""


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _where(contact: str) -> tuple[str, str]:
    """Host with port, and transport, of a contact URI as the phone wrote it."""
    uri = contact.partition("<")[2].partition(">")[0] or contact
    rest = uri.partition(":")[2]
    address, *parameters = rest.rpartition("@")[2].split(";")
    named = dict(p.lower().partition("=")[::2] for p in parameters)
    return address.partition("?")[0], named.get("transport", "udp").upper()
