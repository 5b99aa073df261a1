"""States and inputs of the four machines."""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """RFC 3261 §17 with the Accepted state of RFC 6026."""

    CALLING = 0
    TRYING = 1
    PROCEEDING = 2
    COMPLETED = 3
    CONFIRMED = 4
    ACCEPTED = 5
    TERMINATED = 6


class Input(IntEnum):
    """What moves a machine.

    No state waits for more than two timers, so two inputs stand for all of them; the tables say
    which letter of RFC 3261 Table 4 it is.
    """

    REQUEST = 0
    """A retransmission of the request (server)."""
    ACK = 1
    SEND_1XX = 2
    SEND_2XX = 3
    SEND_3XX_6XX = 4
    RECEIVE_1XX = 5
    RECEIVE_2XX = 6
    RECEIVE_3XX_6XX = 7
    TRANSPORT_ERROR = 8
    """What a client transaction sent did not leave."""
    RESEND = 9
    """Timer A, E or G: send again. In a server that has sent nothing yet: time for a 100."""
    END = 10
    """Timer B, D, F, H, I, J, K, L or M: give up, or waited long enough."""
