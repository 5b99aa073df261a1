"""Which step of a plan comes next: the groups of a fork, one after another (RFC 3261 §16.6)."""

from __future__ import annotations

from collections.abc import Sequence

from sipcore.routing.plan import Group


class Walk:
    """The groups of a plan, and how long the present one rings. `next` gives the first, too."""

    __slots__ = ("_groups", "_next", "deadline")

    def __init__(self, groups: Sequence[Group]) -> None:
        self._groups = groups
        self._next = 0
        self.deadline: float | None = None
        """When the present group has rung long enough; None: it rings as long as it likes."""

    def next(self, now: float) -> Group:
        """Go on to the next group, which rings from now on."""
        group = self._groups[self._next]
        self._next += 1
        is_limited = group.ring_s is not None and self._next < len(self._groups)
        self.deadline = now + group.ring_s if is_limited and group.ring_s is not None else None
        return group

    def goes_on_after(self, worst_status: int) -> bool:
        """Whether another group follows where the worst failure so far is this one.

        A 6xx is for all who were asked for: nobody else is tried (§16.7 step 5).
        """
        return self._next < len(self._groups) and worst_status < 600

    def is_overdue(self, now: float) -> bool:
        return self.deadline is not None and self.deadline <= now

    def rung_enough(self) -> None:
        """The present group is being stopped: it is overdue only once."""
        self.deadline = None

    def end(self) -> None:
        """Let go of the groups."""
        self._groups = ()
        self.deadline = None
