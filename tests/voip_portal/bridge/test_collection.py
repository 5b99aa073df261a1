"""Spool → shipper → broker → Celery worker → both tables, by the real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from sipcore.eventlog import Record
from sipcore.node.spool import Spool
from tests.voip_portal.bridge.daemon import ROOT, Deployment
from voip_portal.supervisor.__main__ import WORKER_OPTIONS

pytestmark = pytest.mark.sql
PROMPT_S = 5.0
"""A finished call is in both histories by then."""


@contextmanager
def process(deployment: Deployment, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the deployment, ended with its block."""
    started = subprocess.Popen(  # noqa: S603
        [sys.executable, *command],
        cwd=ROOT,
        env=deployment.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def worker(deployment: Deployment) -> tuple[str, ...]:
    return ("-m", "celery", "-A", "voip_portal.celery", "worker", *WORKER_OPTIONS)


def wait_until(fact: Callable[[], bool], within_s: float, what: str) -> float:
    """Wait for a fact; how long it took."""
    start = time.monotonic()
    while not fact():
        assert time.monotonic() < start + within_s, f"not within {within_s} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - start


def ready(deployment: Deployment, name: str) -> Callable[[], bool]:
    path = deployment.folder / "run" / f"{name}.health"
    path.unlink(missing_ok=True)
    return path.exists


def stored_calls(deployment: Deployment) -> list[tuple[str, float]]:
    """Context and duration of the calls that have ended."""
    rows = deployment.database.query("SELECT context, duration_s, open FROM calls_call")
    return [(context, duration) for context, duration, still_open in rows if not still_open]


def a_call(spool: Spool, context: str) -> None:
    """Write a finished call of 12.5 seconds."""
    at = time.time()
    begin = {"call_id": context, "from": "a", "to": "b", "caller_line": 1, "callee_line": 2}
    end = {"cause": "completed", "by": "caller", "status": 200, "duration_s": 12.5}
    for kind, moment, fields in (
        ("call.begin", at - 20, begin),
        ("call.answer", at - 12.5, {"callee_line": 2, "tag": "t"}),
        ("call.end", at, end),
    ):
        spool.append([Record(kind, context, moment, fields)])


@pytest.fixture
def spool(deployment: Deployment, request: pytest.FixtureRequest) -> Spool:
    life = time.time_ns() % (1 << 40)
    return Spool(Path(deployment.folder) / "spool", f"node1-0-{life}")


def test_finished_call_is_in_the_database_within_five_seconds(
    deployment: Deployment, spool: Spool
) -> None:
    with ExitStack() as stack:
        works, ships = ready(deployment, "worker"), ready(deployment, "shipper")
        stack.enter_context(process(deployment, *worker(deployment)))
        stack.enter_context(process(deployment, "manage.py", "shipper"))
        wait_until(works, 30, "worker ready")
        wait_until(ships, 30, "shipper ready")
        a_call(spool, "prompt")
        wait_until(
            lambda: ("prompt", 12.5) in stored_calls(deployment), PROMPT_S, "call in the database"
        )


def test_killing_worker_and_shipper_loses_and_doubles_nothing(
    deployment: Deployment, spool: Spool
) -> None:
    contexts = [f"k{n:03}" for n in range(90)]
    kill = signal.SIGKILL
    for third in (contexts[:30], contexts[30:60], contexts[60:]):
        works = ready(deployment, "worker")
        with (
            process(deployment, *worker(deployment)) as celery,
            process(deployment, "manage.py", "shipper") as shipper,
        ):
            wait_until(works, 30, "worker ready")
            for context in third:
                a_call(spool, context)
            wait_until(
                lambda some=third[0]: some in dict(stored_calls(deployment)), 20, "first of them"
            )
            os.kill(celery.pid, kill)
            os.kill(shipper.pid, kill)
    with (
        process(deployment, *worker(deployment)),
        process(deployment, "manage.py", "shipper"),
    ):
        wait_until(
            lambda: set(contexts) <= set(dict(stored_calls(deployment))), 40, "all calls stored"
        )
    mine = [row for row in stored_calls(deployment) if row[0] in set(contexts)]
    assert sorted(mine) == [(context, 12.5) for context in contexts]
    numbers = deployment.database.query(
        "SELECT n FROM calls_record WHERE spool_id = ? ORDER BY n", (spool.path.name,)
    )
    assert [n for (n,) in numbers] == list(range(1, spool.written + 1))
