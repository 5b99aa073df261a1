"""Retention: records and calls go when they have been kept long enough, a few hundred at a time.

Each batch is a transaction of its own, so nobody waits for it longer than some milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from voip_portal.calls.models import Call, Record

DAY_S: Final = 86_400
BATCH: Final = 500
MAX_BATCHES: Final = 1000
"""In one run; the next one goes on."""
REFUSALS_KEEP_DAYS: Final = 30
"""Refused log-ins name strangers' addresses: they go sooner."""


def forget_old(at: float | None = None, max_batches: int = MAX_BATCHES) -> int:
    """Delete what is older than the configured days; how many rows went."""
    now = time.time() if at is None else at
    before = now - settings.VOIP_KEEP_DAYS * DAY_S
    refusals_before = max(before, now - REFUSALS_KEEP_DAYS * DAY_S)
    moment = datetime.fromtimestamp(before, UTC)
    old_rows: tuple[QuerySet[Any], ...] = (
        Record.objects.filter(kind="auth.refused", at__lt=refusals_before),
        *(Record.objects.filter(kind=kind, at__lt=before) for kind in _kinds()),
        Call.objects.filter(started_at__lt=moment),
    )
    deletions = chain.from_iterable(map(_delete, old_rows))
    return sum(islice(deletions, max_batches))


def _kinds() -> list[str]:
    """The kinds there are: with each, the index on (kind, at) finds the old ones at once."""
    return list(Record.objects.order_by("kind").values_list("kind", flat=True).distinct())


def _delete(old: QuerySet[Any]) -> Iterator[int]:
    """Delete these rows batch by batch, each when it is asked for."""
    while ids := list(old.values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            gone = old.model._default_manager.filter(pk__in=ids).delete()[0]
        yield gone
