"""Sign-ups, registrations, record batches and retention at once: nobody meets a locked database."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

import pytest

from tests.voip_portal.bridge.daemon import ROOT, Deployment, Phone, stop

pytestmark = [pytest.mark.sql, pytest.mark.xdist_group("daemon")]
REGISTRATION_S = 0.5
PATIENCE_S = 5.0
BEAT_S = 0.01
START = "import django, sys, time, json; django.setup(); until = time.time() + float(sys.argv[1])\n"
SIGN_UPS = """
from voip_portal.accounts.models import User
from voip_portal.lines.services import add_device
from voip_portal.numbers.services import open_line
n = 0
while time.time() < until:
    n += 1
    user = User.objects.create(email=f"p{n}@campus.example")
    add_device(open_line(user, f"person{n}"), "phone", "campus")
    time.sleep(0.02)
print(n)
"""
RECORDS = """
from voip_portal.calls.tasks import store_records
n = 0
while time.time() < until:
    lines = []
    for call in range(n, n + 250):
        context, at = f"x{call}", (0 if call % 2 else time.time())
        begin = {"n": 2 * call + 1, "k": "call.begin", "c": context, "t": at, "from": "a", "to": "b"}
        end = {"n": 2 * call + 2, "k": "call.end", "c": context, "t": at, "cause": "cancelled"}
        lines += [json.dumps(begin) + "\\n", json.dumps(end) + "\\n"]
    store_records("n1-0-1", 2 * n + 1, lines)
    n += 250
    time.sleep(0.1)
print(n)
"""
RETENTION = """
from voip_portal.calls.tasks import forget_old
gone = 0
while time.time() < until:
    gone += forget_old()
    time.sleep(0.05)
print(gone)
"""


class Standstill:
    """How long this machine let nobody run, not even a thread that does nothing but sleep.

    A guest whose host is busy stands still for half a second now and then: no server is at fault.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat)

    def _beat(self) -> None:
        before = time.monotonic()
        while not self._over.wait(BEAT_S):
            now = time.monotonic()
            self.seconds += max(0.0, now - before - 2 * BEAT_S)
            before = now

    def __enter__(self) -> Standstill:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()


@pytest.mark.parametrize("seconds", [6, pytest.param(60, marks=pytest.mark.long)])
def test_nothing_is_locked_and_no_registration_is_slow(tmp_path: Path, seconds: int) -> None:
    deployment = Deployment(tmp_path)
    deployment.add_line("anna", "secret", "20001")
    sipd = deployment.start_sipd()
    phone = Phone(deployment.port, PATIENCE_S)
    workers = [work(deployment, code, seconds) for code in (SIGN_UPS, RECORDS, RETENTION)]
    try:
        took = []
        with Standstill() as standstill:
            while any(worker.poll() is None for worker in workers):
                start, stood = time.monotonic(), standstill.seconds
                assert phone.register("anna", "secret") == 200
                time.sleep(2 * BEAT_S)  # for the beat to be counted that ended with it
                late = standstill.seconds - stood
                took.append(time.monotonic() - start - 2 * BEAT_S - late)
    finally:
        phone.close()
        stop(sipd)
        deployment.close()
    said = [worker.communicate() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0], said
    assert all(int(out) > 0 for out, _ in said)
    assert not any("locked" in errors for _, errors in said)
    assert max(took) < REGISTRATION_S, f"slowest of {len(took)}: {max(took)}"


def work(deployment: Deployment, code: str, seconds: int) -> subprocess.Popen[str]:
    """A process of the portal that does one thing again and again."""
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", START + code, str(seconds)],
        cwd=ROOT,
        env=deployment.environment | {"DJANGO_SETTINGS_MODULE": "voip_portal.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
