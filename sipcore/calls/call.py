"""One call: its dialogs, one for each 2xx of a fork, and what is remembered when it is over."""

from __future__ import annotations

from sipcore.calls.leg import Leg
from sipcore.calls.limits import MAX_PARTY, MOST_ANSWERS, MOST_PHONES, REFRESH_GRACE_S
from sipcore.eventlog import Heard, Side
from sipcore.message import parse_name_addr


class Dialog:
    """What is needed to follow and to end one dialog from the middle (RFC 3261 §12)."""

    __slots__ = ("answered_at", "answered_now", "callee", "callee_tag", "caller", "session_until")

    def __init__(
        self,
        callee_tag: str,
        caller: Leg,
        callee: Leg,
        answered_now: float,
        answered_at: float,
        session_until: float = 0.0,
    ) -> None:
        self.callee_tag = callee_tag
        self.caller = caller
        self.callee = callee
        self.answered_now = answered_now
        self.answered_at = answered_at
        self.session_until = session_until
        """When the session lapses unless it is refreshed (RFC 4028 §8.2); 0.0: it never does."""

    @property
    def legs(self) -> tuple[Leg, Leg]:
        """Caller and callee."""
        return self.caller, self.callee

    def leg(self, side: Side) -> Leg:
        """The party of this side."""
        return self.caller if side is Side.CALLER else self.callee

    def refresh(
        self, caller_contact: str, callee_contact: str, interval_s: int, now: float
    ) -> None:
        """A 2xx to a target refresh: new remote targets ("": as before), and how long it lasts.

        `interval_s` is the session interval, 0 where the session never lapses, -1: as before.
        """
        self.caller.contact = caller_contact or self.caller.contact
        self.callee.contact = callee_contact or self.callee.contact
        if interval_s >= 0:
            self.session_until = now + interval_s + REFRESH_GRACE_S if interval_s else 0.0


class Call:
    """An ongoing call."""

    __slots__ = (
        "adopted",
        "answered_at",
        "answered_now",
        "begun_at",
        "begun_now",
        "call_ended",
        "call_id",
        "callee_line",
        "came_back",
        "caller_line",
        "caller_tag",
        "context",
        "dialogs",
        "from_value",
        "over",
        "phones",
        "rung_now",
        "terminated",
        "timer",
        "to_value",
    )

    def __init__(
        self,
        context: str,
        call_id: str,
        caller_tag: str,
        from_value: str,
        to_value: str,
        caller_line: int | None,
        callee_line: int | None,
        begun_now: float,
        begun_at: float,
        rung_now: float | None = None,
        answered_now: float | None = None,
        answered_at: float | None = None,
        call_ended: bool = False,
    ) -> None:
        self.context = context
        self.call_id = call_id
        self.caller_tag = caller_tag
        self.from_value = from_value
        """The From header value, as the caller wrote it."""
        self.to_value = to_value
        """The To header value of the INVITE, without tag."""
        self.caller_line = caller_line
        self.callee_line = callee_line
        self.begun_now = begun_now
        self.begun_at = begun_at
        self.rung_now = rung_now
        self.dialogs: dict[str, Dialog] = {}
        self.over: tuple[str, ...] = ()
        """The callees' tags of the dialogs that have ended: a 2xx of one is an old one again."""
        self.answered_now = answered_now
        self.answered_at = answered_at
        self.call_ended = call_ended
        self.phones: tuple[tuple[int, int, str], ...] = ()
        """Our devices that did not answer: device, status, what was heard of it (`Heard`)."""
        self.came_back: tuple[str, ...] = ()
        """Our branches of its INVITE that a trusted peer has sent back to us."""
        self.adopted = False
        """Whether it was begun by a worker that was killed."""
        self.terminated = False
        """Whether we have cancelled it ourselves."""
        self.timer = 0
        """Its entry in the timer heap; 0: none."""

    def dialog_of(self, from_tag: str, to_tag: str, from_caller: bool) -> Dialog | None:
        """The dialog of a request inside the call, by both tags."""
        callee_tag, caller_tag = (to_tag, from_tag) if from_caller else (from_tag, to_tag)
        return self.dialogs.get(callee_tag) if caller_tag == self.caller_tag else None

    @property
    def has_own_end(self) -> bool:
        """Whether a service of ours is at one end of the answered call."""
        return not all(d.caller.contact and d.callee.contact for d in self.dialogs.values())

    @property
    def parties(self) -> tuple[str, ...]:
        """The URIs of both, as the INVITE named them."""
        return tuple([parse_name_addr(v).uri_text for v in (self.from_value, self.to_value)])

    def unanswered_on(self, device_id: int, status: int, heard: Heard) -> None:
        """A device of ours did not answer; the last that was heard of it counts."""
        others = tuple([phone for phone in self.phones if phone[0] != device_id])
        if len(others) < MOST_PHONES:
            self.phones = (*others, (device_id, status, heard))

    def has_all_answers(self, callee_tag: str) -> bool:
        """Whether a 2xx with this tag would be one phone more than a call may be answered by."""
        if len(self.dialogs) + len(self.over) < MOST_ANSWERS:
            return False
        return callee_tag not in self.dialogs and callee_tag not in self.over

    def is_late(self, callee_tag: str) -> bool:
        """Whether a 2xx with this tag is the first of a phone that answers when all is over."""
        return self.call_ended and callee_tag not in self.over

    def dialog_over(self, callee_tag: str) -> bool:
        """One dialog has ended; False when there is no such dialog."""
        if self.dialogs.pop(callee_tag, None) is None:
            return False
        self.over += (callee_tag,)
        return True


class EndedCall:
    """What is asked of a call that is over: whose it was."""

    __slots__ = ("callee_line", "caller_line", "caller_tag", "ended_now", "parties")

    def __init__(self, call: Call, ended_now: float) -> None:
        self.caller_tag = call.caller_tag
        self.caller_line = call.caller_line
        self.callee_line = call.callee_line
        self.parties = tuple([uri if len(uri) <= MAX_PARTY else "" for uri in call.parties])
        """As of `Call`, "" for one that is too long to keep."""
        self.ended_now = ended_now
