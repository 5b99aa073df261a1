"""The edge proxy (RFC 5626 §5): phones of a registrar elsewhere hold their connection to us.

A REGISTER for one of the domains of the directory's `Edges` goes on to the server named there, with
a Path that carries the token of the phone's flow. What comes back with that token goes out by that
flow, and is not decided again: who knows the phone has decided. What comes from the phone goes to
that server alone, whatever its Route says: so nobody can send to anywhere through us, and there is
nothing to ask him for. The server asks for it.

A token in a Record-Route is read by the other side of a call. So whoever sends with one, and is not that
server, may do to the phone what strangers may (`method_rules`, `header_rules`).
"""

from __future__ import annotations

from typing import Final

from sipcore.apps.host import Host
from sipcore.bindings import FlowToken, FlowTokens
from sipcore.campus.limits import MAX_REGISTRAR_HOSTS
from sipcore.campus.method_rules import (
    METHODS,
    OTHERS,
    Rule,
    allow_besides,
    asks_for_the_lines_own,
    commands_phone,
)
from sipcore.directory import Edges
from sipcore.errors import MalformedMessage
from sipcore.eventlog import Counter
from sipcore.locate import destination
from sipcore.message import Request, Response, is_sips, parse_uri
from sipcore.proxy import OwnRoute, Purpose, Trust, forward, take_out
from sipcore.routing import Group, Target
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import Flow, canonical_host
from sipcore.transport.own_addresses import OwnAddresses

DIALOG_METHODS: Final = frozenset({"INVITE", "SUBSCRIBE", "REFER"})
"""What makes a dialog: inside it the flow must be found again, so we stay on its path."""


class EdgeRelay(Purpose):
    """A request that passes the edge."""

    __slots__ = ("_learns", "_own", "secure", "token")

    def __init__(
        self, own: OwnAddresses, token: str, secure: bool, learns: dict[str, None] | None = None
    ) -> None:
        self._own = own
        self._learns = learns
        """Where its domain's registrar has answered from, of what goes there."""
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

    def may_pass(
        self, target: Target, flow: Flow | None, response: Response, cancelled: bool, now: float
    ) -> bool:
        """Every response passes; one of the registrar says where it is."""
        if self._learns is not None and flow is not None and flow.remote[0] not in self._learns:
            if len(self._learns) >= MAX_REGISTRAR_HOSTS:
                del self._learns[next(iter(self._learns))]
            self._learns[flow.remote[0]] = None
        return True


class Edge:
    """The edge proxy's place in a worker."""

    def __init__(self, host: Host) -> None:
        config = host.config
        self._host = host
        self._hops: dict[str, str] = {}
        self._registrars: dict[str, dict[str, None]] = {}
        """By domain: addresses of its registrar, or of the proxy before it."""
        self.directory_changed()
        self._tokens = FlowTokens(config.cluster_keys, config.node_number, config.incarnation)

    def directory_changed(self) -> None:
        """Serve the domains of the directory; what was learnt of the others is forgotten."""
        hops = self._host.directory.part(Edges).hops
        if hops is self._hops:
            return
        registrars = {}
        for name, hop in hops.items():
            known = destination(parse_uri(hop))
            numeric = known is not None and known.is_numeric
            fresh = {canonical_host(known.host): None} if known and numeric else {}
            is_same = self._hops.get(name) == hop
            registrars[name] = self._registrars[name] if is_same else fresh
        self._hops, self._registrars = hops, registrars

    def _token(self, text: str) -> FlowToken | None:
        """What a token of ours says, while its domain is one that we are the edge of."""
        token = self._tokens.check(text)
        return token if token is not None and token.domain in self._hops else None

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
        return self._host.own.is_ours(uri) and self._token(uri.user) is not None

    def is_on_the_way(self, own: OwnRoute) -> bool:
        """Whether a Route of ours names a flow of ours."""
        return bool(self._hops) and own.uri is not None and self._token(own.uri.user) is not None

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
        stays = "" if request.method == "REGISTER" else token
        relay = EdgeRelay(self._host.own, stays, secure, self._registrars[domain])
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
        token = self._token(own.uri.user)
        if token is None:
            host.refuse(tx, request, now, 403, "Flow Token Not Ours")
            return True
        target = self._target(request, token, own, flow)
        if target is None:
            host.refuse(tx, request, now, 430)
            return True
        is_new = not request.to_tag and request.method in DIALOG_METHODS
        stays = is_new and ("ob" in own.uri.params or flow == token.flow)
        # A NOTIFY that overtakes the 2xx makes the dialog (RFC 6665 §4.3).
        stays = stays or (request.method == "NOTIFY" and bool(request.to_tag))
        trust = self._trust_in(flow, token)
        refused = _refusal(request, trust)
        if refused is not None:
            host.refuse(tx, request, now, *refused)
            return True
        counts = trust is Trust.STRANGER and request.method != "BYE"
        if counts and not host.calls.strangers.asks_in(own.uri.user, now):
            host.count(Counter.STRANGER_MESSAGE_LIMITED)
            host.refuse(tx, request, now, 480)
            return True
        relay = EdgeRelay(host.own, own.uri.user if stays else "", is_sips(request.uri_text))
        from_phone = flow == token.flow
        self._start(tx, request, target, relay, now, tells_of_flows=not from_phone, sender=trust)
        return True

    def _trust_in(self, flow: Flow, token: FlowToken) -> Trust:
        """How far the sender of a request with this token is trusted.

        Between the phone and its registrar nothing is for us to judge: who both are, that one knows.
        """
        host = canonical_host(flow.remote[0])
        if flow == token.flow or host in self._registrars.get(token.domain, ()):
            return Trust.OWN
        return Trust.PEER if self._host.trusted_peer(flow) else Trust.STRANGER

    def ack_target(self, request: Request, flow: Flow, own: OwnRoute) -> Target | None:
        """Where the ACK of a 2xx goes; None when its Route names no flow, or one that is gone."""
        if own.uri is None or not self._hops:
            return None
        token = self._token(own.uri.user)
        if token is None:
            return None
        trust = self._trust_in(flow, token)
        if trust is not Trust.OWN:
            take_out(request, trust, Trust.ACCOUNT)
        return self._target(request, token, own, flow)

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
        sender: Trust = Trust.OWN,
    ) -> None:
        groups = (Group((target,)),)
        receiver = Trust.OWN if sender is Trust.OWN else Trust.ACCOUNT
        forward(
            self._host,
            tx,
            request,
            groups,
            relay,
            now,
            tells_of_flows=tells_of_flows,
            sender=sender,
            receiver=receiver,
        )


def _refusal(request: Request, trust: Trust) -> tuple[int, str, list[tuple[str, str]]] | None:
    """Why a request with a flow token does not pass: status, reason, headers; None where it does."""
    if trust is Trust.OWN:
        return None
    rule = METHODS.get(request.method, OTHERS)[trust]
    if not request.to_tag and rule not in (Rule.PASS, Rule.NOT_COMMAND):
        return 405, "", [("Allow", allow_besides(request.method))]
    bars = commands_phone if trust is Trust.PEER else asks_for_the_lines_own
    if request.has("event") and bars(request):
        return 403, "Forbidden: Only The Line's Own Phones", []
    if request.has("replaces") or request.has("join"):
        return 403, "Forbidden: No Call To Take Over", []
    return None
