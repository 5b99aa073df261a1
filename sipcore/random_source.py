"""Where random numbers come from: an input, like time. A simulation gives one with a seed."""

from __future__ import annotations

from typing import Protocol


class RandomSource(Protocol):
    """What the stack asks of `random.Random` (`sipcore.node.entropy` in a real node)."""

    def getrandbits(self, k: int, /) -> int:
        """A number of `k` random bits."""

    def randint(self, a: int, b: int) -> int:
        """A number from `a` to `b`, both included."""
