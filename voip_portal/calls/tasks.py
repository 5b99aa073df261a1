"""Celery tasks: storing records, folding again, retention. Each is safe to run twice."""

from __future__ import annotations

from celery import shared_task

from voip_portal.calls import retention, services
from voip_portal.calls.storing import store_lines


@shared_task(name="calls.store_records")
def store_records(spool_id: str, first_n: int, lines: list[str], after_gap: bool = False) -> None:
    """Store a batch of a spool, whatever came before it."""
    store_lines(spool_id, first_n, lines, after_gap=after_gap)


@shared_task(name="calls.refold_open")
def refold_open() -> int:
    """Fold calls that seem to go on for long again; how many."""
    return services.refold_open()


@shared_task(name="calls.forget_old")
def forget_old() -> int:
    """Delete what has been kept long enough; how many rows. The next run goes on where it ended."""
    return retention.forget_old()
