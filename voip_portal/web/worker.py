"""One web process of gunicorn's: heartbeats to its master only as long as its threads get on."""

from __future__ import annotations

import os
import time
from typing import Any

from gunicorn.workers.base import Worker

from voip_portal import open_files
from voip_portal.web import health
from voip_portal.web.limits import LIMITS, NO_PAGE_S, within_files
from voip_portal.web.server import LOOK_EVERY_S, WebServer
from voip_portal.web.sources import proxies


class BufferingWorker(Worker):  # type: ignore[misc]
    """Reads requests whole, whatever their senders' pace, before a thread takes them."""

    _server: WebServer | None = None

    def run(self) -> None:
        self._server = server = WebServer(
            self.wsgi,
            [each.sock for each in self.sockets],
            threads=self.cfg.threads,
            proxies=proxies(os.environ),
            limits=within_files(LIMITS, open_files.raise_limit()),
        )
        health.answer_for(lambda: time.monotonic() - server.served_at < NO_PAGE_S, self.wsgi)
        notified_of = 0.0
        while self.alive and os.getppid() == self.ppid:
            server.turn(LOOK_EVERY_S)
            if server.served_at > notified_of:
                notified_of = server.served_at
                self.notify()
        server.stop()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: finish what is being served, take no more."""
        super().handle_exit(sig, frame)
        if self._server is not None:
            self._server.wake()
