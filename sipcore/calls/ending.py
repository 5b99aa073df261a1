"""Requests into a call from the middle, as each side expects them from the other.

They carry no Via yet: the sender adds its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sipcore.calls.call import Call, Dialog
from sipcore.eventlog import Side
from sipcore.message import Request
from sipcore.message.message import MAX_CSEQ

ADOPTED_CSEQ_MARGIN: Final = 1000
"""How far a BYE of ours leaps after a crash: requests since the last journal row are unknown."""


def bye_requests(call: Call, dialog: Dialog, reason: str) -> Iterator[tuple[Side, Request]]:
    """The BYE for the callee, then the one for the caller.

    `reason` is a Reason header value (RFC 3326).
    """
    for side in (Side.CALLEE, Side.CALLER):
        yield side, bye_request(call, dialog, side, reason)


def bye_request(call: Call, dialog: Dialog, to: Side, reason: str) -> Request:
    """The BYE for one side (RFC 3261 §15.1.1)."""
    step = 1 + (ADOPTED_CSEQ_MARGIN if call.adopted else 0)
    return _inside(call, dialog, to, "BYE", step, [("Reason", reason)])


def ack_request(call: Call, dialog: Dialog) -> Request:
    """The ACK of the callee's 2xx, where the caller sends none (RFC 3261 §13.2.2.4)."""
    return _inside(call, dialog, Side.CALLEE, "ACK", 0, ())


def probe_request(call: Call, dialog: Dialog, to: Side) -> Request:
    """An OPTIONS that asks one side whether it still knows the dialog (RFC 3261 §11).

    Its CSeq is the last one seen in that direction: the other side's next request still counts as
    newer. Whoever thinks it too low says so, which is an answer.
    """
    return _inside(call, dialog, to, "OPTIONS", 0, [("Accept", "application/sdp")])


def _inside(
    call: Call,
    dialog: Dialog,
    to: Side,
    method: str,
    step: int,
    more: Iterable[tuple[str, str]],
) -> Request:
    caller, callee = call.from_value, f"{call.to_value};tag={dialog.callee_tag}"
    if to is Side.CALLEE:
        leg, sender, from_value, to_value = dialog.callee, dialog.caller, caller, callee
    else:
        leg, sender, from_value, to_value = dialog.caller, dialog.callee, callee, caller
    # Nobody reads a number beyond this; one that equals the last is still not out of order.
    number = min(sender.cseq + step, MAX_CSEQ)
    headers = [("Route", route) for route in leg.routes]
    headers += [
        ("Max-Forwards", "70"),
        ("From", from_value),
        ("To", to_value),
        ("Call-ID", call.call_id),
        ("CSeq", f"{number} {method}"),
        *more,
    ]
    return Request.build(method, leg.contact, headers)
