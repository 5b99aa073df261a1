"""Storing a batch twice is storing it once, in whatever order batches come."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

import pytest
from django.db import DatabaseError

from tests.voip_portal.calls.conftest import START, Tape
from voip_portal.calls import storing
from voip_portal.calls.models import Call, Record, SpoolPosition
from voip_portal.calls.retention import forget_old
from voip_portal.calls.services import refold_all
from voip_portal.calls.tasks import store_records

SPOOL = "n1-0-1"
pytestmark = pytest.mark.django_db


def everything() -> tuple[list[Any], list[Any], list[Any]]:
    """All rows but for their ids."""
    records = Record.objects.order_by("spool_id", "n")
    return (
        list(records.values_list("spool_id", "n", "kind", "context", "at", "data")),
        list(SpoolPosition.objects.order_by("spool_id").values_list("spool_id", "position")),
        calls(),
    )


def calls() -> list[Any]:
    fields = [f.name for f in Call._meta.concrete_fields if f.name != "id"]
    return list(Call.objects.order_by("context").values_list(*fields))


def test_records_position_and_call_are_stored_together(tape: Tape) -> None:
    store_records(SPOOL, 1, tape.call("c1"))
    assert Record.objects.count() == 4
    assert SpoolPosition.objects.get(spool_id=SPOOL).position == 4
    call = Call.objects.get(context="c1")
    assert call.duration_s == 60.5
    assert (call.caller_line, call.callee_line, call.open) == (1, 2, False)


def test_batch_twice_is_batch_once(tape: Tape) -> None:
    lines = tape.call("c1")
    store_records(SPOOL, 1, lines)
    once = everything()
    store_records(SPOOL, 1, lines)
    assert everything() == once


def test_batch_that_overlaps_adds_only_what_is_new(tape: Tape) -> None:
    lines = tape.call("c1") + tape.call("c2")
    store_records(SPOOL, 1, lines[:5])
    store_records(SPOOL, 3, lines[2:])
    assert Record.objects.count() == 8
    assert SpoolPosition.objects.get().position == 8


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_batches_in_any_order_end_alike(tape: Tape, order: tuple[int, ...]) -> None:
    lines = tape.call("c1") + tape.call("c2") + tape.call("c3")
    batches = [(1, lines[:3]), (4, lines[3:9]), (10, lines[9:])]
    for i in order:
        store_records(SPOOL, *batches[i])
    assert SpoolPosition.objects.get().position == 12
    assert [call.duration_s for call in Call.objects.all()] == [60.5] * 3


def test_position_waits_for_what_is_missing(tape: Tape) -> None:
    lines = tape.call("c1")
    store_records(SPOOL, 3, lines[2:])
    assert SpoolPosition.objects.get().position == 0
    assert not Call.objects.exists()  # its begin is not here
    store_records(SPOOL, 1, lines[:2])
    assert SpoolPosition.objects.get().position == 4
    assert not Call.objects.get().open


def test_declared_gap_is_stepped_over_once(tape: Tape, caplog: pytest.LogCaptureFixture) -> None:
    """As after a backup was restored: of the records 3 to 8, 5 had come early."""
    lines = tape.call("c1") + tape.call("c2") + tape.call("c3")
    store_records(SPOOL, 1, lines[:2])
    store_records(SPOOL, 5, lines[4:5])
    for _ in range(2):
        store_records(SPOOL, 9, lines[8:], after_gap=True)
        assert SpoolPosition.objects.get().position == 12
    assert [record.args for record in caplog.records] == [(SPOOL, 3, 8, 5)]
    assert list(Record.objects.order_by("n").values_list("n", flat=True)) == [
        1,
        2,
        5,
        *range(9, 13),
    ]
    assert not Call.objects.get(context="c3").open


def test_what_comes_of_a_gap_in_time_is_no_part_of_it(
    tape: Tape, caplog: pytest.LogCaptureFixture
) -> None:
    lines = tape.call("c1") + tape.call("c2")
    store_records(SPOOL, 1, lines[:4])
    store_records(SPOOL, 5, lines[4:], after_gap=True)  # declared when 1 to 4 were under way
    assert SpoolPosition.objects.get().position == 8
    assert caplog.records == []
    store_records(SPOOL, 3, lines[2:4])
    assert Record.objects.count() == 8


def test_batch_of_a_thousand_after_a_gap(tape: Tape) -> None:
    lines = [line for i in range(250) for line in tape.call(f"c{i}")]
    store_records(SPOOL, 501, lines[500:], after_gap=True)
    assert SpoolPosition.objects.get().position == 1000
    store_records(SPOOL, 1, lines[:500])  # too late
    assert Record.objects.count() == 500


def test_spools_are_counted_each_by_itself(tape: Tape) -> None:
    store_records("a-0-1", 1, [tape.begin("c1")])
    store_records("b-0-1", 1, [tape.end("c1")])
    assert set(SpoolPosition.objects.values_list("spool_id", "position")) == {
        ("a-0-1", 1),
        ("b-0-1", 1),
    }
    assert Call.objects.get().duration_s == 60.5  # as its end said: the answer comes later
    assert not Call.objects.get().open


def test_batch_of_a_thousand_is_stored_in_short_transactions(tape: Tape) -> None:
    lines = [line for i in range(250) for line in tape.call(f"c{i}")]
    store_records(SPOOL, 1, lines)
    assert SpoolPosition.objects.get().position == 1000
    assert Call.objects.filter(open=False).count() == 250


def test_line_that_is_no_record_uses_up_its_number(tape: Tape) -> None:
    begin, _, answer, end = tape.call("c1")
    for broken in ("{cut sho", "[]", "7", '{"k": "call.ring"}', "null"):
        Record.objects.all().delete()
        SpoolPosition.objects.all().delete()
        store_records(SPOOL, 1, [begin, broken, answer, end])
        assert SpoolPosition.objects.get().position == 4
        assert Record.objects.get(n=2).kind == storing.UNREADABLE
    assert Call.objects.get().duration_s == 60.5


def test_failure_stores_nothing_of_the_batch(tape: Tape, monkeypatch: Any) -> None:
    def fails(contexts: Any) -> int:
        raise DatabaseError("away")

    monkeypatch.setattr(storing, "fold_calls", fails)
    with pytest.raises(DatabaseError):
        store_records(SPOOL, 1, tape.call("c1"))
    assert not Record.objects.exists()
    assert not SpoolPosition.objects.filter(position__gt=0).exists()


def test_records_of_no_call_make_no_call(tape: Tape) -> None:
    line = tape.line("auth.refused", username="anna", known=True, source="192.0.2.1", count=1)
    store_records(SPOOL, 1, [line])
    assert Record.objects.get().data["username"] == "anna"
    assert not Call.objects.exists()


def test_what_a_node_counted_is_stored_and_is_no_call(tape: Tape) -> None:
    counts = tape.line("node.counts", at=START, seconds=60, counts={"malformed": 9000})
    store_records(SPOOL, 1, [counts, *tape.call("c1")])
    record = Record.objects.get(kind="node.counts")
    assert record.data == {"seconds": 60, "counts": {"malformed": 9000}}
    assert [call.context for call in Call.objects.all()] == ["c1"]
    assert refold_all() == 1
    assert forget_old(START + 1000 * 86_400) > 0
    assert not Record.objects.exists()


def test_folding_again_from_scratch_gives_the_same(tape: Tape) -> None:
    shuffled = random.Random(7)
    lines = [line for i in range(30) for line in tape.call(f"c{i:02}")]
    batches = [(n + 1, lines[n : n + 7]) for n in range(0, len(lines), 7)]
    shuffled.shuffle(batches)
    for first, batch in batches:
        store_records(SPOOL, first, batch)
    before = calls()
    ids = dict(Call.objects.values_list("context", "id"))
    assert refold_all() == 30
    assert calls() == before
    assert dict(Call.objects.values_list("context", "id")) == ids
    Call.objects.all().delete()
    refold_all()
    assert calls() == before


def test_names_that_databases_refuse_are_stored_all_the_same(tape: Tape) -> None:
    store_records(SPOOL, 1, [tape.begin("c1", dialled="sip:\u00e5sa@x' OR 1=1 --%s{}?")])
    assert Call.objects.get().dialled == "sip:åsa@x' OR 1=1 --%s{}?"


def test_stored_data_is_what_the_line_said(tape: Tape) -> None:
    line = tape.begin("c1")
    store_records(SPOOL, 1, [line])
    said = json.loads(line)
    assert Record.objects.get().data == {k: v for k, v in said.items() if k not in "nkct"}
