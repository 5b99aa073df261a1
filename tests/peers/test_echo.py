"""A call to the service's own echo."""

from __future__ import annotations

import pytest

from tests.support.calls import Phones, expect_record
from tests.support.campus import Campus
from tests.support.ua import SDP

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("transport", ["UDP", "TCP"])
def test_echo_answers_with_the_callers_own_description(
    campus: Campus, phone: Phones, transport: str
) -> None:
    line = campus.line()
    caller = phone(line, transport=transport).registered()
    calling = caller.invite(campus.uri("echo"))
    response = calling.expect(200)
    assert response.body == SDP
    dialog = calling.dialog_of(response)
    dialog.ack(calling.request)
    caller.quiet(0.7)  # the 200 is not repeated any more
    assert dialog.bye().status == 200
    record = campus.record_of(calling.call_id)
    expect_record(
        record,
        cause="completed",
        ended_by="caller",
        caller_line=line.id,
        callee_line=None,
        dialled="echo",
    )
    assert record["duration_s"] == pytest.approx(0.7, abs=0.3)


def test_echo_repeats_its_200_until_the_ack(campus: Campus, phone: Phones) -> None:
    caller = phone().registered()
    calling = caller.invite(campus.uri("echo"))
    response = calling.expect(200)
    caller.quiet(0.7)
    assert {m.status for m in caller.repeats} == {200}
    dialog = calling.dialog_of(response)
    dialog.ack(calling.request)
    assert dialog.bye().status == 200
    assert dialog.bye().status == 481


def test_echo_refuses_a_call_without_an_offer(campus: Campus, phone: Phones) -> None:
    caller = phone().registered()
    calling = caller.invite(campus.uri("echo"), body=b"")
    calling.failed(488)
    expect_record(campus.record_of(calling.call_id), status=488, answered_at=None)


def test_strangers_may_not_use_echo_as_somebody_else(campus: Campus, phone: Phones) -> None:
    caller, other = phone().registered(), phone().registered()
    calling = caller.invite(campus.uri("echo"))
    dialog = calling.answered()
    forged = other.request(
        "BYE",
        dialog.target,
        call_id=calling.call_id,
        to=dialog.remote.replace("tag=", "tag=0"),
    )
    other.send(forged)
    assert other.final(forged).status == 481
    assert dialog.bye().status == 200
