"""A whole service in virtual time: nodes of several workers, phones, a shared binding store.

Each datagram for a node arrives at a random worker of it; hand-overs, notes and store answers travel
with a delay of their own. A worker may be killed at any time, also between two things that it does at
the end of a turn: what it had not come to is gone, its spool, its journal and the store stay. One
seed replays it all.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import md5, sha256
from random import Random
from typing import Any

from sipcore.apps.config import Listener, WorkerConfig
from sipcore.apps.echo import Echo
from sipcore.apps.user_agent import UserAgent
from sipcore.bindings import BindingChange, BindingTable, MemoryBindingStore
from sipcore.campus import CampusService
from sipcore.directory import (
    Account,
    Device,
    Directory,
    Domain,
    DomainAddress,
    Edges,
    NumberLookup,
    Part,
    TrustedPeers,
)
from sipcore.eventlog import Kind, Record, encode_line
from sipcore.locate import Answer, Question
from sipcore.node.turn import Turn
from sipcore.node.worker import Worker
from sipcore.registrar import RegistrarPolicy
from sipcore.transport.flow import Address, Flow
from sipcore.transport.memory import KIND, Conditions, MemoryNetwork, Receiver

DOMAIN = "campus.example"
REALM = "campus"
KEY = b"k" * 32
BUS_DELAY_S = 0.002
STORE_DELAY_S = 0.005
DNS_DELAY_S = 0.010
DNS_TIMEOUT_S = 4.0
AT_ONCE_S = 0.1
"""What happens at once has happened after so much virtual time: nothing has been waited for."""


@dataclass(slots=True, frozen=True)
class Size:
    """How many nodes and workers serve the world."""

    nodes: int
    workers: int


ONE = Size(1, 1)
CLUSTER = Size(2, 3)
SIZES = (ONE, CLUSTER)


def ha1(algorithm: str, username: str, secret: str) -> bytes:
    """HA1 as the directory keeps it."""
    text = f"{username}:{REALM}:{secret}".encode()
    digest = md5(text, usedforsecurity=False) if algorithm == "MD5" else sha256(text)
    return digest.hexdigest().encode()


def secret_of(username: str) -> str:
    return f"secret-of-{username}"


def make_directory(names: list[str], version: int = 1) -> Directory:
    """Accounts with one device each; numbers 1000, 1001, … in the order of the names."""
    accounts, addresses = [], []
    for i, name in enumerate(names, start=1):
        secret = secret_of(name)
        device = Device(100 + i, ha1("MD5", name, secret), ha1("SHA-256", name, secret))
        accounts.append(Account(i, name, DOMAIN, devices=(device,)))
        addresses += [DomainAddress(DOMAIN, name, i), DomainAddress(DOMAIN, str(999 + i), i)]
    return Directory(
        version=version,
        realm=REALM,
        domains=[Domain(DOMAIN)],
        accounts=accounts,
        addresses=addresses,
    )


@dataclass(slots=True)
class Slot:
    """One worker slot of a node: what survives its workers."""

    worker: Worker | None = None
    turn: Turn | None = None
    """The end of that worker's turns."""
    spools: list[list[Record]] = field(default_factory=list)
    journal: list[dict[str, Any]] = field(default_factory=list)
    incarnation: int = 0


def node_address(number: int) -> Address:
    """Where a node listens; every node accepts requests that name any of them."""
    return (f"10.0.0.{number + 1}", 5060)


def ipv6_address(number: int) -> Address:
    """Where a node listens besides, in a world of both families."""
    return (f"2001:db8::{number + 1}", 5060)


def tls_address(number: int) -> Address:
    """Where a node listens for TLS (or for TCP: `World.stream`), in a world that has it."""
    return (f"10.0.0.{number + 1}", 5061)


class Killed(Exception):
    """A worker died while it ended a turn: it does nothing more."""


class Log:
    """The spool or the journal of a worker: rows in a list, of JSON as on disk."""

    def __init__(self, host: Host, keep: Callable[[Any], None]) -> None:
        self._host = host
        self._keep = keep

    def append(self, rows: Sequence[Any]) -> None:
        for row in rows:
            self._keep(row)
        self._host.did()


class Host:
    """Does for one worker what a real node does with sockets and resolver, after a delay."""

    def __init__(self, node: Node, slot: int, worker: Worker) -> None:
        self._node = node
        self._slot = slot
        self._worker = worker
        self._world = node.world
        self._wake_at = 0.0

    def did(self) -> None:
        """One more thing is done; the worker may die of it."""
        world = self._world
        world.done += 1
        if world.done == world.fatal:
            self._node.kill_worker(self._slot, world.outage_s)
            raise Killed

    def store(self, changes: list[BindingChange]) -> None:
        node, slot, worker = self._node, self._slot, self._worker
        self._world.network.after(
            STORE_DELAY_S, lambda now: node.commit(slot, worker, changes, now)
        )
        self.did()

    def alias(self, aliases: list[tuple[int, int]]) -> None:
        """Connections that carry more requests than before are not simulated."""

    def send(self, messages: list[tuple[Flow, bytes]]) -> None:
        for flow, data in messages:
            self._world.sent.append(flow)
            self._node._send(self._slot, self._worker, flow, data)
            self.did()

    def hand_over(self, messages: list[tuple[int, Flow, bytes]]) -> None:
        for target, flow, data in messages:
            self._world.network.after(
                BUS_DELAY_S,
                lambda now, t=target, d=data, f=flow: self._node._give(t, d, f, now),  # type: ignore[misc]
            )
            self.did()

    def note(self, notes: list[tuple[tuple[int, int], dict[str, Any]]]) -> None:
        world = self._world
        for home, note in notes:
            world.network.after(BUS_DELAY_S, lambda now, h=home, n=note: world.note(h, n, now))  # type: ignore[misc]
            self.did()

    def ask(self, questions: list[Question]) -> None:
        for question in questions:
            self._node._ask(self._slot, self._worker, question)
            self.did()

    def set_timer(self, deadline: float) -> None:
        self._wake_at = deadline
        self._world.network.at_time(deadline, lambda now: self._on_timer(deadline, now))

    def _on_timer(self, deadline: float, now: float) -> None:
        place = self._node.slots[self._slot]
        if self._wake_at != deadline or place.worker is not self._worker or place.turn is None:
            return  # taken back, or of a worker that was killed
        self._wake_at = 0.0
        place.turn.woken()
        self._worker.advance(now, self._world.network.at)
        self._node.flush(self._slot)


class Node:
    """A node of the simulated cluster: one address of each kind, several worker slots."""

    def __init__(self, world: World, number: int, workers: int) -> None:
        self.world = world
        self.number = number
        self.address = node_address(number)
        self.listeners = tuple(
            Listener(transport, self.address, self.address) for transport in world.transports
        )
        if world.dual_stack:
            address = ipv6_address(number)
            self.listeners += tuple(Listener(kind, address, address) for kind in world.transports)
            world.network.attach(address, self._receive)
        self._connections: dict[Address, int] = {}
        """Of TLS: who has connected, and under which number."""
        self._last_connection = 0
        self._cut: set[int] = set()
        """Numbers of connections that are gone."""
        if world.tls:
            address = tls_address(number)
            self.listeners += (Listener(world.stream, address, address),)
            world.network.attach(address, self._receive_tls)
        self.slots = [Slot() for _ in range(workers)]
        for slot in range(workers):
            self.start_worker(slot)
        world.network.attach(self.address, self._receive)

    def start_worker(self, slot: int) -> None:
        """A fresh worker takes the slot, adopts the calls of its journal, loads the bindings."""
        world, place = self.world, self.slots[slot]
        place.incarnation += 1
        config = WorkerConfig(
            node=f"node{self.number}",
            node_number=self.number,
            nodes=tuple(range(world.size.nodes)),
            slot=slot,
            slots=len(self.slots),
            incarnation=place.incarnation,
            cluster_keys=world.cluster_keys,
            listeners=self.listeners,
            own_hosts=frozenset(world.own_hosts),
            registrar=world.policy,
            **world.config,
        )
        table = BindingTable()
        for line in world.store.load():
            table.replace(line.line_id, line.version, line.bindings)
        worker = Worker(
            config,
            world.directory,
            table,
            Random(world.network.random.getrandbits(64)),
            lambda w: CampusService(w, world.services),
        )
        spool: list[Record] = []
        place.spools.append(spool)

        def keep_record(record: Record) -> None:
            json.loads(encode_line(len(spool) + 1, record))
            spool.append(record)

        def keep_row(row: dict[str, Any]) -> None:
            place.journal.append(json.loads(json.dumps(row)))

        worker.adopt(place.journal, world.network.now, world.network.at)
        for lost in worker.take().records:
            keep_record(lost)
        rows = worker.journal_rows(world.network.now, world.network.at)
        place.journal[:] = json.loads(json.dumps(rows))
        host = Host(self, slot, worker)
        place.worker = worker
        place.turn = Turn(worker, Log(host, keep_record), Log(host, keep_row), host)
        self.flush(slot)

    def kill_worker(self, slot: int, restart_after_s: float) -> None:
        """kill -9: memory is gone; another takes over after a while."""
        self.slots[slot].worker = self.slots[slot].turn = None
        self.world.kills += 1
        self.world.network.after(restart_after_s, lambda now: self.start_worker(slot))

    def _receive(self, data: bytes, source: Address, now: float) -> None:
        slot = self.world.network.random.randrange(len(self.slots))
        self._give(slot, data, Flow("UDP", self._own(source), source), now)

    def _own(self, remote: Address) -> Address:
        """Our address of the family of another one."""
        return ipv6_address(self.number) if ":" in remote[0] else self.address

    def _receive_tls(self, data: bytes, source: Address, now: float) -> None:
        slot = self.world.network.random.randrange(len(self.slots))
        number = self._connection_of(source)
        self._give(slot, data, self._flow(source, number), now)

    def _flow(self, source: Address, number: int) -> Flow:
        return Flow(self.world.stream, tls_address(self.number), source, number)

    def _connection_of(self, source: Address) -> int:
        number = self._connections.get(source)
        if number is None:
            number = self._last_connection = self._last_connection + 1
            self._connections[source] = number
        return number

    def cut(self, source: Address, *, unheard: bool = False) -> None:
        """The connection from there is gone; `unheard`: which shows when something is sent by it."""
        number = self._connections.pop(source)
        self._cut.add(number)
        if not unheard:
            flow = self._flow(source, number)
            # By the bus, like what came on it: so no worker hears of its end before that.
            self.world.network.after(BUS_DELAY_S, lambda now: self._tell_of_end(flow, now))

    def _tell_of_end(self, flow: Flow, now: float) -> None:
        for slot, place in enumerate(self.slots):
            if place.worker is not None:
                place.worker.connection_lost(flow, now, self.world.network.at)
                self.flush(slot)

    def prove(self, source: Address, *identities: str) -> None:
        """Who connects from there has shown a certificate of these domains."""
        number = self._connection_of(source)
        flow = self._flow(source, number)
        for place in self.slots:
            assert place.worker is not None
            place.worker.peer_known(flow, identities)

    def _give(self, slot: int, data: bytes, flow: Flow, now: float) -> None:
        worker = self.slots[slot].worker
        if worker is not None:
            worker.receive(data, flow, now, self.world.network.at)
            self.flush(slot)

    def flush(self, slot: int) -> None:
        """Do what a worker asked for in this turn, in the order a real node does it."""
        turn = self.slots[slot].turn
        if turn is not None:
            with contextlib.suppress(Killed):
                turn.end()

    def commit(self, slot: int, worker: Worker, changes: list[BindingChange], now: float) -> None:
        world = self.world
        results = world.store.commit(changes)
        for change, result in zip(changes, results, strict=True):
            if result.ok:
                world.spread(change, worker)
        if self.slots[slot].worker is worker:
            pairs = [(c.line_id, r) for c, r in zip(changes, results, strict=True)]
            worker.stored(pairs, now, world.network.at)
            self.flush(slot)

    def _ask(self, slot: int, worker: Worker, question: Question) -> None:
        """The DNS of this world: what no zone has is not there."""
        world = self.world
        world.asked.append(question)
        answer = world.zone.get(question, Answer(60.0))

        def answered(now: float) -> None:
            if self.slots[slot].worker is worker:
                worker.answered(question, answer, now, world.network.at)
                self.flush(slot)

        world.network.after(DNS_TIMEOUT_S if answer.failed else DNS_DELAY_S, answered)

    def _send(self, slot: int, worker: Worker, flow: Flow, data: bytes) -> None:
        """Datagrams for which nobody is there may come back as an ICMP error.

        Connections that phones open are as safe as datagrams on this network; those of TCP that we
        open may be refused.
        """
        world = self.world
        network = world.network
        is_cut = flow.connection in self._cut
        is_theirs = flow.local == tls_address(self.number)
        refusable = flow.transport == "TCP" and not is_theirs
        if not refusable and flow.remote not in world.unreachable and not is_cut:
            # Nodes listen on the same wildcard address; what they send has their own.
            local = tls_address(self.number) if is_theirs else self._own(flow.remote)
            network.send(data, local, flow.remote)
            return
        receiver = world.streams.get(flow.remote)
        if flow.transport == "TCP" and receiver is not None:
            world.streamed.append((flow, data))
            network.after(BUS_DELAY_S, lambda now: receiver(data, self.address, now))
            return

        def tell(now: float) -> None:
            if self.slots[slot].worker is not worker:
                return
            if flow.transport == "UDP":
                worker.unreachable(data[:500], flow.remote, now, network.at)
            else:
                worker.send_failed(data, now, network.at)
            self.flush(slot)

        network.after(BUS_DELAY_S, tell)


class World:
    """Everything: the network, the nodes, the store, the directory."""

    def __init__(
        self,
        seed: int,
        size: Size,
        names: list[str],
        conditions: Conditions = KIND,
        policy: RegistrarPolicy | None = None,
        services: Sequence[type[UserAgent]] = (Echo,),
        *,
        tls: bool = False,
        stream: str = "TLS",
        transports: tuple[str, ...] = ("UDP",),
        dual_stack: bool = False,
        parts: Sequence[Part[Any, Any]] = (),
        trusted_peers: Iterable[str] = (),
        edge_for: Mapping[str, str] | None = None,
        enum_suffix: str = "",
        **config: Any,
    ) -> None:
        """`tls`: there are connections to `tls_address`, which may be of TCP as well (`stream`)."""
        self.tls = tls
        self.stream = stream
        self.dual_stack = dual_stack
        self.sent: deque[Flow] = deque(maxlen=1000)
        """The flows by which nodes have sent something, the last ones."""
        self.seed = seed
        self.cluster_keys: tuple[bytes, ...] = (KEY,)
        """Of workers that start from now on, the one that signs first."""
        self.transports = transports
        self.zone: dict[Question, Answer] = {}
        """What the DNS knows."""
        self.asked: list[Question] = []
        self.unreachable: set[Address] = set()
        """Addresses whose hosts answer datagrams with ICMP errors."""
        self.streams: dict[Address, Receiver] = {}
        """Who takes connections; all others refuse them."""
        self.streamed: list[tuple[Flow, bytes]] = []
        """What nodes sent on connections."""
        self.size = size
        self.random = Random(seed)
        self.network = MemoryNetwork(Random(self.random.getrandbits(64)), conditions)
        self.directory = make_directory(names).with_parts(
            1,
            [
                TrustedPeers(trusted_peers),
                Edges((edge_for or {}).items()),
                NumberLookup([enum_suffix] if enum_suffix else []),
                *parts,
            ],
        )
        self.store = MemoryBindingStore()
        self.policy = policy or RegistrarPolicy()
        self.services = services
        self.config = config
        """What differs from the worker's usual configuration."""
        self.kills = 0
        self.done = 0
        """How many things all workers have done at the ends of their turns."""
        self.fatal = 0
        """The worker that does this one of them dies of it."""
        self.outage_s = 0.5
        """After which another takes its place."""
        self.nodes: list[Node] = []
        for number in range(size.nodes):
            self.nodes.append(Node(self, number, size.workers))

    def __repr__(self) -> str:
        return f"World(seed={self.seed}, size={self.size})"

    @property
    def own_hosts(self) -> list[str]:
        """The hosts by which nodes know URIs that mean them."""
        numbers = range(self.size.nodes)
        six = [f"[{ipv6_address(n)[0]}]" for n in numbers] if self.dual_stack else []
        return [*(node_address(n)[0] for n in numbers), *six]

    # --- what nodes share ----------------------------------------------------------------
    def note(self, home: tuple[int, int], note: dict[str, Any], now: float) -> None:
        """A note reaches the worker it is for; the bus keeps it while that worker is down."""
        node, slot = self.nodes[home[0]], home[1]
        worker = node.slots[slot].worker
        if worker is not None:
            worker.noted(note, now, self.network.at)
            node.flush(slot)
        else:
            self.network.after(0.2, lambda later: self.note(home, note, later))

    def spread(self, change: BindingChange, writer: Worker) -> None:
        """Every other worker hears of a committed change, in commit order."""
        for node in self.nodes:
            for slot, place in enumerate(node.slots):
                if place.worker is not None and place.worker is not writer:
                    self.network.after(
                        BUS_DELAY_S,
                        lambda now, n=node, s=slot, w=place.worker: self._tell(
                            n, s, w, change, now
                        ),  # type: ignore[misc]
                    )

    def _tell(
        self, node: Node, slot: int, worker: Worker, change: BindingChange, now: float
    ) -> None:
        if node.slots[slot].worker is worker:
            worker.bindings_changed(change, now, self.network.at)
            node.flush(slot)

    def change_directory(self, directory: Directory, changed: list[int] | None) -> None:
        """All workers decide by a new version."""
        self.directory = directory
        for node in self.nodes:
            for slot, place in enumerate(node.slots):
                if place.worker is not None:
                    place.worker.set_directory(
                        directory, changed, self.network.now, self.network.at
                    )
                    node.flush(slot)

    # --- running and looking -----------------------------------------------------------------
    def run(self, seconds: float) -> None:
        """Let virtual time pass."""
        self.network.run_until(self.network.now + seconds)

    @property
    def workers(self) -> list[Worker]:
        return [p.worker for n in self.nodes for p in n.slots if p.worker is not None]

    @property
    def records(self) -> list[Record]:
        """All records of all spools, by time."""
        everything = [r for n in self.nodes for p in n.slots for s in p.spools for r in s]
        return sorted(everything, key=lambda r: r.at)

    def records_of(self, kind: Kind) -> list[Record]:
        return [r for r in self.records if r.kind == kind]

    def check_calls(self) -> None:
        """Every call that began once has its end, and an answer of each phone between them.

        One worker that nobody kills writes one end. Where there are several, those that do not hold
        the call write what they see: a BYE from either side, of each phone that has answered. Whoever
        reads them takes the first.
        """
        begun = self._unlike(Kind.CALL_BEGIN)
        answered = self._unlike(Kind.CALL_ANSWER)
        ended: dict[str, list[Record]] = {}
        for end in self.records_of(Kind.CALL_END):
            ended.setdefault(end.context, []).append(end)
        missing = {context for context, _ in begun} - set(ended)
        assert not missing, f"{self}: calls without an end: {missing}"
        later = {*ended, *(context for context, _ in answered)}
        assert all((c, None) in begun for c in later), f"{self}: calls that never began"
        for (context, _), answer in answered.items():
            assert begun[context, None].at <= answer.at <= ended[context][-1].at, (
                f"{self}: {context}"
            )
        first_answers: dict[str, float] = {}
        dialogs = Counter(context for context, _ in answered)
        for (context, _), answer in answered.items():
            first_answers[context] = min(answer.at, first_answers.get(context, answer.at))
        for context, ends in ended.items():
            seen = 2 * max(1, dialogs[context]) if len(self.workers) > 1 else 1
            most = seen + self.kills
            assert len(ends) <= most, f"{self}: {len(ends)} ends of {context}"
            for end in ends:
                duration_s = end.fields["duration_s"]
                if duration_s is not None:
                    talked_s = end.at - first_answers[context]
                    assert abs(duration_s - talked_s) < 0.01, f"{self}: {context} took {duration_s}"

    def _unlike(self, kind: Kind) -> dict[tuple[str, str | None], Record]:
        """The records of this kind by call and tag, of which no two may be alike."""
        records = self.records_of(kind)
        by_tag = {(record.context, record.fields.get("tag")): record for record in records}
        assert len(by_tag) == len(records), f"{self}: {kind} twice"
        return by_tag

    def check_nothing_left(self) -> None:
        """After all timers nothing is kept for what is over."""
        for worker in self.workers:
            assert len(worker.transactions) == 0, f"{self}: {worker!r} keeps transactions"
            assert len(worker.calls) == 0, f"{self}: {worker!r} keeps calls"
            assert worker.idle, f"{self}: {worker!r} keeps something waiting"
