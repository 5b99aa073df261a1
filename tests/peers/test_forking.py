"""A line with three phones: every outcome of a fork, each with one record."""

from __future__ import annotations

import pytest

from tests.support.calls import COMPLETED, Phones, expect_record
from tests.support.campus import Campus, Line
from tests.support.ua import Agent

pytestmark = pytest.mark.peers

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'


def three_phones(campus: Campus, phone: Phones) -> tuple[Line, list[Agent]]:
    """Three phones of one line, registered one after another."""
    line = campus.line()
    return line, [phone(line).registered() for _ in range(3)]


@pytest.mark.rfc("PRX-32")
def test_one_answers_and_the_others_are_told_so(campus: Campus, phone: Phones) -> None:
    line, phones = three_phones(campus, phone)
    caller = phone().registered()
    calling = caller.invite(campus.uri(line.username))
    called = [p.ringing() for p in phones]
    for each in called:
        each.ring()
    called[1].answer()
    at_caller = calling.answered()
    phones[1].expect("ACK")
    for each in (called[0], called[2]):
        assert each.cancelled().get("Reason") == ELSEWHERE
    bye = at_caller.send("BYE")
    phones[1].accept("BYE")
    assert caller.final(bye).status == 200
    phones[0].quiet(0.1)
    record = campus.record_of(calling.call_id)
    expect_record(
        record, cause="completed", ended_by="caller", callee_line=line.id, kinds=COMPLETED
    )


def test_all_busy_is_busy(campus: Campus, phone: Phones) -> None:
    line, phones = three_phones(campus, phone)
    caller = phone().registered()
    calling = caller.invite(campus.uri(line.username))
    for each in [p.ringing() for p in phones]:
        each.refuse(486)
    calling.failed(486)
    expect_record(campus.record_of(calling.call_id), cause="busy", status=486, ended_by="callee")


def test_busy_then_answered(campus: Campus, phone: Phones) -> None:
    line, phones = three_phones(campus, phone)
    caller = phone().registered()
    calling = caller.invite(campus.uri(line.username))
    called = [p.ringing() for p in phones]
    called[0].refuse(486)
    called[1].refuse(480)
    caller.quiet(0.1)
    at_callee = called[2].answer()
    calling.answered()
    phones[2].expect("ACK")
    bye = at_callee.send("BYE")
    caller.accept("BYE")
    assert phones[2].final(bye).status == 200
    expect_record(campus.record_of(calling.call_id), cause="completed", ended_by="callee")


@pytest.mark.rfc("PRX-24")
def test_decline_everywhere_ends_all_branches(campus: Campus, phone: Phones) -> None:
    line, phones = three_phones(campus, phone)
    caller = phone().registered()
    calling = caller.invite(campus.uri(line.username))
    called = [p.ringing() for p in phones]
    for each in called:
        each.ring()
    called[2].refuse(603)
    for each in called[:2]:
        each.cancelled()
    calling.failed(603)
    expect_record(
        campus.record_of(calling.call_id), cause="rejected", status=603, ended_by="callee"
    )


def test_cancel_reaches_all_branches(campus: Campus, phone: Phones) -> None:
    line, phones = three_phones(campus, phone)
    caller = phone().registered()
    calling = caller.invite(campus.uri(line.username))
    called = [p.ringing() for p in phones]
    for each in called:
        each.ring()
    calling.expect(180)
    calling.cancel()
    for each in called:
        each.cancelled()
    calling.failed(487)
    expect_record(campus.record_of(calling.call_id), cause="cancelled", ended_by="caller")


@pytest.mark.rfc("PRX-26")
def test_better_answers_win_over_worse(campus: Campus, phone: Phones) -> None:
    line, phones = three_phones(campus, phone)
    caller = phone().registered()
    calling = caller.invite(campus.uri(line.username))
    called = [p.ringing() for p in phones]
    for each, status in zip(called, (500, 486, 404), strict=True):
        each.refuse(status)
    calling.failed(486)


def test_two_phones_answer_at_once_and_both_dialogs_are_whole(
    campus: Campus, phone: Phones
) -> None:
    line, phones = three_phones(campus, phone)
    caller = phone().registered()
    calling = caller.invite(campus.uri(line.username))
    called = [p.ringing() for p in phones]
    called[0].ring()
    called[0].answer()
    called[1].answer()
    first, second = calling.answered(), calling.answered()
    for callee in phones[:2]:
        callee.expect("ACK")
    bye = second.send("BYE")  # the phone that was slower is dismissed (RFC 3261 §13.2.2.4)
    phones[1].accept("BYE")
    assert caller.final(bye).status == 200
    bye = first.send("BYE")
    phones[0].accept("BYE")
    assert caller.final(bye).status == 200
    record = campus.record_of(calling.call_id)
    expect_record(record, cause="completed", ended_by="caller")
    assert record["kinds"].count("call.answer") == 2


def test_lower_q_waits_for_the_higher(campus: Campus, phone: Phones) -> None:
    line = campus.line()
    first, second = phone(line), phone(line)
    assert first.register(contacts=[f"<{first.contact}>;q=0.9"]).status == 200
    assert second.register(contacts=[f"<{second.contact}>;q=0.2"]).status == 200
    caller = phone().registered()
    calling = caller.invite(campus.uri(line.username))
    called = first.ringing()
    second.quiet(0.2)
    called.refuse(480)
    second.ringing().answer()
    at_caller = calling.answered()
    second.expect("ACK")
    bye = at_caller.send("BYE")
    second.accept("BYE")
    assert caller.final(bye).status == 200
    expect_record(campus.record_of(calling.call_id), cause="completed")


def test_silent_phones_time_out(campus: Campus, phone: Phones) -> None:
    """Timer B (32 s) on every branch: the only test that waits for a timer of half a minute."""
    line = campus.line()
    gone = [phone(line).registered() for _ in range(3)]
    half = campus.line()
    busy, silent = phone(half).registered(), phone(half).registered()
    caller, other = phone().registered(), phone().registered()
    nobody = caller.invite(campus.uri(line.username))
    mixed = other.invite(campus.uri(half.username))
    busy.ringing().refuse(486)
    silent.ringing()
    nobody.failed(408, timeout=36)
    mixed.failed(486, timeout=36)
    expect_record(
        campus.record_of(nobody.call_id), cause="no_answer", status=408, ended_by="system"
    )
    expect_record(campus.record_of(mixed.call_id), cause="busy", status=486)
    assert all(p.drain() for p in gone)
