"""Retention of `changes` rows: personal data of closed accounts, and what has been kept long enough.

A node reads the rows after its version. It may miss a whole version, for then it reads everything; it must
never find a part of one, nor a latest version that is lower than its own. So rows go by whole versions,
never the latest; and values may go only where a node does not need them, or notices their absence
(`bridge.directory_loader`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import Max

from voip_portal.changes.models import Change

BATCH: Final = 500


def forget_values(
    table: str, keys: Iterable[int], columns: Collection[str], before: datetime | None = None
) -> int:
    """Take these columns' values out of the history of these rows; how many `changes` rows had any."""
    forgotten = 0
    for some in _batches(keys):
        rows = Change.objects.filter(table_name=table, row_key__in=[str(key) for key in some])
        if before is not None:
            rows = rows.filter(at__lt=before)
        told = [row for row in rows if _blank(row.before, columns) | _blank(row.after, columns)]
        Change.objects.bulk_update(told, ["before", "after"], batch_size=100)
        forgotten += len(told)
    return forgotten


def _batches(keys: Iterable[int]) -> Iterator[list[int]]:
    found = list(keys)
    return (found[i : i + BATCH] for i in range(0, len(found), BATCH))


def _blank(state: dict[str, Any] | None, columns: Collection[str]) -> bool:
    """Blank what is there; whether there was anything."""
    held = [name for name in columns if state and state.get(name)]
    for name in held:
        state[name] = None  # type: ignore[index]
    return bool(held)


def forget_old(before: datetime) -> int:
    """Delete versions made before this moment, but never the latest; how many rows."""
    latest = Change.objects.aggregate(latest=Max("version"))["latest"] or 0
    gone = 0
    while version := _last_old(before, latest):
        with transaction.atomic():
            gone += Change.objects.filter(version__lte=version).delete()[0]
    return gone


def _last_old(before: datetime, latest: int) -> int:
    """The last of some of the oldest versions that were all made before this moment; 0 for none."""
    oldest = Change.objects.filter(version__lt=latest).order_by("version", "id")
    last = 0
    for version, at in oldest.values_list("version", "at")[:BATCH]:
        if at >= before:
            break
        last = version
    return last
