"""One worker: the inputs of the whole stack, still without I/O.

Bytes, directory versions, store results and times come in through its methods. What is to be sent,
stored, recorded, looked up or handed to another worker is left in `Outputs`, which the node takes
after each turn: records and journal first, then messages.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from sipcore.apps.config import WorkerConfig
from sipcore.apps.host import Host, Outputs
from sipcore.bindings import BindingChange, BindingTable, StoreResult
from sipcore.calls import Call
from sipcore.directory import Directory
from sipcore.errors import MalformedMessage
from sipcore.eventlog import Counter
from sipcore.locate import Answer, Question
from sipcore.locate.next_hops import branch_of_datagram
from sipcore.message import Request, Response, parse_message
from sipcore.node.limits import MAX_STUN_PER_SOURCE, MAX_STUN_SOURCES, SWEEP_CALLS_S
from sipcore.random_source import RandomSource
from sipcore.routing import Target
from sipcore.transaction import ServerTransaction
from sipcore.transport.flow import DEFAULT_PORTS, Address, Flow
from sipcore.transport.stun import binding_answer, is_stun
from sipcore.transport.way_back import response_flow, stamp_source

KEEP_ALIVE: Final = b"\r\n\r\n"


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

    def stored(self, line_id: int, result: StoreResult, now: float) -> None:
        """The store answered to the change of this line that was written last."""

    def noted(self, note: Mapping[str, Any], now: float) -> None:
        """A note of another worker about a call that a request names, or the answer to one."""

    def call_due(self, call: Call, now: float) -> None:
        """The timer of an answered call: see what became of its ends."""

    def end_old_calls(self, older_than: float, now: float) -> None:
        """End the calls that began before this time and nobody has answered."""

    def end_calls_of(self, line_ids: Collection[int], now: float) -> None:
        """End all calls in which one of these accounts is a party."""

    def flow_lost(self, flow: Flow, now: float) -> None:
        """A connection that a peer had opened is gone."""

    def flow_failed(self, target: Target, now: float) -> None:
        """See `ProxyHost.flow_failed`."""

    def directory_changed(self, changed: Iterable[int] | None, now: float) -> None:
        """The worker decides by a new directory; `changed` account ids, None for all."""

    def drain(self, wait_s: float, now: float) -> None:
        """See `Worker.drain`."""

    @property
    def drained(self) -> bool:
        """See `Worker.drained`."""


class Worker(Host):
    """One worker slot: gives what comes in to transactions, calls and the application."""

    def __init__(
        self,
        config: WorkerConfig,
        directory: Directory,
        bindings: BindingTable,
        random: RandomSource,
        application: Callable[[Worker], Application],
    ) -> None:
        super().__init__(config, directory, bindings, random)
        self._calls_swept = 0.0
        self._stun_answers: dict[str, int] = {}
        """By source, since the last sweep."""
        self.application = application(self)

    def __repr__(self) -> str:
        return (
            f"<Worker {self.config.node}/{self.config.slot} transactions={len(self.transactions)} "
            f"calls={len(self.calls)} waiting={self.has_sleepers}>"
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
            if self.silent_devices.remotes and flow.remote in self.silent_devices.remotes:
                self.silent_devices.heard_from(flow.remote, at)
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
            self.count(Counter.STUN)
        elif count or len(self._stun_answers) < MAX_STUN_SOURCES:
            self._stun_answers[source] = count + 1
            self.keep_alives.heard(flow, now)
            self.send(flow, answer)

    def advance(self, now: float, at: float) -> None:
        """Fire what is due."""
        self.now, self.at = now, at
        self.transactions.advance(now)
        for key in self.wakes.pop_due(now):
            if isinstance(key, Call):
                self.application.call_due(key, now)
            else:
                self.wake_one(key, now)

    def sweep(self, now: float, at: float) -> None:
        """Every second or so: look for what nobody has ended."""
        self.now, self.at = now, at
        self.bindings.expire(at)
        self._stun_answers.clear()
        if self.is_stopping:
            return  # nothing of our own is begun
        for flow in self.keep_alives.due(now, self._has_flow):
            self.send(flow, KEEP_ALIVE)
        if now - self._calls_swept >= SWEEP_CALLS_S:
            self._calls_swept = now
            self.calls.forget_over(now)
            self.application.end_old_calls(now - self.config.max_call_s, now)
        self.counts.total[Counter.TOO_BUSY] = self.transactions.refused
        counted = self.counts.advance(now, at)
        if counted is not None:
            self.record(counted)

    def _has_flow(self, line_id: int, flow: Flow) -> bool:
        return any(b.flow == flow for b in self.bindings.bindings(line_id, self.at))

    def drain(self, wait_s: float, now: float, at: float) -> None:
        """Stop gracefully: take nothing new, and end what is not answered.

        What rings may still be answered for `wait_s`. Answered calls stay, for whoever adopts the journal.
        """
        self.now, self.at = now, at
        self.is_stopping = True
        self.application.drain(wait_s, now)

    @property
    def drained(self) -> bool:
        """Whether everybody who has asked us for something has been answered, or waits in vain."""
        return self.application.drained

    def next_deadline(self) -> float | None:
        """When `advance` wants to be called, on the clock of `now`."""
        first, second = self.transactions.next_deadline(), self.wakes.next_deadline()
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
            if self.silent_devices.remotes:
                self._heard_elsewhere(change)

    def _heard_elsewhere(self, change: BindingChange) -> None:
        """Devices have registered with another worker: they are there."""
        keys = {*(binding.key for binding in change.upserts), *(t.key for t in change.touches)}
        for binding in self.bindings.bindings(change.line_id, self.at):
            if binding.key in keys:
                self.silent_devices.heard(binding.device_id, self.at)

    def set_directory(
        self, directory: Directory, changed: Iterable[int] | None, now: float, at: float
    ) -> None:
        """Decide by this directory from now on."""
        self.now, self.at = now, at
        self.directory = self.own.directory = directory
        self.application.directory_changed(changed, now)

    def answered(self, question: Question, answer: Answer, now: float, at: float) -> None:
        """The DNS answered one of `Outputs.questions`, or did not in time."""
        self.now, self.at = now, at
        self.next_hops.answer(question, answer, now)

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
            self.next_hops.response_failed(data, now)

    def unreachable(self, head: bytes, destination: Address, now: float, at: float) -> None:
        """The network says that a datagram to there, of which this is the beginning, was lost.

        It is believed of what was sent there by that transaction (RFC 3261 §18.4).
        """
        self.now, self.at = now, at
        if head.startswith(b"SIP/2.0 "):
            self.next_hops.response_unreachable(head, destination, now)
            return
        branch = branch_of_datagram(head)
        if branch:
            self.transactions.transport_failed(branch, now, destination)

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
        elif op == "moved":
            self.calls.moved_elsewhere(note, now)
        elif op in ("asked", "told", "leg asked", "leg told"):
            self.application.noted(note, now)

    @property
    def idle(self) -> bool:
        """Whether nothing waits: no context, no repeating service, no look-up, no registration."""
        if self.has_sleepers or len(self.next_hops.locator):
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
        tx = self.transactions.receive_request(request, back, now, len(data))
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
            self.refuse(tx, request, now, status, reason)

    def _cancel(self, tx: ServerTransaction, request: Request, now: float) -> None:
        invite = self.transactions.find_invite(request, tx.flow)
        if invite is None:
            self.refuse(tx, request, now, 481)
            return
        tx.respond(request.respond(200, to_tag=self.new_tag()), now)
        if invite.owner is not None:
            invite.owner.cancel(now, request.rows("reason"))

    def _receive_response(self, response: Response, data: bytes, flow: Flow, now: float) -> None:
        if self.config.slots > 1 and not self._is_mine(response, flow, data):
            return
        if not self.own.is_to_us(response):
            self.count(Counter.FOREIGN_RESPONSE)  # RFC 3261 §18.1.2: discarded silently
        elif not self.transactions.receive_response(response, flow, now):
            self.count(Counter.STRAY_RESPONSE)  # RFC 6026 §7.3: never forwarded
        elif response.from_elsewhere:
            self.count(Counter.RESPONSE_ELSEWHERE)

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
            key = self.own.aor_of(message.to.uri)
        return self.slot_of(key)

    def _answer_malformed(self, error: MalformedMessage, flow: Flow) -> None:
        request = error.partial
        if not isinstance(request, Request) or request.method == "ACK":
            self.count(Counter.MALFORMED)
            return
        back = flow
        with contextlib.suppress(MalformedMessage):  # an unreadable Via: back to the source
            stamp_source(request, flow)
            back = response_flow(request, flow)
        response = request.respond(error.status, error.reason, to_tag=self.stateless_tag(request))
        self.count(Counter.MALFORMED_ANSWERED)
        self.send(back, response.to_bytes())

    # --- what the layers below want of us ------------------------------------------------------
    def ack_received(self, request: Request, flow: Flow, now: float) -> None:
        self.application.handle_ack(request, flow, now)

    def flow_failed(self, target: Target, now: float) -> None:
        self.application.flow_failed(target, now)
