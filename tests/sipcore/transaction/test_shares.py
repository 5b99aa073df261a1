"""Who may open one more transaction while the table fills up."""

from __future__ import annotations

import pytest

from sipcore.transaction import Timers, TransactionTable
from sipcore.transaction.shares import Shares
from sipcore.transport.flow import Flow
from tests.sipcore.transaction.harness import TCP, User, a_request

MOST = 1_000


@pytest.mark.parametrize(
    ("own", "held", "is_known", "admitted"),
    [
        (0, 250, False, True),
        (61, 250, False, True),  # an eighth of what is left for unknown ones, (750 - 250) / 8
        (62, 250, False, False),
        (0, 741, False, True),
        (0, 743, False, False),  # the rest is for those who are known
        (249, 500, True, True),
        (250, 500, True, False),  # a half for known ones, (1,000 - 500) / 2
        (0, 998, True, True),
        (0, 1_000, True, False),
    ],
)
def test_a_network_has_a_share_of_what_is_left(
    own: int, held: int, is_known: bool, admitted: bool
) -> None:
    shares = Shares(MOST)
    for n in range(own):
        shares.began(f"192.0.2.{n % 250}")
    assert shares.admits("192.0.2.7", held, is_known) is admitted


def test_what_has_ended_counts_no_more() -> None:
    shares = Shares(MOST)
    shares.began("192.0.2.1", 62)
    assert not shares.admits("192.0.2.9", 250, False)
    assert shares.admits("192.0.3.9", 250, False)
    shares.ended("192.0.2.200")
    assert shares.admits("192.0.2.9", 250, False)
    shares.ended("192.0.2.200", 61)
    shares.ended("192.0.2.200")  # once more than it began
    shares.began("192.0.2.1")
    shares.ended("192.0.2.1")
    assert Shares(64).admits("192.0.2.1", 0, False)


def from_host(host: str) -> Flow:
    return Flow("UDP", ("10.0.0.1", 5060), (host, 5060))


def opened(user: User, host: str, count: int, start: int = 0) -> int:
    """How many of so many requests from a host get a transaction."""
    before = len(user.table)
    for n in range(start, start + count):
        request = a_request("MESSAGE", f"z9hG4bK{host}-{n}")
        user.receive(request, from_host(host))
    return len(user.table) - before


def test_a_flood_from_one_address_leaves_room_for_others_and_those_known_have_the_most() -> None:
    user = User(max_servers=400)
    assert opened(user, "192.0.2.66", 1_000) == 100  # the part in which nobody is counted
    assert opened(user, "192.0.3.7", 10) == 10
    for host, its_own in (("198.51.100.7", 97), ("203.0.113.7", 64), ("203.0.114.7", 43)):
        user.table.knows(from_host(host))
        assert opened(user, host, 1_000) == its_own  # each a half of what is left
    user.until(100)
    assert len(user.table) == 0
    assert opened(user, "192.0.2.66", 1_000, 5_000) == 100  # and all is as before


def test_a_flood_from_everywhere_leaves_a_part_for_those_who_are_known() -> None:
    user = User(max_servers=400)
    for n in range(250):
        opened(user, f"10.{n}.0.1", 50)
    assert len(user.table) <= 300
    user.table.knows(from_host("198.51.100.7"))
    assert opened(user, "198.51.100.7", 30) == 30


# --- bytes ----------------------------------------------------------------------------------------
LARGE = 1_000


def opened_large(user: User, host: str, count: int, start: int = 0) -> int:
    """How many of so many large requests from a host get a transaction."""
    before = len(user.table)
    for n in range(start, start + count):
        request = a_request("MESSAGE", f"z9hG4bK{host}-{n}")
        user.table.receive_request(request, from_host(host), user.now, LARGE)
    return len(user.table) - before


def limited(most_bytes: int) -> User:
    user = User(max_servers=100_000)
    user.table = TransactionTable(user, Timers(), 100_000, most_bytes)
    return user


def test_large_requests_from_one_address_leave_room_for_others_and_for_those_known() -> None:
    user = limited(400 * LARGE)
    assert opened_large(user, "192.0.2.66", 1_000) == 100  # the part in which nobody is counted
    assert opened_large(user, "192.0.3.7", 10) == 10
    user.table.knows(from_host("198.51.100.7"))
    assert opened_large(user, "198.51.100.7", 1_000) == 97
    user.until(100)
    assert (len(user.table), user.table.held_bytes) == (0, 0)
    assert opened_large(user, "192.0.2.66", 1_000, 5_000) == 100  # and all is as before


@pytest.mark.parametrize(
    ("method", "status"), [("INVITE", 486), ("MESSAGE", 403), ("MESSAGE", 200)]
)
def test_what_is_answered_holds_its_answer_alone(method: str, status: int) -> None:
    user = limited(400 * LARGE)
    tx = user.table.receive_request(
        a_request(method, "z9hG4bKa"), from_host("192.0.2.1"), 0.0, LARGE
    )
    assert tx is not None
    assert user.table.held_bytes == LARGE
    user.answer(tx, status)
    [(_, answer)] = user.sent
    assert user.table.held_bytes == len(answer)
    user.until(100)
    assert user.table.held_bytes == 0


def test_an_accepted_invite_holds_nothing() -> None:
    user = limited(400 * LARGE)
    tx = user.table.receive_request(
        a_request("INVITE", "z9hG4bKa"), from_host("192.0.2.1"), 0.0, LARGE
    )
    assert tx is not None
    user.answer(tx, 200)
    assert user.table.held_bytes == 0


def test_room_that_answers_have_made_is_room_for_the_next() -> None:
    user = limited(400 * LARGE)
    opened = []
    for n in range(100):
        request = a_request("MESSAGE", f"z9hG4bK{n}")
        opened.append(user.table.receive_request(request, from_host("192.0.2.66"), 0.0, LARGE))
    assert opened_large(user, "192.0.2.66", 1) == 0
    for tx in opened:
        assert tx is not None
        user.answer(tx, 403)
    assert opened_large(user, "192.0.2.66", 10) == 10


def test_a_request_on_another_connection_is_still_known_after_its_refusal() -> None:
    user = User()
    one, other = TCP, TCP._replace(connection=8)
    request = a_request("INVITE", "z9hG4bKa")
    tx = user.receive(request, one)
    assert tx is not None
    user.answer(tx, 486)
    assert user.receive(a_request("INVITE", "z9hG4bKa"), other) is None
    assert user.flows[-1] == other
