"""The response context: the branches of one proxied request together (RFC 3261 §16.6-16.10).

It launches the groups of a plan one after another, forwards provisional and 2xx responses at once,
waits with the others until every branch is done and then forwards the best. Choosing is the work
of `best_response`, which group is next that of `walk`, sending that of `branch`. Time comes in with
every call; the host wakes it through `advance`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sipcore.errors import MalformedMessage
from sipcore.eventlog import Heard
from sipcore.locate import OWN_REQUESTS
from sipcore.message import Request, Response
from sipcore.proxy.best_response import best_response, merge_challenges
from sipcore.proxy.branch import FLOW_FAILED, Branch, Forking
from sipcore.proxy.forward import read_max_breadth, remove_assertions, remove_challenges
from sipcore.proxy.header_rules import take_out
from sipcore.proxy.host import ProxyHost
from sipcore.proxy.limits import TIMER_C_S
from sipcore.proxy.purpose import JUST_FORWARD, Purpose
from sipcore.proxy.rules import loop_hash
from sipcore.proxy.stopping import come_again
from sipcore.proxy.trust import Trust
from sipcore.proxy.walk import Walk
from sipcore.routing.plan import Group, Target
from sipcore.transaction import ServerTransaction


def forward(
    host: ProxyHost,
    tx: ServerTransaction,
    request: Request,
    groups: Sequence[Group],
    purpose: Purpose,
    now: float,
    *,
    own_realm: str = "",
    identities: Sequence[str] = (),
    tells_of_flows: bool = False,
    sender: Trust = Trust.STRANGER,
    receiver: Trust = Trust.STRANGER,
) -> None:
    """Proxy a request: its response context is the owner of `tx` from here on.

    `own_realm`: credentials for it go no further. `identities`: the P-Asserted-Identity values to
    send in place of those it came with. `sender`, `receiver`: which headers pass (`header_rules`).
    `tells_of_flows`: 430 goes on as it is, to a proxy that asked
    for this very flow.
    """
    remove_assertions(request)
    take_out(request, sender, receiver)
    for value in identities:
        request.append("P-Asserted-Identity", value)
    context = ResponseContext(
        host, tx, request, groups, purpose, own_realm=own_realm, tells_of_flows=tells_of_flows
    )
    context.sender, context.receiver = sender, receiver
    context.start(now)


class ResponseContext(Forking):
    """One proxied request. `tx` is its server transaction, `request` what was received."""

    __slots__ = (
        "branches",
        "final_sent",
        "given_up_with",
        "reasons",
        "receiver",
        "sender",
        "tells_of_flows",
        "tx",
        "wake_at",
        "walk",
    )

    def __init__(
        self,
        host: ProxyHost,
        tx: ServerTransaction,
        request: Request,
        groups: Sequence[Group],
        purpose: Purpose = JUST_FORWARD,
        *,
        own_realm: str = "",
        tells_of_flows: bool = False,
    ) -> None:
        self.host = host
        self.tx = tx
        self.request = request
        self.incoming = tx.flow
        self.stamped_via = request.stamped_via
        self.purpose = purpose
        self.own_realm = own_realm
        self.loop = loop_hash(request)
        self.is_invite = request.method == "INVITE"
        self.cancelled = False
        self.done = False
        self.walk = Walk(groups)
        self.branches: list[Branch] = []
        self.reasons: Sequence[str] = ()
        """Why the attempt was given up, for the CANCELs."""
        self.final_sent = 0
        self.given_up_with = 487
        """What the client hears in place of what a cancelled phone says."""
        self.tells_of_flows = tells_of_flows
        """Whether 430 goes on as it is: to a proxy that asked for this very flow."""
        self.wake_at = float("inf")
        self.sender = self.receiver = Trust.STRANGER
        """Of the request; its responses go the other way."""

    # --- launching -------------------------------------------------------------------------
    def start(self, now: float) -> None:
        """Launch the first group."""
        self.tx.owner = self
        self._launch_next_group(now)
        if self.is_invite:
            self.wake_at_latest(self._next_deadline(now))

    def wake_at_latest(self, deadline: float) -> None:
        if deadline < self.wake_at and not self.done:
            self.wake_at = deadline
            self.host.wake(self, deadline)

    def _launch_next_group(self, now: float) -> None:
        group = self.walk.next(now)
        if self.walk.deadline is not None:
            self.wake_at_latest(self.walk.deadline)
        fresh = [Branch(self, target, now) for target in group.targets]
        if self.walk.deadline is not None:
            for branch in fresh:
                branch.ring_until = self.walk.deadline
        self._share_breadth(fresh)
        self.branches += fresh
        for branch in fresh:
            if branch.breadth:
                branch.launch(now)
            else:
                branch.fail(440, now)

    def _share_breadth(self, fresh: list[Branch]) -> None:
        """Divide what the branches may become in all by those that begin (RFC 5393 §5.3.3).

        Where there is too little for all it is 440 for all. One after another they would be as
        many in the end, and at each of the hops that follow; so the sum is bounded as well.
        """
        left = read_max_breadth(self.request)
        for branch in self.branches:
            if branch.final is None:
                left -= branch.breadth
        count = len(fresh)
        share, rest = divmod(left, count)
        if share > 0:
            for branch in fresh:
                branch.breadth = share
            fresh[0].breadth += rest

    # --- what branches report ----------------------------------------------------------------
    def branch_answered(self, branch: Branch, response: Response, now: float) -> None:
        """A response of a branch, our Via taken off, another one below (§16.7)."""
        status = response.status
        if branch.silent and (status < 300 or not self.final_sent):
            if self.final_sent:
                self.purpose.came_late(branch.target, branch.flow, response, now)
                return
            branch.silent, branch.final = False, None  # it joins the others
            branch.heard = Heard.SAID
            self.purpose.spoke_after_all(branch.target)
            self.wake_at_latest(branch.deadline)
        if self.done:
            if 200 <= status < 300 and self.is_invite:  # every 2xx of a fork is a dialog
                self._forward(branch, response, now)
        elif status < 200:
            self._on_provisional(branch, response, now)
        elif status < 300:
            self._on_success(branch, response, now)
        elif branch.final is None:
            if _is_readable(response):
                self.branch_failed(branch, response, now)
            else:
                branch.fail(502, now)

    def _on_provisional(self, branch: Branch, response: Response, now: float) -> None:
        if branch.final is not None or response.status == 100:
            return
        if not branch.cancel_sent:
            branch.rings(now)
        if not self.final_sent:
            self._forward(branch, response, now)

    def _on_success(self, branch: Branch, response: Response, now: float) -> None:
        branch.final = response
        if self.final_sent and not self.is_invite:
            return
        try:
            self._forward(branch, response, now)
        except MalformedMessage:  # whoever cannot write the dialog's headers has not answered
            branch.fail(502, now)
            return
        self._cancel_pending(now)
        self._settle(now)

    def branch_failed(self, branch: Branch, response: Response, now: float) -> None:
        """A branch has come to its end with this failure: its own, or ours in its place."""
        branch.final = response
        target, status = branch.target, response.status
        self.purpose.went_unanswered(target, status, branch.heard)
        if status == FLOW_FAILED and _is_gone(target):
            self.host.flow_failed(target, now)
        if branch.others and status in (FLOW_FAILED, 408):
            self._try_other_flow(branch, now)
        if status >= 600:
            self._cancel_pending(now)
        self._settle(now)

    def branch_silent(self, branch: Branch, response: Response, now: float) -> None:
        branch.silent = True
        branch.heard = Heard.SILENT
        self.purpose.silent(branch.target, branch.flow, now)
        self.branch_failed(branch, response, now)

    def _try_other_flow(self, failed: Branch, now: float) -> None:
        """The same phone by another of its flows (RFC 5626 §7): never by two at a time."""
        flows, failed.others = failed.others, ()
        if self.done or self.cancelled or failed.cancel_wanted or self.final_sent:
            return
        branch = Branch(self, flows[0].followed_by(flows[1:]), now)
        branch.breadth = failed.breadth
        self.branches.append(branch)
        branch.launch(now)
        if self.is_invite:
            self.wake_at_latest(branch.deadline)

    def _settle(self, now: float) -> None:
        """After a final response: next group, or the best response, or nothing yet."""
        if any(branch.final is None for branch in self.branches):
            return
        if self.final_sent:
            self._finish(now)
            return
        worst = max((b.final.status for b in self.branches if b.final), default=0)
        if not self.cancelled and self.walk.goes_on_after(worst):
            self._launch_next_group(now)
            if self.is_invite:
                self.wake_at_latest(self._next_deadline(now))
            return
        self._forward_best(now)
        self._finish(now)

    # --- forwarding ----------------------------------------------------------------------------
    def _forward_best(self, now: float) -> None:
        finals = [b.final for b in self.branches if b.final is not None]
        best = best_response(finals)
        if self.given_up_with != 487:
            self._answer_given_up(next(b for b in self.branches if b.final is best), now)
            return
        merge_challenges(best, finals)
        branch = next(b for b in self.branches if b.final is best)
        if best.status == 408 and not self.is_invite:
            # RFC 4320 §4.2: a 408 to a non-INVITE always comes too late to be of use.
            self.purpose.may_pass(branch.target, branch.flow, best, self.cancelled, now)
            self.final_sent = 408
            return
        if best.status == FLOW_FAILED and not self.tells_of_flows:
            best = self.request.respond(480, to_tag=self.host.new_tag())
        if best.status == 503 and not branch.has_no_room:
            # §16.7 step 6: one branch's overload says nothing about this proxy.
            best = self.request.respond(500, to_tag=self.host.new_tag())
        self._forward(branch, best, now)

    def _answer_given_up(self, branch: Branch, now: float) -> None:
        """The phones have stopped ringing because we wanted it: say so, and when to come again."""
        status, host = self.given_up_with, self.host
        headers = come_again(status)
        response = self.request.respond(status, to_tag=host.new_tag(), headers=headers)
        self._forward(branch, response, now)

    def _forward(self, branch: Branch, response: Response, now: float) -> None:
        if not self.purpose.may_pass(branch.target, branch.flow, response, self.cancelled, now):
            return
        remove_assertions(response)
        take_out(response, self.receiver, self.sender)
        if response.status >= 200:
            self.final_sent = response.status
            if self.own_realm and response.status in (401, 407):
                remove_challenges(response, self.own_realm)
        self.tx.respond(response, now)

    def _finish(self, now: float) -> None:
        """Let go of the branches: what comes late is a 2xx or nothing, and needs none of them.

        The client transaction of an accepted INVITE lives on for 32 s, with us behind it. Bodies, rows
        but those of the request, and cycles that only the garbage collector would find, must not wait
        with it.
        """
        self.done = True
        for branch in self.branches:
            branch.let_go()
        self.request.shed()
        self.branches = []
        self.walk.end()
        self.host.sleep(self)
        self.purpose.ended(now)

    def asker(self, target: Target) -> str:
        """A contact is looked up for whoever registered it, all else for the sender."""
        if target.line_id is not None:
            return f"line {target.line_id}"
        if self.sender is Trust.ACCOUNT:
            return self.purpose.asker(self.host, self.request)
        return "" if self.sender is Trust.STRANGER else OWN_REQUESTS

    # --- cancelling and time ---------------------------------------------------------------
    def cancel(self, now: float, reasons: Sequence[str] = (), status: int = 487) -> None:
        """The caller's CANCEL, or our own wish to end the attempt (§16.10)."""
        if not self.is_invite or self.final_sent or self.cancelled:
            return
        self.given_up_with = status
        self.cancelled = True
        self.reasons = reasons
        self._cancel_pending(now)
        self.wake_at_latest(self._next_deadline(now))

    def give_up(self, now: float) -> None:
        """Wait no longer for phones that were cancelled."""
        for branch in list(self.branches):
            if branch.final is None:
                branch.fail(487, now)

    def _cancel_pending(self, now: float) -> None:
        if self.is_invite:
            for branch in self.branches:
                branch.cancel(now)

    def cancel_reasons(self) -> Sequence[str]:
        if not self.reasons and 200 <= self.final_sent < 300:
            # So that the other phones show no missed call (RFC 3326 §2).
            return ['SIP;cause=200;text="Call completed elsewhere"']
        return self.reasons

    def advance(self, now: float) -> None:
        """Timer C, the wait after a CANCEL and the ring time of a group."""
        if self.done or now < self.wake_at:
            return
        self.wake_at = float("inf")
        for branch in list(self.branches):
            if branch.final is None and branch.deadline <= now:
                branch.overdue(now)
        if self.walk.is_overdue(now):
            self._group_overdue(now)
        if not self.done:
            self.wake_at_latest(self._next_deadline(now))

    def _group_overdue(self, now: float) -> None:
        """The phones of a group have rung long enough: when they have stopped, the next one rings."""
        self.walk.rung_enough()
        if self.cancelled or self.final_sent:
            return
        self._cancel_pending(now)
        for branch in list(self.branches):
            if branch.final is None and not branch.provisional and branch.cancel_wanted:
                branch.fail(408, now)

    def _next_deadline(self, now: float) -> float:
        due = [b.deadline for b in self.branches if b.final is None]
        if self.walk.deadline is not None:
            due.append(self.walk.deadline)
        return max(now + 0.001, min(due, default=now + TIMER_C_S))


def _is_readable(response: Response) -> bool:
    """Whether the To of a failure can be read: the server transaction needs it for the ACK."""
    try:
        response.to_tag  # noqa: B018 (raises)
    except MalformedMessage:
        return False
    return True


def _is_gone(target: Target) -> bool:
    """Whether a flow that failed is gone for good: a connection's end is, its edge proxy knows.

    An ICMP error is a moment's: behind a NAT the phone is there again with its next keep-alive.
    """
    flow = target.flow
    return bool(target.path) or (flow is not None and flow.reliable)
