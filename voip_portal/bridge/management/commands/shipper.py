"""`manage.py shipper`: bring the spool's records to the database, through Celery."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import close_old_connections

from voip_portal.bridge.shipper import Shipper, run
from voip_portal.calls.models import SpoolPosition
from voip_portal.calls.tasks import store_records
from voip_portal.celery import app

HEALTH_INTERVAL_S = 2.0


class Command(BaseCommand):
    """Runs until SIGTERM."""

    help = "Ship the records of this node's spool to the database."

    def handle(self, *args: Any, **options: Any) -> None:
        var = Path(settings.VOIP_VAR)
        folder = var / "spool"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        app.set_default()
        health = Health(var / "run" / "shipper.health")
        run(Shipper(folder, positions, send), health.beat, stop.wait)


def positions() -> dict[str, int]:
    """How far each spool is in the database."""
    close_old_connections()
    return dict(SpoolPosition.objects.values_list("spool_id", "position"))


def send(spool_id: str, first_n: int, lines: list[str]) -> None:
    """Give a batch to the broker."""
    store_records.delay(spool_id, first_n, lines)


class Health:
    """A file whose age tells whether the process lives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._due = 0.0
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def beat(self) -> None:
        """Touch the file now and then."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + HEALTH_INTERVAL_S
            self._path.write_text(str(os.getpid()))
