"""A person's calls, newest first, selected by line ids: never by number, which may change hands."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from typing import Final

from django.core import signing
from django.db.models import Q
from django.utils.timezone import localtime

from voip_portal.calls.models import Call
from voip_portal.lines.models import Line, State
from voip_portal.numbers.models import Address, AddressState, Kind
from voip_portal.portal.outcomes import Text, Tone, outcome

PAGE: Final = 25
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
    found = (_other(call, mine) for call in calls)
    others = {line for line in found if line is not None}
    lines = Line.objects.filter(pk__in=others).exclude(state=State.CLOSING)
    names = dict(lines.values_list("pk", "username"))
    numbers = dict(
        Address.objects.filter(
            line__in=others, kind=Kind.NUMBER, state=AddressState.HELD
        ).values_list("line_id", "value")
    )
    return [_entry(call, mine, names, numbers) for call in calls]


def _other(call: Call, mine: set[int]) -> int | None:
    other: int | None = call.callee_line if call.caller_line in mine else call.caller_line
    return other


def _entry(call: Call, mine: set[int], names: dict[int, str], numbers: dict[int, str]) -> Entry:
    outgoing = call.caller_line in mine
    other = _other(call, mine)
    known = names.get(other, "") if other is not None else ""
    uri = call.dialled or call.to_uri if outgoing else call.from_uri
    sentence, tone = outcome(
        outgoing=outgoing,
        cause=call.cause or "",
        by=call.ended_by or "",
        status=call.status or 0,
        reason=call.reason or "",
        is_open=call.open,
        answered=call.answered_at is not None,
    )
    return Entry(
        id=call.pk,
        context=call.context,
        outgoing=outgoing,
        party=known or plain_address(uri),
        party_number=numbers.get(other, "") if other is not None else "",
        dial=known,
        at=call.started_at,
        duration_s=call.duration_s,
        outcome=sentence,
        tone=tone,
    )


def plain_address(uri: str) -> str:
    """A SIP URI as people read it: without scheme, display name and parameters."""
    inner = uri.partition("<")[2].partition(">")[0] or uri
    rest = inner.partition(":")[2] or inner
    return rest.partition(";")[0].partition("?")[0][:80]
