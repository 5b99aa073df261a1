"""Stream connections: framing, reuse, opening towards a peer, bounds (RFC 3261 §18).

Over TLS a connection is used for a domain only when its certificate names that domain (RFC 5922
§7.3): one that we opened for all the domains it names, one that a peer opened when it proved to be
somebody by a client certificate and asked for it (`alias`, RFC 5923 §8.2).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final, cast

from sipcore.errors import MalformedMessage
from sipcore.eventlog import Counter
from sipcore.message import PING, StreamFramer
from sipcore.node.bound import bind
from sipcore.node.tls import Certificates, TlsLayer
from sipcore.transport.flow import Address, Flow
from sipcore.transport.identity import sip_identities, speaks_for
from sipcore.transport.limits import StreamLimits
from sipcore.transport.networks import SINGLE_SOURCES, network_of
from sipcore.transport.own_addresses import Listener
from sipcore.transport.reach import Reach

log = logging.getLogger("sipcore.node")

CRLF: Final = b"\r\n"
HALF_A_PING: Final = 3
"""Bytes of a CRLFCRLF that may lie there for as long as the connection lives: some phones keep
theirs alive with one CRLF."""

OnMessage = Callable[[bytes, Flow], None]
OnFailure = Callable[[bytes], None]
OnPeer = Callable[[Flow, tuple[str, ...]], None]
OnLost = Callable[[Flow], None]
Count = Callable[[Counter], None]
Way = tuple[str, Address, str]
"""Where a connection leads: transport, remote address, and over TLS one domain it speaks for."""


class StreamSet:
    """All TCP and TLS connections of a worker, by number and by where they lead."""

    def __init__(
        self,
        on_message: OnMessage,
        on_failure: OnFailure,
        limits: StreamLimits,
        *,
        reach: Reach | None = None,
        certificates: Certificates | None = None,
        on_peer: OnPeer = lambda flow, identities: None,
        on_lost: OnLost = lambda flow: None,
        count: Count = lambda counter: None,
    ) -> None:
        self._on_message = on_message
        self._on_failure = on_failure
        self._on_peer = on_peer
        self._on_lost = on_lost
        self.count = count
        self._certificates = certificates
        self._reach = reach or Reach()
        self.limits = limits
        self._servers: list[asyncio.Server] = []
        self._connections: dict[int, StreamConnection] = {}
        self._ways: dict[Way, StreamConnection] = {}
        self._opening: dict[Way, list[bytes]] = {}
        self._by_source: dict[str, int] = {}
        """How many each source has opened."""
        self._handshakes: dict[str, int] = {}
        """How many TLS handshakes of each source go on."""
        self._shaking_hands: dict[StreamConnection, None] = {}
        """All of them, the oldest first."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_number = 0
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._connections)

    async def listen(
        self,
        listener: Listener,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket | None = None,
    ) -> None:
        """Accept connections on this address; `sock` is bound to it already."""
        if self._sweep is None:
            self._sweep = loop.call_later(self.limits.sweep_s, self._look_around, loop)
        server = await loop.create_server(
            lambda: StreamConnection(self, listener.transport, listener.local, accepted=True),
            sock=bind(listener.transport, listener.local) if sock is None else sock,
        )
        self._servers.append(server)

    async def close(self) -> None:
        """Stop listening and close every connection."""
        if self._sweep is not None:
            self._sweep.cancel()
        for server in self._servers:
            server.close()
        for connection in list(self._connections.values()):
            connection.close()
        for task in self._tasks:
            task.cancel()

    def set_reach(self, reach: Reach) -> None:
        """From now on connections are opened to there; those that we have opened elsewhere end."""
        self._reach = reach
        for connection in list(self._connections.values()):
            way = Flow(connection.kind, connection.local, connection.remote)
            if not connection.accepted and not reach.includes(way):
                connection.close()

    def _look_around(self, loop: asyncio.AbstractEventLoop) -> None:
        """Abort the connections that only cost."""
        seconds = self.limits.sweep_s
        self._sweep = loop.call_later(seconds, self._look_around, loop)
        for connection in list(self._connections.values()):
            connection.grow_older(seconds)

    # --- sending ---------------------------------------------------------------------------
    def send(self, flow: Flow, data: bytes, loop: asyncio.AbstractEventLoop) -> None:
        """Send on the flow's connection, or on one to its remote address, opened when needed."""
        connection = self._connections.get(flow.connection)
        if connection is not None and connection.remote != flow.remote:
            connection = None  # a number of an earlier life, from a token or the database
        if connection is None and flow.connection == 0:
            connection = self._ways.get((flow.transport, flow.remote, flow.peer))
        if connection is not None:
            if not connection.write(data):
                self._on_failure(data)
            return
        if flow.connection:
            loop.call_soon(self._on_failure, data)  # its connection is gone
            return
        self._open(flow, data, loop)

    def _open(self, flow: Flow, data: bytes, loop: asyncio.AbstractEventLoop) -> None:
        key = (flow.transport, flow.remote, flow.peer)
        waiting = self._opening.get(key)
        if waiting is not None:
            if sum(map(len, waiting)) > self.limits.waiting_bytes:
                loop.call_soon(self._on_failure, data)
            else:
                waiting.append(data)
            return
        if not self._reach.includes(flow):
            log.info("no connection is opened into the network of %s", flow.remote[0])
            self.count(Counter.CONNECTION_OUT_OF_REACH)
            loop.call_soon(self._on_failure, data)
            return
        self._opening[key] = [data]
        task = loop.create_task(self._connect(flow, key, loop))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, flow: Flow, key: Way, loop: asyncio.AbstractEventLoop) -> None:
        connection: StreamConnection | None = None
        usable = False
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            async with asyncio.timeout(self.limits.connect_s):
                _, connection = await loop.create_connection(
                    lambda: StreamConnection(
                        self, flow.transport, flow.local, accepted=False, peer=flow.peer
                    ),
                    *flow.remote,
                )
                usable = await connection.open(loop)
        if connection is not None and not usable:
            connection.abort()
        for data in self._opening.pop(key, []):
            if connection is None or not usable or not connection.write(data):
                self._on_failure(data)

    # --- what connections tell ---------------------------------------------------------------
    def opened(self, connection: StreamConnection, own: Address, remote: Address) -> Flow | None:
        """A connection is up; its flow, or None when there are too many or it may not be used.

        `own` is the address of its own end.
        """
        if len(self._connections) >= self.limits.connections:
            self.count(Counter.CONNECTION_REFUSED)
            return None
        way = Flow(connection.kind, connection.local, remote)
        reach = self._reach
        if not connection.accepted and not (reach.includes(way) and reach.may_keep(way, own)):
            log.info("no connection is kept to %s, port %d", *remote)
            self.count(Counter.CONNECTION_OUT_OF_REACH)
            return None
        if connection.accepted:
            source = source_of(remote[0])
            count = self._by_source.get(source, 0)
            if count >= self.limits.connections_per_source:
                self.count(Counter.CONNECTION_REFUSED)
                return None
            self._by_source[source] = count + 1
        self._last_number += 1
        flow = Flow(connection.kind, connection.local, remote, self._last_number)
        self._connections[self._last_number] = connection
        if flow.transport == "TCP":
            self._lead(connection, (flow.transport, remote, ""))
        return flow

    def _lead(self, connection: StreamConnection, way: Way) -> None:
        self._ways[way] = connection
        connection.ways.append(way)

    def new_layer(self, connection: StreamConnection, peer: str) -> TlsLayer | None:
        """The TLS of a connection that has just been made; None where there can be none."""
        contexts = self._certificates.contexts if self._certificates is not None else None
        if contexts is None:
            self.count(Counter.HANDSHAKE_REFUSED)
            return None
        if not connection.accepted:
            return TlsLayer(contexts.client, server_side=False, server_name=peer)
        source = source_of(connection.remote[0])
        count = self._handshakes.get(source, 0)
        limits = self.limits
        is_full = len(self._shaking_hands) >= limits.handshakes
        if count >= limits.handshakes_per_source or (is_full and not self._make_room()):
            self.count(Counter.HANDSHAKE_REFUSED)
            return None
        self._handshakes[source] = count + 1
        self._shaking_hands[connection] = None
        return TlsLayer(contexts.server, server_side=True)

    def shaking_hands(self) -> list[StreamConnection]:
        """Accepted connections whose TLS handshake goes on, the oldest first."""
        return list(self._shaking_hands)

    def _make_room(self) -> bool:
        """End the oldest handshake in which nothing was said; False where there is none.

        A phone begins to speak at once. Who only connects keeps no phone out.
        """
        silent = next((c for c in self._shaking_hands if not c.has_spoken), None)
        if silent is None:
            return False
        self.count(Counter.HANDSHAKE_REFUSED)
        silent.give_way()
        return True

    def handshake_over(self, connection: StreamConnection) -> None:
        """An accepted connection's handshake is done, or will never be."""
        source = source_of(connection.remote[0])
        self._shaking_hands.pop(connection, None)
        left = self._handshakes[source] - 1
        if left:
            self._handshakes[source] = left
        else:
            del self._handshakes[source]

    def secured(
        self, connection: StreamConnection, flow: Flow, peer: str, identities: tuple[str, ...]
    ) -> bool:
        """The handshake is done; whether the connection may be used."""
        if not connection.accepted:
            if not speaks_for(identities, peer):
                log.warning("%s %s is not %s but %s", flow.transport, flow.remote, peer, identities)
                self.count(Counter.HANDSHAKE_FAILED)
                return False
            for name in identities:
                self._lead(connection, (flow.transport, flow.remote, name))
        if identities:
            self._on_peer(flow, identities)
        return True

    def alias(self, number: int, port: int) -> None:
        """The peer that opened this TLS connection wants requests for it, at its port, to use it.

        Only for the domains that its certificate names (RFC 5923 §8.2); without one for none.
        """
        connection = self._connections.get(number)
        if connection is None or not connection.accepted:
            return
        for name in connection.identities:
            way = (connection.kind, (connection.remote[0], port), name)
            if way not in connection.ways:
                self._lead(connection, way)

    def lost(self, connection: StreamConnection, flow: Flow) -> None:
        """A connection is gone."""
        self._connections.pop(flow.connection, None)
        for way in connection.ways:
            if self._ways.get(way) is connection:
                del self._ways[way]
        if connection.identities:
            self._on_peer(flow, ())
        if connection.accepted:
            source = source_of(flow.remote[0])
            left = self._by_source[source] - 1
            if left:
                self._by_source[source] = left
            else:
                del self._by_source[source]
            self._on_lost(flow)

    def message(self, data: bytes, flow: Flow) -> None:
        """A whole message arrived."""
        self._on_message(data, flow)


class StreamConnection(asyncio.Protocol):
    """One connection: bytes to messages, CRLF keep-alives answered (RFC 5626 §4.4.1).

    `peer` is whom a TLS connection of ours was opened for.
    """

    def __init__(
        self, owner: StreamSet, kind: str, local: Address, *, accepted: bool, peer: str = ""
    ) -> None:
        self.kind = kind
        self.local = local
        self.accepted = accepted
        self.remote: Address = ("", 0)
        self.ways: list[Way] = []
        self.identities: tuple[str, ...] = ()
        """The domains the other end has proved to speak for."""
        self.usable = kind != "TLS"
        """Whether messages may pass: over TLS when we know whom we talk to."""
        self.waiter: asyncio.Future[bool] | None = None
        """Who opened it waits here until it is usable, or never will be."""
        self._peer = peer
        self._tls: TlsLayer | None = None
        self._broken = False
        self._shaking_hands = False
        """Whether this is counted among the handshakes of others."""
        self.has_spoken = False
        """Whether the other end has sent anything."""
        self._owner = owner
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._flow: Flow | None = None
        self._heard = False
        """Whether a whole message or ping came since `grow_older`."""
        self._introduced = not accepted
        self._silent_s = 0.0
        self._unsaid_s = 0.0
        """Since we have sent anything."""
        self._unfinished_s = 0.0
        self._handshake_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if not peer:
            self._transport.abort()
            return
        self.remote = (peer[0], peer[1])
        self._flow = self._owner.opened(self, transport.get_extra_info("sockname"), self.remote)
        if self._flow is None:
            self._transport.abort()
        elif self.kind == "TLS":
            self._begin_tls()

    async def open(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Wait until messages may be sent; False when they never can."""
        if not self.usable and self._transport is not None and not self._transport.is_closing():
            self.waiter = loop.create_future()
            await self.waiter
        return self.usable

    def _begin_tls(self) -> None:
        assert self._transport is not None
        self._tls = self._owner.new_layer(self, self._peer)
        if self._tls is None:
            self._transport.abort()
        elif self.accepted:
            self._shaking_hands = True
        else:
            self._tls.start()
            self._transport.write(self._tls.take())

    def connection_lost(self, exc: Exception | None) -> None:
        self._wake_waiter()
        if self._shaking_hands:
            self._shaking_hands = False
            self._owner.handshake_over(self)
        if self._flow is not None:
            self._owner.lost(self, self._flow)

    def _wake_waiter(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(self.usable)

    def _decrypt(self, tls: TlsLayer, data: bytes) -> bytes:
        """What a TLS connection says; nothing during the handshake and when it fails."""
        assert self._transport is not None
        plain = b""
        try:
            plain = tls.receive(data)
        except ssl.SSLError as error:
            log.info("closing TLS %s: %s", self.remote, error)
            self._owner.count(Counter.HANDSHAKE_FAILED)
            self._broken = True
        answer = tls.take()
        if answer:
            self._transport.write(answer)
        if self._transport.get_write_buffer_size() > self._owner.limits.waiting_bytes:
            self._transport.abort()  # it asks for new keys again and again, and never reads
        if self._broken:
            self._transport.close()
        elif tls.ready and not self.usable:
            self._secured(tls)
        return plain if self.usable else b""

    def _secured(self, tls: TlsLayer) -> None:
        """The handshake is done: see who it is."""
        assert self._flow is not None
        if self._shaking_hands:
            self._shaking_hands = False
            self._owner.handshake_over(self)
        self.identities = sip_identities(tls.peer_certificate())
        self.usable = self._owner.secured(self, self._flow, self._peer, self.identities)
        self._wake_waiter()
        if not self.usable:
            self.close()

    def give_way(self) -> None:
        """End it for another one: in its handshake nothing was said."""
        self._shaking_hands = False
        self._owner.handshake_over(self)
        self.abort()

    def data_received(self, data: bytes) -> None:
        self.has_spoken = True
        if self._flow is None or self._transport is None:
            return
        if self._tls is None:
            self._take_in(data)
            return
        plain = self._decrypt(self._tls, data)
        if plain:
            self._take_in(plain)
        if self._tls.ended:
            self.close()

    def _take_in(self, data: bytes) -> None:
        """Plain bytes: messages and keep-alives."""
        assert self._flow is not None
        pings = 0
        with contextlib.suppress(MalformedMessage):  # `failure` keeps it
            for piece in self._framer.feed(data):
                self._heard = True
                if piece is PING:
                    pings += 1
                else:
                    self._owner.message(cast("bytes", piece), self._flow)
        if pings:
            self.write(b"\r\n" * pings)
        if self._framer.failure is not None:
            self._give_up(self._framer.failure)

    def _give_up(self, error: MalformedMessage) -> None:
        """The framing is lost, and with it every later message: answer if we can, and close."""
        assert self._flow is not None
        assert self._transport is not None
        log.info("closing %s %s: %s", self.kind, self._flow.remote, error)
        self._owner.count(Counter.STREAM_MALFORMED)
        request = error.partial
        if request is not None and request.method != "ACK":
            response = request.respond(error.status, error.reason, to_tag="malformed")
            self.write(response.to_bytes())
        self.close()

    def write(self, data: bytes) -> bool:
        """Queue for sending; False when the connection is closing or its reader too slow."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > self._owner.limits.waiting_bytes:
            transport.abort()
            return False
        if self._tls is not None:
            if not self.usable:
                return False
            data = self._tls.send(data)
        self._unsaid_s = 0.0
        transport.write(data)
        return True

    def close(self) -> None:
        """Close after what is queued was sent."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if self._tls is not None and self._tls.ready:
            transport.write(self._tls.close())
        transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def grow_older(self, seconds: float) -> None:
        """So much time has passed: abort when the peer takes too long for what it has begun.

        It has begun a message, a connection, or to read what we said before we closed.
        """
        transport = self._transport
        if transport is None:
            return
        if self._heard:
            self._heard = False
            self._introduced = True
            self._silent_s = self._unfinished_s = 0.0
        self._silent_s += seconds
        unfinished = self._framer.waiting_bytes > HALF_A_PING or transport.is_closing()
        if unfinished or not self._introduced:
            self._unfinished_s += seconds
        else:
            self._unfinished_s = 0.0
        limits = self._owner.limits
        self._unsaid_s += seconds
        if self.accepted and self._introduced and 0 < limits.keep_alive_s <= self._unsaid_s:
            self.write(CRLF)
        if self._shaking_hands:
            self._handshake_s += seconds
            if self._handshake_s > limits.handshake_s:
                self._owner.count(Counter.HANDSHAKE_FAILED)
                transport.abort()
        if self._unfinished_s > limits.message_s or self._silent_s > limits.idle_s:
            transport.abort()


def source_of(host: str) -> str:
    """What is counted as one source: an IPv4 address, or the network an IPv6 address is of."""
    return network_of(host, SINGLE_SOURCES)
