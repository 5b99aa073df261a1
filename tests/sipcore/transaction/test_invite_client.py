"""INVITE client transaction: RFC 3261 §17.1.1 with RFC 6026 §7.2 and §8.4."""

from __future__ import annotations

import pytest

from sipcore.errors import LocalProtocolError
from sipcore.message import Request, Response, parse_message
from sipcore.transaction import State, Timers
from sipcore.transport.flow import Flow
from tests.sipcore.transaction.harness import (
    BRANCH,
    TCP,
    UDP,
    User,
    a_request,
    a_response,
    expect_state,
)


@pytest.fixture
def user() -> User:
    return User()


# --- timers --------------------------------------------------------------------------------------
@pytest.mark.section("3261 17.1.1.2")
def test_timer_a_doubles_without_limit_until_timer_b(user: User) -> None:
    user.ask("INVITE")
    user.until(100)
    assert user.times("INVITE") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert user.told.timed_out == [32.0]
    assert len(user.table) == 0


@pytest.mark.section("3261 17.1.1.2")
def test_timer_b_is_64_times_t1(user: User) -> None:
    user = User(Timers(t1=1.0))
    user.ask("INVITE")
    user.until(63.9)
    assert user.told.timed_out == []
    user.until(64)
    assert user.told.timed_out == [64.0]


@pytest.mark.section("3261 17.1.1.2")
def test_over_a_stream_there_is_no_timer_a_but_a_timer_b(user: User) -> None:
    user.ask("INVITE", TCP)
    user.until(100)
    assert user.times("INVITE") == [0]
    assert user.told.timed_out == [32.0]


@pytest.mark.section("3261 17.1.1.2")
def test_a_provisional_ends_timer_a_and_timer_b_and_each_is_passed_up(user: User) -> None:
    tx = user.ask("INVITE")
    user.until(0.6)
    for status in (100, 180, 180, 183):
        user.hear(status, "INVITE")
    user.until(1000)
    assert user.times("INVITE") == [0, 0.5]
    assert user.statuses == [100, 180, 180, 183]
    assert user.told.timed_out == []
    expect_state(tx, State.PROCEEDING)
    assert user.table.next_deadline() is None


@pytest.mark.section("3261 17.1.1.2")
@pytest.mark.parametrize(
    ("timers", "ends"), [(Timers(), 32.0), (Timers(t1=0.1), 32.0), (Timers(t1=1.0), 64.0)]
)
def test_timer_d_is_at_least_32_s_and_acks_what_comes_again(timers: Timers, ends: float) -> None:
    user = User(timers)
    tx = user.ask("INVITE")
    user.hear(486, "INVITE")
    user.until(ends - 0.1)
    user.hear(486, "INVITE")
    expect_state(tx, State.COMPLETED)
    assert len(user.times("ACK")) == 2
    assert user.statuses == [486]
    user.until(ends)
    assert len(user.table) == 0
    assert user.hear(486, "INVITE") is False


@pytest.mark.section("3261 17.1.1.2")
def test_over_a_stream_timer_d_is_zero_and_the_ack_is_sent_all_the_same(user: User) -> None:
    user.ask("INVITE", TCP)
    user.hear(486, "INVITE")
    assert user.times("ACK") == [0]
    assert user.flows == [TCP, TCP]
    assert len(user.table) == 0


@pytest.mark.section("6026 7.2")
@pytest.mark.parametrize("flow", [UDP, TCP])
@pytest.mark.parametrize("first", [[], [180]])
def test_timer_m_keeps_passing_up_every_2xx_for_64_times_t1(
    user: User, flow: Flow, first: list[int]
) -> None:
    tx = user.ask("INVITE", flow)
    for status in first:
        user.hear(status, "INVITE")
    user.until(1)
    user.hear(200, "INVITE")
    user.hear(200, "INVITE")
    user.until(32.9)
    user.hear(202, "INVITE")
    expect_state(tx, State.ACCEPTED)
    assert user.statuses == [*first, 200, 200, 202]
    assert user.times("ACK") == []  # that of a 2xx is the transaction user's
    assert tx.wire == b""
    user.until(33)
    assert len(user.table) == 0
    assert user.hear(200, "INVITE") is False


@pytest.mark.section("3261 9.1")
def test_a_cancelled_invite_is_given_up_after_64_times_t1(user: User) -> None:
    user.ask("INVITE")
    user.hear(180, "INVITE")
    user.until(10)
    user.ask("CANCEL")
    user.hear(200, "CANCEL")
    user.until(20)
    user.hear(180, "INVITE")
    user.until(41.9)
    assert user.told.timed_out == []
    user.until(42)
    assert user.told.timed_out == [42.0]
    assert len(user.table) == 0


@pytest.mark.section("3261 9.1")
def test_a_cancelled_invite_that_ends_in_time_ends_as_ever(user: User) -> None:
    user.ask("INVITE")
    user.hear(180, "INVITE")
    user.ask("CANCEL")
    user.hear(200, "CANCEL")
    user.hear(487, "INVITE")
    user.until(100)
    assert user.told.timed_out == []
    assert user.statuses == [180, 200, 487]
    assert len(user.table) == 0


def test_a_cancel_before_any_response_does_not_put_timer_b_off(user: User) -> None:
    user.ask("INVITE")
    user.until(20)
    user.ask("CANCEL")
    user.hear(481, "CANCEL")
    user.until(40)
    assert user.told.timed_out == [32.0]


def test_a_cancel_of_nothing_is_a_transaction_by_itself(user: User) -> None:
    user.ask("CANCEL")
    user.ask("MESSAGE")
    assert len(user.table) == 2


# --- ACK -----------------------------------------------------------------------------------------
@pytest.mark.section("3261 17.1.1.3")
def test_the_ack_of_a_failure_is_made_of_the_invite_and_the_responses_to(user: User) -> None:
    invite = a_request("INVITE", BRANCH, ("CSeq", "77 INVITE"), ("Content-Type", "text/plain"))
    invite.push("Route", "<sip:second;lr>")
    invite.push("Route", "<sip:first;lr>")
    invite.append("Via", "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKbelow")
    invite.append("Proxy-Require", "x")
    invite.uri_text = "sip:boris@10.0.0.7;transport=udp"
    user.table.request(invite, UDP, 0.0, user)
    answer = a_response(404, "INVITE", to_tag="boris")
    answer.set("CSeq", "77 INVITE")
    user.table.receive_response(answer, UDP, 0.0)

    ack = parse_message(user.sent[-1][1])
    assert isinstance(ack, Request)
    assert (ack.method, ack.uri_text) == ("ACK", "sip:boris@10.0.0.7;transport=udp")
    assert ack.rows("via") == [f"SIP/2.0/UDP 10.0.0.2:5060;branch={BRANCH}"]
    assert ack.rows("route") == ["<sip:first;lr>", "<sip:second;lr>"]
    assert ack.first("from") == "<sip:anna@x>;tag=1"
    assert ack.first("to") == "<sip:boris@x>;tag=boris"
    assert (ack.call_id, ack.cseq_number, ack.cseq_method) == ("c1", 77, "ACK")
    assert ack.rows("proxy-require") == ack.rows("content-type") == []
    assert ack.body == b""
    assert user.flows == [UDP, UDP]


def test_only_the_topmost_of_vias_in_one_row_goes_into_the_ack(user: User) -> None:
    two = f"SIP/2.0/UDP 10.0.0.2;branch={BRANCH}, SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKbelow"
    user.table.request(a_request("INVITE", BRANCH, ("Via", two)), UDP, 0.0, user)
    user.hear(404, "INVITE")
    ack = parse_message(user.sent[-1][1])
    assert ack.rows("via") == [f"SIP/2.0/UDP 10.0.0.2;branch={BRANCH}"]


def test_the_same_ack_goes_out_each_time(user: User) -> None:
    user.ask("INVITE")
    for _ in range(3):
        user.hear(600, "INVITE")
    acks = user.all_sent("ACK")
    assert len(acks) == 3
    assert len(set(acks)) == 1


# --- what is absorbed ----------------------------------------------------------------------------
@pytest.mark.parametrize("late", [100, 180, 200, 302])
def test_after_a_failure_only_a_failure_is_answered(user: User, late: int) -> None:
    tx = user.ask("INVITE")
    user.hear(486, "INVITE")
    assert user.hear(late, "INVITE")
    assert user.statuses == [486]
    assert tx.last_status == 486
    assert len(user.times("ACK")) == (2 if late == 302 else 1)


@pytest.mark.parametrize("late", [180, 486])
def test_after_a_2xx_only_a_2xx_is_passed_up(user: User, late: int) -> None:
    tx = user.ask("INVITE")
    user.hear(200, "INVITE")
    assert user.hear(late, "INVITE")
    assert user.statuses == [200]
    assert tx.last_status == 200
    assert user.times("ACK") == []


# --- transport -----------------------------------------------------------------------------------
@pytest.mark.section("3261 17.1.4")
@pytest.mark.parametrize("flow", [UDP, TCP])
def test_a_transport_failure_is_told_once_and_ends_it(user: User, flow: Flow) -> None:
    user.ask("INVITE", flow)
    user.table.transport_failed(BRANCH, 1.0)
    user.table.transport_failed(BRANCH, 2.0)
    assert user.told.failed == [1.0]
    assert len(user.table) == 0
    user.until(100)
    assert user.told.timed_out == []


@pytest.mark.section("3261 17.1.1.2")
def test_an_ack_that_cannot_be_sent_is_told_too(user: User) -> None:
    user.ask("INVITE")
    user.hear(486, "INVITE")
    user.table.transport_failed(BRANCH, 1.0)
    assert user.told.failed == [1.0]
    assert len(user.table) == 0


@pytest.mark.section("3261 17.1.1.2")
@pytest.mark.parametrize("status", [180, 200])
def test_an_invite_that_was_answered_has_been_sent(user: User, status: int) -> None:
    tx = user.ask("INVITE")
    user.hear(status, "INVITE")
    state = tx.state
    user.table.transport_failed(BRANCH, 1.0)
    assert user.told.failed == []
    expect_state(tx, state)


def test_a_cancel_that_cannot_be_sent_leaves_its_invite_waiting(user: User) -> None:
    invite = user.ask("INVITE")
    user.hear(180, "INVITE")
    user.ask("CANCEL")
    user.table.transport_failed(BRANCH, 1.0)
    assert user.told.failed == [1.0]
    expect_state(invite, State.PROCEEDING)
    user.until(100)
    assert user.told.timed_out == [32.0]


# --- our own code --------------------------------------------------------------------------------
def test_a_branch_cannot_be_used_twice(user: User) -> None:
    user.ask("INVITE")
    with pytest.raises(LocalProtocolError):
        user.ask("INVITE")
    with pytest.raises(LocalProtocolError):
        user.ask("MESSAGE")
    assert len(user.sent) == len(user.table) == 1


def test_owner_flow_and_branch_are_kept() -> None:
    user = User()
    owner = User()
    request = a_request("INVITE")
    tx = user.table.request(request, TCP, 0.0, owner)
    assert (tx.owner, tx.flow, tx.branch, tx.request) == (owner, TCP, BRANCH, request)


def test_a_failure_may_be_followed_by_another_try_from_within() -> None:
    class Stubborn(User):
        def on_response(self, tx: object, response: Response, now: float) -> None:
            self.ask("INVITE", branch="z9hG4bKnext")

    user = Stubborn()
    user.ask("INVITE")
    user.hear(503, "INVITE")
    assert [data[:6] for _, data in user.sent] == [b"INVITE", b"ACK si", b"INVITE"]
    user.until(100)
    assert user.told.timed_out == [32.0]
    assert len(user.table) == 0
