"""Asking the other workers about a call that a request names (`calls.named`).

The request waits meanwhile. Where there is one worker nobody is asked. Each inquiry goes to all the
others; who does not answer in time holds no such call.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from sipcore.apps.host import Host
from sipcore.calls.named import (
    DialogName,
    NamedCall,
    asked_note,
    calls_told,
    named_call,
    partners_of,
    told_note,
)
from sipcore.campus.limits import INQUIRY_WAIT_S, MAX_INQUIRIES


class Waiter(Protocol):
    """What waits for the others."""

    def heard(self, calls: list[NamedCall], partners: set[str], now: float) -> None:
        """All have answered, or it took too long."""


class _Inquiry:
    """One of them."""

    __slots__ = ("_home", "calls", "due", "left", "number", "partners", "waiter")

    def __init__(self, home: Inquiries, number: int, left: int, waiter: Waiter, due: float) -> None:
        self._home = home
        self.number = number
        self.left = left
        self.waiter = waiter
        self.due = due
        self.calls: list[NamedCall] = []
        self.partners: set[str] = set()

    def advance(self, now: float) -> None:
        if now >= self.due:
            self._home.is_over(self, now)


class Inquiries:
    """Those of one worker, and its answers to the others'."""

    __slots__ = ("_host", "_number", "_waiting")

    def __init__(self, host: Host) -> None:
        self._host = host
        self._number = 0
        self._waiting: dict[int, _Inquiry] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def ask(self, name: DialogName, party: str, waiter: Waiter, now: float) -> bool:
        """Ask all other workers; False where there is nobody to ask."""
        host, config = self._host, self._host.config
        nodes = config.nodes or (config.node_number,)
        homes = [(node, slot) for node in nodes for slot in range(config.slots)]
        others = [home for home in homes if home != host.home]
        if not others or len(self._waiting) >= MAX_INQUIRIES:
            return False
        self._number += 1
        inquiry = _Inquiry(self, self._number, len(others), waiter, now + INQUIRY_WAIT_S)
        self._waiting[self._number] = inquiry
        host.wake(inquiry, inquiry.due)
        for home in others:
            host.note(home, asked_note(host.home, self._number, name, party))
        return True

    def noted(self, note: Mapping[str, Any], now: float) -> None:
        """A question of another worker, or an answer."""
        host = self._host
        if note["op"] == "asked":
            call_id, tags = note["name"]
            calls = [named_call(call) for call in host.calls.named(call_id, tuple(tags))]
            lately, party = host.calls.now_and_lately(now), note["party"]
            partners = partners_of(lately, party) if party else set()
            host.note(tuple(note["home"]), told_note(note, calls, partners))
            return
        inquiry = self._waiting.get(note["n"])
        if inquiry is None:
            return  # too late
        inquiry.calls += calls_told(note)
        inquiry.partners.update(note["partners"])
        inquiry.left -= 1
        if inquiry.left <= 0:
            self.is_over(inquiry, now)

    def is_over(self, inquiry: _Inquiry, now: float) -> None:
        """Go on with what is known."""
        if self._waiting.pop(inquiry.number, None) is not None:
            self._host.sleep(inquiry)
            inquiry.waiter.heard(inquiry.calls, inquiry.partners, now)


__all__ = ["Inquiries", "Waiter"]
