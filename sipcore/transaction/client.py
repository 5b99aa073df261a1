"""The two client machines (RFC 3261 §17.1, RFC 6026 §7.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, Final

from sipcore.message import BLANKS, Request, Response, parse_name_addr
from sipcore.transaction.base import Table, Transaction, TransactionHome
from sipcore.transaction.owners import ClientOwner
from sipcore.transaction.states import Input, State
from sipcore.transaction.timers import NEVER
from sipcore.transport.flow import Flow

CALLING: Final = State.CALLING
TRYING: Final = State.TRYING
PROCEEDING: Final = State.PROCEEDING
COMPLETED: Final = State.COMPLETED
ACCEPTED: Final = State.ACCEPTED
TERMINATED: Final = State.TERMINATED
RECEIVE_1XX: Final = Input.RECEIVE_1XX
RECEIVE_2XX: Final = Input.RECEIVE_2XX
RECEIVE_3XX_6XX: Final = Input.RECEIVE_3XX_6XX


class ClientTransaction(Transaction):
    """A request we sent on `flow`. `key` is its branch, for a CANCEL with the method behind."""

    __slots__ = ("call_id_row", "cseq_number", "from_row", "owner")

    def __init__(
        self,
        home: TransactionHome,
        key: str,
        request: Request,
        flow: Flow,
        state: State,
        owner: ClientOwner | None,
        now: float,
    ) -> None:
        super().__init__(home, key, request, flow, state)
        self.owner = owner
        self.call_id_row = request.first_row("call-id")
        self.cseq_number = request.cseq_number
        self.from_row = request.first_row("from")
        self.wire = request.to_bytes()
        waits = self.waits
        self.interval = waits.first_resend
        self.resend_at = now + self.interval  # timer A or E
        self.end_at = now + waits.timeout  # timer B or F

    @property
    def branch(self) -> str:
        return self.request.branch

    def let_go(self) -> None:
        self.owner = None

    def is_answered_by(self, response: Response) -> bool:
        """Whether a response of our branch and method is one to this request.

        It has its Call-ID, CSeq number and From tag (RFC 3261 §8.2.6.2). Where it comes from does
        not matter: servers have several addresses, and trunks connect anew.
        """
        if response.cseq_number != self.cseq_number:
            return False
        if response.is_named(self.call_id_row, self.from_row):
            return True  # as nearly always
        from_tag = parse_name_addr(_value(self.from_row), "from").tag
        return response.call_id == _value(self.call_id_row) and response.from_tag == from_tag

    def receive(self, response: Response, now: float) -> None:
        """A response that answers this request."""
        status = response.status
        if status < 200:
            event = RECEIVE_1XX
        elif status < 300:
            event = RECEIVE_2XX
        else:
            event = RECEIVE_3XX_6XX
        row = self.table[self.state].get(event)
        if row is not None:
            self.step(row, response, now)


def _value(row: str) -> str:
    return row.partition(":")[2].strip(BLANKS)


def _pass_up(tx: ClientTransaction, response: Response, now: float) -> None:
    tx.last_status = response.status
    owner = tx.owner
    if owner is not None:
        owner.on_response(tx, response, now)


def _time_out(tx: ClientTransaction, message: None, now: float) -> None:
    tx.wire = b""
    owner = tx.owner
    if owner is not None:
        owner.on_timeout(tx, now)


def _fail(tx: ClientTransaction, message: None, now: float) -> None:
    tx.wire = b""
    owner = tx.owner
    if owner is not None:
        owner.on_transport_failure(tx, now)


def _end(tx: ClientTransaction, message: None, now: float) -> None:
    tx.wire = b""


# --- INVITE ------------------------------------------------------------------------------------
@lru_cache(maxsize=64)
def _over(method: str) -> Request:
    return Request(method, "sip:over.invalid", [], [])


_OVER: Final = _over("INVITE")
"""Stands for an INVITE that was answered: nothing of it is sent again in the 32 s that its 2xx may be,
or that its ACK may have to be."""


def _resend_and_double(tx: ClientTransaction, message: None, now: float) -> None:
    tx.interval *= 2
    tx.resend_at = now + tx.interval
    tx.send_wire()


def _proceed(tx: ClientTransaction, response: Response, now: float) -> None:
    """A 1xx ends retransmission, and with it timer B: the proxy's timer C takes over."""
    tx.resend_at = tx.end_at = NEVER
    _pass_up(tx, response, now)


def _accept(tx: ClientTransaction, response: Response, now: float) -> None:
    tx.resend_at = NEVER
    tx.end_at = now + tx.waits.timeout  # timer M
    tx.wire = b""
    tx.request = _OVER
    _pass_up(tx, response, now)


def _send_ack(tx: ClientTransaction, response: Response, now: float) -> None:
    tx.resend_at = NEVER
    tx.end_at = now + tx.waits.d
    tx.wire = ack_for(tx.request, response).to_bytes()
    tx.send_wire()
    _pass_up(tx, response, now)
    tx.request = _OVER


def _send_ack_again(tx: ClientTransaction, response: Response, now: float) -> None:
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
    """RFC 3261 Figure 5 with the Accepted state of RFC 6026 Figure 2.

    In Proceeding it waits without end, unless a CANCEL was sent: see `give_up_soon`.
    """

    __slots__ = ()

    table: ClassVar[Table] = {
        CALLING: {
            Input.RESEND: (CALLING, _resend_and_double),  # timer A
            RECEIVE_1XX: (PROCEEDING, _proceed),
            RECEIVE_2XX: (ACCEPTED, _accept),
            RECEIVE_3XX_6XX: (COMPLETED, _send_ack),
            Input.TRANSPORT_ERROR: (TERMINATED, _fail),
            Input.END: (TERMINATED, _time_out),  # timer B
        },
        PROCEEDING: {
            RECEIVE_1XX: (PROCEEDING, _pass_up),
            RECEIVE_2XX: (ACCEPTED, _accept),
            RECEIVE_3XX_6XX: (COMPLETED, _send_ack),
            Input.END: (TERMINATED, _time_out),  # 64*T1 after a CANCEL (§9.1)
        },
        COMPLETED: {
            RECEIVE_3XX_6XX: (COMPLETED, _send_ack_again),
            Input.TRANSPORT_ERROR: (TERMINATED, _fail),
            Input.END: (TERMINATED, _end),  # timer D
        },
        ACCEPTED: {
            RECEIVE_2XX: (ACCEPTED, _pass_up),
            Input.END: (TERMINATED, _end),  # timer M
        },
        TERMINATED: {},
    }

    def __init__(
        self,
        home: TransactionHome,
        key: str,
        request: Request,
        flow: Flow,
        owner: ClientOwner | None,
        now: float,
    ) -> None:
        super().__init__(home, key, request, flow, CALLING, owner, now)

    def give_up_soon(self, now: float) -> None:
        """A CANCEL was sent: without a final response in 64*T1 the peer is gone (§9.1)."""
        if self.state is PROCEEDING:
            self.end_at = now + self.waits.timeout
            self.reschedule()


# --- non-INVITE --------------------------------------------------------------------------------
def _resend_and_back_off(tx: ClientTransaction, message: None, now: float) -> None:
    tx.interval = min(tx.interval * 2, tx.waits.t2)
    tx.resend_at = now + tx.interval
    tx.send_wire()


def _resend_slowly(tx: ClientTransaction, message: None, now: float) -> None:
    tx.resend_at = now + tx.waits.t2
    tx.send_wire()


def _complete(tx: ClientTransaction, response: Response, now: float) -> None:
    tx.resend_at = NEVER
    tx.end_at = now + tx.waits.k
    tx.wire = b""
    _pass_up(tx, response, now)
    tx.owner = None  # all that comes now is absorbed
    tx.request = _over(tx.request.method)


class NonInviteClientTransaction(ClientTransaction):
    """RFC 3261 Figure 6."""

    __slots__ = ()

    table: ClassVar[Table] = {
        TRYING: {
            Input.RESEND: (TRYING, _resend_and_back_off),  # timer E
            RECEIVE_1XX: (PROCEEDING, _pass_up),
            RECEIVE_2XX: (COMPLETED, _complete),
            RECEIVE_3XX_6XX: (COMPLETED, _complete),
            Input.TRANSPORT_ERROR: (TERMINATED, _fail),
            Input.END: (TERMINATED, _time_out),  # timer F
        },
        PROCEEDING: {
            Input.RESEND: (PROCEEDING, _resend_slowly),  # timer E
            RECEIVE_1XX: (PROCEEDING, _pass_up),
            RECEIVE_2XX: (COMPLETED, _complete),
            RECEIVE_3XX_6XX: (COMPLETED, _complete),
            Input.TRANSPORT_ERROR: (TERMINATED, _fail),
            Input.END: (TERMINATED, _time_out),  # timer F
        },
        COMPLETED: {Input.END: (TERMINATED, _end)},  # timer K
        TERMINATED: {},
    }

    def __init__(
        self,
        home: TransactionHome,
        key: str,
        request: Request,
        flow: Flow,
        owner: ClientOwner | None,
        now: float,
    ) -> None:
        super().__init__(home, key, request, flow, TRYING, owner, now)


def open_client(
    home: TransactionHome,
    key: str,
    request: Request,
    flow: Flow,
    owner: ClientOwner | None,
    now: float,
    limit: int,
) -> ClientTransaction | None:
    """Send a request as a new transaction; None, and nothing is sent, where it has more bytes."""
    tx: ClientTransaction
    if request.method == "INVITE":
        tx = InviteClientTransaction(home, key, request, flow, owner, now)
    else:
        tx = NonInviteClientTransaction(home, key, request, flow, owner, now)
    if len(tx.wire) > limit:
        return None
    tx.reschedule()
    home.tu.send(flow, tx.wire)
    return tx
