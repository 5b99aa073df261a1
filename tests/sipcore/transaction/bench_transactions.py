"""What a transaction costs, parsing apart. Not collected by default: name this file to pytest."""

from __future__ import annotations

import time

import pytest

from sipcore.transaction import Timers, TransactionTable
from tests.sipcore.transaction.harness import UDP, User, a_request, a_response

CHUNK = 200


class Deaf(User):
    """Remembers nothing, so that only the transactions are measured."""

    def send(self, flow: object, data: bytes) -> None:
        pass

    def server_ended(self, tx: object, now: float) -> None:
        pass


@pytest.mark.bench
@pytest.mark.parametrize(
    ("method", "status", "limit_us"), [("REGISTER", 200, 8), ("INVITE", 200, 12)]
)
def test_a_server_transaction_takes_microseconds(method: str, status: int, limit_us: float) -> None:
    best = float("inf")
    for _ in range(60):
        table = TransactionTable(Deaf(), Timers())
        work = [
            (a_request(method, branch), a_response(status, method, branch))
            for branch in (f"z9hG4bK{n}" for n in range(CHUNK))
        ]
        for request, _response in work:
            assert request.branch  # parsed before
        began = time.perf_counter()
        for request, response in work:
            tx = table.receive_request(request, UDP, 0.0)
            assert tx is not None
            tx.respond(response, 0.0)
        table.advance(10.0)
        table.advance(100.0)
        best = min(best, (time.perf_counter() - began) / CHUNK)
        assert len(table) == 0
    assert best * 1e6 < limit_us
