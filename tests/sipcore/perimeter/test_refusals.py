"""Which refused credentials get a record: rows of what comes, and what is told."""

from __future__ import annotations

import tracemalloc

from sipcore.perimeter import Refusals
from sipcore.perimeter.limits import REFUSAL_RECORDS_PER_INTERVAL, REFUSAL_SLOTS

KEY = b"k" * 32
SOURCE = "192.0.2.7"


def test_the_first_is_told_and_what_follows_within_two_seconds_is_counted() -> None:
    refusals = Refusals(KEY)
    times = [0.0, 0.5, 1.9, 2.0, 2.1, 9.0]
    told = [refusals.refused(SOURCE, "anna", str(n), now) for n, now in enumerate(times)]
    assert told == [1, 0, 0, 3, 0, 2]


def test_a_request_that_is_sent_again_counts_once() -> None:
    refusals = Refusals(KEY)
    told = [refusals.refused(SOURCE, "anna", "call|1", now) for now in (0.0, 0.5, 3.0)]
    assert told == [1, 0, 0]
    assert refusals.refused(SOURCE, "anna", "call|2", 4.0) == 1


def test_sources_and_names_are_told_apart() -> None:
    refusals = Refusals(KEY)
    pairs = [("192.0.2.7", "anna"), ("192.0.2.7", "bob"), ("192.0.2.8", "anna")]
    assert [refusals.refused(*pair, "x", 0.0) for pair in pairs] == [1, 1, 1]


def test_a_flood_of_new_names_writes_a_bounded_number_of_records() -> None:
    refusals = Refusals(KEY)
    told = sum(
        refusals.refused(f"10.0.{n % 250}.7", f"x{n}", str(n), n / 2_000) for n in range(100_000)
    )
    assert told == REFUSAL_RECORDS_PER_INTERVAL
    hidden = refusals.take_sum()
    assert hidden > 80_000  # the rest waits in the table for the next of its name
    assert refusals.take_sum() == 0


def test_the_next_interval_has_records_of_its_own() -> None:
    refusals = Refusals(KEY)
    for n in range(1_000):
        refusals.refused(SOURCE, f"x{n}", str(n), 0.0)
    assert refusals.refused(SOURCE, "late", "y", 59.0) == 0
    assert refusals.refused(SOURCE, "later", "z", 60.0) == 1


def test_the_table_has_a_fixed_size() -> None:
    refusals = Refusals(KEY)
    for n in range(3 * REFUSAL_SLOTS):
        refusals.refused(SOURCE, f"x{n}", str(n), 0.0)
    assert len(refusals) <= REFUSAL_SLOTS


def test_a_long_call_id_costs_no_more_than_a_short_one() -> None:
    def held(length: int) -> int:
        tracemalloc.start()
        refusals = Refusals(KEY)
        for n in range(2_000):
            refusals.refused(SOURCE, f"user{n}", f"{n}" + "x" * length, n * 0.001)
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return size

    assert held(8_000) < 1.1 * held(10)
