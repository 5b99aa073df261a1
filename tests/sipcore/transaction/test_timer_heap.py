"""The heap that all timers of a worker share."""

from __future__ import annotations

import gc
import weakref

from hypothesis import given
from hypothesis import strategies as st

from sipcore.transaction import TimerHeap
from sipcore.transaction.timers import REBUILD_FROM


def test_keys_come_back_in_order_of_their_deadlines_and_then_of_their_arrival() -> None:
    heap = TimerHeap()
    for deadline, key in ((3.0, "c"), (1.0, "a"), (3.0, "d"), (2.0, "b"), (9.0, "z")):
        heap.schedule(deadline, key)
    assert heap.next_deadline() == 1.0
    assert list(heap.pop_due(0.9)) == []
    assert list(heap.pop_due(3.0)) == ["a", "b", "c", "d"]
    assert heap.next_deadline() == 9.0
    assert len(heap) == 1


def test_a_cancelled_deadline_never_comes() -> None:
    heap = TimerHeap()
    first, second = heap.schedule(1.0, "a"), heap.schedule(2.0, "b")
    heap.cancel(first)
    assert heap.next_deadline() == 2.0
    heap.cancel(second)
    heap.cancel(second)
    assert heap.next_deadline() is None
    assert list(heap.pop_due(10.0)) == []
    assert len(heap) == 0


def test_cancelling_in_the_middle_is_skipped_when_its_time_comes() -> None:
    heap = TimerHeap()
    heap.schedule(1.0, "a")
    token = heap.schedule(2.0, "b")
    heap.schedule(3.0, "c")
    heap.cancel(token)
    assert list(heap.pop_due(5.0)) == ["a", "c"]


def test_a_deadline_that_has_passed_may_be_cancelled() -> None:
    heap = TimerHeap()
    token = heap.schedule(1.0, "a")
    heap.schedule(2.0, "b")
    assert list(heap.pop_due(1.0)) == ["a"]
    heap.cancel(token)
    assert list(heap.pop_due(2.0)) == ["b"]


def test_deadlines_may_be_added_and_cancelled_while_others_come() -> None:
    heap = TimerHeap()
    tokens = {key: heap.schedule(float(key), key) for key in (1, 2, 3)}
    seen = []
    for key in heap.pop_due(5.0):
        seen.append(key)
        if key == 1:
            heap.cancel(tokens[2])
            heap.schedule(4.0, 4)
            heap.schedule(6.0, 6)
    assert seen == [1, 3, 4]
    assert heap.next_deadline() == 6.0


def test_an_entry_not_fetched_comes_again() -> None:
    heap = TimerHeap()
    heap.schedule(1.0, "a")
    heap.schedule(1.0, "b")
    assert next(heap.pop_due(1.0)) == "a"
    assert list(heap.pop_due(1.0)) == ["b"]


def test_a_cancelled_entry_keeps_nothing_alive() -> None:
    class Call:
        pass

    heap, call = TimerHeap(), Call()
    gone = weakref.ref(call)
    heap.cancel(heap.schedule(32.0, call))
    del call
    gc.collect()
    assert gone() is None


def test_cancelled_entries_do_not_pile_up() -> None:
    heap = TimerHeap()
    heap.schedule(1.0, "kept")
    for n in range(50_000):
        heap.cancel(heap.schedule(32.0 + n / 1000, n))
        assert len(heap._heap) <= REBUILD_FROM
    assert list(heap.pop_due(1000.0)) == ["kept"]


def test_order_survives_rebuilding() -> None:
    heap, kept = TimerHeap(rebuild_from=0), []
    for n in range(500):
        deadline = float(n * 7919 % 499)  # all over the place
        token = heap.schedule(deadline, deadline)
        if n % 8:
            heap.cancel(token)
        else:
            kept.append(deadline)
    assert len(heap._heap) <= 4 * len(kept)
    assert list(heap.pop_due(1000.0)) == sorted(kept)


def test_repr_says_how_much_waits_for_when() -> None:
    heap = TimerHeap()
    heap.schedule(1.0, "a")
    heap.cancel(heap.schedule(2.0, "b"))
    assert repr(heap) == "<TimerHeap 1 of 2 next=1.0>"


@given(
    st.sampled_from([0, REBUILD_FROM]),
    st.lists(
        st.tuples(st.integers(0, 50), st.booleans(), st.one_of(st.none(), st.integers(0, 60))),
        max_size=60,
    ),
)
def test_it_does_what_a_sorted_list_does(
    rebuild_from: int, steps: list[tuple[int, bool, int | None]]
) -> None:
    heap = TimerHeap(rebuild_from)
    model: dict[int, tuple[int, int]] = {}
    for number, (deadline, cancel, now) in enumerate(steps):
        token = heap.schedule(float(deadline), number)
        model[token] = (deadline, number)
        if cancel:
            victim = sorted(model)[deadline % len(model)]
            del model[victim]
            heap.cancel(victim)
        if now is not None:
            due = sorted(entry for entry in model.values() if entry[0] <= now)
            model = {t: entry for t, entry in model.items() if entry[0] > now}
            assert list(heap.pop_due(float(now))) == [number for _, number in due]
        assert len(heap) == len(model)
        assert heap.next_deadline() == (min(model.values())[0] if model else None)
