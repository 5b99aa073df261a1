"""One worker: the whole stack composed, still without I/O.

Bytes, directory versions, store results and times come in through its methods. What is to be sent,
stored, recorded, looked up or handed to another worker is left in `Outputs`, which the node takes
after each turn: records and journal first, then messages.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Protocol

from sipcore.auth import Authenticator, Nonces
from sipcore.bindings import BindingChange, BindingTable, StoreResult
from sipcore.calls import Call, CallTable, TokenMaker
from sipcore.directory import Directory
from sipcore.errors import MalformedMessage
from sipcore.eventlog import Record, context_from_bits
from sipcore.locate import Answer, Question, destination
from sipcore.locate.destination import DEFAULT_PORTS
from sipcore.message import (
    BLANKS,
    Request,
    Response,
    Uri,
    Via,
    parse_message,
    parse_uri,
    parse_via,
)
from sipcore.message.uri import CACHED_LENGTH
from sipcore.node.config import Listener, WorkerConfig
from sipcore.node.servers import OwnRequest, ServerFinder, branch_of_datagram
from sipcore.node.turn import Outputs
from sipcore.proxy import Branch, ResponseContext
from sipcore.routing import Target
from sipcore.transaction import ClientTransaction, ServerTransaction, TimerHeap, TransactionTable
from sipcore.transport.flow import Flow, bracketed
from sipcore.transport.keep_alive import KeepAlives
from sipcore.transport.stun import binding_answer, is_stun
from sipcore.transport.way_back import response_flow, stamp_source

if TYPE_CHECKING:
    from random import Random

MAX_REMEMBERED_FLOWS: Final = 20_000
KEEP_ALIVE: Final = b"\r\n\r\n"
MAX_STUN_PER_SOURCE: Final = 200
"""Answered in a second: the phones of 5,000 people may share one address."""
MAX_STUN_SOURCES: Final = 10_000
SWEEP_CALLS_S: Final = 60.0


class Sleeper(Protocol):
    """Something that wants to be woken at a time."""

    def advance(self, now: float) -> None:
        """It is time."""


class Application(Protocol):
    """What answers the requests that no transaction has absorbed."""

    @property
    def idle(self) -> bool:
        """Whether nothing waits here."""

    def answer_without_state(self, request: Request, back: Flow) -> bool:
        """Answer a request that needs no transaction, such as one without credentials."""

    def handle(self, tx: ServerTransaction, request: Request, flow: Flow, now: float) -> None:
        """A new request other than ACK and CANCEL."""

    def handle_ack(self, request: Request, flow: Flow, now: float) -> None:
        """An ACK that belongs to a 2xx."""

    def going_upstream(
        self, context: ResponseContext, branch: Branch | None, response: Response, now: float
    ) -> bool:
        """See `ProxyHost.going_upstream`."""

    def record_route(self, context: ResponseContext, target: Target, flow: Flow) -> str | None:
        """See `ProxyHost.record_route`."""

    def stored(self, line_id: int, result: StoreResult, now: float) -> None:
        """The store answered to the change of this line that was written last."""

    def call_due(self, call: Call, now: float) -> None:
        """The timer of an answered call: see what became of its ends."""

    def end_old_calls(self, older_than: float, now: float) -> None:
        """End the calls that began before this time and nobody has answered."""

    def flow_lost(self, flow: Flow, now: float) -> None:
        """A connection that a peer had opened is gone."""

    def flow_failed(self, target: Target, now: float) -> None:
        """See `ProxyHost.flow_failed`."""

    def directory_changed(self, changed: Iterable[int] | None, now: float) -> None:
        """The worker decides by a new directory; `changed` account ids, None for all."""


class Worker:
    """Transaction user and proxy host of one worker slot."""

    def __init__(
        self,
        config: WorkerConfig,
        directory: Directory,
        bindings: BindingTable,
        random: Random,
        application: Callable[[Worker], Application],
    ) -> None:
        self.config = config
        self.directory = directory
        self.bindings = bindings
        self.random = random
        self.now = 0.0
        self.at = 0.0
        self.out = Outputs()
        self.dropped: dict[str, int] = {}
        self.home = (config.node_number, config.slot)
        self.transactions = TransactionTable(self, config.timers, config.max_transactions)
        self.tokens = TokenMaker(config.cluster_keys, home=self.home)
        self.nonces = Nonces(
            config.cluster_keys[0], config.node, config.incarnation, config.nonce_lifetime_s
        )
        self.authenticator = Authenticator(self.nonces)
        self._calls_swept = 0.0
        self._wakes = TimerHeap()
        self.calls = CallTable(
            self.record, self._journal, self._wakes, config.probe_s, config.max_call_s
        )
        self.keep_alives = KeepAlives(config.keep_alive_s)
        self._stun_answers: dict[str, int] = {}
        """By source, since the last sweep."""
        self._sleepers: dict[int, Sleeper] = {}
        self._flows: dict[str, Flow] = {}
        """To contacts given by address: a phone's is the same for a long time."""
        self._peers: dict[Flow, tuple[str, ...]] = {}
        """Who is at the other end of TLS connections, where that was proved."""
        self._counter = 0
        self._branch_prefix = f"z9hG4bK{random.getrandbits(40):010x}"
        self._via_heads = {(lt.transport, lt.local): _via_head(lt) for lt in config.listeners}
        self._via_starts = tuple(self._via_heads.values())
        self._via_hosts = {lt.advertised[0].lower() for lt in config.listeners}
        self.max_datagram_bytes = config.max_datagram_bytes
        self.servers = ServerFinder(self)
        self._listeners = {(lt.transport, lt.local): lt for lt in config.listeners}
        self._owner_key = config.cluster_keys[0][:32]
        self.application = application(self)

    def __repr__(self) -> str:
        return (
            f"<Worker {self.config.node}/{self.config.slot} transactions={len(self.transactions)} "
            f"calls={len(self.calls)} waiting={len(self._sleepers)}>"
        )

    # --- inputs ----------------------------------------------------------------------------
    def receive(self, data: bytes, flow: Flow, now: float, at: float) -> None:
        """One datagram, or one framed message of a stream."""
        self.now, self.at = now, at
        if len(data) < 12 and not data.strip():
            self.keep_alives.heard(flow, now)
            return  # keep-alive (RFC 5626 §3.5.1); streams answer theirs in the framer's owner
        try:
            message = parse_message(data)
            if isinstance(message, Request):
                self._receive_request(message, data, flow, now)
            else:
                self._receive_response(message, data, flow, now)
        except MalformedMessage as error:
            if flow.transport == "UDP" and is_stun(data):
                self._answer_stun(data, flow, now)
            else:
                self._answer_malformed(error, flow)

    def _answer_stun(self, data: bytes, flow: Flow, now: float) -> None:
        """A phone keeps its flow open (RFC 5626 §8). A source gets so many answers a second."""
        source = flow.remote[0]
        count = self._stun_answers.get(source, 0)
        answer = binding_answer(data, flow.remote)
        if answer is None or count >= MAX_STUN_PER_SOURCE:
            self.count("stun")
        elif count or len(self._stun_answers) < MAX_STUN_SOURCES:
            self._stun_answers[source] = count + 1
            self.keep_alives.heard(flow, now)
            self.send(flow, answer)

    def advance(self, now: float, at: float) -> None:
        """Fire what is due."""
        self.now, self.at = now, at
        self.transactions.advance(now)
        for key in self._wakes.pop_due(now):
            if isinstance(key, Call):
                self.application.call_due(key, now)
                continue
            sleeper = self._sleepers.get(key)
            if sleeper is not None:
                sleeper.advance(now)

    def sweep(self, now: float, at: float) -> None:
        """Every second or so: look for what nobody has ended."""
        self.now, self.at = now, at
        self.bindings.expire(at)
        self._stun_answers.clear()
        for flow in self.keep_alives.due(now, self._has_flow):
            self.send(flow, KEEP_ALIVE)
        if now - self._calls_swept >= SWEEP_CALLS_S:
            self._calls_swept = now
            self.calls.forget_over(now)
            self.application.end_old_calls(now - self.config.max_call_s, now)

    def _has_flow(self, line_id: int, flow: Flow) -> bool:
        return any(b.flow == flow for b in self.bindings.bindings(line_id, self.at))

    def next_deadline(self) -> float | None:
        """When `advance` wants to be called, on the clock of `now`."""
        first, second = self.transactions.next_deadline(), self._wakes.next_deadline()
        if first is None or second is None:
            return second if first is None else first
        return min(first, second)

    def stored(self, results: Sequence[tuple[int, StoreResult]], now: float, at: float) -> None:
        """The binding store's answers: (line id, result) in the order of the writes."""
        self.now, self.at = now, at
        for line_id, result in results:
            self.application.stored(line_id, result, now)

    def bindings_changed(self, change: BindingChange, now: float, at: float) -> None:
        """Another worker's change was committed; changes of one line come in commit order."""
        self.now, self.at = now, at
        if change.base_version == self.bindings.version(change.line_id):
            self.bindings.apply(change)

    def set_directory(
        self, directory: Directory, changed: Iterable[int] | None, now: float, at: float
    ) -> None:
        """Decide by this directory from now on."""
        self.now, self.at = now, at
        self.directory = directory
        self.application.directory_changed(changed, now)

    def answered(self, question: Question, answer: Answer, now: float, at: float) -> None:
        """The DNS answered one of `Outputs.questions`, or did not in time."""
        self.now, self.at = now, at
        self.servers.answer(question, answer, now)

    def send_failed(self, data: bytes, now: float, at: float) -> None:
        """A message could not be sent: tell the transaction it belongs to."""
        self.now, self.at = now, at
        try:
            message = parse_message(data)
        except MalformedMessage:
            return
        if isinstance(message, Request):
            self.transactions.transport_failed(message.branch, now)
        else:
            self.servers.response_failed(data, now)

    def unreachable(self, head: bytes, now: float, at: float) -> None:
        """The network says that a datagram, of which this is the beginning, did not arrive."""
        self.now, self.at = now, at
        if head.startswith(b"SIP/2.0 "):
            self.servers.response_unreachable(head, now)
            return
        branch = branch_of_datagram(head)
        if branch:
            self.transactions.transport_failed(branch, now)

    def peer_known(self, flow: Flow, identities: tuple[str, ...]) -> None:
        """The other end of a TLS connection has proved to speak for these domains; () when gone."""
        if identities:
            self._peers[flow] = identities
        else:
            self._peers.pop(flow, None)

    def connection_lost(self, flow: Flow, now: float, at: float) -> None:
        """A connection that a peer had opened is gone, and with it who was reached by it."""
        self.now, self.at = now, at
        self.application.flow_lost(flow, now)

    def noted(self, note: Mapping[str, Any], now: float, at: float) -> None:
        """A note from another worker or node."""
        self.now, self.at = now, at
        op = note.get("op")
        if op == "ended":
            self.calls.ended_elsewhere(note["c"], now)
        elif op == "seen":
            self.calls.seen_elsewhere(note)
        elif op == "refreshed":
            self.calls.refreshed_elsewhere(note, now)

    @property
    def idle(self) -> bool:
        """Whether nothing waits: no context, no repeating service, no look-up, no registration."""
        if self._sleepers or len(self.servers.locator):
            return False
        return self.application.idle

    def take(self) -> Outputs:
        """What has been asked for since the last call."""
        out, self.out = self.out, Outputs()
        return out

    # --- receiving -------------------------------------------------------------------------
    def _receive_request(self, request: Request, data: bytes, flow: Flow, now: float) -> None:
        if self.config.slots > 1 and not self._is_mine(request, flow, data):
            return
        stamp_source(request, flow)
        back = response_flow(request, flow)
        if self._peers and flow in self._peers and "alias" in request.via.params:
            self.out.aliases.append((flow.connection, request.via.port or DEFAULT_PORTS["TLS"]))
        try:
            if self.application.answer_without_state(request, back):
                return
        except MalformedMessage as error:
            error.partial = request
            raise
        tx = self.transactions.receive_request(request, back, now)
        if tx is None:
            return
        try:
            if request.method == "CANCEL":
                self._cancel(tx, request, now)
            else:
                self.application.handle(tx, request, flow, now)
        except MalformedMessage as error:
            self._give_up(tx, request, error.status, error.reason, now)
        except Exception:
            self._give_up(tx, request, 500, "", now)  # an INVITE would wait here for ever
            raise

    def _give_up(
        self, tx: ServerTransaction, request: Request, status: int, reason: str, now: float
    ) -> None:
        if tx.last_status < 200:
            tx.respond(request.respond(status, reason, to_tag=self.new_tag()), now)

    def _cancel(self, tx: ServerTransaction, request: Request, now: float) -> None:
        invite = self.transactions.find_invite(request)
        if invite is None:
            tx.respond(request.respond(481, to_tag=self.new_tag()), now)
            return
        tx.respond(request.respond(200, to_tag=self.new_tag()), now)
        if invite.owner is not None:
            invite.owner.cancel(now, request.rows("reason"))

    def _receive_response(self, response: Response, data: bytes, flow: Flow, now: float) -> None:
        if self.config.slots > 1 and not self._is_mine(response, flow, data):
            return
        if not self._is_to_us(response):
            self.count("response to somebody else")  # RFC 3261 §18.1.2: discarded silently
        elif not self.transactions.receive_response(response, now):
            self.count("stray response")  # RFC 6026 §7.3: never forwarded

    def _is_to_us(self, response: Response) -> bool:
        """Whether the sent-by of the topmost Via is one that we write."""
        if (response.first("via") or "").startswith(self._via_starts):
            return True
        return self._wrote(response.via)  # as somebody re-printed it

    def _wrote(self, via: Via) -> bool:
        host, port = via.host.strip("[]").lower(), via.port or DEFAULT_PORTS.get(via.transport)
        return any(
            lt.transport == via.transport and (host, port) in (lt.advertised, lt.local)
            for lt in self.config.listeners
        )

    def _is_mine(self, message: Request | Response, flow: Flow, data: bytes) -> bool:
        slot = self.owner_of(message)
        if slot == self.config.slot:
            return True
        self.out.handed.append((slot, flow, data))
        return False

    def owner_of(self, message: Request | Response) -> int:
        """The worker slot that must handle this message: the same in all workers.

        REGISTER and PUBLISH by address-of-record, everything else by Call-ID.
        """
        key = message.call_id
        if message.cseq_method in ("REGISTER", "PUBLISH"):
            key = self.aor_of(message.to.uri)
        return self._slot_of(key)

    def _slot_of(self, key: str) -> int:
        digest = blake2b(
            key.encode("utf-8", "surrogateescape"), key=self._owner_key, digest_size=4
        ).digest()
        return int.from_bytes(digest, "big") % self.config.slots

    def _answer_malformed(self, error: MalformedMessage, flow: Flow) -> None:
        request = error.partial
        if request is None or request.method == "ACK":
            self.count("malformed")
            return
        back = flow
        with contextlib.suppress(MalformedMessage):  # an unreadable Via: back to the source
            stamp_source(request, flow)
            back = response_flow(request, flow)
        response = request.respond(error.status, error.reason, to_tag=request.stateless_tag)
        self.send(back, response.to_bytes())

    # --- who we are ------------------------------------------------------------------------
    def domain_of(self, uri: Uri) -> str | None:
        """The domain of ours that this URI's host names; our addresses mean the first domain."""
        host = uri.host
        if host in self.directory.domains:
            return host
        if host in self.config.own_hosts:
            return self.directory.default_domain
        return None

    def is_ours(self, uri: Uri) -> bool:
        """Whether a URI's host and port are this service (not some phone on the same machine).

        A maddr of somebody else's has a request sent there, whatever the host says (§16.5).
        """
        host = uri.host
        if "maddr" in uri.params:
            host = (uri.params["maddr"] or "").lower()
        if host not in self.config.own_hosts and host not in self.directory.domains:
            return False
        return uri.port is None or any(
            uri.port in (lt.local[1], lt.advertised[1]) for lt in self.config.listeners
        )

    def leads_back(self, uri: Uri) -> bool:
        """Whether a request to this URI would be sent to ourselves."""
        port = uri.port or DEFAULT_PORTS.get(uri.transport or "UDP", 5060)
        return self.is_ours(uri) and any(
            port in (lt.local[1], lt.advertised[1]) for lt in self.config.listeners
        )

    def listens_at(self, host: str, port: int, transport: str) -> bool:
        """Whether this is one of our sockets, as the outside names them."""
        is_own = host in self.config.own_hosts or host in self.directory.domains
        return is_own and any(
            transport == lt.transport and port in (lt.local[1], lt.advertised[1])
            for lt in self.config.listeners
        )

    def own_branch(self, value: str) -> str:
        """The branch of a Via value that this node wrote, "" of another's.

        Whoever passed it on may have printed it anew (RFC 5393 §4.2 knows no bytes, only values).
        """
        if value.startswith(self._via_starts):
            _, found, rest = value.partition(";branch=")
            if found:
                return rest.partition(";")[0].rstrip(BLANKS)
        elif not any(host in value.lower() for host in self._via_hosts):
            return ""
        try:
            via = parse_via(value)
        except MalformedMessage:
            return ""
        return via.branch if self._wrote(via) else ""

    def has_socket(self, flow: Flow) -> bool:
        """Whether a flow is one of this node's."""
        return (flow.transport, flow.local) in self._listeners

    def aor_of(self, uri: Uri) -> str:
        """The canonical address-of-record of a URI, aliases resolved; text for unknown ones."""
        domain = self.domain_of(uri)
        if domain is None:
            return f"{uri.user}@{uri.host}"
        account = self.directory.resolve(uri.user_decoded, domain)
        return account.aor if account is not None else f"{uri.user_decoded.lower()}@{domain}"

    def advertised(self, flow: Flow) -> tuple[str, int]:
        """How the outside names the socket of this flow."""
        listener = self._listeners.get((flow.transport, flow.local))
        if listener is None:
            for listener in self.config.listeners:
                if listener.transport == flow.transport:
                    break
            else:
                return flow.local
        return listener.advertised

    def identities_of(self, flow: Flow) -> tuple[str, ...]:
        """The domains that the sender of what came by this flow has proved to speak for.

        By the certificate of its TLS connection (RFC 5922 §7.4); () for everybody else.
        """
        return self._peers.get(flow, ())

    def trusted_peer(self, flow: Flow) -> str:
        """The trusted peer who sends by this flow, "" for everybody else."""
        for name in self._peers.get(flow, ()):
            if name in self.config.trusted_peers:
                return name
        return ""

    # --- services for applications -----------------------------------------------------------
    def record(self, record: Record) -> None:
        """Write a record of the event log."""
        self.out.records.append(record)

    def _journal(self, row: dict[str, Any]) -> None:
        self.out.journal.append(row)

    def ask(self, question: Question) -> None:
        """Have the DNS asked; `answered` gets the answer."""
        self.out.questions.append(question)

    def note(self, home: tuple[int, int], note: dict[str, Any]) -> None:
        """Tell the worker at `home` (node number, slot), perhaps of another node."""
        if home != self.home:
            self.out.notes.append((home, note))

    def write(self, change: BindingChange) -> None:
        """Have a binding change made durable; `Application.stored` gets the answer."""
        self.out.writes.append(change)

    def count(self, what: str) -> None:
        """Count something that is dropped rather than recorded."""
        self.dropped[what] = self.dropped.get(what, 0) + 1

    def new_context(self) -> str:
        """A fresh call context."""
        return context_from_bits(self.random.getrandbits(96))

    def new_call_id(self) -> str:
        """A Call-ID whose messages this worker owns."""
        while True:
            call_id = f"{self.new_context()}@{self.directory.default_domain}"
            if self._slot_of(call_id) == self.config.slot:
                return call_id

    def own_flow(self) -> Flow:
        """Stands for where a request of our own comes from: the first address we listen on."""
        listener = self.config.listeners[0]
        return Flow(listener.transport, listener.local, listener.local)

    # --- TransactionUser ---------------------------------------------------------------------
    def send(self, flow: Flow, data: bytes) -> None:
        """Leave a message for the node to send at the end of this turn."""
        self.out.sends.append((flow, data))

    def response_received(self, tx: ClientTransaction, response: Response, now: float) -> None:
        branch = tx.owner
        if branch is not None:
            branch.context.on_response(branch, response, now)

    def client_timed_out(self, tx: ClientTransaction, now: float) -> None:
        branch = tx.owner
        if branch is not None:
            branch.context.on_timeout(branch, now)

    def client_failed(self, tx: ClientTransaction, now: float) -> None:
        branch = tx.owner
        if branch is None:
            return
        if isinstance(branch, Branch | OwnRequest) and branch.tx is not tx:
            return  # the ACK to a server that was left
        branch.context.on_transport_failure(branch, now)

    def ack_received(self, request: Request, flow: Flow, now: float) -> None:
        self.application.handle_ack(request, flow, now)

    def server_ended(self, tx: ServerTransaction, now: float) -> None:
        """Nothing to do: contexts end by their branches."""

    # --- ProxyHost ---------------------------------------------------------------------------
    def flow_to(self, uri_text: str) -> Flow | None:
        flow = self._flows.get(uri_text)
        return self._find_flow(uri_text) if flow is None else flow

    def _find_flow(self, uri_text: str) -> Flow | None:
        wanted = destination(parse_uri(uri_text))
        if wanted is None or not wanted.is_numeric:
            return None
        bare, transport = wanted.host, wanted.transport or ("TLS" if wanted.secure else "UDP")
        local = self.local_address(transport, ":" in bare)
        if not local[1]:
            return None  # what we do not speak is not replaced by something else
        remote = (bare, wanted.port or DEFAULT_PORTS.get(transport, 5060))
        flow = Flow(transport, local, remote, 0, wanted.domain if transport == "TLS" else "")
        if len(self._flows) >= MAX_REMEMBERED_FLOWS:
            self._flows.clear()
        if len(uri_text) <= CACHED_LENGTH:
            self._flows[uri_text] = flow
        return flow

    def local_address(self, transport: str, ipv6: bool) -> tuple[str, int]:
        """The address we send from towards this kind of address."""
        for listener in self.config.listeners:
            if listener.transport == transport and (":" in listener.local[0]) == ipv6:
                return listener.local
        return ("::" if ipv6 else "0.0.0.0", 0)  # noqa: S104 (no listener)

    def via_value(self, flow: Flow, branch_id: str) -> str:
        head = self._via_heads.get((flow.transport, flow.local))
        if head is None:
            host, port = self.advertised(flow)
            head = f"SIP/2.0/{flow.transport} {bracketed(host)}:{port};"
        return f"{head}branch={branch_id}"

    def new_branch(self, loop: str) -> str:
        self._counter += 1
        return f"{self._branch_prefix}{self._counter:x}.{loop}"

    def new_tag(self) -> str:
        return f"{self.random.getrandbits(48):012x}"

    def wake(self, sleeper: Sleeper, deadline: float) -> None:
        """Call `sleeper.advance` at `deadline`, and keep it until `sleep`."""
        key = id(sleeper)
        self._sleepers[key] = sleeper
        self._wakes.schedule(deadline, key)

    def sleep(self, sleeper: Sleeper) -> None:
        """No more wake-ups for this one."""
        self._sleepers.pop(id(sleeper), None)

    def record_route(self, context: ResponseContext, target: Target, flow: Flow) -> str | None:
        return self.application.record_route(context, target, flow)

    def going_upstream(
        self, context: ResponseContext, branch: Branch | None, response: Response, now: float
    ) -> bool:
        return self.application.going_upstream(context, branch, response, now)

    def flow_failed(self, target: Target, now: float) -> None:
        self.application.flow_failed(target, now)

    def context_done(self, context: ResponseContext) -> None:
        self._sleepers.pop(id(context), None)


def _via_head(listener: Listener) -> str:
    host, port = listener.advertised
    return f"SIP/2.0/{listener.transport} {bracketed(host)}:{port};"
