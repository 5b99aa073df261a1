"""Gunicorn's configuration: two worker processes of four threads."""

from __future__ import annotations

from typing import Any

from voip_portal.supervisor.death import die_with

worker_class = "gthread"
workers = 2
threads = 4
timeout = 60
graceful_timeout = 5
keepalive = 5
control_socket_disable = True


def post_fork(server: Any, worker: Any) -> None:
    """A worker ends with its master."""
    die_with(worker.ppid)
