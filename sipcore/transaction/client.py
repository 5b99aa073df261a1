"""The two client machines (RFC 3261 §17.1, RFC 6026 §7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipcore.message import Request, Response
from sipcore.transaction.base import Table, Transaction, end
from sipcore.transaction.states import Input, State
from sipcore.transport.flow import Flow

if TYPE_CHECKING:
    from sipcore.transaction.table import TransactionTable


class ClientTransaction(Transaction):
    """A request we sent. `key` is its branch and method."""

    __slots__ = ()

    @property
    def branch(self) -> str:
        return self.request.branch

    def start(self, now: float) -> None:
        """Send the request and start its timers."""
        self.wire = self.request.to_bytes()
        timers = self.timers
        self.interval = timers.t1
        if not self.flow.reliable:
            self.resend_at = now + self.interval
        self.end_at = now + timers.timeout
        self.send_wire()
        self._home.reschedule(self)

    def receive(self, response: Response, now: float) -> None:
        """A response whose branch and method are ours."""
        status = self.last_status = response.status
        if status < 200:
            event = Input.RECEIVE_1XX
        elif status < 300:
            event = Input.RECEIVE_2XX
        else:
            event = Input.RECEIVE_3XX_6XX
        self.apply(event, response, now)

    def fail(self, now: float) -> None:
        """The transport could not send the request (§17.1.4)."""
        if self.state in (State.CALLING, State.TRYING, State.PROCEEDING):
            self.state = State.TERMINATED
            self._home.tu.client_failed(self, now)
            self._home.ended(self, now)


def _pass_up(tx: ClientTransaction, response: Response, now: float) -> None:
    tx._home.tu.response_received(tx, response, now)


def _time_out(tx: ClientTransaction, message: None, now: float) -> None:
    tx._home.tu.client_timed_out(tx, now)


# --- INVITE ------------------------------------------------------------------------------------
def _timer_a(tx: ClientTransaction, message: None, now: float) -> None:
    tx.interval *= 2
    tx.resend_at = now + tx.interval
    tx.send_wire()


def _proceed(tx: ClientTransaction, response: Response, now: float) -> None:
    """A 1xx ends retransmission, and with it timer B: the proxy's timer C takes over."""
    tx.stop_resending()
    tx.end_at = float("inf")
    _pass_up(tx, response, now)


def _accept(tx: ClientTransaction, response: Response, now: float) -> None:
    tx.stop_resending()
    tx.end_at = now + tx.timers.timeout  # timer M
    tx.wire = b""
    _pass_up(tx, response, now)


def _fail_with_ack(tx: ClientTransaction, response: Response, now: float) -> None:
    tx.stop_resending()
    tx.wire = ack_for(tx.request, response).to_bytes()
    tx.send_wire()
    if tx.flow.reliable:
        tx.state = State.TERMINATED
    else:
        tx.end_at = now + tx.timers.timeout  # timer D, at least 32 s
    _pass_up(tx, response, now)


def _ack_again(tx: ClientTransaction, response: Response, now: float) -> None:
    tx.send_wire()


def ack_for(invite: Request, response: Response) -> Request:
    """The ACK of a failed INVITE: hop by hop, with the INVITE's branch (§17.1.1.3)."""
    headers = [("Via", invite.values("via")[0])]
    headers += [("Route", value) for value in invite.rows("route")]
    headers += [
        ("Max-Forwards", "70"),
        ("From", invite.first("from") or ""),
        ("To", response.first("to") or ""),
        ("Call-ID", invite.call_id),
        ("CSeq", f"{invite.cseq_number} ACK"),
    ]
    return Request.build("ACK", invite.uri_text, headers)


class InviteClientTransaction(ClientTransaction):
    """RFC 3261 Figure 5 with the Accepted state of RFC 6026 Figure 2."""

    __slots__ = ()

    table: Table = {
        State.CALLING: {
            Input.RESEND: (State.CALLING, _timer_a),
            Input.END: (State.TERMINATED, _time_out),  # timer B
            Input.RECEIVE_1XX: (State.PROCEEDING, _proceed),
            Input.RECEIVE_2XX: (State.ACCEPTED, _accept),
            Input.RECEIVE_3XX_6XX: (State.COMPLETED, _fail_with_ack),
        },
        State.PROCEEDING: {
            Input.RECEIVE_1XX: (State.PROCEEDING, _pass_up),
            Input.RECEIVE_2XX: (State.ACCEPTED, _accept),
            Input.RECEIVE_3XX_6XX: (State.COMPLETED, _fail_with_ack),
        },
        State.COMPLETED: {
            Input.RECEIVE_3XX_6XX: (State.COMPLETED, _ack_again),
            Input.END: (State.TERMINATED, end),  # timer D
        },
        State.ACCEPTED: {
            Input.RECEIVE_2XX: (State.ACCEPTED, _pass_up),
            Input.END: (State.TERMINATED, end),  # timer M
        },
        State.TERMINATED: {},
    }

    def __init__(self, home: TransactionTable, key: str, request: Request, flow: Flow) -> None:
        super().__init__(home, key, request, flow, State.CALLING)


# --- non-INVITE --------------------------------------------------------------------------------
def _timer_e(tx: ClientTransaction, message: None, now: float) -> None:
    timers = tx.timers
    tx.interval = timers.t2 if tx.state is State.PROCEEDING else min(tx.interval * 2, timers.t2)
    tx.resend_at = now + tx.interval
    tx.send_wire()


def _final(tx: ClientTransaction, response: Response, now: float) -> None:
    tx.stop_resending()
    tx.wire = b""
    if tx.flow.reliable:
        tx.state = State.TERMINATED
    else:
        tx.end_at = now + tx.timers.t4  # timer K
    _pass_up(tx, response, now)


_FINALS = {
    Input.RECEIVE_2XX: (State.COMPLETED, _final),
    Input.RECEIVE_3XX_6XX: (State.COMPLETED, _final),
}


class NonInviteClientTransaction(ClientTransaction):
    """RFC 3261 Figure 6."""

    __slots__ = ()

    table: Table = {
        State.TRYING: {
            Input.RESEND: (State.TRYING, _timer_e),
            Input.END: (State.TERMINATED, _time_out),  # timer F
            Input.RECEIVE_1XX: (State.PROCEEDING, _pass_up),
            **_FINALS,
        },
        State.PROCEEDING: {
            Input.RESEND: (State.PROCEEDING, _timer_e),
            Input.END: (State.TERMINATED, _time_out),  # timer F
            Input.RECEIVE_1XX: (State.PROCEEDING, _pass_up),
            **_FINALS,
        },
        State.COMPLETED: {Input.END: (State.TERMINATED, end)},  # timer K
        State.TERMINATED: {},
    }

    def __init__(self, home: TransactionTable, key: str, request: Request, flow: Flow) -> None:
        super().__init__(home, key, request, flow, State.TRYING)
