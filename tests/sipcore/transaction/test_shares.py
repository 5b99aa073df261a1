"""Who may open one more transaction while the table fills up."""

from __future__ import annotations

import pytest

from sipcore.transaction.shares import Shares
from sipcore.transport.flow import Flow
from tests.sipcore.transaction.harness import User, a_request

MOST = 1_000


@pytest.mark.parametrize(
    ("own", "held", "is_known", "admitted"),
    [
        (0, 250, False, True),
        (61, 250, False, True),  # an eighth of what is left for unknown ones, (750 - 250) / 8
        (62, 250, False, False),
        (0, 741, False, True),
        (0, 743, False, False),  # the rest is for those who are known
        (500, 999, True, True),
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
    shares = Shares(8)
    shares.began("192.0.2.1")
    assert not shares.admits("192.0.2.9", 0, False) or shares.admits("192.0.3.9", 0, False)
    shares.ended("192.0.2.200")
    shares.ended("192.0.2.200")
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
    user.table.knows(from_host("198.51.100.7"))
    assert opened(user, "198.51.100.7", 1_000) == 290
    assert len(user.table) == 400
    user.until(100)
    assert len(user.table) == 0
    assert opened(user, "192.0.2.66", 1_000, 5_000) == 100  # and all is as before


def test_a_flood_from_everywhere_leaves_a_part_for_those_who_are_known() -> None:
    user = User(max_servers=400)
    for n in range(250):
        opened(user, f"10.{n}.0.1", 50)
    assert len(user.table) <= 300
    user.table.knows(from_host("198.51.100.7"))
    assert opened(user, "198.51.100.7", 50) == 50
