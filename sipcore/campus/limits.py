"""What bounds the campus service: what one account, connection or party may cost."""

from __future__ import annotations

from typing import Final

MAX_KEPT: Final = 4_096
"""characters: that a party may have us keep of a call, and write with each change of it."""
MISSES: Final = 2
"""probes: so many in a row without an answer, or with "gone" from elsewhere, and an end is gone."""

ACCOUNTS_AT_ONCE: Final = 200
"""accounts: looked at in one step; some milliseconds where all of them lose their registrations."""
CALLS_AT_ONCE: Final = 50
"""calls: ended in one step; each is two BYEs or a CANCEL, a record and a journal row, 0.3 ms in all."""
STEP_S: Final = 0.001
"""From one step to the next. What is due at once would still be done in the same turn."""

MAX_WAITING_PER_LINE: Final = 32
"""requests: REGISTERs of one account that may wait for its store; more are answered 503."""
MAX_CONNECTIONS: Final = 50_000
"""connections: remembered with whom they lead to."""
MAX_LINES_PER_CONNECTION: Final = 16
"""accounts: remembered of one connection; those of a phone with several, or of a gateway."""
MAX_ATTEMPTS: Final = 8
"""attempts: how often one REGISTER is computed again after losing to another node."""
FLOW_S: Final = 25.0
"""seconds: a NAT keeps a flow by which nothing comes; where our own keep-alives are switched off, the
interval by which a phone is held to be there."""
RETRY_S: Final = 5.0
"""After this time what the service wants removed is tried again, where the store has failed."""

CHALLENGES_IN_VAIN: Final = 3
"""challenges: in a row that a source answers nothing to, before it is offered MD5 alone. One lost or an
impatient phone is less."""
OLD_PHONE_S: Final = 600.0
"""How long it is then, from the last time that it showed credentials: phones that give up begin anew after
five minutes at most, and refresh more often."""
TELL_OLD_PHONE_S: Final = 86_400.0
"""How often it is recorded of a device, for its owner to see."""
MAX_CHALLENGED: Final = 10_000
"""sources: remembered that have been challenged and not answered, the last ones; as many that are offered
MD5 alone, and devices that this was recorded of."""

MAX_REGISTRAR_HOSTS: Final = 64
"""addresses: known of the registrar of a domain that we are the edge of; the oldest go."""
MOST_COME_BACK: Final = 8
"""branches: of one call that a trusted peer may send back; more would be a way to ring, not to divert."""
INQUIRY_WAIT_S: Final = 0.5
"""Seconds to wait for the others: a note takes milliseconds, and the caller hears nothing so long."""
MAX_INQUIRIES: Final = 100
"""requests: requests that wait at a time; more are decided by what this worker knows. Transfers are rare."""

STOP_WITHIN_S: Final = 2.5
"""Seconds that phones and callers have to answer what a server that stops tells them: four
retransmissions over UDP. Then it goes; process managers give it ten."""
