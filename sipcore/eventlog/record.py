"""Records: what happened, for readers outside the daemon.

A record is one JSON object on one line: `n` (its number in the spool, from 1, no gaps), `k` (kind),
`c` (call context, "" when it belongs to no call), `t` (UTC, seconds since the epoch) and the fields
of its kind. No record carries a secret, a credential or a body.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sipcore.eventlog.json_line import json_line


class Kind(StrEnum):
    """What a record tells. Kinds beginning with `call.` are milestones of one call."""

    CALL_BEGIN = "call.begin"
    CALL_RING = "call.ring"
    CALL_ANSWER = "call.answer"
    CALL_MOVED = "call.moved"
    """A party was sent on to somebody else (REFER), or the call was taken over (Replaces)."""
    CALL_END = "call.end"
    CALL_LATE = "call.late"
    """A phone rang, or was picked up, when its caller had been told already how the call ended."""
    REGISTER_NEW = "register.new"
    REGISTER_GONE = "register.gone"
    DEVICE_SILENT = "device.silent"
    """A registered device has answered nothing twice."""
    DEVICE_HEARD = "device.heard"
    """Such a device is there again."""
    DEVICE_MD5 = "device.md5"
    """A device that gives up at SHA-256 was let in with MD5."""
    AUTH_REFUSED = "auth.refused"
    NODE_COUNTS = "node.counts"
    """What was counted rather than recorded in an interval (`sipcore.eventlog.counters`)."""


class Cause(StrEnum):
    """Why a call ended."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    UNREACHABLE = "unreachable"
    FAILED = "failed"
    LOST = "lost"
    """The worker that held the unanswered call stopped."""
    TERMINATED = "terminated"
    """Ended by the service: account suspended, an administrator."""
    VANISHED = "vanished"
    """A phone of the answered call is not there any more, or let its session lapse."""
    TOO_LONG = "too_long"
    """Ended by the service after the longest time a call may take."""


class Side(StrEnum):
    """Who ended a call."""

    CALLER = "caller"
    CALLEE = "callee"
    SYSTEM = "system"


class Heard(StrEnum):
    """What was heard of one phone that did not answer a call."""

    SAID = "said"
    """Its own final response."""
    SILENT = "silent"
    """Nothing at all."""
    REFUSED = "refused"
    """Nobody listens there (ICMP), or its connection is gone."""
    OURS = "ours"
    """It was given up by us, or could not be asked."""


class Record:
    """One event, not yet numbered."""

    __slots__ = ("at", "context", "fields", "kind")

    def __init__(self, kind: str, context: str, at: float, fields: dict[str, Any]) -> None:
        self.kind = kind
        self.context = context
        self.at = at
        """UTC, seconds since the epoch."""
        self.fields = fields


def encode_line(n: int, record: Record) -> bytes:
    """The record as the spool keeps it: one line of JSON, with its newline."""
    row = {"n": n, "k": record.kind, "c": record.context, "t": record.at, **record.fields}
    line = json_line(row)
    if b"\\" in line and (b"\\ud" in line or b"\\u0000" in line):
        # Bytes that were no UTF-8, or NUL: a database would refuse the whole batch for them.
        line = json_line({key: _clean(value) for key, value in row.items()})
    return line


def _clean(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "?")
