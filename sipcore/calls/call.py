"""One call per context, its dialogs, its end and the cause of it.

A call begins when its INVITE is admitted, may be answered by several phones (a dialog for each 2xx
of a fork) and ends with the last dialog or with the final failure. `CallTable` writes each step as
a record and keeps a journal row of every open call, from which a restarted worker adopts it.

An answered call has one entry in the worker's timer heap: when to look whether its ends are still
there (`apps.campus.vanished`), or its session lapses, or it has taken the longest time a call may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from sipcore.eventlog import Cause, Kind, Record, Side
from sipcore.message import parse_name_addr
from sipcore.transaction import TimerHeap
from sipcore.transport.flow import Flow

ADOPTED_CSEQ_MARGIN: Final = 1000
"""How far a BYE of ours leaps after a crash: requests since the last journal row are unknown."""
MOST_ANSWERS: Final = 20
"""Phones by which one call may be answered. Each makes a dialog, which is kept, probed and hung up."""
AFTER_S: Final = 180.0
"""How long requests may still come in a call that is over: its other BYE, news of a transfer."""
MAX_OVER: Final = 10_000
"""Calls remembered for that, the last ones."""
MAX_PARTY: Final = 256
"""Characters of a party's URI that is remembered of a call that is over."""
REFRESH_GRACE_S: Final = 32.0
"""64*T1: how long the answer to a refresh that was sent in time may take."""


class Dialog:
    """What is needed to follow and to end one dialog from the middle (RFC 3261 §12)."""

    __slots__ = (
        "answered_at",
        "answered_now",
        "callee_contact",
        "callee_cseq",
        "callee_flow",
        "callee_misses",
        "callee_routes",
        "callee_tag",
        "caller_contact",
        "caller_cseq",
        "caller_flow",
        "caller_misses",
        "caller_routes",
        "session_until",
    )

    def __init__(
        self,
        callee_tag: str,
        caller_contact: str,
        callee_contact: str,
        caller_routes: list[str],
        callee_routes: list[str],
        caller_cseq: int,
        callee_cseq: int,
        caller_flow: Flow | None,
        callee_flow: Flow | None,
        answered_now: float,
        answered_at: float,
        session_until: float = 0.0,
    ) -> None:
        self.callee_tag = callee_tag
        self.caller_contact = caller_contact
        self.callee_contact = callee_contact
        self.caller_routes = caller_routes
        """Record-Route values between us and the caller, nearest first."""
        self.callee_routes = callee_routes
        """Record-Route values between us and the callee, nearest first."""
        self.caller_cseq = caller_cseq
        self.callee_cseq = callee_cseq
        self.caller_flow = caller_flow
        self.callee_flow = callee_flow
        self.answered_now = answered_now
        self.answered_at = answered_at
        self.session_until = session_until
        """When the session lapses unless it is refreshed (RFC 4028 §8.2); 0.0: it never does."""
        self.caller_misses = 0
        """Probes in a row that the caller has not answered."""
        self.callee_misses = 0

    def seen(self, from_caller: bool, cseq: int) -> None:
        """A request of one side passed: it is there, and counts from here."""
        if from_caller:
            self.caller_misses = 0
            self.caller_cseq = max(self.caller_cseq, cseq)
        else:
            self.callee_misses = 0
            self.callee_cseq = max(self.callee_cseq, cseq)

    def refresh(
        self, caller_contact: str, callee_contact: str, interval_s: int, now: float
    ) -> None:
        """A 2xx to a target refresh: new remote targets ("": as before), and how long it lasts.

        `interval_s` is the session interval, 0 where the session never lapses, -1: as before.
        """
        self.caller_contact = caller_contact or self.caller_contact
        self.callee_contact = callee_contact or self.callee_contact
        if interval_s >= 0:
            self.session_until = now + interval_s + REFRESH_GRACE_S if interval_s else 0.0


def seen_note(context: str, callee_tag: str, from_caller: bool, cseq: int) -> dict[str, Any]:
    """For the holder of a call: a request inside it passed here."""
    return {"op": "seen", "c": context, "tag": callee_tag, "caller": from_caller, "cseq": cseq}


def refreshed_note(
    context: str, callee_tag: str, caller_contact: str, callee_contact: str, interval_s: int
) -> dict[str, Any]:
    """For the holder of a call: what `Dialog.refresh` would have been told."""
    return {
        "op": "refreshed",
        "c": context,
        "tag": callee_tag,
        "caller": caller_contact,
        "callee": callee_contact,
        "interval_s": interval_s,
    }


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
        "caller_line",
        "caller_tag",
        "context",
        "dialogs",
        "from_value",
        "over",
        "rung_now",
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
        self.adopted = False
        """Whether it was begun by a worker that was killed."""
        self.timer = 0
        """Its entry in the timer heap; 0: none."""

    @property
    def has_own_end(self) -> bool:
        """Whether a service of ours is at one end of the answered call."""
        return not all(d.caller_contact and d.callee_contact for d in self.dialogs.values())

    @property
    def parties(self) -> tuple[str, ...]:
        """The URIs of both, as the INVITE named them."""
        return tuple([parse_name_addr(v).uri_text for v in (self.from_value, self.to_value)])

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
        self.parties = tuple([uri for uri in call.parties if len(uri) <= MAX_PARTY])
        self.ended_now = ended_now


class CallTable:
    """All calls a worker holds. `emit` takes records, `note` takes journal rows.

    `wakes` gives an answered call back when it is due: after `probe_s`, when a session of it lapses
    or after `max_call_s`, whichever comes first.
    """

    def __init__(
        self,
        emit: Callable[[Record], None],
        note: Callable[[dict[str, Any]], None],
        wakes: TimerHeap,
        probe_s: float,
        max_call_s: float,
    ) -> None:
        self._emit = emit
        self._note = note
        self._wakes = wakes
        self._probe_s = probe_s
        self._max_call_s = max_call_s
        self._calls: dict[str, Call] = {}
        self._over: dict[str, EndedCall] = {}
        """Those that have ended here, the oldest first."""
        self._placed: dict[int, int] = {}
        """How many each account has placed."""

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls.values()))

    def get(self, context: str) -> Call | None:
        return self._calls.get(context)

    def lately_over(self, context: str, now: float) -> EndedCall | None:
        """A call that has ended here not long ago."""
        ended = self._over.get(context)
        return ended if ended is not None and ended.ended_now + AFTER_S > now else None

    def forget_over(self, now: float) -> None:
        """Let go of calls that ended long ago."""
        for context, ended in list(self._over.items()):
            if ended.ended_now + AFTER_S > now:
                break
            del self._over[context]

    def _note_end(self, call: Call, now: float) -> None:
        call.call_ended = True
        for tag in list(call.dialogs):
            call.dialog_over(tag)
        if call.over:
            self._remember(call, now)

    def _remember(self, call: Call, now: float) -> None:
        """Of a call that somebody has answered, for what may still come in it."""
        if len(self._over) >= MAX_OVER:
            del self._over[next(iter(self._over))]
        self._over[call.context] = EndedCall(call, now)

    def placed_by(self, line_id: int) -> int:
        """How many of the calls this account placed."""
        return self._placed.get(line_id, 0)

    def _hold(self, call: Call) -> None:
        self._calls[call.context] = call
        line_id = call.caller_line
        if line_id is not None:
            self._placed[line_id] = self._placed.get(line_id, 0) + 1

    def _let_go(self, context: str) -> Call | None:
        call = self._calls.pop(context, None)
        if call is not None and call.caller_line is not None:
            left = self._placed[call.caller_line] - 1
            if left:
                self._placed[call.caller_line] = left
            else:
                del self._placed[call.caller_line]
        return call

    def begin(self, call: Call, fields: dict[str, Any]) -> None:
        """A call was admitted; `fields` are those of its `call.begin` record."""
        self._hold(call)
        self._emit(Record(Kind.CALL_BEGIN, call.context, call.begun_at, fields))
        self._note(journal_row(call))

    def ring(self, call: Call, now: float, at: float) -> None:
        """A phone rings; only the first counts."""
        if call.rung_now is None:
            call.rung_now = now
            self._emit(Record(Kind.CALL_RING, call.context, at, {}))

    def answer(self, call: Call, dialog: Dialog, callee_line: int | None) -> None:
        """A 2xx made a dialog. A repeated 2xx of the same dialog changes nothing.

        One that comes when the call is over is held to be hung up, and has no record.
        """
        if dialog.callee_tag in call.dialogs or dialog.callee_tag in call.over:
            return
        call.dialogs[dialog.callee_tag] = dialog
        if call.call_ended:
            self._remember(call, dialog.answered_now)
            return
        if call.answered_now is None:
            call.answered_now = dialog.answered_now
            call.answered_at = dialog.answered_at
            if callee_line is not None:
                call.callee_line = callee_line
        fields = {"callee_line": callee_line, "tag": dialog.callee_tag[:64]}
        self._emit(Record(Kind.CALL_ANSWER, call.context, dialog.answered_at, fields))
        self._note(journal_row(call))
        self.plan_next(call, dialog.answered_now)

    def refreshed(self, call: Call, now: float) -> None:
        """A 2xx inside the call changed where its ends are, or when its session lapses."""
        if call.call_ended:
            return  # a BYE has overtaken it
        self._note(journal_row(call))
        self.plan_next(call, now)

    def is_too_long(self, call: Call, now: float) -> bool:
        """Whether an answered call has taken the longest time there is."""
        answered = call.answered_now
        return answered is not None and now >= answered + self._max_call_s

    def plan_next(self, call: Call, now: float, wait_s: float = -1.0) -> None:
        """Set the call's timer anew. `wait_s` instead of the usual time between probes."""
        answered = call.answered_now
        if answered is None or call.call_ended:
            return
        if call.timer:
            self._wakes.cancel(call.timer)
        probe_at = now + (self._probe_s if wait_s < 0 else wait_s)
        due = answered + self._max_call_s
        for dialog in call.dialogs.values():
            due = min(due, dialog.session_until or probe_at)
        call.timer = self._wakes.schedule(due, call)

    def hang_up(
        self,
        call: Call,
        callee_tag: str,
        by: Side,
        now: float,
        at: float,
        cause: Cause = Cause.COMPLETED,
        reason: str = "",
    ) -> None:
        """One dialog is over, by a BYE if nothing else is said; the last one ends the call."""
        if call.dialog_over(callee_tag) and not call.dialogs:
            status = 200 if cause is Cause.COMPLETED else None
            self.end(call, cause, by, now, at, status=status, reason=reason)

    def end(
        self,
        call: Call,
        cause: Cause,
        by: Side,
        now: float,
        at: float,
        *,
        status: int | None = None,
        reason: str = "",
    ) -> None:
        """The call is over; the second end of a call is ignored."""
        if call.call_ended:
            return
        self._let_go(call.context)
        self._wakes.cancel(call.timer)
        answered = call.answered_now
        ring_end = now if answered is None else answered
        fields = {
            "cause": cause,
            "by": by,
            "status": status,
            "reason": reason[:200],
            "ring_s": round(max(0.0, ring_end - call.begun_now), 3),
            "duration_s": None if answered is None else round(max(0.0, now - answered), 3),
        }
        self._emit(Record(Kind.CALL_END, call.context, at, fields))
        self._note({"op": "end", "c": call.context})
        self._note_end(call, now)

    def ended_elsewhere(self, context: str, now: float) -> None:
        """Another worker or node saw the end and wrote its record; forget the call here."""
        call = self._let_go(context)
        if call is not None:
            self._note_end(call, now)
            self._wakes.cancel(call.timer)
            self._note({"op": "end", "c": context})

    def seen_elsewhere(self, note: Mapping[str, Any]) -> None:
        """A request inside a call passed another worker or node (`seen_note`)."""
        dialog = self._dialog_of(note)
        if dialog is not None:
            dialog.seen(note["caller"], note["cseq"])

    def refreshed_elsewhere(self, note: Mapping[str, Any], now: float) -> None:
        """A session was refreshed through another worker or node (`refreshed_note`)."""
        call, dialog = self._calls.get(note["c"]), self._dialog_of(note)
        if call is not None and dialog is not None:
            dialog.refresh(note["caller"], note["callee"], note["interval_s"], now)
            self.refreshed(call, now)

    def _dialog_of(self, note: Mapping[str, Any]) -> Dialog | None:
        call = self._calls.get(note["c"])
        return call.dialogs.get(note["tag"]) if call is not None else None

    def end_not_held(self, context: str, by: Side, at: float) -> None:
        """A BYE with our token ended a call that this worker does not hold."""
        fields = {
            "cause": Cause.COMPLETED,
            "by": by,
            "status": 200,
            "reason": "",
            "ring_s": None,
            "duration_s": None,
        }
        self._emit(Record(Kind.CALL_END, context, at, fields))

    def adopt(self, rows: Iterable[dict[str, Any]], now: float, at: float) -> int:
        """Take over the calls that a stopped worker left in its journal; returns how many.

        Answered calls go on; those of a service of ours ended with its dialogs, and are due at once.
        Unanswered ones ended with their transactions: they get the record that they were lost.
        The BYE that ended a call may have been taken and not sent on: it will come again.
        """
        open_rows: dict[str, dict[str, Any]] = {}
        for row in rows:
            if row.get("op") == "open":
                open_rows[row["c"]] = row
            else:
                ended = open_rows.pop(row.get("c", ""), None)
                if ended is not None:
                    self._note_end(call_from_row(ended, now, at), now)
        adopted = 0
        for row in open_rows.values():
            call = call_from_row(row, now, at)
            self._hold(call)
            if call.dialogs:
                adopted += 1
                self._note(journal_row(call))
                # Not all of them at once, five minutes from now.
                wait_s = self._probe_s * adopted / len(open_rows)
                self.plan_next(call, now, 0.0 if call.has_own_end else wait_s)
            else:
                self.end(call, Cause.LOST, Side.SYSTEM, now, at)
        return adopted


def journal_row(call: Call) -> dict[str, Any]:
    """An open call as its journal row: enough to route, end and account it."""
    return {
        "op": "open",
        "c": call.context,
        "call_id": call.call_id,
        "tag": call.caller_tag,
        "from": call.from_value,
        "to": call.to_value,
        "lines": [call.caller_line, call.callee_line],
        "at": call.begun_at,
        "dialogs": [
            [
                d.callee_tag,
                d.caller_contact,
                d.callee_contact,
                d.caller_routes,
                d.callee_routes,
                d.caller_cseq,
                d.callee_cseq,
                d.caller_flow,
                d.callee_flow,
                d.answered_at,
                d.session_until and d.session_until - d.answered_now + d.answered_at,
            ]
            for d in call.dialogs.values()
        ],
        "answered_at": call.answered_at,
    }


def call_from_row(row: dict[str, Any], now: float, at: float) -> Call:
    """The call of a journal row, with its times on this process's monotonic clock."""
    call = Call(
        context=row["c"],
        call_id=row["call_id"],
        caller_tag=row["tag"],
        from_value=row["from"],
        to_value=row["to"],
        caller_line=row["lines"][0],
        callee_line=row["lines"][1],
        begun_now=now - (at - row["at"]),
        begun_at=row["at"],
    )
    call.adopted = True
    for d in row["dialogs"]:
        call.dialogs[d[0]] = Dialog(
            callee_tag=d[0],
            caller_contact=d[1],
            callee_contact=d[2],
            caller_routes=d[3],
            callee_routes=d[4],
            caller_cseq=d[5],
            callee_cseq=d[6],
            caller_flow=_flow(d[7]),
            callee_flow=_flow(d[8]),
            answered_now=now - (at - d[9]),
            answered_at=d[9],
            session_until=d[10] - at + now if len(d) > 10 and d[10] else 0.0,
        )
    if row["answered_at"] is not None:
        call.answered_at = row["answered_at"]
        call.answered_now = now - (at - row["answered_at"])
    return call


def _flow(value: list[Any] | None) -> Flow | None:
    if value is None:
        return None
    transport, local, remote, connection = value[:4]
    peer = value[4] if len(value) > 4 else ""
    return Flow(transport, (local[0], local[1]), (remote[0], remote[1]), connection, peer)
