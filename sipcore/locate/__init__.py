"""Locating servers (RFC 3263, RFC 7984, RFC 2782): from a URI to an ordered list of candidates.

Without I/O: a `Search` says which questions it needs answered, the `Locator` keeps answers for as
long as they may be kept, and remembers which servers did not answer.
"""

from sipcore.locate.answers import NO_ROOM, Answer, AnswerCache, Naptr, Question, Srv
from sipcore.locate.dead import DeadServers
from sipcore.locate.destination import Candidate, Destination, destination, way_back_of
from sipcore.locate.enum import address_of_number, domain_of_number, is_full_number
from sipcore.locate.limits import RETRY_LATER_S
from sipcore.locate.locator import Asker, Locator, Seeker
from sipcore.locate.next_hops import OWN_REQUESTS, NextHops
from sipcore.locate.search import Search

__all__ = [
    "NO_ROOM",
    "OWN_REQUESTS",
    "RETRY_LATER_S",
    "Answer",
    "AnswerCache",
    "Asker",
    "Candidate",
    "DeadServers",
    "Destination",
    "Locator",
    "Naptr",
    "NextHops",
    "Question",
    "Search",
    "Seeker",
    "Srv",
    "address_of_number",
    "destination",
    "domain_of_number",
    "is_full_number",
    "way_back_of",
]
