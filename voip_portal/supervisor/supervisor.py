"""The loop: start, watch, restart, stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence

from voip_portal.supervisor.child import HUNG_AFTER_S, Child

STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
SIGNALS = STOP_SIGNALS | {signal.SIGCHLD}
STARTING_POLL_S = 0.1
QUIET_POLL_S = 1.0
SLOW_START_S = 60.0
STOP_WITHIN_S = 10.0


class Supervisor:
    """Keeps children running until it is told to stop, or until restarting does not help."""

    def __init__(
        self, children: Sequence[Child], *, say: Callable[[str], None], on_ready: Callable[[], None]
    ) -> None:
        self._children = children
        self._say = say
        self._on_ready = on_ready
        self._all_were_ready = False
        self._slow: set[str] = set()

    def run(self) -> int:
        """Run until a stop signal (0) or a child that cannot be kept running (1)."""
        # Blocked and waited for: no handler runs in the middle of a step.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            for child in self._children:
                child.start(time.monotonic())
            return self._watch()
        finally:
            self._stop()
            while signal.sigtimedwait(STOP_SIGNALS, 0) is not None:
                pass  # an impatient second Ctrl-C
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _watch(self) -> int:
        while True:
            starting = not all(child.ready for child in self._children)
            info = signal.sigtimedwait(SIGNALS, STARTING_POLL_S if starting else QUIET_POLL_S)
            if info is not None and info.si_signo in STOP_SIGNALS:
                self._say("Stopping …")
                return 0
            for child in self._children:
                if not self._tend(child, time.monotonic()):
                    return 1
            if not self._all_were_ready and all(child.ready for child in self._children):
                self._all_were_ready = True
                self._on_ready()

    def _tend(self, child: Child, now: float) -> bool:
        """Restart, ask for health, show errors; False when the child cannot be kept running."""
        status = child.died()
        line = child.log.look(now)
        if line:
            self._say(f"[{child.name}] {line}")
        if status is not None:
            return self._restart(child, status, now)
        if child.check():
            if self._all_were_ready:
                self._say(f"[{child.name}] ready again")
            self._slow.discard(child.name)
        elif child.hangs(now):
            self._say(f"[{child.name}] hangs: nothing served for {HUNG_AFTER_S:.0f} s; killing it")
            child.signal(signal.SIGKILL)
        elif not child.ready and now - child.started_at > SLOW_START_S:
            self._report_slow(child)
        return True

    def _restart(self, child: Child, status: int, now: float) -> bool:
        why = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        if not child.ready and child.intensity.failed(now):
            self._say(
                f"[{child.name}] {why} again before it was ready: giving up, stopping everything. "
                f"The end of {child.log.path}:\n{child.log.tail()}"
            )
            return False
        self._say(f"[{child.name}] {why}: starting it again")
        child.start(now)
        return True

    def _report_slow(self, child: Child) -> None:
        if child.name not in self._slow:
            self._slow.add(child.name)
            self._say(f"[{child.name}] is not ready yet; see {child.log.path}")

    def _stop(self) -> None:
        """TERM to every group; KILL to what is left after ten seconds."""
        for child in self._children:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_WITHIN_S
        while (left := self._running()) and (wait := deadline - time.monotonic()) > 0:
            signal.sigtimedwait({signal.SIGCHLD}, min(wait, QUIET_POLL_S))
        for child in left:
            self._say(f"[{child.name}] did not stop within {STOP_WITHIN_S:.0f} s: killed")
            child.signal(signal.SIGKILL)
        while self._running():
            signal.sigtimedwait({signal.SIGCHLD}, QUIET_POLL_S)

    def _running(self) -> list[Child]:
        for child in self._children:
            child.died()
        return [child for child in self._children if child.pid]
