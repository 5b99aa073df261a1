"""Counters: by reason, since start and by interval; one record for each interval with anything in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import sipcore
from sipcore.eventlog import Counter, Counts, Kind, encode_line
from sipcore.eventlog.limits import INTERVAL_S

AT = 1_700_000_000.0
MALFORMED, STRAY = Counter.MALFORMED, Counter.STRAY_RESPONSE


def begun(now: float = 1000.0) -> Counts:
    counts = Counts()
    assert counts.advance(now, AT) is None
    return counts


def add(counts: Counts, counter: Counter, times: int) -> None:
    for _ in range(times):
        counts.total[counter] += 1


@pytest.mark.parametrize(
    ("intervals", "told"),
    [
        ([{}], [None]),
        ([{MALFORMED: 3}], [{"malformed": 3}]),
        ([{MALFORMED: 3, STRAY: 1}], [{"malformed": 3, "stray_response": 1}]),
        ([{MALFORMED: 3}, {}, {MALFORMED: 2}], [{"malformed": 3}, None, {"malformed": 2}]),
        ([{MALFORMED: 3}, {STRAY: 1}], [{"malformed": 3}, {"stray_response": 1}]),
    ],
)
def test_each_interval_tells_its_own(
    intervals: list[dict[Counter, int]], told: list[dict[str, int] | None]
) -> None:
    counts, now = begun(), 1000.0
    found = []
    for counted in intervals:
        for counter, times in counted.items():
            add(counts, counter, times)
        now += INTERVAL_S
        record = counts.advance(now, AT)
        found.append(None if record is None else record.fields["counts"])
        assert counts.latest == (found[-1] or {})
    assert found == told


def test_nothing_is_told_before_the_interval_is_over() -> None:
    counts = begun()
    add(counts, MALFORMED, 1)
    assert counts.advance(1000.0 + INTERVAL_S - 0.1, AT) is None
    assert counts.advance(1000.0 + INTERVAL_S, AT) is not None
    assert counts.advance(1000.0 + INTERVAL_S + 0.1, AT) is None


def test_a_late_look_says_how_long_the_interval_was() -> None:
    counts = begun()
    add(counts, MALFORMED, 1)
    record = counts.advance(1075.0, AT)
    assert record is not None
    assert record.fields == {"seconds": 75, "counts": {"malformed": 1}}
    add(counts, MALFORMED, 1)
    assert counts.advance(1134.0, AT) is None
    assert counts.advance(1135.0, AT) is not None


def test_what_was_counted_since_start_stays() -> None:
    counts = begun()
    add(counts, MALFORMED, 3)
    counts.advance(1060.0, AT)
    add(counts, MALFORMED, 2)
    assert counts.since_start() == {"malformed": 5}
    assert Counts().since_start() == {}


def test_a_node_that_stops_tells_of_its_last_interval() -> None:
    counts = begun()
    add(counts, STRAY, 1)
    record = counts.close(1012.3, AT)
    assert record is not None
    assert record.fields == {"seconds": 12, "counts": {"stray_response": 1}}
    assert counts.close(1013.0, AT) is None


def test_a_record_of_counts_belongs_to_no_call() -> None:
    counts = begun()
    add(counts, STRAY, 7)
    record = counts.close(1060.0, AT)
    assert record is not None
    assert record.kind == Kind.NODE_COUNTS
    assert json.loads(encode_line(4, record)) == {
        "n": 4,
        "k": "node.counts",
        "c": "",
        "t": AT,
        "seconds": 60,
        "counts": {"stray_response": 7},
    }


def test_values_are_stable() -> None:
    """Records of last year are read by them: add members, change none."""
    assert {counter.value for counter in Counter} == {
        *("malformed", "malformed_answered", "stream_malformed", "stun"),
        *("foreign_response", "stray_response", "response_elsewhere", "stray_ack", "foreign_ack"),
        *("ack_unroutable", "ack_insecure", "request_insecure"),
        *("message_insecure", "message_pending", "message_too_large"),
        *("stranger_refused", "stranger_limited", "stranger_message_limited"),
        *("method_refused", "lookup_limited"),
        *("extra_answer", "too_busy", "stopping", "no_socket", "datagram_not_sent", "kernel_dropped"),
        *("connection_refused", "connection_out_of_reach"),
        *("handshake_refused", "handshake_failed"),
        *("internal_error", "record_dropped", "record_lost"),
    }


@pytest.mark.parametrize("counter", Counter, ids=str)
def test_every_counter_is_counted_somewhere(counter: Counter) -> None:
    root = Path(next(iter(sipcore.__path__)))
    sources = [path for path in root.rglob("*.py") if path.name != "counters.py"]
    used = re.compile(rf"(count\(|total\[|: Final = )Counter\.{counter.name}\b")
    assert any(used.search(path.read_text()) for path in sources), f"{counter!r} is dead"
    assert re.fullmatch("[a-z_]{1,32}", counter.value)
