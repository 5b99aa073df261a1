"""Non-INVITE server transaction: RFC 3261 §17.2.2 with RFC 4320."""

from __future__ import annotations

import pytest

from sipcore.errors import LocalProtocolError
from sipcore.transaction import State, Timers
from sipcore.transport.flow import Flow
from tests.sipcore.transaction.harness import TCP, UDP, Owner, User, a_request, expect_state, owns


@pytest.fixture
def user() -> User:
    return User()


# --- timers --------------------------------------------------------------------------------------
@pytest.mark.section("3261 17.2.2")
@pytest.mark.parametrize("status", [200, 302, 404, 500, 603])
def test_timer_j_repeats_the_final_for_64_times_t1(user: User, status: int) -> None:
    tx = user.serve("MESSAGE")
    user.until(1)
    user.answer(tx, status)
    user.until(32.9)
    assert user.receive(a_request("MESSAGE")) is None
    assert user.times(f"SIP/2.0 {status}") == [1, 32.9]
    assert user.sent[0][1] == user.sent[1][1]
    expect_state(tx, State.COMPLETED)
    user.until(33)
    assert user.told.ended == [33.0]
    assert len(user.table) == 0


@pytest.mark.section("3261 17.2.2")
def test_over_a_stream_timer_j_is_zero(user: User) -> None:
    tx = user.serve("MESSAGE", TCP)
    user.answer(tx, 200)
    assert user.told.ended == [0.0]
    assert len(user.table) == 0
    assert user.table.next_deadline() is None


@pytest.mark.section("4320 4.2")
@pytest.mark.parametrize("flow", [UDP, TCP])
def test_a_request_nobody_answers_ends_unanswered(user: User, flow: Flow) -> None:
    tx = user.serve("MESSAGE", flow)
    user.until(36.9)
    assert len(user.table) == 1
    user.until(37)
    assert user.told.ended == [37.0]
    user.answer(tx, 200)  # late: no transaction, no response
    user.answer(tx, 408)
    assert user.times("SIP/2.0 200") == user.times("SIP/2.0 408") == []
    expect_state(tx, State.TERMINATED)


# --- RFC 4320 ------------------------------------------------------------------------------------
@pytest.mark.section("4320 4.1")
@pytest.mark.parametrize("flow", [UDP, TCP])
def test_the_100_comes_when_timer_e_of_the_client_is_set_to_t2(user: User, flow: Flow) -> None:
    tx = user.serve("MESSAGE", flow)
    user.until(3)
    user.receive(a_request("MESSAGE"), flow)
    assert user.sent == []
    user.until(30)
    assert user.times("SIP/2.0 100") == [3.5]
    user.receive(a_request("MESSAGE"), flow)
    assert user.times("SIP/2.0 100") == [3.5, 30]
    expect_state(tx, State.PROCEEDING)


@pytest.mark.parametrize(
    ("timers", "seconds"),
    [(Timers(), 3.5), (Timers(t1=1.0), 3.0), (Timers(t1=0.3), 4.5), (Timers(t1=4.0), 0.0)],
)
def test_when_timer_e_reaches_t2_follows_from_the_base_timers(
    timers: Timers, seconds: float
) -> None:
    assert timers.unreliable.other_trying == pytest.approx(seconds)


@pytest.mark.section("4320 4.1")
def test_an_answer_in_time_spares_the_100(user: User) -> None:
    user.answer(user.serve("MESSAGE"), 200)
    user.until(30)
    assert user.times("SIP/2.0") == [0]


@pytest.mark.section("4320 4.1")
def test_over_udp_a_100_of_our_own_is_sent_only_when_it_may(user: User) -> None:
    tx = user.serve("MESSAGE")
    user.until(3.4)
    user.answer(tx, 100)
    assert user.sent == []
    user.now = 3.6  # the timer is due but has not been fired
    user.answer(tx, 100)
    user.until(10)
    user.answer(tx, 100)
    assert user.times("SIP/2.0 100") == [3.6, 10]
    user.receive(a_request("MESSAGE"))
    assert user.times("SIP/2.0 100") == [3.6, 10, 10]


@pytest.mark.section("4320 4.1")
def test_over_a_stream_a_100_may_be_sent_at_any_time(user: User) -> None:
    tx = user.serve("MESSAGE", TCP)
    user.answer(tx, 100)
    user.until(10)
    assert user.times("SIP/2.0 100") == [0]


@pytest.mark.section("4320 4.1")
@pytest.mark.parametrize("flow", [UDP, TCP])
@pytest.mark.parametrize("status", [180, 183, 199])
def test_no_other_provisional_is_ever_sent(user: User, flow: Flow, status: int) -> None:
    tx = user.serve("MESSAGE", flow)
    user.answer(tx, status)
    user.until(5)
    user.answer(tx, status)
    assert user.times("SIP/2.0") == [3.5]
    assert tx.last_status == 100


@pytest.mark.section("4320 4.2")
def test_a_408_is_never_sent_and_repetitions_stay_absorbed(user: User) -> None:
    tx = user.serve("MESSAGE")
    user.until(32)
    user.answer(tx, 408)
    assert user.receive(a_request("MESSAGE")) is None
    assert user.times("SIP/2.0 408") == []
    user.until(37)
    assert len(user.table) == 0


# --- repetitions and mistakes --------------------------------------------------------------------
@pytest.mark.section("3261 17.2.2")
def test_a_repeated_request_is_dropped_while_nothing_was_sent(user: User) -> None:
    user.serve("MESSAGE")
    assert user.receive(a_request("MESSAGE")) is None
    assert user.sent == []


@pytest.mark.parametrize("second", [100, 183, 200, 404, 408])
def test_a_response_after_the_final_is_our_own_mistake(user: User, second: int) -> None:
    tx = user.serve("MESSAGE")
    user.answer(tx, 200)
    for time in (0.0, 100.0):
        user.until(time)
        with pytest.raises(LocalProtocolError, match=f"{second} after 200"):
            user.answer(tx, second)
    assert len(user.sent) == 1


def test_a_completed_transaction_keeps_only_its_response(user: User) -> None:
    tx = user.serve("MESSAGE")
    tx.owner = Owner()
    request = tx.request
    user.answer(tx, 200)
    assert not owns(tx)
    assert tx.request is not request
    assert tx.wire
