"""Which flows are kept open, when, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from sipcore.transport.flow import Flow
from sipcore.transport.keep_alive import KeepAlives
from sipcore.transport.limits import MAX_FLOWS, MAX_LINES, MOST_AT_ONCE

EVERY_S: Final = 25.0


def flow(number: int = 1) -> Flow:
    return Flow("UDP", ("10.0.0.1", 5060), ("203.0.113.9", number))


def always(line_id: int, at: Flow) -> bool:
    return True


def never(line_id: int, at: Flow) -> bool:
    return False


def of_lines(*line_ids: int) -> Callable[[int, Flow], bool]:
    return lambda line_id, at: line_id in line_ids


@pytest.mark.section("5626 4.4.2")
@pytest.mark.parametrize(
    ("now", "due"), [(99.0, False), (100.0, False), (124.9, False), (125.0, True), (200.0, True)]
)
def test_a_flow_is_due_after_the_interval(now: float, due: bool) -> None:
    keep = KeepAlives(EVERY_S)
    keep.add(flow(), 1, 100.0)
    assert keep.due(now, always) == ([flow()] if due else [])
    assert len(keep) == 1


def test_a_flow_is_due_again_and_again_until_nobody_needs_it() -> None:
    keep = KeepAlives(EVERY_S)
    keep.add(flow(), 1, 0.0)
    sent = [now for now in range(100) if keep.due(float(now), always)]
    assert sent == [25, 50, 75]
    assert keep.due(100.0, never) == []
    assert len(keep) == 0
    assert keep.due(200.0, always) == []
    keep.add(flow(), 1, 300.0)
    assert keep.due(325.0, always) == [flow()]


def test_a_refresh_changes_nothing() -> None:
    keep = KeepAlives(EVERY_S)
    for now in (0.0, 10.0, 24.0):
        keep.add(flow(), 1, now)
    assert keep.due(25.0, always) == [flow()]
    assert keep.due(49.0, always) == []
    assert len(keep) == 1


def test_flows_come_in_the_order_in_which_they_are_due() -> None:
    keep = KeepAlives(EVERY_S)
    for number in (3, 1, 2):
        keep.add(flow(number), 1, float(number == 2))
    assert keep.due(25.0, always) == [flow(3), flow(1)]
    assert keep.due(50.0, always) == [flow(2), flow(3), flow(1)]


def test_an_interval_of_nothing_keeps_nothing_open() -> None:
    keep = KeepAlives(0.0)
    keep.add(flow(), 1, 0.0)
    assert (len(keep), keep.due(1_000.0, always)) == (0, [])


@pytest.mark.parametrize(
    ("heard_at", "sent"),
    [
        # A phone that keeps its flow open needs nothing of ours, and may lose one.
        ([], [25, 50, 75, 100]),
        ([0], [75, 100]),
        ([20], [75, 100]),
        ([20, 45, 70, 95], []),
        ([24.9], [75, 100]),
        ([25], [100]),
    ],
    ids=str,
)
def test_a_phone_that_keeps_its_flow_open_itself(heard_at: list[float], sent: list[int]) -> None:
    keep = KeepAlives(EVERY_S)
    keep.add(flow(), 1, 0.0)
    found = []
    for now in range(101):
        for at in heard_at:
            if now <= at < now + 1:
                keep.heard(flow(), at)
        if keep.due(float(now), always):
            found.append(now)
    assert found == sent


def test_what_was_heard_of_a_flow_goes_with_it() -> None:
    keep = KeepAlives(EVERY_S)
    keep.heard(flow(), 0.0)  # nobody has registered by it
    keep.add(flow(), 1, 0.0)
    assert keep.due(25.0, always) == [flow()]
    keep.heard(flow(), 30.0)
    assert keep.due(50.0, never) == []
    keep.add(flow(), 1, 51.0)
    assert keep.due(76.0, always) == [flow()]


@pytest.mark.parametrize(
    ("needed_by", "kept"), [((1,), True), ((2,), True), ((1, 2), True), ((3,), False), ((), False)]
)
def test_a_flow_stays_while_one_of_its_accounts_needs_it(
    needed_by: tuple[int, ...], kept: bool
) -> None:
    keep = KeepAlives(EVERY_S)
    for line_id in (1, 2, 1):
        keep.add(flow(), line_id, 0.0)
    assert keep.due(25.0, of_lines(*needed_by)) == ([flow()] if kept else [])
    assert len(keep) == kept


def test_each_flow_is_asked_for_by_itself() -> None:
    keep = KeepAlives(EVERY_S)
    keep.add(flow(1), 1, 0.0)
    keep.add(flow(2), 1, 0.0)
    assert keep.due(25.0, lambda line_id, at: at == flow(2)) == [flow(2)]
    assert len(keep) == 1


def test_of_many_accounts_the_last_ones_are_remembered() -> None:
    keep = KeepAlives(EVERY_S)
    for line_id in range(MAX_LINES + 1):
        keep.add(flow(), line_id, 0.0)
    asked: list[int] = []

    def needs(line_id: int, at: Flow) -> bool:
        asked.append(line_id)
        return False

    keep.due(25.0, needs)
    assert asked == list(range(1, MAX_LINES + 1))


def test_an_account_that_refreshes_takes_no_other_ones_place() -> None:
    keep = KeepAlives(EVERY_S)
    for line_id in [1] + [2] * MAX_LINES:
        keep.add(flow(), line_id, 0.0)
    assert keep.due(25.0, of_lines(1)) == [flow()]


def test_at_one_look_so_many_are_sent_and_the_others_at_the_next() -> None:
    keep = KeepAlives(EVERY_S)
    for number in range(MOST_AT_ONCE + 5):
        keep.add(flow(number), 1, 0.0)
    assert keep.due(25.0, always) == [flow(n) for n in range(MOST_AT_ONCE)]
    assert keep.due(26.0, always) == [flow(n) for n in range(MOST_AT_ONCE, MOST_AT_ONCE + 5)]
    assert keep.due(27.0, always) == []


def test_so_many_flows_are_kept_open_and_no_more() -> None:
    keep = KeepAlives(EVERY_S)
    for number in range(MAX_FLOWS + 1):
        keep.add(flow(number), 1, 0.0)
    assert len(keep) == MAX_FLOWS
    keep.add(flow(0), 2, 0.0)  # one that is known takes no more room
    for _ in range(MAX_FLOWS // MOST_AT_ONCE):
        assert MAX_FLOWS not in [f.remote[1] for f in keep.due(25.0, always)]
    assert keep.due(25.0, always) == []
