"""What the final response to an INVITE says about the end of its call."""

from __future__ import annotations

from typing import Final

from sipcore.apps.host import Host
from sipcore.calls import Call
from sipcore.eventlog import Cause, Side

_CAUSES: Final = {
    404: Cause.UNREACHABLE,
    408: Cause.NO_ANSWER,
    410: Cause.UNREACHABLE,
    480: Cause.UNREACHABLE,
    484: Cause.UNREACHABLE,
    486: Cause.BUSY,
    487: Cause.CANCELLED,
    600: Cause.BUSY,
    603: Cause.REJECTED,
    604: Cause.UNREACHABLE,
}


def cause_of(status: int) -> Cause:
    """The cause of a call that ended with this final response."""
    return _CAUSES.get(status, Cause.REJECTED if status in (403, 433, 488) else Cause.FAILED)


def end_unanswered(host: Host, call: Call, status: int, now: float, reason: str = "") -> None:
    """Nobody answered a call: it ends with this final status. `reason` is a Reason value."""
    is_ours = call.terminated or (host.is_stopping and status == 503)
    cause = Cause.TERMINATED if is_ours else cause_of(status)
    by = Side.CALLEE
    if cause is Cause.CANCELLED:
        by = Side.CALLER
    elif cause in (Cause.TERMINATED, Cause.NO_ANSWER, Cause.UNREACHABLE):
        by = Side.SYSTEM
    host.calls.end(call, cause, by, now, host.at, status=status, reason=reason)
