"""UDP sockets of a node, read and written without a transport object in between.

An idle server wakes up for each datagram and handles it at once. Waking up is dear, though: the
caches are cold, and each turn has its write to every file. So where datagrams follow one another
closely the socket is looked at every few milliseconds instead, and what has gathered there is taken
in one turn: half the CPU for a delay that nobody hears.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import select
import socket
import struct
import sys
from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from sipcore.node.bound import bind
from sipcore.node.limits import (
    BURST,
    ERROR_HEAD_BYTES,
    GATHER_S,
    MAX_DATAGRAM_BYTES,
    MAX_REMEMBERED_FLOWS,
    RECEIVE_BUFFER_BYTES,
)
from sipcore.transport.flow import Address, Flow

log = logging.getLogger("sipcore.node")

_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_UNREACHABLE: Final = {2: ((3, 12), 4), 3: ((1, 4), -1)}
"""By origin (ICMP, ICMPv6): the types that count, and the code that does not. That is "too big",
which the kernel takes care of. Source quench and TTL exceeded do not count (RFC 3261 §18.4)."""


_SO_MEMINFO: Final = 55
_DROPS_AT: Final = 8
"""Where in the numbers of SO_MEMINFO the drops stand (`SK_MEMINFO_DROPS` of Linux)."""


def _ask_for_room(sock: socket.socket) -> int:
    """Ask for a receive buffer; how many bytes of it were granted (Linux counts them double)."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    granted = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    return granted // 2 if sys.platform == "linux" else granted


def _ask_for_errors(sock: socket.socket) -> None:
    """Have ICMP errors kept with what they are about, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)


def _says_unreachable(level: int, data: bytes) -> bool:
    """Whether this is the note of an ICMP error that tells the datagram's fate for good."""
    if level not in (socket.IPPROTO_IP, socket.IPPROTO_IPV6) or len(data) < 16:
        return False
    _, origin, kind, code = struct.unpack_from("=IBBB", data)
    kinds, but_not = _UNREACHABLE.get(origin, ((), 0))
    return kind in kinds and code != but_not


class DatagramSocket:
    """One bound UDP socket; `receive` is called for each datagram, `turn_over` after each turn.

    `unreachable` gets the beginning of a datagram of ours that an ICMP message says did not arrive,
    and where that was sent to.
    """

    def __init__(
        self,
        local: tuple[str, int],
        receive: Callable[[bytes, Flow], None],
        turn_over: Callable[[], None],
        unreachable: Callable[[bytes, Address], None],
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket | None = None,
    ) -> None:
        """`sock` is bound to `local` already; without one it is made here."""
        if sock is None:
            sock = bind("UDP", local)
        granted = _ask_for_room(sock)
        if granted < RECEIVE_BUFFER_BYTES:
            log.warning(
                "UDP %s:%d has room for %d bytes that wait to be read, not %d: datagrams are lost "
                "where many come at once. As root: sysctl -w net.core.rmem_max=%d, then start again",
                *local,
                granted,
                RECEIVE_BUFFER_BYTES,
                RECEIVE_BUFFER_BYTES,
            )
        _ask_for_errors(sock)
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
        self._gathering: asyncio.TimerHandle | None = None
        # libuv stops watching a socket that has an error to tell; of an epoll set that holds the
        # socket it sees only that there is something to do.
        self._watched = select.epoll()
        self._watched.register(sock.fileno(), select.EPOLLIN)
        loop.add_reader(self._watched.fileno(), self._readable)

    def send(self, data: bytes, remote: tuple[str, int]) -> bool:
        """Hand a datagram to the kernel; False where there is no way to send it.

        One for which there is no room just now is as good as lost on the way. An error may be of an
        earlier datagram: then it has been told now, and this one goes.
        """
        try:
            self._socket.sendto(data, remote)
        except BlockingIOError:
            return True
        except OSError:
            try:
                self._socket.sendto(data, remote)
            except BlockingIOError:
                return True
            except OSError:
                return False
        return True

    @property
    def dropped(self) -> int:
        """Datagrams that found the receive buffer full, since the socket was made (Linux counts them)."""
        try:
            numbers = self._socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_DROPS_AT + 1))
        except OSError:
            return 0
        return int(struct.unpack(f"={len(numbers) // 4}I", numbers)[_DROPS_AT])

    def _take_errors(self) -> None:
        """Tell of what did not arrive (RFC 3261 §18.4); the kernel wakes us until all is taken."""
        for _ in range(BURST):
            try:
                head, notes, _, destination = self._socket.recvmsg(
                    ERROR_HEAD_BYTES, ERROR_HEAD_BYTES, socket.MSG_ERRQUEUE
                )
            except OSError:
                return
            if any(_says_unreachable(level, data) for level, _, data in notes):
                # The kernel's name for it is that of the datagram's destination, not who complains.
                self._unreachable(head, destination[:2])

    def close(self) -> None:
        """Close the socket."""
        if self._gathering is not None:
            self._gathering.cancel()
        self._loop.remove_reader(self._watched.fileno())
        self._watched.close()
        self._socket.close()

    def _new_flow(self, remote: tuple[Any, ...]) -> Flow:
        if len(self._flows) >= MAX_REMEMBERED_FLOWS:
            self._flows.clear()
        # Of an IPv6 address the flow label and the scope are left out.
        flow = self._flows[remote] = Flow("UDP", self._local, remote[:2])
        return flow

    def _readable(self) -> None:
        """A datagram after a while of none, or the second that comes soon after another."""
        self._take(1)
        now = monotonic()
        if now - self._last_turn < GATHER_S:
            self._loop.remove_reader(self._watched.fileno())
            self._gathering = self._loop.call_later(GATHER_S, self._gathered)
        self._last_turn = now

    def _gathered(self) -> None:
        taken = BURST  # should this turn fail, the next one comes all the same
        try:
            taken = self._take(BURST)
        finally:
            self._go_on(taken)

    def _go_on(self, taken: int) -> None:
        """Let more gather, or wait for the next as an idle server does."""
        if taken == 0:
            self._gathering = None
            self._loop.add_reader(self._watched.fileno(), self._readable)
            return
        wait = GATHER_S if taken < BURST else 0.0
        self._gathering = self._loop.call_later(wait, self._gathered)

    def _take(self, limit: int) -> int:
        """Handle what has come, `limit` at most, as one turn; how many there were."""
        taken = 0
        while taken < limit:
            try:
                size, remote = self._socket.recvfrom_into(self._buffer)
            except BlockingIOError:
                if taken == 0:  # woken for nothing but what did not arrive
                    self._take_errors()
                break
            except OSError:  # of something sent before
                self._take_errors()
                taken += 1
                continue
            flow = self._flows.get(remote)
            if flow is None:
                flow = self._new_flow(remote)
            self._receive(bytes(self._view[:size]), flow)
            taken += 1
        if taken:
            self._turn_over()
        return taken
