"""What is refused of a request outside a call, though it could be read (RFC 3261 §25.1).

The next hop may read it otherwise. Inside a call nothing of this is looked at: a call that stands
can always be ended. What is read on purpose though the grammar has it otherwise stands in
docs/reading.md; cases of both are in tests/sipcore/conformance/test_reading.py.
"""

from __future__ import annotations

from typing import Final

from sipcore.errors import MalformedMessage
from sipcore.message.grammar import split_top
from sipcore.message.request import MAX_CSEQ, Request

_LISTS: Final = ("via", "route", "record-route", "path")
"""What decides where something goes: an entry that is missing may have said where."""


def check_outside_call(request: Request) -> None:
    """Raise MalformedMessage for what may be read in two ways. Asked of what is not `is_plain` alone."""
    _check_lists(request)
    via = request.via
    if via.flaw:
        raise MalformedMessage(via.flaw, header="via")
    if request.cseq_number > MAX_CSEQ:
        raise MalformedMessage("number of 2^31 or more", header="cseq")
    call_id = request.call_id
    if not call_id or " " in call_id or "\t" in call_id:
        raise MalformedMessage("empty, or with a blank inside", header="call-id")
    _check_uris(request)


def _check_uris(request: Request) -> None:
    try:
        uris = [request.uri, request.from_.uri, request.to.uri]
        if request.has("contact"):
            uris += [contact.uri for contact in request.contacts]
    except MalformedMessage:
        return  # whoever needs it says so
    for uri in uris:
        if uri.flaw:
            raise MalformedMessage(uri.flaw, header="uri")


def _check_lists(request: Request) -> None:
    """Refuse empty entries. A row without any value is none, but for a Via."""
    for key in _LISTS:
        for row in request.rows(key):
            if ("," in row and "" in split_top(row, ",", key)) or (not row and key == "via"):
                raise MalformedMessage("empty entry", header=key)


__all__ = ["check_outside_call"]
