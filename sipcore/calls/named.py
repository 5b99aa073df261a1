"""A call as somebody names it from outside of its dialog, and what workers tell one another of it.

Target-Dialog, Replaces and Join name a call by Call-ID and both tags. Another worker may hold it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sipcore.calls.call import Call, EndedCall
from sipcore.calls.journal import flow_of_row
from sipcore.calls.limits import MAX_PARTNERS, MAX_PLACES
from sipcore.directory import Account
from sipcore.transport.flow import Flow


class DialogName(NamedTuple):
    """Call-ID and both tags, in whichever order."""

    call_id: str
    tags: tuple[str, str]


class LineLeg(NamedTuple):
    """A phone of ours in a call."""

    contact: str
    """As it has told it inside the call."""
    line_id: int
    flow: Flow | None
    """How it is reached, where its contact does not lead there."""


class NamedCall(NamedTuple):
    """What must be known of a call that is named: who is in it, and where they are reached."""

    parties: tuple[str, ...]
    """The two parties: `party_of` an account of ours, or the URI that the INVITE had."""
    places: tuple[str, ...]
    """Their URIs and contacts."""
    legs: tuple[LineLeg, ...]
    """Those of them that are phones of ours."""
    answered: bool = True
    """Whether somebody has taken it: whom a phone only rings for is in no call with it."""


def party_of(account: Account) -> str:
    """How an account is told from foreign parties, whose URIs have a scheme."""
    return f"line {account.id}"


def named_call(call: Call) -> NamedCall:
    """What must be known of this call."""
    lines = call.caller_line, call.callee_line
    pairs = [
        (leg, line_id)
        for d in call.dialogs.values()
        for leg, line_id in zip((d.caller, d.callee), lines, strict=True)
    ]
    contacts = [leg.contact for leg, _ in pairs]
    legs = [
        LineLeg(leg.contact, line_id, leg.flow) for leg, line_id in pairs if line_id is not None
    ]
    places = (*call.parties, *contacts)[:MAX_PLACES]
    is_answered = call.answered_now is not None
    return NamedCall(_parties_of(call), places, tuple(legs[:MAX_PLACES]), is_answered)


def _parties_of(call: Call | EndedCall) -> tuple[str, ...]:
    lines = (call.caller_line, call.callee_line)
    pairs = zip(lines, call.parties, strict=True)
    return tuple([uri if line is None else f"line {line}" for line, uri in pairs])


def partners_of(calls: Iterable[Call | EndedCall], party: str) -> set[str]:
    """With whom a party is in one of these calls."""
    found: set[str] = set()
    for call in calls:
        if len(found) < MAX_PARTNERS:
            parties = _parties_of(call)
            if party in parties:
                found.update(parties)
    found -= {party, ""}
    return found


def asked_note(home: tuple[int, int], number: int, name: DialogName, party: str) -> dict[str, Any]:
    """For every other worker: who is in the call of this name, and with whom this party talks."""
    return {"op": "asked", "home": home, "n": number, "name": name, "party": party}


def told_note(
    note: Mapping[str, Any], calls: Iterable[NamedCall], partners: Iterable[str]
) -> dict[str, Any]:
    """The answer to such a note."""
    found = [
        [
            list(call.parties),
            list(call.places),
            [list(leg) for leg in call.legs],
            call.answered,
        ]
        for call in calls
    ]
    return {"op": "told", "n": note["n"], "calls": found, "partners": sorted(partners)}


def calls_told(note: Mapping[str, Any]) -> list[NamedCall]:
    """The calls in an answer."""
    return [
        NamedCall(tuple(parties), tuple(places), tuple([_leg(leg) for leg in legs]), answered)
        for parties, places, legs, answered in note["calls"]
    ]


def _leg(value: list[Any]) -> LineLeg:
    contact, line_id, flow = value
    return LineLeg(contact, line_id, flow_of_row(flow))


__all__ = [
    "DialogName",
    "LineLeg",
    "NamedCall",
    "asked_note",
    "calls_told",
    "named_call",
    "partners_of",
    "party_of",
    "told_note",
]
