"""INVITE server transaction: RFC 3261 §17.2.1 with RFC 6026 §7.1."""

from __future__ import annotations

import pytest

from sipcore.errors import LocalProtocolError
from sipcore.message import Response, parse_message
from sipcore.transaction import State, Timers
from sipcore.transport.flow import Flow
from tests.sipcore.transaction.harness import (
    TCP,
    UDP,
    Owner,
    User,
    a_request,
    a_response,
    expect_state,
)


@pytest.fixture
def user() -> User:
    return User()


# --- the automatic 100 ---------------------------------------------------------------------------
@pytest.mark.section("3261 17.2.1")
@pytest.mark.parametrize("flow", [UDP, TCP])
def test_an_invite_nobody_answers_gets_one_100_within_200_ms(user: User, flow: Flow) -> None:
    tx = user.serve("INVITE", flow)
    user.until(1000)
    assert user.times("SIP/2.0 100") == [0.15]
    trying = parse_message(user.sent[0][1])
    assert isinstance(trying, Response)
    assert trying.to_tag == ""
    assert tx.last_status == 100
    expect_state(tx, State.PROCEEDING)
    assert user.table.next_deadline() is None  # from here it waits for its user


@pytest.mark.section("3261 17.2.1")
@pytest.mark.parametrize("status", [100, 180, 200, 486])
def test_an_invite_answered_in_time_gets_no_100_of_ours(user: User, status: int) -> None:
    tx = user.serve("INVITE", TCP)
    user.until(0.14)
    user.answer(tx, status)
    user.until(1)
    assert len(user.sent) == 1


def test_the_100_comes_when_it_is_told_to() -> None:
    user = User(Timers(trying_s=0.05))
    user.serve("INVITE")
    user.until(1)
    assert user.times("SIP/2.0 100") == [0.05]


# --- repetitions ---------------------------------------------------------------------------------
@pytest.mark.section("3261 17.2.1")
def test_a_repeated_invite_gets_the_last_provisional_again(user: User) -> None:
    tx = user.serve("INVITE")
    assert user.receive(a_request("INVITE")) is None
    assert user.sent == []
    user.until(0.2)
    user.receive(a_request("INVITE"))
    user.answer(tx, 180)
    user.answer(tx, 183)
    user.receive(a_request("INVITE"))
    assert [data[8:11] for _, data in user.sent] == [b"100", b"100", b"180", b"183", b"183"]
    assert user.sent[3][1] == user.sent[4][1]


@pytest.mark.section("3261 17.2.1")
def test_a_repeated_invite_gets_the_failure_again_until_the_ack(user: User) -> None:
    tx = user.serve("INVITE")
    user.answer(tx, 486)
    user.receive(a_request("INVITE"))
    assert len(set(user.all_sent("SIP/2.0 486"))) == 1
    assert len(user.sent) == 2
    user.receive(a_request("ACK"))
    user.receive(a_request("INVITE"))
    assert len(user.sent) == 2


# --- timers --------------------------------------------------------------------------------------
@pytest.mark.section("3261 17.2.1")
def test_timer_g_doubles_up_to_t2_until_timer_h(user: User) -> None:
    tx = user.serve("INVITE")
    user.answer(tx, 486)
    user.until(100)
    assert user.times("SIP/2.0 486") == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert user.told.ended == [32.0]
    assert len(user.table) == 0


@pytest.mark.section("3261 17.2.1")
def test_timer_h_is_64_times_t1_over_streams_too_where_nothing_is_sent_again() -> None:
    user = User(Timers(t1=1.0))
    tx = user.serve("INVITE", TCP)
    user.answer(tx, 486)
    user.until(63.9)
    assert len(user.sent) == len(user.table) == 1
    user.until(64)
    assert user.told.ended == [64.0]


@pytest.mark.section("3261 17.2.1")
def test_timer_i_absorbs_acks_and_ends(user: User) -> None:
    tx = user.serve("INVITE")
    user.answer(tx, 486)
    user.until(1)
    user.receive(a_request("ACK"))
    expect_state(tx, State.CONFIRMED)
    user.until(5.9)
    user.receive(a_request("ACK"))
    assert user.times("SIP/2.0 486") == [0, 0.5]
    assert user.told.acks == []
    assert len(user.table) == 1
    user.until(6)
    assert user.told.ended == [6.0]
    assert len(user.table) == 0


@pytest.mark.section("3261 17.2.1")
def test_over_a_stream_timer_i_is_zero(user: User) -> None:
    tx = user.serve("INVITE", TCP)
    user.answer(tx, 486)
    user.until(10)
    user.receive(a_request("ACK"), TCP)
    assert len(user.sent) == 1
    assert user.told.ended == [10.0]
    assert len(user.table) == 0


@pytest.mark.section("6026 7.1")
@pytest.mark.parametrize("flow", [UDP, TCP])
def test_timer_l_keeps_absorbing_the_invite_and_passing_its_acks_up(user: User, flow: Flow) -> None:
    tx = user.serve("INVITE", flow)
    user.until(1)
    user.answer(tx, 200)
    expect_state(tx, State.ACCEPTED)
    user.until(32.9)
    for _ in range(2):
        assert user.receive(a_request("INVITE"), flow) is None
        assert user.receive(a_request("ACK"), flow) is None
    assert [ack.method for ack in user.told.acks] == ["ACK", "ACK"]
    assert tx.wire == b""
    assert user.times("SIP/2.0 200") == [1]  # repeated end to end, never from here
    user.until(33)
    assert user.told.ended == [33.0]
    assert len(user.table) == 0


# --- responses after the final -------------------------------------------------------------------
@pytest.mark.section("6026 7.1")
def test_further_2xx_are_sent_and_do_not_put_timer_l_off(user: User) -> None:
    tx = user.serve("INVITE")
    user.answer(tx, 200)
    user.until(31)
    user.answer(tx, 200)
    assert user.times("SIP/2.0 200") == [0, 31]
    user.until(32)
    assert len(user.table) == 0


@pytest.mark.section("3261 16.7")
def test_a_2xx_after_a_failure_is_sent_and_the_failure_goes_on(user: User) -> None:
    tx = user.serve("INVITE")
    user.answer(tx, 487)
    user.until(0.1)
    user.answer(tx, 200)
    expect_state(tx, State.COMPLETED)
    user.until(1)
    user.receive(a_request("ACK"))
    user.answer(tx, 200)
    expect_state(tx, State.CONFIRMED)
    assert user.times("SIP/2.0 200") == [0.1, 1]
    assert user.times("SIP/2.0 487") == [0, 0.5]
    assert tx.last_status == 487


@pytest.mark.section("6026 8.3")
@pytest.mark.parametrize("first", [200, 487])
def test_a_2xx_after_the_end_is_dropped(user: User, first: int) -> None:
    tx = user.serve("INVITE")
    user.answer(tx, first)
    user.until(100)
    sent = len(user.sent)
    user.answer(tx, 200)
    assert len(user.sent) == sent
    assert user.told.ended == [32.0]


def test_a_2xx_after_the_end_leaves_a_new_transaction_of_the_same_key_alone(user: User) -> None:
    old = user.serve("INVITE")
    user.answer(old, 200)
    user.until(100)
    new = user.serve("INVITE")
    user.answer(old, 200)
    assert user.table.find_invite(a_request("CANCEL"), UDP) is new


@pytest.mark.parametrize("first", [200, 486])
@pytest.mark.parametrize("second", [100, 180, 302, 486, 603])
@pytest.mark.parametrize("later", [0.0, 100.0])
def test_anything_else_after_a_final_is_our_own_mistake(
    user: User, first: int, second: int, later: float
) -> None:
    tx = user.serve("INVITE")
    user.answer(tx, first)
    user.until(later)
    sent = len(user.sent)
    with pytest.raises(LocalProtocolError, match=f"{second} after {first}"):
        user.answer(tx, second)
    assert len(user.sent) == sent


@pytest.mark.section("3261 17.2.1")
def test_an_ack_before_the_final_is_absorbed(user: User) -> None:
    tx = user.serve("INVITE")
    assert user.receive(a_request("ACK")) is None
    assert user.told.acks == []
    expect_state(tx, State.PROCEEDING)


def test_responses_go_out_on_the_flow_that_was_given(user: User) -> None:
    tx = user.serve("INVITE", TCP)
    tx.owner = owner = Owner()
    tx.respond(a_response(180, "INVITE"), 0.0)
    user.receive(a_request("INVITE"), UDP)
    assert user.flows == [TCP, TCP]
    assert tx.owner is owner
