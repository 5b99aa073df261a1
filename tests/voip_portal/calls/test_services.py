"""Refusals, folding again, retention."""

from __future__ import annotations

import time
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from tests.voip_portal.calls.conftest import START, Tape
from voip_portal.calls import retention
from voip_portal.calls.models import Call, Record, SpoolPosition
from voip_portal.calls.services import recent_refusals, refold_open
from voip_portal.calls.tasks import store_records

pytestmark = pytest.mark.django_db
DAY = 86_400


def refused(tape: Tape, username: str, source: str, at: float, *, known: bool = True) -> None:
    line = tape.line("auth.refused", "", at, username=username, known=known, source=source, count=1)
    store_records("n1-0-1", tape.n, [line])


def test_refusals_of_a_name_or_an_address_come_newest_first(tape: Tape) -> None:
    now = time.time()
    refused(tape, "anna", "192.0.2.1", now - 30)
    refused(tape, "ana", "192.0.2.7", now - 20, known=False)
    refused(tape, "boris", "192.0.2.9", now - 10)
    found = recent_refusals("anna", "192.0.2.7")
    assert [(r["username"], r["known"]) for r in found] == [("ana", False), ("anna", True)]


def test_old_refusals_are_over(tape: Tape) -> None:
    refused(tape, "anna", "192.0.2.1", time.time() - 400)
    assert recent_refusals("anna", "192.0.2.1") == []


def test_call_that_seems_to_go_on_is_folded_again(tape: Tape) -> None:
    store_records("n1-0-1", 1, tape.call("c1"))
    Call.objects.update(open=True, ended_at=None, duration_s=None)
    assert refold_open(START + 100) == 0  # it may well go on
    assert refold_open(START + 2 * 3600) == 1
    call = Call.objects.get()
    assert (call.open, call.duration_s) == (False, 60.5)


def test_refold_command_counts_calls(tape: Tape) -> None:
    store_records("n1-0-1", 1, tape.call("c1") + tape.call("c2"))
    out = StringIO()
    call_command("refold", stdout=out)
    assert out.getvalue().strip() == "2 calls"


def test_retention_deletes_what_is_old_and_keeps_the_rest(tape: Tape, settings: Any) -> None:
    settings.VOIP_KEEP_DAYS = 100
    now = START + 101 * DAY
    store_records("n1-0-1", 1, tape.call("old") + tape.call("new", now - DAY))
    assert retention.forget_old(now) == 5
    assert set(Record.objects.values_list("context", flat=True)) == {"new"}
    assert Call.objects.get().context == "new"
    assert SpoolPosition.objects.get().position == 8  # or the spool would be sent again


def test_refusals_are_kept_for_a_shorter_time(tape: Tape) -> None:
    now = time.time()
    refused(tape, "anna", "192.0.2.1", now - 31 * DAY)
    refused(tape, "anna", "192.0.2.1", now - 29 * DAY)
    assert retention.forget_old(now) == 1


def test_retention_goes_in_small_batches_and_goes_on_next_time(
    tape: Tape, monkeypatch: Any, settings: Any
) -> None:
    settings.VOIP_KEEP_DAYS = 100
    monkeypatch.setattr(retention, "BATCH", 3)
    lines = [line for i in range(5) for line in tape.call(f"c{i}")]
    store_records("n1-0-1", 1, lines)
    now = START + 101 * DAY
    assert retention.forget_old(now, max_batches=1) == 3
    while retention.forget_old(now, max_batches=2):
        pass
    assert not Record.objects.exists()
    assert not Call.objects.exists()


def test_retention_twice_is_retention_once(tape: Tape) -> None:
    store_records("n1-0-1", 1, tape.call("c1"))
    now = START + 400 * DAY
    assert retention.forget_old(now) == 5
    assert retention.forget_old(now) == 0
