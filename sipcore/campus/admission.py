"""Admission: a new request from its arrival to a plan that is walked.

Who is calling, what is decided, what must be asked outside, whether a limit is reached, and then the
plan. Where it has to wait it owns the server transaction and goes on with the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sipcore.apps.host import Host, ResponseWaiter
from sipcore.apps.own_call import OutgoingCall
from sipcore.calls import Call
from sipcore.calls.named import NamedCall
from sipcore.campus.agents import Agents
from sipcore.campus.assertions import asserted_identities, leads_to_peer
from sipcore.campus.by_contact import plan_by_contact
from sipcore.campus.call_control import CallControl
from sipcore.campus.causes import end_unanswered
from sipcore.campus.dialog_parts import flow_behind_contact, is_too_much_to_keep
from sipcore.campus.identity import Identity
from sipcore.campus.incoming import Caller, Incoming
from sipcore.campus.inquiries import Inquiries
from sipcore.campus.message_out import MessageOut
from sipcore.campus.method_check import MethodCheck
from sipcore.campus.method_rules import allow_besides
from sipcore.campus.own_line import EVENT_METHODS, for_the_others
from sipcore.campus.own_request import OwnTransaction
from sipcore.campus.placed_call import PlacedCall
from sipcore.campus.subscriptions import SUBSCRIBES, begin_subscription
from sipcore.directory import Account, AccountState, NumberLookup
from sipcore.errors import MalformedMessage
from sipcore.eventlog import Counter, new_context
from sipcore.locate import NO_ROOM, OWN_REQUESTS, RETRY_LATER_S, Answer
from sipcore.message import Request, Uri, parse_uri
from sipcore.perimeter import StrangerMessages
from sipcore.proxy import (
    JUST_FORWARD,
    OfLine,
    Purpose,
    Trust,
    ask_for_timer,
    check_interval,
    forward,
)
from sipcore.proxy.stopping import come_again
from sipcore.routing import Ask, Fork, Group, Plan, Query, Refuse, Relay, Service, decide
from sipcore.transaction import MergedRequests, ServerTransaction
from sipcore.transport.networks import network_of

SERVICE: Final = 0
"""Stands for the line of a call to one of our services."""
TOO_MANY_CALLS: Final = Refuse(
    403,
    "Too Many Calls",
    reason='SIP;cause=403;text="Too many calls of this account go on at once"',
    trace=("too many calls",),
)

GIVEN_UP: Final = Refuse(487, trace=("given up",))


class Admissions:
    """What all admissions of a worker share, and the steps that need no waiting."""

    def __init__(
        self,
        host: Host,
        identity: Identity,
        merged: MergedRequests,
        agents: Agents,
        control: CallControl,
    ) -> None:
        self.host = host
        self.identity = identity
        self.merged = merged
        self.agents = agents
        self.control = control
        self.methods = MethodCheck(host)
        self.inquiries = Inquiries(host)
        self.messages = StrangerMessages(host.calls.strangers.talked)

    # --- deciding ------------------------------------------------------------------------------
    def query(
        self, request: Request, uri: Uri, uri_text: str, caller: Caller, enum_suffix: str = ""
    ) -> Query:
        """The question where a request of this caller goes that asks for this URI."""
        own = self.host.own
        return Query(
            request.method,
            uri,
            uri_text,
            own.domain_of(uri) if own.is_ours(uri) else None,
            caller.account,
            self.agents.names,
            is_trusted=bool(caller.peer),
            enum_suffix=enum_suffix,
            own_hosts=own.own_hosts,
        )

    def decide(self, query: Query) -> Plan | Ask:
        """The plan for a query, before any service has changed it."""
        host = self.host
        return decide(host.directory, host.bindings.live(host.at), query)

    def plan(self, query: Query) -> Plan:
        """The plan for a query for which nothing is asked outside, as the services want it."""
        return self.agents.plan(query, plan_at_once(self.decide(query)))

    def plan_naming_a_call(self, incoming: Incoming, plan: Plan) -> Plan:
        """The plan of a request that names a call; its URI may be the contact of one of its phones."""
        request, host = incoming.request, self.host
        if request.uri.scheme not in ("sip", "sips") or host.own.is_ours(request.uri):
            return plan
        calls = self.methods.calls_named(incoming)

        def plan_of(account: Account) -> Plan:
            text = f"{request.uri.scheme}:{account.aor}"
            return self.plan(self.query(request, parse_uri(text), text, incoming.caller))

        return plan_by_contact(host, calls, request.uri, plan_of) or plan

    # --- limits --------------------------------------------------------------------------------
    def refuse_merged(self, tx: ServerTransaction, request: Request, now: float) -> None:
        """A request that somebody has forked came here twice (RFC 3261 §8.2.2.2)."""
        self.host.refuse(tx, request, now, 482, "Merged Request")

    def follow(self, incoming: Incoming, plan: Plan, now: float) -> None:
        """Do what the plan says, unless what is asked of us goes too far."""
        caller, request = incoming.caller, incoming.request
        if isinstance(plan, Service):
            if caller.account is None and not self.agents[plan.name].takes_strangers:
                plan = Refuse(503, trace=("too many strangers",))
            elif self.merged.has_other(request):
                self.refuse_merged(incoming.tx, request, now)
                return
        if request.method in EVENT_METHODS or (
            request.method == "INVITE" and _is_to_itself(caller, plan)
        ):
            plan = for_the_others(self.host, incoming, plan)
        plan = self.methods.checked(incoming, plan)
        if request.method in SUBSCRIBES and is_too_much_to_keep(request):
            incoming.refuse(self.host, now, 513)
            return
        if request.method != "INVITE":
            if caller.is_known or isinstance(plan, Refuse) or self._has_room(incoming, plan, now):
                self._carry_out(incoming, plan, None, now)
            return
        host = self.host
        refused = check_interval(request, host.config.sessions, host.stateless_tag)
        if refused is not None:
            incoming.tx.respond_once(refused, now)
            return
        if self._has_too_many_calls(caller):
            plan = TOO_MANY_CALLS
        self.place_call(incoming, plan, now)

    def _has_room(self, incoming: Incoming, plan: Plan, now: float) -> bool:
        """Whether one more message of a stranger may pass; else it is refused, keeping nothing."""
        if incoming.request.method != "MESSAGE":
            return True  # a service answers the rest, keeping nothing
        line_id = plan.callee.id if isinstance(plan, Fork) else SERVICE
        network = network_of(incoming.flow.remote[0])
        if self.messages.admits(line_id, network, now):
            return True
        self.host.count(Counter.STRANGER_MESSAGE_LIMITED)
        incoming.refuse(self.host, now, 480)
        return False

    def _has_too_many_calls(self, caller: Caller) -> bool:
        account, host = caller.account, self.host
        return (
            account is not None
            and host.calls.placed_by(account.id) >= host.config.max_calls_per_account
        )

    # --- placing -------------------------------------------------------------------------------
    def place_call(
        self, incoming: Incoming, plan: Plan, now: float, own: OutgoingCall | None = None
    ) -> None:
        """Admit an INVITE: from here to its end it is an ongoing call. `own`: we placed it."""
        host, request, caller = self.host, incoming.request, incoming.caller
        if is_too_much_to_keep(request):
            incoming.refuse(host, now, 513)
            return
        if caller.account is None and isinstance(plan, Refuse):
            # Refused to strangers: counted, never one record each.
            host.count(Counter.STRANGER_REFUSED)
            self._refuse(incoming, plan, now)
            return
        callee = plan.callee if isinstance(plan, Fork | Refuse) else None
        network = ""
        if own is None and not caller.is_known and not caller.has_come_back:
            network = network_of(incoming.flow.remote[0])
            line_id = callee.id if callee else SERVICE
            is_proved = incoming.flow.reliable
            if not host.calls.strangers.admits(line_id, network, now, is_proved=is_proved):
                host.count(Counter.STRANGER_LIMITED)
                incoming.refuse(host, now, 480)
                return
        call = Call(
            context=new_context(host.random),
            call_id=request.call_id,
            caller_tag=request.from_tag,
            from_value=request.first("from") or "",
            to_value=request.first("to") or "",
            caller_line=caller.account.id if caller.account else None,
            callee_line=callee.id if callee else None,
            begun_now=now,
            begun_at=host.at,
        )
        pinned = own is None and (caller.account is None or isinstance(plan, Relay))
        flow = incoming.flow
        if own is not None:
            caller_flow = None
        else:
            caller_flow = flow if pinned else flow_behind_contact(request, flow)
        fields = self._begin_fields(incoming, call, plan, now)
        host.calls.begin(call, fields)
        if isinstance(plan, Fork) and request.has("replaces"):
            self._take_over(incoming, call)
        if network:
            line_id = call.callee_line or SERVICE
            host.calls.strangers.began(call.context, line_id, network, now)
        if own is not None:
            own.call = call
        placed = PlacedCall(
            host,
            self.control,
            self.agents,
            call,
            incoming,
            caller_flow,
            pinned=pinned,
            is_own=own is not None,
        )
        try:
            self._carry_out(incoming, plan, placed, now)
        except Exception:  # whatever it was: what began must end
            self.control.rings_no_more(call)
            end_unanswered(host, call, 500, now)
            raise

    def _take_over(self, incoming: Incoming, call: Call) -> None:
        """The call that the new one takes the place of says so (RFC 3891)."""
        name = self.methods.names(incoming)
        if name is not None:
            for replaced in self.host.calls.named(name.call_id, name.tags):
                self.host.calls.moves.replaced(replaced, call, self.host.at)

    def _begin_fields(
        self, incoming: Incoming, call: Call, plan: Plan, now: float
    ) -> dict[str, object]:
        """What the `call.begin` record says."""
        request, caller = incoming.request, incoming.caller
        fields: dict[str, object] = {
            "call_id": call.call_id[:128],
            "from": request.from_.uri_text[:256],
            "to": request.to.uri_text[:256],
            "dialled": request.uri.user_decoded[:128],
            "caller_line": call.caller_line,
            "callee_line": call.callee_line,
            "caller_device": caller.device.id if caller.device else None,
            "source": incoming.flow.remote[0],
            "node": self.host.config.node,
        }
        if caller.peer:
            fields["peer"] = caller.peer
        if isinstance(plan, Relay):
            fields["elsewhere"] = parse_uri(plan.target.uri_text).host[:128]
        moves = self.host.calls.moves
        if call.caller_line in moves.referred:
            dialled = request.uri.user_decoded
            fields["came_from"] = moves.came_from(call.caller_line, dialled, now)
        return fields

    def _carry_out(
        self, incoming: Incoming, plan: Plan, placed: PlacedCall | None, now: float
    ) -> None:
        """Do what the plan says; `placed` is the call where it is an INVITE."""
        if isinstance(plan, Refuse):
            if placed is not None:
                end_unanswered(self.host, placed.call, plan.status, now, plan.reason)
            self._refuse(incoming, plan, now)
        elif isinstance(plan, Service):
            self._serve(incoming, plan, placed, now)
        else:
            if isinstance(plan, Relay) and incoming.caller.account is not None:
                plan.target.asked_from = incoming.flow.remote[0]
            groups = plan.groups if isinstance(plan, Fork) else (Group((plan.target,)),)
            self._proxy(incoming, plan, groups, placed, now)

    def _refuse(self, incoming: Incoming, plan: Refuse, now: float) -> None:
        headers = [("Reason", plan.reason)] if plan.reason else []
        if plan.status == 503:
            headers.append(("Retry-After", str(RETRY_LATER_S)))
        if plan.status == 405:
            headers.append(("Allow", allow_besides(incoming.request.method)))
        if plan.warning:
            headers.append(("Warning", plan.warning))
        if self.host.is_stopping:
            headers += come_again(plan.status)
        incoming.refuse(self.host, now, plan.status, plan.phrase, headers)

    def _serve(
        self, incoming: Incoming, plan: Service, placed: PlacedCall | None, now: float
    ) -> None:
        agent, tx, request = self.agents[plan.name], incoming.tx, incoming.request
        self.merged.accept(tx, request, now)
        if placed is None:
            agent.handle(tx, request, incoming.flow, incoming.caller.account, now)
        else:
            agent.invite(tx, request, incoming.flow, placed.call, placed.caller_flow)

    def _proxy(
        self,
        incoming: Incoming,
        plan: Plan,
        groups: tuple[Group, ...],
        placed: PlacedCall | None,
        now: float,
    ) -> None:
        host, request = self.host, incoming.request
        if placed is not None:
            placed.session = ask_for_timer(request, host.config.sessions)
        identities = asserted_identities(host, self.identity, incoming, plan)
        account = incoming.caller.account
        purpose: Purpose = JUST_FORWARD
        if account is not None and isinstance(plan, Relay) and request.method == "MESSAGE":
            purpose = MessageOut(account.id, host.calls.strangers.talked)
        if placed is not None:
            purpose = placed
            self.control.rings(placed.call, incoming.tx)
        elif request.method in SUBSCRIBES:
            purpose = begin_subscription(host, incoming, plan, now) or purpose
        elif incoming.caller.is_hidden and incoming.caller.account is not None:
            purpose = OfLine(incoming.caller.account.id)
        forward(
            host,
            incoming.tx,
            request,
            groups,
            purpose,
            now,
            own_realm=host.directory.realm,
            identities=identities,
            sender=incoming.caller.trust,
            receiver=_receiver(host, incoming.caller, plan),
        )

    # --- requests of our services ----------------------------------------------------------------
    def originate(
        self, request: Request, waiter: ResponseWaiter, account: Account | None, now: float
    ) -> None:
        """Send a request of a service to a user of ours; an `OutgoingCall` makes it a call."""
        host = self.host
        if host.is_stopping:
            waiter.respond(request.respond(503, to_tag=host.new_tag()), host.now)
            return
        flow = host.own.own_flow()
        request.push("Via", host.own.via_value(flow, host.new_branch("own")))
        tx = OwnTransaction(host.transactions, request, flow, waiter)
        aor = "" if account is None else account.aor
        incoming = Incoming(tx, request, flow, Caller(account, None, aor=aor, is_own=True))
        plan = self.plan(self.query(request, request.uri, request.uri_text, incoming.caller))
        if isinstance(plan, Relay | Service):
            plan = Refuse(403, trace=("not a user of ours",))
        if isinstance(waiter, OutgoingCall):
            self.place_call(incoming, plan, now, waiter)
        else:
            self._carry_out(incoming, plan, None, now)


def _is_to_itself(caller: Caller, plan: Plan) -> bool:
    """Whether an account calls its own line."""
    account = caller.account
    return account is not None and isinstance(plan, Fork) and plan.callee.id == account.id


def _receiver(host: Host, caller: Caller, plan: Plan) -> Trust:
    """Who gets what is sent by this plan, and answers it."""
    if isinstance(plan, Relay):
        return Trust.PEER if leads_to_peer(host, plan.target) else Trust.STRANGER
    account = caller.account
    if account is not None and isinstance(plan, Fork) and plan.callee.id == account.id:
        return Trust.OWN
    return Trust.ACCOUNT


class Admission:
    """One new request. While it waits it is the owner of its server transaction."""

    __slots__ = ("_ask", "_incoming", "_is_over", "_plan", "_shared")

    def __init__(self, shared: Admissions, incoming: Incoming) -> None:
        self._shared = shared
        self._incoming = incoming
        self._ask: Ask | None = None
        """What it waits for."""
        self._plan: Plan | None = None
        """What to do when the other workers have answered."""
        self._is_over = False

    def begin(self, now: float) -> None:
        """Who is calling, and what is to be done."""
        shared, incoming = self._shared, self._incoming
        request = incoming.request
        caller = shared.identity.caller(incoming.tx, request, incoming.flow, now)
        if caller is None:
            return  # challenged or refused
        incoming.caller = caller
        if caller.is_known:
            incoming.tx.is_known = True
            shared.host.transactions.knows(incoming.flow)
        suffix = shared.host.directory.part(NumberLookup).suffix
        query = shared.query(request, request.uri, request.uri_text, caller, suffix)
        decision = shared.decide(query)
        if isinstance(decision, Ask):
            plan = shared.agents.plan(query, decision.otherwise)
            if plan is decision.otherwise:
                self._wait_for(decision, now)
                return
        else:
            plan = shared.agents.plan(query, decision)
        self._follow(plan, now)

    def _follow(self, plan: Plan, now: float) -> None:
        """Follow a plan; the other workers are asked first where a call is named that may be theirs."""
        shared, incoming = self._shared, self._incoming
        name = shared.methods.names(incoming)
        if name is not None:
            party = shared.methods.party(incoming)
            if shared.inquiries.ask(name, party, self, now):
                self._plan = plan
                self._is_over = False
                incoming.tx.owner = self
                return
            plan = shared.plan_naming_a_call(incoming, plan)
        shared.follow(incoming, plan, now)

    def heard(self, calls: list[NamedCall], partners: set[str], now: float) -> None:
        """The other workers have answered."""
        plan, incoming = self._plan, self._incoming
        if self._is_over or plan is None:
            return
        incoming.calls, incoming.partners = calls, partners
        if self._is_suspended():
            plan = Refuse(403, trace=("suspended meanwhile",))
        else:
            plan = self._shared.plan_naming_a_call(incoming, plan)
        self._finish(lambda: self._shared.follow(incoming, plan, now), now)

    def _wait_for(self, ask: Ask, now: float) -> None:
        self._ask = ask
        self._incoming.tx.owner = self
        account = self._incoming.caller.account
        whose = OWN_REQUESTS if account is None else f"line {account.id}"
        self._shared.host.next_hops.locator.ask(ask.question, self, whose, now)

    def told(self, answer: Answer, now: float) -> None:
        """What was asked is answered: go on."""
        ask, shared, incoming = self._ask, self._shared, self._incoming
        if self._is_over or ask is None:
            return
        found = ask.answered(answer)
        if answer is NO_ROOM:
            shared.host.count(Counter.LOOKUP_LIMITED)
        if self._is_suspended():
            self._go_on(Refuse(403, trace=("suspended meanwhile",)), now)
        elif isinstance(found, Uri):
            query = shared.query(incoming.request, found, found.text, incoming.caller)
            self._go_on(query, now)
        else:
            self._go_on(found, now)

    def cancel(self, now: float, reasons: object = (), status: int = 487) -> None:
        """The caller's CANCEL, or our own wish to end the attempt."""
        if not self._is_over:
            plan = GIVEN_UP if status == 487 else Refuse(status, trace=("stopping",))
            self._finish(lambda: self._shared.place_call(self._incoming, plan, now), now)

    def _is_suspended(self) -> bool:
        account = self._incoming.caller.account
        if account is None:
            return False
        present = self._shared.host.directory.account(account.id)
        return present is None or present.state is not AccountState.ACTIVE

    def _go_on(self, what: Plan | Query, now: float) -> None:
        """Follow a plan, or the one for this query, whatever goes wrong."""
        shared = self._shared
        if isinstance(what, Query):
            self._finish(lambda: self._follow(shared.plan(what), now), now)
        else:
            self._finish(lambda: self._follow(what, now), now)

    def _finish(self, follow: Callable[[], None], now: float) -> None:
        self._is_over = True
        self._incoming.tx.owner = None
        try:
            follow()
        except MalformedMessage as error:
            self._give_up(error.status, now)
        except Exception:
            self._give_up(500, now)  # an INVITE would wait here for ever
            raise

    def _give_up(self, status: int, now: float) -> None:
        tx, request = self._incoming.tx, self._incoming.request
        if tx.last_status < 200:
            tx.respond(request.respond(status, to_tag=self._shared.host.new_tag()), now)


def plan_at_once(decision: Plan | Ask) -> Plan:
    """The plan of a decision where nobody can wait for an answer."""
    return decision.otherwise if isinstance(decision, Ask) else decision
