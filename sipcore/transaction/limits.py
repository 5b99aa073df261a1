"""What bounds the transactions of a worker; the timers of RFC 3261 are in `timers.py`."""

from __future__ import annotations

from typing import Final

MAX_SERVER_TRANSACTIONS: Final = 100_000
"""transactions: requests being dealt with at a time; more are answered 503 without state."""
MAX_SERVER_BYTES: Final = 64 << 20
"""Of the requests being dealt with, and of answers kept to be repeated, in all; more are answered 503. In
memory they take two to four times that."""
LARGE_BYTES: Final = 4096
"""Of a request that is larger only the rows of its dialog are kept once it is answered."""
RETRY_AFTER_S: Final = 10
"""How long such a 503 asks the peer to wait."""
GENERATION_S: Final = 32.0
"""How long a request is remembered to find a merged one: no server transaction of a request other
than INVITE lasts longer once it is answered."""
GENERATION_SIZE: Final = 20_000
"""requests: remembered for that in each of two generations; a full one is closed early."""
UNCOUNTED_PART: Final = 4
"""parts: of so many of the table one is taken before anybody is counted."""
SHARE_OF_THE_REST: Final = 8
"""parts: of so many of what is left one is a network's (/24, /64)."""
SHARE_OF_KNOWN: Final = 2
"""parts: of so many of all that is left one is the network's where such a source is: a third of an empty
table for the phones behind one address, and room for others whatever one account sends."""
KEPT_FOR_KNOWN: Final = 4
"""parts: of so many of the table one is kept for sources that have shown credentials or are peers."""
MAX_KNOWN_SOURCES: Final = 50_000
"""addresses: remembered that have shown credentials, the last ones."""
