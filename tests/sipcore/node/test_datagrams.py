"""UDP sockets of a node, on real sockets: what comes alone, closely together, and after an error."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from typing import Final

import pytest

from sipcore.node.datagrams import DatagramSocket, _says_unreachable
from sipcore.node.limits import BURST
from sipcore.transport.flow import Address, Flow
from tests.support.ports import free_port

MANY: Final = 5 * BURST


class Turns:
    """What the socket gave: the datagrams of each turn."""

    def __init__(self) -> None:
        self.turns: list[list[bytes]] = [[]]
        self.flows: list[Flow] = []
        self.lost: list[tuple[bytes, Address]] = []
        self.came = asyncio.Event()

    def listen(self, local: tuple[str, int]) -> DatagramSocket:
        loop = asyncio.get_running_loop()
        return DatagramSocket(local, self.receive, self.turn_over, self.unreachable, loop)

    def receive(self, data: bytes, flow: Flow) -> None:
        self.turns[-1].append(data)
        self.flows.append(flow)

    def turn_over(self) -> None:
        self.turns.append([])
        self.came.set()

    def unreachable(self, head: bytes, destination: Address) -> None:
        self.lost.append((head, destination))

    @property
    def all(self) -> list[bytes]:
        return [data for turn in self.turns for data in turn]

    async def until(self, count: int) -> None:
        """Wait for so many."""
        while len(self.all) < count:
            self.came.clear()
            await self.came.wait()


@pytest.fixture
def phone() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


async def test_what_comes_closely_together_shares_turns_and_keeps_its_order(
    phone: socket.socket,
) -> None:
    turns, local = Turns(), ("127.0.0.1", free_port())
    server = turns.listen(local)
    sent = [b"%d" % n for n in range(MANY)]
    try:
        for data in sent:
            phone.sendto(data, local)
        async with asyncio.timeout(5):
            await turns.until(MANY)
    finally:
        server.close()
    assert turns.all == sent
    assert max(map(len, turns.turns)) == BURST  # others of the loop have their turn too
    assert len(turns.turns) < MANY // 10
    assert {id(flow) for flow in turns.flows} == {id(turns.flows[0])}
    assert turns.flows[0].remote == phone.getsockname()


async def test_single_datagrams_are_handled_at_once_also_after_a_busy_time(
    phone: socket.socket,
) -> None:
    turns, local = Turns(), ("127.0.0.1", free_port())
    server = turns.listen(local)
    try:
        for _ in range(3):
            for _ in range(BURST):
                phone.sendto(b"closely", local)
            async with asyncio.timeout(5):
                await turns.until(BURST)
            await asyncio.sleep(0.05)
            del turns.turns[:-1]
            for _ in range(2):
                phone.sendto(b"alone", local)
                async with asyncio.timeout(5):
                    await turns.until(1)
                assert turns.turns == [[b"alone"], []]
                turns.turns = [[]]
                await asyncio.sleep(0.05)
    finally:
        server.close()


async def test_an_error_of_something_sent_before_hides_no_datagram(phone: socket.socket) -> None:
    turns, local = Turns(), ("127.0.0.1", free_port())
    server, nobody = turns.listen(local), ("127.0.0.1", free_port())
    try:
        assert server.send(b"nobody there", nobody)
        for n in range(3):
            phone.sendto(b"%d" % n, local)
        async with asyncio.timeout(5):
            await turns.until(3)
    finally:
        server.close()
    assert turns.all == [b"0", b"1", b"2"]
    assert turns.lost == [(b"nobody there", nobody)]


ICMP, ICMPV6 = (2, socket.IPPROTO_IP), (3, socket.IPPROTO_IPV6)
"""Who says it: the origin in the kernel's note, and the level it comes at."""


@pytest.mark.rfc("TRP-12")
@pytest.mark.parametrize(
    ("origin", "kind", "code", "told"),
    [
        *((ICMP, 3, code, code != 4) for code in range(16)),  # 4: the kernel takes smaller pieces
        (ICMP, 12, 0, True),  # parameter problem
        (ICMP, 4, 0, False),  # source quench
        (ICMP, 11, 0, False),  # TTL exceeded
        (ICMP, 11, 1, False),
        *((ICMPV6, 1, code, True) for code in range(7)),
        (ICMPV6, 4, 1, True),  # parameter problem
        (ICMPV6, 2, 0, False),  # packet too big
        (ICMPV6, 3, 0, False),  # hop limit exceeded
        (ICMPV6, 3, 3, False),
        ((1, socket.IPPROTO_IP), 0, 0, False),  # this machine itself
        ((2, socket.SOL_SOCKET), 3, 3, False),  # another note
    ],
)
def test_only_errors_that_tell_a_datagrams_fate_for_good_are_told(
    origin: tuple[int, int], kind: int, code: int, told: bool
) -> None:
    """As the kernel packs them (`struct sock_extended_err`)."""
    number, level = origin
    note = struct.pack("=IBBBBII", 111, number, kind, code, 0, 0, 0)
    assert _says_unreachable(level, note) is told
    assert not _says_unreachable(level, note[:15])


async def test_nothing_is_read_after_closing(phone: socket.socket) -> None:
    turns, local = Turns(), ("127.0.0.1", free_port())
    server = turns.listen(local)
    for _ in range(2):
        phone.sendto(b"closely", local)
    async with asyncio.timeout(5):
        await turns.until(1)
    server.close()  # between two looks at the socket
    before = len(turns.all)
    await asyncio.sleep(0.05)
    assert len(turns.all) == before


async def test_a_turn_that_fails_does_not_make_the_server_deaf(phone: socket.socket) -> None:
    turns, local = Turns(), ("127.0.0.1", free_port())
    failures: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, what: failures.append(what.get("exception")))

    def turn_over() -> None:
        turns.turn_over()
        if len(turns.turns[-2]) > 1:  # gathered
            raise RuntimeError("a turn that fails")

    server = DatagramSocket(local, turns.receive, turn_over, turns.unreachable, loop)
    try:
        for count in (5, 10):
            for _ in range(5):
                phone.sendto(b"closely", local)
            async with asyncio.timeout(5):
                await turns.until(count)
    finally:
        server.close()
    assert failures
    assert all(isinstance(failure, RuntimeError) for failure in failures)


@pytest.mark.source
@pytest.mark.parametrize("asked", [4096, 1 << 30])
async def test_a_smaller_buffer_than_was_asked_for_is_said_with_what_to_do(
    asked: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sipcore.node.datagrams.RECEIVE_BUFFER_BYTES", asked)
    Turns().listen(("127.0.0.1", free_port())).close()
    told = [record.getMessage() for record in caplog.records]
    if asked == 4096:
        assert told == []
    else:
        [line] = told
        assert f"sysctl -w net.core.rmem_max={asked}" in line


@pytest.mark.source
async def test_what_the_kernel_dropped_is_counted(
    phone: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sipcore.node.datagrams.RECEIVE_BUFFER_BYTES", 4096)
    turns, local = Turns(), ("127.0.0.1", free_port())
    server = turns.listen(local)
    try:
        assert server.dropped == 0
        for _ in range(500):  # nobody reads meanwhile
            phone.sendto(b"flood" * 20, local)
        dropped = server.dropped
        assert dropped > 400
        async with asyncio.timeout(5):
            await turns.until(500 - dropped)
        await asyncio.sleep(0)
        assert len(turns.all) + server.dropped == 500
    finally:
        server.close()
