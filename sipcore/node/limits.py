"""What bounds the sockets, files and questions of a node."""

from __future__ import annotations

from typing import Final

MIN_TIMER_S: Final = 0.010
"""Timers that are due within this time of each other fire together: under load hundreds a second
would wake the loop one by one, most of them for transactions that need them no more."""
TICK_S: Final = 1.0
"""How often expired bindings are swept and counters looked at."""
LOOK_AT_CERTIFICATES: Final = 5
"""ticks: between two looks whether a certificate was changed."""
LOOK_WHETHER_DRAINED_S: Final = 0.05
"""How often a node that stops looks whether everybody has been answered."""
SWEEP_CALLS_S: Final = 60.0
"""How often calls that last too long, or are over for long enough, are looked for."""
POOL_BYTES: Final = 4096
"""Random bytes that the kernel is asked for at once."""

MAX_STUN_PER_SOURCE: Final = 200
"""answers: in a second; the phones of 5,000 people may share one address."""
MAX_STUN_SOURCES: Final = 10_000
"""addresses: that get STUN answers in one second."""

RECEIVE_BUFFER_BYTES: Final = 4 << 20
"""Asked of the kernel for each UDP socket, which grants `net.core.rmem_max` at most; the default overflows
with some 330 datagrams in one scheduling pause."""
MAX_DATAGRAM_BYTES: Final = 65_536
"""What is read of one datagram: all that UDP can carry."""
MAX_REMEMBERED_FLOWS: Final = 50_000
"""flows: of UDP kept lest each datagram make its own; a full table is emptied."""
BURST: Final = 64
"""datagrams: taken in one turn; then others of the loop have theirs."""
GATHER_S: Final = 0.004
"""How long datagrams gather while the server is busy: when they come closer than that."""
ERROR_HEAD_BYTES: Final = 1024
"""Of a datagram that did not arrive the kernel gives back what the ICMP message quotes."""

MAX_READ: Final = 65_536
"""bytes: taken out of TLS at once."""
MAX_HANDSHAKE: Final = 131_072
"""bytes: of one handshake; a chain of certificates is the most of it."""

SEGMENT_BYTES: Final = 1 << 20
"""A spool file that has grown to this is followed by the next; the shipper deletes whole files."""
MAX_BYTES: Final = 1 << 30
"""Of all spools of a node together: the milestones of 100,000 calls a day for more than a week."""
LOOK_AGAIN: Final = 100
"""records: dropped before it is seen whether there is room again."""
MAX_WAITING: Final = 100_000
"""records: kept in memory while the disk is full; what comes later is lost, and said to be."""
COMPACT_BYTES: Final = 4 << 20
"""A journal of calls that is larger, and twice its last compacted size, is compacted."""

LIFETIME_S: Final = 4.0
"""How long one question to the DNS may take, all servers and repetitions included."""
SERVER_S: Final = 1.5
"""How long one DNS server is waited for before the next, or itself again, is asked."""
LOOK_AGAIN_S: Final = 30.0
"""How often `resolv.conf` is looked at for a change."""
MAX_ANSWER_BYTES: Final = 16_384
"""A larger answer of a DNS server is a failure."""
MAX_RECORDS: Final = 256
"""records: in all sections of one answer; sixty-four servers with two addresses each are less."""
