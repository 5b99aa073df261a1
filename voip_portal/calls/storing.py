"""Storing a batch of spool lines: twice is once, and a call is folded as its records come.

Batches of one spool may arrive doubled or out of order. A record is unique by (spool, number), and
the position is the last number without a gap before it, so what comes early is kept and what comes
again changes nothing. Records, position and calls are written in one transaction.

A gap is something that is still to come, unless the shipper declares that no file holds it any more:
then the position steps over it, and what comes of it after that is too late.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

from django.db import connection, transaction

from voip_portal.calls.fold import Event, fold
from voip_portal.calls.models import Call, Record, SpoolPosition

log = logging.getLogger(__name__)

MAX_BATCH: Final = 200
"""Records in one transaction: the write lock is held for some 20 ms."""
UNREADABLE: Final = "unreadable"
"""Kind of a line that is no record: its number must be used up all the same."""
_FIXED: Final = frozenset({"n", "k", "c", "t"})
_INSERT: Final = (
    "INSERT INTO calls_record (spool_id, n, kind, context, at, data)"
    " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (spool_id, n) DO NOTHING"
)
_CALL_FIELDS: Final = [
    field.name for field in Call._meta.concrete_fields if field.name not in ("id", "context")
]


class Row(NamedTuple):
    """A spool line as it is stored."""

    n: int
    kind: str
    context: str
    at: float
    data: str
    """The fields of its kind, as JSON."""


def store_lines(
    spool_id: str, first_n: int, lines: Sequence[str], *, after_gap: bool = False
) -> int:
    """Store the records that begin with number `first_n`; how far the spool is stored now.

    With `after_gap`, what is missing before them is not waited for.
    """
    rows = [read_line(first_n + i, line) for i, line in enumerate(lines)]
    # That stays true whenever the task runs, and however often: what is written to a spool comes
    # after all that is there, so a number that no file holds will never be in one.
    missing_to = first_n - 1 if after_gap else 0
    position = 0
    for start in range(0, len(rows), MAX_BATCH):
        position = _store(spool_id, rows[start : start + MAX_BATCH], missing_to)
    return position


def read_line(n: int, line: str) -> Row:
    """One line of a spool. What is no record becomes one that says so."""
    try:
        fields = json.loads(line)
        kind, context, at = str(fields["k"]), str(fields["c"]), float(fields["t"])
        rest = {key: value for key, value in fields.items() if key not in _FIXED}
        return Row(n, kind[:32], context[:16], at, json.dumps(rest))
    except (ValueError, KeyError, TypeError, AttributeError):
        log.error("spool line %d is no record", n)
        return Row(n, UNREADABLE, "", 0.0, "{}")


def _store(spool_id: str, rows: Sequence[Row], missing_to: int) -> int:
    with transaction.atomic():
        position = _locked_position(spool_id)
        if position.position < missing_to:
            _step_over(position, missing_to)
        fresh = [row for row in rows if row.n > position.position]
        if fresh:
            with connection.cursor() as cursor:
                cursor.executemany(_INSERT, [(spool_id, *row) for row in fresh])
            position.position = _end_of_run(spool_id, position.position, fresh)
            position.save(update_fields=["position"])
            fold_calls({row.context for row in fresh if row.context})
        return position.position


def _locked_position(spool_id: str) -> SpoolPosition:
    """The spool's position, locked against other workers where the database locks rows."""
    SpoolPosition.objects.get_or_create(spool_id=spool_id)
    return SpoolPosition.objects.select_for_update().get(spool_id=spool_id)


def _step_over(position: SpoolPosition, missing_to: int) -> None:
    """Wait no longer for what is missing up to this number."""
    numbers = range(position.position + 1, missing_to + 1)
    there = Record.objects.filter(spool_id=position.spool_id, n__range=(numbers[0], numbers[-1]))
    log.error(
        "spool %s: of the records %d to %d, %d are lost",
        position.spool_id,
        numbers[0],
        numbers[-1],
        len(numbers) - there.count(),
    )
    position.position = missing_to


def _end_of_run(spool_id: str, position: int, stored: Sequence[Row]) -> int:
    """The last number that follows `position` without a gap."""
    if stored[0].n != position + 1:
        return position
    last = stored[-1].n
    early = Record.objects.filter(spool_id=spool_id, n__gt=last).order_by("n")
    for n in early.values_list("n", flat=True).iterator(chunk_size=MAX_BATCH):
        if n != last + 1:
            break
        last = n
    return last


def fold_calls(contexts: Collection[str]) -> int:
    """Fold these calls again from all their records, within a transaction; how many there are."""
    if not contexts:
        return 0
    _lock(contexts)
    calls = folded(contexts)
    if calls:
        Call.objects.bulk_create(
            [Call(**call) for call in calls],
            update_conflicts=True,
            unique_fields=["context"],
            update_fields=_CALL_FIELDS,
        )
    return len(calls)


def _lock(contexts: Collection[str]) -> None:
    """Let nobody else fold these calls before we commit.

    Records of one call may come from two nodes at once, and neither transaction sees the other's.
    SQLite has one writer at a time anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(context, 0))"
                " FROM (SELECT unnest(%s::text[]) AS context ORDER BY 1) AS ordered",
                [sorted(contexts)],
            )


def folded(contexts: Iterable[str]) -> list[dict[str, Any]]:
    """The calls of these contexts whose begin is known, as their records tell them."""
    events: defaultdict[str, list[Event]] = defaultdict(list)
    rows = Record.objects.filter(context__in=list(contexts)).order_by("at", "spool_id", "n")
    for context, kind, at, data in rows.values_list("context", "kind", "at", "data"):
        events[context].append(Event(kind, at, data))
    calls = (fold(context, found) for context, found in events.items())
    return [call for call in calls if call is not None]
