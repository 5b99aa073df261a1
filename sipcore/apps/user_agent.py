"""The application interface for services that answer calls and messages themselves.

Subclass `UserAgent`, say what a call and a message get, and register it under a name:

    class Busy(UserAgent):
        def on_call(self, call: IncomingCall) -> None:
            call.refuse(486)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol

from sipcore.calls import Call, Dialog
from sipcore.dialog import UasDialog
from sipcore.eventlog import Side
from sipcore.message import Request, Response
from sipcore.transport.flow import Flow

if TYPE_CHECKING:
    from sipcore.apps.campus.accounting import Attempt
    from sipcore.node.worker import Worker
    from sipcore.transaction import ServerTransaction

ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE"


class CallOutcome(Protocol):
    """How an attempt that was refused is accounted (`campus.accounting.end_attempt`)."""

    def __call__(
        self, worker: Worker, attempt: Attempt, status: int, now: float, reason: str
    ) -> None: ...


class IncomingCall:
    """A call that waits for `answer` or `refuse`; also the owner of its server transaction."""

    def __init__(
        self,
        agent: UserAgent,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        attempt: Attempt,
        now: float,
    ) -> None:
        self.request = request
        self._agent = agent
        self._tx = tx
        self._flow = flow
        self._attempt = attempt
        self._now = now
        self._tag = agent.worker.new_tag()
        self._done = False

    def answer(self, body: bytes, content_type: str = "application/sdp") -> None:
        """Accept the call with this session description."""
        headers = [
            ("Contact", f"<{self._agent.contact(self._flow)}>"),
            ("Allow", ALLOW),
            *[("Record-Route", value) for value in self.request.rows("record-route")],
            ("Content-Type", content_type),
        ]
        response = self.request.respond(200, to_tag=self._tag, headers=headers, body=body)
        self._done = True
        self._agent.established(self._tx, self.request, response, self._attempt, self._now)

    def refuse(
        self, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Reject the call with a final status of 300 or more."""
        self._done = True
        response = self.request.respond(status, reason, to_tag=self._tag, headers=headers)
        self._agent.refused(self._attempt, status, self._now)
        self._tx.respond(response, self._now)

    def cancel(self, now: float, reasons: object = ()) -> None:
        """The caller's CANCEL."""
        if not self._done:
            self._now = now
            self.refuse(487)


class IncomingMessage:
    """A MESSAGE (RFC 3428) that was accepted; `reply` sends one back to its sender."""

    def __init__(self, agent: UserAgent, request: Request, flow: Flow, now: float) -> None:
        self.request = request
        self._agent = agent
        self._flow = flow
        self._now = now

    def reply(self, body: bytes, content_type: str) -> None:
        """Send a MESSAGE to every phone of the sender (or to where the message came from)."""
        self._agent.send_message(self.request, self._flow, body, content_type, self._now)


class UserAgent:
    """A service that is the called party. Subclasses override `on_call` and `on_message`."""

    name = "service"
    max_call_s = 3_600.0
    """Longer calls are ended: whoever forgets to hang up must not fill the memory."""
    max_stranger_calls = 20
    """Open calls of people without an account, all together; their addresses may be forged."""

    def __init__(self, worker: Worker, end_attempt: CallOutcome) -> None:
        self.worker = worker
        self._end_attempt = end_attempt
        self._dialogs: dict[tuple[str, str, str], tuple[UasDialog, Call, _Repeat]] = {}

    def __len__(self) -> int:
        return len(self._dialogs)

    @property
    def takes_strangers(self) -> bool:
        """Whether there is room for one more call of a stranger."""
        strangers = sum(call.caller_line is None for _, call, _ in self._dialogs.values())
        return strangers < self.max_stranger_calls

    # --- to override -----------------------------------------------------------------------
    def on_call(self, call: IncomingCall) -> None:
        """A call for this service."""
        call.refuse(480)

    def on_message(self, message: IncomingMessage) -> None:
        """A message for this service, already accepted with 200."""

    # --- requests ----------------------------------------------------------------------------
    def invite(
        self, tx: ServerTransaction, request: Request, flow: Flow, attempt: Attempt, now: float
    ) -> None:
        """A new call."""
        call = IncomingCall(self, tx, request, flow, attempt, now)
        tx.owner = call
        if request.require:
            call.refuse(420, headers=[("Unsupported", ", ".join(request.require))])
        else:
            self.on_call(call)

    def handle(self, tx: ServerTransaction, request: Request, flow: Flow, now: float) -> bool:
        """Another request for this service, or one inside a dialog; False when not ours."""
        if request.to_tag:
            return self._in_dialog(tx, request, now)
        tag = self.worker.new_tag()
        if request.require:
            headers = [("Unsupported", ", ".join(request.require))]
            tx.respond(request.respond(420, to_tag=tag, headers=headers), now)
        elif request.method == "MESSAGE":
            tx.respond(request.respond(200, to_tag=tag), now)
            self.on_message(IncomingMessage(self, request, flow, now))
        elif request.method == "OPTIONS":
            tx.respond(request.respond(200, to_tag=tag, headers=[("Allow", ALLOW)]), now)
        else:
            tx.respond(request.respond(405, to_tag=tag, headers=[("Allow", ALLOW)]), now)
        return True

    def _in_dialog(self, tx: ServerTransaction, request: Request, now: float) -> bool:
        found = self._dialogs.get((request.call_id, request.to_tag, request.from_tag))
        if found is None:
            return False
        dialog, call, _ = found
        if not dialog.in_order(request):
            tx.respond(request.respond(500, "CSeq Out Of Order"), now)
        elif request.method == "BYE":
            tx.respond(request.respond(200), now)
            self.forget(*dialog.key)
            worker = self.worker
            worker.calls.hang_up(call, dialog.local_tag, Side.CALLER, now, worker.at)
        elif request.method == "INVITE":
            # The session stays as it was offered first: no new media can be agreed here.
            tx.respond(request.respond(488), now)
        else:
            tx.respond(request.respond(405, headers=[("Allow", ALLOW)]), now)
        return True

    def handle_ack(self, request: Request, now: float) -> bool:
        """An ACK of one of our dialogs."""
        found = self._dialogs.get((request.call_id, request.to_tag, request.from_tag))
        if found is None:
            return False
        found[0].ack()
        return True

    # --- what calls need ---------------------------------------------------------------------
    def contact(self, flow: Flow) -> str:
        """Our Contact URI as seen on this flow."""
        host, port = self.worker.advertised(flow)
        host = f"[{host}]" if ":" in host else host
        transport = "" if flow.transport == "UDP" else f";transport={flow.transport.lower()}"
        return f"sip:{self.name}@{host}:{port}{transport}"

    def established(
        self,
        tx: ServerTransaction,
        request: Request,
        response: Response,
        attempt: Attempt,
        now: float,
    ) -> None:
        """We answered: a dialog begins, and its 2xx is repeated until the ACK."""
        worker = self.worker
        dialog = UasDialog(request, response, tx.flow, now)
        call = attempt.call
        waker = _Repeat(self, dialog)
        self._dialogs[dialog.key] = (dialog, call, waker)
        contacts = request.contacts
        middle = Dialog(
            callee_tag=dialog.local_tag,
            caller_contact=contacts[0].uri_text if contacts else "",
            callee_contact="",
            caller_routes=dialog.routes,
            callee_routes=[],
            caller_cseq=request.cseq_number,
            callee_cseq=0,
            caller_flow=attempt.caller_flow,
            callee_flow=None,
            answered_now=now,
            answered_at=worker.at,
        )
        worker.calls.answer(call, middle, None)
        tx.respond(response, now)
        worker.wake(waker, dialog.next_repeat)

    def refused(self, attempt: Attempt, status: int, now: float) -> None:
        """We refused: the attempt is over."""
        self._end_attempt(self.worker, attempt, status, now, "")

    def repeat(self, dialog: UasDialog, waker: _Repeat, now: float) -> None:
        """Send the 2xx again until it is acknowledged; end the dialog when its time is over."""
        end = dialog.started + self.max_call_s
        if dialog.given_up(now) or now >= end:
            self._abandon(dialog, now)
            return
        data = dialog.advance(now)
        if data is not None:
            self.worker.send(dialog.flow, data)
        self.worker.wake(waker, end if dialog.acknowledged else dialog.next_repeat)

    def _abandon(self, dialog: UasDialog, now: float) -> None:
        """No ACK came (RFC 3261 §13.3.1.4), or the call is too long: end it with a BYE."""
        worker = self.worker
        _, call, _ = self._dialogs[dialog.key]
        self.forget(*dialog.key)
        self.send_own(dialog.request("BYE"), call.dialogs, now)
        worker.calls.hang_up(call, dialog.local_tag, Side.SYSTEM, now, worker.at)

    def send_own(self, request: Request, dialogs: dict[str, Dialog], now: float) -> None:
        """Send a request of ours to the other side of a dialog."""
        worker = self.worker
        flow = next((d.caller_flow for d in dialogs.values() if d.caller_flow), None)
        flow = flow or worker.flow_to(request.uri_text)
        if flow is not None:
            request.push("Via", worker.via_value(flow, worker.new_branch("0")))
            worker.transactions.request(request, flow, now, None)

    def send_message(
        self, cause: Request, flow: Flow, body: bytes, content_type: str, now: float
    ) -> None:
        """A MESSAGE back to where one came from.

        Not to a stranger over UDP: his address may be another's, who would get it eleven times.
        """
        worker = self.worker
        if worker.domain_of(cause.from_.uri) is None and not flow.reliable:
            return
        host = worker.directory.default_domain
        headers = [
            ("Via", worker.via_value(flow, worker.new_branch("0"))),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{self.name}@{host}>;tag={worker.new_tag()}"),
            ("To", f"<{cause.from_.uri_text}>"),
            ("Call-ID", worker.new_call_id()),
            ("CSeq", "1 MESSAGE"),
            ("Content-Type", content_type),
        ]
        request = Request.build("MESSAGE", cause.from_.uri_text, headers, body)
        worker.transactions.request(request, flow, now, None)

    def forget(self, call_id: str, local_tag: str, remote_tag: str) -> None:
        """A dialog is over, if it is one of ours."""
        found = self._dialogs.pop((call_id, local_tag, remote_tag), None)
        if found is not None:
            self.worker.sleep(found[2])


class _Repeat:
    """Wakes a user agent for one dialog whose 2xx is not acknowledged yet."""

    __slots__ = ("_agent", "_dialog")

    def __init__(self, agent: UserAgent, dialog: UasDialog) -> None:
        self._agent = agent
        self._dialog = dialog

    def advance(self, now: float) -> None:
        self._agent.repeat(self._dialog, self, now)


AgentFactory = Callable[["Worker"], UserAgent]
