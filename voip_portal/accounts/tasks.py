"""Celery tasks about people. Each is safe to run twice."""

from __future__ import annotations

from importlib import import_module

from celery import shared_task
from django.conf import settings

from voip_portal.accounts import services


@shared_task(name="accounts.fold_names")
def fold_names() -> None:
    """Have everybody found by name whose name was written around us."""
    services.fold_names()


@shared_task(name="accounts.clear_sessions")
def clear_sessions() -> None:
    """Delete sessions that have expired; log-in never does it."""
    import_module(settings.SESSION_ENGINE).SessionStore.clear_expired()
