"""The application interface: services that change plans, answer calls and messages, place calls.

Subclass `UserAgent`, say what a call and a message get, and name it in VOIP_APPLICATIONS:

    class Busy(UserAgent):
        name = "busy"

        def on_call(self, call: IncomingCall) -> None:
            call.refuse(486)

All of it runs in the worker's own turn: nothing may wait. `docs/applications.md` has examples.
"""

from __future__ import annotations

from collections.abc import Callable

from sipcore.apps.bodies import NO_ENCODING, TEXT, is_encoded, is_optional, type_of_body
from sipcore.apps.host import Campus, Host
from sipcore.apps.limits import ADDED_BYTES, MAX_MESSAGE_BYTES, MAX_UNANSWERED, UNANSWERED_S
from sipcore.apps.own_call import ALLOW, IncomingCall, OutgoingCall, OwnCall
from sipcore.calls import Call
from sipcore.dialog import OwnDialog
from sipcore.directory import Account
from sipcore.errors import MalformedMessage
from sipcore.eventlog import Counter, Side
from sipcore.message import Request, Response, is_sips
from sipcore.routing import Plan, Query
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import Flow, bracketed


class IncomingMessage:
    """A MESSAGE (RFC 3428) that was accepted; `reply` sends one back to its sender."""

    def __init__(
        self, agent: UserAgent, request: Request, flow: Flow, sender: Account | None
    ) -> None:
        self.request = request
        self.sender = sender
        """The account that sent it, None for a stranger."""
        self._agent = agent
        self._flow = flow

    @property
    def text(self) -> str:
        return self.request.body.decode("utf-8", "replace").strip()

    def reply(self, body: bytes, content_type: str = TEXT) -> None:
        """Send a MESSAGE back to where this one came from."""
        self._agent.answer_message(self.request, self._flow, body, content_type)


class UserAgent:
    """A service with an address of its own, `sip:<name>@` each of our domains."""

    name = "service"
    max_call_s = 3_600.0
    """Calls it has answered are ended then: whoever forgets to hang up must not fill the memory."""
    max_stranger_calls = 20
    """Open calls of people without an account, all together; their addresses may be forged."""
    message_types: tuple[str, ...] = (TEXT,)
    """What `on_message` understands; other messages are answered 415 (RFC 3428 §7)."""

    def __init__(self, worker: Host, campus: Campus) -> None:
        self.worker = worker
        self.campus = campus
        self._calls: dict[tuple[str, str, str], OwnCall] = {}
        self._unanswered: set[str] = set()
        """Who has not answered our last MESSAGE yet: nobody is sent another one meanwhile."""

    def __len__(self) -> int:
        return len(self._calls)

    # --- to override -----------------------------------------------------------------------
    def on_call(self, call: IncomingCall) -> None:
        """A call for this service: answer or refuse it, now or later."""
        call.refuse(480)

    def on_message(self, message: IncomingMessage) -> None:
        """A message for this service, already accepted with 200."""

    def on_offer(self, call: OwnCall, body: bytes) -> bytes | None:
        """The other side wants to change the session: our answer, or None to leave it as it is."""
        return None

    def on_request(self, call: OwnCall, request: Request) -> int:
        """Another request inside a call (INFO, NOTIFY …): the status to answer with."""
        return 405

    def plan(self, query: Query, plan: Plan) -> Plan:
        """What is to become of a request from outside a dialog; give back another plan to change it."""
        return plan

    def on_response(self, call: Call, response: Response) -> None:
        """A response to somebody's call is about to be sent to the caller; headers may be added."""

    # --- for services ------------------------------------------------------------------------
    def plan_for(self, user: str, query: Query) -> Plan:
        """The plan as if this user (or number, or service) of the same domain had been asked for."""
        return self.campus.decide(query.redirected(user))

    def call(
        self,
        to: str,
        body: bytes = b"",
        content_type: str = "application/sdp",
        on_behalf_of: Account | None = None,
    ) -> OutgoingCall:
        """Call a user or number of ours, in our own name or that of an account.

        Without a body the phone that answers makes the offer: see `OutgoingCall.acknowledge`.
        """
        headers = [("Contact", f"<{self.contact(None)}>"), ("Allow", ALLOW)]
        invite = self._request("INVITE", to, headers, body, content_type, on_behalf_of)
        call = OutgoingCall(self, invite)
        self.later(0.0, lambda: call.start(on_behalf_of))  # who calls says first what he waits for
        return call

    def message(self, to: str, body: bytes, content_type: str = TEXT) -> None:
        """Send a MESSAGE to all phones of a user or number of ours, if it is one."""
        request = self._request("MESSAGE", to, [], body, content_type, None)
        sent = self._on_its_way(request, reliable=False, added=ADDED_BYTES)
        if sent is None:
            return
        try:
            self.campus.originate(request, sent, None, self.worker.now)
        except MalformedMessage:  # whom to write to is often what somebody has written
            sent.is_over()
        self.later(UNANSWERED_S, sent.is_over)

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after a while, unless the worker ends before."""
        due = self.worker.now + seconds
        self.worker.wake(_Later(self.worker, due, action), due)

    # --- requests ----------------------------------------------------------------------------
    @property
    def takes_strangers(self) -> bool:
        """Whether there is room for one more call of a stranger."""
        strangers = sum(
            c.side is Side.CALLEE and c.call is not None and c.call.caller_line is None
            for c in self._calls.values()
        )
        return strangers < self.max_stranger_calls

    def invite(
        self,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        held: Call,
        caller_flow: Flow | None,
    ) -> None:
        """A new call; `held` is what accounts for it, `caller_flow` how the caller is reached."""
        call = IncomingCall(self, tx, request, flow, held, caller_flow)
        tx.owner = call
        if request.require:
            call.refuse(420, headers=[("Unsupported", ", ".join(request.require))])
        elif not is_encoded(request):
            self.on_call(call)
        elif not is_optional(request):
            call.refuse(415, headers=[NO_ENCODING])
        else:
            request.body = b""
            self.on_call(call)

    def handle(
        self,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        sender: Account | None,
        now: float,
    ) -> bool:
        """Another request for this service, or one inside a dialog; False when not ours."""
        if request.to_tag:
            return self._in_dialog(tx, request, now)
        refuse = self.worker.refuse
        if request.require:
            headers = [("Unsupported", ", ".join(request.require))]
            refuse(tx, request, now, 420, headers=headers)
        elif request.method == "MESSAGE" and not self._understands(request):
            headers = [("Accept", ", ".join(self.message_types)), NO_ENCODING]
            refuse(tx, request, now, 415, headers=headers)
        elif request.method == "MESSAGE":
            tx.respond(request.respond(200, to_tag=self.worker.new_tag()), now)
            self.on_message(IncomingMessage(self, request, flow, sender))
        else:
            status = 200 if request.method == "OPTIONS" else 405
            refuse(tx, request, now, status, headers=[("Allow", ALLOW)])
        return True

    def _understands(self, request: Request) -> bool:
        """Whether the body is of a type of ours, or need not be understood (RFC 3261 §8.2.3)."""
        if not request.body or is_optional(request):
            return True
        return not is_encoded(request) and type_of_body(request) in self.message_types

    def _in_dialog(self, tx: ServerTransaction, request: Request, now: float) -> bool:
        call = self._calls.get((request.call_id, request.to_tag, request.from_tag))
        if call is None or call.dialog is None:
            return False
        if not call.dialog.in_order(request):
            tx.respond(request.respond(500, "CSeq Out Of Order"), now)
        elif request.method == "BYE":
            tx.respond(request.respond(200), now)
            call.hung_up()
        elif request.method == "INVITE":
            call.reinvited(tx, request)
        elif request.method == "OPTIONS":
            tx.respond(request.respond(200, headers=[("Allow", ALLOW)]), now)
        else:
            status = self.on_request(call, request)
            headers = [("Allow", ALLOW)] if status == 405 else []
            tx.respond(request.respond(status, headers=headers), now)
        return True

    def handle_ack(self, request: Request, now: float) -> bool:
        """An ACK of one of our dialogs."""
        call = self._calls.get((request.call_id, request.to_tag, request.from_tag))
        if call is None or call.dialog is None:
            return False
        call.dialog.ack()
        call.body = request.body or call.body
        return True

    # --- what calls need ---------------------------------------------------------------------
    def contact(self, flow: Flow | None, secure: bool = False) -> str:
        """Our Contact URI as seen on this flow; None: on the first address we listen on.

        `secure`: of a dialog that sips URIs made.
        """
        if flow is None:
            flow = self.worker.own.own_flow()
        host, port = self.worker.own.advertised(flow)
        if secure:
            return f"sips:{self.name}@{bracketed(host)}:{port}"
        transport = "" if flow.transport == "UDP" else f";transport={flow.transport.lower()}"
        return f"sip:{self.name}@{bracketed(host)}:{port}{transport}"

    def keep(self, call: OwnCall, dialog: OwnDialog) -> None:
        """A call was answered: requests inside it are for it from now on."""
        self._calls[dialog.key] = call

    def drop(self, dialog: OwnDialog) -> None:
        """A call is over."""
        self._calls.pop(dialog.key, None)

    def forget(self, call_id: str, callee_tag: str, caller_tag: str) -> None:
        """A dialog was ended from the middle, if it is one of ours."""
        for tags in ((callee_tag, caller_tag), (caller_tag, callee_tag)):
            call = self._calls.get((call_id, *tags))
            if call is not None:
                call.is_over()

    def answer_message(self, cause: Request, flow: Flow, body: bytes, content_type: str) -> None:
        """A MESSAGE back to where one came from.

        Not to a stranger over UDP: his address may be another's, who would get it eleven times.
        """
        worker = self.worker
        if worker.own.domain_of(cause.from_.uri) is None and not flow.reliable:
            return
        if is_sips(cause.from_.uri_text) and not flow.secure:
            worker.count(Counter.MESSAGE_INSECURE)
            return
        request = self._request("MESSAGE", cause.from_.uri_text, [], body, content_type, None)
        request.push("Via", worker.own.via_value(flow, worker.new_branch("0")))
        sent = self._on_its_way(request, reliable=flow.reliable)
        if sent is not None:
            worker.transactions.request(request, flow, worker.now, sent)

    def _on_its_way(self, request: Request, *, reliable: bool, added: int = 0) -> _Sent | None:
        """Note that a MESSAGE is being sent; None when it must not be.

        Not what is too large for UDP, nor another while the last one is not answered (RFC 3428 §8).
        """
        peer = request.uri_text
        if peer in self._unanswered or len(self._unanswered) >= MAX_UNANSWERED:
            self.worker.count(Counter.MESSAGE_PENDING)
            return None
        if not reliable and len(request.to_bytes()) + added > MAX_MESSAGE_BYTES:
            self.worker.count(Counter.MESSAGE_TOO_LARGE)
            return None
        self._unanswered.add(peer)
        return _Sent(self, peer)

    def answered(self, peer: str) -> None:
        """Our last MESSAGE to this peer has come to its end."""
        self._unanswered.discard(peer)

    def _request(
        self,
        method: str,
        to: str,
        headers: list[tuple[str, str]],
        body: bytes,
        content_type: str,
        on_behalf_of: Account | None,
    ) -> Request:
        worker = self.worker
        host = worker.directory.default_domain
        uri = to if ":" in to else f"sip:{to}@{host}"
        sender = f"{self.name}@{host}" if on_behalf_of is None else on_behalf_of.aor
        rows = [
            ("Max-Forwards", "70"),
            ("From", f"<sip:{sender}>;tag={worker.new_tag()}"),
            ("To", f"<{uri}>"),
            ("Call-ID", worker.new_call_id()),
            ("CSeq", f"1 {method}"),
            *headers,
        ]
        if body:
            rows.append(("Content-Type", content_type))
        return Request.build(method, uri, rows, body)


class _Sent:
    """What waits for the end of a MESSAGE of ours: frees its peer for the next one."""

    def __init__(self, agent: UserAgent, peer: str) -> None:
        self._agent = agent
        self._peer = peer

    def is_over(self) -> None:
        self._agent.answered(self._peer)

    def respond(self, response: Response, now: float) -> None:
        if response.status >= 200:
            self.is_over()

    def on_response(self, tx: object, response: Response, now: float) -> None:
        self.respond(response, now)

    def on_timeout(self, tx: object, now: float) -> None:
        self.is_over()

    def on_transport_failure(self, tx: object, now: float) -> None:
        self.is_over()


class _Later:
    """Something a service wants to do at a time."""

    __slots__ = ("_action", "_due", "_worker")

    def __init__(self, worker: Host, due: float, action: Callable[[], None]) -> None:
        self._worker = worker
        self._due = due
        self._action = action

    def advance(self, now: float) -> None:
        if now >= self._due:
            self._worker.sleep(self)
            self._action()


__all__ = ["IncomingCall", "IncomingMessage", "OutgoingCall", "OwnCall", "UserAgent", "is_optional"]
