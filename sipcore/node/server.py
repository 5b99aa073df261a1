"""A node's event loop side: sockets, files, one timer.

Every input is handled synchronously where it arrives. What the worker asked for during one loop
turn is done at the turn's end, in the order that `turn.py` has: no message leaves before what it
means is on disk.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from sipcore.bindings import BindingChange, StoreResult
from sipcore.directory import Directory, OpenNetworks
from sipcore.errors import LocalProtocolError
from sipcore.eventlog import Counter
from sipcore.locate import Answer, Question
from sipcore.node.bound import bind_all
from sipcore.node.datagrams import DatagramSocket
from sipcore.node.journal import Journal
from sipcore.node.limits import (
    LOOK_AT_CERTIFICATES,
    LOOK_WHETHER_DRAINED_S,
    MIN_TIMER_S,
    TICK_S,
)
from sipcore.node.resolver import Resolver
from sipcore.node.spool import Spool
from sipcore.node.streams import StreamSet
from sipcore.node.tls import Certificates
from sipcore.node.turn import Turn
from sipcore.node.worker import Worker
from sipcore.transport.flow import Address, Flow, bracketed
from sipcore.transport.identity import speaks_for
from sipcore.transport.own_addresses import Listener
from sipcore.transport.reach import Reach

log = logging.getLogger("sipcore.node")


class BindingWriter(Protocol):
    """Makes binding changes durable, off the event loop."""

    def submit(
        self,
        changes: Sequence[BindingChange],
        done: Callable[[list[tuple[int, StoreResult]]], None],
    ) -> None:
        """Write the changes; call `done` (from any thread) with (line id, result) in order."""


class Node:
    """One worker with its sockets and files."""

    def __init__(
        self,
        worker: Worker,
        *,
        writer: BindingWriter,
        spool: Spool,
        journal: Journal,
        dns_servers: Sequence[Address] = (),
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`dns_servers` are asked for names; without any those of the system."""
        if worker.config.slots != 1:
            raise LocalProtocolError(
                f"{worker.config.slots} worker slots: without a bus between them a node has one"
            )
        self.worker = worker
        self._writer = writer
        self._spool = spool
        self._journal = journal
        self._clock = clock
        self._wall = wall
        self._loop: asyncio.AbstractEventLoop = None  # type: ignore[assignment]
        self._resolver = Resolver(self._answered, dns_servers)
        self._datagrams: dict[tuple[str, int], DatagramSocket] = {}
        folder = worker.config.tls_folder
        self._certificates = Certificates(Path(folder)) if folder else None
        self._ticks = 0
        self._streams = StreamSet(
            self._stream_message,
            self._stream_failed,
            worker.config.streams,
            reach=Reach(worker.directory.part(OpenNetworks).networks),
            certificates=self._certificates,
            on_peer=worker.peer_known,
            on_lost=self._connection_lost,
            count=worker.count,
        )
        self._turn = Turn(worker, spool, journal, self)
        self._flush_wanted = False
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False

    # --- life ------------------------------------------------------------------------------
    async def start(self) -> None:
        """Bind the sockets, adopt the calls of the journal, begin to serve.

        The files are touched when the addresses are ours: `OSError` leaves all as it was.
        """
        self._loop = asyncio.get_running_loop()
        listeners = self.worker.config.listeners
        sockets = bind_all(listeners)
        try:
            self._adopt()
            await self._serve(listeners, sockets)
        except BaseException:
            for sock in sockets:
                sock.close()
            raise
        self._check_own_names()
        self._tick()
        self.flush()

    def _adopt(self) -> None:
        """Take over what the journal has of our last life."""
        self._spool.begin()
        rows = self._journal.read()
        adopted = self.worker.adopt(rows, self._clock(), self._wall())
        if rows:
            log.info("adopted %d calls from the journal", adopted)
        lost = self.worker.take().records
        if lost:
            self._spool.append(lost)  # before the journal forgets them: the next lines may fail
        if self._spool.waiting:
            self._journal.put_off()
        else:
            self._rewrite_journal()

    async def _serve(self, listeners: Sequence[Listener], sockets: Sequence[socket.socket]) -> None:
        for listener, sock in zip(listeners, sockets, strict=True):
            if listener.transport in ("TCP", "TLS"):
                await self._streams.listen(listener, self._loop, sock)
        # Last: who is answered over UDP takes all else for ready.
        for listener, sock in zip(listeners, sockets, strict=True):
            if listener.transport == "UDP":
                self._datagrams[listener.local] = DatagramSocket(
                    listener.local, self._receive, self.flush, self._unreachable, self._loop, sock
                )

    def _check_own_names(self) -> None:
        """Our Record-Route must name whom our certificate is for (RFC 5922 §7.5)."""
        contexts = self._certificates.contexts if self._certificates is not None else None
        for listener in self.worker.config.listeners:
            host = bracketed(listener.advertised[0])
            if listener.transport == "TLS" and contexts and not speaks_for(contexts.names, host):
                log.warning("other servers will not trust us as %s: no certificate names it", host)

    async def drain(self, wait_s: float) -> None:
        """Stop gracefully; returns when nobody waits for us any more (`Worker.drain`)."""
        self.worker.drain(wait_s, self._clock(), self._wall())
        self.flush()
        drained = asyncio.Event()
        self._look_whether_drained(drained)
        await drained.wait()

    def _look_whether_drained(self, drained: asyncio.Event) -> None:
        if self.worker.drained:
            drained.set()
        elif not self._closing:
            self._loop.call_later(LOOK_WHETHER_DRAINED_S, self._look_whether_drained, drained)

    async def stop(self) -> None:
        """Send what is left, then close sockets and files."""
        self._closing = True
        self._take_counts()
        counted = self.worker.counts.close(self._clock(), self._wall())
        if counted is not None:
            self.worker.record(counted)
        self.flush()
        for datagrams in self._datagrams.values():
            datagrams.close()
        await self._streams.close()
        if self._timer is not None:
            self._timer.cancel()
        await self._resolver.close()
        self._spool.close()
        self._journal.close()

    # --- inputs ----------------------------------------------------------------------------
    def _receive(self, data: bytes, flow: Flow) -> None:
        """One whole message; what it asks for is done when the turn is over."""
        try:
            self.worker.receive(data, flow, self._clock(), self._wall())
        except Exception:  # the loop's one outermost guard: one bad packet, one line
            self.worker.count(Counter.INTERNAL_ERROR)
            log.exception("message from %s %s not handled", flow.transport, flow.remote)

    def _stream_message(self, data: bytes, flow: Flow) -> None:
        self._receive(data, flow)
        self.want_flush()

    def _stream_failed(self, data: bytes) -> None:
        self.worker.send_failed(data, self._clock(), self._wall())
        self.want_flush()

    def _connection_lost(self, flow: Flow) -> None:
        if not self._closing:  # the phones come back to the next one of us
            self.worker.connection_lost(flow, self._clock(), self._wall())
            self.want_flush()

    def _unreachable(self, head: bytes, destination: Address) -> None:
        self.worker.unreachable(head, destination, self._clock(), self._wall())
        self.want_flush()

    def set_directory(self, directory: Directory, changed: Sequence[int] | None) -> None:
        """A new directory version, from the keeper; call on the loop's thread."""
        networks = directory.part(OpenNetworks).networks
        if networks != self.worker.directory.part(OpenNetworks).networks:
            self._streams.set_reach(Reach(networks))
        self.worker.set_directory(directory, changed, self._clock(), self._wall())
        self.want_flush()

    def _stored(self, results: list[tuple[int, StoreResult]]) -> None:
        self.worker.stored(results, self._clock(), self._wall())
        self.want_flush()

    def _stored_from_thread(self, results: list[tuple[int, StoreResult]]) -> None:
        if not self._closing:
            self._loop.call_soon_threadsafe(self._stored, results)

    def _on_timer(self) -> None:
        self._timer = None
        self._turn.woken()
        self.want_flush()  # whatever happens: it is there that the next timer is set
        self.worker.advance(self._clock(), self._wall())

    def _tick(self) -> None:
        if self._closing:
            return
        self._loop.call_later(TICK_S, self._tick)
        self._take_counts()
        self.worker.sweep(self._clock(), self._wall())
        self.want_flush()
        self._ticks += 1
        if self._certificates is not None and self._ticks % LOOK_AT_CERTIFICATES == 0:
            self._loop.run_in_executor(None, self._certificates.look)
        if self._spool.waiting:
            self._spool.append(())
        if self._journal.grown:
            self.flush()  # the records of calls that just ended
            if not self._spool.waiting:
                self._rewrite_journal()

    def _take_counts(self) -> None:
        """What the spool and the kernel have counted by themselves."""
        total = self.worker.counts.total
        total[Counter.KERNEL_DROPPED] = sum(each.dropped for each in self._datagrams.values())
        total[Counter.RECORD_DROPPED] = self._spool.dropped
        total[Counter.RECORD_LOST] = self._spool.lost

    def _rewrite_journal(self) -> None:
        try:
            self._journal.rewrite(self.worker.journal_rows(self._clock(), self._wall()))
        except OSError as error:
            log.error("the journal of calls cannot be written: %s", error)

    # --- the end of a turn -------------------------------------------------------------------
    def want_flush(self) -> None:
        """Do what the worker asked for once this turn's inputs are through."""
        if not self._flush_wanted:
            self._flush_wanted = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Do what the worker asked for now; called at the end of each turn."""
        self._flush_wanted = False
        self._turn.end()

    # --- TurnHost ----------------------------------------------------------------------------
    def store(self, changes: list[BindingChange]) -> None:
        """Have binding changes written, off the event loop."""
        self._writer.submit(changes, self._stored_from_thread)

    def alias(self, aliases: list[tuple[int, int]]) -> None:
        """Let requests for a peer use the TLS connection it has opened (RFC 5923)."""
        for connection, own_port in aliases:
            self._streams.alias(connection, own_port)

    def send(self, messages: list[tuple[Flow, bytes]]) -> None:
        """Send the messages of a turn, each by its flow."""
        for flow, data in messages:
            if flow.transport == "UDP":
                self._send_datagram(flow, data)
            else:
                self._streams.send(flow, data, self._loop)

    def _send_datagram(self, flow: Flow, data: bytes) -> None:
        datagrams = self._datagrams.get(flow.local)
        if datagrams is None:
            self.worker.count(Counter.NO_SOCKET)
        elif not datagrams.send(data, flow.remote):
            self.worker.count(Counter.DATAGRAM_NOT_SENT)
            self.worker.send_failed(data, self._clock(), self._wall())
            self.want_flush()

    def hand_over(self, messages: list[tuple[int, Flow, bytes]]) -> None:
        """Nobody is there to take them: there is one slot."""
        raise LocalProtocolError(f"{len(messages)} messages for other slots: there is no bus yet")

    def note(self, notes: list[tuple[tuple[int, int], dict[str, Any]]]) -> None:
        """Say that notes are lost: they are of calls that another node with our keys has begun."""
        log.error("%d notes for other nodes are lost: there is no bus yet", len(notes))

    def ask(self, questions: list[Question]) -> None:
        """Ask the DNS."""
        for question in questions:
            self._resolver.ask(question, self._loop)

    def set_timer(self, deadline: float) -> None:
        """Wake the worker at this time, not at a later one."""
        if self._closing:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(
            max(MIN_TIMER_S, deadline - self._clock()), self._on_timer
        )

    # --- names ---------------------------------------------------------------------------------
    def _answered(self, question: Question, answer: Answer) -> None:
        self.worker.answered(question, answer, self._clock(), self._wall())
        self.want_flush()
