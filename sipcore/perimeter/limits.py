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
CALLS_S: Final = 60.0
"""The time for which the calls that strangers have begun are counted, those that are over too: each
writes records, and whoever gives up at once or is declined holds no place."""
CALLS_PER_LINE: Final = 24
"""calls: begun by strangers at one line in that time."""
NEW_CALLS_PER_LINE: Final = 12
"""calls: of those, by networks that never talked with it."""
CALLS_PER_NETWORK: Final = 60
"""calls: begun by one /24 or /64 in that time, at all lines."""
CALLS_IN_ALL: Final = 400
"""calls: begun by strangers in that time, at all lines and services of a worker."""
NEW_CALLS_IN_ALL: Final = 200
"""calls: of those, by networks that never talked with the line: some 16 MB of records an hour at most."""

MESSAGES_S: Final = 32.0
"""The time for which strangers' messages are counted: 64*T1, as long as a phone may take to answer one."""
MESSAGES_PER_LINE: Final = 128
"""messages: of strangers to one line, or one service, in that time."""
NEW_MESSAGES_PER_LINE: Final = 64
"""messages: of those, of networks that never talked with it; a lively conversation is half of it."""
MESSAGES_PER_NETWORK: Final = 32
"""messages: of one /24 or /64 to one line in that time."""
MESSAGES_OF_NETWORK: Final = 256
"""messages: of one /24 or /64 in that time, to all lines."""
MESSAGES_IN_ALL: Final = 4_000
"""messages: of strangers in that time, to all lines of a worker."""
NEW_MESSAGES_IN_ALL: Final = 2_000
"""messages: of those, of networks that never talked with the line: some 12 MB of memory."""

INSIDE_A_CALL: Final = 320
"""requests: of a stranger inside one call in that time, BYE apart, or with one flow token of an edge; keys
pressed quickly are ten a second."""
INSIDE_IN_ALL: Final = 10_000
"""requests: of strangers inside calls in that time, of a worker."""

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
