"""What a verification costs. Not collected by default: `pytest tests/sipcore/auth/bench_digest.py`."""

from __future__ import annotations

import time

import pytest

from sipcore.auth import VerdictKind
from tests.sipcore.auth.test_digest import (
    ACCOUNTS,
    AT,
    BOTH,
    CALL,
    REALM,
    Phone,
    a_request,
    respond,
)


@pytest.mark.bench
@pytest.mark.parametrize(("algorithm", "limit_us"), [("MD5", 30), ("SHA-256", 35)])
def test_verification_takes_microseconds(algorithm: str, limit_us: float) -> None:
    phone = Phone()
    challenge = phone.challenge(algorithm)
    requests = [a_request(respond(challenge, "one", count=nc)) for nc in range(1, 3001)]
    best = float("inf")
    for start in range(0, len(requests), 50):
        chunk = requests[start : start + 50]
        began = time.process_time()
        for request in chunk:
            verdict = phone.authenticator.verify(
                request, False, ACCOUNTS.get, REALM, CALL, AT, algorithms=BOTH
            )
        best = min(best, (time.process_time() - began) / len(chunk))
        assert verdict.kind is VerdictKind.OK
    assert best * 1e6 < limit_us
