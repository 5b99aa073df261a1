"""Ending calls from the middle: what rings is cancelled, what was answered gets a BYE on both sides."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import Final

from sipcore.apps.host import Host
from sipcore.calls import Call, Dialog, ack_request, bye_request, bye_requests
from sipcore.campus.agents import Agents
from sipcore.campus.in_call import InCallSender
from sipcore.campus.limits import CALLS_AT_ONCE, STEP_S
from sipcore.errors import MalformedMessage
from sipcore.eventlog import Cause, Side
from sipcore.transaction import ServerTransaction

TERMINATED_REASON: Final = 'SIP;cause=480;text="Ended by the service"'
LATE_REASON: Final = 'SIP;cause=408;text="The caller waits no longer"'
ELSEWHERE_REASON: Final = 'SIP;cause=200;text="Call completed elsewhere"'
TOO_LONG_REASON: Final = 'SIP;cause=480;text="The longest time of a call is over"'


class CallControl:
    """The calls of a worker that are being placed, and the ways a call is ended by us."""

    def __init__(self, host: Host, agents: Agents, sender: InCallSender) -> None:
        self._host = host
        self._agents = agents
        self._sender = sender
        self._placed: dict[str, ServerTransaction] = {}
        """The INVITEs of what rings, by call context."""
        self._endings = _Endings(host)

    def __len__(self) -> int:
        """How many calls ring."""
        return len(self._placed)

    def rings(self, call: Call, invite: ServerTransaction) -> None:
        """A call is being placed; the owner of its INVITE's transaction can cancel it."""
        self._placed[call.context] = invite

    def rings_no_more(self, call: Call) -> None:
        """Its INVITE has its final response."""
        self._placed.pop(call.context, None)

    def end_call(
        self,
        call: Call,
        now: float,
        cause: Cause = Cause.TERMINATED,
        reason: str = TERMINATED_REASON,
    ) -> None:
        """End an ongoing call: cancel what rings, BYE to both sides of what was answered."""
        host = self._host
        invite = self._placed.get(call.context)
        if invite is not None:
            call.terminated = True
            if invite.owner is not None:
                invite.owner.cancel(now, [reason])
        dialogs = list(call.dialogs.values())
        for dialog in dialogs:
            call.dialog_over(dialog.callee_tag)
            self._agents.forget(call, dialog)
            for side, bye in bye_requests(call, dialog, reason):
                self._sender.send(bye, dialog.leg(side).flow, None, now)
        if dialogs:
            host.calls.end(call, cause, Side.SYSTEM, now, host.at)

    def end_calls_of(self, line_ids: Collection[int], now: float) -> None:
        """End all calls in which one of these accounts is a party."""
        calls = [
            call
            for call in self._host.calls
            if call.caller_line in line_ids or call.callee_line in line_ids
        ]
        self._endings.add(calls, self.end_call, now)

    def end_old_calls(self, older_than: float, now: float) -> None:
        """End the calls that began before this time and nobody has answered."""
        calls = [
            call
            for call in self._host.calls
            if call.answered_now is None and call.begun_now < older_than
        ]
        self._endings.add(calls, self._end_old_call, now)

    def _end_old_call(self, call: Call, now: float) -> None:
        if call.answered_now is not None:
            return  # meanwhile
        host = self._host
        self.end_call(call, now)
        if call.context not in self._placed:
            host.calls.end(call, Cause.LOST, Side.SYSTEM, now, host.at)

    def end_if_due(self, call: Call, now: float) -> bool:
        """End an answered call that has gone on too long, or lost its end with our last life."""
        if self._host.calls.is_too_long(call, now):
            self.end_call(call, now, Cause.TOO_LONG, TOO_LONG_REASON)
        elif call.adopted and call.has_own_end:
            self.end_call(call, now, Cause.LOST)  # our end of it died with the last worker
        else:
            return False
        return True

    def end_late_answer(self, call: Call, now: float) -> None:
        """End a call whose 2xx came too late, once that 2xx has gone on to the caller.

        The BYE goes after the 2xx, not before, and at once: who died in between would leave two
        phones to talk.
        """
        self._host.wake(_LateAnswer(self, self._host, call), now)

    def hang_up_late(self, call: Call, dialog: Dialog, now: float, *, is_again: bool) -> None:
        """ACK and BYE for a phone that was picked up when the caller had been told how the call ended.

        `is_again`: of its 2xx that comes again, which needs the ACK alone (RFC 3261 §13.3.1.4).
        """
        host, flow = self._host, dialog.callee.flow
        with contextlib.suppress(MalformedMessage):  # its Record-Route or Contact
            ack = ack_request(call, dialog)
            self._sender.send_ack(ack, flow, host.new_branch("0"), now)
        if not is_again:
            reason = LATE_REASON if call.answered_now is None else ELSEWHERE_REASON
            bye = bye_request(call, dialog, Side.CALLEE, reason)
            self._sender.send(bye, flow, None, now)

    def placing(self) -> list[ServerTransaction]:
        """The INVITEs of the calls that ring, those that services of ours place among them."""
        return list(self._placed.values())

    def give_up(self, call: Call, now: float) -> None:
        """Cancel a call of a service that was not answered yet."""
        invite = self._placed.get(call.context)
        if invite is not None and invite.owner is not None:
            invite.owner.cancel(now)

    def forget_dialog(self, call: Call, dialog: Dialog) -> None:
        """A dialog is over: if one of our services holds it, it is to let it go."""
        self._agents.forget(call, dialog)


class _Endings:
    """Calls that are to be ended, some in each step: a turn with thousands keeps all phones waiting."""

    __slots__ = ("_host", "_waiting")

    def __init__(self, host: Host) -> None:
        self._host = host
        self._waiting: deque[tuple[Call, Callable[[Call, float], None]]] = deque()

    def add(self, calls: Sequence[Call], end: Callable[[Call, float], None], now: float) -> None:
        """A few are ended now; of many each step ends some, the first of them at once."""
        is_at_work = bool(self._waiting)
        self._waiting.extend([(call, end) for call in calls])
        if not is_at_work:
            self.advance(now)

    def advance(self, now: float) -> None:
        """Take the next step; the others come when the loop has looked at its sockets."""
        host, waiting = self._host, self._waiting
        if len(waiting) > CALLS_AT_ONCE:
            host.wake(self, now + STEP_S)  # also where one of them cannot be ended
        else:
            host.sleep(self)
        for _ in range(min(CALLS_AT_ONCE, len(waiting))):
            call, end = waiting.popleft()
            if host.calls.get(call.context) is call:
                end(call, now)


class _LateAnswer:
    """Ends a call that was answered too late."""

    __slots__ = ("_call", "_control", "_host")

    def __init__(self, control: CallControl, host: Host, call: Call) -> None:
        self._control = control
        self._host = host
        self._call = call

    def advance(self, now: float) -> None:
        self._host.sleep(self)
        self._control.end_call(self._call, now)
