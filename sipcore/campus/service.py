"""The campus service: what becomes of a request that no transaction absorbed.

In this order: our own Route (§16.4), validity (§16.3), the flow token of an edge, requests inside a
call, our own methods (REGISTER, OPTIONS), and admission for all others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sipcore.apps.bodies import NO_ENCODING, is_required, type_of_body
from sipcore.apps.host import Host, ResponseWaiter
from sipcore.apps.own_call import SDP
from sipcore.apps.user_agent import UserAgent
from sipcore.bindings import StoreResult
from sipcore.calls import Call
from sipcore.calls.token import PARAMETER
from sipcore.campus.admission import Admission, Admissions, plan_at_once
from sipcore.campus.agents import Agents
from sipcore.campus.call_control import CallControl
from sipcore.campus.causes import end_unanswered
from sipcore.campus.draining import Draining
from sipcore.campus.edge import Edge
from sipcore.campus.identity import Identity, reads_as_ours
from sipcore.campus.in_call import InCallSender
from sipcore.campus.in_dialog import InDialogRouter
from sipcore.campus.incoming import Incoming
from sipcore.campus.liveness import Liveness
from sipcore.campus.method_rules import ALLOW, STRANGERS_MAY, allow_besides, packages
from sipcore.campus.registrations import Lost, Registrations
from sipcore.campus.rights import RightsSweep
from sipcore.campus.subscriptions import InSubscriptionRelay
from sipcore.directory import Account, AccountState, TrustedPeers
from sipcore.errors import MalformedMessage
from sipcore.eventlog import Counter
from sipcore.message import Request, Response, check_outside_call, is_sips
from sipcore.proxy import (
    OwnRoute,
    Trust,
    refusal,
    strip_own_maddr,
    take_own_routes,
)
from sipcore.routing import Plan, Query, Target
from sipcore.transaction import ClientOwner, MergedRequests, ServerTransaction
from sipcore.transport.flow import Flow


class CampusService:
    """Registrar, proxy and accounting for the accounts of the directory."""

    def __init__(self, host: Host, agents: Sequence[type[UserAgent]] = ()) -> None:
        self._host = host
        self._identity = Identity(host)
        self._merged = MergedRequests()
        self._registrations = Registrations(host, self._identity, self._merged)
        self._edge = Edge(host)
        self._trusted = host.directory.part(TrustedPeers).domains
        self.agents = Agents(host, self, agents)
        self._sender = InCallSender(host)
        self.control = CallControl(host, self.agents, self._sender)
        self._liveness = Liveness(host, self.control, self._sender)
        self._in_dialog = InDialogRouter(host, self.agents, self._sender, self._identity)
        self._admissions = Admissions(host, self._identity, self._merged, self.agents, self.control)
        self._rights = RightsSweep(host, self._take_back)
        self._draining = Draining(host, self.control)
        self._usual_routes = host.own.usual_routes(f";{PARAMETER}=")

    @property
    def idle(self) -> bool:
        """Whether no call is being placed and no registration waits for the store."""
        return not len(self.control) and not len(self._registrations)

    # --- requests ----------------------------------------------------------------------------
    def answer_without_state(self, request: Request, back: Flow) -> bool:
        """Answer what costs us nothing to refuse, keeping nothing (RFC 3261 §26.3.2.4).

        That is: challenge what carries no credentials at all, and refuse methods that strangers may not
        send.

        A retransmission is challenged again; the ACK of a 407 finds nothing and is dropped.
        """
        method = request.method
        if method in ("ACK", "CANCEL"):
            return False
        if (not request.to_tag or method == "REGISTER") and not request.is_plain:
            self._check_reading(request)
        if self._host.is_stopping and self._draining.turns_away(request, back):
            return True
        if method == "REGISTER":
            if request.has("authorization"):
                if self._edge.serves(request):
                    return False
                return self._registrations.refuse_at_sight(request, back)
        elif method not in STRANGERS_MAY and self._answer_stranger(request, back):
            return True
        elif method == "OPTIONS" or request.has("proxy-authorization") or request.to_tag:
            return False
        if is_sips(request.uri_text) and not back.secure:
            return False  # refused, and asked for no credentials
        if self._edge.carries_token(request):
            return False
        response = self._identity.plain_challenge(request, back)
        if response is None:
            return method == "REGISTER" and self._answer_stranger(request, back)
        self._host.send(back, response.to_bytes())
        return True

    def _check_reading(self, request: Request) -> None:
        """Refuse a request outside a call that others may read otherwise than we do."""
        check_outside_call(request)
        for value in (request.from_, request.to):
            if value.needs_quotes and reads_as_ours(value.display, self._host.own.domain_of):
                raise MalformedMessage("display name needs quotes")

    def _answer_stranger(self, request: Request, back: Flow) -> bool:
        """Answer a stranger's request of a method that passes to no line (`method_rules`).

        OPTIONS to a line with 200, all else with 405, whether there is such a line or not.
        """
        host, uri = self._host, request.uri
        own = host.own
        if request.to_tag or self._edge.serves(request) or self._edge.carries_token(request):
            return False
        if not self._identity.is_foreign(request, back) or host.trusted_peer(back):
            return False  # asked for credentials, or believed
        if request.method == "OPTIONS":
            is_line = uri.scheme == "tel" or (own.is_ours(uri) and uri.user)
            if not is_line or uri.user_decoded.lower() in self.agents.names:
                return False
            if request.has("proxy-require") or (is_sips(request.uri_text) and not back.secure):
                return False
            response = self._options_answer(request, host.stateless_tag(request))
        elif request.method == "REGISTER" and uri.scheme != "tel":
            return False
        else:
            host.count(Counter.METHOD_REFUSED)
            headers = [("Allow", allow_besides(request.method))]
            response = request.respond(405, to_tag=host.stateless_tag(request), headers=headers)
        host.send(back, response.to_bytes())
        return True

    def handle(self, tx: ServerTransaction, request: Request, flow: Flow, now: float) -> None:
        """A new request other than ACK and CANCEL."""
        host = self._host
        own = self._take_own_routes(request)
        if own.found and request.method == "INVITE":
            tx.keeps = self._edge.is_on_the_way(own) or self._in_dialog.opens_a_call(own, request)
            tx.quiet = tx.keeps and not self._in_dialog.is_proved(own, request, flow)
        if "maddr" in request.uri.params:
            strip_own_maddr(request, host.own.listens_at)
        # As it will be sent on, or a loop through a Route of ours would never be seen.
        refused = refusal(request, host.own.own_branch, host.stateless_tag)
        if refused is not None:
            names_flow = own.uri is not None and own.uri.user
            if refused.status != 483 or names_flow or not self._ends_here(request):
                tx.respond_once(refused, now)
                return
        if request.uri.scheme == "sips" and not flow.secure:
            host.refuse(tx, request, now, 400, "SIPS Needs TLS")
            return
        if own.uri is not None and self._edge.take(tx, request, flow, own, now):
            return
        if request.to_tag and request.method != "REGISTER":
            if request.method != "NOTIFY" or own.token or not self._notify(tx, request, flow, now):
                self._in_dialog.handle(tx, request, flow, own, now)
        elif self._edge.serves(request):
            self._edge.relay(tx, request, flow, now)
        elif request.first("route") is not None:
            # Where a request goes is decided here; a Route of the sender's own opens nothing.
            host.refuse(tx, request, now, 403, "Route Not Allowed")
        elif self._ends_here(request):
            if self._merged.has_other(request):
                self._admissions.refuse_merged(tx, request, now)
            elif request.method == "REGISTER":
                self._registrations.handle(tx, request, flow, now)
            else:
                self._answer_options(tx, request, now)
        elif self._is_for_service(request) and self._merged.has_other(request):
            # Before its credentials are taken for replayed ones.
            self._admissions.refuse_merged(tx, request, now)
        else:
            incoming = Incoming(tx, request, flow, token=own.token or "")
            Admission(self._admissions, incoming).begin(now)

    def _notify(self, tx: ServerTransaction, request: Request, flow: Flow, now: float) -> bool:
        """Send a NOTIFY without our Route on to the subscriber; False when it is in no subscription."""
        host = self._host
        found = host.subscriptions.named(request.call_id, request.to_tag, now)
        if found is None or packages(request) != found.packages:
            return False
        if found.notifiers and request.from_tag not in found.notifiers:
            return False
        caller = self._identity.caller(tx, request, flow, now)
        if caller is None:
            return True  # challenged or refused
        line_id = None if caller.account is None else caller.account.id
        if line_id != found.notifier_line:
            return False
        relay = InSubscriptionRelay(host, request, found, None, "")
        ends = caller.trust, Trust.ACCOUNT if isinstance(found.subscriber, int) else Trust.PEER
        back = None if found.flow is None else host.bindings.flow_now(found.flow, host.at)
        target = Target(found.contact, back)
        self._in_dialog.subscriptions.send_on(tx, request, target, relay, ends, now)
        return True

    def _ends_here(self, request: Request) -> bool:
        """Whether a new request is for this server itself."""
        if request.method != "REGISTER" and (request.method != "OPTIONS" or request.to_tag):
            return False
        is_ours = self._host.own.is_ours(request.uri)
        return is_ours and (request.method == "REGISTER" or not request.uri.user)

    def _is_for_service(self, request: Request) -> bool:
        uri = request.uri
        return uri.user_decoded.lower() in self.agents.names and self._host.own.is_ours(uri)

    def _answer_options(self, tx: ServerTransaction, request: Request, now: float) -> None:
        tx.respond_once(self._options_answer(request, self._host.stateless_tag(request)), now)

    def _options_answer(self, request: Request, tag: str) -> Response:
        """What this server can do (RFC 3261 §11.2)."""
        tags = self._host.config.registrar.option_tags
        missing = [tag for tag in request.require if tag not in tags]
        if missing:
            status, headers = 420, [("Unsupported", ", ".join(missing))]
        elif is_required(request) and type_of_body(request) != SDP:
            status, headers = 415, [("Accept", SDP), NO_ENCODING]
        else:
            status = 200
            headers = [("Allow", ALLOW), ("Accept", SDP)]
            headers.append(("Supported", ", ".join(tags)))
        return request.respond(status, to_tag=tag, headers=headers)

    def _take_own_routes(self, request: Request) -> OwnRoute:
        return take_own_routes(request, self._host.own.is_ours, PARAMETER, self._usual_routes)

    def handle_ack(self, request: Request, flow: Flow, now: float) -> None:
        """The ACK of a 2xx: forwarded without state when its token is ours (§16.11), else dropped."""
        host = self._host
        own = None
        if request.has("route"):
            own = self._take_own_routes(request)
            if refusal(request, host.own.own_branch, host.stateless_tag) is not None:
                return
            to = self._edge.ack_target(request, flow, own)
            if to is not None:
                self._sender.forward_ack(request, to, None, now)
                return
        self._in_dialog.handle_ack(request, flow, own, now)

    # --- what our services ask (`sipcore.apps.host.Campus`) --------------------------------------
    def decide(self, query: Query) -> Plan:
        """The plan for a query, before any service has changed it."""
        return plan_at_once(self._admissions.decide(query))

    def originate(
        self, request: Request, waiter: ResponseWaiter, account: Account | None, now: float
    ) -> None:
        """Send a request of a service to a user of ours; an `OutgoingCall` makes it a call."""
        self._admissions.originate(request, waiter, account, now)

    def call_refused(self, call: Call, status: int, now: float) -> None:
        """A service refused a call with this status."""
        end_unanswered(self._host, call, status, now)

    def give_up(self, call: Call, now: float) -> None:
        """Cancel a call of a service that was not answered yet."""
        self.control.give_up(call, now)

    def send_inside(
        self, request: Request, flow: Flow | None, owner: ClientOwner | None, now: float
    ) -> None:
        """Send a request of ours into a call; `owner` hears what comes of it."""
        self._sender.send(request, flow, owner, now)

    def send_ack(self, ack: Request, flow: Flow | None, branch: str, now: float) -> None:
        """Send an ACK of ours for a 2xx, without Via."""
        self._sender.send_ack(ack, flow, branch, now)

    # --- what others tell us -------------------------------------------------------------------
    def stored(self, line_id: int, result: StoreResult, now: float) -> None:
        """The binding store answered."""
        self._registrations.stored(line_id, result, now)

    def noted(self, note: Mapping[str, Any], now: float) -> None:
        """Another worker asks about a call, or answers."""
        if note["op"] in ("asked", "told"):
            self._admissions.inquiries.noted(note, now)
        else:
            self._in_dialog.moving.noted(note, now)

    def call_due(self, call: Call, now: float) -> None:
        """The timer of an answered call."""
        if self._host.is_stopping:
            return  # the next one of us looks at it
        if not self.control.end_if_due(call, now):
            self._liveness.look(call, now)

    def end_old_calls(self, older_than: float, now: float) -> None:
        """End the calls that began before this time and nobody has answered."""
        self.control.end_old_calls(older_than, now)

    def end_calls_of(self, line_ids: Collection[int], now: float) -> None:
        """End all calls in which one of these accounts is a party."""
        self.control.end_calls_of(line_ids, now)

    def drain(self, wait_s: float, now: float) -> None:
        """Take nothing new; end what is not answered, after `wait_s`."""
        self._draining.begin(wait_s, now)

    @property
    def drained(self) -> bool:
        """Whether nobody waits for an answer of ours any more, or has waited long enough."""
        return self._draining.done

    def flow_lost(self, flow: Flow, now: float) -> None:
        """A connection is gone: nobody is reached by it."""
        self._registrations.connection_lost(flow, now)

    def flow_failed(self, target: Target, now: float) -> None:
        """A contact's flow is gone, as its edge proxy says or as we have found ourselves."""
        if target.line_id is not None:
            self._registrations.remove_lost(target.line_id, Lost(target.flow, target.path), now)

    def directory_changed(self, changed: Iterable[int] | None, now: float) -> None:
        """Take back what suspended accounts, revoked devices and former trusted peers still hold."""
        self._edge.directory_changed()
        host = self._host
        trusted = host.directory.part(TrustedPeers).domains
        distrusted, self._trusted = self._trusted - trusted, trusted
        if distrusted:
            host.subscriptions.end_of(distrusted)
        self.agents.directory_changed(host.directory)
        if changed is None:
            ids = set(host.bindings.line_ids())
            for call in host.calls:
                ids.update([i for i in (call.caller_line, call.callee_line) if i is not None])
        else:
            ids = set(changed)
        self._rights.add(ids, now)

    def _take_back(self, account_ids: Sequence[int], now: float) -> None:
        self._registrations.drop_lost_rights(account_ids, now)
        inactive: set[int | str] = set()
        losing = set()
        for line_id in account_ids:
            account = self._host.directory.account(line_id)
            if account is None or account.state is not AccountState.ACTIVE:
                inactive.add(line_id)
                if account is None or account.end_calls:
                    losing.add(line_id)
        if inactive:
            self._host.subscriptions.end_of(inactive)
        if losing:
            self.control.end_calls_of(losing, now)


__all__ = ["CampusService"]
