"""An open call as a row of the journal, from which a restarted worker adopts it."""

from __future__ import annotations

from typing import Any

from sipcore.calls.call import Call, Dialog
from sipcore.calls.leg import Leg
from sipcore.transport.flow import Flow


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
                d.caller.contact,
                d.callee.contact,
                d.caller.routes,
                d.callee.routes,
                d.caller.cseq,
                d.callee.cseq,
                d.caller.flow,
                d.callee.flow,
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
            caller=Leg(d[1], d[3], d[5], flow_of_row(d[7])),
            callee=Leg(d[2], d[4], d[6], flow_of_row(d[8])),
            answered_now=now - (at - d[9]),
            answered_at=d[9],
            session_until=d[10] - at + now if len(d) > 10 and d[10] else 0.0,
        )
    if row["answered_at"] is not None:
        call.answered_at = row["answered_at"]
        call.answered_now = now - (at - row["answered_at"])
    return call


def flow_of_row(value: list[Any] | None) -> Flow | None:
    """A flow as a row has it."""
    if value is None:
        return None
    transport, local, remote, connection = value[:4]
    peer = value[4] if len(value) > 4 else ""
    return Flow(transport, (local[0], local[1]), (remote[0], remote[1]), connection, peer)
