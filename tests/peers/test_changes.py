"""What is changed in the tables, by whatever program, is in force for phones within a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support.calls import Phones, expect_record, ring, talk
from tests.support.campus import Campus, wait_for

pytestmark = pytest.mark.peers

WITHIN_S = 1.0


@contextmanager
def within_a_second() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < WITHIN_S


def bindings(campus: Campus, line_id: int) -> int:
    """How many registrations of a line are in the table."""
    rows = campus.query(
        "SELECT count(*) FROM location_binding WHERE line_id = ?", line_id, database="bindings"
    )
    return int(rows[0][0])


def soon(what: str, probe: Callable[[], Any]) -> None:
    with within_a_second():
        wait_for(what, probe, 5)


def test_revoked_device_loses_its_registration(campus: Campus, phone: Phones) -> None:
    line = campus.line()
    agent, caller = phone(line).registered(), phone().registered()
    assert bindings(campus, line.id) == 1
    campus.query("UPDATE lines_device SET revoked_at = '2026-01-01' WHERE id = ?", line.device)
    soon("the end of the registration", lambda: bindings(campus, line.id) == 0)
    caller.invite(campus.uri(line.username)).failed(480)
    assert agent.register().status == 401
    gone = [r for r in campus.records() if r["k"] == "register.gone" and r["line"] == line.id]
    assert [r["why"] for r in gone] == ["service"]


@pytest.mark.parametrize("state", ["suspended", "closing"])
def test_line_out_of_service_loses_calls_too_when_that_was_chosen(
    campus: Campus, phone: Phones, state: str
) -> None:
    line = campus.line()
    caller, callee = phone(line).registered(), phone().registered()
    calling, at_caller, at_callee = talk(campus, caller, callee)
    with within_a_second():
        campus.query("UPDATE lines_line SET state = ?, end_calls = 1 WHERE id = ?", state, line.id)
        byes = [side.accept("BYE") for side in (caller, callee)]
    assert all("Reason" in dict(bye.headers) for bye in byes)
    assert byes[0].cseq[0] > at_callee.cseq
    assert byes[1].cseq[0] > at_caller.cseq
    soon("the end of the registration", lambda: bindings(campus, line.id) == 0)
    record = campus.record_of(calling.call_id)
    expect_record(record, cause="terminated", ended_by="system", caller_line=line.id)
    assert record["duration_s"] is not None


def test_calls_of_a_line_end_and_it_stays_in_service(campus: Campus, phone: Phones) -> None:
    """As when a device of it is revoked and that was chosen: its other devices go on."""
    line = campus.line()
    caller, callee = phone(line).registered(), phone().registered()
    calling, *_ = talk(campus, caller, callee)
    with within_a_second():
        for end_calls in (1, 0):
            campus.query("UPDATE lines_line SET end_calls = ? WHERE id = ?", end_calls, line.id)
        for side in (caller, callee):
            side.accept("BYE")
    record = campus.record_of(calling.call_id)
    expect_record(record, cause="terminated", ended_by="system", caller_line=line.id)
    assert bindings(campus, line.id) == 1
    again, called = ring(campus, callee, caller)  # without registering anew
    with within_a_second():
        for end_calls in (1, 0):
            campus.query("UPDATE lines_line SET end_calls = ? WHERE id = ?", end_calls, line.id)
        called.cancelled()
    again.failed(487)
    assert caller.register().status == 200


def test_suspended_line_may_finish_its_call_when_that_was_chosen(
    campus: Campus, phone: Phones
) -> None:
    line = campus.line()
    caller, callee = phone(line).registered(), phone().registered()
    calling, at_caller, _ = talk(campus, caller, callee)
    campus.query("UPDATE lines_line SET state = 'suspended', end_calls = 0 WHERE id = ?", line.id)
    soon("the end of the registration", lambda: bindings(campus, line.id) == 0)
    callee.quiet(0.3)
    bye = at_caller.send("BYE")
    callee.accept("BYE")
    assert caller.final(bye).status == 200
    expect_record(campus.record_of(calling.call_id), cause="completed", ended_by="caller")
    request = caller.request("INVITE", campus.uri(callee.user))
    assert caller.transact(request).status == 407  # no better than a wrong secret


def test_ringing_call_of_a_suspended_line_is_cancelled(campus: Campus, phone: Phones) -> None:
    line = campus.line()
    caller, callee = phone(line).registered(), phone().registered()
    calling, called = ring(campus, caller, callee)
    with within_a_second():
        campus.query(
            "UPDATE lines_line SET state = 'suspended', end_calls = 1 WHERE id = ?", line.id
        )
        called.cancelled()
    calling.failed(487)
    expect_record(
        campus.record_of(calling.call_id),
        cause="terminated",
        ended_by="system",
        answered_at=None,
    )


def test_new_line_registers_and_is_called_at_once(campus: Campus, phone: Phones) -> None:
    (line,) = campus.make_lines(["late.comer"])
    campus._free.remove(line)
    caller, newcomer = phone().registered(), phone(line)
    soon("its registration", lambda: newcomer.register().status == 200)
    calling, called = ring(campus, caller, newcomer, line.number)
    called.refuse(486)
    calling.failed(486)


def test_number_taken_away_is_not_reached_any_more(campus: Campus, phone: Phones) -> None:
    line = campus.line()
    callee, caller = phone(line).registered(), phone().registered()
    campus.query("DELETE FROM numbers_address WHERE value = ?", line.number)

    def status() -> int:
        request = caller.request("OPTIONS", campus.uri(line.number))
        caller.send(request)
        request = caller.authorized(request, caller.final(request))
        caller.send(request)
        if any(m.method == "OPTIONS" for m in callee.drain(0.02)):
            return 200
        return caller.final(request).status

    soon("404 for the number", lambda: status() == 404)
