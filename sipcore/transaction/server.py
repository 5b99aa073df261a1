"""The two server machines (RFC 3261 §17.2, RFC 6026 §7.1, RFC 4320)."""

from __future__ import annotations

from typing import ClassVar, Final

from sipcore.errors import LocalProtocolError
from sipcore.message import Request, Response
from sipcore.transaction.base import Table, Transaction, TransactionHome, absorb, resend
from sipcore.transaction.limits import LARGE_BYTES
from sipcore.transaction.owners import ServerOwner
from sipcore.transaction.states import Input, State
from sipcore.transaction.timers import NEVER
from sipcore.transport.flow import Flow

TRYING: Final = State.TRYING
PROCEEDING: Final = State.PROCEEDING
COMPLETED: Final = State.COMPLETED
CONFIRMED: Final = State.CONFIRMED
ACCEPTED: Final = State.ACCEPTED
TERMINATED: Final = State.TERMINATED
SEND_1XX: Final = Input.SEND_1XX
SEND_2XX: Final = Input.SEND_2XX
SEND_3XX_6XX: Final = Input.SEND_3XX_6XX


class ServerTransaction(Transaction):
    """A request we received. `flow` is where its responses go.

    That a response could not be sent changes nothing here (RFC 6026 §7.1): the client sends its
    request again, and gets the response again.
    """

    __slots__ = ("is_known", "keeps", "owner", "quiet", "size")

    size: int
    """Bytes that it holds: of its request as it came, then of its answer."""
    owner: ServerOwner | None
    """Who deals with it until it is answered; set by each kind."""
    is_known: bool
    """Whether its sender is one of us or a trusted peer: then names in its Via are looked up."""
    keeps: bool
    """Whether a failure is kept though its sender has proved nothing: the ACK of an INVITE that names a
    dialog or a flow of ours must find it, or it would pass for that of a 2xx and go on."""

    quiet: bool
    """Whether a failure is repeated only when the INVITE is: its source may be forged, though it shows
    what a party of a call of ours knows, and whoever is there would get it eleven times."""

    def let_go(self) -> None:
        self.owner = None

    def respond(self, response: Response, now: float) -> None:
        """Send a response of the transaction user.

        After a final one any other is our own mistake and raises LocalProtocolError, except a 2xx
        to an INVITE: each is a dialog of its own. A response that comes when the transaction has
        ended unanswered is dropped.
        """
        status = response.status
        if status < 200:
            event = SEND_1XX
        elif status < 300:
            event = SEND_2XX
        else:
            event = SEND_3XX_6XX
        row = self.table[self.state].get(event)
        if row is not None:
            self.step(row, response, now)
        elif self.last_status >= 200:
            raise LocalProtocolError(f"{status} after {self.last_status} in {self!r}")

    def respond_once(self, response: Response, now: float) -> None:
        """Refuse the request and keep nothing of it: sent again, it is dealt with anew (§8.2.7).

        For senders who have proved nothing: they get one message for one of theirs, and hold no
        memory of ours. To those who are known, and where a 1xx has gone out, the failure is repeated as
        §17.2.1 wants.
        """
        if self.last_status or self.is_known or self.keeps:
            self.respond(response, now)
            return
        self.last_status = response.status
        self.state = TERMINATED
        self._home.tu.send(self.flow, response.to_bytes())
        self._home.ended(self, now)


def _send(tx: ServerTransaction, response: Response, now: float) -> None:
    tx.last_status = response.status
    tx.resend_at = NEVER  # no automatic 100 any more
    tx.wire = response.to_bytes()
    tx.send_wire()


def _send_trying(tx: ServerTransaction, message: None, now: float) -> None:
    _send(tx, tx.request.respond(100), now)


def _end(tx: ServerTransaction, message: object, now: float) -> None:
    tx.wire = b""


# --- INVITE ------------------------------------------------------------------------------------
def _send_and_await_acks(tx: ServerTransaction, response: Response, now: float) -> None:
    _send(tx, response, now)
    tx.wire = b""  # a 2xx is repeated by whoever made it, end to end
    _let_go_of_request(tx, 0)
    tx.end_at = now + tx.waits.timeout  # timer L


def _let_go_of_request(tx: ServerTransaction, kept: int) -> None:
    """It was answered, and holds no more than so many bytes for the 32 s that are left.

    Others may still hold an INVITE, for as long as another 2xx may come: of a large one what they need.
    """
    if tx.size > LARGE_BYTES:
        tx.request.shed_rows()
    tx.owner = None
    tx.request = _known_by(tx.request) if tx.flow.connection else _DONE
    tx._home.resized(tx, kept)


def _known_by(request: Request) -> Request:
    """What tells a request that comes again by another connection from a stranger's guess."""
    rows = [(name, request.first(name) or "") for name in ("call-id", "from", "cseq")]
    return Request.build(request.method, "sip:done.invalid", rows)


def _send_another(tx: ServerTransaction, response: Response, now: float) -> None:
    """One more 2xx, from another branch or again (RFC 3261 §16.7 step 5)."""
    tx._home.tu.send(tx.flow, response.to_bytes())


def _send_until_ack(tx: InviteServerTransaction, response: Response, now: float) -> None:
    if tx.is_old_style:
        tx.to_tag = response.to_tag
    _send(tx, response, now)
    # Kept for 32 s to be sent again; of the request what it is known by, should it come anew.
    _let_go_of_request(tx, len(tx.wire))
    waits = tx.waits
    tx.interval = waits.first_resend
    if not tx.quiet:
        tx.resend_at = now + tx.interval  # timer G
    tx.end_at = now + waits.timeout  # timer H


def _resend_and_back_off(tx: ServerTransaction, message: None, now: float) -> None:
    tx.interval = min(tx.interval * 2, tx.waits.t2)
    tx.resend_at = now + tx.interval
    tx.send_wire()


def _absorb_acks(tx: ServerTransaction, ack: Request, now: float) -> None:
    tx.resend_at = NEVER
    tx.end_at = now + tx.waits.i


def _pass_ack_up(tx: ServerTransaction, ack: Request, now: float) -> None:
    tx._home.tu.ack_received(ack, tx.flow, now)


class InviteServerTransaction(ServerTransaction):
    """RFC 3261 Figure 7 with the Accepted state of RFC 6026 Figure 1.

    In Proceeding it waits as long as the transaction user does.
    """

    __slots__ = ("to_tag",)

    table: ClassVar[Table] = {
        PROCEEDING: {
            Input.REQUEST: (PROCEEDING, resend),
            Input.RESEND: (PROCEEDING, _send_trying),
            SEND_1XX: (PROCEEDING, _send),
            SEND_2XX: (ACCEPTED, _send_and_await_acks),
            SEND_3XX_6XX: (COMPLETED, _send_until_ack),
        },
        ACCEPTED: {
            Input.ACK: (ACCEPTED, _pass_ack_up),
            SEND_2XX: (ACCEPTED, _send_another),
            Input.END: (TERMINATED, _end),  # timer L
        },
        COMPLETED: {
            Input.REQUEST: (COMPLETED, resend),
            Input.RESEND: (COMPLETED, _resend_and_back_off),  # timer G
            Input.ACK: (CONFIRMED, _absorb_acks),
            SEND_2XX: (COMPLETED, _send_another),
            Input.END: (TERMINATED, _end),  # timer H
        },
        CONFIRMED: {
            SEND_2XX: (CONFIRMED, _send_another),
            Input.END: (TERMINATED, _end),  # timer I
        },
        TERMINATED: {
            SEND_2XX: (TERMINATED, absorb),  # too late: dropped (RFC 6026 §8.3)
        },
    }

    def __init__(
        self, home: TransactionHome, key: str, request: Request, flow: Flow, now: float
    ) -> None:
        super().__init__(home, key, request, flow, PROCEEDING)
        self.owner = None
        self.is_known = False
        self.keeps = False
        self.quiet = False
        self.size = 0
        self.to_tag = ""
        """Of the failure response; kept only where an ACK is matched by it (§17.2.3)."""
        self.resend_at = now + self.waits.invite_trying
        self.reschedule()

    @property
    def is_old_style(self) -> bool:
        """Whether RFC 2543's rules match it: its key is of several lines."""
        return "\n" in self.key


# --- non-INVITE --------------------------------------------------------------------------------
_DONE: Final = Request("DONE", "sip:done.invalid", [], [])
"""Stands for the request of a transaction that was answered."""


def _complete(tx: ServerTransaction, response: Response, now: float) -> None:
    _send(tx, response, now)
    # Kept for 32 s only to answer retransmissions: the bytes of the response are enough for that.
    tx.owner = None
    tx.request = _DONE
    tx._home.resized(tx, len(tx.wire))
    tx.end_at = now + tx.waits.j


class NonInviteServerTransaction(ServerTransaction):
    """RFC 3261 Figure 8 as RFC 4320 limits it.

    Where the transaction user never answers (a late 408 is forbidden) it ends by itself when no
    client can be waiting any more.
    """

    __slots__ = ()

    table: ClassVar[Table] = {
        TRYING: {
            Input.RESEND: (PROCEEDING, _send_trying),
            SEND_1XX: (PROCEEDING, _send),
            SEND_2XX: (COMPLETED, _complete),
            SEND_3XX_6XX: (COMPLETED, _complete),
            Input.END: (TERMINATED, _end),
        },
        PROCEEDING: {
            Input.REQUEST: (PROCEEDING, resend),
            SEND_1XX: (PROCEEDING, _send),
            SEND_2XX: (COMPLETED, _complete),
            SEND_3XX_6XX: (COMPLETED, _complete),
            Input.END: (TERMINATED, _end),
        },
        COMPLETED: {
            Input.REQUEST: (COMPLETED, resend),
            Input.END: (TERMINATED, _end),  # timer J
        },
        TERMINATED: {},
    }

    def __init__(
        self, home: TransactionHome, key: str, request: Request, flow: Flow, now: float
    ) -> None:
        super().__init__(home, key, request, flow, TRYING)
        self.owner = None
        self.is_known = False
        self.keeps = False
        self.quiet = False
        self.size = 0
        self.resend_at = now + self.waits.other_trying
        self.end_at = now + self.waits.abandon
        self.reschedule()

    def respond(self, response: Response, now: float) -> None:
        """As for all, but what RFC 4320 forbids is quietly not sent.

        That is a 408, a 1xx other than 100, and over UDP a 100 while the client still retransmits
        quickly. A proxy gets these from elsewhere, so they are no mistake of ours.
        """
        status = response.status
        if (status < 200 or status == 408) and self.last_status < 200:
            in_time = self.state is PROCEEDING or now >= self.resend_at or self.flow.reliable
            if status != 100 or not in_time:
                return
        ServerTransaction.respond(self, response, now)
