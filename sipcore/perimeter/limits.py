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

REFUSAL_RECORD_INTERVAL_S: Final = 2.0
"""At most one `auth.refused` record per source and username in this time; the rest is counted."""
REFUSAL_SUM_INTERVAL_S: Final = 60.0
"""How often what got no record becomes one record of their sum."""
REFUSAL_RECORDS_PER_INTERVAL: Final = 300
"""records: of refused credentials in that time, of all sources together; some 4 MB an hour."""
REFUSAL_SLOTS: Final = 8_192
"""pairs: of source and name that are told apart."""
