"""UDP sockets of a node, read and written without a transport object in between.

An idle server that gets one datagram wakes up for that one: asking the socket a second time just to
hear that there is no more would cost as much as sending a message. Where datagrams follow one
another closely several are taken in one turn, and share its one write to each file.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from sipcore.transport.flow import Flow

RECEIVE_BUFFER_BYTES: Final = 4 << 20
"""Asked of the kernel; the default overflows with some 330 datagrams in one scheduling pause."""
MAX_DATAGRAM_BYTES: Final = 65_536
MAX_REMEMBERED_FLOWS: Final = 50_000
BURST: Final = 32
"""Most datagrams taken in one turn."""
BUSY_S: Final = 0.000_2
"""A datagram that is there so soon after the last turn is likely not alone."""


class DatagramSocket:
    """One bound UDP socket; `receive` is called for each datagram, `turn_over` after each turn."""

    def __init__(
        self,
        local: tuple[str, int],
        receive: Callable[[bytes, Flow], None],
        turn_over: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        sock.setblocking(False)
        try:
            sock.bind(local)
        except OSError:
            sock.close()
            raise
        self._socket = sock
        self._local = local
        self._receive = receive
        self._turn_over = turn_over
        self._loop = loop
        self._buffer = bytearray(MAX_DATAGRAM_BYTES)
        self._view = memoryview(self._buffer)
        self._flows: dict[tuple[Any, ...], Flow] = {}
        """By the source address: one object for all messages and bindings of a phone."""
        self._last_turn = 0.0
        loop.add_reader(sock.fileno(), self._readable)

    def send(self, data: bytes, remote: tuple[str, int]) -> bool:
        """Hand a datagram to the kernel; False where it was not taken, as good as lost on the way.

        What an ICMP error says of an earlier datagram is not known to belong to this one: timers
        take care of both (RFC 3261 §18.4).
        """
        try:
            self._socket.sendto(data, remote)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Close the socket."""
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _new_flow(self, remote: tuple[Any, ...]) -> Flow:
        if len(self._flows) >= MAX_REMEMBERED_FLOWS:
            self._flows.clear()
        # Of an IPv6 address the flow label and the scope are left out.
        flow = self._flows[remote] = Flow("UDP", self._local, remote[:2])
        return flow

    def _readable(self) -> None:
        limit = BURST if monotonic() - self._last_turn < BUSY_S else 1
        for _ in range(limit):
            try:
                size, remote = self._socket.recvfrom_into(self._buffer)
            except OSError:  # nothing more, or an ICMP error (see `send`)
                break
            flow = self._flows.get(remote)
            if flow is None:
                flow = self._new_flow(remote)
            self._receive(bytes(self._view[:size]), flow)
        self._turn_over()
        self._last_turn = monotonic()
