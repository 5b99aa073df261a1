"""Celery tasks: storing records, retention."""

from __future__ import annotations

import time

from celery import shared_task

from voip_portal.calls.models import Call, Record
from voip_portal.calls.storing import store_lines

KEEP_DAYS = 365
DELETE_BATCH = 500


@shared_task(name="calls.store_records")
def store_records(spool_id: str, first_n: int, lines: list[str]) -> None:
    """Store a batch of a spool. Safe to run twice, and in any order."""
    store_lines(spool_id, lines)


@shared_task(name="calls.forget_old")
def forget_old(keep_days: int = KEEP_DAYS, max_batches: int = 200) -> int:
    """Delete records and calls older than this, in small batches; how many records went."""
    before = time.time() - keep_days * 86_400
    gone = 0
    for _ in range(max_batches):
        ids = list(Record.objects.filter(at__lt=before).values_list("id", flat=True)[:DELETE_BATCH])
        if not ids:
            break
        contexts = set(Record.objects.filter(id__in=ids).values_list("context", flat=True))
        gone += Record.objects.filter(id__in=ids).delete()[0]
        kept = Record.objects.filter(context__in=contexts).values_list("context", flat=True)
        Call.objects.filter(context__in=contexts - set(kept), open=False).delete()
    return gone
