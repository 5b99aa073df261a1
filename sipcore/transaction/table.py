"""All transactions of a worker: matching (RFC 3261 §17.1.3, §17.2.3) and their timers."""

from __future__ import annotations

from typing import Any

from sipcore.message import Request, Response
from sipcore.transaction.base import Transaction
from sipcore.transaction.client import (
    ClientTransaction,
    InviteClientTransaction,
    NonInviteClientTransaction,
)
from sipcore.transaction.server import (
    InviteServerTransaction,
    NonInviteServerTransaction,
    ServerTransaction,
)
from sipcore.transaction.states import Input, State
from sipcore.transaction.timers import TimerHeap, Timers
from sipcore.transaction.user import TransactionUser
from sipcore.transport.flow import Flow

MAGIC_COOKIE = "z9hG4bK"
MAX_SERVER_TRANSACTIONS = 100_000
"""More at a time are answered 503 without state."""


class TransactionTable:
    """Finds the transaction of a message, makes new ones, fires their timers."""

    def __init__(
        self,
        tu: TransactionUser,
        timers: Timers,
        max_server_transactions: int = MAX_SERVER_TRANSACTIONS,
    ) -> None:
        self.tu = tu
        self.timers = timers
        self.max_server_transactions = max_server_transactions
        self._servers: dict[str, ServerTransaction] = {}
        self._clients: dict[str, ClientTransaction] = {}
        self._heap = TimerHeap()
        self._by_id: dict[int, Transaction] = {}

    def __len__(self) -> int:
        return len(self._servers) + len(self._clients)

    # --- requests ----------------------------------------------------------------------------
    def receive_request(
        self, request: Request, flow: Flow, now: float
    ) -> ServerTransaction | None:
        """The new transaction of this request; None when it has been dealt with.

        That is: a retransmission was absorbed, an ACK was absorbed or passed up, or there are too
        many transactions (503). `flow` is where responses go.
        """
        key = server_key(request)
        tx = self._servers.get(key)
        if request.method == "ACK":
            self._receive_ack(tx, request, flow, now)
            return None
        if tx is not None:
            tx.apply(Input.REQUEST, request, now)
            return None
        if len(self._servers) >= self.max_server_transactions:
            response = request.respond(503, to_tag="full", headers=[("Retry-After", "10")])
            self.tu.send(flow, response.to_bytes())
            return None
        if request.method == "INVITE":
            tx = InviteServerTransaction(self, key, request, flow, now)
        else:
            tx = NonInviteServerTransaction(self, key, request, flow, now)
        self._servers[key] = tx
        self.reschedule(tx)
        return tx

    def _receive_ack(
        self, tx: ServerTransaction | None, ack: Request, flow: Flow, now: float
    ) -> None:
        if tx is None or tx.state is State.ACCEPTED or tx.state is State.PROCEEDING:
            self.tu.ack_received(ack, flow, now)
        else:
            tx.apply(Input.ACK, ack, now)

    def find_invite(self, cancel: Request) -> InviteServerTransaction | None:
        """The INVITE transaction that a CANCEL is for (§9.2)."""
        tx = self._servers.get(server_key(cancel, "INVITE"))
        return tx if isinstance(tx, InviteServerTransaction) else None

    # --- responses ---------------------------------------------------------------------------
    def receive_response(self, response: Response, now: float) -> bool:
        """Give a response to its client transaction; False when there is none."""
        tx = self._clients.get(f"{response.branch} {response.cseq_method}")
        if tx is None:
            return False
        tx.receive(response, now)
        return True

    def request(
        self, request: Request, flow: Flow, now: float, owner: Any
    ) -> ClientTransaction:
        """Send a request, its Via on top, as a new client transaction."""
        key = f"{request.branch} {request.method}"
        tx: ClientTransaction
        if request.method == "INVITE":
            tx = InviteClientTransaction(self, key, request, flow)
        else:
            tx = NonInviteClientTransaction(self, key, request, flow)
        tx.owner = owner
        self._clients[key] = tx
        tx.start(now)
        return tx

    def transport_failed(self, branch: str, now: float) -> None:
        """The request with this branch could not be sent."""
        for method in ("INVITE", "CANCEL"):
            tx = self._clients.get(f"{branch} {method}")
            if tx is not None:
                tx.fail(now)
                return
        for key, tx in list(self._clients.items()):
            if key.startswith(branch + " "):
                tx.fail(now)

    # --- time --------------------------------------------------------------------------------
    def reschedule(self, tx: Transaction) -> None:
        """Make sure the heap wakes this transaction in time; an early entry is good enough."""
        deadline = min(tx.resend_at, tx.end_at)
        if deadline < tx.scheduled_at:
            tx.scheduled_at = deadline
            key = id(tx)
            self._by_id[key] = tx
            self._heap.schedule(deadline, key)

    def advance(self, now: float) -> None:
        """Fire all timers that are due."""
        for key in self._heap.pop_due(now):
            tx = self._by_id.get(key)
            if tx is not None and tx.scheduled_at <= now:
                tx.scheduled_at = float("inf")
                tx.advance(now)

    def next_deadline(self) -> float | None:
        """When `advance` wants to be called."""
        return self._heap.next_deadline()

    def ended(self, tx: Transaction, now: float) -> None:
        """A transaction terminated."""
        self._by_id.pop(id(tx), None)
        if isinstance(tx, ClientTransaction):
            self._clients.pop(tx.key, None)
        elif isinstance(tx, ServerTransaction):
            self._servers.pop(tx.key, None)
            self.tu.server_ended(tx, now)


def server_key(request: Request, method: str = "") -> str:
    """What a request and its retransmissions have in common (§17.2.3).

    An ACK has the key of its INVITE. Without the magic cookie the rules of RFC 2543 apply.
    """
    method = method or ("INVITE" if request.method == "ACK" else request.method)
    via = request.via
    branch = via.branch
    if branch.startswith(MAGIC_COOKIE) and len(branch) > len(MAGIC_COOKIE):
        return f"{branch} {via.sent_by} {method}"
    return "\n".join(
        (
            request.uri_text,
            request.from_tag,
            request.call_id,
            str(request.cseq_number),
            branch,
            via.sent_by,
            method,
        )
    )
