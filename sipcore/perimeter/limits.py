"""What bounds strangers: callers without an account here, and without a peer that vouches for them."""

from __future__ import annotations

from typing import Final

STRANGERS_PER_LINE: Final = 8
"""calls: of strangers that ring at one line or go on with it; a flood leaves its phones usable."""
NEW_STRANGERS_PER_LINE: Final = 4
"""calls: of those, for networks that had no answered call with the line yet; the rest is kept free
for people who are known there."""
STRANGERS_PER_NETWORK: Final = 2
"""calls: of one /24 or /64 at one line."""
UNPROVED_PER_NETWORK: Final = 4
"""calls: of one /24 or /64 that nothing has shown to receive our answers: its address may be forged,
and what we send to it goes to somebody else."""
MAX_NETWORKS: Final = 20_000
"""networks: remembered that have proved their address, and pairs of a line and a network that have
talked; the last ones."""
