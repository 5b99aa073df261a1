"""A node on real sockets whose user's contact is a name: DNS, dead servers, ICMP, large requests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest
import uvloop

from sipcore.apps.config import Listener, WorkerConfig
from sipcore.bindings import Binding, BindingTable
from sipcore.campus import CampusService
from sipcore.directory import NumberLookup, Part
from sipcore.locate import Candidate
from sipcore.message import Request, Response, parse_auth_params, parse_message
from sipcore.node.journal import Journal
from sipcore.node.server import Node
from sipcore.node.spool import Spool
from sipcore.node.worker import Worker
from sipcore.transport.flow import Address
from tests.sipcore.node.test_server import NoStore
from tests.sipcore.simulation.world import DOMAIN, KEY, ha1, make_directory, secret_of
from tests.support.certificates import Pair, self_signed, signed
from tests.support.nsd import Nsd
from tests.support.ports import free_port, has_ipv6

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
TAG = iter(range(1, 1_000_000))
AUTHORITY = self_signed()

Test = Callable[[], Coroutine[Any, Any, None]]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Test], None]:
    """On the loop of tests, and on the one that nodes run on: they treat errors differently."""

    def runner(test: Test) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as loop:
            loop.run(asyncio.wait_for(test(), 30))

    return runner


class Peer:
    """A SIP user agent's UDP socket."""

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.socket.setblocking(False)
        self.address: Address = self.socket.getsockname()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *args: object) -> None:
        self.socket.close()

    def send(self, data: bytes, to: Address) -> None:
        self.socket.sendto(data, to)

    async def read(self, seconds: float = 5.0) -> tuple[bytes, Address]:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    return self.socket.recvfrom(65_536)
                except BlockingIOError:
                    await asyncio.sleep(0.005)

    async def receive(self, seconds: float = 5.0) -> tuple[Request | Response, Address]:
        data, source = await self.read(seconds)
        return parse_message(data), source

    async def answer(self, status: int = 200) -> Request:
        """Take a request and answer it."""
        request, source = await self.receive()
        assert isinstance(request, Request)
        self.send(request.respond(status, to_tag="peer").to_bytes(), source)
        return request

    async def final(self) -> Response:
        while True:
            response, _ = await self.receive()
            if isinstance(response, Response) and response.status >= 200:
                return response


def message(
    source: str, *, transport: str = "UDP", method: str = "MESSAGE", body: bytes = b"hello"
) -> Request:
    number = next(TAG)
    return Request.build(
        method,
        f"sip:anna@{DOMAIN}",
        [
            ("Via", f"SIP/2.0/{transport} {source};branch=z9hG4bK{number}"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:zoe@elsewhere.example>;tag={number}"),
            ("To", f"<sip:anna@{DOMAIN}>"),
            ("Call-ID", f"call-{number}"),
            ("CSeq", f"1 {method}"),
        ],
        body,
    )


def port_of(address: Address) -> str:
    return f"127.0.0.1:{address[1]}"


class Serving:
    """A node for Anna, whose phone is at `contact`."""

    def __init__(
        self,
        folder: Path,
        contact: str,
        dns: Sequence[Address] = (),
        hosts: Sequence[str] = ("127.0.0.1",),
        parts: Sequence[Part[Any, Any]] = (),
        **more: Any,
    ) -> None:
        self.address = ("127.0.0.1", free_port())
        local = [(host, self.address[1]) for host in hosts]
        listeners = tuple(Listener(kind, at, at) for at in local for kind in ("UDP", "TCP"))
        secure = ("127.0.0.1", free_port())
        listeners += (Listener("TLS", secure, secure),)
        signed(AUTHORITY, f"sip:{DOMAIN}").write(folder / "tls" / "own.pem")
        (folder / "tls" / "trusted").mkdir(parents=True)
        (folder / "tls" / "trusted" / "authority.pem").write_bytes(AUTHORITY.public_pem)
        config = WorkerConfig(
            node="n1",
            cluster_keys=(KEY,),
            listeners=listeners,
            tls_folder=str(folder / "tls"),
            **more,
        )
        table = BindingTable()
        table.replace(1, 1, [Binding(1, contact, contact, "id", 1, 4e9)])
        directory = make_directory(["anna"]).with_parts(1, parts)
        self.worker = Worker(config, directory, table, Random(1), CampusService)
        self.node = Node(
            self.worker,
            writer=NoStore(),
            spool=Spool(folder / "spool", str(next(TAG))),
            journal=Journal(folder / "journal.jsonl"),
            dns_servers=dns,
        )

    async def __aenter__(self) -> Serving:
        await self.node.start()
        return self

    async def __aexit__(self, *args: object) -> None:
        await self.node.stop()
        await asyncio.sleep(0)


# --- ICMP -------------------------------------------------------------------------------------------
@pytest.mark.rfc("TRP-12")
def test_a_phone_that_is_gone_is_known_to_be_at_once(
    tmp_path: Path, run: Callable[[Test], None]
) -> None:
    async def test() -> None:
        gone = ("127.0.0.1", free_port())
        async with Serving(tmp_path, f"sip:anna@127.0.0.1:{gone[1]}") as serving:
            with Peer() as caller:
                for _ in range(3):
                    caller.send(message(port_of(caller.address)).to_bytes(), serving.address)
                    response = await caller.final()  # not after 32 seconds
                    assert response.status == 500
                with Peer(gone[1]) as back:
                    caller.send(message(port_of(caller.address)).to_bytes(), serving.address)
                    await back.answer()
                    assert (await caller.final()).status == 200

    run(test)


# --- names --------------------------------------------------------------------------------------------
@pytest.fixture
def ports() -> list[int]:
    return [free_port(), free_port()]


@pytest.fixture
def dns(tmp_path: Path, ports: list[int]) -> Iterator[Nsd]:
    dead, alive = ports
    many = "\n".join(
        f"_sip._udp.many IN SRV {i} 0 {dead if i < 4 else alive} server{i}.with.quite.a.long.name\n"
        f"server{i}.with.quite.a.long.name IN A 127.0.0.1"
        for i in range(64)
    )
    zone = f"""
_sip._udp IN SRV 1 0 {dead} one
_sip._udp IN SRV 2 0 {alive} two
one IN A 127.0.0.1
two IN CNAME one
both IN A 127.0.0.1
both IN AAAA ::1
_sips._tcp.secure IN SRV 1 0 {dead} one
_sips._tcp.secure IN SRV 2 0 {alive} two
_sip._tcp.back IN SRV 1 0 {dead} one
_sip._tcp.back IN SRV 2 0 {alive} two
_sip._udp.two IN SRV 1 0 {alive} two
7.6.5.4.3.2.1.8.6.4 IN NAPTR 10 10 "u" "E2U+email" "!^.*$!mailto:x@far.example!" .
7.6.5.4.3.2.1.8.6.4 IN NAPTR 20 10 "u" "E2U+sip" "!^\\\\+46(.*)$!sip:0\\\\1@two.far.example!" .
{many}
"""
    with Nsd(tmp_path / "nsd", {"far.example": zone, "broken.example": ""}) as nsd:
        yield nsd


@pytest.mark.peers
@pytest.mark.rfc("LOC-03", "LOC-06", "LOC-07", "PRX-18")
@pytest.mark.parametrize("name", ["far.example", "many.far.example"])
def test_a_call_finds_the_server_that_lives(
    tmp_path: Path, dns: Nsd, ports: list[int], name: str, run: Callable[[Test], None]
) -> None:
    async def test() -> None:
        async with Serving(tmp_path, f"sip:anna@{name}", [dns.address]) as serving:
            with Peer() as caller, Peer(ports[1]) as alive:
                for _ in range(2):
                    caller.send(message(port_of(caller.address)).to_bytes(), serving.address)
                    request = await alive.answer()
                    assert request.uri_text == f"sip:anna@{name}"
                    assert (await caller.final()).status == 200

    run(test)


@pytest.mark.peers
@pytest.mark.rfc("LOC-11")
@pytest.mark.skipif(not has_ipv6(), reason="needs the IPv6 loopback")
def test_a_host_of_both_families_is_reached_by_either(
    tmp_path: Path, dns: Nsd, ports: list[int], run: Callable[[Test], None]
) -> None:
    contact = f"sip:anna@both.far.example:{ports[1]}"

    async def ask(serving: Serving, caller: Peer, peer: Peer) -> None:
        caller.send(message(port_of(caller.address)).to_bytes(), serving.address)
        await peer.answer()
        assert (await caller.final()).status == 200

    async def test() -> None:
        with Peer() as caller, Peer(ports[1]) as four, Peer(ports[1], "::1") as six:
            async with Serving(tmp_path, contact, [dns.address], ["127.0.0.1", "::1"]) as dual:
                await ask(dual, caller, six)  # the better one (RFC 6724)
                six.socket.close()
                await ask(dual, caller, four)  # the other, when that is gone
        with Peer() as caller, Peer(ports[1]) as four, Peer(ports[1], "::1"):
            async with Serving(tmp_path / "4", contact, [dns.address]) as single:
                await ask(single, caller, four)  # all that it speaks

    run(test)


@pytest.mark.peers
@pytest.mark.rfc("LOC-13")
def test_a_number_is_found_by_enum(
    tmp_path: Path, dns: Nsd, ports: list[int], run: Callable[[Test], None]
) -> None:
    """Asked by one of us: she answers the challenge herself."""

    async def test() -> None:
        anna = f"sip:anna@{DOMAIN}"
        async with Serving(tmp_path, anna, [dns.address], parts=[NumberLookup(["far.example"])]) as serving:
            with Peer() as caller, Peer(ports[1]) as alive:
                asked = message(port_of(caller.address))
                asked.uri_text = "tel:+46-8-1234567"
                asked.set("From", f"<{anna}>;tag=1")
                caller.send(asked.to_bytes(), serving.address)
                challenge = await caller.final()
                assert challenge.status == 407
                asked.append("Proxy-Authorization", answer_to(challenge, "MESSAGE", asked.uri_text))
                asked.set("Via", f"{asked.first('via')}x")
                caller.send(asked.to_bytes(), serving.address)
                request = await alive.answer()
                assert request.uri_text == "sip:081234567@two.far.example"
                assert (await caller.final()).status == 200

    run(test)


def answer_to(challenge: Response, method: str, uri: str) -> str:
    """anna's credentials for the first challenge."""
    asked = parse_auth_params(challenge.rows("proxy-authenticate")[0])
    key = ha1("SHA-256", "anna", secret_of("anna")).decode()
    a2 = sha256(f"{method}:{uri}".encode()).hexdigest()
    proof = sha256(f"{key}:{asked['nonce']}:00000001:c:auth:{a2}".encode()).hexdigest()
    return (
        f'Digest username="anna", realm="{asked["realm"]}", nonce="{asked["nonce"]}", uri="{uri}", '
        f'response="{proof}", algorithm=SHA-256, qop=auth, nc=00000001, cnonce="c"'
    )


@contextlib.asynccontextmanager
async def tls_server(file: Path, certificate: Pair, port: int) -> AsyncIterator[list[Request]]:
    """A server that says 200 to everything; what came there."""
    came: list[Request] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            request = _request(await reader.readuntil(b"\r\n\r\n") + await reader.readexactly(5))
            came.append(request)
            writer.write(request.respond(200, to_tag="far").to_bytes())
            await writer.drain()
            await reader.read()
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate.write(file))
    async with await asyncio.start_server(accept, "127.0.0.1", port, ssl=context):
        yield came


@pytest.mark.peers
@pytest.mark.rfc("LOC-12", "SEC-06")
@pytest.mark.parametrize(
    ("named", "believed"), [("sip:secure.far.example", True), ("one.far.example", False)]
)
def test_a_server_must_prove_to_be_the_domain_and_not_the_host_that_the_dns_named(
    tmp_path: Path,
    dns: Nsd,
    ports: list[int],
    named: str,
    believed: bool,
    run: Callable[[Test], None],
) -> None:
    """The first server's own name is one.far.example; the second has the domain's certificate."""

    async def test() -> None:
        second = signed(AUTHORITY, "sip:secure.far.example")
        contact = "sip:anna@secure.far.example;transport=tls"
        async with (
            tls_server(tmp_path / "one.pem", signed(AUTHORITY, named), ports[0]) as at_one,
            tls_server(tmp_path / "two.pem", second, ports[1]) as at_two,
            Serving(tmp_path, contact, [dns.address]) as serving,
        ):
            with Peer() as caller:
                caller.send(message(port_of(caller.address)).to_bytes(), serving.address)
                assert (await caller.final()).status == 200
        assert (len(at_one), len(at_two)) == ((1, 0) if believed else (0, 1))
        assert (at_one + at_two)[0].via.transport == "TLS"

    run(test)


@pytest.mark.peers
@pytest.mark.parametrize(
    "name", ["nobody.far.example", "broken.example", "lame.example", "x.invalid"]
)
def test_a_name_that_leads_nowhere_is_refused_at_once(
    tmp_path: Path, dns: Nsd, name: str, run: Callable[[Test], None]
) -> None:
    async def test() -> None:
        async with Serving(tmp_path, f"sip:anna@{name}", [dns.address]) as serving:
            with Peer() as caller:
                caller.send(message(port_of(caller.address)).to_bytes(), serving.address)
                assert (await caller.final()).status == 480

    run(test)


def test_a_dns_server_that_never_answers_delays_nobody_else(
    tmp_path: Path, run: Callable[[Test], None]
) -> None:
    async def test() -> None:
        with Peer() as dns, Peer() as caller:
            async with Serving(tmp_path, "sip:anna@far.example", [dns.address]) as serving:
                for _ in range(30):
                    caller.send(message(port_of(caller.address)).to_bytes(), serving.address)
                options = message(port_of(caller.address), method="OPTIONS")
                options.uri_text = f"sip:{DOMAIN}"
                caller.send(options.to_bytes(), serving.address)
                response, _ = await caller.receive(2)
                assert response.cseq_method == "OPTIONS"
                assert len(serving.worker.next_hops.locator) == 30

    run(test)


# --- large requests -------------------------------------------------------------------------------
@pytest.mark.rfc("TRP-02")
def test_a_large_request_tries_tcp_first(tmp_path: Path, run: Callable[[Test], None]) -> None:
    async def test() -> None:
        port = free_port()
        came: list[bytes] = []

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.append(await reader.readuntil(b"z" * 1400))
            response = _request(came[-1]).respond(200, to_tag="t")
            writer.write(response.to_bytes())
            await writer.drain()
            writer.close()

        large = b"z" * 1400
        async with Serving(tmp_path, f"sip:anna@127.0.0.1:{port}") as serving:
            with Peer() as caller, Peer(port) as phone:
                caller.send(
                    message(port_of(caller.address), body=large).to_bytes(), serving.address
                )
                request = await phone.answer()  # nobody takes connections: by UDP after all
                assert request.body == large
                assert request.via.transport == "UDP"
                assert (await caller.final()).status == 200
                again = message(port_of(caller.address), body=large)
                refused = Candidate("TCP", "127.0.0.1", port, "")
                serving.worker.next_hops.locator.dead.answered(refused)  # two minutes later
                async with await asyncio.start_server(accept, "127.0.0.1", port):
                    caller.send(again.to_bytes(), serving.address)
                    assert (await caller.final()).status == 200
                assert _request(came[0]).via.transport == "TCP"
                caller.send(message(port_of(caller.address)).to_bytes(), serving.address)
                assert (await phone.answer()).via.transport == "UDP"
                assert (await caller.final()).status == 200

    run(test)


def _request(data: bytes) -> Request:
    parsed = parse_message(data)
    assert isinstance(parsed, Request)
    return parsed


# --- responses --------------------------------------------------------------------------------------
@pytest.mark.peers
@pytest.mark.rfc("LOC-10", "TRP-06")
@pytest.mark.parametrize("sent_by", ["127.0.0.1:{alive}", "two.far.example:{alive}"])
def test_a_response_whose_connection_is_gone_finds_another_way(
    tmp_path: Path, dns: Nsd, ports: list[int], sent_by: str, run: Callable[[Test], None]
) -> None:
    async def test() -> None:
        came: asyncio.Queue[bytes] = asyncio.Queue()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.put_nowait(await reader.readuntil(b"\r\n\r\n"))
            writer.close()

        with Peer() as phone:
            contact = f"sip:anna@127.0.0.1:{phone.address[1]}"
            async with Serving(tmp_path, contact, [dns.address]) as serving:
                async with await asyncio.start_server(accept, "127.0.0.1", ports[1]):
                    _, writer = await asyncio.open_connection(*serving.address)
                    sender = sent_by.format(alive=ports[1])
                    writer.write(message(sender, transport="TCP").to_bytes())
                    request, source = await phone.receive()
                    writer.close()
                    await writer.wait_closed()
                    await asyncio.sleep(0.05)
                    assert isinstance(request, Request)
                    phone.send(request.respond(200, to_tag="t").to_bytes(), source)
                    async with asyncio.timeout(5):
                        data = await came.get()
                assert data.startswith(b"SIP/2.0 200 ")

    run(test)
