"""Celery tasks of the portal as a whole. Each is safe to run twice."""

from __future__ import annotations

from celery import shared_task

from voip_portal.portal import closing


@shared_task(name="portal.forget_changes")
def forget_changes() -> None:
    """Take closed accounts out of the history of changes, and delete what was kept long enough."""
    closing.forget_closed()
    closing.forget_old_changes()
