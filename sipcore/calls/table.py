"""All calls that a worker holds: each step a record, each open call a row of the journal.

A call begins when its INVITE is admitted, may be answered by several phones and ends with the last
dialog or with the final failure. An answered call has one entry in the worker's timer heap: when to
look whether its ends are still there (`campus.liveness`), or its session lapses, or it has taken the
longest time a call may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from sipcore.calls.call import Call, Dialog, EndedCall
from sipcore.calls.journal import call_from_row, journal_row
from sipcore.calls.limits import AFTER_S, MAX_NAMESAKES, MAX_OVER
from sipcore.calls.moved import LegFacts, MovedParties, Party, Place, facts_of, place_told
from sipcore.calls.moves import Moves
from sipcore.eventlog import Cause, Kind, Record, Side
from sipcore.perimeter import StrangerCalls
from sipcore.transaction import TimerHeap


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
        self._ended_not_held: dict[str, None] = {}
        """Calls of other workers whose end was seen here, the last ones."""
        self._named: dict[tuple[str, str], tuple[Call, ...]] = {}
        """By Call-ID and caller's tag."""
        self._placed: dict[int, int] = {}
        """How many each account has placed."""
        self.moved = MovedParties()
        """Who has moved in a call, also in those that other workers hold."""
        self.strangers = StrangerCalls()
        """Which of them strangers have placed."""
        self.moves = Moves(emit)
        """Which of them were handed on."""

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls.values()))

    def get(self, context: str) -> Call | None:
        return self._calls.get(context)

    def named(self, call_id: str, tags: tuple[str, str]) -> list[Call]:
        """The calls with this dialog, the tags in either order; before the answer one tag will do."""
        found = []
        for caller_tag, callee_tag in (tags, tags[::-1]):
            for call in self._named.get((call_id, caller_tag), ()):
                if call.answered_now is None or callee_tag in call.dialogs:
                    found.append(call)  # noqa: PERF401 (two loops and a condition in one expression)
        return found

    def lately_over(self, context: str, now: float) -> EndedCall | None:
        """A call that has ended here not long ago."""
        ended = self._over.get(context)
        return ended if ended is not None and ended.ended_now + AFTER_S > now else None

    def now_and_lately(self, now: float) -> list[Call | EndedCall]:
        """The calls that go on, and those that have ended here not long ago."""
        over = [ended for ended in self._over.values() if ended.ended_now + AFTER_S > now]
        return [*self._calls.values(), *over]

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
        name = (call.call_id, call.caller_tag)
        namesakes = self._named.get(name, ())
        if len(namesakes) < MAX_NAMESAKES:
            self._named[name] = (*namesakes, call)
        line_id = call.caller_line
        if line_id is not None:
            self._placed[line_id] = self._placed.get(line_id, 0) + 1

    def _let_go(self, context: str) -> Call | None:
        call = self._calls.pop(context, None)
        if call is None:
            return None
        name = (call.call_id, call.caller_tag)
        others = tuple([other for other in self._named.get(name, ()) if other is not call])
        if others:
            self._named[name] = others
        else:
            self._named.pop(name, None)
        if call.caller_line is None:
            self.strangers.ended(context)
        else:
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

    def answer(
        self, call: Call, dialog: Dialog, callee_line: int | None, callee_device: int = 0
    ) -> None:
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
            if call.caller_line is None:
                self.strangers.answered(call.context)
            if callee_line is not None:
                call.callee_line = callee_line
        fields = {
            "callee_line": callee_line,
            "callee_device": callee_device,
            "tag": dialog.callee_tag[:64],
        }
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
        fields: dict[str, object] = {
            "cause": cause,
            "by": by,
            "status": status,
            "reason": reason[:200],
            "ring_s": round(max(0.0, ring_end - call.begun_now), 3),
            "duration_s": None if answered is None else round(max(0.0, now - answered), 3),
        }
        if call.phones:
            fields["phones"] = call.phones
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
            leg = dialog.caller if note["caller"] else dialog.callee
            leg.seen(note["cseq"])

    def refreshed_elsewhere(self, note: Mapping[str, Any], now: float) -> None:
        """A session was refreshed through another worker or node (`refreshed_note`)."""
        call, dialog = self._calls.get(note["c"]), self._dialog_of(note)
        if call is not None and dialog is not None:
            dialog.refresh(note["caller"], note["callee"], note["interval_s"], now)
            self.refreshed(call, now)

    def facts_of(self, party: Party) -> LegFacts | None:
        """What is known of a party; None where its dialog is not held here."""
        call = self._calls.get(party.context)
        dialog = None if call is None else call.dialogs.get(party.callee_tag)
        if call is None or dialog is None:
            return None
        if party.is_caller:
            return facts_of(call.caller_line, dialog.caller)
        return facts_of(call.callee_line, dialog.callee)

    def party_moved(self, party: Party, place: Place, now: float) -> None:
        """A party of a call, held here or not, is in another network from now on."""
        self.moved.put(party, place)
        call = self._calls.get(party.context)
        dialog = None if call is None else call.dialogs.get(party.callee_tag)
        if call is not None and dialog is not None:
            leg = dialog.caller if party.is_caller else dialog.callee
            leg.move(place.flow, place.source)
            self.refreshed(call, now)

    def moved_elsewhere(self, note: Mapping[str, Any], now: float) -> None:
        """Another worker or node has seen it (`moved_note`)."""
        self.party_moved(*place_told(note), now)

    def _know_moved(self, call: Call) -> None:
        for tag, dialog in call.dialogs.items():
            for is_caller, leg in zip((True, False), dialog.legs, strict=True):
                if leg.has_moved and leg.source is not None:
                    self.moved.put(Party(call.context, tag, is_caller), Place(leg.flow, leg.source))

    def _dialog_of(self, note: Mapping[str, Any]) -> Dialog | None:
        call = self._calls.get(note["c"])
        return call.dialogs.get(note["tag"]) if call is not None else None

    def end_not_held(self, context: str, by: Side, at: float) -> None:
        """A BYE with our token ended a call that this worker does not hold.

        Sent again, with the same token, it has no record: nobody here knows whether the call is over.
        """
        if context in self._ended_not_held:
            return
        if len(self._ended_not_held) >= MAX_OVER:
            del self._ended_not_held[next(iter(self._ended_not_held))]
        self._ended_not_held[context] = None
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
                self._know_moved(call)
                self._note(journal_row(call))
                # Not all of them at once, five minutes from now.
                wait_s = self._probe_s * adopted / len(open_rows)
                self.plan_next(call, now, 0.0 if call.has_own_end else wait_s)
            else:
                self.end(call, Cause.LOST, Side.SYSTEM, now, at)
        return adopted
