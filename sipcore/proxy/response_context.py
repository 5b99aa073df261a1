"""The response context: bookkeeping of one proxied request and its branches (RFC 3261 §16.6-16.10).

It launches the groups of a plan one after another, forwards provisional and 2xx responses at once,
waits with the others until every branch is done and then forwards the best. Choosing is the work
of `fork_strategy`. Time comes in with every call; the host wakes it through `advance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

from sipcore.errors import MalformedMessage
from sipcore.locate import Candidate, Search
from sipcore.message import Request, Response, is_sips
from sipcore.proxy.fork_strategy import best_response, merge_challenges
from sipcore.proxy.forward import (
    forwarded_request,
    next_hop_text,
    read_max_breadth,
    remove_assertions,
)
from sipcore.proxy.rules import loop_hash
from sipcore.routing.plan import SIPS_NOT_ALLOWED, Group, Target
from sipcore.transport.flow import Flow

if TYPE_CHECKING:
    from sipcore.transaction import ClientTransaction, ServerTransaction, TransactionTable

TIMER_C_S: Final = 185.0
"""A ringing branch without news is given up after this time (RFC 3261 §16.6 step 11: > 3 min)."""
NO_CLIENT_S: Final = 64.0
"""Twice 64*T1: whoever sent a request other than INVITE has long given it up (RFC 4321 §1)."""
FLOW_FAILED: Final = 430
"""The flow is gone, the phone may be reached by another (RFC 5626 §11.5). No phone is told so."""
CANCEL_WAIT_S: Final = 32.0
"""64*T1: how long a cancelled branch may take to send its final response (RFC 3261 §9.1)."""


class Servers(Protocol):
    """Finding servers by name, and remembering how they behaved (RFC 3263)."""

    def look_up(self, branch: Branch, uri_text: str, now: float) -> None:
        """Find the servers of a name; the first comes through `ResponseContext.located`."""

    def next_server(self, branch: Branch, now: float) -> None:
        """The next one, the same way."""

    def flow_of(self, server: Candidate) -> Flow:
        """How a server is reached."""

    def was_silent(self, branch: Branch, now: float) -> None:
        """The server of a branch gave no answer at all, or could not be sent to."""

    def answered(self, branch: Branch, response: Response, now: float) -> None:
        """The server of a branch answered; a 503 may ask to be left alone."""

    def stream_instead(self, flow: Flow, now: float) -> Flow | None:
        """The flow to the same peer for what is too large for a datagram, None if there is none."""

    def stream_refused(self, flow: Flow, now: float) -> None:
        """There is none after all."""


class ProxyHost(Protocol):
    """What a response context needs from the worker it lives in."""

    transactions: TransactionTable
    max_datagram_bytes: int
    """Larger requests go by a stream where the peer has one (RFC 3261 §18.1.1)."""

    @property
    def servers(self) -> Servers:
        """Where names lead."""

    def flow_to(self, uri_text: str) -> Flow | None:
        """The flow to a next hop given by address, None when its name must be looked up."""

    def via_value(self, flow: Flow, branch_id: str) -> str:
        """Our Via for this flow."""

    def new_branch(self, loop: str) -> str:
        """A fresh branch parameter that ends with the loop hash."""

    def new_tag(self) -> str:
        """A fresh To tag for a response of our own."""

    def wake(self, context: ResponseContext, deadline: float) -> None:
        """Call `context.advance` at `deadline`."""

    def record_route(self, context: ResponseContext, target: Target, flow: Flow) -> str | None:
        """Our Record-Route value for one branch, None when we need not stay on the path."""

    def going_upstream(
        self, context: ResponseContext, branch: Branch | None, response: Response, now: float
    ) -> bool:
        """A response other than 100 is about to be forwarded to the caller: account for it.

        False: it must not be forwarded.
        """

    def context_done(self, context: ResponseContext) -> None:
        """Nothing more will be started by this context."""

    def flow_failed(self, target: Target, now: float) -> None:
        """The flow that a contact registered by is gone (RFC 5626 §7)."""


class Branch:
    """One target of a fork, from launch to final response.

    It is one client transaction, or where the target is named several, one server after another.
    """

    __slots__ = (
        "breadth",
        "cancel_sent",
        "cancel_wanted",
        "context",
        "datagram",
        "deadline",
        "failure",
        "final",
        "flow",
        "provisional",
        "request",
        "search",
        "target",
        "tx",
    )

    def __init__(self, context: ResponseContext, target: Target, deadline: float) -> None:
        self.context = context
        self.target = target
        self.deadline = deadline
        self.breadth = 0
        """How many branches this one may become further on (RFC 5393 §5.3)."""
        self.tx: ClientTransaction | None = None
        self.request: Request | None = None
        self.flow: Flow | None = None
        self.final: Response | None = None
        self.provisional = False
        self.cancel_wanted = False
        self.cancel_sent = False
        self.search: Search | None = None
        """The servers of its next hop, where that is named."""
        self.failure: Response | None = None
        """Of the server before, for when there is no other."""
        self.datagram: Flow | None = None
        """The flow of a request that was too large for it."""

    def found(self, server: Candidate | None, now: float) -> None:
        """The next server of a named next hop, None when there is none left."""
        context = self.context
        flow = None if server is None else context.host.servers.flow_of(server)
        context.located(self, flow, now)

    @property
    def pending(self) -> bool:
        return self.final is None


class ResponseContext:
    """One proxied request. `tx` is its server transaction, `request` what was received."""

    __slots__ = (
        "account",
        "branches",
        "cancelled",
        "own_realm",
        "done",
        "final_sent",
        "group_deadline",
        "groups",
        "host",
        "is_invite",
        "loop",
        "next_group",
        "reasons",
        "request",
        "tells_of_flows",
        "tx",
        "wake_at",
    )

    def __init__(
        self,
        host: ProxyHost,
        tx: ServerTransaction,
        request: Request,
        groups: Sequence[Group],
        *,
        own_realm: str = "",
        account: object = None,
    ) -> None:
        self.host = host
        self.tx = tx
        self.request = request
        self.groups = groups
        self.own_realm = own_realm
        self.account = account
        """Whatever the host keeps with this request (its call)."""
        self.is_invite = request.method == "INVITE"
        self.loop = loop_hash(request)
        remove_assertions(request)
        self.branches: list[Branch] = []
        self.next_group = 0
        self.group_deadline: float | None = None
        self.reasons: list[str] = []
        self.cancelled = False
        self.final_sent = 0
        self.tells_of_flows = False
        """Whether 430 goes on as it is: to a proxy that asked for this very flow."""
        self.done = False
        self.wake_at = float("inf")

    # --- launching -------------------------------------------------------------------------
    def start(self, now: float) -> None:
        """Launch the first group."""
        self._launch_next_group(now)
        if self.is_invite and not self.done:
            self._wake(self._next_deadline(now))

    def _wake(self, deadline: float) -> None:
        if deadline < self.wake_at:
            self.wake_at = deadline
            self.host.wake(self, deadline)

    def _launch_next_group(self, now: float) -> None:
        group = self.groups[self.next_group]
        self.next_group += 1
        self.group_deadline = None
        if group.ring_s is not None and self.next_group < len(self.groups):
            self.group_deadline = now + group.ring_s
            self._wake(self.group_deadline)
        fresh = [Branch(self, target, now + TIMER_C_S) for target in group.targets]
        self._share_breadth(fresh)
        self.branches += fresh
        for branch in fresh:
            if not branch.breadth:
                self._branch_failed(branch, 440, now)
                continue
            try:
                self._launch(branch, now)
            except MalformedMessage:  # a Path, say: that one phone cannot be reached
                self._branch_failed(branch, 480, now)

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

    def _launch(self, branch: Branch, now: float) -> None:
        target = branch.target
        copy = branch.request = self._copy_for(target)
        if target.flow is not None and not target.path:
            self._send(branch, target.flow, now)
            return
        next_hop = next_hop_text(copy) if target.path or not target.hop else target.hop
        flow = self.host.flow_to(next_hop)
        if flow is None:
            self.host.servers.look_up(branch, next_hop, now)
        else:
            self._send(branch, flow, now)

    def _copy_for(self, target: Target) -> Request:
        return forwarded_request(
            self.request,
            uri_text=target.uri_text,
            record_route=None,
            path=target.path,
            own_realm=self.own_realm,
        )

    def located(self, branch: Branch, flow: Flow | None, now: float) -> None:
        """The answer to `look_up` or `next_server`: None when the name leads nowhere (else)."""
        if branch.final is not None or self.done:
            return
        if self.cancelled or branch.cancel_wanted:
            self._branch_failed(branch, 487, now)
        elif flow is not None:
            self._send_again(branch, flow, now)
        elif branch.failure is not None:
            self._on_failure(branch, branch.failure, now)
        else:
            # That there is nobody to be reached by TLS is no overload (RFC 5630 §3.3).
            self._branch_failed(branch, 480 if is_sips(branch.target.uri_text) else 503, now)

    def _try_next(self, branch: Branch, failure: Response, now: float) -> bool:
        """Go on to the next server of a name (RFC 3263 §4.3); False where that is not to be."""
        if branch.search is None or self.cancelled or branch.cancel_wanted:
            return False
        if not self.is_invite and now - (branch.deadline - TIMER_C_S) >= NO_CLIENT_S:
            return False  # nobody waits for it any more
        branch.failure = failure
        branch.tx = branch.request = None  # what its transaction has to say now is of no account
        branch.provisional = False
        branch.datagram = None
        self.host.servers.next_server(branch, now)
        return True

    def _send_again(self, branch: Branch, flow: Flow, now: float) -> None:
        """A new request, the same but for its branch and what depends on the flow."""
        if self.is_invite:
            branch.deadline = now + TIMER_C_S  # one for each client transaction
        if branch.request is None:
            branch.request = self._copy_for(branch.target)
        self._send(branch, flow, now)

    def _send(self, branch: Branch, flow: Flow, now: float) -> None:
        copy = branch.request
        assert copy is not None
        if is_sips(copy.uri_text) and not flow.secure:
            self._branch_failed(branch, 480, now, [("Warning", SIPS_NOT_ALLOWED)])
            return
        branch.flow = flow
        record_route = self.host.record_route(self, branch.target, flow)
        if record_route is not None:
            copy.push("Record-Route", record_route)
        copy.set("Max-Breadth", str(branch.breadth))
        copy.push("Via", self.host.via_value(flow, self.host.new_branch(self.loop)))
        transactions = self.host.transactions
        if flow.transport != "UDP" or branch.target.flow is not None or branch.datagram is not None:
            branch.tx = transactions.request(copy, flow, now, branch)
            return
        tx = transactions.request_within(self.host.max_datagram_bytes, copy, flow, now, branch)
        if tx is None:
            self._send_large(branch, copy, flow, now)
        else:
            branch.tx = tx

    def _send_large(self, branch: Branch, copy: Request, flow: Flow, now: float) -> None:
        """What is too large for a datagram goes by TCP where the peer takes that (§18.1.1)."""
        branch.datagram = flow
        stream = self.host.servers.stream_instead(flow, now)
        if stream is None:
            branch.tx = self.host.transactions.request(copy, flow, now, branch)
            return
        branch.request = self._copy_for(branch.target)
        self._send(branch, stream, now)

    # --- responses -------------------------------------------------------------------------
    def on_response(self, branch: Branch, response: Response, now: float) -> None:
        """A response of a branch's client transaction, its Via still on top (§16.7)."""
        response.pop("Via")
        status = response.status
        if branch.search is not None:
            self.host.servers.answered(branch, response, now)
        if status < 200:
            branch.provisional = (
                True  # its transaction waits for us now, whatever the rest is worth
            )
            if branch.cancel_wanted and not branch.cancel_sent:
                self._send_cancel(branch, now)
        if not response.has("via"):  # ours was the only one: never forwarded (§16.7 step 3)
            if status >= 200 and branch.final is None and not self.done:
                self._branch_failed(branch, 502, now)
            return
        if self.done:
            if 200 <= status < 300 and self.is_invite:  # every 2xx of a fork is a dialog
                self._forward(branch, response, now)
        elif status < 200:
            self._on_provisional(branch, response, now)
        elif status < 300:
            self._on_success(branch, response, now)
        elif branch.final is None and not (status == 503 and self._try_next(branch, response, now)):
            if _is_readable(response):
                self._on_failure(branch, response, now)
            else:
                self._branch_failed(branch, 502, now)

    def _on_provisional(self, branch: Branch, response: Response, now: float) -> None:
        if branch.final is not None:
            return
        if response.status == 100:
            return
        if not branch.cancel_sent:
            branch.deadline = now + TIMER_C_S
        if not self.final_sent:
            self._forward(branch, response, now)

    def _on_success(self, branch: Branch, response: Response, now: float) -> None:
        branch.final = response
        if self.final_sent and not self.is_invite:
            return
        try:
            self._forward(branch, response, now)
        except MalformedMessage:  # whoever cannot write the dialog's headers has not answered
            self._branch_failed(branch, 502, now)
            return
        self._cancel_pending(now)
        self._settle(now)

    def _on_failure(self, branch: Branch, response: Response, now: float) -> None:
        branch.final = response
        target = branch.target
        if response.status == FLOW_FAILED and _is_gone(target):
            self.host.flow_failed(target, now)
        if target.other_flows and response.status in (FLOW_FAILED, 408):
            self._try_other_flow(branch, target.other_flows, now)
        if response.status >= 600:
            self._cancel_pending(now)
        self._settle(now)

    def _try_other_flow(self, failed: Branch, flows: tuple[Target, ...], now: float) -> None:
        """The same phone by another of its flows (RFC 5626 §7): never by two at a time."""
        if self.done or self.cancelled or failed.cancel_wanted or self.final_sent:
            return
        target = flows[0].followed_by(flows[1:])
        branch = Branch(self, target, now + TIMER_C_S)
        branch.breadth = failed.breadth
        self.branches.append(branch)
        try:
            self._launch(branch, now)
        except MalformedMessage:
            self._branch_failed(branch, 480, now)

    def on_timeout(self, branch: Branch, now: float) -> None:
        """Timer B or F of a branch: as if it had answered 408 (§16.9)."""
        if branch.final is not None or self.done:
            return
        response = self._own_response(487 if self.cancelled else 408)
        if branch.search is not None and not branch.provisional:
            self.host.servers.was_silent(branch, now)
            if self._try_next(branch, response, now):
                return
        self._on_failure(branch, response, now)

    def on_transport_failure(self, branch: Branch, now: float) -> None:
        """A branch could not be sent: as if it had answered 503 (§16.9).

        Where the phone was to be reached on the connection it registered from, and that is gone,
        it may be there by another (430); else it is simply not there, and the caller hears 480.
        """
        if branch.final is not None or self.done:
            return
        flow, datagram = branch.flow, branch.datagram
        is_stream = flow is not None and flow.transport != "UDP"
        if flow is not None and is_stream and datagram is not None and not branch.provisional:
            self.host.servers.stream_refused(flow, now)
            if not self.cancelled and not branch.cancel_wanted:
                branch.request = None
                self._send_again(branch, datagram, now)
                return
        response = self._own_response(503 if branch.target.flow is None else FLOW_FAILED)
        if branch.search is not None:
            self.host.servers.was_silent(branch, now)
            if self._try_next(branch, response, now):
                return
        self._on_failure(branch, response, now)

    def _own_response(self, status: int, headers: Sequence[tuple[str, str]] = ()) -> Response:
        return self.request.respond(status, to_tag=self.host.new_tag(), headers=headers)

    def _branch_failed(
        self,
        branch: Branch,
        status: int,
        now: float,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._on_failure(branch, self._own_response(status, headers), now)

    def _settle(self, now: float) -> None:
        """After a final response: next group, or the best response, or nothing yet."""
        if any(branch.final is None for branch in self.branches):
            return
        if self.final_sent:
            self._finish()
            return
        worst = max((b.final.status for b in self.branches if b.final), default=0)
        if self.next_group < len(self.groups) and not self.cancelled and worst < 600:
            self._launch_next_group(now)
            return
        self._forward_best(now)
        self._finish()

    def _forward_best(self, now: float) -> None:
        finals = [b.final for b in self.branches if b.final is not None]
        best = best_response(finals)
        merge_challenges(best, finals)
        branch = next(b for b in self.branches if b.final is best)
        if best.status == 408 and not self.is_invite:
            # RFC 4320 §4.2: a 408 to a non-INVITE always comes too late to be of use.
            self.host.going_upstream(self, branch, best, now)
            self.final_sent = 408
            return
        if best.status == FLOW_FAILED and not self.tells_of_flows:
            best = self.request.respond(480, to_tag=self.host.new_tag())
        if best.status == 503:
            # §16.7 step 6: one branch's overload says nothing about this proxy.
            best = self.request.respond(500, to_tag=self.host.new_tag())
        self._forward(branch, best, now)

    def _forward(self, branch: Branch | None, response: Response, now: float) -> None:
        if not self.host.going_upstream(self, branch, response, now):
            return
        remove_assertions(response)
        if response.status >= 200:
            self.final_sent = response.status
        self.tx.respond(response, now)

    def _finish(self) -> None:
        """Let go of the branches: what comes late is a 2xx or nothing, and needs none of them.

        The client transaction of an accepted INVITE lives on for 32 s, with us behind it. Bodies, rows
        but those of the request, and cycles that only the garbage collector would find, must not wait
        with it.
        """
        self.done = True
        for branch in self.branches:
            branch.final = None
            if not branch.cancel_wanted or branch.cancel_sent:
                branch.request = None  # else it is needed for the CANCEL, should a phone ring late
        self.request.shed()
        self.branches = []
        self.groups = ()
        self.host.context_done(self)

    # --- cancelling and time ---------------------------------------------------------------
    def cancel(self, now: float, reasons: Sequence[str] = ()) -> None:
        """The caller's CANCEL, or our own wish to end the attempt (§16.10)."""
        if not self.is_invite or self.final_sent or self.cancelled:
            return
        self.cancelled = True
        self.reasons = list(reasons)
        self._cancel_pending(now)
        self._wake(self._next_deadline(now))

    def _cancel_pending(self, now: float) -> None:
        if not self.is_invite:
            return
        for branch in self.branches:
            if branch.final is None and not branch.cancel_wanted:
                branch.cancel_wanted = True
                if branch.provisional:
                    self._send_cancel(branch, now)

    def _send_cancel(self, branch: Branch, now: float) -> None:
        branch.cancel_sent = True
        branch.deadline = now + CANCEL_WAIT_S
        if branch.request is None or branch.flow is None:
            return
        request = cancel_request(branch.request, self._reasons_for_cancel())
        self.host.transactions.request(request, branch.flow, now, None)
        if self.done:
            branch.request = None
        else:
            self._wake(branch.deadline)

    def _reasons_for_cancel(self) -> list[str]:
        if self.reasons:
            return self.reasons
        if 200 <= self.final_sent < 300:
            # So that the other phones show no missed call (RFC 3326 §2).
            return ['SIP;cause=200;text="Call completed elsewhere"']
        return []

    def advance(self, now: float) -> None:
        """Timer C, the wait after a CANCEL and the ring time of a group."""
        if self.done or now < self.wake_at:
            return
        self.wake_at = float("inf")
        for branch in list(self.branches):
            if branch.final is None and branch.deadline <= now:
                self._branch_overdue(branch, now)
        if self.group_deadline is not None and self.group_deadline <= now:
            self._group_overdue(now)
        if not self.done:
            self._wake(self._next_deadline(now))

    def _branch_overdue(self, branch: Branch, now: float) -> None:
        if branch.cancel_sent or not branch.provisional:
            status = 487 if self.cancelled else 408
            self._branch_failed(branch, status, now)
        else:
            branch.cancel_wanted = True
            self._send_cancel(branch, now)

    def _group_overdue(self, now: float) -> None:
        """The phones of a group have rung long enough: when they have stopped, the next one rings."""
        self.group_deadline = None
        if self.cancelled or self.final_sent:
            return
        self._cancel_pending(now)
        for branch in list(self.branches):
            if branch.final is None and not branch.provisional and branch.cancel_wanted:
                self._branch_failed(branch, 408, now)

    def _next_deadline(self, now: float) -> float:
        due = [b.deadline for b in self.branches if b.final is None]
        if self.group_deadline is not None:
            due.append(self.group_deadline)
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


def cancel_request(invite: Request, reasons: Sequence[str]) -> Request:
    """The CANCEL for a request that was sent with this INVITE (RFC 3261 §9.1)."""
    headers = [("Via", invite.values("via")[0])]
    headers += [("Route", value) for value in invite.rows("route")]
    headers += [
        ("Max-Forwards", "70"),
        ("From", invite.first("from") or ""),
        ("To", invite.first("to") or ""),
        ("Call-ID", invite.call_id),
        ("CSeq", f"{invite.cseq_number} CANCEL"),
    ]
    headers += [("Reason", value) for value in reasons]
    return Request.build("CANCEL", invite.uri_text, headers)
