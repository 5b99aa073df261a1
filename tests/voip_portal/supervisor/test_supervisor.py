"""The loop over real, small processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

DUMMIES = Path(__file__).with_name("dummies.py")
PATIENCE_S = 20.0


class Running:
    """A supervisor process and what it says."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, str(DUMMIES), str(folder), *names],
            env={**os.environ, "PYTHONPATH": str(DUMMIES.parents[3])},
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self, word: str) -> str:
        """Read on until a line has the word."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if word in line:
                return line
        raise AssertionError(f"never said {word!r}")

    def number(self, file: str) -> int:
        return int((self.folder / file).read_text())

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    running: list[Running] = []

    def start(*names: str) -> Running:
        running.append(Running(tmp_path, *names))
        return running[-1]

    yield start
    for each in running:
        each.end()


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie that nobody has collected yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> float:
    """Wait for it; the seconds it took."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < within_s
        time.sleep(0.02)
    return time.monotonic() - start


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_ends_all_children_and_the_status_is_0(
    supervise: Callable[..., Running], number: signal.Signals
) -> None:
    running = supervise("good", "family")
    running.says("Ready.")
    pids = [running.number(f) for f in ("good.pid", "family.pid", "family.grandchild")]
    running.process.send_signal(number)
    assert running.process.wait(PATIENCE_S) == 0
    until(lambda: not any(map(alive, pids)))


def test_a_killed_child_comes_back_with_a_new_number_and_its_family_is_gone(
    supervise: Callable[..., Running],
) -> None:
    running = supervise("family")
    running.says("Ready.")
    pid, grandchild = running.number("family.pid"), running.number("family.grandchild")
    os.kill(pid, signal.SIGKILL)
    running.says("killed by signal 9: starting it again")
    running.says("ready again")
    assert running.number("family.pid") != pid
    until(lambda: not alive(grandchild))


def test_the_service_goes_on_when_its_log_files_are_removed(
    supervise: Callable[..., Running],
) -> None:
    running = supervise("good", "family")
    running.says("Ready.")
    for log in running.folder.glob("*.log"):
        log.unlink()
    os.kill(running.number("good.pid"), signal.SIGKILL)
    running.says("[good] ready again")
    assert (running.folder / "good.log").exists()
    assert alive(running.number("family.pid"))


def test_a_child_that_never_gets_ready_stops_everything_loudly(
    supervise: Callable[..., Running],
) -> None:
    running = supervise("good", "broken")
    said = running.says("giving up, stopping everything")
    assert "[broken] ended with status 3" in said
    running.says("ERROR no such table")
    assert running.process.wait(PATIENCE_S) == 1
    assert not alive(running.number("good.pid"))


def test_a_deaf_child_is_killed_after_ten_seconds(supervise: Callable[..., Running]) -> None:
    running = supervise("deaf")
    running.says("Ready.")
    running.process.terminate()
    running.says("did not stop within 10 s: killed")
    assert running.process.wait(PATIENCE_S) == 0
    assert not alive(running.number("deaf.pid"))


def test_a_killed_supervisor_takes_its_children_along(supervise: Callable[..., Running]) -> None:
    running = supervise("good", "deaf")
    running.says("Ready.")
    pids = [running.number("good.pid"), running.number("deaf.pid")]
    running.process.kill()
    until(lambda: not any(map(alive, pids)), within_s=5.0)


def test_a_child_has_a_group_of_its_own(supervise: Callable[..., Running]) -> None:
    running = supervise("good")
    running.says("Ready.")
    pid = running.number("good.pid")
    assert os.getpgid(pid) == pid


def test_a_child_that_hangs_is_killed_and_started_again_loudly(
    supervise: Callable[..., Running],
) -> None:
    running = supervise("hanging", "good")
    running.says("Ready.")
    hung, good = running.number("hanging.pid"), running.number("good.pid")
    assert "nothing served" in running.says("hangs")
    running.says("starting it again")
    running.says("ready again")
    assert not alive(hung)
    assert running.number("hanging.pid") != hung
    assert running.number("good.pid") == good
