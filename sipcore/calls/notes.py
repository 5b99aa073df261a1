"""Notes for the holder of a call: what passed another worker or node."""

from __future__ import annotations

from typing import Any


def seen_note(context: str, callee_tag: str, from_caller: bool, cseq: int) -> dict[str, Any]:
    """For the holder of a call: a request inside it passed here."""
    return {"op": "seen", "c": context, "tag": callee_tag, "caller": from_caller, "cseq": cseq}


def refreshed_note(
    context: str, callee_tag: str, caller_contact: str, callee_contact: str, interval_s: int
) -> dict[str, Any]:
    """For the holder of a call: what `Dialog.refresh` would have been told."""
    return {
        "op": "refreshed",
        "c": context,
        "tag": callee_tag,
        "caller": caller_contact,
        "callee": callee_contact,
        "interval_s": interval_s,
    }


def ended_note(context: str) -> dict[str, Any]:
    """For the holder of a call: a BYE inside it passed here, and its record was written here."""
    return {"op": "ended", "c": context}
