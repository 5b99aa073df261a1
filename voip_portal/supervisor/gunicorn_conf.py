"""Gunicorn's configuration: two worker processes of four threads, which read requests whole."""

from __future__ import annotations

import logging
import os
from typing import Any

from voip_portal.faults import Plainly
from voip_portal.supervisor.death import die_with
from voip_portal.web import health
from voip_portal.web.limits import NO_PAGE_S

worker_class = "voip_portal.web.worker.BufferingWorker"
workers = 2
threads = 4
timeout = NO_PAGE_S
graceful_timeout = 8  # more than LIMITS.stop_within_s, less than the supervisor's patience
control_socket_disable = True
logging.getLogger("gunicorn.error").addFilter(Plainly())


def on_starting(server: Any) -> None:
    """Health has a listener of its own, which all workers answer on."""
    health.listen(os.environ)


def post_fork(server: Any, worker: Any) -> None:
    """A worker ends with its master."""
    die_with(worker.ppid)
