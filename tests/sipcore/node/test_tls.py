"""TLS connections on real sockets: who is shown what, who is believed, and what it may cost."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from sipcore.apps.config import Listener, StreamLimits
from sipcore.eventlog import Counter
from sipcore.node.streams import StreamSet
from sipcore.node.tls import Certificates
from sipcore.transport.flow import Address, Flow
from tests.support.certificates import Pair, self_signed, signed
from tests.support.ports import free_port, has_ipv6

MESSAGE = b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n"
PATIENCE_S = 5.0
AUTHORITY = self_signed()
STRANGE_AUTHORITY = self_signed("Somebody Else")
HOSTS = ["127.0.0.1", *(["::1"] if has_ipv6() else [])]


class Side:
    """A set of connections with certificates of its own, and what came out of it."""

    def __init__(self, folder: Path, host: str = "127.0.0.1", limits: StreamLimits | None = None):
        self.folder = folder
        self.messages: list[tuple[bytes, Flow]] = []
        self.failures: list[bytes] = []
        self.peers: dict[int, tuple[str, ...]] = {}
        self.counted: list[Counter] = []
        self.local: Address = (host, free_port())
        self.certificates = Certificates(folder)
        self.loop = asyncio.get_running_loop()
        self.streams = StreamSet(
            lambda data, flow: self.messages.append((data, flow)),
            self.failures.append,
            limits or StreamLimits(sweep_s=0.05),
            certificates=self.certificates,
            on_peer=self._know,
            count=self.counted.append,
        )

    def _know(self, flow: Flow, identities: tuple[str, ...]) -> None:
        self.peers[flow.connection] = identities

    def send(self, to: Address, domain: str, data: bytes = MESSAGE) -> None:
        """As the proxy does it: to a server that must prove to be of this domain."""
        self.streams.send(Flow("TLS", self.local, to, 0, domain), data, self.loop)

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not true():  # noqa: ASYNC110 (what is waited for knows no events)
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def side(
    folder: Path,
    *pairs: Pair,
    host: str = "127.0.0.1",
    limits: StreamLimits | None = None,
    trusted: Pair | None = AUTHORITY,
) -> AsyncIterator[Side]:
    """One that listens with these certificates and trusts this authority's."""
    for number, pair in enumerate(pairs):
        pair.write(folder / f"{number}.pem")
    if trusted is not None:
        (folder / "trusted").mkdir(parents=True)
        (folder / "trusted" / "authority.pem").write_bytes(trusted.public_pem)
    made = Side(folder, host, limits)
    await made.streams.listen(Listener("TLS", made.local, made.local), made.loop)
    try:
        yield made
    finally:
        await made.streams.close()
        await asyncio.sleep(0)


def client_context(certificate: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=AUTHORITY.public_pem.decode())
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context


async def connect(
    server: Side, name: str = "campus.example", context: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(
        *server.local, ssl=context or client_context(), server_hostname=name
    )


def campus(*more: str) -> Pair:
    """What our server shows: for phones a DNS name, for SIP's rules a URI."""
    return signed(AUTHORITY, "sip:campus.example", "campus.example", *more)


# --- as a server ---------------------------------------------------------------------------
@pytest.mark.rfc("TRP-01", "SEC-06")
@pytest.mark.parametrize("host", HOSTS)
async def test_messages_and_keep_alives_pass_both_ways(tmp_path: Path, host: str) -> None:
    async with side(tmp_path, campus(), host=host) as server:
        reader, writer = await connect(server)
        writer.write(b"\r\n\r\n" + MESSAGE[:20])
        assert await reader.readexactly(2) == b"\r\n"
        writer.write(MESSAGE[20:] + MESSAGE)
        await server.until(lambda: len(server.messages) == 2)
        data, flow = server.messages[0]
        assert (data, flow.transport, flow.secure) == (MESSAGE, "TLS", True)
        big = b"x" * 300_000
        server.streams.send(flow, big, server.loop)
        assert await reader.readexactly(len(big)) == big
        writer.close()
        await server.until(lambda: len(server.streams) == 0)


@pytest.mark.rfc("SEC-06")
async def test_each_domain_is_shown_its_certificate(tmp_path: Path) -> None:
    other = signed(AUTHORITY, "other.example")
    async with side(tmp_path, campus(), other) as server:
        for name in ("campus.example", "OTHER.example"):
            _, writer = await connect(server, name)
            shown = writer.get_extra_info("peercert")["subjectAltName"]
            assert ("DNS", name.lower()) in shown
            writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):  # whom we are not gets the first one
            await connect(server, "third.example")


async def test_who_asks_for_no_name_is_shown_the_default(tmp_path: Path) -> None:
    signed(AUTHORITY, "default.example").write(tmp_path / "default.pem")
    async with side(tmp_path, campus()) as server:
        context = client_context()
        context.check_hostname = False
        _, writer = await asyncio.open_connection(*server.local, ssl=context, server_hostname="")
        shown = writer.get_extra_info("peercert")["subjectAltName"]
        assert shown == (("DNS", "default.example"),)
        writer.close()


async def test_the_fallback_is_shown_for_the_names_that_no_other_has(tmp_path: Path) -> None:
    signed(AUTHORITY, "campus.example", "only.example").write(tmp_path / "fallback.pem")
    signed(AUTHORITY, "campus.example", "new.example").write(tmp_path / "its-own.pem")
    async with side(tmp_path) as server:
        for name, other in (("campus.example", "new.example"), ("only.example", "campus.example")):
            _, writer = await connect(server, name)
            assert ("DNS", other) in writer.get_extra_info("peercert")["subjectAltName"]
            writer.close()


@pytest.mark.rfc("SEC-06")
@pytest.mark.parametrize(
    ("version", "spoken"),
    [
        (ssl.TLSVersion.TLSv1_1, ""),
        (ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        (ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
    ],
)
async def test_nothing_older_than_tls_1_2(
    tmp_path: Path, version: ssl.TLSVersion, spoken: str
) -> None:
    context = client_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # the library itself would refuse the old one
    async with side(tmp_path, campus()) as server:
        if not spoken:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await connect(server, context=context)
            return
        _, writer = await connect(server, context=context)
        assert writer.get_extra_info("ssl_object").version() == spoken
        writer.close()


@pytest.mark.parametrize("data", [MESSAGE, b"\r\n\r\n\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 600])
async def test_what_is_no_tls_ends_its_connection(tmp_path: Path, data: bytes) -> None:
    async with side(tmp_path, campus()) as server:
        reader, writer = await asyncio.open_connection(*server.local)
        writer.write(data)
        async with asyncio.timeout(PATIENCE_S):
            while await reader.read(4096):
                pass
        assert server.messages == []
        assert server.counted == [Counter.HANDSHAKE_FAILED]
        writer.close()
        await server.until(lambda: len(server.streams) == 0)


async def test_without_any_certificate_nobody_is_talked_to(tmp_path: Path) -> None:
    async with side(tmp_path) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await connect(server)
        server.send(("127.0.0.1", free_port()), "campus.example")
        await server.until(lambda: server.failures)


async def test_a_request_that_comes_with_the_farewell_is_still_read(tmp_path: Path) -> None:
    async with side(tmp_path, campus()) as server:
        _, writer = await connect(server)
        writer.write(MESSAGE)
        writer.close()
        await server.until(lambda: server.messages)
        await server.until(lambda: len(server.streams) == 0)


# --- what a handshake may cost ---------------------------------------------------------------
async def test_handshakes_of_one_source_are_bounded_and_given_back(tmp_path: Path) -> None:
    limits = StreamLimits(handshakes_per_source=3, sweep_s=0.05)
    async with side(tmp_path, campus(), limits=limits) as server:
        begun = [await asyncio.open_connection(*server.local) for _ in range(3)]
        await server.until(lambda: len(server.streams) == 3)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await connect(server)
        assert server.counted == [Counter.HANDSHAKE_REFUSED]
        begun[0][1].close()
        await server.until(lambda: len(server.streams) == 2)
        established = [await connect(server) for _ in range(5)]  # who is through is not counted
        for _, writer in [*begun, *established]:
            writer.close()
        await server.until(lambda: len(server.streams) == 0)


async def test_all_handshakes_together_are_bounded(tmp_path: Path) -> None:
    limits = StreamLimits(handshakes=2, sweep_s=0.05)
    async with side(tmp_path, campus(), limits=limits) as server:
        begun = [await asyncio.open_connection(*server.local) for _ in range(2)]
        for _, writer in begun:
            writer.write(b"\x16\x03\x01\x01\x00")  # it has begun to speak
        await server.until(lambda: all(c.has_spoken for c in server.streams.shaking_hands()))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await connect(server)
        for _, writer in begun:
            writer.close()


async def test_connections_that_say_nothing_keep_no_phone_out(tmp_path: Path) -> None:
    limits = StreamLimits(handshakes=4, sweep_s=0.05)
    async with side(tmp_path, campus(), limits=limits) as server:
        silent = [await asyncio.open_connection(*server.local) for _ in range(4)]
        await server.until(lambda: len(server.streams.shaking_hands()) == 4)
        phones = [await connect(server) for _ in range(6)]
        assert server.counted[:1] == [Counter.HANDSHAKE_REFUSED]
        assert await silent[0][0].read() == b""  # the oldest gave way
        for _, writer in [*silent, *phones]:
            writer.close()
        await server.until(lambda: len(server.streams) == 0)


@pytest.mark.parametrize("drip", [b"", b"\x16\x03\x01\x01\x00"])
async def test_a_handshake_that_takes_too_long_is_ended(tmp_path: Path, drip: bytes) -> None:
    limits = StreamLimits(handshake_s=0.2, message_s=60, sweep_s=0.05)
    async with side(tmp_path, campus(), limits=limits) as server:
        reader, writer = await asyncio.open_connection(*server.local)
        writer.write(drip)
        begun = time.monotonic()
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionResetError):
                while await reader.read(4096):
                    pass
        assert 0.1 < time.monotonic() - begun < 2
        assert server.counted == [Counter.HANDSHAKE_FAILED]
        writer.close()


# --- new certificates --------------------------------------------------------------------------
async def test_a_new_certificate_is_shown_without_losing_a_connection(tmp_path: Path) -> None:
    async with side(tmp_path, campus()) as server:
        reader, writer = await connect(server)
        signed(AUTHORITY, "campus.example", "new.example").write(tmp_path / "0.pem")
        assert server.certificates.look()
        assert not server.certificates.look()
        _, fresh = await connect(server, "new.example")
        writer.write(b"\r\n\r\n")
        assert await reader.readexactly(2) == b"\r\n"
        writer.close()
        fresh.close()


async def test_a_file_half_written_changes_nothing_until_it_is_whole(tmp_path: Path) -> None:
    async with side(tmp_path, campus()) as server:
        new = signed(AUTHORITY, "new.example").pem
        (tmp_path / "0.pem").write_bytes(new[:-40])
        assert not server.certificates.look()
        _, writer = await connect(server)
        writer.close()
        (tmp_path / "0.pem").write_bytes(new)
        assert server.certificates.look()
        _, writer = await connect(server, "new.example")
        writer.close()


# --- as a client ---------------------------------------------------------------------------------
@pytest.mark.rfc("SEC-03", "SEC-04", "SEC-05", "LOC-12")
@pytest.mark.parametrize(
    ("certificate", "accepted"),
    [
        (signed(AUTHORITY, "sip:far.example"), True),
        (signed(AUTHORITY, "far.example"), True),
        (signed(AUTHORITY, common_names=["far.example"]), True),
        (signed(AUTHORITY, "sip:other.example", "far.example"), False),
        (signed(AUTHORITY, "*.example"), False),
        (signed(AUTHORITY, "sip.far.example"), False),
        # The address we were led to is not whom we wanted,
        (signed(AUTHORITY, "sip:127.0.0.1", "127.0.0.1"), False),
        # and whoever vouches for it must be known to us.
        (signed(STRANGE_AUTHORITY, "sip:far.example"), False),
        (signed(None, "sip:far.example"), False),
        (signed(AUTHORITY, "sip:far.example", days=-1), False),
    ],
)
async def test_only_the_domain_that_was_asked_for_is_talked_to(
    tmp_path: Path, certificate: Pair, accepted: bool
) -> None:
    async with (
        side(tmp_path / "near", campus()) as near,
        side(tmp_path / "far", certificate, trusted=None) as far,
    ):
        near.send(far.local, "far.example")
        near.send(far.local, "far.example", MESSAGE + b"")
        await near.until(lambda: near.failures or len(far.messages) == 2)
        if accepted:
            assert len(far.streams) == 1  # the second one went the same way
        else:
            await near.until(lambda: len(near.failures) == 2)
            await near.until(lambda: len(near.streams) == len(far.streams) == 0)
            assert far.messages == []


@pytest.mark.rfc("SEC-06")
async def test_both_ends_prove_who_they_are(tmp_path: Path) -> None:
    async with (
        side(tmp_path / "near", signed(AUTHORITY, "sip:near.example")) as near,
        side(tmp_path / "far", signed(AUTHORITY, "sip:far.example")) as far,
    ):
        near.send(far.local, "far.example")
        await far.until(lambda: far.messages)
        assert far.peers[far.messages[0][1].connection] == ("near.example",)
        assert list(near.peers.values()) == [("far.example",)]
        await near.streams.close()
        await far.until(lambda: far.peers == {1: ()})  # gone with its connection


@pytest.mark.rfc("SEC-05")
async def test_who_shows_no_certificate_is_nobody_and_welcome(tmp_path: Path) -> None:
    async with side(tmp_path, campus()) as server:
        _, writer = await connect(server)
        writer.write(MESSAGE)
        await server.until(lambda: server.messages)
        assert server.peers == {}
        writer.close()


@pytest.mark.rfc("SEC-05")
async def test_who_shows_a_false_certificate_is_refused(tmp_path: Path) -> None:
    false = signed(STRANGE_AUTHORITY, "sip:near.example").write(tmp_path / "false.pem")
    async with side(tmp_path / "server", campus()) as server:
        reader, writer = await connect(server, context=client_context(false))
        writer.write(MESSAGE)
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            assert not await reader.read(1)
        assert server.messages == []
        assert server.peers == {}
        writer.close()


async def test_a_server_that_never_shakes_hands_is_given_up(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    far = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with side(tmp_path, campus(), limits=StreamLimits(connect_s=0.2)) as near:
        near.send(far.sockets[0].getsockname(), "far.example")
        await near.until(lambda: near.failures)
        await near.until(lambda: len(near.streams) == 0)
    far.close()


async def test_what_waits_for_a_connection_to_open_is_bounded(tmp_path: Path) -> None:
    """The one that is too many fails at once; those that wait, when it is given up."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    far = await asyncio.start_server(silent, "127.0.0.1", 0)
    limits = StreamLimits(connect_s=1.0, waiting_bytes=3 * len(MESSAGE) - 1)
    async with side(tmp_path, campus(), limits=limits) as near:
        sent = [MESSAGE.replace(b"sip:x", b"sip:%d" % n) for n in range(5)]
        for data in sent:
            near.send(far.sockets[0].getsockname(), "far.example", data)
        await near.until(lambda: near.failures)
        await asyncio.sleep(0)
        assert near.failures == sent[3:]
        await near.until(lambda: len(near.failures) == 5)
        assert near.failures == [*sent[3:], *sent[:3]]
        await near.until(lambda: len(near.streams) == 0)
    far.close()


# --- whose connection may be used for what -----------------------------------------------------------
@pytest.mark.rfc("TRP-14")
async def test_a_connection_is_used_for_the_domains_it_speaks_for_alone(tmp_path: Path) -> None:
    """Two virtual servers at one address (RFC 5923 §9.3)."""
    both = signed(AUTHORITY, "sip:one.example", "sip:two.example")
    async with (
        side(tmp_path / "near", campus()) as near,
        side(tmp_path / "far", both, signed(AUTHORITY, "sip:three.example")) as far,
    ):
        for count, domain, connections in (
            (1, "one.example", 1),
            (2, "two.example", 1),
            (3, "three.example", 2),
        ):
            near.send(far.local, domain)
            await far.until(lambda n=count: len(far.messages) == n)  # type: ignore[misc]
            assert len(far.streams) == connections
        near.send(far.local, "four.example")
        await near.until(lambda: near.failures)
        assert len(far.messages) == 3


@pytest.mark.rfc("TRP-14")
@pytest.mark.parametrize(
    ("certificate", "domain", "aliased"),
    [("sip:near.example", "near.example", True), ("sip:near.example", "other.example", False)],
)
async def test_an_alias_leads_to_whom_it_has_proved_to_be(
    tmp_path: Path, certificate: str, domain: str, aliased: bool
) -> None:
    own = signed(AUTHORITY, certificate).write(tmp_path / "own.pem")
    async with side(tmp_path / "server", campus()) as server:
        reader, writer = await connect(server, context=client_context(own))
        writer.write(MESSAGE)
        await server.until(lambda: server.messages)
        port = free_port()
        server.streams.alias(server.messages[0][1].connection, port)
        server.send(("127.0.0.1", port), domain, b"for the alias")
        if aliased:
            assert await reader.readexactly(13) == b"for the alias"
        else:  # a connection of its own is opened, and there nobody listens
            await server.until(lambda: server.failures)
        writer.close()


@pytest.mark.rfc("TRP-14")
async def test_without_a_certificate_there_is_no_alias(tmp_path: Path) -> None:
    async with side(tmp_path, campus()) as server:
        _, writer = await connect(server)
        writer.write(MESSAGE)
        await server.until(lambda: server.messages)
        flow, port = server.messages[0][1], free_port()
        server.streams.alias(flow.connection, port)
        for address in (("127.0.0.1", port), flow.remote):
            server.send(address, "near.example", b"not for it")
        await server.until(lambda: len(server.failures) == 2)
        writer.close()


async def test_who_never_reads_fills_no_memory(tmp_path: Path) -> None:
    limits = StreamLimits(waiting_bytes=100_000, sweep_s=0.05)
    async with side(tmp_path, campus(), limits=limits) as server:

        def ping() -> None:
            """Until it is thrown out."""
            plain = socket.create_connection(server.local, PATIENCE_S)
            with client_context().wrap_socket(plain, server_hostname="campus.example") as stream:
                for _ in range(10_000):
                    stream.sendall(b"\r\n\r\n" * 10_000)

        with pytest.raises((ConnectionError, ssl.SSLError)):
            await asyncio.to_thread(ping)
        await server.until(lambda: len(server.streams) == 0)
