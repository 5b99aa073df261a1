"""The same way over a real Redis, which is killed and forgets everything meanwhile."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sipcore.node.spool import Spool
from tests.support.ports import free_port
from tests.voip_portal.bridge.daemon import Deployment, stop
from tests.voip_portal.bridge.test_collection import (
    a_call,
    process,
    ready,
    spool,
    stored_calls,
    wait_until,
    worker,
)

__all__ = ["spool"]
pytestmark = pytest.mark.sql
CALLS = 40


class Redis:
    """A server that keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.start()

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", str(self._folder)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        stop(self._process)


@pytest.fixture
def redis(deployment: Deployment, tmp_path: Path) -> Iterator[Redis]:
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = Redis(tmp_path)
    deployment.environment["REDIS_URL"] = f"redis://127.0.0.1:{server.port}/0"
    yield server
    del deployment.environment["REDIS_URL"]
    server.stop()


def test_redis_that_forgets_loses_no_call(
    deployment: Deployment, spool: Spool, redis: Redis
) -> None:
    contexts = [f"r{n:03}" for n in range(CALLS)]
    with ExitStack() as stack:
        started = ready(deployment, "shipper")
        stack.enter_context(process(deployment, "manage.py", "shipper"))
        wait_until(started, 60, "the shipper is ready")
        for context in contexts[: CALLS // 2]:
            a_call(spool, context)  # given to Redis, and nobody takes it from there
        redis.kill()
        for context in contexts[CALLS // 2 :]:
            a_call(spool, context)
        redis.start()
        stack.enter_context(process(deployment, *worker(deployment)))
        wait_until(
            lambda: sorted(c for c, _ in stored_calls(deployment) if c[0] == "r") == contexts,
            90,
            "all calls are stored, each once",
        )
    assert {duration for context, duration in stored_calls(deployment) if context[0] == "r"} == {
        12.5
    }
