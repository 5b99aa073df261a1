"""Ending a call from the middle: a BYE to each side, as each side expects it from the other."""

from __future__ import annotations

from collections.abc import Iterator

from sipcore.calls.call import Call, Dialog
from sipcore.eventlog import Side
from sipcore.message import Request


def bye_requests(call: Call, dialog: Dialog, reason: str) -> Iterator[tuple[Side, Request]]:
    """The BYE for the callee, then the one for the caller (RFC 3261 §15.1.1).

    They carry no Via yet: the sender adds its own. `reason` is a Reason header value (RFC 3326).
    """
    to_value = f"{call.to_value};tag={dialog.callee_tag}"
    yield (
        Side.CALLEE,
        _bye(
            dialog.callee_contact,
            dialog.callee_routes,
            call.from_value,
            to_value,
            call.call_id,
            dialog.caller_cseq + 1,
            reason,
        ),
    )
    yield (
        Side.CALLER,
        _bye(
            dialog.caller_contact,
            dialog.caller_routes,
            to_value,
            call.from_value,
            call.call_id,
            dialog.callee_cseq + 1,
            reason,
        ),
    )


def _bye(
    contact: str,
    routes: list[str],
    from_value: str,
    to_value: str,
    call_id: str,
    cseq: int,
    reason: str,
) -> Request:
    headers = [("Route", route) for route in routes]
    headers += [
        ("Max-Forwards", "70"),
        ("From", from_value),
        ("To", to_value),
        ("Call-ID", call_id),
        ("CSeq", f"{cseq} BYE"),
        ("Reason", reason),
    ]
    return Request.build("BYE", contact, headers)
