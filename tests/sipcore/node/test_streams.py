"""Connections on real sockets: what they may cost, and whose they are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from sipcore.apps.config import Listener, StreamLimits
from sipcore.eventlog import Counter
from sipcore.node.streams import StreamSet, source_of
from sipcore.transport.flow import Flow
from sipcore.transport.reach import Reach
from tests.support.ports import free_port, own_address

MESSAGE = b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n"
QUICK = StreamLimits(message_s=0.2, idle_s=1.0, sweep_s=0.05, connections_per_source=3)
PATIENCE_S = 5.0


class Served:
    """A set that listens, and what came out of it."""

    def __init__(self, limits: StreamLimits) -> None:
        self.messages: list[tuple[bytes, Flow]] = []
        self.failures: list[bytes] = []
        self.counted: list[Counter] = []
        self.port = free_port()
        self.local = ("127.0.0.1", self.port)
        self.streams = StreamSet(
            lambda data, flow: self.messages.append((data, flow)),
            self.failures.append,
            limits,
            count=self.counted.append,
        )

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.local)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not true():  # noqa: ASYNC110 (what is waited for knows no events)
                await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(limits: StreamLimits = QUICK) -> AsyncIterator[Served]:
    served = Served(limits)
    loop = asyncio.get_running_loop()
    await served.streams.listen(Listener("TCP", served.local, served.local), loop)
    try:
        yield served
    finally:
        await served.streams.close()
        await asyncio.sleep(0)


async def closed_after(reader: asyncio.StreamReader) -> float:
    """Seconds until the other side ends the connection."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with asyncio.timeout(PATIENCE_S):
        try:
            while await reader.read(65536):
                pass
        except ConnectionResetError:
            pass
    return loop.time() - begun


async def test_who_says_nothing_is_not_waited_for_long() -> None:
    async with serving() as served:
        reader, writer = await served.connect()
        assert await closed_after(reader) < QUICK.idle_s
        assert len(served.streams) == 0
        writer.close()


@pytest.mark.parametrize("start", [b"OPTIONS sip:x SIP/2.0\r\n", MESSAGE + b"OPTIONS"])
async def test_a_message_that_never_ends_ends_its_connection(start: bytes) -> None:
    async with serving() as served:
        reader, writer = await served.connect()
        writer.write(start)

        async def drip() -> None:
            while True:
                await asyncio.sleep(0.02)
                writer.write(b"x")

        dripping = asyncio.create_task(drip())
        assert await closed_after(reader) < QUICK.idle_s
        dripping.cancel()
        writer.close()


async def test_a_phone_may_be_silent_for_as_long_as_it_is_registered() -> None:
    async with serving() as served:
        reader, writer = await served.connect()
        writer.write(MESSAGE + b"\r\n")  # half a ping is no message begun
        assert QUICK.idle_s * 0.8 < await closed_after(reader) < QUICK.idle_s * 3
        writer.close()


@pytest.mark.parametrize("alive", [b"\r\n\r\n", b"\r\n", MESSAGE])
async def test_keep_alives_keep_it(alive: bytes) -> None:
    async with serving() as served:
        reader, writer = await served.connect()
        for _ in range(16):
            writer.write(alive)
            await asyncio.sleep(0.1)
        assert len(served.streams) == 1
        assert not reader.at_eof()
        writer.close()


async def test_one_source_has_its_share_and_gets_it_back() -> None:
    async with serving() as served:
        held = [await served.connect() for _ in range(3)]
        for _, writer in held:
            writer.write(MESSAGE)
        await served.until(lambda: len(served.messages) == 3)
        reader, fourth = await served.connect()
        assert await closed_after(reader) < QUICK.message_s
        assert served.counted == [Counter.CONNECTION_REFUSED]
        held[0][1].close()
        await served.until(lambda: len(served.streams) == 2)
        _, fifth = await served.connect()
        fifth.write(MESSAGE)
        await served.until(lambda: len(served.messages) == 4)
        for _, writer in (*held, (None, fourth), (None, fifth)):
            writer.close()


async def test_all_connections_together_are_bounded() -> None:
    limits = replace(QUICK, connections=2, message_s=60.0, idle_s=60.0)
    async with serving(limits) as served:
        held = [await served.connect() for _ in range(2)]
        await served.until(lambda: len(served.streams) == 2)
        reader, third = await served.connect()
        await closed_after(reader)
        third.close()
        # Nor do we open one ourselves; what was to go by it has failed.
        far = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        flow = Flow("TCP", served.local, far.sockets[0].getsockname())
        served.streams.send(flow, MESSAGE, asyncio.get_running_loop())
        await served.until(lambda: served.failures == [MESSAGE])
        far.close()
        assert len(served.streams) == 2
        held[0][1].close()
        await served.until(lambda: len(served.streams) == 1)
        _, fourth = await served.connect()
        fourth.write(MESSAGE)
        await served.until(lambda: len(served.messages) == 1)
        for writer in (held[1][1], fourth):
            writer.close()


async def test_who_pings_and_never_reads_fills_no_memory() -> None:
    limits = StreamLimits(waiting_bytes=100_000)
    async with serving(limits) as served:
        reader, writer = await asyncio.open_connection(*served.local, limit=1)
        await served.until(lambda: len(served.streams) == 1)

        async def ping() -> None:
            while True:
                writer.write(b"\r\n\r\n" * 100_000)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await asyncio.wait_for(ping(), 60)
        await served.until(lambda: len(served.streams) == 0)
        assert reader is not None


async def test_a_number_of_an_earlier_life_is_nobodys_connection() -> None:
    async with serving() as served:
        reader, writer = await served.connect()
        writer.write(MESSAGE)
        await served.until(lambda: len(served.messages) == 1)
        flow = served.messages[0][1]
        loop = asyncio.get_running_loop()
        stale = flow._replace(remote=("127.0.0.1", flow.remote[1] ^ 1))
        served.streams.send(stale, b"not for you", loop)
        served.streams.send(flow, b"for you", loop)
        assert await reader.readexactly(7) == b"for you"
        await served.until(lambda: served.failures == [b"not for you"])
        writer.close()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8:0:0:ffff::2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
    ],
)
def test_a_source_is_an_address_or_a_network(one: str, other: str, same: bool) -> None:
    assert (source_of(one) == source_of(other)) is same


async def test_who_is_idle_hears_of_us() -> None:
    limits = replace(QUICK, idle_s=60.0, keep_alive_s=0.2)
    async with serving(limits) as served:
        reader, writer = await served.connect()
        writer.write(MESSAGE)
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.readexactly(4) == b"\r\n\r\n"  # two of them
        assert served.failures == []
        writer.close()


async def test_the_end_of_a_connection_is_told() -> None:
    lost: list[Flow] = []
    port = free_port()
    local = ("127.0.0.1", port)
    messages: list[Flow] = []
    streams = StreamSet(
        lambda data, flow: messages.append(flow), lambda data: None, QUICK, on_lost=lost.append
    )
    await streams.listen(Listener("TCP", local, local), asyncio.get_running_loop())
    _, writer = await asyncio.open_connection(*local)
    writer.write(MESSAGE)
    async with asyncio.timeout(PATIENCE_S):
        while not messages:  # noqa: ASYNC110 (what is waited for knows no events)
            await asyncio.sleep(0.01)
        writer.close()
        while not lost:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert lost == messages
    await streams.close()


async def test_a_caller_names_no_server_of_our_own_house() -> None:
    """Somebody calls `sip:x@127.0.0.1:6379;transport=tcp`, with commands in the body."""
    async with serving() as served:
        loop = asyncio.get_running_loop()
        came: list[str] = []

        async def cache(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.append((await reader.readline()).decode())
            writer.close()

        inner = await asyncio.start_server(cache, "127.0.0.1", 0)
        remote = inner.sockets[0].getsockname()
        data = b"INVITE sip:x@127.0.0.1 SIP/2.0\r\n\r\n"
        served.streams.send(Flow("TCP", ("198.51.100.1", 5060), remote), data, loop)
        await served.until(lambda: served.failures == [data])
        # Who listens on the loopback is there for this machine, and may.
        served.streams.send(Flow("TCP", served.local, remote), data, loop)
        await served.until(lambda: len(came) == 1)
        inner.close()


@pytest.mark.skipif(not own_address(), reason="this machine has no address but the loopback")
async def test_under_a_wildcard_address_it_is_no_server_of_our_own_house_either() -> None:
    address, loop = own_address(), asyncio.get_running_loop()
    local = ("0.0.0.0", free_port())  # noqa: S104
    failures: list[bytes] = []
    came: list[bytes] = []

    async def cache(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(await reader.read())
        writer.close()

    inner = await asyncio.start_server(cache, address, 0)
    messages: list[bytes] = []
    streams = StreamSet(
        lambda data, flow: messages.append(data),
        failures.append,
        QUICK,
        reach=Reach([f"{address}/32"]),
    )
    await streams.listen(Listener("TCP", local, local), loop)
    async with asyncio.timeout(PATIENCE_S):
        streams.send(Flow("TCP", local, inner.sockets[0].getsockname()), MESSAGE, loop)
        while not (failures and came):  # noqa: ASYNC110 (what is waited for knows no events)
            await asyncio.sleep(0.01)
        assert (failures, came) == ([MESSAGE], [b""])
        # Our own listener is no other server.
        streams.send(Flow("TCP", local, (address, local[1])), MESSAGE, loop)
        while not messages:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    inner.close()
    await streams.close()


@pytest.mark.skipif(not own_address(), reason="this machine has no address but the loopback")
async def test_a_connection_into_a_network_that_is_open_no_more_ends() -> None:
    """What peers have opened stays, and is answered on."""
    address, loop = own_address(), asyncio.get_running_loop()
    local = ("0.0.0.0", free_port())  # noqa: S104
    failures: list[bytes] = []
    messages: list[Flow] = []
    streams = StreamSet(
        lambda data, flow: messages.append(flow),
        failures.append,
        QUICK,
        reach=Reach([f"{address}/32"]),
    )
    await streams.listen(Listener("TCP", local, local), loop)
    own = Flow("TCP", local, (address, local[1]))
    reader, writer = await asyncio.open_connection(address, local[1])
    async with asyncio.timeout(PATIENCE_S):
        writer.write(MESSAGE)
        streams.send(own, MESSAGE, loop)
        while len(messages) < 2:  # noqa: ASYNC110 (what is waited for knows no events)
            await asyncio.sleep(0.01)
        assert len(streams) == 3
        streams.set_reach(Reach())
        while len(streams) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        streams.send(own, MESSAGE, loop)
        while not failures:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        [theirs] = [flow for flow in messages if flow.remote == writer.get_extra_info("sockname")]
        streams.send(theirs, MESSAGE, loop)
        assert await reader.readexactly(len(MESSAGE)) == MESSAGE
    assert failures == [MESSAGE]
    writer.close()
    await streams.close()
