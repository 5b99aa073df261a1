"""What an application may ask of the worker it runs in.

Read: `config`, `now`, `at`, `random`, `own` (who we are), `directory`, `bindings`, `calls`, `subscriptions`, `tokens`,
`authenticator`, `keep_alives`, `transactions`, `next_hops`. Ask for: `send`, `record`, `note`, `write`,
`ask`, `wake` and `sleep`, `count`. What is asked for is left in `Outputs`, which the node takes after
each turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Protocol

from sipcore.apps.config import WorkerConfig
from sipcore.auth import Authenticator, Nonces
from sipcore.bindings import BindingChange, BindingTable, SilentDevices
from sipcore.calls import Call, CallTable, SubscriptionTable, TokenMaker
from sipcore.directory import Account, Directory, OpenNetworks, TrustedPeers
from sipcore.eventlog import Record, new_context
from sipcore.locate import Question
from sipcore.message import Request, Response
from sipcore.proxy import ProxyHost
from sipcore.random_source import RandomSource
from sipcore.routing import Plan, Query
from sipcore.transaction import ClientOwner, ServerTransaction
from sipcore.transport.flow import Flow
from sipcore.transport.keep_alive import KeepAlives
from sipcore.transport.own_addresses import OwnAddresses
from sipcore.transport.written import is_of_use


class Outputs:
    """What one turn of the worker asks the node to do; `sipcore.node.turn` has the order."""

    __slots__ = ("aliases", "handed", "journal", "notes", "questions", "records", "sends", "writes")

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.journal: list[dict[str, Any]] = []
        self.writes: list[BindingChange] = []
        self.sends: list[tuple[Flow, bytes]] = []
        self.handed: list[tuple[int, Flow, bytes]] = []
        """(slot of the owner, flow, message)."""
        self.notes: list[tuple[tuple[int, int], dict[str, Any]]] = []
        """((node number, slot), note) for another worker, perhaps of another node."""
        self.aliases: list[tuple[int, int]] = []
        """(TLS connection, port): requests for the peer at that port may use it (RFC 5923)."""
        self.questions: list[Question] = []
        """For the DNS; each is to be answered in a few seconds."""


class Host(ProxyHost):
    """The state of one worker slot, and the ways out of it."""

    def __init__(
        self,
        config: WorkerConfig,
        directory: Directory,
        bindings: BindingTable,
        random: RandomSource,
    ) -> None:
        own = OwnAddresses(config.listeners, config.own_hosts, directory)
        super().__init__(
            own, random, config.timers, config.max_transactions, config.max_datagram_bytes
        )
        self.config = config
        self.directory = directory
        self.bindings = bindings
        self.out = Outputs()
        self.home = (config.node_number, config.slot)
        """Node number and worker slot: where notes about our calls go."""
        self.tokens = TokenMaker(config.cluster_keys, home=self.home)
        self.authenticator = Authenticator(
            Nonces(config.cluster_keys[0], config.node, config.incarnation, config.nonce_lifetime_s)
        )
        self.calls = CallTable(
            self.record, self._journal, self.wakes, config.probe_s, config.max_call_s
        )
        self.subscriptions = SubscriptionTable(self._journal)
        self.keep_alives = KeepAlives(config.keep_alive_s)
        self.silent_devices = SilentDevices(self.record)
        self._peers: dict[Flow, tuple[str, ...]] = {}
        """Who is at the other end of TLS connections, where that was proved."""
        self._owner_key = config.cluster_keys[0][:32]

    # --- the ways out --------------------------------------------------------------------------
    def send(self, flow: Flow, data: bytes) -> None:
        """Leave a message for the node to send at the end of this turn."""
        self.out.sends.append((flow, data))

    def record(self, record: Record) -> None:
        """Write a record of the event log."""
        self.out.records.append(record)

    def _journal(self, row: dict[str, Any]) -> None:
        self.out.journal.append(row)

    def write(self, change: BindingChange) -> None:
        """Have a binding change made durable; `Application.stored` gets the answer."""
        self.out.writes.append(change)

    def ask(self, question: Question) -> None:
        """Have the DNS asked."""
        self.out.questions.append(question)

    def note(self, home: tuple[int, int], note: dict[str, Any]) -> None:
        """Tell the worker at `home` (node number, slot), perhaps of another node."""
        if home != self.home:
            self.out.notes.append((home, note))

    def refuse(
        self,
        tx: ServerTransaction,
        request: Request,
        now: float,
        status: int,
        reason: str = "",
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Refuse a request of a sender who has proved nothing, once, keeping nothing of it."""
        tag = self.stateless_tag(request)
        tx.respond_once(request.respond(status, reason, to_tag=tag, headers=headers), now)

    # --- who owns what ---------------------------------------------------------------------------
    def slot_of(self, key: str) -> int:
        """The worker slot that owns a Call-ID or address-of-record: the same in all workers."""
        digest = blake2b(
            key.encode("utf-8", "surrogateescape"), key=self._owner_key, digest_size=4
        ).digest()
        return int.from_bytes(digest, "big") % self.config.slots

    def new_call_id(self) -> str:
        """A Call-ID whose messages this worker owns."""
        while True:
            call_id = f"{new_context(self.random)}@{self.directory.default_domain}"
            if self.slot_of(call_id) == self.config.slot:
                return call_id

    # --- who the peer is -------------------------------------------------------------------------
    def identities_of(self, flow: Flow) -> tuple[str, ...]:
        """The domains that the sender of what came by this flow has proved to speak for.

        By the certificate of its TLS connection (RFC 5922 §7.4); () for everybody else.
        """
        return self._peers.get(flow, ())

    def trusted_peer(self, flow: Flow) -> str:
        """The trusted peer who sends by this flow, "" for everybody else."""
        names = self._peers.get(flow)
        if names:
            trusted = self.directory.part(TrustedPeers).domains
            for name in names:
                if name in trusted:
                    return name
        return ""

    def may_lead_to(self, address: str, source: str) -> bool:
        return is_of_use(address, source) or self.directory.part(OpenNetworks).includes(address)


class ResponseWaiter(Protocol):
    """Waits for the responses to a request that a service sends as if it were a caller."""

    def respond(self, response: Response, now: float) -> None:
        """A response, in place of a server transaction."""


class Campus(Protocol):
    """What a service may ask of the campus service it lives in."""

    def call_refused(self, call: Call, status: int, now: float) -> None:
        """A service refused a call with this status."""

    def give_up(self, call: Call, now: float) -> None:
        """Cancel a call of a service that was not answered yet."""

    def originate(
        self, request: Request, waiter: ResponseWaiter, account: Account | None, now: float
    ) -> None:
        """Send a request of a service to a user of ours; an `OutgoingCall` makes it a call."""

    def send_inside(
        self, request: Request, flow: Flow | None, owner: ClientOwner | None, now: float
    ) -> None:
        """Send a request of ours into a call; `owner` hears what comes of it."""

    def send_ack(self, ack: Request, flow: Flow | None, branch: str, now: float) -> None:
        """Send an ACK of a 2xx, without Via, by `flow` or else to its next hop."""

    def decide(self, query: Query) -> Plan:
        """The plan for a query, before any service has changed it."""
