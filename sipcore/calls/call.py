"""One call per context, its dialogs, its end and the cause of it.

A call begins when its INVITE is admitted, may be answered by several phones (a dialog for each 2xx
of a fork) and ends with the last dialog or with the final failure. `CallTable` writes each step as
a record and keeps a journal row of every open call, from which a restarted worker adopts it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from sipcore.eventlog import Cause, Kind, Record, Side
from sipcore.transport.flow import Flow

ADOPTED_CSEQ_MARGIN: Final = 1000
"""Added to the journal's CSeq after a crash: requests since the last journal row are unknown."""


class Dialog:
    """What is needed to follow and to end one dialog from the middle (RFC 3261 §12)."""

    __slots__ = (
        "answered_at",
        "answered_now",
        "callee_contact",
        "callee_cseq",
        "callee_flow",
        "callee_routes",
        "callee_tag",
        "caller_contact",
        "caller_cseq",
        "caller_flow",
        "caller_routes",
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


class Call:
    """An ongoing call."""

    __slots__ = (
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
        "rung_now",
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
        self.answered_now = answered_now
        self.answered_at = answered_at
        self.call_ended = call_ended


class CallTable:
    """All calls a worker holds. `emit` takes records, `note` takes journal rows."""

    def __init__(
        self, emit: Callable[[Record], None], note: Callable[[dict[str, Any]], None]
    ) -> None:
        self._emit = emit
        self._note = note
        self._calls: dict[str, Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls.values()))

    def get(self, context: str) -> Call | None:
        return self._calls.get(context)

    def of_line(self, line_id: int) -> list[Call]:
        """Calls that this account placed or received."""
        return [c for c in self._calls.values() if line_id in (c.caller_line, c.callee_line)]

    def begin(self, call: Call, fields: dict[str, Any]) -> None:
        """A call was admitted; `fields` are those of its `call.begin` record."""
        self._calls[call.context] = call
        self._emit(Record(Kind.CALL_BEGIN, call.context, call.begun_at, fields))
        self._note(journal_row(call))

    def ring(self, call: Call, now: float, at: float) -> None:
        """A phone rings; only the first counts."""
        if call.rung_now is None:
            call.rung_now = now
            self._emit(Record(Kind.CALL_RING, call.context, at, {}))

    def answer(self, call: Call, dialog: Dialog, callee_line: int | None) -> None:
        """A 2xx made a dialog. A repeated 2xx of the same dialog changes nothing."""
        if dialog.callee_tag in call.dialogs or call.call_ended:
            return
        call.dialogs[dialog.callee_tag] = dialog
        if call.answered_now is None:
            call.answered_now = dialog.answered_now
            call.answered_at = dialog.answered_at
            if callee_line is not None:
                call.callee_line = callee_line
        fields = {"callee_line": callee_line, "tag": dialog.callee_tag[:64]}
        self._emit(Record(Kind.CALL_ANSWER, call.context, dialog.answered_at, fields))
        self._note(journal_row(call))

    def hang_up(self, call: Call, callee_tag: str, by: Side, now: float, at: float) -> None:
        """A BYE ended one dialog; the last one ends the call."""
        if call.dialogs.pop(callee_tag, None) is None:
            return
        if not call.dialogs:
            self.end(call, Cause.COMPLETED, by, now, at, status=200)

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
        call.call_ended = True
        self._calls.pop(call.context, None)
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

    def ended_elsewhere(self, context: str) -> None:
        """Another worker or node saw the end and wrote its record; forget the call here."""
        call = self._calls.pop(context, None)
        if call is not None:
            call.call_ended = True
            self._note({"op": "end", "c": context})

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

        Answered calls go on. Unanswered ones ended with their transactions, and calls to a service
        of ours with its dialogs: they get the record that they were lost.
        """
        open_rows: dict[str, dict[str, Any]] = {}
        for row in rows:
            if row.get("op") == "open":
                open_rows[row["c"]] = row
            else:
                open_rows.pop(row.get("c", ""), None)
        adopted = 0
        for row in open_rows.values():
            call = call_from_row(row, now, at)
            self._calls[call.context] = call
            if any(dialog.callee_contact for dialog in call.dialogs.values()):
                adopted += 1
                self._note(journal_row(call))
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
    for d in row["dialogs"]:
        call.dialogs[d[0]] = Dialog(
            callee_tag=d[0],
            caller_contact=d[1],
            callee_contact=d[2],
            caller_routes=d[3],
            callee_routes=d[4],
            caller_cseq=d[5] + ADOPTED_CSEQ_MARGIN,
            callee_cseq=d[6] + ADOPTED_CSEQ_MARGIN,
            caller_flow=_flow(d[7]),
            callee_flow=_flow(d[8]),
            answered_now=now - (at - d[9]),
            answered_at=d[9],
        )
    if row["answered_at"] is not None:
        call.answered_at = row["answered_at"]
        call.answered_now = now - (at - row["answered_at"])
    return call


def _flow(value: list[Any] | None) -> Flow | None:
    if value is None:
        return None
    transport, local, remote, connection = value
    return Flow(transport, (local[0], local[1]), (remote[0], remote[1]), connection)
