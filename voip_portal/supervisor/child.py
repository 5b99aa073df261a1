"""One process and its group."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voip_portal.supervisor.death import die_with
from voip_portal.supervisor.health import HealthCheck
from voip_portal.supervisor.intensity import RestartIntensity
from voip_portal.supervisor.logs import LogFile

ALIVE_EVERY_S = 2.0
HUNG_AFTER_S = 30.0
"""The web server's own replacement of a process of it that hangs comes before (`web.limits.NO_PAGE_S`)."""
HUNG_AFTER_CHECKS = 3
"""At the least: a supervisor that was stopped itself for a minute has not asked, and so knows nothing."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to run a process, and how to know that it is ready."""

    name: str
    argv: Sequence[str]
    healthy: HealthCheck
    health_file: Path | None = None
    alive: HealthCheck | None = None
    """Asked on and on once it was ready; one that says no for `HUNG_AFTER_S` is killed."""


class Child:
    """A process that is started again when it dies."""

    def __init__(
        self, spec: ChildSpec, log_folder: Path, env: Mapping[str, str], cwd: Path
    ) -> None:
        self.spec = spec
        self.name = spec.name
        self.log = LogFile(log_folder / f"{spec.name}.log")
        self.intensity = RestartIntensity()
        self.ready = False
        self.started_at = 0.0
        self._alive_at = 0.0
        self._asked_at = 0.0
        self._checks_failed = 0
        self._env = env
        self._cwd = cwd
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process, which is also its group's number; 0 when there is none."""
        return self._process.pid if self._process else 0

    def start(self, now: float) -> None:
        """Start the process in a group of its own, so that the terminal's Ctrl-C passes it by."""
        if self.spec.health_file is not None:
            self.spec.health_file.unlink(missing_ok=True)
        self.ready = False
        self.started_at = now
        parent = os.getpid()

        def in_child() -> None:
            die_with(parent)
            # The supervisor blocks the signals that it waits for; a mask survives exec.
            signal.pthread_sigmask(signal.SIG_SETMASK, ())

        log = self.log.open()
        self._process = subprocess.Popen(  # noqa: S603 - the command line is ours
            list(self.spec.argv),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(self._env),
            cwd=self._cwd,
            process_group=0,
            # Safe: the supervisor has one thread.
            preexec_fn=in_child,
        )

    def died(self) -> int | None:
        """The exit status if the process has ended, its group with it; else None."""
        if self._process is None:
            return None
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        if os.waitid(os.P_PID, self._process.pid, options) is None:
            return None
        self.signal(signal.SIGKILL)  # before the number may be given to another process
        status = self._process.wait()
        self._process = None
        return status

    def check(self) -> bool:
        """Whether the process has just become ready."""
        if self._process is None or self.ready or not self.spec.healthy():
            return False
        self.ready = True
        self.intensity.succeeded()
        self._alive_at, self._checks_failed = time.monotonic(), 0
        return True

    def hangs(self, now: float) -> bool:
        """Whether the process was ready, runs, and has long not done what it is for."""
        if self.spec.alive is None or not self.ready or now - self._asked_at < ALIVE_EVERY_S:
            return False
        self._asked_at = now
        if self.spec.alive():
            self._alive_at, self._checks_failed = now, 0
            return False
        self._checks_failed += 1
        return self._checks_failed >= HUNG_AFTER_CHECKS and now - self._alive_at > HUNG_AFTER_S

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group."""
        if self._process is not None:
            try:
                os.killpg(self._process.pid, number)
            except (ProcessLookupError, PermissionError):
                pass  # all of it has ended
