"""Calls of strangers as a table: what rings already, who asks, and whether one more may."""

from __future__ import annotations

import pytest

from sipcore.perimeter import StrangerCalls
from sipcore.perimeter.limits import CALLS_PER_NETWORK, CALLS_S, NEW_CALLS_PER_LINE

LINE, OTHER, SERVICE = 7, 8, 0
A, B, C, D, E = (f"192.0.{n}.0/24" for n in range(5))


def with_calls(*pairs: tuple[int, str]) -> StrangerCalls:
    strangers = StrangerCalls()
    for number, (line_id, network) in enumerate(pairs):
        strangers.began(str(number), line_id, network, 0.0)
    return strangers


@pytest.mark.parametrize(
    ("held", "line_id", "network", "admitted"),
    [
        ([], LINE, A, True),
        ([(LINE, A)], LINE, A, True),
        ([(LINE, A)] * 2, LINE, A, False),  # two of one network at one line
        ([(LINE, A)] * 2, LINE, B, True),
        ([(LINE, A)] * 2, OTHER, A, True),
        ([(LINE, A), (LINE, B), (LINE, C)], LINE, D, True),
        ([(LINE, A), (LINE, B), (LINE, C), (LINE, D)], LINE, E, False),  # the rest is for friends
        ([(LINE, A), (LINE, B), (LINE, C), (LINE, D)], OTHER, E, True),
        # A network that has not proved its address has four, at whatever lines.
        ([(n, A) for n in range(1, 4)], LINE, A, True),
        ([(n, A) for n in range(1, 5)], LINE, A, False),
        ([(n, A) for n in range(1, 5)], LINE, B, True),
        # A service of ours has a limit of its own (`UserAgent.max_stranger_calls`).
        ([(SERVICE, A)] * 3, SERVICE, A, True),
        ([(SERVICE, A)] * 4, SERVICE, A, False),
        ([(SERVICE, n) for n in (A, B, C, D)], SERVICE, E, True),
    ],
)
def test_whether_one_more_call_may_ring(
    held: list[tuple[int, str]], line_id: int, network: str, admitted: bool
) -> None:
    assert with_calls(*held).admits(line_id, network, 0.0) is admitted


def test_a_network_that_proved_its_address_has_as_many_as_the_lines_allow() -> None:
    strangers = with_calls(*((n, A) for n in range(1, 5)))
    assert strangers.admits(LINE, A, 0.0, is_proved=True)  # came by a connection
    strangers.proved(A)
    assert strangers.admits(LINE, A, 0.0)
    strangers.began("again", 1, A, 0.0)
    assert not strangers.admits(1, A, 0.0)  # two of one network at one line, whatever it has proved
    assert strangers.admits(1, B, 0.0)


def test_who_has_talked_with_a_line_finds_room_that_is_kept_free() -> None:
    strangers = with_calls((LINE, A), (LINE, B), (LINE, C), (LINE, D))
    strangers.answered("0")
    assert strangers.admits(LINE, A, 0.0)
    assert not strangers.admits(LINE, E, 0.0)
    for number, network in enumerate((A, B, C), start=10):
        strangers.answered(str(number - 10))
        strangers.began(str(number), LINE, network, 0.0)
    strangers.ended("0")
    strangers.ended("10")
    assert strangers.admits(LINE, A, 0.0)
    strangers.began("20", LINE, A, 0.0)
    strangers.began("21", LINE, A, 0.0)
    assert not strangers.admits(LINE, D, 0.0)


def test_eight_are_the_most_for_friends_too() -> None:
    networks = [f"198.51.{n}.0/24" for n in range(9)]
    strangers = StrangerCalls()
    for n, network in enumerate(networks):  # each has talked once
        strangers.began(f"old{n}", LINE, network, 0.0)
        strangers.answered(f"old{n}")
        strangers.ended(f"old{n}")
    for n, network in enumerate(networks[:8]):
        assert strangers.admits(LINE, network, 0.0)
        strangers.began(str(n), LINE, network, 0.0)
    assert not strangers.admits(LINE, networks[8], 0.0)


def test_what_has_ended_holds_nothing() -> None:
    strangers = with_calls((LINE, A), (LINE, A))
    strangers.ended("0")
    strangers.ended("0")
    strangers.ended("of an account")
    assert len(strangers) == 1
    assert strangers.admits(LINE, A, 0.0)
    strangers.ended("1")
    assert len(strangers) == 0


def test_an_answer_to_a_call_that_is_over_makes_nobody_known() -> None:
    strangers = with_calls((LINE, A))
    strangers.ended("0")
    strangers.answered("0")
    for number, network in enumerate((B, C, D, E)):
        strangers.began(f"n{number}", LINE, network, 0.0)
    assert not strangers.admits(LINE, A, 0.0)


def test_calls_that_are_over_count_for_a_minute() -> None:
    strangers = StrangerCalls()
    for n in range(NEW_CALLS_PER_LINE):
        assert strangers.admits(LINE, f"192.0.{n}.0/24", 0.0)
        strangers.began(str(n), LINE, f"192.0.{n}.0/24", 0.0)
        strangers.ended(str(n))
    assert not strangers.admits(LINE, E, CALLS_S - 0.1)
    assert strangers.admits(OTHER, E, CALLS_S - 0.1)
    assert strangers.admits(LINE, E, CALLS_S)


def test_one_network_begins_so_many_calls_in_a_minute() -> None:
    strangers = StrangerCalls()
    strangers.proved(A)
    for n in range(CALLS_PER_NETWORK):
        assert strangers.admits(n + 1, A, 0.0)
        strangers.began(str(n), n + 1, A, 0.0)
    assert not strangers.admits(999, A, 1.0)
    assert strangers.admits(999, B, 1.0)
