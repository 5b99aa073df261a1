"""Calls whose ends vanished: an OPTIONS inside the dialog asks each end whether it is still there.

A phone that crashed, or lost its network for good, sends no BYE. 481 says that it knows nothing of
the call; no answer twice in a row, that nobody is there: the other side gets a BYE and the call its
record. Dialogs with a session timer (RFC 4028) are not asked: they are over when the interval lapses
without a refresh, and a proxy sends no BYE then (§8.3).
"""

from __future__ import annotations

import contextlib
from typing import Final

from sipcore.apps.host import Host
from sipcore.bindings import Binding
from sipcore.calls import Call, Dialog, bye_request, probe_request
from sipcore.campus.call_control import CallControl
from sipcore.campus.in_call import InCallSender
from sipcore.campus.limits import MISSES
from sipcore.errors import MalformedMessage
from sipcore.eventlog import Cause, Side
from sipcore.message import Response
from sipcore.transaction import ClientTransaction
from sipcore.transport.flow import Flow

GONE_REASON: Final = 'SIP;cause=480;text="The other phone is gone"'


class Liveness:
    """Looks after the answered calls of a worker; each comes here from the timer heap."""

    def __init__(self, host: Host, control: CallControl, sender: InCallSender) -> None:
        self._host = host
        self._control = control
        self._sender = sender

    def look(self, call: Call, now: float) -> None:
        """A call is due: end the sessions that lapsed, ask the ends that have none."""
        for dialog in list(call.dialogs.values()):
            if not dialog.session_until:
                self._ask(call, dialog, Side.CALLER, now)
                self._ask(call, dialog, Side.CALLEE, now)
            elif dialog.session_until <= now:
                self.end(call, dialog, "session not refreshed", now)
        self._host.calls.plan_next(call, now)

    def _ask(self, call: Call, dialog: Dialog, side: Side, now: float) -> None:
        request = probe_request(call, dialog, side)
        probe = Probe(self, self._host, call, dialog, side)
        self._sender.send(request, self._way_to(dialog.leg(side).flow), probe, now)

    def _way_to(self, flow: Flow | None) -> Flow | None:
        """How a party is reached now: a phone that has registered anew, without a flow, by its contact."""
        host = self._host
        binding = None if flow is None else host.bindings.phone_now(flow, host.at)
        if binding is None or binding.flow is not None:
            return flow
        with contextlib.suppress(MalformedMessage):
            return host.next_hops.flow_to(binding.contact) or flow
        return flow

    def gone(self, call: Call, dialog: Dialog, side: Side, why: str, now: float) -> None:
        """One end is not there any more: tell the other."""
        if call.call_ended or call.dialogs.get(dialog.callee_tag) is not dialog:
            return
        other = Side.CALLER if side is Side.CALLEE else Side.CALLEE
        bye = bye_request(call, dialog, other, GONE_REASON)
        self._sender.send(bye, dialog.leg(other).flow, None, now)
        self.end(call, dialog, f"{side} {why}", now)

    def end(self, call: Call, dialog: Dialog, reason: str, now: float) -> None:
        """A dialog is over, and nobody has said so."""
        host = self._host
        self._control.forget_dialog(call, dialog)
        host.calls.hang_up(
            call, dialog.callee_tag, Side.SYSTEM, now, host.at, Cause.VANISHED, reason
        )


class Probe:
    """One OPTIONS on its way; the owner of its client transaction."""

    __slots__ = ("_call", "_dialog", "_host", "_liveness", "_side")

    def __init__(
        self, liveness: Liveness, host: Host, call: Call, dialog: Dialog, side: Side
    ) -> None:
        self._liveness = liveness
        self._host = host
        self._call = call
        self._dialog = dialog
        self._side = side

    def on_response(self, tx: object, response: Response, now: float) -> None:
        """Any answer but 481 comes from somebody who is there, 408 from whoever found nobody.

        What ends a call must come from the host that was asked, or twice: a server may answer from
        another of its addresses, and so may somebody who forges.
        """
        if response.status == 481:
            self._missed("does not know the call", now, at_once=not response.from_elsewhere)
        elif response.status == 408:
            self._missed("does not answer", now)
        elif response.status >= 200:
            self._dialog.leg(self._side).misses = 0

    def on_timeout(self, tx: object, now: float) -> None:
        """No answer at all."""
        self._tell_of_silence(tx)
        self._missed("does not answer", now)

    def _tell_of_silence(self, tx: object) -> None:
        """The owner of a device that is still registered sees that it does not answer."""
        host, leg = self._host, self._dialog.leg(self._side)
        is_callee = self._side is Side.CALLEE
        line_id = self._call.callee_line if is_callee else self._call.caller_line
        if line_id is None or not isinstance(tx, ClientTransaction):
            return
        for binding in host.bindings.bindings(line_id, host.at):
            is_it = binding.contact == leg.contact if leg.flow is None else binding.flow == leg.flow
            if is_it:
                host.silent_devices.missed_probe(binding, tx.flow.remote, host.at)
                return

    def _missed(self, why: str, now: float, *, at_once: bool = False) -> None:
        leg = self._dialog.leg(self._side)
        leg.misses += 1
        if at_once or leg.misses >= MISSES:
            self._liveness.gone(self._call, self._dialog, self._side, why, now)

    def on_transport_failure(self, tx: object, now: float) -> None:
        """It could not be sent. A phone that has registered anew meanwhile may still talk: it is asked next.

        The same phone, that is, known by its instance or device: another one of its owner's tells nothing.
        """
        host, flow = self._host, self._dialog.leg(self._side).flow
        binding = None if flow is None else host.bindings.phone_now(flow, host.at)
        if binding is None or self._was_sent_to(tx, binding):
            self.on_timeout(tx, now)

    def _was_sent_to(self, tx: object, binding: Binding) -> bool:
        if not isinstance(tx, ClientTransaction):
            return False
        return binding.flow is None or binding.flow == tx.flow
