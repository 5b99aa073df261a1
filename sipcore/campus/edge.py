"""The edge proxy (RFC 5626 §5): phones of a registrar elsewhere hold their connection to us.

A REGISTER for one of the domains of `WorkerConfig.edge_for` goes on to the server named there, with
a Path that carries the token of the phone's flow. What comes back with that token goes out by that
flow, and is not decided again: who knows the phone has decided. What comes from the phone goes to
that server alone, whatever its Route says: so nobody can send to anywhere through us, and there is
nothing to ask him for. The server asks for it.
"""

from __future__ import annotations

from typing import Final

from sipcore.apps.host import Host
from sipcore.bindings import FlowToken, FlowTokens
from sipcore.errors import MalformedMessage
from sipcore.message import Request, is_sips, parse_uri
from sipcore.proxy import OwnRoute, Purpose, Trust, forward
from sipcore.routing import Group, Target
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import Flow
from sipcore.transport.own_addresses import OwnAddresses

DIALOG_METHODS: Final = frozenset({"INVITE", "SUBSCRIBE", "REFER"})
"""What makes a dialog: inside it the flow must be found again, so we stay on its path."""


class EdgeRelay(Purpose):
    """A request that passes the edge."""

    __slots__ = ("_own", "secure", "token")

    def __init__(self, own: OwnAddresses, token: str, secure: bool) -> None:
        self._own = own
        self.token = token
        """Of the phone's flow, where we stay on the path; else empty."""
        self.secure = secure
        """Whether the Request-URI is a sips URI, so that ours must be one."""

    def record_route(self, target: Target, incoming: Flow, outgoing: Flow) -> str | None:
        """Our Record-Route with the token of the phone's flow; two where the transport changes."""
        if not self.token:
            return None
        secure = self.secure
        return self._own.record_routes(
            incoming, outgoing, self.token, secure=secure, leaves_secure=secure
        )


class Edge:
    """The edge proxy's place in a worker."""

    def __init__(self, host: Host) -> None:
        config = host.config
        self._host = host
        self._hops = {name.lower(): hop for name, hop in config.edge_for.items()}
        for hop in self._hops.values():
            parse_uri(hop)
        self._tokens = FlowTokens(config.cluster_keys, config.node_number, config.incarnation)

    def serves(self, request: Request) -> bool:
        """Whether a request is for a domain that we are the edge of."""
        return bool(self._hops) and request.uri.host in self._hops

    def carries_token(self, request: Request) -> bool:
        """Whether a request is to go by a flow that it names, and nobody is to be challenged."""
        if not self._hops or not request.has("route"):
            return False
        try:
            uri = request.routes[0].uri
        except (MalformedMessage, IndexError):
            return False
        return self._host.own.is_ours(uri) and self._tokens.check(uri.user) is not None

    def is_on_the_way(self, own: OwnRoute) -> bool:
        """Whether a Route of ours names a flow of ours."""
        return (
            bool(self._hops)
            and own.uri is not None
            and self._tokens.check(own.uri.user) is not None
        )

    # --- requests for the domains, from phones ---------------------------------------------------
    def relay(self, tx: ServerTransaction, request: Request, flow: Flow, now: float) -> None:
        """Send a request on to the registrar of its domain, or the proxy before it."""
        domain = request.uri.host
        token, secure = "", is_sips(request.uri_text)
        is_first_hop = request.keys.count("via") == 1 and "," not in (request.first("via") or "")
        if request.method == "REGISTER":
            if is_first_hop:
                token = self._tokens.make(flow, domain)
                request.push("Path", self._host.own.route_value(flow, token, ";ob", secure))
        elif is_first_hop and request.method in DIALOG_METHODS:
            token = self._tokens.make(flow, domain)
        relay = EdgeRelay(self._host.own, "" if request.method == "REGISTER" else token, secure)
        target = Target(request.uri_text, hop=self._hops[domain])
        self._start(tx, request, target, relay, now)

    # --- requests with a token --------------------------------------------------------------------
    def take(
        self, tx: ServerTransaction, request: Request, flow: Flow, own: OwnRoute, now: float
    ) -> bool:
        """Deal with a request whose Route of ours names a flow; False when it names none."""
        if own.uri is None or not own.uri.user or not self._hops:
            return False
        host = self._host
        token = self._tokens.check(own.uri.user)
        if token is None:
            host.refuse(tx, request, now, 403, "Flow Token Not Ours")
            return True
        target = self._target(request, token, own, flow)
        if target is None:
            host.refuse(tx, request, now, 430)
            return True
        is_new = not request.to_tag and request.method in DIALOG_METHODS
        stays = is_new and ("ob" in own.uri.params or flow == token.flow)
        relay = EdgeRelay(host.own, own.uri.user if stays else "", is_sips(request.uri_text))
        self._start(tx, request, target, relay, now, tells_of_flows=flow != token.flow)
        return True

    def ack_target(self, request: Request, flow: Flow, own: OwnRoute) -> Target | None:
        """Where the ACK of a 2xx goes; None when its Route names no flow, or one that is gone."""
        if own.uri is None or not self._hops:
            return None
        token = self._tokens.check(own.uri.user)
        return None if token is None else self._target(request, token, own, flow)

    def _target(
        self, request: Request, token: FlowToken, own: OwnRoute, flow: Flow
    ) -> Target | None:
        """Where a request with this token goes; None when its flow is gone."""
        host = self._host
        if flow == token.flow:  # it comes from the phone (§5.3.2)
            hop = self._hops.get(token.domain)
            return None if hop is None else Target(request.uri_text, hop=hop)
        if token.node_number != host.config.node_number and own.uri is not None:
            return Target(request.uri_text, None, (f"<{own.uri.text}>",))
        if not host.own.has_socket(token.flow):
            return None
        if token.flow.reliable and not self._tokens.is_of_this_life(token):
            return None
        return Target(request.uri_text, token.flow)

    # --- both ways ----------------------------------------------------------------------------
    def _start(
        self,
        tx: ServerTransaction,
        request: Request,
        target: Target,
        relay: EdgeRelay,
        now: float,
        *,
        tells_of_flows: bool = False,
    ) -> None:
        groups = (Group((target,)),)
        # Between a phone and its own registrar: nothing of it is for us to judge.
        own = Trust.OWN
        forward(
            self._host,
            tx,
            request,
            groups,
            relay,
            now,
            tells_of_flows=tells_of_flows,
            sender=own,
            receiver=own,
        )
