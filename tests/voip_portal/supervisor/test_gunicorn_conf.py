"""Gunicorn's workers end with their master, however it ends."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

APP = "def application(environ, start_response):\n    raise NotImplementedError\n"
CONF = "python:voip_portal.supervisor.gunicorn_conf"


def children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("method", ["kill", "terminate"])
def test_workers_do_not_outlive_their_master(tmp_path: Path, method: str) -> None:
    (tmp_path / "small.py").write_text(APP)
    log = tmp_path / "log"
    argv = [sys.executable, "-m", "gunicorn", "-c", CONF, "--bind=127.0.0.1:0"]
    argv += [f"--pythonpath={tmp_path}", f"--error-logfile={log}", "small:application"]
    master = subprocess.Popen(argv)  # noqa: S603 - our own command
    try:
        deadline = time.monotonic() + 20
        while not log.exists() or log.read_text().count("Booting worker") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        workers = children(master.pid)
        assert len(workers) == 2
    finally:
        getattr(master, method)()
        master.wait()
    deadline = time.monotonic() + 5
    while any(map(runs, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
