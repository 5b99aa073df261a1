"""Stream connections: framing, reuse, opening towards a peer, bounds (RFC 3261 §18)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final, cast

from sipcore.errors import MalformedMessage
from sipcore.message import PING, StreamFramer
from sipcore.node.config import Listener
from sipcore.transport.flow import Address, Flow

log = logging.getLogger("sipcore.node")

MAX_CONNECTIONS: Final = 40_000
MAX_WAITING_BYTES: Final = 1 << 20
"""Bytes that may wait for one slow reader or one connection being opened."""
CONNECT_TIMEOUT_S: Final = 5.0

OnMessage = Callable[[bytes, Flow], None]
OnFailure = Callable[[bytes], None]


class StreamSet:
    """All TCP connections of a worker, by number and by remote address."""

    def __init__(self, on_message: OnMessage, on_failure: OnFailure) -> None:
        self._on_message = on_message
        self._on_failure = on_failure
        self._servers: list[asyncio.Server] = []
        self._connections: dict[int, StreamConnection] = {}
        self._by_remote: dict[tuple[str, Address], StreamConnection] = {}
        self._opening: dict[tuple[str, Address], list[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_number = 0

    def __len__(self) -> int:
        return len(self._connections)

    async def listen(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        """Accept connections on this address."""
        server = await loop.create_server(
            lambda: StreamConnection(self, listener.transport, listener.local),
            listener.local[0],
            listener.local[1],
        )
        self._servers.append(server)

    async def close(self) -> None:
        """Stop listening and close every connection."""
        for server in self._servers:
            server.close()
        for connection in list(self._connections.values()):
            connection.close()
        for task in self._tasks:
            task.cancel()

    # --- sending ---------------------------------------------------------------------------
    def send(self, flow: Flow, data: bytes, loop: asyncio.AbstractEventLoop) -> None:
        """Send on the flow's connection, or on one to its remote address, opened when needed."""
        connection = self._connections.get(flow.connection)
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
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await loop.create_connection(
                    lambda: StreamConnection(self, flow.transport, flow.local), *flow.remote
                )
        for data in self._opening.pop(key, []):
            if connection is None or not connection.write(data):
                self._on_failure(data)

    # --- what connections tell ---------------------------------------------------------------
    def opened(self, connection: StreamConnection, remote: Address) -> Flow | None:
        """A connection is up; its flow, or None when there are too many."""
        if len(self._connections) >= MAX_CONNECTIONS:
            return None
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

    def message(self, data: bytes, flow: Flow) -> None:
        """A whole message arrived."""
        self._on_message(data, flow)


class StreamConnection(asyncio.Protocol):
    """One connection: bytes to messages, CRLF keep-alives answered (RFC 5626 §4.4.1)."""

    def __init__(self, owner: StreamSet, kind: str, local: Address) -> None:
        self.kind = kind
        self.local = local
        self._owner = owner
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None
        self._flow: Flow | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if not peer:
            self._transport.abort()
            return
        self._flow = self._owner.opened(self, (peer[0], peer[1]))
        if self._flow is None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._flow is not None:
            self._owner.lost(self, self._flow)

    def data_received(self, data: bytes) -> None:
        if self._flow is None or self._transport is None:
            return
        with contextlib.suppress(MalformedMessage):  # `failure` keeps it
            for piece in self._framer.feed(data):
                if piece is PING:
                    self._transport.write(b"\r\n")
                else:
                    self._owner.message(cast("bytes", piece), self._flow)
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
        if transport.get_write_buffer_size() > MAX_WAITING_BYTES:
            transport.abort()
            return False
        transport.write(data)
        return True

    def close(self) -> None:
        """Close after what is queued was sent."""
        if self._transport is not None:
            self._transport.close()
