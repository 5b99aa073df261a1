"""Records of one call → the call. A pure function: fold again from scratch, get the same.

Records may be missing, doubled or out of order: a killed worker's successor may write an end that
was written before. The first begin, ring and answer count, and the first end.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

MOST_PHONES: Final = 10
"""phones: kept of those that did not answer, as many as the record has."""


class Event(NamedTuple):
    """A record as folding sees it."""

    kind: str
    at: float
    data: dict[str, Any]


_LATE: Final = {"ring": "a phone rang too late", "answer": "a phone was picked up too late"}
"""What came of a phone when its caller had been told how the call ended."""


def fold(context: str, events: Iterable[Event]) -> dict[str, Any] | None:
    """The fields of `models.Call`, or None while its begin is unknown."""
    first: dict[str, Event] = {}
    late = ""
    events = sorted(events, key=lambda e: e.at)
    for event in events:
        first.setdefault(event.kind, event)
        if event.kind == "call.late":
            late = _LATE.get(event.data.get("event", ""), late)
    begin = first.get("call.begin")
    if begin is None:
        return None
    call = _begun(context, begin)
    ring, answer, end = (first.get(f"call.{name}") for name in ("ring", "answer", "end"))
    if ring is not None:
        call["ringing_at"] = moment(ring.at)
    if answer is not None:
        call["answered_at"] = moment(answer.at)
        if answer.data.get("callee_line") is not None:
            call["callee_line"] = answer.data["callee_line"]
        call["callee_device"] = answer.data.get("callee_device") or None
    if end is not None:
        _end(call, end, answer)
    call["reason"] = call["reason"] or late
    call["seen"] = _seen(begin, (e for e in events if e.kind == "call.moved"), end)
    return call


def _seen(begin: Event, moved: Iterable[Event], end: Event | None) -> dict[str, Any] | None:
    """What `models.Call.seen` says; of what happened twice the last counts."""
    found: dict[str, Any] = {
        "elsewhere": _text(begin, "elsewhere", 128),
        "came_from": _text(begin, "came_from", 16),
    }
    for event in moved:
        if "next" in event.data:
            found["went_on_as"] = _text(event, "next", 16)
        else:
            found["moved_by"] = _text(event, "by", 8)
            found["moved_to"] = _text(event, "to", 256)
    if end is not None:
        found["phones"] = _phones(end.data.get("phones"))
    return {key: value for key, value in found.items() if value} or None


def _text(event: Event, key: str, longest: int) -> str:
    return str(event.data.get(key) or "")[:longest]


def _phones(found: Any) -> list[list[Any]]:
    """What is readable of the phones that did not answer."""
    rows = found if isinstance(found, list) else []
    return [row for row in rows[:MOST_PHONES] if isinstance(row, list) and len(row) == 3]


def _begun(context: str, begin: Event) -> dict[str, Any]:
    data = begin.data
    return {
        "context": context,
        "call_id": str(data.get("call_id", ""))[:128],
        "from_uri": str(data.get("from", ""))[:256],
        "to_uri": str(data.get("to", ""))[:256],
        "dialled": str(data.get("dialled", ""))[:128],
        "caller_line": data.get("caller_line"),
        "callee_line": data.get("callee_line"),
        "started_at": moment(begin.at),
        "ringing_at": None,
        "answered_at": None,
        "ended_at": None,
        "duration_s": None,
        "cause": "",
        "ended_by": "",
        "status": None,
        "reason": "",
        "node": str(data.get("node", ""))[:64],
        "open": True,
        "caller_device": data.get("caller_device"),
        "callee_device": None,
        "seen": None,
    }


def _end(call: dict[str, Any], end: Event, answer: Event | None) -> None:
    data = end.data
    duration = data.get("duration_s")
    if duration is None and answer is not None:
        duration = round(max(0.0, end.at - answer.at), 3)
    call.update(
        ended_at=moment(end.at),
        duration_s=duration,
        cause=str(data.get("cause", ""))[:16],
        ended_by=str(data.get("by", ""))[:8],
        status=data.get("status"),
        reason=str(data.get("reason", ""))[:200],
        open=False,
    )


def moment(at: float) -> datetime:
    """Seconds since the epoch as an aware UTC time."""
    return datetime.fromtimestamp(at, UTC)
