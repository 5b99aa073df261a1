"""A call is what its records say, whatever order and number they come in."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pytest

from voip_portal.calls.fold import Event, fold

BEGIN = Event("call.begin", 100.0, {"caller_line": 1, "callee_line": 2, "node": "n1"})
RING = Event("call.ring", 101.0, {})
ANSWER = Event("call.answer", 105.0, {"callee_line": 2, "tag": "a"})
END = Event("call.end", 165.25, {"cause": "completed", "by": "callee", "duration_s": 60.2})


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def folded(*events: Event) -> dict[str, Any]:
    call = fold("context", events)
    assert call is not None
    return call


def test_answered_call_has_its_times_and_its_end() -> None:
    call = folded(BEGIN, RING, ANSWER, END)
    assert call["started_at"] == at(100.0)
    assert call["ringing_at"] == at(101.0)
    assert call["answered_at"] == at(105.0)
    assert call["ended_at"] == at(165.25)
    assert call["duration_s"] == 60.2
    assert (call["cause"], call["ended_by"], call["open"]) == ("completed", "callee", False)


@pytest.mark.parametrize("order", list(itertools.permutations((BEGIN, RING, ANSWER, END))))
def test_order_of_arrival_does_not_matter(order: tuple[Event, ...]) -> None:
    assert folded(*order) == folded(BEGIN, RING, ANSWER, END)


def test_doubled_records_change_nothing() -> None:
    twice = (BEGIN, RING, ANSWER, END) * 2
    assert folded(*twice) == folded(BEGIN, RING, ANSWER, END)


def test_call_goes_on_until_its_end_is_known() -> None:
    call = folded(BEGIN, ANSWER)
    assert call["open"]
    assert call["ended_at"] is None
    assert call["duration_s"] is None


def test_nothing_is_known_of_a_call_without_its_begin() -> None:
    assert fold("context", [RING, ANSWER, END]) is None


def test_first_end_counts() -> None:
    later = Event("call.end", 300.0, {"cause": "lost", "by": "system", "duration_s": 195.0})
    assert folded(BEGIN, ANSWER, later, END) == folded(BEGIN, ANSWER, END)


def test_first_answer_of_a_fork_counts() -> None:
    second = Event("call.answer", 105.2, {"callee_line": 9, "tag": "b"})
    assert folded(BEGIN, second, ANSWER)["callee_line"] == 2


def test_answering_line_is_the_called_line() -> None:
    diverted = Event("call.answer", 105.0, {"callee_line": 7, "tag": "a"})
    assert folded(BEGIN, diverted)["callee_line"] == 7


def test_service_that_answers_has_no_line_and_leaves_the_called_one() -> None:
    service = Event("call.answer", 105.0, {"callee_line": None, "tag": "a"})
    assert folded(BEGIN, service)["callee_line"] == 2


def test_unanswered_call_has_no_duration() -> None:
    end = Event("call.end", 130.0, {"cause": "no_answer", "by": "system", "duration_s": None})
    call = folded(BEGIN, RING, end)
    assert call["duration_s"] is None
    assert call["cause"] == "no_answer"


def test_end_seen_by_a_worker_that_did_not_hold_the_call_lasts_from_the_answer() -> None:
    end = Event("call.end", 165.0, {"cause": "completed", "by": "caller", "duration_s": None})
    assert folded(BEGIN, ANSWER, end)["duration_s"] == 60.0


def test_clock_that_went_back_gives_no_negative_duration() -> None:
    end = Event("call.end", 104.0, {"cause": "completed", "by": "caller", "duration_s": None})
    assert folded(BEGIN, ANSWER, end)["duration_s"] == 0.0


def test_overlong_texts_are_cut_to_what_the_table_holds() -> None:
    long = "x" * 5000
    begin = Event("call.begin", 100.0, {"call_id": long, "from": long, "to": long, "dialled": long})
    end = Event("call.end", 101.0, {"cause": "failed", "by": "system", "reason": long})
    call = folded(begin, end)
    assert [len(call[name]) for name in ("call_id", "from_uri", "to_uri", "dialled", "reason")] == [
        128,
        256,
        256,
        128,
        200,
    ]


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        (["ring"], "a phone rang too late"),
        (["ring", "answer"], "a phone was picked up too late"),
        (["nothing we know"], ""),
    ],
)
def test_a_phone_that_came_too_late_is_told(events: list[str], reason: str) -> None:
    missed = Event("call.end", 104.0, {"cause": "no_answer", "by": "system", "status": 408})
    late = [Event("call.late", 106.0 + n, {"event": e}) for n, e in enumerate(events)]
    call = folded(BEGIN, missed, *late)
    assert call["reason"] == reason
    assert (call["cause"], call["ended_at"]) == ("no_answer", at(104.0))


def test_what_was_seen_besides_is_kept_and_nothing_is_none() -> None:
    begin = Event("call.begin", 100.0, BEGIN.data | {"caller_device": 7, "elsewhere": "b.example"})
    moved = [
        Event("call.moved", 110.0, {"by": "caller", "to": "sip:c@a.example"}),
        Event("call.moved", 111.0, {"next": "other"}),
    ]
    answer = Event("call.answer", 105.0, ANSWER.data | {"callee_device": 8})
    end = Event("call.end", 120.0, END.data | {"phones": [[9, 486, "said"], "odd"]})
    call = folded(begin, answer, *moved, end)
    assert (call["caller_device"], call["callee_device"]) == (7, 8)
    assert call["seen"] == {
        "elsewhere": "b.example",
        "moved_by": "caller",
        "moved_to": "sip:c@a.example",
        "went_on_as": "other",
        "phones": [[9, 486, "said"]],
    }
    assert folded(BEGIN, ANSWER, END)["seen"] is None
