"""What bounds finding servers: the DNS may be anybody's, and so may the names we are given."""

from __future__ import annotations

from typing import Final

MAX_WAITING: Final = 1_000
"""searches: waiting for the DNS at a time; more are told to try later. A slow DNS server may be anybody's."""
MAX_WAITING_PER_ASKER: Final = 100
"""searches: of one account waiting at a time, while there is room; then a share of what is left."""
MAX_QUESTIONS: Final = 200
"""questions: to the DNS at a time; each has a socket."""
MAX_PER_ASKER: Final = 8
"""questions: of one account at a time, while there is room; then a share of what is left. Half of a
domain's, so that nobody alone keeps others from it; a call asks three at a time."""
MAX_PER_DOMAIN: Final = 16
"""questions: at a time below one domain, so that one with slow servers leaves room for the others."""
ARPA_LABELS: Final = 8
"""labels: that make a domain of its own, for that, below `.arpa`, where each number is a name."""
SHARE_OF_THE_REST: Final = 8
"""parts: of what is left, of which one account may have one."""
MAX_QUEUED: Final = 1_000
"""questions: waiting to be asked."""
MAX_QUEUED_PER_ASKER: Final = 100
"""questions: of one account waiting to be asked, while there is room."""
QUEUE_WAIT_S: Final = 4.0
"""How long a question waits to be asked: as long as the slowest takes (`node` limits). It is looked
at whenever another is answered, so it may be twice that."""
RETRY_LATER_S: Final = 5
"""Retry-After where there was no room."""

MAX_SERVERS: Final = 16
"""servers: tried for one request; the addresses are whoever's, and each may take half a minute."""
MAX_SERVICES: Final = 8
"""records: NAPTR records followed; each leads to a question, and to any domain."""
MAX_HOSTS: Final = 100
"""records: SRV records looked at; drawing one by weight costs the square of their number."""
MAX_NAME: Final = 253
"""characters: of the longest name that the DNS has (RFC 1035 §2.3.4)."""

MAX_ANSWERS: Final = 10_000
"""answers: of the DNS kept; the oldest go."""
MAX_RECORDS: Final = 50_000
"""records: of the DNS kept in all; a zone may put hundreds into each answer."""
MAX_TTL_S: Final = 86_400.0
"""How long an answer is kept at most, whatever the zone says."""
MAX_NEGATIVE_TTL_S: Final = 900.0
"""That there is nothing is believed for so long at most, whatever the zone says (RFC 2308 §5)."""
FAILURE_TTL_S: Final = 5.0
"""How long nobody is asked again what could not be answered (RFC 9520 §3.2)."""

SILENT_S: Final = 120.0
"""How long a server that gave no answer is passed over."""
PROBE_AFTER_S: Final = 60.0
"""After so long somebody who wants the server has it probed."""
MAX_RETRY_AFTER_S: Final = 3600.0
"""How long a server's Retry-After is obeyed at most."""
MAX_DEAD: Final = 4096
"""servers: remembered as silent or refusing; the oldest go."""

MAX_REMEMBERED_FLOWS: Final = 20_000
"""flows: to addresses without a name, kept lest each request make its own; a full table is emptied."""
MAX_WAYS_BACK: Final = 256
"""transactions: at a time whose responses look for another way."""
WAY_BACK_S: Final = 32.0
"""How long the ways of one are remembered."""
MAX_TRIES_BACK: Final = 3
"""ways: other ones that a response tries; the Via that names them is whoever's."""

MAX_RULES: Final = 16
"""records: of ENUM that are tried; a zone may have hundreds."""
MAX_REGEXP: Final = 255
"""characters: of the regexp field of an ENUM record."""
MAX_QUANTIFIERS: Final = 4
"""quantifiers: of one ENUM pattern; on the sixteen characters of a number four try some thousand ways."""
