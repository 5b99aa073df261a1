"""`manage.py shipper`: bring the spool's records to the database, through Celery."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import close_old_connections

from voip_portal.bridge.shipper import Shipper, run
from voip_portal.calls.models import SpoolPosition
from voip_portal.calls.tasks import store_records
from voip_portal.celery import app
from voip_portal.nodes.models import Node

REPORT_INTERVAL_S: Final = 2.0
TIDY_INTERVAL_S: Final = 60.0


class Command(BaseCommand):
    """Runs until SIGTERM."""

    help = "Ship the records of this machine's spools to the database."

    def handle(self, *args: Any, **options: Any) -> None:
        var = Path(settings.VOIP_VAR)
        folder = var / "spool"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        app.set_default()
        run(Shipper(folder, positions, send), Report(var / "run" / "shipper.health"), stop.wait)


def positions() -> dict[str, int]:
    """How far each spool is in the database."""
    close_old_connections()
    return dict(SpoolPosition.objects.values_list("spool_id", "position"))


def send(spool_id: str, first_n: int, lines: list[str], after_gap: bool) -> None:
    """Give a batch to the broker."""
    store_records.delay(spool_id, first_n, lines, after_gap)


class Report:
    """Now and then: a file that tells the process lives, how much waits, and tidying up."""

    def __init__(self, health: Path) -> None:
        self._health = health
        self._due = 0.0
        self._tidy_due = 0.0
        self._told: dict[str, int] = {}
        health.parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def __call__(self, shipper: Shipper) -> None:
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + REPORT_INTERVAL_S
        self._health.write_text(str(os.getpid()))
        self._tell_nodes(waiting_by_node(shipper.backlog()))
        if now >= self._tidy_due:
            self._tidy_due = now + TIDY_INTERVAL_S
            shipper.remove_ended(time.time())

    def _tell_nodes(self, waiting: dict[str, int]) -> None:
        """Write each node's backlog when it changed."""
        for name, records in waiting.items():
            if self._told.get(name) != records and Node.objects.filter(name=name).update(
                spool_backlog=records
            ):
                self._told[name] = records


def waiting_by_node(backlog: dict[str, int]) -> dict[str, int]:
    """Records that wait, by node: a spool is named node, slot, life."""
    waiting: Counter[str] = Counter()
    for spool_id, records in backlog.items():
        waiting[spool_id.rsplit("-", 2)[0]] += records
    return dict(waiting)
