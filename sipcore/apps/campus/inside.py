"""Requests inside a call, and ACKs: where their token leads, and what it does not open."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from sipcore.apps.campus.accounting import account_request
from sipcore.apps.user_agent import UserAgent
from sipcore.calls import Call, CallToken
from sipcore.calls.call import EndedCall
from sipcore.errors import MalformedMessage
from sipcore.eventlog import Counter
from sipcore.message import Request, Response, is_sips
from sipcore.proxy import (
    REFRESH_METHODS,
    OwnRoute,
    ResponseContext,
    forwarded_request,
)
from sipcore.proxy.forward import (
    next_hop_text,
    prepare_strict_router,
    read_max_breadth,
    remove_assertions,
    stateless_branch,
)
from sipcore.routing import Group, Target
from sipcore.transport.flow import Flow

if TYPE_CHECKING:
    from sipcore.node.worker import Worker
    from sipcore.transaction import ServerTransaction

STRAY_ACK: Final = Counter.STRAY_ACK
"""Of nearly every call, whose challenge is acknowledged: looked up once."""
AFTER_THE_CALL: Final = frozenset({"BYE", "NOTIFY", "ACK"})
"""What may still come when a call is over: the other side's BYE, news of a transfer, and the ACK of a
2xx that a BYE has overtaken."""


class InsideCalls:
    """Routes what comes inside calls, and sends what is ours to say there.

    `services` may be the other side; `refused_session` answers a session interval that is too short.
    """

    __slots__ = ("_refused_session", "_services", "_worker")

    def __init__(
        self,
        worker: Worker,
        services: Iterable[UserAgent],
        refused_session: Callable[[ServerTransaction, Request, float], bool],
    ) -> None:
        self._worker = worker
        self._services = tuple(services)
        self._refused_session = refused_session

    def _token_of(self, own: OwnRoute, request: Request) -> CallToken | None:
        return self._worker.tokens.check(own.token, request.call_id) if own.token else None

    def handle(
        self, tx: ServerTransaction, request: Request, flow: Flow, own: OwnRoute, now: float
    ) -> None:
        """A request with a To tag: routed by its token, else refused; a tag alone opens nothing."""
        worker = self._worker
        token = self._token_of(own, request)
        if token is None:
            if not self._offer_to_services(tx, request, flow, now):
                tx.respond(request.respond(481, to_tag=worker.new_tag()), now)
            return
        refused = self._refusal(request, token)
        if refused is not None:
            tx.respond(refused, now)
            return
        if request.method in REFRESH_METHODS and self._refused_session(tx, request, now):
            return
        mid_dialog = account_request(worker, token, request, now)
        dialog = mid_dialog.dialog
        if dialog is not None and not (
            dialog.callee_contact if mid_dialog.from_caller else dialog.caller_contact
        ):
            # The other side is a service of ours.
            if not self._offer_to_services(tx, request, flow, now):
                tx.respond(request.respond(481), now)
            return
        groups = (Group((self._next_target(request, token, mid_dialog.from_caller),)),)
        realm = worker.directory.realm
        context = ResponseContext(worker, tx, request, groups, own_realm=realm, account=mid_dialog)
        tx.owner = context
        context.start(now)

    def _refusal(self, request: Request, token: CallToken) -> Response | None:
        """Why a request with a valid token is none of its call.

        Who was in a call keeps its token for ever. It opens that call alone, while it goes on and a
        little longer, and nobody says in it to be another one of us.
        """
        worker = self._worker
        call: Call | EndedCall | None = worker.calls.get(token.context)
        if call is None and request.method in AFTER_THE_CALL:
            call = worker.calls.lately_over(token.context, worker.now)
        if call is None:
            is_elsewhere = token.home != worker.home and (
                token.from_caller(request.from_tag) or token.from_caller(request.to_tag)
            )
            return None if is_elsewhere else request.respond(481)
        if call.caller_tag not in (request.from_tag, request.to_tag):
            return request.respond(481)
        uri = request.from_.uri
        domain = worker.domain_of(uri)
        if domain is not None:
            account = worker.directory.resolve(uri.user_decoded, domain)
            if account is not None and account.id in (call.caller_line, call.callee_line):
                return None
        elif uri.scheme in ("sip", "sips"):
            return None
        if uri.text in call.parties:
            return None
        return request.respond(403, "From Not Yours")

    def _offer_to_services(
        self, tx: ServerTransaction, request: Request, flow: Flow, now: float
    ) -> bool:
        return any(s.handle(tx, request, flow, None, now) for s in self._services)

    def _next_target(self, request: Request, token: CallToken, from_caller: bool) -> Target:
        """The other side: by what is left of the Route, its flow, or the Request-URI.

        Of a pinned call by its flow alone, or a stranger in a call could send to anywhere.
        """
        flow = None
        if token.pinned or request.first("route") is None:
            flow = token.callee_flow if from_caller else token.caller_flow
            if flow is not None:
                flow = self._worker.bindings.flow_now(flow, self._worker.at)
        return Target(request.uri_text, flow)

    def handle_ack(self, request: Request, own: OwnRoute | None, now: float) -> None:
        """The ACK of a 2xx; `own` is what its Route of ours said, if it had any."""
        worker = self._worker
        token = None if own is None else self._token_of(own, request)
        if token is None:
            if not any(s.handle_ack(request, now) for s in self._services):
                worker.count(STRAY_ACK)
            return
        if self._refusal(request, token) is not None:
            worker.count(Counter.FOREIGN_ACK)
            return
        from_caller = token.from_caller(request.from_tag)
        target = self._next_target(request, token, from_caller)
        self.forward_ack(request, target, now, worker.directory.realm)

    def forward_ack(
        self, request: Request, target: Target, now: float, own_realm: str = ""
    ) -> None:
        """Send an ACK on without state."""
        copy = forwarded_request(
            request,
            uri_text=target.uri_text,
            record_route=None,
            path=target.path,
            own_realm=own_realm,
        )
        remove_assertions(copy)
        copy.set("Max-Breadth", str(read_max_breadth(request)))
        self.send_ack(copy, target.flow, stateless_branch(request), now, target.hop)

    def send_ack(
        self, ack: Request, flow: Flow | None, branch: str, now: float, hop: str = ""
    ) -> None:
        """Send an ACK of a 2xx, without Via, by `flow`, or to `hop`, or else to its next hop."""
        worker = self._worker
        if flow is None:
            next_hop = hop or next_hop_text(ack)
            flow = worker.flow_to(next_hop)
            if flow is None:
                worker.servers.send_ack(ack, next_hop, branch, now)
                return
        if is_sips(ack.uri_text) and not flow.secure:
            worker.count(Counter.ACK_INSECURE)
            return
        ack.push("Via", worker.via_value(flow, branch))
        worker.send(flow, ack.to_bytes())

    # --- of our own ---------------------------------------------------------------------------
    def send(self, request: Request, flow: Flow | None, owner: object, now: float) -> None:
        """Send a request of ours into a call; `owner` hears what comes of it."""
        worker = self._worker
        if not request.uri_text:
            return  # the other side is a service of ours, and its dialog ends with the call
        if flow is not None:
            flow = worker.bindings.flow_now(flow, worker.at)
        try:
            prepare_strict_router(request)
            if flow is None:
                next_hop = next_hop_text(request)
                flow = worker.flow_to(next_hop)
                if flow is None:
                    worker.servers.send_request(request, next_hop, owner, now)
                    return
        except MalformedMessage:  # the Record-Route or Contact of a peer
            return
        if is_sips(request.uri_text) and not flow.secure:
            return
        request.push("Via", worker.via_value(flow, worker.new_branch("0")))
        worker.transactions.request(request, flow, now, owner)
