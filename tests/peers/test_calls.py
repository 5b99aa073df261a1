"""Calls between two phones over real sockets, each with its record."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.support.calls import COMPLETED, expect_record, pair, ring, talk
from tests.support.campus import Campus
from tests.support.ua import SDP, Agent
from tests.support.wire import tag_of

pytestmark = pytest.mark.peers

Phones = Callable[..., Agent]


@pytest.mark.parametrize("by", ["caller", "callee"])
def test_answered_call_ends_with_a_bye_from_either_side(
    campus: Campus, phone: Phones, by: str
) -> None:
    caller, callee, first, second = pair(campus, phone)
    calling, at_caller, at_callee = talk(campus, caller, callee)
    answered = time.monotonic()
    caller.quiet(0.5)
    own, other = (at_caller, callee) if by == "caller" else (at_callee, caller)
    bye = own.send("BYE")
    other.accept("BYE")
    assert own.agent.final(bye).status == 200
    talked = time.monotonic() - answered
    record = campus.record_of(calling.call_id)
    expect_record(
        record,
        cause="completed",
        ended_by=by,
        caller_line=first.id,
        callee_line=second.id,
        dialled=second.username,
        kinds=COMPLETED,
        open=False,
    )
    assert record["duration_s"] == pytest.approx(talked, abs=0.3)


def test_call_by_number(campus: Campus, phone: Phones) -> None:
    caller, callee, _, second = pair(campus, phone)
    calling, called = ring(campus, caller, callee, second.number)
    called.refuse(486)
    calling.failed(486)
    record = campus.record_of(calling.call_id)
    expect_record(record, dialled=second.number, callee_line=second.id)


@pytest.mark.parametrize(
    ("status", "cause"), [(486, "busy"), (600, "busy"), (603, "rejected"), (480, "unreachable")]
)
def test_refused_call(campus: Campus, phone: Phones, status: int, cause: str) -> None:
    caller, callee, first, second = pair(campus, phone)
    calling, called = ring(campus, caller, callee)
    called.refuse(status)
    calling.failed(status)
    expect_record(
        campus.record_of(calling.call_id),
        cause=cause,
        status=status,
        answered_at=None,
        duration_s=None,
        caller_line=first.id,
        callee_line=second.id,
        kinds=["call.begin", "call.ring", "call.end"],
    )


def test_busy_is_the_called_partys_doing(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    calling, called = ring(campus, caller, callee)
    called.refuse(486)
    calling.failed(486)
    expect_record(campus.record_of(calling.call_id), ended_by="callee")


def test_call_that_nobody_answers_is_cancelled_by_the_caller(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    calling, called = ring(campus, caller, callee)
    caller.quiet(0.5)
    calling.cancel()
    called.cancelled()
    calling.failed(487)
    expect_record(
        campus.record_of(calling.call_id), cause="cancelled", ended_by="caller", status=487
    )


def test_cancel_before_the_first_provisional_waits_for_it(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    calling = caller.invite(campus.uri(callee.user))
    called = callee.ringing()
    calling.cancel()
    callee.quiet(0.2)  # a CANCEL may not overtake its INVITE (RFC 3261 §9.1)
    called.ring()
    called.cancelled()
    calling.failed(487)
    expect_record(campus.record_of(calling.call_id), cause="cancelled", ended_by="caller")


def test_cancel_carries_its_reason_on(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    calling, called = ring(campus, caller, callee)
    reason = 'SIP;cause=487;text="Changed my mind"'
    calling.cancel([("Reason", reason)])
    assert called.cancelled().get("Reason") == reason
    calling.failed(487)


def test_cancel_that_crosses_the_200_leaves_an_answered_call(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    calling, called = ring(campus, caller, callee)
    cancel = caller.cancel_request(calling.request)
    caller.send(cancel)
    at_callee = called.answer()  # the phone was picked up before the CANCEL came
    caller.response(cancel, 200)
    callee.respond(callee.expect("CANCEL"), 481)
    at_caller = calling.answered()
    callee.expect("ACK")
    bye = at_caller.send("BYE")
    callee.accept("BYE")
    assert caller.final(bye).status == 200
    assert at_callee.call_id == calling.call_id
    expect_record(
        campus.record_of(calling.call_id), cause="completed", ended_by="caller", kinds=COMPLETED
    )


def test_cancel_after_the_200_changes_nothing(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    calling, called = ring(campus, caller, callee)
    called.answer()
    calling.expect(200)
    cancel = caller.cancel_request(calling.request)
    caller.send(cancel)
    assert caller.final(cancel).status == 200  # of a transaction that is still there
    callee.quiet(0.2)
    assert campus.begun(calling.call_id)


def test_second_cancel_finds_nothing_new(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    calling, called = ring(campus, caller, callee)
    calling.cancel()
    called.cancelled()
    calling.failed(487)
    again = caller.cancel_request(calling.request)
    caller.send(again)
    callee.quiet(0.2)


def test_stray_cancel_is_answered_481(campus: Campus, phone: Phones) -> None:
    caller = phone().registered()
    request = caller.request("INVITE", campus.uri("nobody"))
    cancel = caller.cancel_request(request)
    caller.send(cancel)
    assert caller.final(cancel).status == 481


@pytest.mark.parametrize("by", ["caller", "callee"])
def test_reinvite_passes_from_either_side(campus: Campus, phone: Phones, by: str) -> None:
    caller, callee, *_ = pair(campus, phone)
    calling, at_caller, at_callee = talk(campus, caller, callee)
    own, other = (at_caller, at_callee) if by == "caller" else (at_callee, at_caller)
    offer = SDP.replace(b"t=0 0", b"t=0 0\r\na=sendonly")
    request = own.reinvite(offer)
    received = other.agent.expect("INVITE")
    assert received.body == offer
    assert received.get("Route") == ""
    other.agent.respond(
        received, 200, "OK", headers=[("Contact", f"<{other.agent.contact}>")], body=SDP
    )
    own.agent.response(request, 200)
    own.ack(request)
    assert other.agent.expect("ACK").cseq[0] == request.cseq[0]
    bye = own.send("BYE")
    other.agent.accept("BYE")
    assert own.agent.final(bye).status == 200
    expect_record(
        campus.record_of(calling.call_id), cause="completed", ended_by=by, kinds=COMPLETED
    )


def test_refused_reinvite_leaves_the_call_up(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    calling, at_caller, _ = talk(campus, caller, callee)
    request = at_caller.reinvite()
    callee.respond(callee.expect("INVITE"), 488)
    refused = caller.response(request, 488)
    caller.ack_failure(request, refused)
    callee.expect("ACK")
    bye = at_caller.send("BYE")
    callee.accept("BYE")
    assert caller.final(bye).status == 200
    expect_record(campus.record_of(calling.call_id), cause="completed", ended_by="caller")


def test_caller_who_is_nobody_of_ours_reaches_a_student(campus: Campus, phone: Phones) -> None:
    line = campus.line()
    callee = phone(line).registered()
    with Agent(callee.server, "stranger", None, domain="elsewhere.example") as stranger:
        calling = stranger.invite(campus.uri(callee.user))
        called = callee.ringing()
        called.answer()
        at_caller = calling.answered()
        callee.expect("ACK")
        bye = at_caller.send("BYE")
        callee.accept("BYE")
        assert stranger.final(bye).status == 200
        expect_record(
            campus.record_of(calling.call_id),
            caller_line=None,
            callee_line=line.id,
            cause="completed",
            ended_by="caller",
        )


def test_stranger_may_not_relay_elsewhere(campus: Campus) -> None:
    server = ("127.0.0.1", campus.sip_port)
    with (
        Agent(server, "stranger", None, domain="elsewhere.example") as stranger,
        Agent(server, "victim", None) as victim,
    ):
        for method, status in (("INVITE", 403), ("MESSAGE", 403), ("OPTIONS", 405)):
            request = stranger.request(method, victim.contact)
            stranger.send(request)
            assert stranger.final(request).status == status, method
        victim.quiet(0.2)
        assert not any(r.get("dialled") == "victim" for r in campus.records())


def test_from_of_somebody_else_is_refused(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    other = campus.line()
    invite = caller.request(
        "INVITE",
        campus.uri(callee.user),
        from_value=f"<{campus.uri(other.username)}>;tag=mine",
        headers=[("Contact", f"<{caller.contact}>")],
    )
    assert caller.transact(invite).status == 403
    callee.quiet(0.2)


@pytest.mark.parametrize("user", ["no-such-name", "99999"])
def test_unknown_name_or_number(campus: Campus, phone: Phones, user: str) -> None:
    line = campus.line()
    caller = phone(line).registered()
    calling = caller.invite(campus.uri(user))
    calling.failed(404)
    expect_record(
        campus.record_of(calling.call_id),
        cause="unreachable",
        status=404,
        ended_by="system",
        caller_line=line.id,
        callee_line=None,
        dialled=user,
    )


def test_callee_without_a_phone(campus: Campus, phone: Phones) -> None:
    caller, absent = phone().registered(), campus.line()
    calling = caller.invite(campus.uri(absent.username))
    calling.failed(480)
    expect_record(
        campus.record_of(calling.call_id),
        cause="unreachable",
        status=480,
        callee_line=absent.id,
        kinds=["call.begin", "call.end"],
    )


def test_emergency_number_is_refused_with_a_word_of_advice(campus: Campus, phone: Phones) -> None:
    caller = phone().registered()
    calling = caller.invite(campus.uri("112"))
    assert "112" in calling.failed(404).get("Reason")


def test_tags_and_bodies_pass_unchanged(campus: Campus, phone: Phones) -> None:
    caller, callee, *_ = pair(campus, phone)
    extra = [("X-Unknown", "kept  as, it is"), ("Subject", "=?utf-8?q?h=C3=A5?=")]
    calling = caller.invite(campus.uri(callee.user), headers=extra)
    received = callee.ringing()
    for name, value in extra:
        assert received.request.get(name) == value
    assert received.request.body == SDP
    assert received.request.get("Proxy-Authorization") == ""  # consumed here (RFC 3261 §22.3)
    assert received.request.get("Max-Forwards") == "69"
    received.respond(183, "Session Progress", received._dialog_headers(), SDP)
    assert calling.expect(183).body == SDP
    received.refuse(486)
    assert tag_of(calling.failed(486).get("To")) == received.tag
