"""What is refused of a request outside a call, though it could be read (RFC 3261 §25.1).

The next hop may read it otherwise. Inside a call nothing of this is looked at: a call that stands
can always be ended. What is read on purpose though the grammar has it otherwise stands in
docs/reading.md; cases of both are in tests/sipcore/conformance/test_reading.py.
"""

from __future__ import annotations

from typing import Final

from sipcore.errors import MalformedMessage
from sipcore.message.grammar import split_top
from sipcore.message.request import Request

MAX_CSEQ: Final = (1 << 31) - 1
"""RFC 3261 §8.1.1.5: less than 2^31."""
_LISTS: Final = ("via", "route", "record-route", "path")
"""What decides where something goes: an entry that is missing may have said where."""


def check_outside_call(request: Request) -> bool:
    """Raise MalformedMessage for what may be read in two ways.

    Returns whether all is written as nearly everybody writes it. That is told from the rows alone, for
    all requests pay for it: From and Contact of a REGISTER, say, are read by nobody else, or later.
    """
    tops, keys = request.first_rows, request.keys
    via_row = tops["via"]
    if (
        "," in via_row
        or len(tops) != len(keys)
        or "route" in tops
        or "record-route" in tops
        or "path" in tops
    ):
        _check_lists(request)
    via = request.via
    if via.flaw:
        raise MalformedMessage(via.flaw, header="via")
    if request.cseq_number > MAX_CSEQ:
        raise MalformedMessage("number of 2^31 or more", header="cseq")
    call_id = request.call_id
    if not call_id or " " in call_id or "\t" in call_id:
        raise MalformedMessage("empty, or with a blank inside", header="call-id")
    text = request.uri_text
    row = tops["from"]
    if text.startswith("sip:") and row.startswith(": <sip:", row.find(":")):
        other, contact = tops["to"], tops.get("contact", _NO_CONTACT)
        if other.startswith(": <sip:", other.find(":")) and contact.startswith(
            ": <sip:", contact.find(":")
        ):
            text = f"{text}{row}{other}{contact}"
            if "?" not in text and "[" not in text and len(tops) == len(keys):
                return True
    _check_uris(request)
    return False


_NO_CONTACT: Final = ": <sip:"


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
