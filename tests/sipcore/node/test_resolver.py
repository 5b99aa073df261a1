"""The resolver against a real DNS server on the loopback, and against none and bad ones."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from time import process_time
from typing import cast

import pytest
import uvloop

from sipcore.locate import Answer, Naptr, Question, Srv
from sipcore.node.resolver import Resolver
from sipcore.transport.flow import Address
from tests.support.nsd import Nsd

pytestmark = pytest.mark.peers

FAR = """
@ 120 IN NAPTR 10 20 "s" "SIP+D2U" "" _sip._udp
@ 120 IN NAPTR 10 10 "S" "SIPS+D2T" "" _sips._tcp
_sip._udp 90 IN SRV 1 2 5062 One
_sip._udp 90 IN SRV 3 4 5064 two.far.example.
_sip._tcp IN SRV 0 0 0 .
one 30 IN A 192.0.2.1
one 30 IN A 192.0.2.2
one 40 IN AAAA 2001:db8::1
alias 20 IN CNAME other
other 50 IN CNAME one
loop IN CNAME pool
pool IN CNAME loop
below IN NS ns.elsewhere.example.
""" + "\n".join(
    f"_sip._udp.many 300 IN SRV {i} 0 {5000 + i} server{i}.with.a.long.name" for i in range(64)
)
HUGE = {"records": 600, "bytes": 4_000}
"""How many A records the hostile names have: too many, and more than is read at all."""
FAR += "".join(
    f"\n{name} 300 IN A 11.0.{i >> 8}.{i & 255}" for name, n in HUGE.items() for i in range(n)
)


@pytest.fixture(scope="module")
def dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nsd]:
    zones = {"far.example": FAR, "broken.example": ""}
    with Nsd(tmp_path_factory.mktemp("nsd"), zones, negative_ttl=45) as nsd:
        yield nsd


class Asked:
    """A resolver and its answers."""

    def __init__(self, *servers: Address, lifetime_s: float = 4.0, server_s: float = 0.3) -> None:
        self.answers: dict[Question, Answer] = {}
        self.came = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.resolver = Resolver(self._answered, servers, lifetime_s=lifetime_s, server_s=server_s)

    def _answered(self, question: Question, answer: Answer) -> None:
        assert question not in self.answers
        self.answers[question] = answer
        self.came.set()

    def ask(self, name: str, kind: str) -> None:
        self.resolver.ask((name, kind), self.loop)
        assert (name, kind) not in self.answers  # never from within

    async def answer(self, name: str, kind: str) -> Answer:
        self.ask(name, kind)
        return await self.awaited(name, kind)

    async def awaited(self, name: str, kind: str) -> Answer:
        async with asyncio.timeout(10):
            while (name, kind) not in self.answers:
                self.came.clear()
                await self.came.wait()
        return self.answers[name, kind]


@asynccontextmanager
async def asking(
    *servers: Address, lifetime_s: float = 4.0, server_s: float = 0.3
) -> AsyncIterator[Asked]:
    asked = Asked(*servers, lifetime_s=lifetime_s, server_s=server_s)
    try:
        yield asked
    finally:
        await asked.resolver.close()
        await asyncio.sleep(0)


@contextmanager
def silent_server() -> Iterator[Address]:
    """Takes every question and answers none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()


class Relay(asyncio.DatagramProtocol):
    """Hands questions on to a DNS server, those below `slow.example` never."""

    def __init__(self, server: Address) -> None:
        self._server = server
        self.truncated = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if b"\x04slow\x07example" not in data:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(2)
                sock.sendto(data, self._server)
                response = sock.recv(4096)
                self.truncated += bool(response[2] & 2)
                self._transport.sendto(response, addr)


@asynccontextmanager
async def relaying(server: Address) -> AsyncIterator[tuple[Address, Relay]]:
    loop = asyncio.get_running_loop()
    transport, relay = await loop.create_datagram_endpoint(
        lambda: Relay(server), local_addr=("127.0.0.1", 0)
    )
    try:
        yield transport.get_extra_info("sockname"), relay
    finally:
        transport.close()
        await asyncio.sleep(0)


@pytest.mark.rfc("LOC-13")
async def test_records_come_with_the_time_they_hold(dns: Nsd) -> None:
    async with asking(dns.address) as asked:
        naptr = await asked.answer("far.example", "NAPTR")
        srv = await asked.answer("_sip._udp.far.example", "SRV")
        ipv4 = await asked.answer("one.far.example", "A")
        ipv6 = await asked.answer("one.far.example", "AAAA")
    assert sorted(naptr.naptr) == [
        Naptr(10, 10, "S", "SIPS+D2T", "", "_sips._tcp.far.example"),
        Naptr(10, 20, "s", "SIP+D2U", "", "_sip._udp.far.example"),
    ]
    assert sorted(srv.srv) == [
        Srv(1, 2, 5062, "one.far.example"),
        Srv(3, 4, 5064, "two.far.example"),
    ]
    assert sorted(ipv4.addresses) == ["192.0.2.1", "192.0.2.2"]
    assert ipv6.addresses == ("2001:db8::1",)
    assert [a.ttl_s for a in (naptr, srv, ipv4, ipv6)] == [120, 90, 30, 40]
    assert not any(a.failed for a in (naptr, srv, ipv4, ipv6))


async def test_a_service_that_is_decidedly_not_there_has_no_target(dns: Nsd) -> None:
    async with asking(dns.address) as asked:
        answer = await asked.answer("_sip._tcp.far.example", "SRV")
    assert answer.srv == (Srv(0, 0, 0, ""),)


@pytest.mark.parametrize(
    ("name", "kind"), [("nobody.far.example", "A"), ("one.far.example", "SRV")]
)
async def test_that_there_is_nothing_holds_for_as_long_as_the_zone_says(
    dns: Nsd, name: str, kind: str
) -> None:
    async with asking(dns.address) as asked:
        answer = await asked.answer(name, kind)
    assert (answer.is_empty, answer.failed, answer.ttl_s) == (True, False, 45)


async def test_aliases_are_followed_and_the_shortest_time_counts(dns: Nsd) -> None:
    async with asking(dns.address) as asked:
        answer = await asked.answer("alias.far.example", "A")
    assert sorted(answer.addresses) == ["192.0.2.1", "192.0.2.2"]
    assert answer.ttl_s == 20


async def test_an_alias_of_itself_ends(dns: Nsd) -> None:
    async with asking(dns.address) as asked:
        answer = await asked.answer("loop.far.example", "A")
    assert answer.is_empty


async def test_an_answer_too_large_for_a_datagram_is_fetched_by_tcp(dns: Nsd) -> None:
    async with asking(dns.address) as asked:
        answer = await asked.answer("_sip._udp.many.far.example", "SRV")
    assert len(answer.srv) == 64
    async with relaying(dns.address) as (relayed, relay), asking(relayed, lifetime_s=1) as asked:
        failed = await asked.answer("_sip._udp.many.far.example", "SRV")  # takes no connections
    assert relay.truncated
    assert failed.failed


@pytest.mark.parametrize("name", HUGE)
async def test_what_nobody_needs_to_know_takes_nobodys_time(dns: Nsd, name: str) -> None:
    async with asking(dns.address) as asked:
        await asked.answer("_sip._udp.many.far.example", "SRV")
        begun = process_time()
        answer = await asked.answer(f"{name}.far.example", "A")
        spent = process_time() - begun
    assert answer.failed
    assert spent < 0.1  # it was up to 0.3 s, in which nobody is served


async def test_servfail_is_known_at_once_to_be_no_answer(dns: Nsd) -> None:
    async with asking(dns.address) as asked, asyncio.timeout(2):
        answer = await asked.answer("x.broken.example", "A")
    assert answer.failed


@pytest.mark.parametrize("name", ["x.elsewhere.example", "x.below.far.example"])
async def test_a_lame_server_says_nothing(dns: Nsd, name: str) -> None:
    async with asking(dns.address) as asked, asyncio.timeout(2):
        answer = await asked.answer(name, "A")  # REFUSED; "ask those"
    assert answer.failed
    assert answer.is_empty


async def test_a_silent_server_costs_a_bounded_time() -> None:
    loop = asyncio.get_running_loop()
    with silent_server() as server:
        async with asking(server, lifetime_s=0.6) as asked:
            await asked.answer("warm.example", "A")  # the library is loaded now
            begun = loop.time()
            answer = await asked.answer("one.far.example", "A")
            assert loop.time() - begun < 2
    assert answer.failed


async def test_the_next_server_is_asked_where_the_first_is_silent(dns: Nsd) -> None:
    with silent_server() as server:
        async with asking(server, dns.address) as asked:
            answer = await asked.answer("one.far.example", "AAAA")
    assert answer.addresses == ("2001:db8::1",)


async def test_the_next_server_is_asked_where_the_first_is_broken(dns: Nsd, tmp_path: Path) -> None:
    with Nsd(tmp_path, {"far.example": ""}) as broken:
        async with asking(broken.address, dns.address) as asked:
            answer = await asked.answer("one.far.example", "AAAA")
    assert answer.addresses == ("2001:db8::1",)


@pytest.mark.parametrize(
    "name", ["a..b.example", "x" * 64 + ".example", "é.example", ".".join(["abcdefgh"] * 40)]
)
async def test_a_name_that_cannot_be_is_not_asked_for(dns: Nsd, name: str) -> None:
    async with asking(dns.address) as asked:
        answer = await asked.answer(name, "A")
    assert answer.is_empty


async def test_a_resolver_that_is_closed_leaves_nothing_behind() -> None:
    with silent_server() as server:
        async with asking(server) as asked:
            asked.ask("one.far.example", "A")
            await asyncio.sleep(0)
            await asked.resolver.close()
            await asyncio.sleep(0.05)
            assert len(asked.resolver) == 0


@pytest.mark.parametrize("turns", range(8))
def test_a_loop_is_closed_whatever_was_being_made_when_nobody_asks_any_more(turns: int) -> None:
    """uvloop loses the socket of who is cancelled while it is made, and then waits for it for ever."""

    async def ask_and_go() -> None:
        loop = asyncio.get_running_loop()
        resolver = Resolver(lambda question, answer: None, [server])
        await resolver._ready()
        for i in range(20):
            resolver.ask((f"n{i}.far{i}.example", "A"), loop)
        for _ in range(turns):
            await asyncio.sleep(0)
        await resolver.close()
        assert len(resolver) == 0

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(ask_and_go())

    with silent_server() as server:
        running = threading.Thread(target=run, daemon=True)
        running.start()
        running.join(10)
        assert not running.is_alive()


async def test_localhost_is_the_loopback_and_no_server_is_asked(dns: Nsd) -> None:
    asked = Asked(dns.address)
    for name in ("localhost", "a.localhost"):
        assert (await asked.answer(name, "A")).addresses == ("127.0.0.1",)
        assert (await asked.answer(name, "AAAA")).addresses == ("::1",)
        assert (await asked.answer(name, "NAPTR")).naptr == ()
    assert len(asked.resolver) == 0
