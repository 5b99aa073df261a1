"""A graceful stop: nothing new is taken, what rings is ended, what was answered stays.

In three steps: requests that begin something are answered 503; what rings may be answered for as
long as the operator wants, then phones get a CANCEL and callers their 503; who does not answer to
that within `STOP_WITHIN_S` is waited for no longer. Answered calls are in the journal, for the next
worker of this slot. A phone that picks up while its CANCEL is on the way is in an answered call.
"""

from __future__ import annotations

from sipcore.apps.host import Host
from sipcore.campus.call_control import CallControl
from sipcore.campus.limits import STOP_WITHIN_S
from sipcore.eventlog import Counter
from sipcore.message import Request
from sipcore.proxy import ResponseContext
from sipcore.proxy.stopping import STOPPING_REASON, come_again
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import Flow


class Draining:
    """The end of a worker's life, as the host's timers drive it."""

    def __init__(self, host: Host, control: CallControl) -> None:
        self._host = host
        self._control = control
        self._cancel_at = 0.0
        self._gives_up = False
        """Whether phones were told to stop ringing; what comes next is that nobody is waited for."""
        self._over = False

    def begin(self, wait_s: float, now: float) -> None:
        """Take nothing new; what rings may be answered for `wait_s`."""
        self._host.wake(self, now + wait_s)
        self._cancel_at = now + wait_s
        if wait_s <= 0:
            self.advance(now)

    @property
    def done(self) -> bool:
        """Whether nobody waits for an answer of ours, or has waited long enough."""
        if self._over:
            return True
        transactions = self._host.transactions
        return not (transactions.unanswered() or transactions.awaits_ack or len(self._control))

    def turns_away(self, request: Request, back: Flow) -> bool:
        """Answer a request that begins something with 503, without state.

        A phone may still register, and who is in a call goes on with it.
        """
        host = self._host
        if request.method == "REGISTER" or request.to_tag or host.transactions.has(request):
            return False
        host.count(Counter.STOPPING)
        tag = host.stateless_tag(request)
        response = request.respond(503, to_tag=tag, headers=come_again(503))
        host.send(back, response.to_bytes())
        return True

    def advance(self, now: float) -> None:
        """The next step is due: end what rings; then wait no longer."""
        if now < self._cancel_at:
            return
        self._host.sleep(self)
        if self._gives_up:
            self._wait_no_longer(now)
            self._over = True
            return
        self._gives_up = True
        self._cancel_at = now + STOP_WITHIN_S
        self._host.wake(self, self._cancel_at)
        for tx in self._open_invites():
            if not tx.request.to_tag and tx.owner is not None:
                tx.owner.cancel(now, [STOPPING_REASON], 503)

    def _open_invites(self) -> list[ServerTransaction]:
        """The INVITEs without a final response: those of phones and those of services of ours."""
        found = [tx for tx in self._host.transactions.unanswered() if tx.request.method == "INVITE"]
        return list(dict.fromkeys([*found, *self._control.placing()]))

    def _wait_no_longer(self, now: float) -> None:
        for tx in self._open_invites():
            owner = tx.owner
            if owner is not None:
                owner.cancel(now, [STOPPING_REASON], 503)
            if isinstance(owner, ResponseContext):
                owner.give_up(now)
