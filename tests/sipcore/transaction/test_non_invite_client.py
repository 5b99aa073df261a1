"""Non-INVITE client transaction: RFC 3261 §17.1.2."""

from __future__ import annotations

import pytest

from sipcore.transaction import State, Timers
from sipcore.transport.flow import Flow
from tests.sipcore.transaction.harness import BRANCH, TCP, UDP, User, expect_state


@pytest.fixture
def user() -> User:
    return User()


@pytest.mark.section("3261 17.1.2.2")
def test_timer_e_doubles_up_to_t2_until_timer_f(user: User) -> None:
    user.ask("MESSAGE")
    user.until(100)
    assert user.times("MESSAGE") == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert user.told.timed_out == [32.0]
    assert len(user.table) == 0


@pytest.mark.section("3261 17.1.2.2")
def test_after_a_provisional_timer_e_is_t2_and_timer_f_goes_on(user: User) -> None:
    user.ask("MESSAGE")
    user.until(0.1)
    user.hear(100, "MESSAGE")
    user.hear(100, "MESSAGE")
    user.until(100)
    assert user.times("MESSAGE") == [0, 0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]
    assert user.statuses == [100, 100]
    assert user.told.timed_out == [32.0]


@pytest.mark.section("3261 17.1.2.2")
def test_timer_f_is_64_times_t1_over_streams_too_where_nothing_is_sent_again() -> None:
    user = User(Timers(t1=0.25))
    user.ask("MESSAGE", TCP)
    user.until(100)
    assert user.times("MESSAGE") == [0]
    assert user.told.timed_out == [16.0]


@pytest.mark.section("3261 17.1.2.2")
@pytest.mark.parametrize("status", [200, 302, 404, 503, 603])
@pytest.mark.parametrize("first", [[], [100]])
def test_timer_k_absorbs_what_comes_again(user: User, status: int, first: list[int]) -> None:
    tx = user.ask("MESSAGE")
    for provisional in first:
        user.hear(provisional, "MESSAGE")
    user.hear(status, "MESSAGE")
    user.until(4.9)
    for late in (status, 200, 404, 100):
        assert user.hear(late, "MESSAGE")
    expect_state(tx, State.COMPLETED)
    assert user.statuses == [*first, status]
    assert tx.last_status == status
    user.until(5)
    assert len(user.table) == 0
    assert user.hear(status, "MESSAGE") is False
    assert user.times("MESSAGE") == [0]


@pytest.mark.section("3261 17.1.2.2")
def test_over_a_stream_timer_k_is_zero(user: User) -> None:
    user.ask("MESSAGE", TCP)
    user.hear(404, "MESSAGE")
    assert user.statuses == [404]
    assert len(user.table) == 0
    assert user.table.next_deadline() is None


@pytest.mark.section("3261 17.1.4")
@pytest.mark.parametrize("flow", [UDP, TCP])
@pytest.mark.parametrize("first", [[], [100]])
def test_a_transport_failure_is_told_before_the_final(
    user: User, flow: Flow, first: list[int]
) -> None:
    user.ask("MESSAGE", flow)
    for status in first:
        user.hear(status, "MESSAGE")
    user.table.transport_failed(BRANCH, 1.0)
    assert user.told.failed == [1.0]
    assert len(user.table) == 0


def test_a_transport_failure_after_the_final_is_nothing(user: User) -> None:
    tx = user.ask("MESSAGE")
    user.hear(200, "MESSAGE")
    user.table.transport_failed(BRANCH, 1.0)
    assert user.told.failed == []
    expect_state(tx, State.COMPLETED)


def test_a_transport_failure_of_nobody_is_nothing(user: User) -> None:
    user.table.transport_failed(BRANCH, 1.0)
    assert user.told.failed == []
