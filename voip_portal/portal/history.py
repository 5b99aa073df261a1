"""A person's calls, newest first, selected by line ids: never by number, which may change hands."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.core import signing
from django.db.models import Q
from django.utils.formats import time_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from sipcore.eventlog import Heard, Side
from voip_portal.calls.models import Call
from voip_portal.lines.models import Device, Line, State
from voip_portal.numbers.models import Address, AddressState, Domain, Kind
from voip_portal.portal.outcomes import Seen, Text, Tone, outcome

PAGE: Final = 25
LONGEST_TALK: Final = timedelta(days=1)
"""How long before a call another may have begun that still went on."""
TALKS: Final = 500
"""Calls looked at for that, of one page."""
Key = tuple[float, int]
"""What orders calls: when they began, then their id."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One call as one side sees it."""

    id: int
    context: str
    outgoing: bool
    party: str
    """User name or address of the other side."""
    party_number: str
    dial: str
    """User name to call the other side by; empty for strangers and closed lines."""
    at: datetime
    duration_s: float | None
    outcome: Text
    tone: Tone
    device: str = ""
    """The reader's own device that placed or took it, where that is known."""
    joined: Text = ""
    """Which call it came from, or where it went on."""

    @property
    def missed(self) -> bool:
        return self.tone is Tone.MISSED

    @property
    def day(self) -> date:
        """The day in the reader's time zone."""
        return localtime(self.at).date()


@dataclass(frozen=True, slots=True)
class Page:
    """Entries, and where the next page begins: empty at the end."""

    entries: list[Entry]
    next: str


def history(line_ids: Sequence[int], after: str = "", size: int = PAGE) -> Page:
    """One page of calls of these lines that are older than the position `after`."""
    key = _decode(after)
    found = list(islice(_merged(line_ids, key, size + 1), size + 1))
    shown = found[:size]
    more = len(found) > size
    return Page(_entries(shown, set(line_ids)), _encode(shown[-1]) if more else "")


def _merged(line_ids: Sequence[int], key: Key | None, limit: int) -> Iterable[Call]:
    """Calls from both indexes, newest first, each once."""
    sides = ("caller_line__in", "callee_line__in")
    rows = [_slice(Q(**{side: line_ids}), key, limit) for side in sides]
    seen: set[int] = set()
    for call in heapq.merge(*rows, key=_key, reverse=True):
        if call.pk not in seen:
            seen.add(call.pk)
            yield call


def _slice(mine: Q, key: Key | None, limit: int) -> list[Call]:
    calls = Call.objects.filter(mine)
    if key is not None:
        at, pk = datetime.fromtimestamp(key[0], UTC), key[1]
        calls = calls.filter(started_at__lte=at).filter(Q(started_at__lt=at) | Q(pk__lt=pk))
    return list(calls.order_by("-started_at", "-pk")[:limit])


def _key(call: Call) -> Key:
    return call.started_at.timestamp(), call.pk


def _encode(call: Call) -> str:
    return signing.dumps(_key(call), salt="history", compress=False)


def _decode(after: str) -> Key | None:
    if not after:
        return None
    try:
        at, pk = signing.loads(after, salt="history")
    except (signing.BadSignature, ValueError, TypeError):
        return None  # a stale or invented position: begin at the newest call
    return float(at), int(pk)


def _entries(calls: Sequence[Call], mine: set[int]) -> list[Entry]:
    facts = facts_of(calls, mine)
    return [_entry(call, mine, facts) for call in calls]


class Facts(NamedTuple):
    """What entries are made of besides their calls."""

    names: dict[int, str]
    numbers: dict[int, str]
    home: frozenset[str]
    """Hosts that are ours."""
    in_call: frozenset[int]
    """Calls whose called person was in another one."""
    labels: dict[int, str]
    """Names of the reader's own devices."""
    sources: dict[str, Call]
    """Calls of the reader's that others came from, by context."""


def facts_of(calls: Sequence[Call], mine: set[int]) -> Facts:
    """What must be read for the sentences of these calls, for a reader with these lines."""
    sources = _sources(calls, mine)
    found = (_other(call, mine) for call in (*calls, *sources.values()))
    others = {line for line in found if line is not None}
    lines = Line.objects.filter(pk__in=others).exclude(state=State.CLOSING)
    names = dict(lines.values_list("pk", "username"))
    numbers = dict(
        Address.objects.filter(
            line__in=others, kind=Kind.NUMBER, state=AddressState.HELD
        ).values_list("line_id", "value")
    )
    home = _home([*calls, *sources.values()], mine)
    return Facts(names, numbers, home, _in_call(calls), _labels(calls, mine), sources)


def facts_for_staff(calls: Sequence[Call]) -> Facts:
    """What must be read for the sentences of both sides, without parties: staff see those beside."""
    is_some_elsewhere = any(call.callee_line is None for call in calls)
    home = _our_hosts() if is_some_elsewhere else frozenset()
    return Facts({}, {}, home, _in_call(calls), _labels(calls, None), {})


def _labels(calls: Sequence[Call], mine: set[int] | None) -> dict[int, str]:
    """Names of devices of these lines; None for all."""
    ids = {call.caller_device for call in calls} | {call.callee_device for call in calls}
    ids |= {phone[0] for call in calls for phone in phones_of(call)}
    ids.discard(None)
    if not ids:
        return {}
    devices = Device.objects.filter(pk__in=ids)
    if mine is not None:
        devices = devices.filter(line__in=mine)
    return dict(devices.values_list("pk", "label"))


def _sources(calls: Sequence[Call], mine: set[int]) -> dict[str, Call]:
    contexts = {_seen(call).get("came_from") for call in calls} - {None}
    if not contexts:
        return {}
    found = Call.objects.filter(context__in=contexts)
    ours = found.filter(Q(caller_line__in=mine) | Q(callee_line__in=mine))
    return {call.context: call for call in ours}


def _seen(call: Call) -> dict[str, Any]:
    return call.seen or {}


def phones_of(call: Call) -> list[tuple[int, int, str]]:
    """The called line's phones that did not answer: device, status, what was heard of it."""
    return [tuple(phone) for phone in _seen(call).get("phones", ())]


def _home(calls: Sequence[Call], mine: set[int]) -> frozenset[str]:
    """Asked only where somebody may be elsewhere."""
    if not any(_other(call, mine) is None or _seen(call).get("moved_to") for call in calls):
        return frozenset()
    return _our_hosts()


def _our_hosts() -> frozenset[str]:
    domains = Domain.objects.values_list("name", flat=True)
    return frozenset({*domains, settings.VOIP_ADVERTISE.lower(), "127.0.0.1", "localhost", "[::1]"})


def _in_call(calls: Sequence[Call]) -> frozenset[int]:
    """Of the calls that ended with 486: those where the called line was talking when they came."""
    busy = [call for call in calls if call.status == 486 and call.callee_line is not None]
    if not busy:
        return frozenset()
    lines = {call.callee_line for call in busy}
    first, last = min(c.started_at for c in busy), max(c.started_at for c in busy)
    talks = Call.objects.filter(
        Q(caller_line__in=lines) | Q(callee_line__in=lines),
        answered_at__lte=last,
        started_at__gte=first - LONGEST_TALK,
    ).filter(Q(ended_at=None) | Q(ended_at__gte=first))
    rows = list(
        talks.values_list("pk", "caller_line", "callee_line", "answered_at", "ended_at")[:TALKS]
    )
    return frozenset(
        call.pk
        for call in busy
        if any(
            pk != call.pk
            and call.callee_line in (caller, callee)
            and answered <= call.started_at
            and (ended is None or ended >= call.started_at)
            for pk, caller, callee, answered, ended in rows
        )
    )


def _other(call: Call, mine: set[int]) -> int | None:
    """The line at the other side; None where nobody here is to know it."""
    if call.caller_line in mine:
        callee: int | None = call.callee_line
        return callee
    caller: int | None = None if _is_hidden(call.from_uri) else call.caller_line
    return caller


def _is_hidden(uri: str) -> bool:
    """Whether a caller did not want to be known, as the SIP server reads it (RFC 3323)."""
    user, _at, host = plain_address(uri).lower().rpartition("@")
    return host.partition(":")[0].endswith(".invalid") or user == "anonymous"


def _entry(call: Call, mine: set[int], facts: Facts) -> Entry:
    names, numbers = facts.names, facts.numbers
    outgoing = call.caller_line in mine
    other = _other(call, mine)
    known = names.get(other, "") if other is not None else ""
    uri = _party_uri(call, outgoing)
    hidden = not outgoing and _is_hidden(uri)
    sentence, tone = told(call, facts, outgoing=outgoing)
    device = call.caller_device if outgoing else call.callee_device
    return Entry(
        id=call.pk,
        context=call.context,
        outgoing=outgoing,
        party=_("Hidden number") if hidden else known or _stranger(uri, facts.home),
        party_number=numbers.get(other, "") if other is not None else "",
        dial=known,
        at=call.started_at,
        duration_s=call.duration_s,
        outcome=sentence,
        tone=tone,
        device=facts.labels.get(device, "") if device is not None else "",
        joined=_joined(call, mine, facts),
    )


def told(call: Call, facts: Facts, *, outgoing: bool) -> tuple[Text, Tone]:
    """The sentence for one side of a call: the pages, the admin and the API all have it from here."""
    other = call.callee_line if outgoing else call.caller_line
    return outcome(
        outgoing=outgoing,
        cause=call.cause or "",
        by=call.ended_by or "",
        status=call.status or 0,
        reason=call.reason or "",
        is_open=call.open,
        answered=call.answered_at is not None,
        seen=Seen(
            rang=_rang(call),
            in_call=call.pk in facts.in_call,
            elsewhere=outgoing and other is None and _is_elsewhere(call, facts.home),
            phone=_heard(call),
            devices=_who_said(call, facts.labels),
        ),
    )


def _rang(call: Call) -> bool:
    return call.ringing_at is not None or call.answered_at is not None


def _heard(call: Call) -> str:
    """What all phones of the called line have in common, as `Seen.phone` has it."""
    phones = phones_of(call)
    heard = {how for _device, _status, how in phones}
    if any(how == Heard.SAID and status == call.status for _device, status, how in phones):
        return Heard.SAID
    if not heard or _rang(call) or not heard <= {Heard.SILENT, Heard.REFUSED}:
        return ""
    return Heard.REFUSED if heard == {Heard.REFUSED} else Heard.SILENT


def _who_said(call: Call, labels: dict[int, str]) -> str:
    """The reader's devices that the outcome is about."""
    phones = phones_of(call)
    if _heard(call) == Heard.SAID:
        phones = [phone for phone in phones if phone[1] == call.status]
    return ", ".join(labels[device] for device, _status, _how in phones if device in labels)


def _joined(call: Call, mine: set[int], facts: Facts) -> Text:
    """Which call it came from, and where it went; "" for a call that stands alone."""
    seen = _seen(call)
    if seen.get("came_from"):
        source = facts.sources.get(seen["came_from"])
        if source is None:
            return _("Passed on from another call.")
        at = time_format(localtime(source.started_at), "H:i")
        party = _entry(source, mine, facts._replace(sources={})).party
        return _("Comes from the call at %(at)s with %(party)s.") % {"at": at, "party": party}
    if seen.get("moved_to"):
        to = _stranger(seen["moved_to"], facts.home)
        by_me = seen.get("moved_by") == (Side.CALLER if call.caller_line in mine else Side.CALLEE)
        text = _("You passed them on to %(to)s.") if by_me else _("They passed you on to %(to)s.")
        return text % {"to": to}
    return _("Another call took its place.") if seen.get("went_on_as") else ""


def _party_uri(call: Call, outgoing: bool) -> str:
    """Whom the other side is, as an address: of what was dialled only the user part is recorded."""
    if not outgoing:
        return call.from_uri
    elsewhere = _seen(call).get("elsewhere")
    if elsewhere:
        return f"sip:{call.dialled}@{elsewhere}"
    to_user = plain_address(call.to_uri).rpartition("@")[0]
    if call.caller_device is None and to_user == call.dialled:
        return call.to_uri  # a call of before the domain was recorded
    return call.dialled or call.to_uri


def _is_elsewhere(call: Call, home: frozenset[str]) -> bool:
    address = plain_address(_party_uri(call, outgoing=True))
    return "@" in address and not _is_home(address, home)


def _is_home(uri: str, home: frozenset[str]) -> bool:
    host = plain_address(uri).rpartition("@")[2]
    return host.lower() in home or host.partition(":")[0].lower() in home


def _stranger(uri: str, home: frozenset[str]) -> str:
    """Somebody without a line here: of another system with its domain."""
    address = plain_address(uri)
    user, at, host = address.rpartition("@")
    if not at:
        return address
    return user if _is_home(uri, home) else _("%(user)s at %(host)s") % {"user": user, "host": host}


def plain_address(uri: str) -> str:
    """A SIP URI as people read it: without scheme, display name and parameters."""
    inner = uri.partition("<")[2].partition(">")[0] or uri
    rest = inner.partition(":")[2] or inner
    return rest.partition(";")[0].partition("?")[0][:80]
