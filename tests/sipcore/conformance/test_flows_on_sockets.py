"""Flows on real sockets: coming back by another connection, keep-alives of both sides, STUN."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.sipcore.conformance.served import Served, serving
from tests.sipcore.conformance.test_sockets import hosts, until
from tests.support.ua import Agent

COOKIE = b"\x21\x12\xa4\x42"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("flows")) as node:
        yield node


# --- TXN-10 ---------------------------------------------------------------------------------------
def lost_connection(served: Served, agent: Agent) -> None:
    """The agent's connection is gone, and the node knows it."""
    before = served.connections()
    agent.come_back()
    # The new one may be counted before the old one is gone.
    until(lambda: served.connections() <= before)


@pytest.mark.rfc("TXN-10")
@pytest.mark.parametrize("status", [200, 486])
def test_who_comes_back_by_a_new_connection_is_answered_on_it(served: Served, status: int) -> None:
    bob = served.agent("bob").registered()
    caller = served.agent(transport="TCP")
    request = caller.request("MESSAGE", served.uri("bob"))
    # Nobody listens where the Via says: the new connection is the only way.
    request.headers[0] = ("Via", f"SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK{secrets.token_hex(6)}")
    caller.send(request)
    message = bob.expect("MESSAGE")
    lost_connection(served, caller)
    caller.send(request)
    bob.quiet(0.1)  # it is not asked again
    bob.respond(message, status)
    assert caller.final(request).status == status
    bob.unregister()


@pytest.mark.rfc("TXN-10")
def test_a_failure_that_could_not_be_sent_is_there_for_who_comes_back(served: Served) -> None:
    bob = served.agent("bob").registered()
    caller = served.agent(transport="TCP")
    calling = caller.invite(served.uri("bob"))
    called = bob.ringing()
    lost_connection(served, caller)
    called.refuse(486)  # the node has it, and nobody to give it to
    calling.resend()
    calling.failed(486)
    bob.quiet(0.1)
    bob.unregister()


@pytest.mark.rfc("TXN-10")
def test_a_call_that_rings_is_answered_on_the_new_connection(served: Served) -> None:
    bob = served.agent("bob").registered()
    caller = served.agent("anna", transport="TCP").registered()
    calling = caller.invite(served.uri("bob"))
    called = bob.ringing()
    called.ring()
    calling.expect(180)
    lost_connection(served, caller)
    calling.resend()
    caller.quiet(0.2)
    assert [m.status for m in caller.repeats] == [180]  # what was said last
    dialog_of_bob = called.answer()
    dialog = calling.answered()
    bob.expect("ACK")
    bye = dialog.send("BYE")
    bob.accept("BYE")
    assert caller.final(bye).status == 200
    assert dialog_of_bob.call_id == dialog.call_id
    bob.unregister()


@pytest.mark.rfc("TXN-10")
def test_who_has_only_guessed_a_branch_hears_nothing(served: Served) -> None:
    bob = served.agent("bob").registered()
    caller, thief = served.agent(transport="TCP"), served.agent(transport="TCP")
    request = caller.request("MESSAGE", served.uri("bob"))
    caller.send(request)
    message = bob.expect("MESSAGE")
    guess = thief.request("MESSAGE", served.uri("bob"))
    guess.headers[0] = request.headers[0]
    thief.send(guess)
    thief.quiet(0.2)
    bob.respond(message, 200)
    assert caller.final(request).status == 200
    thief.quiet(0.2)
    bob.unregister()


@pytest.mark.rfc("REG-26")
@pytest.mark.parametrize("ends", ["who stayed", "who came back"])
def test_a_call_outlives_a_connection(served: Served, ends: str) -> None:
    anna = served.agent("anna", transport="TCP").registered()
    bob = served.agent("bob", transport="TCP").registered()
    calling = anna.invite(served.uri("bob"))
    at_bob = bob.ringing().answer()
    at_anna = calling.answered()
    bob.expect("ACK")
    lost_connection(served, bob)
    bob.registered()
    own, other = (at_anna, bob) if ends == "who stayed" else (at_bob, anna)
    bye = own.send("BYE")
    other.accept("BYE")
    assert own.agent.final(bye).status == 200
    again = anna.invite(served.uri("bob"))
    bob.ringing().refuse(486)
    again.failed(486)
    bob.unregister()
    anna.unregister()


# --- TRP-16: STUN ---------------------------------------------------------------------------------
def question(*attributes: bytes, transaction: bytes = b"", kind: bytes = b"\x00\x01") -> bytes:
    body = b"".join(attributes)
    return kind + len(body).to_bytes(2, "big") + COOKIE + (transaction or secrets.token_bytes(12)) + body


def mapped(answer: bytes) -> tuple[str, int]:
    """Address and port of an answer's XOR-MAPPED-ADDRESS."""
    assert answer[:2] == b"\x01\x01"
    assert answer[4:8] == COOKIE
    assert int.from_bytes(answer[2:4], "big") == len(answer) - 20
    kind, length = answer[20:22], int.from_bytes(answer[22:24], "big")
    assert (kind, length) in ((b"\x00\x20", 8), (b"\x00\x20", 20))
    value = answer[24 : 24 + length]
    port = int.from_bytes(value[2:4], "big") ^ 0x2112
    host = bytes(a ^ b for a, b in zip(value[4:], answer[4:20], strict=False))
    return str(ip_address(host)), port


@pytest.fixture
def ask(served: Served) -> Iterator[Callable[[bytes], bytes | None]]:
    """The answer to a datagram. That there is none shows by the answer to the next one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)

        def asked(data: bytes) -> bytes | None:
            probe = question()
            sock.sendto(data, ("127.0.0.1", served.port))
            sock.sendto(probe, ("127.0.0.1", served.port))
            answer = sock.recv(2048)
            if answer[8:20] == probe[8:20]:
                return None
            assert sock.recv(2048)[8:20] == probe[8:20]
            return answer

        yield asked


@pytest.mark.rfc("TRP-16")
@pytest.mark.parametrize("host", hosts())
def test_a_binding_request_on_the_sip_port_says_where_it_came_from(served: Served, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.settimeout(5)
        request = question()
        sock.sendto(request, (host, served.port))
        answer = sock.recv(2048)
        assert answer[8:20] == request[8:20]
        assert mapped(answer) == (host, sock.getsockname()[1])
        assert len(answer) <= len(request) + 24
        # And SIP goes on beside it, by the same socket.
        via = f"SIP/2.0/UDP x;rport;branch=z9hG4bK{secrets.token_hex(4)}"
        sip = (
            f"OPTIONS sip:{'[::1]' if ':' in host else host}:{served.port} SIP/2.0\r\nVia: {via}\r\n"
            "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: stun\r\nCSeq: 1 OPTIONS\r\n\r\n"
        )
        sock.sendto(sip.encode(), (host, served.port))
        assert sock.recv(2048).startswith(b"SIP/2.0 200")


@pytest.mark.rfc("TRP-16")
def test_what_the_server_must_know_and_does_not_is_named(ask: Callable[[bytes], bytes | None]) -> None:
    known = b"\x80\x22\x00\x03abc\x00"  # SOFTWARE, which may be ignored
    answer = ask(question(known))
    assert answer is not None
    mapped(answer)
    many = [bytes((0x7F, n)) + b"\x00\x00" for n in range(100)]
    for unknown in ([b"\x00\x24\x00\x04abcd"], many):
        request = question(*unknown)
        answer = ask(request)
        assert answer is not None
        assert answer[:2] == b"\x01\x11"
        assert answer[20:28] == b"\x00\x09\x00\x04\x00\x00\x04\x14"  # 420
        assert answer[28:30] == b"\x00\x0a"
        assert answer[32:34] == unknown[0][:2]
        assert len(answer) <= len(request) + 24


@pytest.mark.rfc("TRP-16")
@pytest.mark.parametrize(
    "data",
    [
        question(kind=b"\x00\x11"),  # an indication
        question(kind=b"\x01\x01"),  # an answer
        question(kind=b"\x00\x03"),  # another method
        question()[:19],
        question()[:4] + b"\x21\x12\xa4\x43" + question()[8:],
        question() + b"more",
        question(b"\x80\x22\x00\xff"),
        question(b"\x80\x22\x02\x20" + bytes(0x220)),  # too long
        b"\x00",
        b"\x00\x01\x00\x00",
    ],
    ids=[
        "indication", "answer", "another method", "cut", "another cookie", "more than it says",
        "attribute beyond the end", "too long", "one byte", "four bytes",
    ],
)
def test_nothing_else_is_answered(ask: Callable[[bytes], bytes | None], data: bytes) -> None:
    assert ask(data) is None


@pytest.mark.rfc("TRP-16")
def test_nobody_is_answered_without_end(tmp_path: Path) -> None:
    with serving(tmp_path) as served, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.5)
        answered = 0
        begun = time.monotonic()
        for _ in range(2_000):
            sock.sendto(question(), ("127.0.0.1", served.port))
        try:
            while True:
                sock.recv(2048)
                answered += 1
        except TimeoutError:
            pass
        seconds = time.monotonic() - begun
        assert 200 <= answered <= 200 * (int(seconds) + 2)


# --- keep-alives of both sides ------------------------------------------------------------------------
def test_a_ping_on_a_connection_is_answered_at_once(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), 5) as sock:
        sock.sendall(b"\r\n\r\n")
        assert sock.recv(100) == b"\r\n"
        sock.sendall(b"\r\n\r\n\r\n\r\n")
        assert sock.recv(100) in (b"\r\n\r\n", b"\r\n")
