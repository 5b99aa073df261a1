"""The subscriptions that a worker holds: for how long, how many, and what its successor finds."""

from __future__ import annotations

import json
from typing import Any

from sipcore.calls import Subscription, SubscriptionTable
from sipcore.calls.limits import LAST_NEWS_S, LONGEST_SUBSCRIPTION_S, MAX_NOTIFIERS
from sipcore.calls.subscriptions import AS_BEFORE, OVER
from sipcore.transport.flow import Flow

FLOW = Flow("TCP", ("10.0.0.1", 5060), ("203.0.113.9", 40_123), 7)
AT = 1_700_000_000.0
"""What the clock on the wall says when the worker's says 0."""


def subscription(context: str = "c1", subscriber: int | str = 1, until: float = 600.0) -> Subscription:
    return Subscription(
        context,
        (f"call-of-{context}", "tag"),
        (subscriber, 2),
        ("sip:anna@campus.example", "sip:bob@campus.example"),
        ["presence"],
        ("sip:anna@192.168.4.4", FLOW),
        until,
    )


def table(rows: list[dict[str, Any]] | None = None, **bounds: int) -> SubscriptionTable:
    return SubscriptionTable((rows if rows is not None else []).append, **bounds)


def test_a_notifier_says_how_long_it_goes_on_and_the_last_news_may_come_later() -> None:
    held = subscription()
    held.heard("n", 100.0, 10.0)
    assert held.until == 110.0 + LAST_NEWS_S
    held.heard("n", AS_BEFORE, 50.0)
    assert held.until == 110.0 + LAST_NEWS_S
    held.heard("n", 1e9, 50.0)
    assert held.until == 50.0 + LONGEST_SUBSCRIPTION_S + LAST_NEWS_S
    held.heard("n", OVER, 60.0)
    assert held.until == 60.0 + LAST_NEWS_S


def test_of_several_notifiers_the_longest_counts_until_all_have_ended() -> None:
    held = subscription()
    held.heard("one", 300.0, 0.0)
    held.heard("other", 100.0, 0.0)
    assert held.until == 300.0 + LAST_NEWS_S
    held.heard("one", OVER, 10.0)
    assert held.until == 300.0 + LAST_NEWS_S
    held.heard("other", OVER, 20.0)
    assert held.until == 20.0 + LAST_NEWS_S


def test_so_many_notifiers_of_a_fork_are_remembered_and_no_more() -> None:
    held = subscription()
    for number in range(2 * MAX_NOTIFIERS):
        held.heard(f"n{number}", 100.0, 0.0)
    assert len(held.notifiers) == MAX_NOTIFIERS


def test_a_successor_finds_what_was_accepted_and_goes_on() -> None:
    rows: list[dict[str, Any]] = []
    before = table(rows)
    for context in ("accepted", "asked", "ended", "over"):
        before.begin(subscription(context), 0.0)
    before.heard("accepted", "n", 500.0, 1.0, AT + 1.0)
    before.heard("ended", "n", 500.0, 1.0, AT + 1.0)
    before.heard("over", "n", 5.0, 1.0, AT + 1.0)
    before.end("ended")
    written = json.loads(json.dumps([*rows, {"op": "open", "c": "a-call"}]))
    after = table()
    after.adopt(written, 1000.0, AT + 100.0)  # another clock, a hundred seconds later
    assert len(after) == 1
    [held] = [after.get("accepted", 1000.0)]
    assert held is not None
    assert held.until == 1000.0 + 401.0 + LAST_NEWS_S
    assert held.flow == FLOW
    was = before.get("accepted", 1.0)
    assert was is not None
    for name in ("call_id", "subscriber_tag", "lines", "parties", "packages", "contact", "notifiers"):
        assert getattr(held, name) == getattr(was, name), name
    assert after.named("call-of-accepted", "tag", 1000.0) is held
    assert len(after.journal_rows(1000.0, AT + 100.0)) == 1


def test_a_row_is_written_when_the_end_has_moved_and_not_with_every_notify() -> None:
    rows: list[dict[str, Any]] = []
    held = table(rows)
    held.begin(subscription(), 0.0)
    assert rows == []
    for now in range(20):
        held.heard("c1", "n", 600.0 - now, float(now), AT + now)
    assert len(rows) == 1
    held.heard("c1", "n", 3600.0, 20.0, AT + 20.0)
    assert len(rows) == 2
    held.end("c1")
    assert rows[-1] == {"op": "end", "c": "c1"}


def test_one_that_is_asked_for_once_leaves_no_row() -> None:
    rows: list[dict[str, Any]] = []
    held = table(rows)
    held.begin(subscription(), 0.0)
    held.heard("c1", "n", OVER, 1.0, AT)
    held.forget_over(2.0 + LAST_NEWS_S)
    assert len(held) == 0
    assert rows == []


def test_those_that_nobody_refreshes_go_first() -> None:
    held = table(most=3)
    for context in ("a", "b", "c"):
        held.begin(subscription(context), 0.0)
    held.heard("a", "n", 600.0, 1.0, AT)
    held.begin(subscription("d"), 2.0)
    assert [held.get(c, 2.0) is not None for c in "abcd"] == [True, False, True, True]


def test_the_subscriptions_of_one_push_out_their_own_only() -> None:
    held = table(most_of_one=2)
    held.begin(subscription("other", subscriber="pbx.example"), 0.0)
    for context in ("a", "b", "c"):
        held.begin(subscription(context), 0.0)
    assert [held.get(c, 0.0) is not None for c in ("other", "a", "b", "c")] == [True, False, True, True]


def test_a_line_takes_along_what_it_watches_and_who_watches_it() -> None:
    held = table()
    held.begin(subscription("a", subscriber=1), 0.0)
    held.begin(subscription("b", subscriber=3), 0.0)
    held.end_of({1})
    assert [held.get(c, 0.0) is not None for c in "ab"] == [False, True]
    held.end_of({2})
    assert len(held) == 0


def test_a_refusal_ends_what_nobody_has_notified_of() -> None:
    held = table()
    for context in ("refused", "told"):
        held.begin(subscription(context), 0.0)
    held.heard("told", "n", 60.0, 1.0, AT)
    held.end_refused("refused")
    held.end_refused("told")  # of a fork: one has accepted, by its NOTIFY
    assert [held.get(c, 1.0) is not None for c in ("refused", "told")] == [False, True]
