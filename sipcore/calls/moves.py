"""Calls that were handed on: a REFER sends a party to somebody else, Replaces takes its place.

The call that comes of it is told which one it came from, and that one where it went. Both are of this
worker: what another one holds is two calls in the history.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sipcore.calls.call import Call
from sipcore.calls.limits import MAX_REFERRED, REFERRED_S
from sipcore.eventlog import Kind, Record, Side
from sipcore.message import Uri


class _Referred(NamedTuple):
    """A line that was asked to call somebody."""

    context: str
    user: str
    """Whom, by user part."""
    until: float


class Moves:
    """Who was sent where, in the last minute. `emit` takes records."""

    __slots__ = ("_emit", "referred")

    def __init__(self, emit: Callable[[Record], None]) -> None:
        self._emit = emit
        self.referred: dict[int, _Referred] = {}
        """By the line that was asked, the oldest first."""

    def refer(self, call: Call, by: Side, target: Uri, now: float, at: float) -> None:
        """A REFER inside a call was accepted (RFC 3515)."""
        fields = {"by": by, "to": target.text[:256]}
        self._emit(Record(Kind.CALL_MOVED, call.context, at, fields))
        asked = call.callee_line if by is Side.CALLER else call.caller_line
        if asked is None:
            return
        referred = self.referred
        referred.pop(asked, None)
        if len(referred) >= MAX_REFERRED:
            del referred[next(iter(referred))]
        referred[asked] = _Referred(call.context, target.user_decoded, now + REFERRED_S)

    def came_from(self, caller_line: int, dialled: str, now: float) -> str:
        """The context of the call in which one of `referred` was asked to dial that; "" for none."""
        referred = self.referred[caller_line]
        if referred.until > now and referred.user != dialled:
            return ""
        del self.referred[caller_line]
        return referred.context if referred.until > now else ""

    def replaced(self, call: Call, by: Call, at: float) -> None:
        """A call is about to be taken over by another one (RFC 3891)."""
        self._emit(Record(Kind.CALL_MOVED, call.context, at, {"next": by.context}))
