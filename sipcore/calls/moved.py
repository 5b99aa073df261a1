"""Where the parties of calls are that have moved to another network since the call began.

The call token in the Route of both sides says where each was when the call was made, and cannot be made
anew. So each worker remembers who has moved, whether it holds the call or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sipcore.calls.journal import flow_of_row
from sipcore.calls.leg import Leg
from sipcore.calls.limits import MOST_MOVED
from sipcore.transport.flow import Flow


class Party(NamedTuple):
    """One party of one dialog, as any worker can name it."""

    context: str
    callee_tag: str
    is_caller: bool


class Place(NamedTuple):
    """Where a party is."""

    flow: Flow | None
    """How it is reached, None where its Contact leads there."""
    source: Flow
    """Where its messages come from."""


class LegFacts(NamedTuple):
    """What must be known of a party to judge a request that says it has moved."""

    line_id: int | None
    """The account; None for a stranger and a trusted peer."""
    device_id: int
    """The device of the account, 0 where it is not known."""
    peer: str
    """The domain of the trusted peer it is, or ""."""
    source: Flow | None
    """Where it was heard of last, None where that is not known."""
    cseq: int
    """The highest CSeq of its requests."""


class MovedParties:
    """Those that a worker knows of, the last ones."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        self._places: dict[Party, Place] = {}

    def __len__(self) -> int:
        return len(self._places)

    def put(self, party: Party, place: Place) -> None:
        """This party is there from now on."""
        self._places.pop(party, None)
        if len(self._places) >= MOST_MOVED:
            del self._places[next(iter(self._places))]
        self._places[party] = place

    def get(self, party: Party) -> Place | None:
        """Where a party has moved to; None where it has not."""
        return self._places.get(party)


def facts_of(line_id: int | None, leg: Leg) -> LegFacts:
    """The facts of a leg whose account is this one."""
    return LegFacts(line_id, leg.device_id, leg.peer, leg.source, leg.cseq)


def leg_asked_note(home: tuple[int, int], number: int, party: Party) -> dict[str, Any]:
    """The question to the holder of a call what is known of this party of it."""
    return {"op": "leg asked", "home": home, "n": number, "party": party}


def leg_told_note(note: Mapping[str, Any], facts: LegFacts | None) -> dict[str, Any]:
    """The answer to such a note; None: nothing."""
    return {"op": "leg told", "n": note["n"], "facts": facts}


def facts_told(note: Mapping[str, Any]) -> LegFacts | None:
    """The facts in an answer."""
    row = note["facts"]
    if row is None:
        return None
    line_id, device_id, peer, source, cseq = row
    return LegFacts(line_id, device_id, peer, flow_of_row(source), cseq)


def moved_note(party: Party, place: Place) -> dict[str, Any]:
    """For every other worker: this party has moved."""
    return {"op": "moved", "party": party, "flow": place.flow, "source": place.source}


def place_told(note: Mapping[str, Any]) -> tuple[Party, Place]:
    """What such a note says."""
    context, callee_tag, is_caller = note["party"]
    source = flow_of_row(note["source"])
    if source is None:
        raise ValueError("a party has moved to nowhere")
    return Party(context, callee_tag, is_caller), Place(flow_of_row(note["flow"]), source)
