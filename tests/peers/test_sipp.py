"""SIPp registers by MD5, in a domain whose policy is MD5 alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import sipp
from tests.support.campus import Campus, wait_for
from tests.support.ua import Agent

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(not sipp.is_installed(), reason="needs sipp"),
]


@pytest.fixture(scope="module")
def md5_campus(prepared: Campus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Campus]:
    """A running daemon whose domain offers MD5 only: the policy is changed while it runs."""
    with prepared.copy(tmp_path_factory.mktemp("md5")).start_sipd() as campus:
        campus.query("UPDATE numbers_domain SET algorithms = 'MD5'")
        changed = time.monotonic()
        wait_for("MD5 alone", lambda: offered(campus) == 1)
        assert time.monotonic() - changed < 1.5
        yield campus


def offered(campus: Campus) -> int:
    with Agent(("127.0.0.1", campus.sip_port), campus.lines[0].username) as agent:
        request = agent.register_request()
        agent.send(request)
        return len(agent.response(request, 401).rows("WWW-Authenticate"))


def test_sipp_registers_fifty_users(md5_campus: Campus, tmp_path: Path) -> None:
    lines = [md5_campus.line() for _ in range(50)]
    done = sipp.register(
        tmp_path,
        ("127.0.0.1", md5_campus.sip_port),
        [(line.username, line.secret) for line in lines],
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    rows = md5_campus.query("SELECT line_id FROM location_binding", database="bindings")
    assert {row[0] for row in rows} == {line.id for line in lines}


def test_sipp_with_a_wrong_secret_is_refused(md5_campus: Campus, tmp_path: Path) -> None:
    line = md5_campus.line()
    done = sipp.register(
        tmp_path, ("127.0.0.1", md5_campus.sip_port), [(line.username, "wrong")], final=401
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
