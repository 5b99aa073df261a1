"""A temporary Redis from Debian's binary, for tests and nothing else: loopback, a free port, no disk.

What is killed has forgotten everything when it is started again, as a broker may.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from base64 import b64decode
from contextlib import suppress
from shutil import which
from types import TracebackType
from typing import Final

import redis

from tests.support.campus import wait_for
from tests.support.ports import free_port

START_WITHIN_S: Final = 10.0
STOP_WITHIN_S: Final = 10.0


def is_installed() -> bool:
    return which("redis-server") is not None


class RedisServer:
    """One server; a context manager."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What REDIS_URL should say."""
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.kill()

    def start(self) -> None:
        """Start it, and wait until it answers; also after `kill`, on the same port."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", tempfile.gettempdir()]
        self._process = subprocess.Popen(  # noqa: S603
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        wait_for("an answer of Redis", self._answers, START_WITHIN_S)

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def client(self) -> redis.Redis:
        """A connection of the test's own; close it."""
        return redis.Redis(port=self.port)

    def waiting(self, queue: str = "celery") -> list[bytes]:
        """The arguments of the tasks that nobody has taken yet."""
        with self.client() as client:
            return [b64decode(json.loads(each)["body"]) for each in client.lrange(queue, 0, -1)]

    def is_listened_to(self) -> bool:
        """Whether a worker waits for the next task."""
        with self.client() as client:
            return int(client.info("clients")["blocked_clients"]) > 0

    def is_done(self, queue: str = "celery") -> bool:
        """Whether all tasks were taken and finished."""
        with self.client() as client:
            return bool(client.llen(queue) == 0 and client.hlen("unacked") == 0)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "redis-server ended"
        with suppress(redis.ConnectionError), self.client() as client:
            return bool(client.ping())
        return False
