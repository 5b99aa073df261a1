"""The portal's web processes as the supervisor starts them, without the rest of the deployment."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[3]
CONF = "python:voip_portal.supervisor.gunicorn_conf"
START_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Site:
    """Running web processes."""

    port: int
    var: Path
    master: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def health_url(self, path: str) -> str:
        """On the listener of its own."""
        return f"http://127.0.0.1:{(self.var / 'run' / 'web.health').read_text()}{path}"

    def workers(self) -> list[int]:
        children = Path(f"/proc/{self.master}/task/{self.master}/children").read_text()
        return [int(word) for word in children.split()]

    def page_s(self, path: str = "/accounts/login/", timeout: float = 10.0) -> float:
        """Seconds until a page was there."""
        start = time.monotonic()
        with urllib.request.urlopen(f"{self.url}{path}", timeout=timeout) as page:  # noqa: S310
            page.read()
        return time.monotonic() - start

    def log(self) -> str:
        return (self.var / "web.log").read_text(errors="replace")


@contextmanager
def running(
    var: Path, application: str = "voip_portal.wsgi:application", **settings: str
) -> Iterator[Site]:
    """The web processes over an empty database, or over another application."""
    environ = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
    environ |= {"VOIP_VAR": str(var), "DJANGO_SETTINGS_MODULE": "voip_portal.settings", **settings}
    (var / "run").mkdir(exist_ok=True)
    if application.startswith("voip_portal"):
        subprocess.run([sys.executable, "scripts/prepare.py"], cwd=ROOT, env=environ, check=True)
    port = free_port()
    argv = [sys.executable, "-m", "gunicorn", application, "-c", CONF, f"--bind=127.0.0.1:{port}"]
    with (var / "web.log").open("wb") as log:
        master = subprocess.Popen(  # noqa: S603 - our own command
            [*argv, f"--pythonpath={var}"], cwd=ROOT, env=environ, stdout=log, stderr=log
        )
    site = Site(port, var, master.pid)
    try:
        deadline = time.monotonic() + START_WITHIN_S
        while not answers(port):
            assert time.monotonic() < deadline, site.log()
            time.sleep(0.1)
        yield site
    finally:
        master.terminate()
        master.wait(20)


def answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            return b" 200 " in client.recv(64)
    except OSError:
        return False
