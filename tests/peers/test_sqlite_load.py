"""A minute of everything at once on SQLite: nothing is refused as locked, no registration waits."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from tests.support.campus import ROOT, Campus
from tests.support.ua import Agent

pytestmark = [pytest.mark.peers, pytest.mark.long]

SECONDS = 60.0
LONGEST_REGISTRATION_S = 0.5
WORK = ("signups", "records", "retention")


def start(campus: Campus, what: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 (the command line is ours)
        [sys.executable, "-m", "tests.support.busy_portal", what, str(SECONDS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=campus.environment(),
        cwd=ROOT,
    )


def test_nothing_is_locked_and_registrations_do_not_wait(own_campus: Campus) -> None:
    agents = [own_campus.phone() for _ in range(20)]
    processes = {what: start(own_campus, what) for what in WORK}
    waits: list[float] = []
    try:
        while any(process.poll() is None for process in processes.values()):
            waits += [registration_s(agent) for agent in agents]
    finally:
        for agent in agents:
            agent.close()
    results = {}
    for what, process in processes.items():
        out, errors = process.communicate(timeout=30)
        assert process.returncode == 0, f"{what}: {errors.decode()[-3000:]}"
        results[what] = json.loads(out)
    waits.sort()
    print(results, f"{len(waits)} registrations, longest {waits[-1]:.3f} s")  # noqa: T201
    assert "locked" not in own_campus.log("sipd")
    assert all(result["count"] > 0 for result in results.values()), results
    assert waits[-1] < LONGEST_REGISTRATION_S


def registration_s(agent: Agent) -> float:
    """How long a registration took to be acknowledged, and so to be on disk."""
    request = agent.register_request(expires=3600)
    agent.send(request)
    good = agent.authorized(request, agent.response(request, 401))
    begun = time.monotonic()
    agent.send(good)
    agent.response(good, 200)
    return time.monotonic() - begun
