"""The Celery application: `celery -A voip_portal.celery worker`, `… beat`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "voip_portal.settings")

from celery import Celery
from celery.beat import PersistentScheduler
from celery.signals import after_setup_logger, beat_init, heartbeat_sent, worker_ready
from django.conf import settings

from voip_portal import broker  # noqa: F401 (makes files:// known)
from voip_portal.environment import private_folder
from voip_portal.faults import Plainly, said_plainly

with said_plainly():  # the first who asks has the folders made
    RUN = private_folder(Path(settings.VOIP_VAR) / "run")

app = Celery("voip_portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "retention": {"task": "calls.forget_old", "schedule": 3600.0},
    "refold": {"task": "calls.refold_open", "schedule": 1800.0},
    "changes": {"task": "portal.forget_changes", "schedule": 86_400.0},
    "domain": {"task": "portal.look_up_domain", "schedule": 600.0},
    "names": {"task": "accounts.fold_names", "schedule": 3600.0},
    "sessions": {"task": "accounts.clear_sessions", "schedule": 86_400.0},
}
app.conf.beat_scheduler = "voip_portal.celery:Scheduler"
app.conf.beat_max_loop_interval = 60.0
app.conf.beat_schedule_filename = str(RUN / "celerybeat-schedule")


def _healthy(name: str) -> None:
    (RUN / f"{name}.health").write_text(str(os.getpid()))


@after_setup_logger.connect
def _say_plainly(logger: logging.Logger, **kwargs: Any) -> None:
    for handler in logger.handlers:
        handler.addFilter(Plainly())


@worker_ready.connect
def _worker_is_ready(**kwargs: Any) -> None:
    _healthy("worker")


@heartbeat_sent.connect
def _worker_lives(**kwargs: Any) -> None:
    _healthy("worker")


@beat_init.connect
def _beat_is_ready(**kwargs: Any) -> None:
    _healthy("beat")


class Scheduler(PersistentScheduler):
    """Beat's own, which says at each of its rounds that it lives."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        _healthy("beat")
        return float(super().tick(*args, **kwargs))
