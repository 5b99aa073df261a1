"""Taking back what suspended accounts and revoked devices still hold, some accounts at a time.

One change may touch every account (a bulk update, a whole directory read anew), and while the loop
looks at 30,000 of them no phone is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from sipcore.apps.host import Host
from sipcore.campus.limits import ACCOUNTS_AT_ONCE, STEP_S


class RightsSweep:
    """The accounts of which it must still be seen what they hold.

    `take_back(account_ids, now)` removes what they must not hold.
    """

    __slots__ = ("_host", "_take_back", "_waiting")

    def __init__(self, host: Host, take_back: Callable[[Sequence[int], float], None]) -> None:
        self._host = host
        self._take_back = take_back
        self._waiting: set[int] = set()

    def add(self, account_ids: Collection[int], now: float) -> None:
        """These have changed. A few are looked at now, whatever waits."""
        if len(account_ids) <= ACCOUNTS_AT_ONCE:
            self._take_back(list(account_ids), now)
            return
        self._waiting.update(account_ids)
        self.advance(now)

    def advance(self, now: float) -> None:
        """Take the next step; the others come when the loop has looked at its sockets."""
        waiting = self._waiting
        step = [waiting.pop() for _ in range(min(ACCOUNTS_AT_ONCE, len(waiting)))]
        self._take_back(step, now)
        if waiting:
            self._host.wake(self, now + STEP_S)
        else:
            self._host.sleep(self)
