"""What only shows on real sockets: streams, sizes, and what the network says did not arrive."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sipcore.apps.config import StreamLimits
from sipcore.transaction import Timers
from tests.sipcore.conformance.served import Served, serving
from tests.support.ports import free_port, has_ipv6
from tests.support.ua import Agent
from tests.support.wire import read_stream

PROMPTLY_S = 1.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("served")) as node:
        yield node


def until(true: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def hosts() -> list[str]:
    return ["127.0.0.1", "::1"] if has_ipv6() else ["127.0.0.1"]


@pytest.mark.rfc("TRP-03")
def test_the_largest_datagram_is_a_message(served: Served) -> None:
    agent = served.agent()
    request = agent.request("OPTIONS", served.uri(""), to="<sip:x@y>")
    request.start = f"OPTIONS sip:127.0.0.1:{served.port} SIP/2.0"
    request.body = b"\xff" * (65_507 - len(request.to_bytes()) - 10)
    assert 65_000 < len(request.to_bytes()) <= 65_507
    agent.send(request)
    assert agent.final(request).status == 200


@pytest.mark.rfc("TRP-03")
def test_a_message_of_64_kilobytes_passes_a_stream(served: Served) -> None:
    bob = served.agent("bob", transport="TCP").registered()
    caller = served.agent(transport="TCP")
    request = caller.request("MESSAGE", served.uri("bob"), body=b"x" * 64_000)
    caller.send(request)
    assert bob.accept("MESSAGE").body == request.body
    assert caller.final(request).status == 200
    bob.unregister()


@pytest.mark.rfc("TRP-04")
@pytest.mark.parametrize("host", hosts())
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_udp_and_tcp_are_served_on_one_port(served: Served, host: str, transport: str) -> None:
    agent = served.agent(transport=transport, host=host)
    request = agent.request("OPTIONS", served.uri("x", host).replace("x@", ""))
    agent.send(request)
    assert agent.final(request).status == 200


@pytest.mark.rfc("TRP-06")
def test_a_stream_is_answered_on_its_connection(served: Served) -> None:
    agent, other = served.agent(transport="TCP"), served.agent(transport="TCP")
    request = agent.request("OPTIONS", f"sip:127.0.0.1:{served.port}")
    # The Via names another's port: that is of no account while the connection is there.
    request.headers[0] = (
        "Via",
        f"SIP/2.0/TCP 127.0.0.1:{other.address[1]};branch=z9hG4bKtrp6{served.port}",
    )
    agent.send(request)
    assert agent.final(request).status == 200
    other.quiet(0.05)


@pytest.mark.rfc("TRP-06")
@pytest.mark.parametrize("names_itself", ["by address", "by name"])
def test_a_response_whose_connection_is_gone_opens_one_to_its_sender(
    served: Served, names_itself: str
) -> None:
    bob = served.agent("bob").registered()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        caller = served.agent(transport="TCP")
        host = "127.0.0.1" if names_itself == "by address" else "laptop.invalid"
        port = listening.getsockname()[1]
        request = caller.request("MESSAGE", served.uri("bob"))
        request.headers[0] = ("Via", f"SIP/2.0/TCP {host}:{port};branch=z9hG4bKgone{port}")
        caller.send(request)
        message = bob.expect("MESSAGE")
        before = served.connections()
        caller.close()
        until(lambda: served.connections() == before - 1)
        bob.respond(message, 200)
        stream, _ = listening.accept()
        with stream:
            [response], _ = read_stream(stream.recv(65_535))
        assert response.status == 200
        assert response.get("Call-ID") == request.get("Call-ID")
    bob.unregister()


@pytest.mark.rfc("TRP-06", "PRX-34")
def test_a_response_that_cannot_be_delivered_at_all_is_given_up(served: Served) -> None:
    bob, caller = served.agent("bob").registered(), served.agent(transport="TCP")
    request = caller.request("MESSAGE", served.uri("bob"))
    request.headers[0] = ("Via", f"SIP/2.0/TCP 127.0.0.1:{free_port()};branch=z9hG4bKlost")
    caller.send(request)
    message = bob.expect("MESSAGE")
    before = served.connections()
    caller.close()
    until(lambda: served.connections() == before - 1)
    bob.respond(message, 200)
    probe = served.agent()
    asking = probe.request("OPTIONS", f"sip:127.0.0.1:{served.port}")
    probe.send(asking)
    assert probe.final(asking).status == 200
    bob.unregister()


@pytest.mark.rfc("TRP-09")
@pytest.mark.parametrize("rport", [True, False])
def test_a_response_leaves_from_the_socket_its_request_came_to(served: Served, rport: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        own = sock.getsockname()[1]
        for port in (served.port, served.other_port, served.port):
            via = f"SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bK{port}{rport}{time.monotonic_ns()}"
            sock.sendto(
                (
                    f"OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: {via}{';rport' if rport else ''}\r\n"
                    "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n"
                ).encode(),
                ("127.0.0.1", port),
            )
            data, source = sock.recvfrom(65_535)
            assert data.startswith(b"SIP/2.0 200")
            assert source == ("127.0.0.1", port)


# --- TRP-12, PRX-34: what the network says ----------------------------------------------------------
def gone(served: Served, transport: str, host: str = "127.0.0.1") -> Agent:
    """bob registered, and then switched his phone off without a word."""
    bob = served.agent("bob", host=host)
    if transport == "TCP":
        free = free_port()
        contact = f"<sip:bob@{host}:{free};transport=tcp>"
        assert bob.register(contacts=[contact]).status == 200
    else:
        bob.registered()
    bob.close()
    return bob


def forgotten(served: Served, host: str = "127.0.0.1") -> None:
    served.agent("bob", host=host).unregister()


@pytest.mark.rfc("TRP-12", "PRX-34")
@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
@pytest.mark.parametrize(
    ("host", "transport"), [("127.0.0.1", "TCP"), *((host, "UDP") for host in hosts())]
)
def test_a_phone_that_is_gone_fails_at_once(
    served: Served, host: str, transport: str, method: str
) -> None:
    gone(served, transport, host)
    caller = served.agent(host=host)
    begun = time.monotonic()
    request = caller.request(
        method, served.uri("bob", host), headers=[("Contact", f"<{caller.contact}>")]
    )
    caller.send(request)
    assert caller.final(request).status == 500  # a branch's 503 (RFC 3261 §16.9)
    assert time.monotonic() - begun < PROMPTLY_S
    forgotten(served, host)


@pytest.mark.rfc("PRX-34", "TRP-12")
def test_one_phone_that_is_gone_leaves_the_others_ringing(served: Served) -> None:
    gone(served, "UDP")
    bob = served.agent("bob").registered()
    caller = served.agent()
    calling = caller.invite(served.uri("bob"))
    called = bob.ringing()
    called.ring()
    calling.expect(180)
    bob.quiet(0.2)  # no CANCEL
    dialog = called.answer()
    calling.answered()
    bob.expect("ACK")
    bye = dialog.send("BYE")
    caller.accept("BYE")
    assert bob.final(bye).status == 200
    forgotten(served)


@pytest.mark.rfc("TRP-12")
def test_an_error_of_one_datagram_costs_no_other(served: Served) -> None:
    """The kernel tells the next caller of a socket what became of an earlier datagram."""
    gone(served, "UDP")
    caller, prober = served.agent(), served.agent()
    for i in range(20):  # a stranger has 32 in as many seconds
        lost = caller.request("MESSAGE", served.uri("bob"))
        caller.send(lost)
        asking = prober.request("OPTIONS", f"sip:127.0.0.1:{served.port}", cseq=i + 1)
        prober.send(asking)
        assert prober.final(asking, PROMPTLY_S).status == 200
        assert caller.final(lost, PROMPTLY_S).status == 500
    forgotten(served)


# --- TRP-13, TRP-15: connections that rest ------------------------------------------------------------
@pytest.mark.rfc("TRP-13")
def test_a_connection_rests_longer_than_any_transaction_lasts(tmp_path: Path) -> None:
    quick = Timers(t1=0.01)
    assert StreamLimits().idle_s > 64 * 0.5
    assert StreamLimits().message_s >= 64 * 0.5
    with serving(tmp_path, quick) as served:
        agent = served.agent(transport="TCP")
        for _ in range(2):
            request = agent.request("OPTIONS", f"sip:127.0.0.1:{served.port}")
            agent.send(request)
            assert agent.final(request).status == 200
            agent.quiet(64 * quick.t1 + 0.2)
        assert served.connections() == 1


@pytest.mark.rfc("TRP-15")
def test_two_line_breaks_are_answered_with_one_and_one_with_none(served: Served) -> None:
    with socket.create_connection(("127.0.0.1", served.port), 5) as stream:
        stream.sendall(b"\r\n")
        stream.settimeout(0.1)
        with pytest.raises(TimeoutError):
            stream.recv(16)
        stream.settimeout(5)
        stream.sendall(b"\r\n\r\n\r\n")  # with the one before: two pings
        received = stream.recv(16)
        while len(received) < 4:
            received += stream.recv(16)
        assert received == b"\r\n\r\n"


@pytest.mark.rfc("TRP-15")
def test_a_ping_between_two_messages_is_answered_between_them(served: Served) -> None:
    agent = served.agent(transport="TCP")
    first, second = (agent.request("OPTIONS", f"sip:127.0.0.1:{served.port}") for _ in range(2))
    agent.send(first.to_bytes() + b"\r\n\r\n" + second.to_bytes())
    assert agent.final(first).status == 200
    assert agent.final(second).status == 200


# --- PRX-20 ---------------------------------------------------------------------------------------------
@pytest.mark.rfc("PRX-20")
@pytest.mark.parametrize("body", [b"", b"hello"])
def test_over_a_stream_the_length_is_always_said(served: Served, body: bytes) -> None:
    bob = served.agent("bob", transport="TCP").registered()
    caller = served.agent()
    request = caller.request("MESSAGE", served.uri("bob"), body=body)
    data = request.to_bytes()
    without = b"\r\n".join(
        row for row in data.split(b"\r\n") if not row.lower().startswith(b"content-length")
    )
    assert without != data
    caller.send(without)
    message = bob.accept("MESSAGE")
    assert message.get("Content-Length") == str(len(body))
    assert message.body == body
    assert caller.final(request).status == 200
    bob.unregister()
