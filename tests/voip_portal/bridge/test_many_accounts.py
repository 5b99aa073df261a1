"""30,000 accounts are read again, all of them, and phones do not notice."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.voip_portal.bridge.daemon import Deployment, stop, until

pytestmark = [pytest.mark.long, pytest.mark.sql, pytest.mark.xdist_group("daemon")]
MANY = 30_000
EVERY_S = 0.01
ANSWERED_S = 0.020
SLOWER = 3.0
"""Where the machine answers slowly by itself, because others are at work: times what it takes then."""


def make_lines(deployment: Deployment) -> None:
    """Lines with a device and two addresses each."""
    db = deployment.database
    domain = db.query("SELECT id FROM numbers_domain WHERE is_default")[0][0]
    now, people = db.query("SELECT CURRENT_TIMESTAMP")[0][0], range(1, MANY + 1)
    with db.transaction():
        db.execute_many(
            "INSERT INTO lines_line (id, username, skeleton, label, class_of_service, state,"
            " end_calls, created_at) VALUES (?, ?, ?, '', 'student', 'active', ?, ?)",
            ((i, f"u{i}", f"u{i}", False, now) for i in people),
        )
        db.execute_many(
            "INSERT INTO lines_device (id, line_id, label, created_at) VALUES (?, ?, 'phone', ?)",
            ((i, i, now) for i in people),
        )
        db.execute_many(
            "INSERT INTO lines_devicesecret (id, ha1_md5, ha1_sha256) VALUES (?, ?, ?)",
            ((i, "a" * 32, "b" * 64) for i in people),
        )
        db.execute_many(
            "INSERT INTO numbers_address (domain_id, kind, value, line_id, state)"
            " VALUES (?, ?, ?, ?, 'held')",
            (
                (domain, kind, value, i)
                for i in people
                for kind, value in (("name", f"u{i}"), ("number", str(100_000 + i)))
            ),
        )


class Asker:
    """Asks with OPTIONS every 10 ms, whatever was answered, and notes how long each answer took."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._socket.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._count = 0

    def close(self) -> None:
        self._selector.close()
        self._socket.close()

    def p99(self, done: Callable[[], bool], least_s: float) -> float:
        """Until `done`, and for so long at least: the time that 99 of 100 answers did not take."""
        asked: dict[int, float] = {}
        took: list[float] = []
        begun = due = time.monotonic()
        while asked or time.monotonic() - begun < least_s or not done():
            now = time.monotonic()
            if now >= due and (now - begun < least_s or not done()):
                due += EVERY_S
                self._count += 1
                asked[self._count] = now
                self._ask(self._count)
            if self._selector.select(max(0.0, due - time.monotonic())):
                text = self._socket.recv(4096)
                count = int(text.partition(b"Call-ID: ")[2].partition(b"@")[0])
                took.append(time.monotonic() - asked.pop(count))
            assert now - begun < 60
        return sorted(took)[len(took) * 99 // 100]

    def _ask(self, count: int) -> None:
        port = self._socket.getsockname()[1]
        self._socket.send(
            f"OPTIONS sip:campus.example SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};"
            f"branch=z9hG4bK{port}-{count}\r\nMax-Forwards: 70\r\nFrom: <sip:x@y.example>;tag=f\r\n"
            f"To: <sip:campus.example>\r\nCall-ID: {count}@x\r\nCSeq: 1 OPTIONS\r\n"
            "Content-Length: 0\r\n\r\n".encode()
        )


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE numbers_domain SET algorithms = 'SHA-256'",
        "UPDATE numbers_domain SET name = 'other.example'",  # the canonical address of everybody
    ],
    ids=["nothing new of them", "all changed"],
)
def test_phones_are_answered_in_time_while_all_accounts_are_read_again(
    tmp_path: Path, change: str
) -> None:
    deployment = Deployment(tmp_path)
    make_lines(deployment)
    process = deployment.start_sipd()
    asker = Asker(deployment.port)
    try:
        until(lambda: deployment.in_force() == deployment.version(), 20)
        quiet = asker.p99(lambda: True, 3.0)
        deployment.database.execute(change)
        version = deployment.version()
        loading = asker.p99(lambda: deployment.in_force() == version, 3.0)
        assert loading <= max(ANSWERED_S, SLOWER * quiet), f"{loading:.4f} s, else {quiet:.4f} s"
    finally:
        asker.close()
        stop(process)
        deployment.close()
