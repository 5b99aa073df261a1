"""The campus service: what becomes of a request that no transaction absorbed.

In this order: our own Route (§16.4), validity (§16.3), the call token, requests inside a call,
our own methods (REGISTER, OPTIONS), who is calling, the decision, and its plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from sipcore.apps.bodies import NO_ENCODING, is_required, type_of_body
from sipcore.apps.campus.accounting import (
    Attempt,
    account_response,
    end_attempt,
    is_too_much_to_keep,
)
from sipcore.apps.campus.edge import Edge, Passage
from sipcore.apps.campus.enum import NumberSearch, number_to_ask_for
from sipcore.apps.campus.identity import Caller, Identity
from sipcore.apps.campus.inside import InsideCalls
from sipcore.apps.campus.own_request import OwnTransaction
from sipcore.apps.campus.record_route import (
    flow_behind_contact,
    is_sips_route,
    record_route_value,
    route_head,
)
from sipcore.apps.campus.registrations import Lost, Registrations
from sipcore.apps.campus.rights import RightsSweep
from sipcore.apps.campus.vanished import Watch
from sipcore.apps.own_call import SDP, OutgoingCall
from sipcore.apps.user_agent import UserAgent, Waits
from sipcore.bindings import Binding, StoreResult
from sipcore.calls import Call, Dialog, bye_requests
from sipcore.calls.token import PARAMETER
from sipcore.directory import Account, AccountState
from sipcore.errors import MalformedMessage
from sipcore.eventlog import Cause, Counter, Side
from sipcore.message import Request, Response, Uri, is_sips, parse_name_addr, parse_uri
from sipcore.message.grammar import split_top
from sipcore.proxy import (
    Branch,
    OwnRoute,
    ResponseContext,
    ask_for_timer,
    refusal,
    strip_own_maddr,
    take_own_routes,
    too_short,
    wants_privacy,
)
from sipcore.routing import Fork, Group, Plan, Query, Refuse, Relay, Service, Target, decide
from sipcore.transaction import MergedRequests
from sipcore.transport.flow import Flow

if TYPE_CHECKING:
    from sipcore.node.worker import Worker
    from sipcore.transaction import ServerTransaction

ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, MESSAGE, SUBSCRIBE, NOTIFY, REFER, INFO, UPDATE, PRACK"
TOO_MANY_CALLS: Final = Refuse(
    403,
    "Too Many Calls",
    reason='SIP;cause=403;text="Too many calls of this account go on at once"',
    trace=("too many calls",),
)
TERMINATED_REASON: Final = 'SIP;cause=480;text="Ended by the service"'
TOO_LONG_REASON: Final = 'SIP;cause=480;text="The longest time of a call is over"'


class CampusService:
    """Registrar, proxy and accounting for the accounts of the directory."""

    def __init__(self, worker: Worker, agents: Sequence[type[UserAgent]] = ()) -> None:
        self._worker = worker
        self._identity = Identity(worker)
        self._merged = MergedRequests()
        self._registrations = Registrations(worker, self._identity, self._merged)
        self._edge = Edge(worker)
        self._services = {agent.name: agent(worker, self) for agent in agents}
        own = self._services.values()
        self._planners = [a for a in own if type(a).plan is not UserAgent.plan]
        self._listeners = [a for a in own if type(a).on_response is not UserAgent.on_response]
        self._service_names = frozenset(self._services)
        self._attempts: dict[str, ResponseContext] = {}
        self._watch = Watch(worker, self)
        self._inside = InsideCalls(worker, self._services.values(), self._refused_session)
        self._rights = RightsSweep(worker, self._take_back)
        listeners = worker.config.listeners
        self._usual_routes = tuple(
            [route_head(lt.transport, lt.advertised) for lt in listeners]
            + [route_head("TLS", lt.advertised, True) for lt in listeners if lt.transport == "TLS"]
        )

    @property
    def idle(self) -> bool:
        """Whether no call is being placed and no registration waits for the store."""
        return not self._attempts and not len(self._registrations)

    # --- requests ----------------------------------------------------------------------------
    def answer_without_state(self, request: Request, back: Flow) -> bool:
        """Challenge what carries no credentials at all, keeping nothing (RFC 3261 §26.3.2.4).

        A retransmission is challenged again; the ACK of a 407 finds nothing and is dropped.
        """
        method = request.method
        if method in ("ACK", "CANCEL", "OPTIONS"):
            return False
        if method == "REGISTER":
            if request.has("authorization"):
                return False
        elif request.has("proxy-authorization") or request.to_tag:
            return False
        if is_sips(request.uri_text) and not back.secure:
            return False  # refused, and asked for no credentials
        if self._edge.carries_token(request):
            return False
        response = self._identity.plain_challenge(request, back)
        if response is None:
            return False
        self._worker.send(back, response.to_bytes())
        return True

    def handle(self, tx: ServerTransaction, request: Request, flow: Flow, now: float) -> None:
        """A new request other than ACK and CANCEL."""
        worker = self._worker
        own = self._take_own_routes(request)
        if "maddr" in request.uri.params:
            strip_own_maddr(request, worker.listens_at)
        # As it will be sent on, or a loop through a Route of ours would never be seen.
        refused = refusal(request, worker.own_branch, worker.new_tag)
        if refused is not None:
            names_flow = own.uri is not None and own.uri.user
            if refused.status != 483 or names_flow or not self._ends_here(request):
                tx.respond(refused, now)
                return
        if request.uri.scheme == "sips" and not flow.secure:
            tx.respond(request.respond(400, "SIPS Needs TLS", to_tag=worker.new_tag()), now)
            return
        if own.uri is not None and self._edge.take(tx, request, flow, own, now):
            return
        if request.to_tag:
            self._inside.handle(tx, request, flow, own, now)
        elif self._edge.serves(request):
            self._edge.relay(tx, request, flow, now)
        elif request.first("route") is not None:
            # Where a request goes is decided here; a Route of the sender's own opens nothing.
            tx.respond(request.respond(403, "Route Not Allowed", to_tag=worker.new_tag()), now)
        elif not self._ends_here(request):
            self._handle_new(tx, request, flow, now)
        elif self._merged.has_other(request):
            self._refuse_merged(tx, request, now)
        elif request.method == "REGISTER":
            self._registrations.handle(tx, request, flow, now)
        else:
            self._answer_options(tx, request, now)

    def _ends_here(self, request: Request) -> bool:
        """Whether a new request is for this server itself."""
        if request.method not in ("REGISTER", "OPTIONS") or request.to_tag:
            return False
        is_ours = self._worker.is_ours(request.uri)
        return is_ours and (request.method == "REGISTER" or not request.uri.user)

    def _is_for_service(self, request: Request) -> bool:
        uri = request.uri
        return self._worker.is_ours(uri) and uri.user_decoded in self._service_names

    def _refuse_merged(self, tx: ServerTransaction, request: Request, now: float) -> None:
        """A request that somebody has forked came here twice (RFC 3261 §8.2.2.2)."""
        tag = self._worker.new_tag()
        tx.respond(request.respond(482, "Merged Request", to_tag=tag), now)

    def _answer_options(self, tx: ServerTransaction, request: Request, now: float) -> None:
        """What this server can do (RFC 3261 §11.2)."""
        worker = self._worker
        tags = worker.config.registrar.option_tags
        missing = [tag for tag in request.require if tag not in tags]
        if missing:
            status, headers = 420, [("Unsupported", ", ".join(missing))]
        elif is_required(request) and type_of_body(request) != SDP:
            status, headers = 415, [("Accept", SDP), NO_ENCODING]
        else:
            status = 200
            headers = [("Allow", ALLOW), ("Accept", SDP)]
            headers.append(("Supported", ", ".join(tags)))
        tx.respond(request.respond(status, to_tag=worker.new_tag(), headers=headers), now)

    def _handle_new(self, tx: ServerTransaction, request: Request, flow: Flow, now: float) -> None:
        if self._merged.has_other(request) and self._is_for_service(request):
            self._refuse_merged(tx, request, now)
            return  # before its credentials are taken for replayed ones
        caller = self._identity.caller(tx, request, flow, now)
        if caller is None:
            return
        plan = self._plan(self._query(request, request.uri, request.uri_text, caller))
        suffix = self._worker.config.enum_suffix
        number = number_to_ask_for(suffix, request.uri, caller, plan)
        if number:
            search = NumberSearch(self, tx, request, flow, caller, plan, number)
            search.start(self._worker, suffix, now)
        else:
            self._follow(tx, request, flow, caller, plan, now)

    def _query(self, request: Request, uri: Uri, uri_text: str, caller: Caller) -> Query:
        worker = self._worker
        return Query(
            request.method,
            uri,
            uri_text,
            worker.domain_of(uri) if worker.is_ours(uri) else None,
            caller.account,
            self._service_names,
            is_trusted=bool(caller.peer),
        )

    def follow_number(
        self,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        caller: Caller,
        plan: Plan,
        uri: Uri | None,
        now: float,
    ) -> None:
        """Go on with a request whose number has this address, or with the plan where it has none."""
        account = caller.account
        if account is not None and not self._is_active(account):
            plan = Refuse(403, trace=("suspended meanwhile",))
        elif uri is not None:
            plan = self._plan(self._query(request, uri, uri.text, caller))
        self._follow(tx, request, flow, caller, plan, now)

    def _is_active(self, account: Account) -> bool:
        present = self._worker.directory.account(account.id)
        return present is not None and present.state is AccountState.ACTIVE

    def _follow(
        self,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        caller: Caller,
        plan: Plan,
        now: float,
    ) -> None:
        """Do what the plan says, unless what is asked of us goes too far."""
        if (
            isinstance(plan, Service)
            and caller.account is None
            and not self._services[plan.name].takes_strangers
        ):
            plan = Refuse(503, trace=("too many strangers",))
        if isinstance(plan, Service) and self._merged.has_other(request):
            self._refuse_merged(tx, request, now)
            return
        if request.method != "INVITE":
            self._carry_out(tx, request, flow, caller, plan, None, now)
        elif not self._refused_session(tx, request, now):
            if self._has_too_many_calls(caller):
                plan = TOO_MANY_CALLS
            self._place_call(tx, request, flow, caller, plan, now)

    def _refused_session(self, tx: ServerTransaction, request: Request, now: float) -> bool:
        """Whether an INVITE or UPDATE was refused for its session interval (RFC 4028 §8.1)."""
        policy = self._worker.config.sessions
        if not too_short(request, policy):
            return False
        headers = [("Min-SE", str(policy.min_s))]
        tx.respond(request.respond(422, to_tag=self._worker.new_tag(), headers=headers), now)
        return True

    def _has_too_many_calls(self, caller: Caller) -> bool:
        account, worker = caller.account, self._worker
        return (
            account is not None
            and worker.calls.placed_by(account.id) >= worker.config.max_calls_per_account
        )

    def decide(self, query: Query) -> Plan:
        """The plan for a query, before any service has changed it."""
        return decide(self._worker.directory, self._live_bindings, query)

    def _plan(self, query: Query) -> Plan:
        plan = self.decide(query)
        for agent in self._planners:
            plan = agent.plan(query, plan)
        return plan

    def _live_bindings(self, line_id: int) -> list[Binding]:
        return self._worker.bindings.bindings(line_id, self._worker.at)

    def _carry_out(
        self,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        caller: Caller,
        plan: Plan,
        attempt: Attempt | None,
        now: float,
    ) -> None:
        """Do what the plan says."""
        worker = self._worker
        if isinstance(plan, Fork):
            groups: tuple[Group, ...] = plan.groups
        elif isinstance(plan, Relay):
            groups = (Group((plan.target,)),)
        elif isinstance(plan, Service):
            agent = self._services[plan.name]
            self._merged.accept(tx, request, now)
            if attempt is None:
                agent.handle(tx, request, flow, caller.account, now)
            else:
                agent.invite(tx, request, flow, attempt)
            return
        else:
            self._refuse(tx, request, plan, attempt, now)
            return
        if attempt is not None:
            attempt.session = ask_for_timer(request, worker.config.sessions)
        identities = self._identities(request, caller, plan)
        context = ResponseContext(
            worker,
            tx,
            request,
            groups,
            own_realm=worker.directory.realm,
            account=attempt,
        )
        for identity in identities:
            request.append("P-Asserted-Identity", identity)
        tx.owner = context
        if attempt is not None:
            self._attempts[attempt.call.context] = context
        context.start(now)

    def _identities(self, request: Request, caller: Caller, plan: Plan) -> list[str]:
        """What is said in our name of who is calling (RFC 3325 §5), to whom it is said.

        To our own phones, and to trusted peers whom only TLS can reach; what a trusted peer has said,
        to our own phones. Nothing of who asked for any kind of privacy.
        """
        if wants_privacy(request):
            return []
        if caller.account is None:
            said = caller.peer and isinstance(plan, Fork)
            rows = request.rows("p-asserted-identity") if said else []
            return [value for row in rows for value in self._may_be_said(row)]
        is_peer = isinstance(plan, Relay) and self._leads_to_peer(plan.target)
        return [f"<sip:{caller.account.aor}>"] if is_peer or isinstance(plan, Fork) else []

    def _may_be_said(self, row: str) -> list[str]:
        """What of this a trusted peer may assert: what is its own, never one of us."""
        try:
            values = [value for value in split_top(row, ",") if value]
            ours = self._identity.names_one_of_us
            return [value for value in values if not ours(parse_name_addr(value).uri)]
        except MalformedMessage:
            return []

    def _leads_to_peer(self, target: Target) -> bool:
        peers = self._worker.config.trusted_peers
        if not peers:
            return False
        uri = parse_uri(target.uri_text)
        return uri.host in peers and (uri.scheme == "sips" or uri.transport == "TLS")

    def _refuse(
        self,
        tx: ServerTransaction,
        request: Request,
        plan: Refuse,
        attempt: Attempt | None,
        now: float,
    ) -> None:
        worker = self._worker
        headers = [("Reason", plan.reason)] if plan.reason else []
        if plan.warning:
            headers.append(("Warning", plan.warning))
        if attempt is not None:
            end_attempt(worker, attempt, plan.status, now, plan.reason)
        response = request.respond(
            plan.status, plan.phrase, to_tag=worker.new_tag(), headers=headers
        )
        tx.respond(response, now)

    # --- calls ---------------------------------------------------------------------------------
    def _place_call(
        self,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        caller: Caller,
        plan: Plan,
        now: float,
        own: OutgoingCall | None = None,
    ) -> None:
        """Admit an INVITE: from here to its end it is an ongoing call. `own`: we placed it."""
        worker = self._worker
        if is_too_much_to_keep(request):
            tx.respond(request.respond(513, to_tag=worker.new_tag()), now)
            return
        if caller.account is None and isinstance(plan, Refuse):
            # Refused to strangers: counted, never one record each.
            worker.count(Counter.STRANGER_REFUSED)
            self._refuse(tx, request, plan, None, now)
            return
        callee = plan.callee if isinstance(plan, Fork | Refuse) else None
        pinned = own is None and (caller.account is None or isinstance(plan, Relay))
        caller_flow = flow if pinned else flow_behind_contact(request, flow)
        if own is not None:
            caller_flow = None
        call = Call(
            context=worker.new_context(),
            call_id=request.call_id,
            caller_tag=request.from_tag,
            from_value=request.first("from") or "",
            to_value=request.first("to") or "",
            caller_line=caller.account.id if caller.account else None,
            callee_line=callee.id if callee else None,
            begun_now=now,
            begun_at=worker.at,
        )
        fields = {
            "call_id": call.call_id[:128],
            "from": request.from_.uri_text[:256],
            "to": request.to.uri_text[:256],
            "dialled": request.uri.user_decoded[:128],
            "caller_line": call.caller_line,
            "callee_line": call.callee_line,
            "caller_device": caller.device.id if caller.device else None,
            "source": flow.remote[0],
            "node": worker.config.node,
        }
        if caller.peer:
            fields["peer"] = caller.peer
        worker.calls.begin(call, fields)
        if own is not None:
            own.call = call
        attempt = Attempt(call, caller_flow, pinned=pinned, is_own=own is not None)
        try:
            self._carry_out(tx, request, flow, caller, plan, attempt, now)
        except Exception:  # whatever it was: what began must end
            self._attempts.pop(attempt.call.context, None)
            end_attempt(worker, attempt, 500, now, "")
            raise

    def originate(
        self, request: Request, waits: Waits, account: Account | None, now: float
    ) -> None:
        """Send a request of a service to a user of ours; an `OutgoingCall` makes it a call."""
        worker = self._worker
        flow = worker.own_flow()
        request.push("Via", worker.via_value(flow, worker.new_branch("own")))
        tx = OwnTransaction(worker.transactions, request, flow, waits)
        uri = request.uri
        domain = worker.domain_of(uri) if worker.is_ours(uri) else None
        query = Query(request.method, uri, request.uri_text, domain, account, self._service_names)
        plan = self._plan(query)
        if isinstance(plan, Relay | Service):
            plan = Refuse(403, trace=("not a user of ours",))
        caller = Caller(account, None)
        if isinstance(waits, OutgoingCall):
            self._place_call(tx, request, flow, caller, plan, now, waits)
        else:
            self._carry_out(tx, request, flow, caller, plan, None, now)

    def attempt_failed(self, attempt: Attempt, status: int, now: float) -> None:
        """A service refused a call with this status."""
        end_attempt(self._worker, attempt, status, now, "")

    def give_up(self, call: Call, now: float) -> None:
        """Cancel a call of a service that was not answered yet."""
        context = self._attempts.get(call.context)
        if context is not None:
            context.cancel(now)

    def record_route(self, context: ResponseContext, target: Target, flow: Flow) -> str | None:
        """Stay on the path of a call; its token names the flows that contacts do not."""
        attempt = context.account
        worker = self._worker
        if isinstance(attempt, Passage):
            return self._edge.record_route(attempt, context.tx.flow, flow)
        if not isinstance(attempt, Attempt):
            return None
        token = worker.tokens.make(
            attempt.call.context,
            attempt.call.call_id,
            attempt.call.caller_tag,
            caller_flow=attempt.caller_flow,
            callee_flow=flow if attempt.pinned else target.flow,
            pinned=attempt.pinned,
            caller_line=attempt.call.caller_line if attempt.pinned else None,
        )
        secure = is_sips(target.uri_text)
        leaves_secure = secure or (bool(target.path) and is_sips_route(target.path[0]))
        return record_route_value(worker, context.tx.flow, flow, token, secure, leaves_secure)

    def going_upstream(
        self, context: ResponseContext, branch: Branch | None, response: Response, now: float
    ) -> bool:
        """Account for a response that is about to be forwarded; False: it is one answer too many."""
        attempt = context.account
        is_late = False
        if 200 <= response.status < 300 and isinstance(attempt, Attempt):
            tag = response.to_tag
            if attempt.call.has_all_answers(tag):
                self._worker.count(Counter.EXTRA_ANSWER)
                return False
            is_late = attempt.call.is_late(tag)
        account_response(self._worker, context, branch, response, now)
        if self._listeners and isinstance(attempt, Attempt):
            for agent in self._listeners:
                agent.on_response(attempt.call, response)
        if response.status >= 200 and isinstance(attempt, Attempt):
            self._attempts.pop(attempt.call.context, None)
            if is_late or (attempt.terminated and response.status < 300):
                # Too late, for our CANCEL or for the call. The BYE goes after the 2xx, not before,
                # and at once: who died in between would leave two phones to talk.
                self._worker.wake(_EndOf(self, attempt.call), now)
        return True

    def end_call(
        self,
        call: Call,
        now: float,
        cause: Cause = Cause.TERMINATED,
        reason: str = TERMINATED_REASON,
    ) -> None:
        """End an ongoing call: cancel what rings, BYE to both sides of what was answered."""
        worker = self._worker
        context = self._attempts.get(call.context)
        if context is not None and isinstance(context.account, Attempt):
            context.account.terminated = True
            context.cancel(now, [reason])
        dialogs = list(call.dialogs.values())
        for dialog in dialogs:
            call.dialog_over(dialog.callee_tag)
            self.forget_dialog(call, dialog)
            for side, bye in bye_requests(call, dialog, reason):
                flow = dialog.callee_flow if side is Side.CALLEE else dialog.caller_flow
                self.send_inside(bye, flow, None, now)
        if dialogs:
            worker.calls.end(call, cause, Side.SYSTEM, now, worker.at)

    def forget_dialog(self, call: Call, dialog: Dialog) -> None:
        """A dialog is over: if one of our services holds it, it is to let it go."""
        for agent in self._services.values():
            agent.forget(call.call_id, dialog.callee_tag, call.caller_tag)

    def call_due(self, call: Call, now: float) -> None:
        """The timer of an answered call."""
        if self._worker.calls.is_too_long(call, now):
            self.end_call(call, now, Cause.TOO_LONG, TOO_LONG_REASON)
        elif call.adopted and call.has_own_end:
            self.end_call(call, now, Cause.LOST)  # our end of it died with the last worker
        else:
            self._watch.look(call, now)

    def end_old_calls(self, older_than: float, now: float) -> None:
        """End the calls that began before this time and nobody has answered."""
        worker = self._worker
        for call in worker.calls:
            if call.answered_now is None and call.begun_now < older_than:
                self.end_call(call, now)
                if call.context not in self._attempts:
                    worker.calls.end(call, Cause.LOST, Side.SYSTEM, now, worker.at)

    def send_inside(self, request: Request, flow: Flow | None, owner: object, now: float) -> None:
        """Send a request of ours into a call; `owner` hears what comes of it."""
        self._inside.send(request, flow, owner, now)

    def send_ack(self, ack: Request, flow: Flow | None, branch: str, now: float) -> None:
        """Send an ACK of ours for a 2xx, without Via."""
        self._inside.send_ack(ack, flow, branch, now)

    # --- inside a call -------------------------------------------------------------------------
    def _take_own_routes(self, request: Request) -> OwnRoute:
        return take_own_routes(request, self._worker.is_ours, PARAMETER, self._usual_routes)

    def handle_ack(self, request: Request, flow: Flow, now: float) -> None:
        """The ACK of a 2xx: forwarded without state when its token is ours (§16.11), else dropped."""
        worker = self._worker
        own = None
        if request.has("route"):
            own = self._take_own_routes(request)
            if refusal(request, worker.own_branch, worker.new_tag) is not None:
                return
            to = self._edge.ack_target(request, flow, own)
            if to is not None:
                self._inside.forward_ack(request, to, now)
                return
        self._inside.handle_ack(request, own, now)

    # --- what others tell us -------------------------------------------------------------------
    def stored(self, line_id: int, result: StoreResult, now: float) -> None:
        """The binding store answered."""
        self._registrations.stored(line_id, result, now)

    def flow_lost(self, flow: Flow, now: float) -> None:
        """A connection is gone: nobody is reached by it."""
        self._registrations.connection_lost(flow, now)

    def flow_failed(self, target: Target, now: float) -> None:
        """A contact's flow is gone, as its edge proxy says or as we have found ourselves."""
        if target.line_id is not None:
            self._registrations.remove_lost(target.line_id, Lost(target.flow, target.path), now)

    def directory_changed(self, changed: Iterable[int] | None, now: float) -> None:
        """Take back what suspended accounts and revoked devices still hold."""
        worker = self._worker
        if changed is None:
            ids = set(worker.bindings.line_ids())
            for call in worker.calls:
                ids.update([i for i in (call.caller_line, call.callee_line) if i is not None])
        else:
            ids = set(changed)
        self._rights.add(ids, now)

    def _take_back(self, account_ids: Sequence[int], now: float) -> None:
        worker = self._worker
        self._registrations.drop_lost_rights(account_ids, now)
        losing = set()
        for line_id in account_ids:
            account = worker.directory.account(line_id)
            if account is None or (account.state is not AccountState.ACTIVE and account.end_calls):
                losing.add(line_id)
        if not losing:
            return
        for call in worker.calls:
            if call.caller_line in losing or call.callee_line in losing:
                self.end_call(call, now)


class _EndOf:
    """Ends a call that was answered too late."""

    __slots__ = ("_call", "_service")

    def __init__(self, service: CampusService, call: Call) -> None:
        self._service = service
        self._call = call

    def advance(self, now: float) -> None:
        self._service._worker.sleep(self)
        self._service.end_call(self._call, now)


__all__ = ["CampusService"]
