"""kill -9 of the broker's Redis, which forgets all it was given: every call is in the portal, once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from tests.support import redis_server
from tests.support.calls import COMPLETED, talk
from tests.support.campus import Campus, wait_for
from tests.support.redis_server import RedisServer

STORED_WITHIN_S: Final = 40.0
"""After Redis is back. The worker's own pauses between attempts grow to that."""

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(not redis_server.is_installed(), reason="needs redis-server"),
]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture
def house(
    prepared: Campus, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Campus]:
    """Everything, with Redis as broker and cache."""
    campus = prepared.copy(tmp_path_factory.mktemp("house"), {"REDIS_URL": redis.url})
    with campus.start_all():
        yield campus


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that does not run meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_redis_killed_during_a_call(house: Campus, redis: RedisServer) -> None:
    with house.phone() as caller, house.phone() as callee:
        for phone in (caller, callee):
            phone.registered()
        calling, at_caller, _ = talk(house, caller, callee)
        answered = time.monotonic()
        redis.kill()
        wait_for("a failure to ship", lambda: shipping_failed(house), 20)
        bye = at_caller.send("BYE")
        callee.accept("BYE")
        assert caller.final(bye).status == 200  # the phones notice nothing
        lasted = time.monotonic() - answered
        house.record_of(calling.call_id)
        assert ended_rows(house) == []
        redis.start()
        check_stored_once(house, redis, calling.call_id, lasted)


def test_redis_killed_with_the_records_of_a_call(house: Campus, redis: RedisServer) -> None:
    with house.phone() as caller, house.phone() as callee:
        for phone in (caller, callee):
            phone.registered()
        with stopped(house.children()["worker"]):
            wait_for("the end of the worker's question", lambda: not redis.is_listened_to())
            calling, at_caller, _ = talk(house, caller, callee)
            answered = time.monotonic()
            bye = at_caller.send("BYE")
            callee.accept("BYE")
            assert caller.final(bye).status == 200
            lasted = time.monotonic() - answered
            wait_for(
                "the end of the call at Redis",
                lambda: any(b"call.end" in task for task in redis.waiting()),
            )
            redis.kill()
            redis.start()
            assert redis.waiting() == []
        check_stored_once(house, redis, calling.call_id, lasted)


def shipping_failed(campus: Campus) -> bool:
    return "shipping failed" in (campus.var / "log" / "shipper.log").read_text()


def ended_rows(campus: Campus) -> list[str]:
    rows = campus.query("SELECT call_id FROM calls_call WHERE NOT open")
    return [row["call_id"] for row in rows]


def check_stored_once(campus: Campus, redis: RedisServer, call_id: str, lasted: float) -> None:
    """The call is there, and still once when every copy of its records has been dealt with."""
    row = campus.call_row(call_id, STORED_WITHIN_S)
    assert row["cause"] == "completed"
    assert row["duration_s"] == pytest.approx(lasted, abs=0.3)
    wait_for("the end of all tasks", redis.is_done, STORED_WITHIN_S)
    assert ended_rows(campus) == [call_id]
    records = campus.query(
        "SELECT kind FROM calls_record WHERE context = ? ORDER BY spool_id, n", row["context"]
    )
    assert [record["kind"] for record in records] == COMPLETED
