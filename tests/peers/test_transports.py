"""UDP, TCP, both of them in one call, IPv6, keep-alives and retransmissions."""

from __future__ import annotations

import socket

import pytest

from tests.support.calls import COMPLETED, Phones, expect_record, pair, ring, talk
from tests.support.campus import Campus
from tests.support.ports import has_ipv6
from tests.support.ua import SDP, Agent

pytestmark = pytest.mark.peers


@pytest.mark.rfc("TRP-04", "TRP-06")
@pytest.mark.parametrize(("ours", "theirs"), [("UDP", "TCP"), ("TCP", "UDP"), ("TCP", "TCP")])
@pytest.mark.parametrize("by", ["caller", "callee"])
def test_call_over_streams(campus: Campus, phone: Phones, ours: str, theirs: str, by: str) -> None:
    caller = phone(transport=ours).registered()
    callee = phone(transport=theirs).registered()
    calling, called = ring(campus, caller, callee)
    # Each side sees its own transport nearest (RFC 5658).
    routes = called.request.values("Record-Route")
    assert len(routes) == (2 if ours != theirs else 1)
    assert ("transport=tcp" in routes[0]) == (theirs == "TCP")
    assert ("transport=tcp" in routes[-1]) == (ours == "TCP")
    at_callee = called.answer()
    at_caller = calling.answered()
    callee.expect("ACK")
    own, other = (at_caller, callee) if by == "caller" else (at_callee, caller)
    request = own.reinvite()
    received = other.expect("INVITE")
    other.respond(received, 200, "OK", headers=[("Contact", f"<{other.contact}>")], body=SDP)
    own.agent.response(request, 200)
    own.ack(request)
    other.expect("ACK")
    bye = own.send("BYE")
    other.accept("BYE")
    assert own.agent.final(bye).status == 200
    expect_record(
        campus.record_of(calling.call_id), cause="completed", ended_by=by, kinds=COMPLETED
    )


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_call_from_ipv6_to_ipv4(campus: Campus, phone: Phones, transport: str) -> None:
    caller = phone(host="::1", transport=transport).registered()
    callee = phone().registered()
    calling = caller.invite(campus.uri(callee.user, "::1"))
    called = callee.ringing()
    called.answer()
    at_caller = calling.answered()
    callee.expect("ACK")
    bye = at_caller.send("BYE")
    callee.accept("BYE")
    assert caller.final(bye).status == 200
    expect_record(campus.record_of(calling.call_id), cause="completed", ended_by="caller")


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_call_on_ipv6_alone_with_bye_from_the_callee(campus: Campus, phone: Phones) -> None:
    caller, callee = phone(host="::1").registered(), phone(host="::1").registered()
    calling = caller.invite(campus.uri(callee.user, "::1"))
    called = callee.ringing()
    at_callee = called.answer()
    calling.answered()
    callee.expect("ACK")
    bye = at_callee.send("BYE")
    caller.accept("BYE")
    assert callee.final(bye).status == 200
    expect_record(campus.record_of(calling.call_id), cause="completed", ended_by="callee")


@pytest.mark.rfc("TRP-15")
def test_stream_keep_alive_is_answered(campus: Campus) -> None:
    with socket.create_connection(("127.0.0.1", campus.sip_port), 2) as stream:
        stream.sendall(b"\r\n\r\n")
        assert stream.recv(16) == b"\r\n"


def test_message_in_pieces_and_two_in_one(campus: Campus, phone: Phones) -> None:
    agent = phone(transport="TCP")
    first, second = agent.register_request(), agent.register_request()
    data = first.to_bytes() + second.to_bytes()
    for start in range(0, len(data), 7):
        agent.send(data[start : start + 7])
    agent.response(first, 401)
    agent.response(second, 401)


@pytest.mark.rfc("PAR-09")
@pytest.mark.parametrize("length", [None, "nonsense", "-1", "5, 6", "99999999999"])
def test_where_a_message_on_a_stream_ends_must_be_said_or_it_is_answered_and_closed(
    campus: Campus, length: str | None
) -> None:
    """RFC 3261 §18.3: nothing after it can be read. Two copies: the second one is not answered."""
    said = "" if length is None else f"Content-Length: {length}\r\n"
    request = (
        "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKx\r\n"
        "From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n"
        f"{said}\r\n"
    )
    with socket.create_connection(("127.0.0.1", campus.sip_port), timeout=5) as stream:
        stream.sendall(request.encode() * 2)
        received = b"".join(iter(lambda: stream.recv(4096), b""))
    assert received.count(b"SIP/2.0 ") == 1
    assert received.startswith(b"SIP/2.0 400 ")


def test_what_is_no_sip_closes_the_stream_and_nothing_else(campus: Campus) -> None:
    with socket.create_connection(("127.0.0.1", campus.sip_port), timeout=5) as stream:
        stream.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: nonsense\r\n\r\n")
        assert stream.recv(4096) == b""
    campus.wait_for_sip(2)


def test_garbage_datagrams_are_survived(campus: Campus) -> None:
    with Agent(("127.0.0.1", campus.sip_port), "noise") as noise:
        for data in (b"", b"\0" * 600, b"INVITE", b"\xff" * 9000, b"SIP/2.0 200 OK\r\n\r\n"):
            noise.send(data)
    campus.wait_for_sip(2)


# --- loss and duplication ------------------------------------------------------------------
def test_lost_invite_is_repeated_and_rings_once(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    calling = caller.invite(campus.uri(callee.user))
    called = callee.ringing()
    calling.resend()  # as if the 100 had been lost
    calling.resend()
    callee.quiet(0.7)  # absorbed by the server transaction
    assert {m.method for m in callee.repeats} == {"INVITE"}  # Timer A: nothing was heard
    called.ring()
    calling.expect(180)
    at_callee = called.answer()
    calling.answered()
    callee.expect("ACK")
    bye = at_callee.send("BYE")
    caller.accept("BYE")
    assert callee.final(bye).status == 200
    expect_record(campus.record_of(calling.call_id), cause="completed", kinds=COMPLETED)


def test_lost_ack_makes_the_200_pass_again(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    calling, called = ring(campus, caller, callee)
    called.answer()
    calling.expect(200)  # no ACK: the callee repeats its 200 (RFC 3261 §13.3.1.4)
    callee.send(callee.sent[-1])
    caller.quiet(0.3)
    assert [m.status for m in caller.repeats] == [200]
    dialog = calling.dialog_of(caller.repeats[0])
    dialog.ack(calling.request)
    dialog.ack(calling.request)
    callee.expect("ACK")
    callee.expect("ACK")
    bye = dialog.send("BYE")
    callee.accept("BYE")
    assert caller.final(bye).status == 200
    expect_record(campus.record_of(calling.call_id), cause="completed", kinds=COMPLETED)


def test_lost_bye_answer_is_given_again(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    calling, at_caller, _ = talk(campus, caller, callee)
    bye = at_caller.send("BYE")
    callee.accept("BYE")
    caller.response(bye, 200)
    caller.send(bye)
    caller.quiet(0.2)
    assert [m.status for m in caller.repeats] == [200]
    callee.quiet(0.1)
    assert callee.repeats == []
    expect_record(campus.record_of(calling.call_id), cause="completed", kinds=COMPLETED)


def test_failure_is_repeated_until_the_ack(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    calling, called = ring(campus, caller, callee)
    called.respond(486)
    callee.expect("ACK")
    refused = calling.expect(486)
    caller.quiet(0.7)  # Timer G
    assert {m.status for m in caller.repeats} == {486}
    caller.ack_failure(calling.request, refused)
    called.respond(486)
    callee.quiet(0.2)
    assert [m.method for m in callee.repeats] == ["ACK"]
    expect_record(campus.record_of(calling.call_id), cause="busy")


def test_every_message_sent_twice_makes_one_call(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    double(caller)
    double(callee)
    calling, at_caller, _ = talk(campus, caller, callee)
    bye = at_caller.send("BYE")
    callee.accept("BYE")
    assert caller.final(bye).status == 200
    expect_record(
        campus.record_of(calling.call_id), cause="completed", ended_by="caller", kinds=COMPLETED
    )


def double(agent: Agent) -> None:
    """From now on this phone sends everything twice."""
    once = agent.send

    def twice(message: object) -> None:
        once(message)  # type: ignore[arg-type]
        once(message)  # type: ignore[arg-type]

    agent.send = twice  # type: ignore[method-assign]
