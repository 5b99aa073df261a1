"""What bounds a proxied request."""

from __future__ import annotations

from typing import Final

MAX_BREADTH: Final = 60
"""branches: Max-Breadth of a request that says none, and the most that is taken (RFC 5393 §5.3.3)."""
TIMER_C_S: Final = 185.0
"""A ringing branch without news is given up after this time (RFC 3261 §16.6 step 11: > 3 min)."""
NO_CLIENT_S: Final = 64.0
"""Twice 64*T1: whoever sent a request other than INVITE has long given it up (RFC 4321 §1)."""
CANCEL_WAIT_S: Final = 32.0
"""64*T1: how long a cancelled branch may take to send its final response (RFC 3261 §9.1)."""
SILENCE_S: Final = 4.0
"""How long a registered phone may say nothing at all to an INVITE, counted from when it was first sent
(retransmissions came after 0.5, 1.5 and 3.5 s): then it counts as 408, and others are tried or heard."""
OPENING_S: Final = 5.0
"""How much longer that is where a connection to the phone may have to be opened first: as long as that may
take (`connect_s`)."""
LEAST_S: Final = 90
"""No session interval may be shorter (RFC 4028 §4), and no Min-SE lower (§5)."""
RETRY_AFTER_STOP_S: Final = 5
"""How long the 503 of a server that stops asks the peer to wait: the next one starts in two to four."""
