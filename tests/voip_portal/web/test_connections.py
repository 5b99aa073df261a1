"""Who has to go, as rules on plain values."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from voip_portal.web.connections import Doing, overdue, surplus
from voip_portal.web.limits import WebLimits, within_files

LIMITS = WebLimits(connections=6, connections_per_source=3, bodies_bytes=1000, answers_bytes=1000)


@dataclass(eq=False)
class Someone:
    source: str
    since: float
    doing: Doing = Doing.IDLE
    body_bytes: int = 0
    neighbours: str = ""
    answer_bytes: int = 0

    def close_now(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("doing", "body_bytes", "waited", "too_long"),
    [
        (Doing.IDLE, 0, 14.9, False),
        (Doing.IDLE, 0, 15.1, True),
        (Doing.HEADERS, 0, 9.9, False),
        (Doing.HEADERS, 0, 10.1, True),
        (Doing.BODY, 0, 19.9, False),
        (Doing.BODY, 40, 20.1, True),  # two bytes a second
        (Doing.BODY, 500_000, 240.0, False),  # a slow network
        (Doing.BODY, 500_000, 265.0, True),
        (Doing.SENDING, 0, 1e6, False),
        (Doing.SERVED, 0, 1e6, False),
    ],
)
def test_who_takes_too_long(doing: Doing, body_bytes: int, waited: float, too_long: bool) -> None:
    assert overdue(Someone("a", 5.0, doing, body_bytes), LIMITS, 5.0 + waited) is too_long


def test_the_longest_waiting_of_the_source_that_has_too_many_goes() -> None:
    crowd = [Someone("a", float(n)) for n in range(3)]
    newest = Someone("a", 9.0)
    other = Someone("b", -50.0)
    assert list(surplus([other, *crowd, newest], LIMITS)) == [crowd[0]]


def test_what_is_served_stays_and_what_takes_an_answer_goes_last() -> None:
    served = Someone("a", 0.0, Doing.SERVED)
    sending = Someone("a", 1.0, Doing.SENDING)
    slow = [Someone("a", 5.0, Doing.BODY), Someone("a", 6.0, Doing.HEADERS)]
    assert list(surplus([served, sending, *slow], LIMITS)) == [slow[0]]


def test_the_newest_goes_where_all_are_served() -> None:
    served = [Someone("a", 0.0, Doing.SERVED) for _ in range(3)]
    newest = Someone("a", 1.0, Doing.SERVED)
    assert list(surplus([*served, newest], LIMITS)) == [newest]


def test_connections_of_a_proxy_are_not_counted_for_it() -> None:
    assert list(surplus([Someone("", float(n)) for n in range(6)], LIMITS)) == []


def test_the_fullest_network_makes_room_when_all_places_are_taken() -> None:
    attackers = [Someone(f"a{n}", 10.0 + n, neighbours="a") for n in range(5)]
    others = [Someone(f"b{n}", 0.0, neighbours=f"b{n}") for n in range(2)]
    assert list(surplus([*others, *attackers], LIMITS)) == [attackers[0]]


def test_the_largest_body_goes_when_bodies_take_too_much() -> None:
    bodies = [Someone(f"s{n}", 0.0, Doing.BODY, n * 200) for n in range(1, 4)]
    assert list(surplus(bodies, LIMITS)) == [bodies[2]]


def test_the_largest_answer_goes_when_nobody_takes_them() -> None:
    answers = [Someone(f"s{n}", 0.0, Doing.SENDING, answer_bytes=n * 200) for n in range(1, 4)]
    assert list(surplus(answers, LIMITS)) == [answers[2]]


@pytest.mark.parametrize(("files", "connections"), [(None, 6), (1024, 6), (9, 3), (1, 1)])
def test_few_open_files_make_few_connections(files: int | None, connections: int) -> None:
    assert within_files(LIMITS, files).connections == connections
