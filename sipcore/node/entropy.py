"""Random numbers for tags, branches and contexts: the system's, drawn in large pieces."""

from __future__ import annotations

import os
from random import SystemRandom

from sipcore.node.limits import POOL_BYTES


class PooledRandom(SystemRandom):
    """`SystemRandom` whose `getrandbits` asks the kernel once for many numbers."""

    def __init__(self) -> None:
        super().__init__()
        self._pool = b""
        self._offset = 0

    def getrandbits(self, k: int) -> int:
        """A number of `k` random bits."""
        size = (k + 7) // 8
        end = self._offset + size
        if end > len(self._pool):
            self._pool = os.urandom(max(POOL_BYTES, size))
            self._offset, end = 0, size
        value = int.from_bytes(self._pool[self._offset : end], "big")
        self._offset = end
        return value >> (size * 8 - k)
