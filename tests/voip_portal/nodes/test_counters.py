"""What a node counts, as staff read it."""

from __future__ import annotations

import pytest
from django.utils import translation

from sipcore.eventlog import Counter
from voip_portal.nodes.counters import REASONS, Count, counted


def test_every_counter_is_told_in_words() -> None:
    assert set(REASONS) == {counter.value for counter in Counter}


@pytest.mark.parametrize("name", REASONS)
def test_the_words_differ_in_swedish(name: str) -> None:
    with translation.override("en"):
        english = str(REASONS[name])
    with translation.override("sv"):
        assert str(REASONS[name]) != english


@pytest.mark.parametrize(
    ("counts", "rows"),
    [
        ({}, []),
        ({"latest": {}, "total": {}}, []),
        ({"latest": {}, "total": {"stun": 3}}, [("stun", 0, 3)]),
        (
            {"latest": {"malformed": 7}, "total": {"stray_ack": 900, "malformed": 9, "stun": 3}},
            [("malformed", 7, 9), ("stray_ack", 0, 900), ("stun", 0, 3)],
        ),
    ],
)
def test_what_goes_on_now_comes_first(
    counts: dict[str, dict[str, int]], rows: list[tuple[str, int, int]]
) -> None:
    assert [(row.name, row.latest, row.total) for row in counted(counts)] == rows


def test_a_reason_of_a_newer_node_is_shown_by_its_name() -> None:
    assert counted({"total": {"aliens": 2}}) == [Count("aliens", "aliens", 0, 2)]
