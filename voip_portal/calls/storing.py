"""Storing a batch of spool lines: twice is once, and a call is folded as its records come."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from django.db import transaction

from voip_portal.calls.fold import Event, fold
from voip_portal.calls.models import Call, Record, SpoolPosition

MAX_BATCH = 500
_FIXED = ("n", "k", "c", "t")


def store_lines(spool_id: str, lines: Sequence[str]) -> int:
    """Store records and move the spool's position, in one transaction; the position.

    Lines that the position has passed are skipped. A batch that does not follow the position is
    not stored: its predecessor comes again, and then this one.
    """
    rows = [json.loads(line) for line in lines[:MAX_BATCH]]
    with transaction.atomic():
        position = locked_position(spool_id)
        fresh = [row for row in rows if row["n"] > position.position]
        if not fresh or fresh[0]["n"] != position.position + 1:
            return position.position
        Record.objects.bulk_create(
            [
                Record(
                    spool_id=spool_id,
                    n=row["n"],
                    kind=row["k"],
                    context=row["c"],
                    at=row["t"],
                    data={k: v for k, v in row.items() if k not in _FIXED},
                )
                for row in fresh
            ],
            ignore_conflicts=True,
        )
        position.position = fresh[-1]["n"]
        position.save(update_fields=["position"])
        fold_calls({row["c"] for row in fresh if row["c"]})
        return position.position


def locked_position(spool_id: str) -> SpoolPosition:
    """The spool's position, locked against other workers where the database locks rows."""
    SpoolPosition.objects.get_or_create(spool_id=spool_id)
    return SpoolPosition.objects.select_for_update().get(spool_id=spool_id)


def fold_calls(contexts: set[str]) -> None:
    """Fold these calls again from all their records."""
    events: defaultdict[str, list[Event]] = defaultdict(list)
    rows = Record.objects.filter(context__in=contexts).values_list("context", "kind", "at", "data")
    for context, kind, at, data in rows:
        events[context].append(Event(kind, at, data))
    calls: list[dict[str, Any]] = []
    for context, found in events.items():
        call = fold(context, found)
        if call is not None:
            calls.append(call)
    if calls:
        names = [name for name in calls[0] if name != "context"]
        Call.objects.bulk_create(
            [Call(**call) for call in calls],
            update_conflicts=True,
            unique_fields=["context"],
            update_fields=names,
        )
