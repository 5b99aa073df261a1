"""Calls whose ends vanished: an OPTIONS inside the dialog asks each end whether it is still there.

A phone that crashed, or lost its network for good, sends no BYE. 481 says that it knows nothing of
the call; no answer twice in a row, that nobody is there: the other side gets a BYE and the call its
record. Dialogs with a session timer (RFC 4028) are not asked: they are over when the interval lapses
without a refresh, and a proxy sends no BYE then (§8.3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sipcore.calls import Call, Dialog, bye_request, probe_request
from sipcore.eventlog import Cause, Side
from sipcore.message import Response

if TYPE_CHECKING:
    from sipcore.apps.campus.service import CampusService
    from sipcore.node.worker import Worker

MISSES: Final = 2
"""So many probes in a row without an answer, and an end is gone."""
GONE_REASON: Final = 'SIP;cause=480;text="The other phone is gone"'


class Probe:
    """One OPTIONS on its way; the owner of its client transaction."""

    __slots__ = ("call", "context", "dialog", "side")

    def __init__(self, watch: Watch, call: Call, dialog: Dialog, side: Side) -> None:
        self.context = watch
        self.call = call
        self.dialog = dialog
        self.side = side


class Watch:
    """Looks after the answered calls of a worker; each comes back here from the timer heap."""

    def __init__(self, worker: Worker, service: CampusService) -> None:
        self._worker = worker
        self._service = service

    def look(self, call: Call, now: float) -> None:
        """A call is due: end the sessions that lapsed, ask the ends that have none."""
        for dialog in list(call.dialogs.values()):
            if not dialog.session_until:
                self._ask(call, dialog, Side.CALLER, now)
                self._ask(call, dialog, Side.CALLEE, now)
            elif dialog.session_until <= now:
                self._end(call, dialog, "session not refreshed", now)
        self._worker.calls.plan_next(call, now)

    def _ask(self, call: Call, dialog: Dialog, side: Side, now: float) -> None:
        request = probe_request(call, dialog, side)
        flow = dialog.caller_flow if side is Side.CALLER else dialog.callee_flow
        self._service.send_inside(request, flow, Probe(self, call, dialog, side), now)

    # --- what comes of a probe ---------------------------------------------------------------
    def on_response(self, probe: Probe, response: Response, now: float) -> None:
        """Any answer but 481 comes from somebody who is there, 408 from whoever found nobody."""
        if response.status == 481:
            self._gone(probe, "does not know the call", now)
        elif response.status == 408:
            self.on_timeout(probe, now)
        elif response.status >= 200:
            self._count(probe.dialog, probe.side, 0)

    def on_timeout(self, probe: Probe, now: float) -> None:
        """No answer at all."""
        dialog, side = probe.dialog, probe.side
        misses = dialog.caller_misses if side is Side.CALLER else dialog.callee_misses
        self._count(dialog, side, misses + 1)
        if misses + 1 >= MISSES:
            self._gone(probe, "does not answer", now)

    def on_transport_failure(self, probe: Probe, now: float) -> None:
        """The connection is gone. A phone that has registered by another may still talk."""
        call, dialog = probe.call, probe.dialog
        line_id, flow = call.callee_line, dialog.callee_flow
        if probe.side is Side.CALLER:
            line_id, flow = call.caller_line, dialog.caller_flow
        live = self._worker.bindings.bindings(line_id, self._worker.at) if line_id else []
        if all(binding.flow == flow for binding in live):
            self.on_timeout(probe, now)

    def _count(self, dialog: Dialog, side: Side, misses: int) -> None:
        if side is Side.CALLER:
            dialog.caller_misses = misses
        else:
            dialog.callee_misses = misses

    def _gone(self, probe: Probe, why: str, now: float) -> None:
        """One end is not there any more: tell the other."""
        call, dialog = probe.call, probe.dialog
        if call.call_ended or call.dialogs.get(dialog.callee_tag) is not dialog:
            return
        other, flow = Side.CALLEE, dialog.callee_flow
        if probe.side is Side.CALLEE:
            other, flow = Side.CALLER, dialog.caller_flow
        bye = bye_request(call, dialog, other, GONE_REASON)
        self._service.send_inside(bye, flow, None, now)
        self._end(call, dialog, f"{probe.side} {why}", now)

    def _end(self, call: Call, dialog: Dialog, reason: str, now: float) -> None:
        worker = self._worker
        self._service.forget_dialog(call, dialog)
        worker.calls.hang_up(
            call, dialog.callee_tag, Side.SYSTEM, now, worker.at, Cause.VANISHED, reason
        )
