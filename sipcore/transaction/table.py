"""All transactions of a worker: matching (RFC 3261 §17.1.3, §17.2.3) and their timers."""

from __future__ import annotations

from typing import Final

from sipcore.errors import LocalProtocolError
from sipcore.message import Request, Response, Via, parse_message
from sipcore.transaction.base import Transaction, TransactionHome, TransactionUser
from sipcore.transaction.client import (
    ClientTransaction,
    InviteClientTransaction,
    open_client,
)
from sipcore.transaction.key import client_key, old_style_key, server_key
from sipcore.transaction.limits import (
    MAX_KNOWN_SOURCES,
    MAX_SERVER_BYTES,
    MAX_SERVER_TRANSACTIONS,
    RETRY_AFTER_S,
    UNCOUNTED_PART,
)
from sipcore.transaction.owners import ClientOwner
from sipcore.transaction.server import (
    InviteServerTransaction,
    NonInviteServerTransaction,
    ServerTransaction,
)
from sipcore.transaction.shares import Shares
from sipcore.transaction.states import Input, State
from sipcore.transaction.timers import Timers
from sipcore.transport.flow import Address, Flow, is_datagram_to, same_host

NO_LIMIT: Final = 1 << 30
"""Bytes: more than any message has."""


class TransactionTable(TransactionHome):
    """Finds the transaction of a message, makes new ones, fires their timers."""

    def __init__(
        self,
        tu: TransactionUser,
        timers: Timers,
        max_server_transactions: int = MAX_SERVER_TRANSACTIONS,
        max_server_bytes: int = MAX_SERVER_BYTES,
    ) -> None:
        super().__init__(tu, timers)
        self.max_server_transactions = max_server_transactions
        self.max_server_bytes = max_server_bytes
        self._count_from = max_server_transactions // UNCOUNTED_PART
        self._count_bytes_from = max_server_bytes // UNCOUNTED_PART
        self.held_bytes = 0
        """Of server transactions, by their `size`."""
        self._shares: tuple[Shares, Shares] | None = None
        """Of transactions and of bytes, while the table is filling up."""
        self.known_sources: dict[str, None] = {}
        """Addresses that have shown credentials of ours, or are those of peers."""
        self.refused = 0
        """Requests answered 503 because there were too many transactions."""
        self._servers: dict[str, ServerTransaction] = {}
        self._invites: dict[str, InviteServerTransaction] = {}
        """Those of an INVITE by their branch alone, the first one of each."""
        self._clients: dict[str, ClientTransaction] = {}

    def __len__(self) -> int:
        return len(self._servers) + len(self._clients)

    def __repr__(self) -> str:
        return (
            f"<TransactionTable servers={len(self._servers)} clients={len(self._clients)} "
            f"next={self.next_deadline()}>"
        )

    # --- requests ----------------------------------------------------------------------------
    def receive_request(
        self, request: Request, flow: Flow, now: float, size: int = 0
    ) -> ServerTransaction | None:
        """The new transaction of this request; None when it has been dealt with.

        That is: a retransmission was absorbed, an ACK was absorbed or passed up, or there are too
        many transactions (503). `flow` is where responses go; of a request that comes again by
        another connection it is that one from then on (RFC 3261 §18.2.2). `size`: its bytes.
        """
        method = request.method
        if method == "ACK":
            self._receive_ack(request, flow, now)
            return None
        key = server_key(request, method)
        tx = self._servers.get(key)
        if tx is not None:
            if _has_moved(tx, request, flow):
                tx.flow = flow  # the client has come back: it hears nothing on the old connection
            tx.apply(Input.REQUEST, request, now)
            return None
        is_filling = (
            len(self._servers) >= self._count_from or self.held_bytes >= self._count_bytes_from
        )
        if is_filling and not self._has_room(flow.remote[0], size):
            self._refuse(request, flow)
            return None
        if method == "INVITE":
            tx = InviteServerTransaction(self, key, request, flow, now)
            if not tx.is_old_style:
                self._invites.setdefault(request.via.branch, tx)
        else:
            tx = NonInviteServerTransaction(self, key, request, flow, now)
        tx.size = size
        self.held_bytes += size
        self._servers[key] = tx
        return tx

    def has(self, request: Request) -> bool:
        """Whether a request is one that is being dealt with, or was lately: it has come again."""
        return server_key(request, request.method) in self._servers

    def unanswered(self) -> list[ServerTransaction]:
        """The requests that have no final response yet."""
        return [tx for tx in self._servers.values() if tx.last_status < 200]

    @property
    def awaits_ack(self) -> bool:
        """Whether an INVITE was refused and its ACK has not come yet."""
        is_invite = InviteServerTransaction
        return any(
            tx.state is State.COMPLETED and isinstance(tx, is_invite)
            for tx in self._servers.values()
        )

    def knows(self, flow: Flow) -> None:
        """Credentials of ours came from there, or a trusted peer sends from there."""
        address = flow.remote[0]
        if address not in self.known_sources:
            if len(self.known_sources) >= MAX_KNOWN_SOURCES:
                del self.known_sources[next(iter(self.known_sources))]
            self.known_sources[address] = None

    def _has_room(self, address: str, size: int) -> bool:
        """Whether this source has room for one more, now that the table is filling up."""
        if self._shares is None:
            counts = Shares(self.max_server_transactions)
            sizes = Shares(self.max_server_bytes)
            for tx in self._servers.values():
                counts.began(tx.flow.remote[0])
                sizes.began(tx.flow.remote[0], tx.size)
            self._shares = counts, sizes
        counts, sizes = self._shares
        is_known = address in self.known_sources
        if not counts.admits(address, len(self._servers), is_known):
            return False
        if not sizes.admits(address, self.held_bytes, is_known, size):
            return False
        counts.began(address)
        sizes.began(address, size)
        return True

    def _refuse(self, request: Request, flow: Flow) -> None:
        self.refused += 1
        headers = [("Retry-After", str(RETRY_AFTER_S))]
        # One tag for all: without state, a retransmission must get the same (§8.2.7).
        response = request.respond(503, to_tag="busy", headers=headers)
        self.tu.send(flow, response.to_bytes())

    def _receive_ack(self, ack: Request, flow: Flow, now: float) -> None:
        tx = self._find_acknowledged(ack, flow)
        if tx is None:
            self.tu.ack_received(ack, flow, now)
        else:
            tx.apply(Input.ACK, ack, now)

    def _find_acknowledged(self, ack: Request, flow: Flow) -> ServerTransaction | None:
        """The INVITE transaction that an ACK from there belongs to.

        By RFC 2543's rules the To tag is that of the INVITE, or else that of our response: the ACK
        of a failure has the key of its INVITE but for the tag.
        """
        key = server_key(ack, "INVITE")
        tx = self._servers.get(key)
        if tx is None and "\n" in key:
            tx = self._servers.get(old_style_key(ack, "INVITE", ""))
            if isinstance(tx, InviteServerTransaction) and tx.to_tag not in ("", ack.to_tag):
                return None
        return self._sent_by_another(ack, flow) if tx is None else tx

    def find_invite(self, cancel: Request, flow: Flow) -> InviteServerTransaction | None:
        """The INVITE transaction that a CANCEL from there is for (§9.2)."""
        tx = self._servers.get(server_key(cancel, "INVITE"))
        if tx is None:
            return self._sent_by_another(cancel, flow)
        return tx if isinstance(tx, InviteServerTransaction) else None

    def _sent_by_another(self, request: Request, flow: Flow) -> InviteServerTransaction | None:
        """The INVITE that was sent by the sender of this ACK or CANCEL under another name of theirs.

        Phones learn their public address while it rings, and write it from then on. What has the branch
        (§17.2.3) comes from where the INVITE came from and has its Call-ID and CSeq number, is of the
        same client.
        """
        tx = self._invites.get(request.via.branch)
        if tx is None or not _is_from_there(tx.flow, flow):
            return None
        first: Request | Response = tx.request
        if tx.state is State.COMPLETED and not first.has("call-id"):
            first = parse_message(tx.wire)  # of the request nothing is kept
        is_same = (
            first.has("call-id")
            and request.call_id == first.call_id
            and request.cseq_number == first.cseq_number
        )
        return tx if is_same else None

    # --- responses ---------------------------------------------------------------------------
    def receive_response(self, response: Response, flow: Flow, now: float) -> bool:
        """Give a response to its client transaction (§17.1.3); False when there is none.

        Such a stray one must not be forwarded (RFC 6026 §8.2). One that came from another host than
        was asked is marked.
        """
        method = response.cseq_method
        tx = self._clients.get(client_key(response.branch, method))
        if tx is None or tx.request.method != method or not tx.is_answered_by(response):
            return False
        response.from_elsewhere = not same_host(flow.remote[0], tx.flow.remote[0])
        tx.receive(response, now)
        return True

    def request(
        self, request: Request, flow: Flow, now: float, owner: ClientOwner | None
    ) -> ClientTransaction:
        """Send a request, its Via on top, as a new client transaction.

        A CANCEL has the branch of its INVITE, which from then on is given up after 64*T1.
        """
        tx = self._open(NO_LIMIT, request, flow, now, owner)
        assert tx is not None
        return tx

    def request_within(
        self, limit: int, request: Request, flow: Flow, now: float, owner: ClientOwner | None
    ) -> ClientTransaction | None:
        """As `request`; None, and nothing happens, where it has more bytes than `limit`."""
        return self._open(limit, request, flow, now, owner)

    def _open(
        self, limit: int, request: Request, flow: Flow, now: float, owner: ClientOwner | None
    ) -> ClientTransaction | None:
        method, branch = request.method, request.branch
        key = client_key(branch, method)
        if key in self._clients:
            raise LocalProtocolError(f"branch used twice: {self._clients[key]!r}")
        tx = open_client(self, key, request, flow, owner, now, limit)
        if tx is None:
            return None
        self._clients[key] = tx
        if method == "CANCEL":
            invite = self._clients.get(branch)
            if isinstance(invite, InviteClientTransaction):
                invite.give_up_soon(now)
        return tx

    def transport_failed(self, branch: str, now: float, destination: Address | None = None) -> None:
        """A request with this branch could not be sent (§17.1.4).

        Where it is the network that says so, of a datagram to `destination`, it must have been sent
        there: anybody can send an ICMP error.
        """
        for key in (branch, client_key(branch, "CANCEL")):
            tx = self._clients.get(key)
            if tx is not None and (destination is None or is_datagram_to(tx.flow, destination)):
                tx.apply(Input.TRANSPORT_ERROR, None, now)

    def find_server(self, via: Via, method: str) -> ServerTransaction | None:
        """The transaction whose responses have this Via on top and this method in CSeq."""
        return self._servers.get(f"{via.branch} {via.sent_by} {method}")

    # --- time --------------------------------------------------------------------------------
    def advance(self, now: float) -> None:
        """Fire all timers that are due."""
        for tx in self.heap.pop_due(now):
            tx.advance(now)

    def next_deadline(self) -> float | None:
        """When `advance` wants to be called, at the latest; perhaps a little too early."""
        return self.heap.next_deadline()

    def ended(self, tx: Transaction, now: float) -> None:
        """A transaction terminated: forget it. Told twice of one, the second time is nothing."""
        tx.unschedule()
        tx.let_go()
        if self._clients.get(tx.key) is tx:
            del self._clients[tx.key]
        elif isinstance(tx, ServerTransaction) and self._servers.get(tx.key) is tx:
            del self._servers[tx.key]
            if isinstance(tx, InviteServerTransaction):
                self._forget_branch(tx)
            self.resized(tx, 0)
            if self._shares is not None:
                self._count_end(self._shares[0], tx)
            self.tu.server_ended(tx, now)

    def _forget_branch(self, tx: InviteServerTransaction) -> None:
        branch = tx.key.rsplit(" ", 2)[0]
        if self._invites.get(branch) is tx:
            del self._invites[branch]

    def resized(self, tx: ServerTransaction, size: int) -> None:
        """A server transaction holds so many bytes from now on."""
        less = tx.size - size
        tx.size = size
        self.held_bytes -= less
        if self._shares is not None:
            self._shares[1].ended(tx.flow.remote[0], less)

    def _count_end(self, counts: Shares, tx: Transaction) -> None:
        counts.ended(tx.flow.remote[0])
        is_low = 2 * self.held_bytes < self._count_bytes_from
        if is_low and 2 * len(self._servers) < self._count_from:
            self._shares = None  # nobody needs to be counted any more


def _is_from_there(first: Flow, flow: Flow) -> bool:
    """Whether two flows lead to one peer; the port of a datagram's answers may be what sent-by says."""
    return (
        first.transport == flow.transport
        and first.connection == flow.connection
        and same_host(first.remote[0], flow.remote[0])
    )


def _has_moved(tx: Transaction, request: Request, flow: Flow) -> bool:
    """Whether a client sends its request again by another connection.

    A branch may be guessed. Who does not know the whole request gets no answers to it.
    """
    if flow.connection == tx.flow.connection or flow.transport != tx.flow.transport:
        return False
    first = tx.request
    return (
        request.call_id == first.call_id
        and request.from_tag == first.from_tag
        and request.cseq_number == first.cseq_number
    )
