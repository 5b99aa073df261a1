"""Sending into calls from the middle: requests of our own, and ACKs, which have no transaction."""

from __future__ import annotations

from sipcore.apps.host import Host
from sipcore.calls import CallToken
from sipcore.errors import MalformedMessage
from sipcore.eventlog import Counter
from sipcore.locate import OWN_REQUESTS
from sipcore.message import Request, is_sips
from sipcore.proxy import forwarded_request
from sipcore.proxy.forward import (
    next_hop_text,
    prepare_strict_router,
    read_max_breadth,
    remove_assertions,
    stateless_branch,
)
from sipcore.routing import Target
from sipcore.transaction import ClientOwner
from sipcore.transport.flow import Flow


def asker_in(host: Host, token: CallToken) -> str:
    """Whose share of the questions to the DNS a name inside a call takes: the caller's.

    Not the sender's, whose From may be anybody's; "" where the caller is a stranger.
    """
    line_id = token.caller_line
    if not token.pinned:
        call = host.calls.get(token.context) or host.calls.lately_over(token.context, host.now)
        if call is None:
            return f"call {token.context}"
        line_id = call.caller_line
    return "" if line_id is None else f"line {line_id}"


class InCallSender:
    """Sends by a flow, or else to the next hop of the request."""

    __slots__ = ("_host",)

    def __init__(self, host: Host) -> None:
        self._host = host

    def send(
        self, request: Request, flow: Flow | None, owner: ClientOwner | None, now: float
    ) -> None:
        """Send a request of ours into a call; `owner` hears what comes of it."""
        host = self._host
        if not request.uri_text:
            return  # the other side is a service of ours, and its dialog ends with the call
        if flow is not None:
            flow = host.bindings.flow_now(flow, host.at)
        try:
            prepare_strict_router(request)
            if flow is None:
                next_hop = next_hop_text(request)
                flow = host.next_hops.flow_to(next_hop)
                if flow is None:
                    host.next_hops.send_request(request, next_hop, owner, now)
                    return
        except MalformedMessage:  # the Record-Route or Contact of a peer
            return
        if is_sips(request.uri_text) and not flow.secure:
            return
        request.push("Via", host.own.via_value(flow, host.new_branch("0")))
        host.transactions.request(request, flow, now, owner)

    def forward_ack(
        self,
        request: Request,
        target: Target,
        token: CallToken | None,
        now: float,
        own_realm: str = "",
    ) -> None:
        """Send the ACK of a 2xx on without state (RFC 3261 §16.11).

        `token` is that of its call; None where its target is what an operator has named.
        """
        copy = forwarded_request(
            request,
            uri_text=target.uri_text,
            record_route=None,
            path=target.path,
            own_realm=own_realm,
        )
        remove_assertions(copy)
        copy.set("Max-Breadth", str(read_max_breadth(request)))
        flow = target.flow
        if flow is None:
            next_hop = target.hop or next_hop_text(copy)
            flow = self._host.next_hops.flow_to(next_hop)
            if flow is None:
                asker = OWN_REQUESTS if token is None else asker_in(self._host, token)
                self._look_up(copy, next_hop, asker, stateless_branch(request), now)
                return
        self._send_ack(copy, flow, stateless_branch(request))

    def send_ack(self, ack: Request, flow: Flow | None, branch: str, now: float) -> None:
        """Send an ACK of ours of a 2xx, without Via, by `flow` or else to its next hop."""
        if flow is None:
            next_hop = next_hop_text(ack)
            flow = self._host.next_hops.flow_to(next_hop)
            if flow is None:
                self._look_up(ack, next_hop, OWN_REQUESTS, branch, now)
                return
        self._send_ack(ack, flow, branch)

    def _look_up(self, ack: Request, next_hop: str, asker: str, branch: str, now: float) -> None:
        if asker:
            self._host.next_hops.send_ack(ack, next_hop, asker, branch, now)
        else:
            self._host.count(Counter.ACK_UNROUTABLE)

    def _send_ack(self, ack: Request, flow: Flow, branch: str) -> None:
        host = self._host
        if is_sips(ack.uri_text) and not flow.secure:
            host.count(Counter.ACK_INSECURE)
            return
        ack.push("Via", host.own.via_value(flow, branch))
        host.send(flow, ack.to_bytes())
