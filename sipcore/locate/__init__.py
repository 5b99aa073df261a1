"""Locating servers (RFC 3263, RFC 7984, RFC 2782): from a URI to an ordered list of candidates.

Without I/O: a `Search` says which questions it needs answered, the `Locator` keeps answers for as
long as they may be kept, and remembers which servers did not answer.
"""

from sipcore.locate.answers import Answer, AnswerCache, Naptr, Question, Srv
from sipcore.locate.dead import DeadServers
from sipcore.locate.destination import Candidate, Destination, destination, way_back_of
from sipcore.locate.locator import Locator, Seeker
from sipcore.locate.search import Search

__all__ = [
    "Answer",
    "AnswerCache",
    "Candidate",
    "DeadServers",
    "Destination",
    "Locator",
    "Naptr",
    "Question",
    "Search",
    "Seeker",
    "Srv",
    "destination",
    "way_back_of",
]
