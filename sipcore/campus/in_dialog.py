"""Requests inside calls, and ACKs: where their token leads, and what it does not open."""

from __future__ import annotations

from typing import Final

from sipcore.apps.host import Host
from sipcore.calls import Call, CallToken, Dialog, EndedCall
from sipcore.calls.moved import Place
from sipcore.calls.notes import ended_note, refreshed_note, seen_note
from sipcore.campus.agents import Agents
from sipcore.campus.dialog_parts import contact_of, spare_flow
from sipcore.campus.identity import Identity, hides_sender
from sipcore.campus.in_call import InCallSender, asker_in
from sipcore.campus.method_rules import BEFORE_THE_ANSWER, asks_for_the_lines_own
from sipcore.campus.moving import Moving, party_of
from sipcore.campus.subscriptions import SubscriptionRouter
from sipcore.errors import MalformedMessage
from sipcore.eventlog import Counter, Side
from sipcore.message import Request, Response, parse_name_addr
from sipcore.proxy import (
    REFRESH_METHODS,
    OwnRoute,
    ProxyHost,
    Purpose,
    SessionRequest,
    Trust,
    ask_for_timer,
    check_interval,
    forward,
    session_interval,
    take_out,
)
from sipcore.routing import Group, Target
from sipcore.transaction import ServerTransaction
from sipcore.transaction.limits import RETRY_AFTER_S
from sipcore.transport.flow import Flow, same_host
from sipcore.transport.networks import network_of

STRAY_ACK: Final = Counter.STRAY_ACK
"""Of nearly every call, whose challenge is acknowledged: looked up once."""
AFTER_THE_CALL: Final = frozenset({"BYE", "NOTIFY", "ACK"})
"""What may still come when a call is over: the other side's BYE, news of a transfer, and the ACK of a
2xx that a BYE has overtaken."""
FOR_THE_LINE: Final = "Forbidden: Only The Line's Own Phones"
"""The reason phrase where somebody else would command a phone."""
TARGET_REFRESHES: Final = frozenset({"INVITE", "UPDATE", "SUBSCRIBE"})


class InDialogRelay(Purpose):
    """A request inside a call that is passed on."""

    __slots__ = (
        "_host",
        "_moving",
        "call",
        "dialog",
        "from_caller",
        "place",
        "request",
        "session",
        "token",
    )

    def __init__(
        self,
        host: Host,
        token: CallToken,
        request: Request,
        call: Call | None,
        dialog: Dialog | None,
        from_caller: bool,
        session: SessionRequest | None,
        moving: Moving,
    ) -> None:
        self._host = host
        self._moving = moving
        self.token = token
        self.request = request
        self.call = call
        """None where another worker holds it."""
        self.dialog = dialog
        self.from_caller = from_caller
        self.session = session
        self.place: Place | None = None
        """Where its sender is once it has been accepted; None: where it was."""

    def may_pass(
        self, target: Target, flow: Flow | None, response: Response, cancelled: bool, now: float
    ) -> bool:
        """A 2xx to a target refresh: whoever holds the call hears of it."""
        if 200 <= response.status < 300:
            method = self.request.method
            if method in TARGET_REFRESHES:
                if self.place is not None:
                    self._moving.moved(self.token, self.request, self.place, now)
                self._refreshed(response, now)
            elif method == "REFER" and self.call is not None:
                self._referred(self.call, now)
        return True

    def _referred(self, call: Call, now: float) -> None:
        """One side sends the other to somebody else: what it calls next comes of this call."""
        values = self.request.values("refer-to")
        if len(values) != 1:
            return
        try:
            target = parse_name_addr(values[0], "refer-to").uri
        except MalformedMessage:
            return  # what its receiver makes of it is another matter
        by = Side.CALLER if self.from_caller else Side.CALLEE
        self._host.calls.moves.refer(call, by, target, now, self._host.at)

    def asker(self, host: ProxyHost, request: Request) -> str:
        return asker_in(self._host, self.token)

    def _refreshed(self, response: Response, now: float) -> None:
        host, request, token = self._host, self.request, self.token
        interval_s = -1
        if request.method in REFRESH_METHODS:
            interval_s = session_interval(response, self.session)
        caller, callee = contact_of(request), contact_of(response)
        if not self.from_caller:
            caller, callee = callee, caller
        if self.dialog is not None and self.call is not None:
            self.dialog.refresh(caller, callee, interval_s, now)
            host.calls.refreshed(self.call, now)
        elif self.call is None and token.home != host.home:
            tag = request.to_tag if self.from_caller else request.from_tag
            host.note(token.home, refreshed_note(token.context, tag, caller, callee, interval_s))


class InDialogRouter:
    """Routes what comes inside calls. Services of ours may be the other side."""

    __slots__ = ("_agents", "_host", "_sender", "moving", "subscriptions")

    def __init__(
        self, host: Host, agents: Agents, sender: InCallSender, identity: Identity
    ) -> None:
        self._host = host
        self._agents = agents
        self._sender = sender
        self.moving = Moving(host, identity, self)
        self.subscriptions = SubscriptionRouter(host, self._next_target_of, self._may_be_from)

    def _token_of(self, own: OwnRoute, request: Request) -> CallToken | None:
        return self._host.tokens.check(own.token, request.call_id) if own.token else None

    def opens_a_call(self, own: OwnRoute, request: Request) -> bool:
        """Whether a request carries a call token of ours that is for its Call-ID."""
        return self._token_of(own, request) is not None

    def handle(
        self, tx: ServerTransaction, request: Request, flow: Flow, own: OwnRoute, now: float
    ) -> None:
        """A request with a To tag: routed by its token, else refused; a tag alone opens nothing."""
        host = self._host
        token = self._token_of(own, request)
        if token is None:
            if not self._agents.offer(tx, request, flow, now):
                host.refuse(tx, request, now, 481)
            return
        if token.is_subscription:
            self.subscriptions.handle(tx, request, flow, own, token, now)
            return
        refused = self._refusal(request, token, flow)
        if refused is not None:
            tx.respond(refused, now)
            return
        if request.method in REFRESH_METHODS:
            refused = check_interval(request, host.config.sessions, host.stateless_tag)
            if refused is not None:
                tx.respond(refused, now)
                return
            self._proved(token, flow)
            self.moving.judge(tx, request, flow, token, now)
            return
        self._proved(token, flow)
        self.pass_on(tx, request, flow, token, None, now)

    def pass_on(
        self,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        token: CallToken,
        place: Place | None,
        now: float,
    ) -> None:
        """Send a request on inside its call; a 2xx moves its sender to `place`, None: nowhere."""
        host = self._host
        relay = self._account(token, request, now)
        relay.place = place
        dialog, from_caller = relay.dialog, relay.from_caller
        if dialog is not None and not (dialog.callee if from_caller else dialog.caller).contact:
            # The other side is a service of ours.
            if not self._agents.offer(tx, request, flow, now):
                tx.respond(request.respond(481), now)
            elif place is not None and 200 <= tx.last_status < 300:
                self.moving.moved(token, request, place, now)
            return
        sender, receiver = self._ends(token, flow, from_caller)
        counts = sender is Trust.STRANGER and request.method != "BYE"
        if counts and not host.calls.strangers.asks_in(token.context, now):
            host.count(Counter.STRANGER_MESSAGE_LIMITED)
            headers = [("Retry-After", str(RETRY_AFTER_S))]
            tx.respond(request.respond(503, headers=headers), now)
            return
        groups = (Group((self._next_target(request, token, from_caller, dialog),)),)
        realm = host.directory.realm
        forward(
            host,
            tx,
            request,
            groups,
            relay,
            now,
            own_realm=realm,
            sender=sender,
            receiver=receiver,
        )

    def _ends(self, token: CallToken, flow: Flow, from_caller: bool) -> tuple[Trust, Trust]:
        """Who sends a request inside a call, and who gets it.

        Where another worker holds the call, only a call that is not pinned is known to be between us.
        """
        host = self._host
        call: Call | EndedCall | None = host.calls.get(token.context)
        if call is None:
            call = host.calls.lately_over(token.context, host.now)
        if call is not None:
            lines = call.caller_line, call.callee_line
            mine, others = lines if from_caller else lines[::-1]
            if mine is not None and mine == others:
                return Trust.ACCOUNT, Trust.OWN
        else:
            mine = others = None if token.pinned else 0
        back = token.callee_flow if from_caller else token.caller_flow
        sender = Trust.ACCOUNT if mine is not None else self._trust_in(flow)
        receiver = Trust.ACCOUNT if others is not None else self._trust_in(back)
        return sender, receiver

    def _trust_in(self, flow: Flow | None) -> Trust:
        is_peer = flow is not None and self._host.trusted_peer(flow)
        return Trust.PEER if is_peer else Trust.STRANGER

    def _refusal(self, request: Request, token: CallToken, flow: Flow) -> Response | None:
        """Why a request with a valid token is none of its call.

        Who was in a call keeps its token for ever. It opens that call alone, while it goes on and a
        little longer, and nobody says in it to be another one of us.
        """
        host = self._host
        if request.has("replaces") or request.has("join"):
            return request.respond(403, "Forbidden: For New Calls Only")  # RFC 3891 §3
        call: Call | EndedCall | None = host.calls.get(token.context)
        if call is None and request.method in AFTER_THE_CALL:
            call = host.calls.lately_over(token.context, host.now)
        if call is None:
            is_elsewhere = token.home != host.home and (
                token.from_caller(request.from_tag) or token.from_caller(request.to_tag)
            )
            if is_elsewhere and request.has("event") and asks_for_the_lines_own(request):
                return request.respond(403, FOR_THE_LINE)
            if is_elsewhere and not self._may_be_from(request, token, flow):
                return request.respond(403, "From Not Yours")
            return None if is_elsewhere else request.respond(481)
        if call.caller_tag not in (request.from_tag, request.to_tag):
            return request.respond(481)
        own_line = call.caller_line is not None and call.caller_line == call.callee_line
        rings = isinstance(call, Call) and call.answered_now is None
        if rings and not own_line and request.method not in BEFORE_THE_ANSWER:
            return request.respond(403, "Forbidden: The Call Is Not Answered")
        if not own_line and request.has("event") and asks_for_the_lines_own(request):
            return request.respond(403, FOR_THE_LINE)
        uri = request.from_.uri
        domain = host.own.domain_of(uri)
        if domain is not None:
            account = host.directory.resolve(uri.user_decoded, domain)
            if account is not None and account.id in (call.caller_line, call.callee_line):
                return None
        elif uri.scheme in ("sip", "sips"):
            return None
        if uri.text in call.parties:
            return None
        return request.respond(403, "From Not Yours")

    def _may_be_from(self, request: Request, token: CallToken, flow: Flow) -> bool:
        """Whether the sender may be whom From names, where another worker holds the call.

        Of a call with a stranger the token says which side that is: nobody writes as one of us there.
        """
        host, uri = self._host, request.from_.uri
        domain = host.own.domain_of(uri)
        if domain is None or not token.pinned or host.trusted_peer(flow):
            return True
        if hides_sender(host.directory, uri, domain):
            return True  # it says to be nobody
        if not token.from_caller(request.from_tag):
            return token.caller_line is None
        account = host.directory.resolve(uri.user_decoded, domain)
        return account is not None and account.id == token.caller_line

    def is_proved(self, own: OwnRoute, request: Request, flow: Flow) -> bool:
        """Whether a request with a token of ours comes from where something of ours has arrived.

        A token alone does not prove that: whoever has it may write another's address.
        """
        host, source = self._host, flow.remote[0]
        if flow.reliable or source in host.transactions.known_sources:
            return True
        network = network_of(source)
        token = self._token_of(own, request)
        if token is not None and _leads_to(token, network):
            return True
        return host.calls.strangers.has_proved(network)

    def _proved(self, token: CallToken, flow: Flow) -> None:
        """A token that names a sender's address has arrived there."""
        strangers = self._host.calls.strangers
        if strangers:
            network = network_of(flow.remote[0])
            if _leads_to(token, network):
                strangers.proved(network)

    def _proved_to_service(self, request: Request, flow: Flow) -> None:
        """Likewise what a service has answered, where the call came from the same network."""
        host = self._host
        if host.calls.strangers:
            network = network_of(flow.remote[0])
            for call in host.calls.named(request.call_id, (request.from_tag, request.to_tag)):
                host.calls.strangers.proved_in(call.context, network)

    def _account(self, token: CallToken, request: Request, now: float) -> InDialogRelay:
        """A request with a valid token passes: note CSeq and the end of the call."""
        host = self._host
        from_caller = token.from_caller(request.from_tag)
        call = host.calls.get(token.context)
        dialog = None
        if call is not None:
            dialog = call.dialog_of(request.from_tag, request.to_tag, from_caller)
        if dialog is not None:
            (dialog.caller if from_caller else dialog.callee).seen(request.cseq_number)
        session = None
        if request.method == "BYE":
            self._hung_up(token, call, dialog, from_caller, now)
        else:
            if call is None and token.home != host.home:
                tag = request.to_tag if from_caller else request.from_tag
                note = seen_note(token.context, tag, from_caller, request.cseq_number)
                host.note(token.home, note)
            if request.method in REFRESH_METHODS:
                session = ask_for_timer(request, host.config.sessions)
        return InDialogRelay(host, token, request, call, dialog, from_caller, session, self.moving)

    def _hung_up(
        self,
        token: CallToken,
        call: Call | None,
        dialog: Dialog | None,
        from_caller: bool,
        now: float,
    ) -> None:
        host = self._host
        by = Side.CALLER if from_caller else Side.CALLEE
        if call is not None and dialog is not None:
            host.calls.hang_up(call, dialog.callee_tag, by, now, host.at)
        elif call is None and token.home != host.home:
            # The call is held where it was minted; its record is written here, where the end was seen.
            host.calls.end_not_held(token.context, by, host.at)
            host.note(token.home, ended_note(token.context))

    def _next_target(
        self, request: Request, token: CallToken, from_caller: bool, dialog: Dialog | None
    ) -> Target:
        """The other side: by what is left of the Route, its flow, or the Request-URI.

        Of a pinned call by its flow alone, or a stranger in a call could send to anywhere.
        """
        flow = None
        moved = self._host.calls.moved
        if moved:
            place = moved.get(party_of(token, request, is_caller=not from_caller))
            if place is not None:
                flow = place.flow
                if flow is not None:
                    flow = self._host.bindings.flow_now(flow, self._host.at)
                return Target(request.uri_text, flow)
        if token.pinned or request.first("route") is None:
            flow = token.callee_flow if from_caller else token.caller_flow
            if flow is not None and from_caller and token.is_spare:
                flow = self._spare_flow(request, token, dialog, flow)
            if flow is not None:
                flow = self._host.bindings.flow_now(flow, self._host.at)
        return Target(request.uri_text, flow)

    def _next_target_of(self, request: Request, token: CallToken, from_caller: bool) -> Target:
        """The other side of a subscription."""
        return self._next_target(request, token, from_caller, None)

    def _spare_flow(
        self, request: Request, token: CallToken, dialog: Dialog | None, flow: Flow
    ) -> Flow | None:
        """The flow to a callee that was reached at its contact, where that is of use no more.

        What it answered the INVITE with may be any address: only one that it has told later, on its
        way elsewhere, is taken for where it is.
        """
        uri = request.uri
        if same_host(uri.host, flow.remote[0]):
            return None  # as nearly always
        call = None if dialog is not None else self._host.calls.get(token.context)
        if call is not None:
            dialog = call.dialog_of(request.from_tag, request.to_tag, True)
        if dialog is not None and dialog.callee.flow and dialog.callee.contact == request.uri_text:
            return dialog.callee.flow
        return spare_flow(uri, flow)

    def handle_ack(self, request: Request, flow: Flow, own: OwnRoute | None, now: float) -> None:
        """The ACK of a 2xx; `own` is what its Route of ours said, if it had any."""
        host = self._host
        token = None if own is None else self._token_of(own, request)
        if token is None:
            if self._agents.offer_ack(request, now):
                self._proved_to_service(request, flow)
            else:
                host.count(STRAY_ACK)
            return
        if token.is_subscription or self._refusal(request, token, flow) is not None:
            host.count(Counter.FOREIGN_ACK)
            return
        self._proved(token, flow)
        from_caller = token.from_caller(request.from_tag)
        take_out(request, *self._ends(token, flow, from_caller))
        target = self._next_target(request, token, from_caller, None)
        self._sender.forward_ack(request, target, token, now, host.directory.realm)


def _leads_to(token: CallToken, network: str) -> bool:
    """Whether a token names a flow to this network."""
    flows = (token.caller_flow, token.callee_flow)
    return any(flow is not None and network_of(flow.remote[0]) == network for flow in flows)
