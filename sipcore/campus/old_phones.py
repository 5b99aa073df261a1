"""Phones that give up at a challenge with SHA-256, told by what they do (RFC 8760 §2.4).

pjsip before 2.11 and what is built on it look at the first challenge alone, and so does old Twinkle; others
give up at any algorithm that they do not know: they never answer, and begin anew some minutes later. Whoever has been challenged three times by one flow and
has shown no credentials is offered MD5 alone for a while, in domains that offer MD5. Whoever could make
use of that on the way could as well take the other challenge out.
"""

from __future__ import annotations

from collections.abc import Callable

from sipcore.campus.limits import (
    CHALLENGES_IN_VAIN,
    MAX_CHALLENGED,
    OLD_PHONE_S,
    TELL_OLD_PHONE_S,
)
from sipcore.eventlog import Kind, Record
from sipcore.transport.flow import Address


class OldPhones:
    """What the sources of requests without credentials do. `emit` takes records."""

    __slots__ = ("_challenged", "_emit", "_told", "_until")

    def __init__(self, emit: Callable[[Record], None]) -> None:
        self._emit = emit
        self._challenged: dict[Address, tuple[int, str]] = {}
        """How many requests in a row had no credentials, and the last one's branch."""
        self._until: dict[Address, float] = {}
        """Those that are offered MD5 alone; monotonic seconds."""
        self._told: dict[int, float] = {}
        """Devices by when it was recorded of them; UTC seconds."""

    def knows_md5_alone(self, source: Address, branch: str, now: float) -> bool:
        """Whether to offer MD5 alone to a request without credentials; one that comes again is one."""
        if self._is_known(source, now):
            return True
        count, last = self._challenged.pop(source, (0, ""))
        if branch != last:
            count += 1
        if count > CHALLENGES_IN_VAIN:
            self._remember(source, now)
            return True
        if len(self._challenged) >= MAX_CHALLENGED:
            del self._challenged[next(iter(self._challenged))]
        self._challenged[source] = count, branch
        return False

    def answered(self, source: Address) -> None:
        """Credentials came from there: whatever it was offered, it could answer."""
        if source in self._challenged:
            del self._challenged[source]

    def proved(self, source: Address, line_id: int, device_id: int, now: float, at: float) -> None:
        """A device has shown MD5 credentials: one of those phones goes on for another while."""
        if not self._until or not self._is_known(source, now):
            return
        self._until[source] = now + OLD_PHONE_S
        if self._told.get(device_id, 0.0) + TELL_OLD_PHONE_S <= at:
            self._told.pop(device_id, None)
            if len(self._told) >= MAX_CHALLENGED:
                del self._told[next(iter(self._told))]
            self._told[device_id] = at
            fields = {"line": line_id, "device": device_id}
            self._emit(Record(Kind.DEVICE_MD5, "", at, fields))

    def _is_known(self, source: Address, now: float) -> bool:
        until = self._until.get(source)
        if until is None:
            return False
        if until > now:
            return True
        del self._until[source]
        return False

    def _remember(self, source: Address, now: float) -> None:
        if len(self._until) >= MAX_CHALLENGED:
            del self._until[next(iter(self._until))]
        self._until[source] = now + OLD_PHONE_S
