"""The two server machines (RFC 3261 §17.2, RFC 6026 §7.1, RFC 4320)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipcore.errors import LocalProtocolError
from sipcore.message import Request, Response
from sipcore.transaction.base import Table, Transaction, absorb, end, resend
from sipcore.transaction.states import Input, State
from sipcore.transport.flow import Flow

if TYPE_CHECKING:
    from sipcore.transaction.table import TransactionTable


class ServerTransaction(Transaction):
    """A request we received. `flow` is where its responses go."""

    __slots__ = ()

    def respond(self, response: Response, now: float) -> None:
        """Send a response of the transaction user.

        A second final one is our own mistake and raises LocalProtocolError, except further 2xx to
        an INVITE (each is a dialog of its own).
        """
        status = response.status
        if status < 200:
            event = Input.SEND_1XX
        elif status < 300:
            event = Input.SEND_2XX
        else:
            event = Input.SEND_3XX_6XX
        if event not in self.table[self.state]:
            self._misuse(status)
            return
        self.last_status = status
        self.wire = response.to_bytes()
        self.apply(event, response, now)

    def _misuse(self, status: int) -> None:
        if status < 200 or self.last_status < 200:
            return  # a late provisional, or the transaction ended unanswered
        raise LocalProtocolError(f"{status} after {self.last_status} in {self!r}")


def _send(tx: ServerTransaction, message: object, now: float) -> None:
    tx.resend_at = float("inf")  # the automatic 100 is not needed any more
    tx.send_wire()


# --- INVITE ------------------------------------------------------------------------------------
def _send_trying(tx: ServerTransaction, message: None, now: float) -> None:
    tx.stop_resending()
    if not tx.last_status:
        tx.last_status = 100
        tx.wire = tx.request.respond(100).to_bytes()
        tx.send_wire()


def _send_and_await_acks(tx: ServerTransaction, response: Response, now: float) -> None:
    tx.stop_resending()
    tx.end_at = now + tx.timers.timeout  # timer L
    tx.send_wire()
    tx.wire = b""


def _send_until_ack(tx: ServerTransaction, response: Response, now: float) -> None:
    timers = tx.timers
    tx.interval = timers.t1
    tx.resend_at = float("inf") if tx.flow.reliable else now + tx.interval  # timer G
    tx.end_at = now + timers.timeout  # timer H
    tx.send_wire()


def _timer_g(tx: ServerTransaction, message: None, now: float) -> None:
    tx.interval = min(tx.interval * 2, tx.timers.t2)
    tx.resend_at = now + tx.interval
    tx.send_wire()


def _confirm(tx: ServerTransaction, message: object, now: float) -> None:
    tx.stop_resending()
    if tx.flow.reliable:
        tx.state = State.TERMINATED
    else:
        tx.end_at = now + tx.timers.t4  # timer I


def _send_2xx(tx: ServerTransaction, response: Response, now: float) -> None:
    tx.send_wire()
    tx.wire = b""


class InviteServerTransaction(ServerTransaction):
    """RFC 3261 Figure 7 with the Accepted state of RFC 6026 Figure 1."""

    __slots__ = ()

    table: Table = {
        State.PROCEEDING: {
            Input.REQUEST: (State.PROCEEDING, resend),
            Input.RESEND: (State.PROCEEDING, _send_trying),
            Input.SEND_1XX: (State.PROCEEDING, _send),
            Input.SEND_2XX: (State.ACCEPTED, _send_and_await_acks),
            Input.SEND_3XX_6XX: (State.COMPLETED, _send_until_ack),
        },
        State.ACCEPTED: {
            Input.SEND_2XX: (State.ACCEPTED, _send_2xx),
            Input.END: (State.TERMINATED, end),  # timer L
        },
        State.COMPLETED: {
            Input.REQUEST: (State.COMPLETED, resend),
            Input.RESEND: (State.COMPLETED, _timer_g),
            Input.ACK: (State.CONFIRMED, _confirm),
            Input.END: (State.TERMINATED, end),  # timer H
        },
        State.CONFIRMED: {
            Input.ACK: (State.CONFIRMED, absorb),
            Input.END: (State.TERMINATED, end),  # timer I
        },
        State.TERMINATED: {},
    }

    def __init__(
        self, home: TransactionTable, key: str, request: Request, flow: Flow, now: float
    ) -> None:
        super().__init__(home, key, request, flow, State.PROCEEDING)
        self.resend_at = now + home.timers.trying_s


# --- non-INVITE --------------------------------------------------------------------------------
_DONE = Request("DONE", "sip:done.invalid", [], [])
"""Stands for the request of a completed transaction."""


def _complete(tx: ServerTransaction, response: Response, now: float) -> None:
    tx.send_wire()
    # Kept for 32 s only to answer retransmissions: the bytes of the response are enough for that.
    tx.owner = None
    tx.request = _DONE
    if tx.flow.reliable:
        tx.state = State.TERMINATED
    else:
        tx.end_at = now + tx.timers.timeout  # timer J


_FINALS = {
    Input.SEND_2XX: (State.COMPLETED, _complete),
    Input.SEND_3XX_6XX: (State.COMPLETED, _complete),
}


class NonInviteServerTransaction(ServerTransaction):
    """RFC 3261 Figure 8.

    Where the transaction user never answers (RFC 4320 §4.2 forbids a late 408) it ends by itself
    when no client can be waiting any more.
    """

    __slots__ = ()

    table: Table = {
        State.TRYING: {
            Input.SEND_1XX: (State.PROCEEDING, _send),
            Input.END: (State.TERMINATED, end),
            **_FINALS,
        },
        State.PROCEEDING: {
            Input.REQUEST: (State.PROCEEDING, resend),
            Input.SEND_1XX: (State.PROCEEDING, _send),
            Input.END: (State.TERMINATED, end),
            **_FINALS,
        },
        State.COMPLETED: {
            Input.REQUEST: (State.COMPLETED, resend),
            Input.END: (State.TERMINATED, end),  # timer J
        },
        State.TERMINATED: {},
    }

    def __init__(
        self, home: TransactionTable, key: str, request: Request, flow: Flow, now: float
    ) -> None:
        super().__init__(home, key, request, flow, State.TRYING)
        self.end_at = now + home.timers.timeout + home.timers.t4
