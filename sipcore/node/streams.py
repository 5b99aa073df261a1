"""Stream connections: framing, reuse, opening towards a peer, bounds (RFC 3261 §18)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Final, cast

from sipcore.errors import MalformedMessage
from sipcore.message import PING, StreamFramer
from sipcore.node.config import Listener, StreamLimits
from sipcore.transport.flow import Address, Flow

log = logging.getLogger("sipcore.node")

HALF_A_PING: Final = 3
"""Bytes of a CRLFCRLF that may lie there for as long as the connection lives: some phones keep
theirs alive with one CRLF."""

OnMessage = Callable[[bytes, Flow], None]
OnFailure = Callable[[bytes], None]


class StreamSet:
    """All TCP connections of a worker, by number and by remote address."""

    def __init__(self, on_message: OnMessage, on_failure: OnFailure, limits: StreamLimits) -> None:
        self._on_message = on_message
        self._on_failure = on_failure
        self.limits = limits
        self._servers: list[asyncio.Server] = []
        self._connections: dict[int, StreamConnection] = {}
        self._by_remote: dict[tuple[str, Address], StreamConnection] = {}
        self._opening: dict[tuple[str, Address], list[bytes]] = {}
        self._by_source: dict[str, int] = {}
        """How many each source has opened."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_number = 0
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._connections)

    async def listen(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        """Accept connections on this address."""
        if self._sweep is None:
            self._sweep = loop.call_later(self.limits.sweep_s, self._look_around, loop)
        server = await loop.create_server(
            lambda: StreamConnection(self, listener.transport, listener.local, accepted=True),
            listener.local[0],
            listener.local[1],
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
            connection = self._by_remote.get((flow.transport, flow.remote))
        if connection is not None:
            if not connection.write(data):
                self._on_failure(data)
            return
        if flow.connection:
            loop.call_soon(self._on_failure, data)  # its connection is gone
            return
        self._open(flow, data, loop)

    def _open(self, flow: Flow, data: bytes, loop: asyncio.AbstractEventLoop) -> None:
        key = (flow.transport, flow.remote)
        waiting = self._opening.get(key)
        if waiting is not None:
            if sum(map(len, waiting)) > self.limits.waiting_bytes:
                loop.call_soon(self._on_failure, data)
            else:
                waiting.append(data)
            return
        self._opening[key] = [data]
        task = loop.create_task(self._connect(flow, key, loop))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(
        self, flow: Flow, key: tuple[str, Address], loop: asyncio.AbstractEventLoop
    ) -> None:
        connection: StreamConnection | None = None
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            async with asyncio.timeout(self.limits.connect_s):
                _, connection = await loop.create_connection(
                    lambda: StreamConnection(self, flow.transport, flow.local, accepted=False),
                    *flow.remote,
                )
        for data in self._opening.pop(key, []):
            if connection is None or not connection.write(data):
                self._on_failure(data)

    # --- what connections tell ---------------------------------------------------------------
    def opened(self, connection: StreamConnection, remote: Address) -> Flow | None:
        """A connection is up; its flow, or None when there are too many."""
        if len(self._connections) >= self.limits.connections:
            return None
        if connection.accepted:
            source = source_of(remote[0])
            count = self._by_source.get(source, 0)
            if count >= self.limits.connections_per_source:
                return None
            self._by_source[source] = count + 1
        self._last_number += 1
        flow = Flow(connection.kind, connection.local, remote, self._last_number)
        self._connections[self._last_number] = connection
        self._by_remote[flow.transport, remote] = connection
        return flow

    def lost(self, connection: StreamConnection, flow: Flow) -> None:
        """A connection is gone."""
        self._connections.pop(flow.connection, None)
        key = (flow.transport, flow.remote)
        if self._by_remote.get(key) is connection:
            del self._by_remote[key]
        if connection.accepted:
            source = source_of(flow.remote[0])
            left = self._by_source[source] - 1
            if left:
                self._by_source[source] = left
            else:
                del self._by_source[source]

    def message(self, data: bytes, flow: Flow) -> None:
        """A whole message arrived."""
        self._on_message(data, flow)


class StreamConnection(asyncio.Protocol):
    """One connection: bytes to messages, CRLF keep-alives answered (RFC 5626 §4.4.1)."""

    def __init__(self, owner: StreamSet, kind: str, local: Address, *, accepted: bool) -> None:
        self.kind = kind
        self.local = local
        self.accepted = accepted
        self.remote: Address = ("", 0)
        self._owner = owner
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._flow: Flow | None = None
        self._heard = False
        """Whether a whole message or ping came since `grow_older`."""
        self._introduced = not accepted
        self._silent_s = 0.0
        self._unfinished_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if not peer:
            self._transport.abort()
            return
        self.remote = (peer[0], peer[1])
        self._flow = self._owner.opened(self, self.remote)
        if self._flow is None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._flow is not None:
            self._owner.lost(self, self._flow)

    def data_received(self, data: bytes) -> None:
        if self._flow is None or self._transport is None:
            return
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
        request = error.partial
        if request is not None and request.method != "ACK":
            response = request.respond(error.status, error.reason, to_tag="malformed")
            self._transport.write(response.to_bytes())
        self._transport.close()

    def write(self, data: bytes) -> bool:
        """Queue for sending; False when the connection is closing or its reader too slow."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > self._owner.limits.waiting_bytes:
            transport.abort()
            return False
        transport.write(data)
        return True

    def close(self) -> None:
        """Close after what is queued was sent."""
        if self._transport is not None:
            self._transport.close()

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
        if self._unfinished_s > limits.message_s or self._silent_s > limits.idle_s:
            transport.abort()


def source_of(host: str) -> str:
    """What is counted as one source: an IPv4 address, or the network an IPv6 address is of."""
    if ":" not in host:
        return host
    groups = IPv6Address(host.partition("%")[0]).exploded.split(":")
    return ":".join(groups[:4])
