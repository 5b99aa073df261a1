"""Calls of which one of our services is an end: those it gets and those it places.

Both end in the same way, tell of their end through `on_end`, and can send requests inside the call.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from sipcore.apps.host import Campus, Host
from sipcore.calls import Call, Dialog, Leg
from sipcore.dialog import OwnDialog
from sipcore.directory import Account
from sipcore.errors import MalformedMessage
from sipcore.eventlog import Side
from sipcore.message import Request, Response, is_sips, parse_name_addr
from sipcore.proxy.forward import prepare_strict_router
from sipcore.proxy.stopping import come_again
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import Flow

ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, MESSAGE"
SDP: Final = "application/sdp"


def _nothing() -> None:
    """What happens where nobody asked to be told."""


class Agent(Protocol):
    """What a call needs of the service whose call it is."""

    worker: Host
    campus: Campus
    max_call_s: float

    def contact(self, flow: Flow | None, secure: bool = False) -> str:
        """The Contact URI of the service as seen on this flow."""

    def on_offer(self, call: OwnCall, body: bytes) -> bytes | None:
        """The answer to an offer of the other side, or None to leave the session as it is."""

    def keep(self, call: OwnCall, dialog: OwnDialog) -> None:
        """A call was answered: requests inside it are for it from now on."""

    def drop(self, dialog: OwnDialog) -> None:
        """A call is over."""


class OwnCall:
    """One call of a service. Set `on_end` to be told when it is over, for whatever reason."""

    side: Side
    """Which end we are."""

    def __init__(self, agent: Agent, call: Call | None) -> None:
        self.agent = agent
        self.call = call
        self.dialog: OwnDialog | None = None
        self.body = b""
        """How the other side described the session last."""
        self.ended = False
        self.on_end: Callable[[], None] = _nothing
        self._started = 0.0
        """When we answered; 0.0: the call is ours, and as long as we want."""
        self._back: Flow | None = None
        """Where our responses go."""

    # --- for applications --------------------------------------------------------------------
    def end(self) -> None:
        """Hang up."""
        dialog, call, worker = self.dialog, self.call, self.agent.worker
        if dialog is None or call is None or self.ended:
            return
        self.ended = True
        self.send("BYE")
        worker.calls.hang_up(call, self._callee_tag(dialog), Side.SYSTEM, worker.now, worker.at)
        self.is_over()

    def send(
        self,
        method: str,
        body: bytes = b"",
        content_type: str = SDP,
        on_response: Callable[[Response], None] | None = None,
    ) -> None:
        """Send a request inside the call; `on_response` gets its final response."""
        assert self.dialog is not None
        headers = [("Content-Type", content_type)] if body else []
        if method == "INVITE":
            headers.append(("Contact", f"<{self._contact()}>"))
        request = self.dialog.request(method, headers, body)
        middle = self._middle()
        if middle is not None:
            middle.leg(self.side).seen(request.cseq_number)
        owner = None if on_response is None else _Asked(self, on_response)
        self.agent.campus.send_inside(request, self._flow(), owner, self.agent.worker.now)

    def offer(self, body: bytes, on_answer: Callable[[], None] = _nothing) -> None:
        """Change the session (re-INVITE); who does not agree to it is out of the call."""
        ack: list[Request] = []

        def answered(response: Response) -> None:
            if response.status >= 300:
                self.end()
            elif ack:
                self._send_ack(ack[0])
            elif self.dialog is not None:
                ack.append(self.dialog.request("ACK", cseq=response.cseq_number))
                self._send_ack(ack[0])
                self.body = response.body
                on_answer()

        self.send("INVITE", body, on_response=answered)

    # --- for the agent -----------------------------------------------------------------------
    def hung_up(self) -> None:
        """The other side's BYE."""
        worker, dialog = self.agent.worker, self.dialog
        if dialog is not None and self.call is not None:
            by = Side.CALLEE if self.side is Side.CALLER else Side.CALLER
            worker.calls.hang_up(self.call, self._callee_tag(dialog), by, worker.now, worker.at)
        self.is_over()

    def reinvited(self, tx: ServerTransaction, request: Request) -> None:
        """A new offer from the other side; unless the agent answers it, the session stays."""
        worker, dialog = self.agent.worker, self.dialog
        answer = self.agent.on_offer(self, request.body)
        if answer is None or dialog is None:
            tx.respond(request.respond(488), worker.now)
            return
        self.body = request.body
        if request.contacts:
            dialog.remote_target = request.contacts[0].uri.text
        headers = [("Contact", f"<{self._contact()}>"), ("Content-Type", SDP)]
        response = request.respond(200, headers=headers, body=answer)
        tx.respond(response, worker.now)
        self.await_ack(response, tx.flow)

    def await_ack(self, response: Response, back: Flow) -> None:
        """Repeat a 2xx of ours until its ACK comes."""
        worker, dialog = self.agent.worker, self.dialog
        if dialog is not None:
            self._back = back
            dialog.await_ack(response, worker.now)
            worker.wake(self, dialog.next_repeat)

    def is_over(self) -> None:
        """The call is over, whoever ended it."""
        agent, dialog = self.agent, self.dialog
        self.ended = True
        if dialog is not None:
            agent.drop(dialog)
        agent.worker.sleep(self)
        on_end, self.on_end = self.on_end, _nothing
        on_end()

    def advance(self, now: float) -> None:
        """Send the 2xx again until it is acknowledged; end the call when its time is over."""
        dialog, worker = self.dialog, self.agent.worker
        if dialog is None or self.ended:
            return
        end = self._started + self.agent.max_call_s if self._started else float("inf")
        if dialog.given_up(now) or now >= end:
            self.end()
            return
        data = dialog.advance(now)
        if data is not None and self._back is not None:
            worker.send(self._back, data)
        if not dialog.acknowledged:
            worker.wake(self, dialog.next_repeat)
        elif self._started:
            worker.wake(self, end)

    def _contact(self) -> str:
        """Where the other side reaches us."""
        return self.agent.contact(None)

    def _callee_tag(self, dialog: OwnDialog) -> str:
        return dialog.remote_tag if self.side is Side.CALLER else dialog.local_tag

    def _middle(self) -> Dialog | None:
        """The dialog as the proxy sees it."""
        if self.call is None or self.dialog is None:
            return None
        return self.call.dialogs.get(self._callee_tag(self.dialog))

    def _flow(self) -> Flow | None:
        """How the other side is reached, where not by the name or address of its contact."""
        middle = self._middle()
        if middle is None:
            return None
        return (middle.callee if self.side is Side.CALLER else middle.caller).flow

    def _send_ack(self, ack: Request) -> None:
        """An ACK to a 2xx is a transaction of its own each time (RFC 3261 §13.2.2.4)."""
        worker = self.agent.worker
        copy = ack.copy()
        with contextlib.suppress(MalformedMessage):  # the Record-Route or Contact of a peer
            prepare_strict_router(copy)
            self.agent.campus.send_ack(copy, self._flow(), worker.new_branch("0"), worker.now)


class _Asked:
    """The owner of a client transaction inside a call."""

    __slots__ = ("_call", "_done")

    def __init__(self, call: OwnCall, done: Callable[[Response], None]) -> None:
        self._call = call
        self._done = done

    def on_response(self, tx: object, response: Response, now: float) -> None:
        """A response to a request inside the call."""
        if response.status >= 200:
            self._done(response)

    def on_timeout(self, tx: object, now: float) -> None:
        """Nobody is there: as if it had answered 408 (RFC 3261 §8.1.3.1)."""
        self._call.end()

    on_transport_failure = on_timeout


class IncomingCall(OwnCall):
    """A call that waits for `answer` or `refuse`; also the owner of its server transaction."""

    side = Side.CALLEE

    def __init__(
        self,
        agent: Agent,
        tx: ServerTransaction,
        request: Request,
        flow: Flow,
        call: Call,
        caller_flow: Flow | None,
    ) -> None:
        super().__init__(agent, call)
        self._held = call
        self._caller_flow = caller_flow
        self.request = request
        self.body = request.body
        self._tx = tx
        self._flow_in = flow
        self._secure = is_sips(request.uri_text) or any(
            is_sips(parse_name_addr(value).uri_text) for value in request.record_routes[:1]
        )
        self._tag = agent.worker.new_tag()

    def _contact(self) -> str:
        return self.agent.contact(self._flow_in, self._secure)

    def ring(self) -> None:
        """Tell the caller that somebody is being found."""
        if self.ended or self.dialog is not None:
            return
        worker = self.agent.worker
        self._tx.respond(self.request.respond(180, to_tag=self._tag), worker.now)
        worker.calls.ring(self._held, worker.now, worker.at)

    def answer(self, body: bytes, content_type: str = SDP) -> None:
        """Accept the call with this session description, unless the caller has given up."""
        if self.ended or self.dialog is not None:
            return
        agent, request = self.agent, self.request
        worker = agent.worker
        headers = [
            ("Contact", f"<{self._contact()}>"),
            ("Allow", ALLOW),
            *[("Record-Route", value) for value in request.rows("record-route")],
            ("Content-Type", content_type),
        ]
        response = request.respond(200, to_tag=self._tag, headers=headers, body=body)
        self.dialog = dialog = OwnDialog.as_callee(request, response)
        self._started = worker.now
        middle = Dialog(
            callee_tag=dialog.local_tag,
            caller=Leg(
                dialog.remote_target,
                dialog.routes,
                request.cseq_number,
                self._caller_flow,
                self._flow_in,
            ),
            callee=Leg("", [], 0, None),
            answered_now=worker.now,
            answered_at=worker.at,
        )
        agent.keep(self, dialog)
        worker.calls.answer(self._held, middle, None)
        self._tx.respond(response, worker.now)
        self.await_ack(response, self._tx.flow)

    def refuse(
        self, status: int, reason: str = "", headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Reject the call with a final status of 300 or more."""
        if self.ended or self.dialog is not None:
            return
        now = self.agent.worker.now
        response = self.request.respond(status, reason, to_tag=self._tag, headers=headers)
        self.agent.campus.call_refused(self._held, status, now)
        self._tx.respond_once(response, now)
        self.is_over()

    def end(self) -> None:
        """Hang up, or refuse what was not answered yet."""
        self.refuse(480)
        super().end()

    def cancel(self, now: float, reasons: object = (), status: int = 487) -> None:
        """The caller's CANCEL, or our own wish to end what was not answered yet."""
        self.refuse(status, headers=come_again(status))


class OutgoingCall(OwnCall):
    """A call that one of our services places; every phone of the called person rings.

    Without an offer in the INVITE, the 2xx brings one (`body`), and `acknowledge` answers it.
    """

    side = Side.CALLER

    def __init__(self, agent: Agent, invite: Request) -> None:
        super().__init__(agent, None)
        self.status = 0
        """The final status, 0 before."""
        self.on_ring: Callable[[], None] = _nothing
        self.on_answer: Callable[[], None] = _nothing
        self._invite = invite
        self._ack: Request | None = None

    def acknowledge(self, body: bytes = b"", content_type: str = SDP) -> None:
        """The ACK of the 2xx, once; with our answer where the other side made the offer."""
        if self.dialog is None or self._ack is not None:
            return
        headers = [("Content-Type", content_type)] if body else []
        cseq = self._invite.cseq_number
        self._ack = self.dialog.request("ACK", headers, body, cseq)
        self._send_ack(self._ack)

    def end(self) -> None:
        """Hang up, or give up what was not answered yet."""
        if self.dialog is not None:
            self.acknowledge()
            super().end()
        elif self.call is None:
            self.is_over()
        elif not self.ended:
            self.ended = True
            self.agent.campus.give_up(self.call, self.agent.worker.now)

    def start(self, on_behalf_of: Account | None) -> None:
        """Send the INVITE, unless the call was ended before."""
        if self.ended:
            return
        campus, now = self.agent.campus, self.agent.worker.now
        try:
            campus.originate(self._invite, self, on_behalf_of, now)
        except MalformedMessage:  # whom to call is often what somebody has written
            self.status = 400
            self.is_over()

    def respond(self, response: Response, now: float) -> None:
        """A response to the INVITE, in place of a server transaction."""
        status = response.status
        if status < 200:
            if status > 100 and not self.ended:
                self.on_ring()
        elif status >= 300:
            self.status = status
            self.is_over()
        elif self.dialog is None and not self.ended:
            self._answered(response)
        elif self.dialog is None or response.to_tag != self.dialog.remote_tag:
            self._one_too_many(response)
        elif self._ack is not None:
            self._send_ack(self._ack)

    def _dialog_of(self, response: Response) -> OwnDialog:
        middle = self.call.dialogs.get(response.to_tag) if self.call is not None else None
        routes = list(middle.callee.routes) if middle is not None else []
        return OwnDialog.as_caller(self._invite, response, routes)

    def _answered(self, response: Response) -> None:
        self.status = response.status
        self.dialog = self._dialog_of(response)
        self.agent.keep(self, self.dialog)
        self.body = response.body
        if self._invite.body:
            self.acknowledge()
        self.on_answer()

    def _one_too_many(self, response: Response) -> None:
        """A second phone answered, or one that had been given up: it hears so at once."""
        other = OutgoingCall(self.agent, self._invite)
        other.call = self.call
        other.dialog = other._dialog_of(response)
        other.end()
