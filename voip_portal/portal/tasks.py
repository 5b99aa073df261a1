"""Celery tasks of the portal as a whole. Each is safe to run twice."""

from __future__ import annotations

from celery import shared_task

from voip_portal.nodes import domain_records
from voip_portal.portal import closing


@shared_task(name="portal.forget_changes")
def forget_changes() -> None:
    """Take closed accounts out of the history of changes, and delete what was kept long enough."""
    closing.forget_closed()
    closing.forget_old_changes()


@shared_task(name="portal.look_up_domain")
def look_up_domain() -> None:
    """See whether the DNS leads from our domain to us: the pages show the domain then."""
    domain_records.refresh()
