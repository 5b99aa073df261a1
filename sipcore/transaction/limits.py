"""What bounds the transactions of a worker; the timers of RFC 3261 are in `timers.py`."""

from __future__ import annotations

from typing import Final

MAX_SERVER_TRANSACTIONS: Final = 100_000
"""transactions: requests being dealt with at a time; more are answered 503 without state."""
RETRY_AFTER_S: Final = 10
"""How long such a 503 asks the peer to wait."""
GENERATION_S: Final = 32.0
"""How long a request is remembered to find a merged one: no server transaction of a request other
than INVITE lasts longer once it is answered."""
GENERATION_SIZE: Final = 20_000
"""requests: remembered for that in each of two generations; a full one is closed early."""
