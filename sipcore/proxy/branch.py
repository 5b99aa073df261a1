"""One branch of a fork: one target, from launch to final response (RFC 3261 §16.6, RFC 3263 §4.3).

It is one client transaction, or where the target is named several, one server after another. What
its response means for the whole request is for the fork to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sipcore.errors import MalformedMessage
from sipcore.eventlog import Counter, Heard
from sipcore.locate import RETRY_LATER_S, Candidate, Search
from sipcore.message import Request, Response, is_sips
from sipcore.proxy.forward import cancel_request, forwarded_request, next_hop_text
from sipcore.proxy.host import ProxyHost
from sipcore.proxy.limits import CANCEL_WAIT_S, NO_CLIENT_S, OPENING_S, SILENCE_S, TIMER_C_S
from sipcore.proxy.purpose import Purpose
from sipcore.routing.plan import SIPS_NOT_ALLOWED, Target
from sipcore.transaction import ClientTransaction
from sipcore.transport.flow import Flow

SAID: Final = Heard.SAID
FLOW_FAILED: Final = 430
"""The flow is gone, the phone may be reached by another (RFC 5626 §11.5). No phone is told so."""


class Forking:
    """What the branches of one request share, and to whom they report: a response context."""

    __slots__ = (
        "cancelled",
        "done",
        "host",
        "incoming",
        "is_invite",
        "loop",
        "own_realm",
        "purpose",
        "request",
        "stamped_via",
    )

    host: ProxyHost
    request: Request
    """As it was received."""
    incoming: Flow
    """Where its responses go."""
    stamped_via: str
    """The Via that its responses have to have in place of the one that was sent on, "" for none."""
    purpose: Purpose
    own_realm: str
    """Credentials for it are meant for us, and go no further."""
    loop: str
    """The loop hash of the request (RFC 5393 §4.2)."""
    is_invite: bool
    cancelled: bool
    """Whether the attempt was given up, by the caller or by us."""
    done: bool
    """Whether nothing more is started."""

    def branch_answered(self, branch: Branch, response: Response, now: float) -> None:
        """A response of a branch, our Via taken off, another one below."""
        raise NotImplementedError

    def branch_failed(self, branch: Branch, response: Response, now: float) -> None:
        """A branch has come to its end with this failure, of its own or of ours."""
        raise NotImplementedError

    def branch_silent(self, branch: Branch, response: Response, now: float) -> None:
        """A phone of ours says nothing at all: as if it had answered this, until it says something."""
        raise NotImplementedError

    def asker(self, target: Target) -> str:
        """Whose share of the questions to the DNS the name of a target takes, "" for nobody's."""
        raise NotImplementedError

    def cancel_reasons(self) -> Sequence[str]:
        """Reason values of our CANCELs (RFC 3326)."""
        raise NotImplementedError

    def wake_at_latest(self, deadline: float) -> None:
        """A branch has to be looked at by then."""
        raise NotImplementedError


class Branch:
    """One target of a fork. It owns its client transactions."""

    __slots__ = (
        "breadth",
        "cancel_sent",
        "cancel_wanted",
        "datagram",
        "deadline",
        "failure",
        "final",
        "flow",
        "fork",
        "heard",
        "left",
        "others",
        "provisional",
        "request",
        "ring_until",
        "search",
        "silent",
        "target",
        "tx",
    )

    def __init__(self, fork: Forking, target: Target, now: float) -> None:
        self.fork = fork
        self.target = target
        self.others = target.other_flows
        """Other ways to the same phone that are still to be tried."""
        self.deadline = now + TIMER_C_S
        self.ring_until = float("inf")
        """When the time of its group is over, also where the next one was tried before."""
        self.breadth = 0
        """How many branches this one may become further on (RFC 5393 §5.3)."""
        self.tx: ClientTransaction | None = None
        self.request: Request | None = None
        self.flow: Flow | None = None
        self.final: Response | None = None
        self.provisional = False
        self.silent = False
        """Whether its final response is ours, for want of anything from the phone."""
        self.heard = SAID
        """What its end, should it be a failure, was."""
        self.cancel_wanted = False
        self.cancel_sent = False
        self.search: Search | None = None
        """The servers of its next hop, where that is named."""
        self.failure: Response | None = None
        """Of the server before, for when there is no other."""
        self.datagram: Flow | None = None
        """The flow of a request that was too large for it."""
        self.left: tuple[ClientTransaction, ...] = ()
        """Those of silent servers, after which the next one was tried."""

    # --- sending -----------------------------------------------------------------------------
    def launch(self, now: float) -> None:
        """Send the request to the target, or look for the servers of its name."""
        try:
            self._launch(now)
        except MalformedMessage:  # a Path, say: that one phone cannot be reached
            self.fail(480, now)

    def _launch(self, now: float) -> None:
        fork, target = self.fork, self.target
        copy = self.request = self._copy()
        if target.flow is not None and not target.path:
            self._send(copy, target.flow, now)
            return
        next_hop = next_hop_text(copy) if target.path or not target.hop else target.hop
        hops = fork.host.next_hops
        flow = hops.flow_to(next_hop)
        if flow is None:
            asker = fork.asker(target)
            if not asker:
                self.fail(480, now)
                return
            self.search = hops.search_for(next_hop, asker)
            hops.seek(self.search, self, now)
        else:
            self._send(copy, flow, now)

    def _copy(self) -> Request:
        target, fork = self.target, self.fork
        return forwarded_request(
            fork.request,
            uri_text=target.uri_text,
            record_route=None,
            path=target.path,
            own_realm=fork.own_realm,
        )

    def found(self, server: Candidate | None, now: float) -> None:
        """The next server of a named next hop, None when there is none left."""
        fork = self.fork
        if self.final is not None or fork.done:
            return
        if fork.cancelled or self.cancel_wanted:
            self.fail(487, now)
        elif server is not None:
            self._send_again(fork.host.next_hops.flow_of(server), now)
        elif self.failure is not None and self.failure.status == 408 and self.left:
            tx, self.left = self.left[-1], self.left[:-1]
            self.tx, self.request, self.flow = tx, tx.request, tx.flow  # the last to be asked
            fork.branch_silent(self, self.failure, now)
        elif self.failure is not None:
            fork.branch_failed(self, self.failure, now)
        elif self.has_no_room:
            fork.host.count(Counter.LOOKUP_LIMITED)
            self.fail(503, now, [("Retry-After", str(RETRY_LATER_S))])
        else:
            # That there is nobody to be reached by TLS is no overload (RFC 5630 §3.3), nor that
            # nobody has heard of the name that a phone of ours gave itself.
            is_phone = self.target.line_id is not None
            self.fail(480 if is_phone or is_sips(self.target.uri_text) else 503, now)

    @property
    def has_no_room(self) -> bool:
        """Whether its name was not looked up because there were too many questions."""
        return self.search is not None and self.search.has_no_room

    def _try_next(self, failure: Response, now: float) -> bool:
        """Go on to the next server of a name (RFC 3263 §4.3); False where that is not to be."""
        if self.search is None or self.fork.cancelled or self.cancel_wanted:
            return False
        if not self.fork.is_invite and now - (self.deadline - TIMER_C_S) >= NO_CLIENT_S:
            return False  # nobody waits for it any more
        self.failure = failure
        self.tx = self.request = None  # what its transaction has to say now is of no account
        self.provisional = False
        self.datagram = None
        self.fork.host.next_hops.seek(self.search, self, now)
        return True

    def _send_again(self, flow: Flow, now: float) -> None:
        """A new request, the same but for its branch and what depends on the flow."""
        if self.fork.is_invite:
            self.deadline = now + TIMER_C_S  # one for each client transaction
        copy = self.request
        if copy is None:
            copy = self.request = self._copy()
        self._send(copy, flow, now)
        if self.fork.is_invite:
            self.fork.wake_at_latest(self.deadline)

    def _send(self, copy: Request, flow: Flow, now: float) -> None:
        fork, target = self.fork, self.target
        if is_sips(copy.uri_text) and not flow.secure:
            self.fail(480, now, [("Warning", SIPS_NOT_ALLOWED)])
            return
        host = fork.host
        source = target.asked_from
        if source and flow.transport == "UDP" and not host.may_lead_to(flow.remote[0], source):
            self.heard = Heard.OURS
            response = self._own_response(403)
            if not self._try_next(response, now):
                fork.branch_failed(self, response, now)
            return
        self.flow = flow
        record_route = fork.purpose.record_route(target, fork.incoming, flow)
        if record_route is not None:
            copy.push("Record-Route", record_route)
        copy.set("Max-Breadth", str(self.breadth))
        copy.push("Via", host.own.via_value(flow, host.new_branch(fork.loop)))
        transactions = host.transactions
        if flow.transport != "UDP" or target.flow is not None or self.datagram is not None:
            self.tx = transactions.request(copy, flow, now, self)
        else:
            tx = transactions.request_within(host.max_datagram_bytes, copy, flow, now, self)
            if tx is None:
                self._send_large(copy, flow, now)
                return
            self.tx = tx
        self._listen(flow, now)

    def _listen(self, flow: Flow, now: float) -> None:
        """A registered phone that says nothing at all, 100 included, is not there (see `SILENCE_S`)."""
        if not self.fork.is_invite or self.target.line_id is None or self.final is not None:
            return
        may_open = flow.connection == 0 and flow.transport != "UDP"
        self.deadline = now + (SILENCE_S + OPENING_S if may_open else SILENCE_S)

    def _send_large(self, copy: Request, flow: Flow, now: float) -> None:
        """What is too large for a datagram goes by TCP where the peer takes that (§18.1.1)."""
        self.datagram = flow
        host = self.fork.host
        stream = host.next_hops.stream_instead(flow, now)
        if stream is None:
            self.tx = host.transactions.request(copy, flow, now, self)
            self._listen(flow, now)
            return
        copy = self.request = self._copy()
        self._send(copy, stream, now)

    # --- owner of its client transactions ------------------------------------------------------
    def on_response(self, tx: object, response: Response, now: float) -> None:
        """A response of its client transaction, its Via still on top (§16.7)."""
        fork, status = self.fork, response.status
        if tx is not self.tx and not 200 <= status < 300:
            self._left_answers(tx, status, now)
            return
        is_for_others = response.pop_via(fork.stamped_via)
        if self.search is not None:
            fork.host.next_hops.note_answer(self.search, response, now)
        if status < 200:
            # Its transaction waits for us now, whatever the rest is worth.
            if not self.provisional:
                self.provisional = True
                self.rings(now)
            if self.cancel_wanted and not self.cancel_sent:
                self._send_cancel(now)
        if not is_for_others:  # our Via was the only one: never forwarded (§16.7 step 3)
            if status >= 200 and self.final is None and not fork.done:
                self.fail(502, now)
            return
        if status == 503 and self.final is None and not fork.done and self._try_next(response, now):
            return
        fork.branch_answered(self, response, now)

    def _left_answers(self, tx: object, status: int, now: float) -> None:
        """A silent server that was left for the next one rings late: it is to stop (§9.1)."""
        if status < 200 and isinstance(tx, ClientTransaction) and tx in self.left:
            self.left = tuple([other for other in self.left if other is not tx])
            request = cancel_request(tx.request, self.fork.cancel_reasons())
            self.fork.host.transactions.request(request, tx.flow, now, None)

    def on_timeout(self, tx: object, now: float) -> None:
        """Timer B or F: as if it had answered 408 (§16.9)."""
        fork = self.fork
        if tx is not self.tx or self.final is not None or fork.done:
            return
        self.heard = Heard.OURS if self.provisional else Heard.SILENT
        response = self._own_response(487 if fork.cancelled else 408)
        if self.provisional or not self._leave_silent(response, now):
            fork.branch_failed(self, response, now)

    def _leave_silent(self, failure: Response, now: float) -> bool:
        """Go on to the next server of its name, as this one says nothing; False where it has none."""
        if self.search is None:
            return False
        self.fork.host.next_hops.note_silence(self.search, now)
        return self._try_next(failure, now)

    def on_transport_failure(self, tx: object, now: float) -> None:
        """It could not be sent: as if it had answered 503 (§16.9).

        Where the phone was to be reached on the connection it registered from, and that is gone,
        it may be there by another (430); else it is simply not there, and the caller hears 480.
        """
        fork = self.fork
        if tx is not self.tx or self.final is not None or fork.done:
            return  # perhaps the ACK to a server that was left
        flow, datagram = self.flow, self.datagram
        is_stream = flow is not None and flow.transport != "UDP"
        hops = fork.host.next_hops
        if flow is not None and is_stream and datagram is not None and not self.provisional:
            hops.stream_refused(flow, now)
            if not fork.cancelled and not self.cancel_wanted:
                self.request = None
                self._send_again(datagram, now)
                return
        self.heard = Heard.REFUSED
        response = self._own_response(503 if self.target.flow is None else FLOW_FAILED)
        if self.search is not None:
            hops.note_silence(self.search, now)
            if self._try_next(response, now):
                return
        fork.branch_failed(self, response, now)

    def rings(self, now: float) -> None:
        """There is news of it: timer C begins anew."""
        self.deadline = min(now + TIMER_C_S, self.ring_until)

    # --- failing and cancelling ----------------------------------------------------------------
    def _own_response(self, status: int, headers: Sequence[tuple[str, str]] = ()) -> Response:
        fork = self.fork
        return fork.request.respond(status, to_tag=fork.host.new_tag(), headers=headers)

    def fail(self, status: int, now: float, headers: Sequence[tuple[str, str]] = ()) -> None:
        """End it with a failure of our own."""
        waited = status in (408, 487) and self.tx is not None and not self.provisional
        self.heard = Heard.SILENT if waited else Heard.OURS
        self.fork.branch_failed(self, self._own_response(status, headers), now)

    def cancel(self, now: float) -> None:
        """Have it stop ringing: at once, or as soon as a CANCEL may be sent (§9.1)."""
        if (self.final is None or self.silent) and not self.cancel_wanted:
            self.cancel_wanted = True
            if self.provisional:
                self._send_cancel(now)

    def overdue(self, now: float) -> None:
        """Timer C, the end of the wait after a CANCEL, or that for the first word of a phone."""
        tx = self.tx
        if tx is not None and not self.provisional and self.target.line_id is not None:
            response = self._own_response(487 if self.fork.cancelled else 408)
            before, self.left = self.left, (*self.left, tx)
            self.deadline = now + TIMER_C_S  # while the next server is looked for
            if not self._leave_silent(response, now):
                self.left = before
                self.fork.branch_silent(self, response, now)
        elif self.cancel_sent or not self.provisional:
            self.fail(487 if self.fork.cancelled else 408, now)
        else:
            self.cancel_wanted = True
            self._send_cancel(now)

    def _send_cancel(self, now: float) -> None:
        self.cancel_sent = True
        self.deadline = now + CANCEL_WAIT_S
        if self.request is None or self.flow is None:
            return
        fork = self.fork
        request = cancel_request(self.request, fork.cancel_reasons())
        fork.host.transactions.request(request, self.flow, now, None)
        if fork.done:
            self.request = None
        else:
            fork.wake_at_latest(self.deadline)

    def let_go(self) -> None:
        """What comes late is a 2xx or nothing: keep nothing else for the 32 s it may take."""
        self.final = None
        if self.silent:
            self.cancel_wanted = True  # should the phone ring after all
        if not self.cancel_wanted or self.cancel_sent:
            self.request = None  # else it is needed for the CANCEL, should a phone ring late
