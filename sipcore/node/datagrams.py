"""UDP sockets of a node, read and written without a transport object in between.

An idle server that gets one datagram wakes up for that one: asking the socket a second time just to
hear that there is no more would cost as much as sending a message. Where datagrams follow one
another closely several are taken in one turn, and share its one write to each file.

What ICMP says of a datagram comes by the socket's error queue, with the beginning of the datagram
(RFC 3261 §18.4). While something lies there, the socket fails any one call for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from struct import unpack_from
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

IP_RECVERR: Final = 11
IPV6_RECVERR: Final = 25
"""Linux's; not every Python's socket module names them."""
ERROR_BYTES: Final = 1024
"""What is read of a datagram that came back; the network returns some 500 bytes of it."""
MOST_ERRORS: Final = 64
"""Taken in one turn."""
_ICMP: Final = 2
_ICMP6: Final = 3


class DatagramSocket:
    """One bound UDP socket; `receive` is called for each datagram, `turn_over` after each turn.

    `unreachable` is called with the beginning of a datagram that did not arrive, and where it went.
    """

    def __init__(
        self,
        local: tuple[str, int],
        receive: Callable[[bytes, Flow], None],
        turn_over: Callable[[], None],
        unreachable: Callable[[bytes, tuple[str, int]], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        with contextlib.suppress(OSError):
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
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
        self._unreachable = unreachable
        self._loop = loop
        self._buffer = bytearray(MAX_DATAGRAM_BYTES)
        self._view = memoryview(self._buffer)
        self._flows: dict[tuple[Any, ...], Flow] = {}
        """By the source address: one object for all messages and bindings of a phone."""
        self._last_turn = 0.0
        loop.add_reader(sock.fileno(), self._readable)

    def send(self, data: bytes, remote: tuple[str, int]) -> bool:
        """Hand a datagram to the kernel; False where there is no way to send it.

        One for which there is no room just now is as good as lost on the way.
        """
        try:
            self._socket.sendto(data, remote)
        except BlockingIOError:
            pass
        except OSError:
            return self._send_once_more(data, remote)
        return True

    def _send_once_more(self, data: bytes, remote: tuple[str, int]) -> bool:
        """The first error may have been that of an earlier datagram."""
        self._take_errors()
        try:
            self._socket.sendto(data, remote)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def watch_again(self) -> None:
        """Have the loop look at the socket anew.

        libuv stops looking at a socket that has an error. Whoever takes the errors calls this; the
        node does so now and then besides, lest one that nobody saw make the socket deaf for good.
        """
        self._loop.remove_reader(self._socket.fileno())
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def _take_errors(self) -> None:
        for _ in range(MOST_ERRORS):
            try:
                start, control, _, remote = self._socket.recvmsg(
                    ERROR_BYTES, 256, socket.MSG_ERRQUEUE
                )
            except OSError:  # no more
                break
            if any(says_unreachable(data) for _, _, data in control):
                self._unreachable(start, remote[:2])
        self.watch_again()

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
        for taken in range(limit):
            try:
                size, remote = self._socket.recvfrom_into(self._buffer)
            except BlockingIOError:
                if not taken:  # woken for nothing: for an error, then
                    self._take_errors()
                break
            except OSError:
                self._take_errors()
                break
            flow = self._flows.get(remote)
            if flow is None:
                flow = self._new_flow(remote)
            self._receive(bytes(self._view[:size]), flow)
        self._turn_over()
        self._last_turn = monotonic()


def says_unreachable(error: bytes) -> bool:
    """Whether a `sock_extended_err` is an ICMP error that ends a transaction (RFC 3261 §18.4).

    That is host, network, port or protocol unreachable, and a parameter problem; not a message that
    is too large for a link, nor a hop limit or source quench.
    """
    if len(error) < 7:
        return False
    origin, kind, code = unpack_from("BBB", error, 4)
    if origin == _ICMP:
        return bool((kind == 3 and code != 4) or kind == 12)
    return bool(origin == _ICMP6 and kind in (1, 4))
